"""A file as a side: lake files, other Parquet, JSON and CSV, the latter two plain or gzip.

The format is recognised by the content, and the kind by the first line item. Nobody vouches for a file: every value
that is summed is checked on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NoReturn

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from counterfoil.columns import table_of
from counterfoil.errors import InputError, SideError
from counterfoil.line_items.blocks import (
    BLANK_LINES_MAX,
    BYTE_ORDER_MARK,
    DAMAGED_GZIP,
    LINE_SIZE_BYTES_MAX,
    blocks,
    fill,
)
from counterfoil.line_items.lake import columns_of, is_described
from counterfoil.line_items.lake_files import LakeReader
from counterfoil.line_items.line_reader import LineReader
from counterfoil.line_items.parquet_lines import PARQUET_MAGIC, parquet_lines, parquet_names
from counterfoil.line_items.values import Refused
from counterfoil.model import Kind
from counterfoil.reconcile.sides.csv_lines import csv_batches, headings_of
from counterfoil.reconcile.sides.json_sides import first_item, is_line_item, json_batches
from counterfoil.reconcile.sides.side import Batches, Side, SidePart, Wants
from counterfoil.reconcile.sides.text_files import opened_bytes

_LINE_ITEMS_AT_ONCE: Final = 100_000
_BLOCK_SIZE_BYTES: Final = 2 << 20
_USAGE_MARKS: Final = frozenset({"usagedate", "billingpretaxtotal", "billingcurrency"})
_RECONCILIATION_MARKS: Final = frozenset({"subtotal", "taxtotal", "orderid", "orderdate", "billablequantity"})
_FORMATS: Final = "Give JSON, CSV or Parquet with line items in Graph's or Partner Center's spelling."


def file_side(path: Path, name: str) -> Side:
    """Return the line items of a file as a side; raises SideError and InputError that say what to change."""
    try:
        with path.open("rb") as file:
            is_parquet = file.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC
        first = b"" if is_parquet else _first_line(path)
    except OSError as error:
        raise SideError(f"{name} cannot be read: {error.strerror or error}.", remedy="Check the path.") from error
    except DAMAGED_GZIP as error:
        raise _damaged(name, error) from error
    if is_parquet:
        return _of_parquet(path, name)
    if not first:
        raise SideError(f"{name} holds no line items.", remedy="Name a side that holds some.")
    kind, read = _of_text(path, name, first)
    return Side(name=name, what=f"the file {path.name}", origin="file", kind=kind, batches=read)


def _of_text(path: Path, name: str, first: bytes) -> tuple[Kind, Batches]:
    if first.startswith((b"{", b"[")):
        if is_line_item(first):
            kind = _kind_of(_keys(first, name), name)
            return kind, lambda names: _line_batches(path, name, kind, names)
        kind = _kind_of(_keys(first_item(path, name, first), name), name)
        return kind, lambda names: json_batches(path, name, first, kind, names)
    try:
        found = headings_of(first.decode().rstrip("\r\n"))
    except UnicodeDecodeError:
        found = None
    if found is None:
        raise InputError("is neither JSON lines nor a CSV with a PartnerId column", file=name, remedy=_FORMATS)
    kind = _kind_of(found[0], name)
    return kind, lambda names: csv_batches(path, name, kind, names)


def _keys(item: bytes, name: str) -> list[str]:
    try:
        return list(msgspec.json.decode(item, type=dict[str, msgspec.Raw]))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise InputError("the first line item is no JSON object", file=name, line=1, remedy=_FORMATS) from None


def _first_line(path: Path) -> bytes:
    """Return the first line that is not blank, or as much of it as a line may have."""
    with opened_bytes(path) as file:
        for _ in range(BLANK_LINES_MAX):
            line = file.readline(LINE_SIZE_BYTES_MAX)
            if not line:
                break
            if text := line.removeprefix(BYTE_ORDER_MARK).strip():
                return text
    return b""


def _of_parquet(path: Path, name: str) -> Side:
    kind = _kind_of(parquet_names(path), name)
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
        described = is_described(schema)
        held = frozenset(column.name for column in columns_of(schema, kind))
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _damaged(name, error) from error
    if described:
        return Side(
            name=name,
            what=f"the file {path.name}",
            origin="file",
            kind=kind,
            batches=lambda names: _lake_batches(path, name, kind, names),
            attributes=held,
            parts=(lake_part(path, name, kind),),
        )
    return Side(
        name=name,
        what=f"the file {path.name}",
        origin="file",
        kind=kind,
        batches=lambda names: _parquet_batches(path, name, kind, names),
    )


def lake_part(path: Path, name: str, kind: Kind) -> SidePart:
    """Return a lake file as a part of the side of this name; nobody says that its line items are in order."""

    def stretches(
        names: Sequence[str], *, line_items: int, wants: Wants | None = None
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        with _opened_lake(path, name, kind) as lake:
            yield from lake.stretches(names, line_items=line_items, wants=wants)

    with _opened_lake(path, name, kind) as lake:
        return SidePart(line_items=lake.line_items, stretches=stretches)


def _lake_batches(path: Path, name: str, kind: Kind, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    with _opened_lake(path, name, kind) as lake:
        yield from lake.batches(names, line_items=_LINE_ITEMS_AT_ONCE)


@contextmanager
def _opened_lake(path: Path, name: str, kind: Kind) -> Iterator[LakeReader]:
    try:
        with LakeReader(path, kind) as lake:
            yield lake
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _damaged(name, error) from error


def _parquet_batches(path: Path, name: str, kind: Kind, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    reader, first = LineReader(kind), 1
    try:
        for lines in parquet_lines(path, table_of(kind)):
            yield reader.read(lines, _refusing(name, first)).select(list(names))
            first += len(lines)
    except Refused as refused:
        _refusing(name)(refused.line or 0, refused)


def _line_batches(path: Path, name: str, kind: Kind, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    try:
        with opened_bytes(path) as file:
            if file.read(len(BYTE_ORDER_MARK)) != BYTE_ORDER_MARK:
                file.seek(0)
            pieces = blocks(lambda memory: fill(file, memory), size_bytes=_BLOCK_SIZE_BYTES)
            for batch in LineReader(kind).read_blocks(pieces, _refusing(name), coded=True):
                yield batch.select(list(names))
    except Refused as refused:
        _refusing(name)(refused.line or 0, refused)
    except (OSError, *DAMAGED_GZIP) as error:
        raise _damaged(name, error) from error


def _refusing(file: str, first_line: int = 1) -> Callable[[int, Refused], NoReturn]:
    """Return what a reader calls for a line that it refuses: it raises InputError with the place in the file."""

    def refuse(line: int, refused: Refused) -> NoReturn:
        raise InputError(
            refused.reason,
            file=file,
            line=line + first_line - 1 if line else None,
            attribute=refused.attribute,
            value=refused.value,
            remedy=refused.remedy,
        ) from refused

    return refuse


def _kind_of(names: Iterable[str], name: str) -> Kind:
    lowered = {each.lower() for each in names}
    usage, reconciliation = len(lowered & _USAGE_MARKS), len(lowered & _RECONCILIATION_MARKS)
    if usage == reconciliation:
        raise InputError("the first line is not a recognisable line item", file=name, line=1, remedy=_FORMATS)
    return Kind.USAGE if usage > reconciliation else Kind.RECONCILIATION


def _damaged(name: str, error: BaseException) -> SideError:
    why = str(error).partition("\n")[0].rstrip(". ")
    return SideError(f"{name} is cut or damaged: {why}.", remedy="Fetch the file again.")
