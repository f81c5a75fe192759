"""Reading JSON lines, fast for what is usual and complete for the rest.

The spelling of the first line (its keys, in their letter case) is compiled into a msgspec struct that takes numbers
as raw bytes; lines of that spelling are read about five times faster than by the reference in `values`. A line that
does not fit, or holds anything the quick tests cannot vouch for, is read again by the reference, whose verdict counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from counterfoil.columns import Codec, LineItemTable, Spelling
from counterfoil.datasets import batch
from counterfoil.datasets.batch import Batch
from counterfoil.datasets.source import Chunk
from counterfoil.datasets.values import LineItem, Refused, parse_object, read_json_line, stored_structure

OnRefused = Callable[[int, Refused], None]
LAYOUTS_MAX = 8
_SPACED_KEY = re.compile(rb'"\s+:')


@dataclass(frozen=True, slots=True)
class _Layout:
    """One spelling of a kind's keys, and the decoder compiled for it."""

    decode: Callable[[bytes], Any]
    spellings: tuple[Spelling | None, ...]  # None for a constant, whose value is dropped
    nested: tuple[int, ...]  # places whose values may hold keys of their own: v1's `attributes`, and lists
    lists: tuple[int, ...]
    digits: tuple[int, ...]
    width: int


class JsonLinesReader:
    """Reads the chunks of one file; refused lines go to `on_refused`, which raises to stop everything."""

    def __init__(self, table: LineItemTable, on_refused: OnRefused) -> None:
        self._table = table
        self._on_refused = on_refused
        self._layouts: list[_Layout] = []
        self._known: set[frozenset[str]] = set()

    def read(self, chunk: Chunk) -> Iterator[Batch]:
        """Yield the line items of a chunk, in no particular order."""
        lines = chunk.data.split(b"\n")
        numbers = range(chunk.first_line, chunk.first_line + len(lines))
        compact = not _has_space_after_quote(chunk.data)
        yield from self.read_lines(lines, numbers, compact=compact, utf8=_is_utf8(chunk.data))

    def read_lines(
        self, lines: Sequence[bytes], line_numbers: Sequence[int], *, compact: bool = False, utf8: bool = False
    ) -> Iterator[Batch]:
        """Yield the line items of `lines`; blank ones are passed over.

        `compact` and `utf8` are what is known of all lines: no quote is followed by a space; all is UTF-8.
        """
        todo = [index for index, line in enumerate(lines) if line and not line.isspace()]
        if todo and not self._layouts:
            self._learn(lines[todo[0]])
        for layout in list(self._layouts):
            if not todo:
                return
            fast, todo = self._decode(layout, lines, todo, compact=compact, utf8=utf8)
            if fast:
                quick, doubtful = self._batch(layout, [row for _, row in fast], [line_numbers[i] for i, _ in fast])
                if doubtful.any():
                    todo.extend(index for (index, _), unsure in zip(fast, doubtful, strict=True) if unsure)
                    quick = quick.keep(~doubtful)
                yield quick
        if todo:
            yield self._by_reference(lines, line_numbers, sorted(todo))

    def _decode(
        self, layout: _Layout, lines: Sequence[bytes], todo: list[int], *, compact: bool, utf8: bool
    ) -> tuple[list[tuple[int, tuple[Any, ...]]], list[int]]:
        decode, width, unset = layout.decode, layout.width, msgspec.UNSET
        astuple = msgspec.structs.astuple
        fast, rest = [], []
        for index in todo:
            line = lines[index]
            try:
                row = astuple(decode(line))
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                rest.append(index)
                continue
            keys = (
                width
                - row.count(unset)
                + sum(_keys(bytes(row[i]), compact) for i in layout.nested if row[i] is not unset)
            )
            sure = keys == _keys(line, compact) and b"\\u0000" not in line and _is_plain(layout, row, line)
            if sure and (utf8 or _is_utf8(line)):
                fast.append((index, row))
            else:
                rest.append(index)
        return fast, rest

    def _batch(self, layout: _Layout, rows: list[tuple[Any, ...]], line_numbers: list[int]) -> Any:
        columns = []
        for spelling, values in zip(layout.spellings, zip(*rows, strict=True), strict=True):
            if spelling is not None:
                columns.append((spelling, _array(spelling, values)))
        return batch.of_columns(self._table, columns, line_numbers)

    def _by_reference(self, lines: Sequence[bytes], line_numbers: Sequence[int], todo: list[int]) -> Batch:
        items: list[LineItem] = []
        kept: list[int] = []
        for index in todo:
            try:
                items.append(read_json_line(self._table, lines[index]))
                kept.append(line_numbers[index])
            except Refused as refused:
                self._on_refused(line_numbers[index], refused)
            else:
                if len(self._layouts) < LAYOUTS_MAX:
                    self._learn(lines[index])
        return batch.of_values(self._table, [item.values for item in items], kept)

    def _learn(self, line: bytes) -> None:
        """Compile the spelling of a line, unless it is one already known or one only the reference can read."""
        try:
            keys = [key for key, _ in parse_object(line)]
        except Refused:
            return
        lowered = [key.lower() for key in keys]
        wanted = {key for key, low in zip(keys, lowered, strict=True) if self._is_known(low)}
        if not keys or len(set(lowered)) < len(keys) or len(wanted) < len(keys) or any(wanted <= known for known in self._known):
            return
        spelled_as_v1 = keys[0][:1].islower()
        spellings = {**self._usual(spelled_as_v1), **dict.fromkeys(keys)}
        names = self._without_rivals(keys, list(spellings))
        self._known.add(frozenset(names))
        self._layouts.append(_compile(self._table, names))

    def _is_known(self, lowered: str) -> bool:
        return lowered in self._table.spellings or lowered in self._table.constants

    def _usual(self, v1: bool) -> dict[str, None]:
        """The keys a line of this dialect may have, so that absent ones do not need a layout of their own."""
        columns = self._table.v1_columns if v1 else self._table.graph_full
        names = [column.v1 if v1 else column.name for column in columns]
        constants = ["invoiceLineItemType", "billingProvider", "attributes"] if v1 else []
        return dict.fromkeys([*(name for name in names if name), *constants])

    def _without_rivals(self, keys: list[str], names: list[str]) -> list[str]:
        """Drop usual names that mean the same as a key the line spells in another way."""
        meant = {self._meaning(key) for key in keys}
        own = set(keys)
        return [name for name in names if name in own or self._meaning(name) not in meant]

    def _meaning(self, key: str) -> str:
        spelling = self._table.spellings.get(key.lower())
        return spelling.column.name if spelling else key.lower()


def _compile(table: LineItemTable, names: list[str]) -> _Layout:
    spellings = batch.columns_of_kind(table, names)
    fields = []
    for number, spelling in enumerate(spellings):
        kind: Any = str | None | msgspec.UnsetType
        if spelling is None or batch.is_raw(spelling.column):
            kind = msgspec.Raw | msgspec.UnsetType
        elif spelling.column.digits:
            kind = str | int | None | msgspec.UnsetType
        fields.append((f"f{number}", kind, msgspec.UNSET))
    struct = msgspec.defstruct(
        "Line",
        fields,
        rename={f"f{number}": name for number, name in enumerate(names)},
        forbid_unknown_fields=True,
        gc=False,
    )
    lists = [i for i, spelling in enumerate(spellings) if spelling and spelling.column.codec is Codec.LIST]
    digits = [i for i, spelling in enumerate(spellings) if spelling and spelling.column.digits]
    constants = [i for i, spelling in enumerate(spellings) if spelling is None]
    return _Layout(
        msgspec.json.Decoder(struct).decode,
        tuple(spellings),
        (*constants, *lists),
        tuple(lists),
        tuple(digits),
        len(names),
    )


def _is_plain(layout: _Layout, row: tuple[Any, ...], line: bytes) -> bool:
    """Whether the lists of a line hold nothing that needs a closer look, and its digits are as they were written."""
    for place in layout.lists:
        raw = b"null" if row[place] is msgspec.UNSET else bytes(row[place])
        if raw[:1] not in b'"[n' or not raw.isascii() or b"\\u" in raw:
            return False
    # As an integer -0 is 0, and its sign is lost.
    return b"-0" not in line or not any(row[place] == 0 for place in layout.digits)


def _keys(line: bytes, compact: bool) -> int:
    """Count the keys in a JSON text, or return -1 where only the reference can.

    A doubled key leaves no trace in a decoded struct, so keys are counted in the bytes: a quote and a colon end a
    key, for inside a string the quote is escaped. White space between the two would hide a key.
    """
    if not compact and _SPACED_KEY.search(line):
        return -1
    return line.count(b'":') - line.count(b'\\":')


def _is_utf8(data: bytes) -> bool:
    """What msgspec hands out raw it has not decoded."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _has_space_after_quote(data: bytes) -> bool:
    array = np.frombuffer(data, dtype=np.uint8)
    return bool(((array[:-1] == ord('"')) & (array[1:] <= ord(" "))).any())


def _array(spelling: Spelling, values: Sequence[Any]) -> pa.Array:
    unset = msgspec.UNSET
    if not batch.is_raw(spelling.column):
        if spelling.column.digits:
            return pa.array([str(value) if isinstance(value, int) else _given(value) for value in values], pa.string())
        if unset in values:
            return pa.array([None if value is unset else value for value in values], pa.string())
        return pa.array(values, pa.string())
    if spelling.column.codec is Codec.LIST:
        return pa.array([_list_text(spelling, value) for value in values], pa.string())
    if unset in values:
        texts = pa.array([None if value is unset else bytes(value) for value in values], pa.binary()).cast(pa.string())
    else:
        # No raw JSON value holds U+0000, and cutting one long text is much quicker than making one object a value.
        joined = pa.array([b"\0".join(values)], pa.large_binary())
        texts = pc.split_pattern(joined, "\0").values.cast(pa.string())
    return _without_quotes(texts)


def _without_quotes(texts: pa.Array) -> pa.Array:
    """Turn raw JSON into texts: null into none, and what stands in quotes, without escapes, into what they hold."""
    null = pc.equal(texts, "null")
    if pc.any(null).as_py():
        texts = pc.if_else(null, pa.scalar(None, pa.string()), texts)
    if pc.any(pc.starts_with(texts, '"')).as_py():
        texts = pc.replace_substring_regex(texts, r'^"([^"\\]*)"$', r"\1")
    return texts


def _given(value: Any) -> Any:
    return None if value is msgspec.UNSET else value


def _list_text(spelling: Spelling, value: Any) -> str | None:
    raw = b"null" if value is msgspec.UNSET else bytes(value)
    if raw == b"null":
        return None
    if raw.startswith(b'"'):
        return str(msgspec.json.decode(raw))
    return stored_structure(spelling.column, spelling.column.name, raw)
