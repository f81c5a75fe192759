"""The fast reader of the plain install: lines of one shape are cut into columns by Arrow alone.

Sources write most line items with the same attributes in the same order, without white space. Such lines part at each
`,"`, which a JSON string can hold only at its end, and so they are a table that Arrow's CSV reader cuts without making
a Python object of any value. Each distinct value is then checked; every value that is not the plainest JSON goes
through the rules by itself.

This reader never refuses. It returns the lines that it is sure of and the numbers of all others, which are for the
reference: lines of another shape, values that the rules refuse, white space, control characters, escapes in keys. So
it may be narrower than the reference, and never wider.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from counterfoil.columns import EXTRA, Codec, LineItemTable, Spelling, Type
from counterfoil.line_items.blocks import is_utf8
from counterfoil.line_items.reference import extra_member, read_json_value
from counterfoil.line_items.values import Refused

PLAIN_NUMBER: Final = r"^-?(0|[1-9][0-9]{0,12})(\.[0-9]{1,40})?$"  # inside numbers.why_not_a_number on every count
_MARK: Final = b"\x01"
_PLAIN_TEXT: Final = r'^"[^"\\\x00-\x1f\x7f]*"$'
_PLAIN_DATE: Final = (
    r'^"[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])'
    r'(T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?Z?)?"$'
)
_CODES: Final = pa.dictionary(pa.int32(), pa.string())
_FEW_DISTINCT: Final = 300
_MANY_DISTINCT: Final = 0.4
_KNOWN_MAX: Final = 5_000
_SHAPES_MAX: Final = 8  # tried on some lines, before the rest is left to the reference
_SHAPES_KEPT_MAX: Final = 64
_NOT_ACCEPTED: Final = (Refused, ValueError, msgspec.MsgspecError, RecursionError)


@dataclass(frozen=True, slots=True)
class CutLines:
    """Some lines as columns: the places of these lines among those given, and arrays of text by column name.

    An array may be a dictionary of text. Columns that no line has are missing; `Extra` is there if it is needed.
    """

    places: Sequence[int]
    columns: dict[str, pa.Array]


class FastReader:
    """Cuts lines of one kind. What it learns of the shapes of lines it keeps for the next ones. Not thread-safe."""

    def __init__(self, table: LineItemTable) -> None:
        self._table = table
        self._shapes: dict[tuple[str, ...], _Shape | None] = {}

    def cut_block(self, block: bytes) -> tuple[list[CutLines], list[int]]:
        """Return the same as `cut` for the lines of a block, which is not split if all of them have one shape."""
        shape = self._shape_of(block[: block.find(b"\n")]) if _is_clean(block) else None
        if shape is None:
            return self.cut(block.split(b"\n"))
        cut, rest = shape.cut(block)
        cuts = [cut] if cut is not None else []
        if not rest:
            return cuts, []
        more, doubtful = self._cut(block.split(b"\n"), deque(rest), {shape.keys})
        return cuts + more, doubtful

    def cut(self, lines: Sequence[bytes]) -> tuple[list[CutLines], list[int]]:
        """Return the lines that are certain, and the places of the others, in no particular order."""
        usable, others = _usable(lines)
        cuts, doubtful = self._cut(lines, deque(usable), set())
        return cuts, others + doubtful

    def _cut(
        self, lines: Sequence[bytes], todo: deque[int], tried: set[tuple[str, ...]]
    ) -> tuple[list[CutLines], list[int]]:
        cuts: list[CutLines] = []
        doubtful: list[int] = []
        while todo and len(tried) < _SHAPES_MAX:
            known = len(self._shapes)
            shape = self._shape_of(lines[todo[0]])
            # A shape that was tried means that a value leaves this line in doubt. A new one may be that of this line
            # only, and is not worth a look at all others; the first is.
            if shape is None or shape.keys in tried or (tried and len(self._shapes) != known):
                doubtful.append(todo.popleft())
                continue
            tried.add(shape.keys)
            cut, rest = shape.cut(b"\n".join([lines[at] for at in todo]), list(todo))
            if cut is not None:
                cuts.append(cut)
            todo = deque(rest)
        return cuts, [*doubtful, *todo]

    def _shape_of(self, line: bytes) -> _Shape | None:
        try:
            keys = tuple(msgspec.json.decode(line, type=dict[str, msgspec.Raw]))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        if keys not in self._shapes:
            if len(self._shapes) >= _SHAPES_KEPT_MAX:
                self._shapes.clear()
            self._shapes[keys] = _Shape.of(self._table, keys)
        return self._shapes[keys]


class _Shape:
    """Lines that have these keys in this order, each in exactly this spelling."""

    def __init__(self, keys: tuple[str, ...], members: list[_Member]) -> None:
        self.keys = keys
        self._members = members

    @classmethod
    def of(cls, table: LineItemTable, keys: tuple[str, ...]) -> _Shape | None:
        """Return the shape, or None where the reference has to judge the keys."""
        spellings = [table.spellings.get(key.lower()) for key in keys]
        names = {found.column.name if found else key.lower() for key, found in zip(keys, spellings, strict=True)}
        if not keys or len(names) != len(keys):
            return None
        last = len(keys) - 1
        members = [
            _Member(key, found, begin="{" * (at == 0), end="}" * (at == last), constant=key.lower() in table.constants)
            for at, (key, found) in enumerate(zip(keys, spellings, strict=True))
        ]
        return cls(keys, members)

    def cut(self, block: bytes, places: Sequence[int] | None = None) -> tuple[CutLines | None, list[int]]:
        """Cut the lines of a block; returns the good ones, and the places of all others.

        `places` are where the lines are among those given; by default, one after the other.
        """
        others: set[int] = set()

        def pass_over(row: pa.csv.InvalidRow) -> str:
            others.add(row.number - 1)
            return "skip"

        table = self._parse(block, pass_over)
        places = range(table.num_rows + len(others)) if places is None else places
        rest = [places[row] for row in sorted(others)]
        kept = [at for row, at in enumerate(places) if row not in others] if others else places
        columns: list[pa.Array] = []
        doubt: pa.Array | None = None
        for number, member in enumerate(self._members):
            array, unsure = member.read(table[str(number)])
            columns.append(array)
            if unsure is not None:
                doubt = unsure if doubt is None else pc.or_(doubt, unsure)
        if doubt is not None:
            sure = pc.invert(doubt)
            rest += [at for at, bad in zip(kept, doubt.to_pylist(), strict=True) if bad]
            kept = [at for at, good in zip(kept, sure.to_pylist(), strict=True) if good]
            columns = [array.filter(sure) for array in columns]
        return (CutLines(kept, self._named(columns)) if kept else None), sorted(rest)

    def _parse(self, block: bytes, pass_over: object) -> pa.Table:
        # Not bytes.replace: Arrow's is quicker, and holds no lock on the interpreter.
        ends = pa.py_buffer(struct.pack("=ii", 0, len(block)))
        whole = pa.Array.from_buffers(pa.binary(), 1, [None, ends, pa.py_buffer(block)])
        marked = pc.replace_substring(whole, b',"', _MARK)[0].as_buffer()
        types = {str(number): member.type for number, member in enumerate(self._members)}
        return pa.csv.read_csv(
            pa.BufferReader(marked),
            pa.csv.ReadOptions(column_names=list(types), use_threads=False, block_size=marked.size + 1),
            pa.csv.ParseOptions(
                delimiter=_MARK.decode(),
                quote_char=False,
                double_quote=False,
                escape_char=False,
                ignore_empty_lines=False,
                invalid_row_handler=pass_over,
            ),
            pa.csv.ConvertOptions(column_types=types, strings_can_be_null=False, check_utf8=False),
        )

    def _named(self, columns: Sequence[pa.Array]) -> dict[str, pa.Array]:
        named: dict[str, pa.Array] = {}
        unknown: list[pa.Array] = []
        for member, array in zip(self._members, columns, strict=True):
            if member.spelling is not None:
                named[member.spelling.column.name] = array
            elif not member.constant:
                unknown.append(array.cast(pa.string()))
        if unknown:
            joined = pc.binary_join_element_wise(*unknown, ",")
            named[EXTRA] = pc.binary_join_element_wise("{", joined, "}", "")
        return named


class _Member:
    """One key of a shape, and how its values are read. Each piece between two cuts is `"key":value`."""

    def __init__(self, key: str, spelling: Spelling | None, *, begin: str, end: str, constant: bool) -> None:
        self.spelling = spelling
        self.constant = constant
        self.type: pa.DataType = _CODES  # or text, for a column of so many values that codes would not pay
        self._key = key
        self._before = f'{begin}"' * bool(begin) + f'{key}":'
        self._after = end
        self._plain = _plain_pattern(spelling)
        self._known: dict[str, tuple[str | None, bool]] = {}

    def read(self, column: pa.ChunkedArray) -> tuple[pa.Array, pa.Array | None]:
        """Return the texts to store, and a mask of the rows in doubt (None for none)."""
        array = column.combine_chunks()
        if isinstance(array, pa.ChunkedArray):
            array = array.chunk(0) if array.num_chunks else pa.array([], array.type)
        if self.type != _CODES:
            return self._values(array)
        distinct = array.dictionary
        values, unsure = self._few(distinct.to_pylist()) if len(distinct) <= _FEW_DISTINCT else self._values(distinct)
        if len(distinct) > max(_FEW_DISTINCT, _MANY_DISTINCT * len(array)):
            self.type = pa.string()
        coded = pa.DictionaryArray.from_arrays(array.indices, values)
        return coded, unsure.take(array.indices) if unsure is not None else None

    def _few(self, texts: list[str]) -> tuple[pa.Array, pa.Array | None]:
        """Return the same as `_values`; most were seen among the lines before, and are looked up."""
        known = self._known
        fresh = [text for text in texts if text not in known]
        if fresh:
            if len(known) > _KNOWN_MAX:
                known.clear()
                fresh = texts
            values, unsure = self._values(pa.array(fresh, pa.string()))
            doubts = unsure.to_pylist() if unsure is not None else [False] * len(fresh)
            known.update(zip(fresh, zip(values.to_pylist(), doubts, strict=True), strict=True))
        found = [known[text] for text in texts]
        unsure = pa.array([doubt for _, doubt in found], pa.bool_()) if any(doubt for _, doubt in found) else None
        return pa.array([value for value, _ in found], pa.string()), unsure

    def _values(self, texts: pa.Array) -> tuple[pa.Array, pa.Array | None]:
        """Return the texts to store for the pieces between the cuts, and which are in doubt."""
        fitting = pc.starts_with(texts, self._before)
        if self._after:
            fitting = pc.and_(fitting, pc.ends_with(texts, self._after))
        raw = _slice(texts, len(self._before), len(self._after))
        if self._plain:
            plain = pc.and_(fitting, pc.match_substring_regex(raw, self._plain))
            kept = raw if self._plain == PLAIN_NUMBER else _slice(raw, 1, 1)
            if _all(plain):
                return kept, None
        else:
            plain, kept = pa.repeat(pa.scalar(False), len(texts)), raw  # noqa: FBT003 - a value, not a flag
        odd = pc.invert(plain)
        read = [
            self._odd(text) if fits else (None, True)
            for text, fits in zip(raw.filter(odd).to_pylist(), fitting.filter(odd).to_pylist(), strict=True)
        ]
        kept = pc.replace_with_mask(kept, odd, pa.array([text for text, _ in read], pa.string()))
        if not any(doubt for _, doubt in read):
            return kept, None
        return kept, pc.replace_with_mask(odd, odd, pa.array([doubt for _, doubt in read], pa.bool_()))

    def _odd(self, text: str) -> tuple[str | None, bool]:
        """Return what the rules make of one value, and whether it is in doubt."""
        raw = text.encode()
        try:
            if self.spelling is not None:
                return read_json_value(self.spelling, self._key, raw), False
            msgspec.json.decode(raw)  # of a constant nothing is kept, but it has to be JSON
            return (None if self.constant else extra_member(self._key, raw.strip())), False
        except _NOT_ACCEPTED:
            return None, True


def _plain_pattern(spelling: Spelling | None) -> str:
    """Return what the plainest values look like, which need no look at the rules; '' if every value does."""
    if spelling is None or (spelling.from_v1 and spelling.column.codec in (Codec.RATE, Codec.RESELLER)):
        return ""
    return {Type.TEXT: _PLAIN_TEXT, Type.NUMBER: PLAIN_NUMBER, Type.DATE: _PLAIN_DATE, Type.FLAG: ""}[
        spelling.column.type
    ]


def _is_clean(block: bytes) -> bool:
    """Return whether newlines and marks certainly part this block into lines of UTF-8. Blank ones are found later."""
    odd = block[:1] in (b"", b"\n") or block[-1:] == b"\n" or b"\r" in block or _MARK in block
    return not odd and b"\n" in block and is_utf8(block)


def _usable(lines: Sequence[bytes]) -> tuple[list[int], list[int]]:
    """Return the places of lines of UTF-8 that newlines and marks can part, and of the others."""
    usable: list[int] = []
    others: list[int] = []
    broken = not is_utf8(b"\n".join(lines))
    for at, line in enumerate(lines):
        odd = not line or b"\n" in line or b"\r" in line or _MARK in line or (broken and not is_utf8(line))
        (others if odd else usable).append(at)
    return usable, others


def _all(found: pa.Array) -> bool:
    return bool(pc.all(found, min_count=0).as_py())


def _slice(texts: pa.Array, before: int, after: int) -> pa.Array:
    """Return the texts without so many characters at either end."""
    # Not binary_slice: of short values it asks for a negative buffer (pyarrow 26.0.1).
    return pc.utf8_slice_codeunits(texts, before, -after if after else None)
