"""Lines of one shape are cut into columns by Arrow alone, without making a Python object of any value.

Lines with the same attributes in the same order part at each `,"`, which a JSON string can hold only at its end. The
attributes of a group have few combinations, so a line is first made a row of codes: the places of its groups' texts
among all distinct ones. That is what many lines can be held as, in a fraction of their size. Each distinct value is
then checked once; every value that is not the plainest JSON goes through the rules by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from itertools import chain, pairwise
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from counterfoil.columns import EXTRA, Codec, LineItemTable, Spelling, Type
from counterfoil.line_items.reference import extra_member, read_json_value
from counterfoil.line_items.values import ATTRIBUTES_MAX, Refused

PLAIN_NUMBER: Final = r"^-?(0|[1-9][0-9]{0,12})(\.[0-9]{1,40})?$"  # inside numbers.why_not_a_number on every count
_SEPARATOR: Final = ',"'
_PLAIN_TEXT: Final = r'^"[^"\\\x00-\x1f\x7f]*"$'
_PLAIN_DATE: Final = (
    r'^"[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])'
    r'(T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?Z?)?"$'
)
_FEW_DISTINCT: Final = 300
_MANY_DISTINCT: Final = 0.4
_NOTHING: Final = pa.scalar(None, pa.string())
_NOT_ACCEPTED: Final = (Refused, ValueError, msgspec.MsgspecError, RecursionError)


@dataclass(frozen=True, slots=True)
class CutLines:
    """Some lines as columns: the numbers of these lines, in order, and arrays of text by column name.

    An array may be a dictionary of text. Columns that no line has are missing; `Extra` is there if it is needed.
    """

    numbers: Sequence[int]
    columns: dict[str, pa.Array]


class LineShape:
    """Keys in an order, each in exactly this spelling; and how their values are read."""

    def __init__(self, members: list[_Member]) -> None:
        self.width = len(members)
        starts = [at for at, each in enumerate(members) if at == 0 or each.begins_group or members[at - 1].alone]
        self.groups = [members[begin:end] for begin, end in pairwise([*starts, self.width])]
        self.starts = starts
        self._marks: tuple[pa.Array, pa.Array, pa.Array] | None = None

    @classmethod
    def of(cls, table: LineItemTable, keys: tuple[str, ...]) -> LineShape | None:
        """Return the shape, or None where the reference has to judge the keys."""
        spellings = [table.spelling_of(key) for key in keys]
        names = {found.column.name if found else key.lower() for key, found in zip(keys, spellings, strict=True)}
        if not keys or len(names) != len(keys) or len(keys) > ATTRIBUTES_MAX:
            return None
        last = len(keys) - 1
        members = [
            _Member(key, found, begin='{"' * (at == 0), end="}\n" * (at == last), constant=table.is_constant(key))
            for at, (key, found) in enumerate(zip(keys, spellings, strict=True))
        ]
        return cls(members)

    def marks(self, lines: int) -> tuple[pa.Int32Array, pa.Int32Array, pa.BooleanArray]:
        """Return where groups begin among the pieces of so many lines, and the end; and two things of each group.

        These are the size of all separators before it, and whether it is coded.
        """
        if self._marks is None or len(self._marks[2]) < lines * len(self.starts):
            marks, coded = pa.array(self.starts, pa.int32()), [not members[0].alone for members in self.groups]
            repeated = 1
            while repeated <= lines:
                marks = pa.concat_arrays([marks, pc.add(marks, _int(repeated * self.width))])
                repeated *= 2
            # Lines alone begin without one.
            before = pc.multiply(pc.subtract(marks, pc.divide(marks, _int(self.width))), _int(len(_SEPARATOR)))
            self._marks = marks, before, pa.array(coded * repeated)
        marks, before, is_coded = self._marks
        ends = lines * len(self.starts)
        return marks.slice(0, ends + 1), before.slice(0, ends + 1), is_coded

    def named(self, columns: Sequence[pa.Array]) -> dict[str, pa.Array]:
        """Return the columns of the members by name; unknown attributes together are `Extra`."""
        named: dict[str, pa.Array] = {}
        unknown: list[pa.Array] = []
        for member, array in zip(chain(*self.groups), columns, strict=True):
            if member.spelling is not None:
                named[member.spelling.column.name] = array
            elif not member.constant:
                unknown.append(array.cast(pa.string()))
        if unknown:
            joined = pc.binary_join_element_wise(*unknown, ",")
            named[EXTRA] = pc.binary_join_element_wise("{", joined, "}", "")
        return named


class HeldLines:
    """Lines of one shape, held as codes of their groups; each text is in memory once for all lines added together."""

    def __init__(self, shape: LineShape) -> None:
        self._shape = shape
        self._numbers: list[int] = []
        self._coded: list[pa.DictionaryArray] = []  # group after group, line after line
        self._alone: list[list[pa.StringArray]] = [[] for _ in shape.groups]  # of groups that are not coded
        self.size_bytes = 0

    def add(self, lines: pa.StringArray, numbers: Sequence[int]) -> pa.BooleanArray:
        """Hold lines, each with its newline; returns a mask of those that part otherwise, and are not held."""
        pieces = pc.split_pattern(lines, _SEPARATOR)
        odd = pc.not_equal(pc.list_value_length(pieces), _int(self._shape.width))
        if not odd.true_count:
            self._hold(lines, pieces.values, numbers)
        elif odd.true_count < len(odd):
            fits = pc.invert(odd)
            fitting = [number for number, fit in zip(numbers, fits.to_pylist(), strict=True) if fit]
            self._hold(lines.filter(fits), pieces.filter(fits).values, fitting)
        return odd

    def _hold(self, lines: pa.StringArray, pieces: pa.StringArray, numbers: Sequence[int]) -> None:
        shape = self._shape
        marks, separators, is_coded = shape.marks(len(lines))
        ends = pa.Array.from_buffers(pa.int32(), len(pieces) + 1, [None, pieces.buffers()[1]])
        bounds = pc.add(ends.take(marks), separators)
        groups = len(lines) * len(shape.groups)
        buffers = [is_coded.buffers()[1], bounds.buffers()[1], lines.buffers()[2]]
        self._coded.append(pa.Array.from_buffers(pa.string(), groups, buffers).dictionary_encode())
        self.size_bytes += self._coded[-1].nbytes
        for found, members, start in zip(self._alone, shape.groups, shape.starts, strict=True):
            if members[0].alone:
                found.append(_every(pieces, start, shape.width))
                self.size_bytes += found[-1].nbytes
        self._numbers += numbers

    def cut(self) -> tuple[CutLines, Mapping[int, bytes]]:
        """Return the lines that are certain, and the others by number."""
        if not self._numbers:
            return CutLines([], {}), {}
        texts: list[tuple[pa.StringArray, pa.Array | None]] = []
        columns: list[pa.Array] = []
        doubts: list[pa.BooleanArray] = []
        whole = pa.concat_arrays(self._coded)
        for number, members in enumerate(self._shape.groups):
            if members[0].alone:
                entries, codes = pa.concat_arrays(self._alone[number]), None
                pieces, width = entries, 1
            else:
                group = _every(whole.indices, number, len(self._shape.groups)).dictionary_encode()
                entries, codes = whole.dictionary.take(group.dictionary), group.indices
                pieces = pc.split_pattern(entries, _SEPARATOR).values
                width = len(pieces) // len(entries)  # all but the last group end with a separator
            for at, member in enumerate(members):
                column, unsure = member.read(_every(pieces, at, width), codes)
                columns.append(column)
                doubts += [unsure] if unsure is not None else []
            texts.append((entries, codes))
        if not doubts:
            return CutLines(self._numbers, self._shape.named(columns)), {}
        doubt = reduce(pc.or_, doubts)
        sure = pc.invert(doubt)
        numbers = [number for number, unsure in zip(self._numbers, doubt.to_pylist(), strict=True) if not unsure]
        return CutLines(numbers, self._shape.named([column.filter(sure) for column in columns])), self._lines(
            texts, doubt
        )

    def _lines(
        self, texts: Sequence[tuple[pa.StringArray, pa.Array | None]], wanted: pa.BooleanArray
    ) -> Mapping[int, bytes]:
        """Return lines as they were, by number."""
        columns = [
            _picked(entries, codes.filter(wanted))
            if codes is not None
            else pc.binary_join_element_wise(entries.filter(wanted), _SEPARATOR if number < len(texts) - 1 else "", "")
            for number, (entries, codes) in enumerate(texts)
        ]
        lines = pc.binary_join_element_wise(*columns, "").to_pylist()
        numbers = [number for number, want in zip(self._numbers, wanted.to_pylist(), strict=True) if want]
        return {number: line.encode()[:-1] for number, line in zip(numbers, lines, strict=True)}


class _Member:
    """One key of a shape, and how its values are read. Each piece between two separators is `key":value`."""

    def __init__(self, key: str, spelling: Spelling | None, begin: str, end: str, *, constant: bool) -> None:
        self.spelling = spelling
        self.constant = constant
        self.alone = spelling is None or spelling.column.alone
        self.begins_group = spelling is None or spelling.column.alone or spelling.column.group
        self._key = key
        self._before = f'{begin}{key}":'
        self._after = end
        self._plain = _plain_pattern(spelling)

    def read(self, pieces: pa.StringArray, codes: pa.Array | None) -> tuple[pa.Array, pa.BooleanArray | None]:
        """Return the texts to store of all lines, and a mask of the lines in doubt (None for none).

        `codes` are the places of the lines' pieces, None where each line has its own.
        """
        head = pieces.slice(0, 4 * _FEW_DISTINCT)
        if codes is None or (_hardly_repeat(len(pieces), len(codes)) and _hardly_repeat(len(head.unique()), len(head))):
            values, unsure = self._values(pieces)
            return _picked(values, codes), _picked(unsure, codes)
        distinct = pieces.dictionary_encode()
        values, unsure = self._values(distinct.dictionary)
        coded, codes = values.dictionary_encode(), distinct.indices.take(codes)
        return pa.DictionaryArray.from_arrays(coded.indices.take(codes), coded.dictionary), _picked(unsure, codes)

    def _values(self, texts: pa.Array) -> tuple[pa.Array, pa.Array | None]:
        """Return the texts to store for pieces, and which are in doubt (None for none)."""
        fitting = pc.starts_with(texts, self._before)
        if self._after:
            fitting = pc.and_(fitting, pc.ends_with(texts, self._after))
        raw = _slice(texts, len(self._before), len(self._after))
        kept, odd = raw, fitting
        if self._plain:
            plain = pc.match_substring_regex(raw, self._plain)
            kept = raw if self._plain == PLAIN_NUMBER else _slice(raw, 1, 1)
            if _all(pc.and_(fitting, plain)):
                return kept, None
            odd = pc.and_not(fitting, plain)
        distinct = raw.filter(odd).dictionary_encode()
        read = [self._odd(text) for text in distinct.dictionary.to_pylist()]
        values = pa.array([value for value, _ in read], pa.string()).take(distinct.indices)
        doubts = pa.array([doubt for _, doubt in read], pa.bool_()).take(distinct.indices)
        kept = pc.replace_with_mask(kept, odd, values)
        unsure = pc.replace_with_mask(pc.invert(fitting), odd, doubts)
        if not unsure.true_count:
            return kept, None
        return pc.if_else(unsure, _NOTHING, kept), unsure  # or a dictionary would have it, though no line does

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


def _hardly_repeat(distinct: int, count: int) -> bool:
    return distinct > max(_FEW_DISTINCT, _MANY_DISTINCT * count)


def _picked(array: pa.Array | None, places: pa.Array | None) -> pa.Array | None:
    return array if array is None or places is None else array.take(places)


def _every(array: pa.Array, first: int, step: int) -> pa.Array:
    """Return each so manyth value from the first on."""
    return array if step == 1 else array.take(pc.add(pc.multiply(_range(len(array) // step), _int(step)), _int(first)))


def _range(count: int) -> pa.Int32Array:
    return _long_range(count.bit_length()).slice(0, count)


@lru_cache(maxsize=4)
def _long_range(bits: int) -> pa.Int32Array:
    return pa.array(range(1 << bits), pa.int32())


@lru_cache
def _int(number: int) -> pa.Scalar:
    # Given a plain int, pyarrow looks for pandas on the disk every time.
    return pa.scalar(number, pa.int32())


def _all(found: pa.Array) -> bool:
    return bool(pc.all(found, min_count=0).as_py())


def _slice(texts: pa.Array, before: int, after: int) -> pa.Array:
    """Return the texts without so many characters at either end."""
    # Not binary_slice: of short values it asks for a negative buffer (pyarrow 26.0.1).
    return pc.utf8_slice_codeunits(texts, before, -after if after else None)
