"""What is identical in a window, found by codes: equal texts have equal codes, and no hash can make others look equal.

Each column of both sides together is a dictionary. The codes of a line's columns are packed into one number of 62 bits;
what does not fit is numbered anew, by the combinations that occur. Lines of one number are identical.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from counterfoil.columns import EXTRA
from counterfoil.line_items.canonical import extra_texts
from counterfoil.reconcile.matching.windows import Pieces

_ROOM: Final = 1 << 62
_EMPTY: Final = pa.scalar("", pa.string())


@dataclass(slots=True)
class Surplus:
    """The rows of a side of a window, counted over its pieces, that have no identical line on the other side."""

    rows: list[int] = field(default_factory=list)
    twins: list[int] = field(default_factory=list)  # of which another copy has one


def surplus(left: Pieces, right: Pieces, names: Sequence[str]) -> tuple[Surplus, Surplus]:
    """Return what is not identical, given the columns that count."""
    rows = sum(map(len, left))
    if not left or not right:
        alone = Surplus(list(range(rows or sum(map(len, right)))))
        return (alone, Surplus()) if left else (Surplus(), alone)
    numbered = _numbered([*left, *right], names)
    return _without_partner(numbered, rows)


def _without_partner(numbered: pa.Int64Array, rows: int) -> tuple[Surplus, Surplus]:
    ids = numbered.dictionary_encode().indices
    # Numbers are given by first appearance, and both are counted in that order; the left comes first.
    both, left = ids.value_counts().field(1), ids[:rows].value_counts().field(1)
    in_left = pa.concat_arrays([left, pa.repeat(pa.scalar(0, pa.int64()), len(both) - len(left))])
    odd = pc.indices_nonzero(pc.not_equal(both, pc.add(in_left, in_left)))
    found = Surplus(), Surplus()
    if not len(odd):
        return found
    places = pc.indices_nonzero(pc.is_in(ids, odd.cast(pa.int32())))
    groups = defaultdict[int, tuple[list[int], list[int]]](lambda: ([], []))
    for id_, row in zip(ids.take(places).to_pylist(), places.to_pylist(), strict=True):
        groups[id_][row >= rows].append(row if row < rows else row - rows)
    for sides in groups.values():
        pairs = min(map(len, sides))
        for side, alone in zip(sides, found, strict=True):
            (alone.twins if pairs else alone.rows).extend(side[pairs:])
    return found


def _numbered(pieces: Pieces, names: Sequence[str]) -> pa.Int64Array:
    """Return a number for each line, equal where all columns are."""
    packed, kinds = pa.repeat(pa.scalar(0, pa.int64()), sum(map(len, pieces))), 1
    for name in names:
        codes, count = _coded(name, [piece.batch.column(name) for piece in pieces])
        if count == 1:
            continue
        if kinds * count > _ROOM:
            anew = packed.dictionary_encode()
            packed, kinds = anew.indices.cast(pa.int64()), len(anew.dictionary)
        packed = pc.add(pc.multiply(packed, pa.scalar(count, pa.int64())), codes)
        kinds *= count
    return packed


def _coded(name: str, arrays: Sequence[pa.Array]) -> tuple[pa.Int64Array | pa.Int32Array, int]:
    """Return the codes of a column's texts, and how many there are; absent is as empty."""
    if name == EXTRA:
        arrays = [_plain(array) for array in arrays]
    if not all(pa.types.is_dictionary(array.type) for array in arrays):
        return _distinct(arrays)
    unified = pa.chunked_array(arrays).unify_dictionaries()
    dictionary = unified.chunk(0).dictionary
    codes = pa.concat_arrays([chunk.indices for chunk in unified.chunks])
    if codes.null_count:
        nothing = pc.index(dictionary, _EMPTY).as_py()
        if nothing < 0:
            nothing = len(dictionary)
            return codes.fill_null(pa.scalar(nothing, codes.type)), nothing + 1
        codes = codes.fill_null(pa.scalar(nothing, codes.type))
    return codes, len(dictionary)


def _distinct(arrays: Iterable[pa.Array]) -> tuple[pa.Int32Array, int]:
    kind = pa.binary(32) if all(pa.types.is_fixed_size_binary(array.type) for array in arrays) else pa.string()
    texts = pa.concat_arrays([array if array.type == kind else array.cast(kind) for array in arrays])
    coded = (texts.fill_null(_EMPTY) if texts.null_count else texts).dictionary_encode()
    return coded.indices, len(coded.dictionary)


def _plain(extra: pa.Array) -> pa.Array:
    """Return Extra as a canonical form takes it: its members in order, those without a value left out."""
    if extra.null_count == len(extra):
        return extra.cast(pa.string())
    coded = extra if pa.types.is_dictionary(extra.type) else extra.dictionary_encode()
    values = pa.array([_canonical(text) for text in coded.dictionary.to_pylist()], pa.string())
    return values.take(coded.indices)


def _canonical(text: str | None) -> str | None:
    try:
        texts = extra_texts(text)
    except msgspec.MsgspecError:  # whatever it is, it counts as it stands
        return text
    there = {name: texts[name] for name in sorted(texts) if texts[name]}
    return msgspec.json.encode(there).decode() if there else None
