"""What is identical in a window, found by codes: equal texts have equal codes, and no hash can make others look equal.

Each column of both sides together is a dictionary. The codes of the columns that tell most are packed into one number
of 62 bits. Two lines that share their number with nobody else are then compared column by column, which costs a tenth
of packing all. Only lines of a number that more share are numbered by all columns.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Final, Self

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from counterfoil.columns import EXTRA
from counterfoil.line_items.canonical import extra_texts
from counterfoil.reconcile.matching.windows import Sections

_ROOM: Final = 1 << 62
_EMPTY: Final = pa.scalar("", pa.string())
_NONE: Final = pa.scalar(0, pa.int64())


@dataclass(slots=True)
class Surplus:
    """The rows of a side of a window, counted over its sections, that have no identical line on the other side."""

    rows: list[int] = field(default_factory=list)
    twins: list[int] = field(default_factory=list)  # of which another copy has one


def surplus(left: Sections, right: Sections, names: Sequence[str]) -> tuple[Surplus, Surplus]:
    """Return what is not identical, given the columns that count."""
    if not left or not right:
        alone = Surplus(list(range(sum(map(len, left or right)))))
        return (alone, Surplus()) if left else (Surplus(), alone)
    columns = [_Column.of(name, [section.batch.column(name) for section in (*left, *right)]) for name in names]
    lefts = sum(map(len, left))
    return _Window([column for column in columns if column.kinds != 1], lefts, sum(map(len, right))).surplus()


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of both sides as codes, or as texts that hardly repeat, which are not coded unless they have to be."""

    values: pa.Array
    kinds: int  # 0 for texts

    @classmethod
    def of(cls, name: str, arrays: Sequence[pa.Array]) -> Self:
        if name == EXTRA:
            arrays = [_plain(array) for array in arrays]
        if not all(pa.types.is_dictionary(array.type) for array in arrays):
            fixed = all(pa.types.is_fixed_size_binary(array.type) for array in arrays)
            texts = pa.concat_arrays(arrays if fixed else [array.cast(pa.string()) for array in arrays])
            if texts.null_count == len(texts):
                return cls(texts, 1)
            return cls(texts.fill_null(_EMPTY) if texts.null_count else texts, 0)
        unified = pa.chunked_array(arrays).unify_dictionaries()
        dictionary = unified.chunk(0).dictionary
        codes, kinds = pa.concat_arrays([chunk.indices for chunk in unified.chunks]), len(dictionary)
        if codes.null_count:  # absent is as empty
            nothing = pc.index(dictionary, _EMPTY).as_py()
            kinds += nothing < 0
            codes = codes.fill_null(pa.scalar(kinds - 1 if nothing < 0 else nothing, codes.type))
        return cls(codes, kinds)

    def coded(self) -> Self:
        """Return the column as codes."""
        if self.kinds:
            return self
        found = self.values.dictionary_encode()
        return type(self)(found.indices, len(found.dictionary))

    def take(self, rows: pa.Array) -> Self:
        """Return some rows."""
        return type(self)(self.values.take(rows), self.kinds)

    def equal(self, left: pa.Array, right: pa.Array) -> pa.BooleanArray:
        """Tell for pairs of rows whether they are equal."""
        return pc.equal(self.values.take(left), self.values.take(right))


class _Window:
    """The lines of a window: the first `lefts` rows are the left side's."""

    def __init__(self, columns: Sequence[_Column], lefts: int, rights: int) -> None:
        self._columns, self._lefts, self._lines = columns, lefts, lefts + rights
        self._found = Surplus(), Surplus()

    def surplus(self) -> tuple[Surplus, Surplus]:
        told, others = _telling(self._columns)
        ids = _packed(told, self._lines).dictionary_encode().indices
        both, in_left = _counts(ids, self._lefts)
        if not others:
            odd = pc.indices_nonzero(pc.not_equal(both, pc.add(in_left, in_left)))
            if len(odd):
                rows = pc.indices_nonzero(pc.is_in(ids, odd.cast(pa.int32())))
                self._settle(rows.to_pylist(), ids.take(rows).to_pylist())
            return self._found
        one_sided = pc.or_(pc.equal(in_left, _NONE), pc.equal(in_left, both))
        paired = pc.and_not(pc.equal(both, pa.scalar(2, pa.int64())), one_sided)
        self._add_alone(pc.indices_nonzero(one_sided.take(ids)))
        self._compare(others, ids, paired)
        shared = pc.indices_nonzero(pc.invert(pc.or_(one_sided, paired)).take(ids))
        if len(shared):
            numbers = _packed([column.take(shared) for column in self._columns], len(shared))
            self._settle(shared.to_pylist(), numbers.to_pylist())
        return self._found

    def _compare(self, columns: Sequence[_Column], ids: pa.Int32Array, paired: pa.BooleanArray) -> None:
        """Compare two and two lines, each of which nobody else can be identical to."""
        rows = pc.indices_nonzero(paired.take(ids)).cast(pa.int64())
        count = len(rows) // 2
        left, right = rows[:count], rows[count:]
        # Numbers were given by first appearance, so those of the left ascend.
        ranks = pc.subtract(pc.cumulative_sum(paired.cast(pa.int64())), pa.scalar(1, pa.int64()))
        right = right.take(pc.inverse_permutation(ranks.take(ids.take(right))))
        equal = reduce(pc.and_, (column.equal(left, right) for column in columns))
        if equal.true_count < count:
            different = pc.invert(equal)
            self._add_alone(left.filter(different))
            self._add_alone(right.filter(different))

    def _add_alone(self, rows: pa.Array) -> None:
        for row in rows.to_pylist():
            on_the_right = row >= self._lefts
            self._found[on_the_right].rows.append(row - self._lefts * on_the_right)

    def _settle(self, rows: Iterable[int], numbers: Iterable[int]) -> None:
        """Pair the lines of one number as often as both sides have it."""
        groups = defaultdict[int, tuple[list[int], list[int]]](lambda: ([], []))
        for row, number in zip(rows, numbers, strict=True):
            on_the_right = row >= self._lefts
            groups[number][on_the_right].append(row - self._lefts * on_the_right)
        for sides in groups.values():
            pairs = min(map(len, sides))
            for side, alone in zip(sides, self._found, strict=True):
                (alone.twins if pairs else alone.rows).extend(side[pairs:])


def _telling(columns: Sequence[_Column]) -> tuple[list[_Column], list[_Column]]:
    """Return the columns that tell most, as many as can be packed, and the others."""
    if columns and pa.types.is_fixed_size_binary(columns[0].values.type):
        return [_Column(_first_words(columns[0].values), _ROOM)], list(columns)
    texts = sorted((column for column in columns if not column.kinds), key=lambda column: column.values.nbytes)
    told = [texts.pop().coded()] if texts else []
    others, room = texts, _ROOM // (told[0].kinds if told else 1)
    for column in sorted((column for column in columns if column.kinds), key=lambda column: -column.kinds):
        if column.kinds <= room:
            told.append(column)
            room //= column.kinds
        else:
            others.append(column)
    return told, others


def _first_words(digests: pa.FixedSizeBinaryArray) -> pa.Int64Array:
    """Return the first eight bytes of each digest: nearly as telling, and looked up in half the time."""
    words, lines = digests.type.byte_width // 8, len(digests)
    numbers = pa.Array.from_buffers(
        pa.int64(), words * lines, [None, digests.buffers()[1]], offset=words * digests.offset
    )
    step = pa.scalar(words, pa.int64())
    return numbers.take(pc.subtract(pc.cumulative_sum(pa.repeat(step, lines)), step))


def _packed(columns: Iterable[_Column], lines: int) -> pa.Int64Array:
    """Return a number for each line, equal where all columns are."""
    packed, kinds = pa.repeat(_NONE, lines), 1
    for column in columns:
        its = column.coded()
        if kinds * its.kinds > _ROOM:
            anew = packed.dictionary_encode()
            packed, kinds = anew.indices.cast(pa.int64()), len(anew.dictionary)
        packed = pc.add(pc.multiply(packed, pa.scalar(its.kinds, pa.int64())), its.values)
        kinds *= its.kinds
    return packed


def _counts(ids: pa.Int32Array, lefts: int) -> tuple[pa.Int64Array, pa.Int64Array]:
    """Return how often each number occurs, and how often on the left; they were given by first appearance."""
    both, kinds = ids.value_counts().field(1), pc.max(ids[:lefts]).as_py() + 1
    left = pa.repeat(pa.scalar(1, pa.int64()), lefts) if kinds == lefts else ids[:lefts].value_counts().field(1)
    return both, pa.concat_arrays([left, pa.repeat(_NONE, len(both) - kinds)])


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
