"""The quick way from JSON lines to columns of text: lines of one shape are cut where their attributes part.

Sources write every line item with the same attributes in the same order, without a space. Such lines part at each
`,"`, which no JSON string can hold but at its end, and so a block of them is a table that Arrow's CSV reader cuts
without making a Python object of any value. Each distinct value is then checked once, and everything that is not the
plainest JSON is decoded by the reference, one distinct value at a time.

What a newcomer would get wrong: this may only ever say "not me". A block where any line has another attribute at any
place, another number of them, an escape in a key, a control character or a space where none is usual is given back
unread, and `reading.LineReader` reads it the slow way: to the same columns, or to an error.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from counterfoil.columns import Spelling, Type
from counterfoil.errors import ProofError

_MARK: Final = b"\x01"
_PLAIN_TEXT: Final = r'^"[^"\\\x00-\x1f\x7f]*"$'
PLAIN_NUMBER: Final = r"^-?(0|[1-9][0-9]{0,12})(\.[0-9]{1,40})?$"
_CODES: Final = pa.dictionary(pa.int32(), pa.string())
_FEW_DISTINCT: Final = 300
_MANY_DISTINCT: Final = 0.4
_KNOWN_MAX: Final = 5_000

Stored = Callable[[Spelling, bytes], str | None]


class Cutter:
    """Cuts blocks of lines into columns. `spelled` finds the attribute of a key, `stored` is the reference."""

    def __init__(self, spelled: Callable[[str], Spelling | None], stored: Stored, wanted: Sequence[str] = ()) -> None:
        self._spelled = spelled
        self._stored = stored
        self._wanted = frozenset(wanted)
        self._keys: tuple[str, ...] = ()
        self._spellings: list[Spelling] = []
        self._known: list[dict[str, str | None]] = []  # by column: values as they stand, and what is kept of them
        self._plain: set[int] = set()  # columns with so many distinct values that coding them would not pay

    def cut(self, block: bytes) -> dict[str, pa.Array] | None:
        """Return the columns of a block of whole lines by name, or None where it is not of one plain shape.

        A column comes as plain text, or as a dictionary of it.
        """
        if _MARK in block or b"\r" in block or not self._shape(block):
            return None
        kinds = {str(at): pa.string() if at in self._plain else _CODES for at in self._chosen()}
        try:
            table = self._table(block, kinds)
            if self._wanted and not self._are_single(block, table.num_rows):
                return None
            return {self._spellings[at].column.name: self._column(at, table[str(at)]) for at in self._chosen()}
        except (pa.ArrowException, ValueError, msgspec.MsgspecError, ProofError, RecursionError):
            return None  # the slow way finds the words for it

    def _shape(self, block: bytes) -> bool:
        """Learn the attributes of the first line, unless they are those of the block before."""
        end = block.find(b"\n")
        line = block[: end if end >= 0 else len(block)]
        try:
            keys = tuple(msgspec.json.decode(line, type=dict[str, msgspec.Raw]))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return False
        if keys == self._keys:
            return True
        found = [self._spelled(key) for key in keys]
        spellings = [each for each in found if each is not None]
        names = {each.column.name for each in spellings}
        if len(spellings) != len(keys) or len(names) != len(keys) or not keys or not self._wanted <= names:
            return False
        self._keys, self._spellings, self._plain = keys, spellings, set()
        self._known = [{} for _ in keys]
        return True

    def _are_single(self, block: bytes, lines: int) -> bool:
        """Whether each line has each wanted key once; in the place of a column that nobody wants may be another."""
        return all(block.count(f'"{self._keys[at]}":'.encode()) == lines for at in self._chosen())

    def _chosen(self) -> list[int]:
        if not self._wanted:
            return list(range(len(self._keys)))
        return [at for at, each in enumerate(self._spellings) if each.column.name in self._wanted]

    def _table(self, block: bytes, kinds: dict[str, pa.DataType]) -> pa.Table:
        # Not bytes.replace: Arrow's is quicker, and holds no lock on the interpreter.
        ends = pa.py_buffer(struct.pack("=ii", 0, len(block)))
        whole = pa.Array.from_buffers(pa.binary(), 1, [None, ends, pa.py_buffer(block)])
        marked = pc.replace_substring(whole, b',"', _MARK)[0].as_buffer()
        return pa.csv.read_csv(
            pa.BufferReader(marked),
            pa.csv.ReadOptions(
                column_names=[str(at) for at in range(len(self._keys))], use_threads=False, block_size=marked.size + 1
            ),
            pa.csv.ParseOptions(delimiter=_MARK.decode(), quote_char=False, double_quote=False, escape_char=False),
            pa.csv.ConvertOptions(column_types=kinds, include_columns=list(kinds), strings_can_be_null=False),
        )

    def _column(self, at: int, column: pa.ChunkedArray) -> pa.Array:
        array = column.combine_chunks()
        if isinstance(array, pa.ChunkedArray):
            array = array.chunk(0)
        if at in self._plain:
            return self._values(at, array)
        distinct = array.dictionary
        if len(distinct) <= _FEW_DISTINCT:
            values = self._few_values(at, distinct.to_pylist())
        else:
            values = self._values(at, distinct)
            if len(values) > _MANY_DISTINCT * len(array):
                self._plain.add(at)
        return pa.DictionaryArray.from_arrays(array.indices, values)

    def _few_values(self, at: int, texts: list[str]) -> pa.Array:
        """Return the same as `_values`; most were seen in the block before, and are looked up."""
        known = self._known[at]
        fresh = [text for text in texts if text not in known]
        if fresh:
            if len(known) > _KNOWN_MAX:
                known.clear()
                fresh = texts
            known.update(zip(fresh, self._values(at, pa.array(fresh, pa.string())).to_pylist(), strict=True))
        return pa.array([known[text] for text in texts], pa.string())

    def _values(self, at: int, texts: pa.Array) -> pa.Array:
        """Return the texts to keep of values as they stand between the cuts; raises ValueError for what is odd."""
        before = ('{"' if at == 0 else "") + f'{self._keys[at]}":'
        after = "}" if at == len(self._keys) - 1 else ""
        if not _all(pc.starts_with(texts, before)) or (after and not _all(pc.ends_with(texts, after))):
            raise ValueError(before)
        spelling = self._spellings[at]
        is_number = spelling.column.type is Type.NUMBER
        raw = _slice(texts, len(before), len(after))
        plain = pc.match_substring_regex(raw, PLAIN_NUMBER if is_number else _PLAIN_TEXT)
        if spelling.column.type is Type.FLAG:
            plain = pc.and_(plain, False)  # noqa: FBT003 - every flag is for the reference
        kept = raw if is_number else _slice(raw, 1, 1)
        if not _all(plain):
            odd = [self._odd(spelling, text) for text in raw.filter(pc.invert(plain)).to_pylist()]
            kept = pc.replace_with_mask(kept, pc.invert(plain), pa.array(odd, pa.string()))
        if spelling.column.type is Type.DATE:
            return pc.if_else(pc.equal(kept, ""), pa.scalar(None, pa.string()), kept)
        return kept

    def _odd(self, spelling: Spelling, text: str) -> str | None:
        raw = text.encode()
        msgspec.json.decode(raw, type=msgspec.Raw)  # the reference takes JSON for granted
        if raw[:1] in b" \t{[" or raw[-1:] in b" \t":
            raise ValueError(text)
        return self._stored(spelling, raw)


def _all(found: pa.Array) -> bool:
    return bool(pc.all(found, min_count=0).as_py())


def _slice(texts: pa.Array, before: int, after: int) -> pa.Array:
    """Return the texts without so many characters at either end."""
    # Not binary_slice: of short values it asks for a negative buffer (pyarrow 26.0.1).
    return pc.utf8_slice_codeunits(texts, before, -after if after else None)
