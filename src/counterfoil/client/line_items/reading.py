"""Line items as they came, turned into exact columns of text.

Blocks of lines that are all of one shape are cut (`cutting`), which is the quick way; this is the reference. Every
number keeps its text (`msgspec.Raw`): no JSON reader that makes floats of them is let near. Lines of the usual
spelling are decoded into a compiled struct; a line that does not fit - another letter case, an attribute nobody told
us of, a number in quotes - is read the slow way, to the same columns. What a newcomer would get wrong: the proof of
*what was sent* is the SHA-256; here we only make sure that reading loses nothing and invents nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from counterfoil import numbers
from counterfoil.client.line_items.cutting import PLAIN_NUMBER, Cutter
from counterfoil.client.protocol.addresses import shown
from counterfoil.client.protocol.promised_totals import Tally
from counterfoil.columns import EXTRA, Codec, Column, LineItemTable, Spelling, Type, table_of
from counterfoil.errors import ProofError
from counterfoil.lake import text_schema
from counterfoil.model import Kind

_SUMMED: Final = pa.decimal256(76, 40)  # 13 digits before the point, 40 after, and room for 10**23 of them
_KEY_ENDS: Final = b'":'
_Unset = msgspec.UnsetType


class Dialect(StrEnum):
    """The two spellings of a line item."""

    GRAPH = "graph"
    V1 = "v1"


class LineReader:
    """Reads line items of one kind and dialect; `only` names the columns wanted, by default all."""

    def __init__(self, kind: Kind, dialect: Dialect, *, only: Sequence[str] = ()) -> None:
        self._table = table_of(kind)
        self._schema = text_schema(kind)
        columns = [column for column in self._table.columns if _name(column, dialect)]
        self._wanted = [column for column in columns if not only or column.name in only]
        self._spellings = [self._table.spellings[_name(column, dialect).lower()] for column in self._wanted]
        self._all = not only
        self._keys = [f'"{_name(column, dialect)}":'.encode() for column in self._wanted]
        names = {_name(column, dialect): self._table.spellings[_name(column, dialect).lower()] for column in columns}
        self._cutter = Cutter(names.get, _stored_quickly, only) if dialect is Dialect.GRAPH else None
        self._decode = _compile(self._wanted, dialect, forbid_unknown=self._all)

    def read(self, lines: Sequence[bytes], where: str) -> pa.RecordBatch:
        """Return the line items as columns of text, all of the lake's or those wanted; raises ProofError.

        `where` names the blob or page in errors.
        """
        rows: list[tuple[Any, ...]] = []
        odd: list[tuple[int, dict[str, str]]] = []
        for number, line in enumerate(lines):
            try:
                row = msgspec.structs.astuple(self._decode(line))
                if not self._all and msgspec.UNSET in row:
                    raise msgspec.ValidationError  # perhaps spelled in another letter case
                if self._may_double(line, row):
                    _check_doubled(line, _place(where, number))
                rows.append(row)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                odd.append((number, _read_odd(self._table, line, _place(where, number))))
        if not odd:
            return self._batch(rows, where)
        return self._mixed(rows, odd, where)

    def _may_double(self, line: bytes, row: tuple[Any, ...]) -> bool:
        """Whether a key may be there twice: of those the decoder keeps the last, and publishing refuses them."""
        if not self._all:
            return any(line.count(key) > 1 for key in self._keys) or _is_spaced(line)
        last = bytes(row[-1]) if isinstance(row[-1], msgspec.Raw) else b""  # v1's `attributes`, an object
        return _is_doubtful(line, len(row) - row.count(msgspec.UNSET) + last.count(_KEY_ENDS))

    def read_block(self, block: bytes, where: str, *, coded: bool = False) -> pa.RecordBatch:
        """Return the same of a block of whole lines, by the quickest way that it can be read.

        With `coded` a column of few distinct values may come as a dictionary of them.
        """
        cut = self._cutter.cut(block) if self._cutter is not None else None
        if cut is None:
            lines = [line for line in block.split(b"\n") if line and not line.isspace()]
            return self.read(lines, where)
        count = len(next(iter(cut.values())))
        arrays: list[pa.Array] = []
        fields: list[pa.Field] = []
        for field in self._schema:
            array = cut.get(field.name)
            if array is None and self._all:
                array = pa.nulls(count, pa.string())
            if array is not None:
                arrays.append(array if coded or array.type == pa.string() else array.cast(pa.string()))
                fields.append(pa.field(field.name, arrays[-1].type))
        return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))

    def _batch(self, rows: list[tuple[Any, ...]], where: str) -> pa.RecordBatch:
        values: list[tuple[Any, ...]] = list(zip(*rows, strict=True)) if rows else [()] * len(self._wanted)
        arrays = {
            spelling.column.name: _array(spelling, column, where)
            for spelling, column in zip(self._spellings, values, strict=False)  # constants come after
        }
        fields = [each for each in self._schema if self._all or each.name in arrays]
        absent = pa.nulls(len(rows), pa.string())
        return pa.RecordBatch.from_arrays([arrays.get(each.name, absent) for each in fields], schema=pa.schema(fields))

    def _mixed(self, rows: list[tuple[Any, ...]], odd: list[tuple[int, dict[str, str]]], where: str) -> pa.RecordBatch:
        """Put usual and odd line items back into the order they came in."""
        usual = self._batch(rows, where)
        others = pa.RecordBatch.from_arrays(
            [pa.array([item.get(name) for _, item in odd], pa.string()) for name in usual.schema.names],
            schema=usual.schema,
        )
        odd_at = {number: len(rows) + index for index, (number, _) in enumerate(odd)}
        usual_at = iter(range(len(rows)))
        order = [odd_at[at] if at in odd_at else next(usual_at) for at in range(len(rows) + len(odd))]
        together = pa.Table.from_batches([usual, others]).take(pa.array(order, pa.int64())).combine_chunks()
        return together.to_batches()[0]


def tally_of(kind: Kind, batch: pa.RecordBatch, tally: Tally) -> None:
    """Add a batch's line items to a tally."""
    table = table_of(kind)
    currencies = pc.unique(batch[table.currency])
    if len(currencies) == 1 and (sums := _sums({name: batch[name] for name in table.totals})) is not None:
        other = Tally(batch.num_rows, {currencies.cast(pa.string())[0].as_py() or "": sums})
        tally.merge(other)
        return
    amounts = {name: batch[name].to_pylist() for name in table.totals}
    tally.add(batch[table.currency].to_pylist(), amounts)


def _sums(columns: dict[str, pa.Array]) -> dict[str, Decimal] | None:
    """Return exact sums, or None where not every number is of plain digits that 256 bits can add."""
    sums: dict[str, Decimal] = {}
    for name, array in columns.items():
        texts = array.cast(pa.string())
        if not pc.all(pc.match_substring_regex(texts, PLAIN_NUMBER), min_count=0).as_py():
            return None
        total = pc.sum(texts.cast(_SUMMED)).as_py() or Decimal(0)
        # As many decimals as the longest addend has: that is how adding the texts one by one would write it.
        point = pc.find_substring(texts, ".")
        decimals = pc.if_else(pc.less(point, 0), 0, pc.subtract(pc.subtract(pc.utf8_length(texts), point), 1))
        places = pc.max(decimals).as_py() or 0
        sign, digits, _ = total.as_tuple()
        whole = int("".join(map(str, digits))) // 10 ** (_SUMMED.scale - places) if total else 0
        sums[name] = Decimal((sign if whole else 0, tuple(map(int, str(whole))), -places))
    return sums


def tally_columns(kind: Kind) -> tuple[str, ...]:
    """Return the columns that `tally_of` needs."""
    table = table_of(kind)
    return (table.currency, *table.totals)


def _name(column: Column, dialect: Dialect) -> str:
    if dialect is Dialect.V1:
        return column.v1 or ""
    return column.name if column.graph else ""


def _is_raw(column: Column) -> bool:
    return column.type in (Type.NUMBER, Type.FLAG) or column.codec is Codec.LIST


def _compile(columns: Sequence[Column], dialect: Dialect, *, forbid_unknown: bool) -> Callable[[bytes], Any]:
    fields: list[tuple[str, Any, Any]] = []
    names: dict[str, str] = {}
    for number, column in enumerate(columns):
        kind: Any = str | None | _Unset
        if _is_raw(column):
            kind = msgspec.Raw | _Unset
        elif column.digits:
            kind = str | int | None | _Unset
        fields.append((f"f{number}", kind, msgspec.UNSET))
        names[f"f{number}"] = _name(column, dialect)
    if dialect is Dialect.V1 and forbid_unknown:
        # Three constants, after the columns that are wanted.
        fields += [(f"c{number}", msgspec.Raw | _Unset, msgspec.UNSET) for number in range(3)]
        names |= {"c0": "invoiceLineItemType", "c1": "billingProvider", "c2": "attributes"}
    struct = msgspec.defstruct("Line", fields, rename=names, forbid_unknown_fields=forbid_unknown, gc=False)
    return msgspec.json.Decoder(struct).decode


def _array(spelling: Spelling, values: Sequence[Any], where: str) -> pa.Array:
    column = spelling.column
    unset = msgspec.UNSET
    try:
        if column.type is Type.NUMBER:
            return _numbers(spelling, [None if value is unset else bytes(value) for value in values], where)
        if _is_raw(column):
            read = {raw: _stored(spelling, raw, where) for raw in {bytes(v) for v in values if v is not unset}}
            return pa.array([None if v is unset else read[bytes(v)] for v in values], pa.string())
        if column.digits:
            texts = [str(v) if isinstance(v, int) else None if v is unset else v for v in values]
            array = pa.array(texts, pa.string())
        else:
            array = pa.array([None if v is unset else v for v in values] if unset in values else values, pa.string())
    except UnicodeError as error:
        raise ProofError(f"{where}: {column.name} holds half a surrogate pair.") from error
    if column.type is Type.DATE:
        return pc.if_else(pc.equal(array, ""), pa.scalar(None, pa.string()), array)
    if spelling.from_v1 and column.codec is Codec.RESELLER:
        return pc.if_else(pc.equal(array, "0"), "", array)
    return array


def _numbers(spelling: Spelling, values: list[bytes | None], where: str) -> pa.Array:
    array = pa.array(values, pa.binary()).cast(pa.string())
    plain = pc.fill_null(pc.match_substring_regex(array, PLAIN_NUMBER), fill_value=True)
    is_rate = spelling.from_v1 and spelling.column.codec is Codec.RATE
    if pc.all(plain, min_count=0).as_py() and not is_rate:
        return array
    encoded = array.dictionary_encode()
    texts = [_stored(spelling, text.encode(), where) for text in encoded.dictionary.to_pylist()]
    return pa.array(texts, pa.string()).take(encoded.indices)


def _read_odd(table: LineItemTable, line: bytes, where: str) -> dict[str, str]:
    """Read one line item the slow way: any letter case, numbers in quotes, attributes nobody told us of."""
    try:
        pairs = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProofError(f"{where} is not a JSON object ({shown(str(error))}).") from error
    inside = sum(value.count(_KEY_ENDS) for value in map(bytes, pairs.values()) if value[:1] in b"{[")
    if _is_doubtful(line, len(pairs) + inside):
        _check_doubled(line, where)
    item: dict[str, str] = {}
    extra: list[str] = []
    for key, raw in pairs.items():
        lowered = key.lower()
        spelling = table.spellings.get(lowered)
        if spelling is not None:
            if spelling.column.name in item:
                raise ProofError(f"{where} has {shown(key)} twice.")
            if (text := _stored(spelling, bytes(raw), where)) is not None:
                item[spelling.column.name] = text
        elif lowered not in table.constants:
            extra.append(f"{json.dumps(key, ensure_ascii=False)}:{_compact(bytes(raw))}")
    if extra:
        item[EXTRA] = "{" + ",".join(extra) + "}"
    return item


def _place(where: str, number: int) -> str:
    return f"{where}, line item {number + 1} of this part"


def _is_doubtful(line: bytes, keys: int) -> bool:
    """Whether a line may have more keys than so many: where it has not, there are as many ends of keys."""
    ends = line.count(_KEY_ENDS)
    if ends != keys and b'\\\\":' not in line:
        ends -= line.count(b'\\":')  # JSON in a text
    return ends != keys or _is_spaced(line)


def _is_spaced(line: bytes) -> bool:
    """Whether a key may end otherwise. JSON texts hold no tabs and no returns."""
    return b" :" in line or b"\t" in line or line.find(b"\r", 0, -1) >= 0


def _check_doubled(line: bytes, where: str) -> None:
    """Raise ProofError for a line item that has a key twice."""
    try:
        pairs = json.loads(line.decode(), object_pairs_hook=list, parse_int=str, parse_float=str)
    except (ValueError, RecursionError) as error:
        raise ProofError(f"{where} is not a JSON object ({shown(str(error))}).") from error
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise ProofError(f"{where} has {shown(key)} twice.")
        seen.add(key)


def _stored(spelling: Spelling, raw: bytes, where: str) -> str | None:
    """Return the text to keep of one JSON value: None for null, for an empty number, date or flag."""
    column = spelling.column
    if raw == b"null":
        return None
    text = _text_of(raw, f"{where}: {column.name}")
    if column.type is Type.TEXT:
        if column.codec is Codec.LIST and text == "[]" and not raw.startswith(b'"'):
            return ""
        return "" if spelling.from_v1 and column.codec is Codec.RESELLER and text == "0" else text
    if not text:
        return None
    if column.type is Type.FLAG:
        text = text.lower()
        if text not in ("true", "false"):
            raise ProofError(f"{where}: {column.name} is {shown(text)!r}, and neither true nor false.")
    if column.type is Type.NUMBER:
        if reason := numbers.why_not_a_number(text):
            raise ProofError(f"{where}: {column.name} is {shown(text)!r}: {reason}.")
        if spelling.from_v1 and column.codec is Codec.RATE:
            return numbers.rate_to_percent(text)
    return text


def _text_of(raw: bytes, where: str) -> str:
    try:
        return msgspec.json.decode(raw, type=str) if raw.startswith(b'"') else _compact(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ProofError(f"{where} is no text ({shown(str(error))}).") from error


def _stored_quickly(spelling: Spelling, raw: bytes) -> str | None:
    return _stored(spelling, raw, "")


def _compact(raw: bytes) -> str:
    return msgspec.json.format(raw, indent=-1).decode() if raw[:1] in b"{[" else raw.decode()
