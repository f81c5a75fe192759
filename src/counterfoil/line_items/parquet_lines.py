"""Parquet files as JSON lines, value for value: the rules of line items then hold for them as for every other source.

The lake's own files and those of a pull are read by their exact texts (`lake.text_name`). Other files may hold texts,
integers, decimals, booleans, dates and timestamps of any unit, under any known spelling. What has no exact text, such
as a float or a list, is refused by the name of its column; a column without any value may have any type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from counterfoil.columns import EXTRA, LineItemTable
from counterfoil.lake import DIGEST, columns_of, text_name
from counterfoil.line_items.values import Refused

PARQUET_MAGIC: Final = b"PAR1"
_ROWS_AT_ONCE: Final = 5_000
_ENCODER: Final = msgspec.json.Encoder()
_AS_TEXT: Final = "Write the column as text or as a decimal, and the file again."

Values = list[Any]  # what msgspec writes as JSON: texts, booleans, and numbers as `Raw`


class DamagedParquetError(Exception):
    """The file is cut or corrupt."""


def parquet_names(path: Path) -> list[str]:
    """Return the names of the columns; raises DamagedParquetError."""
    try:
        with pq.ParquetFile(path) as file:
            return list(file.schema_arrow.names)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _damaged(error) from error


def parquet_lines(path: Path, table: LineItemTable) -> Iterator[list[bytes]]:
    """Yield the rows in order, some thousand at a time, each as one JSON object of the values that are there.

    Raises Refused, naming the column, for values that have no exact text, and DamagedParquetError.
    """
    try:
        with pq.ParquetFile(path) as file:
            read = _columns_read(table, file.schema_arrow)
            for batch in file.iter_batches(_ROWS_AT_ONCE, columns=list(read)):
                yield list(_lines_of(batch, read))
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _damaged(error) from error


def _damaged(error: Exception) -> DamagedParquetError:
    return DamagedParquetError(str(error).partition("\n")[0])


def _columns_read(table: LineItemTable, schema: pa.Schema) -> dict[str, str]:
    """Return the columns to read, and the attribute that each one is; raises Refused for one that is there twice."""
    # A lake file describes its attributes; one that another program has written again may have lost the description.
    try:
        described = columns_of(schema, table.kind)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedParquetError("it does not describe its columns as a lake file does") from error
    texts = {
        text_name(column): column.name
        for column in (*table.columns, *described)
        if text_name(column) != column.name and _has_text(schema, text_name(column))
    }
    replaced = {*texts.values(), DIGEST}
    read: dict[str, str] = {}
    meant: dict[str, str] = {}
    for name in schema.names:
        if name in replaced or name.lower() in table.constants:
            continue
        attribute = texts.get(name, name)
        spelling = table.spellings.get(attribute.lower())
        identity = spelling.column.name if spelling else attribute.lower()
        if identity in meant:
            raise Refused(f"the file gives {meant[identity]} twice", name, remedy="Keep one of the two columns.")
        meant[identity] = name
        read[name] = attribute
    return read


def _lines_of(batch: pa.RecordBatch, read: dict[str, str]) -> Iterator[bytes]:
    found = {name: batch.column(name) for name in batch.schema.names if name in read}
    names = [name for name, array in found.items() if array.null_count < batch.num_rows]
    columns = [_values_of(name, found[name]) for name in names]
    attributes = [read[name] for name in names]
    extra_at = names.index(EXTRA) if EXTRA in names else -1
    for row in zip(*columns, strict=True) if columns else iter([()] * batch.num_rows):
        item = {name: value for name, value in zip(attributes, row, strict=True) if value is not None}
        extra = row[extra_at] if extra_at >= 0 else None
        if isinstance(extra, str) and extra.startswith("{") and extra.endswith("}"):
            # Its members are attributes of their own, some of which may be known by now.
            del item[EXTRA]
            members = [_ENCODER.encode(item)[1:-1], extra[1:-1].encode()]
            yield b"{" + b",".join(filter(None, members)) + b"}"
        else:
            yield _ENCODER.encode(item)


def _values_of(name: str, array: pa.Array) -> Values:
    if isinstance(array.type, pa.BaseExtensionType):
        array = array.storage
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    for is_of, values in _READERS:
        if is_of(array.type):
            return values(name, array)
    if pa.types.is_floating(array.type):
        raise Refused(
            "floating-point numbers, which are not exact amounts", name, str(array.type), "Write them as decimals."
        )
    raise Refused("values that are not text, numbers, flags or dates", name, str(array.type), _AS_TEXT)


def _has_text(schema: pa.Schema, name: str) -> bool:
    return schema.names.count(name) == 1 and _is_text(schema.field(name).type)


def _is_text(type_: pa.DataType) -> bool:
    if pa.types.is_dictionary(type_):
        type_ = type_.value_type
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_))


def _is_bytes(type_: pa.DataType) -> bool:
    return bool(pa.types.is_binary(type_) or pa.types.is_large_binary(type_) or pa.types.is_binary_view(type_))


def _texts(name: str, array: pa.Array) -> Values:
    try:
        array.validate(full=True)
        texts: Values = array.cast(pa.large_string()).to_pylist()
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise Refused("bytes that are not UTF-8", name, str(array.type), _AS_TEXT) from error
    return texts


def _integers(_: str, array: pa.Array) -> Values:
    return [None if value is None else msgspec.Raw(str(value).encode()) for value in array.to_pylist()]


def _decimals(_: str, array: pa.Array) -> Values:
    return [None if value is None else msgspec.Raw(format(value, "f").encode()) for value in array.to_pylist()]


def _flags(_: str, array: pa.Array) -> Values:
    flags: Values = array.to_pylist()
    return flags


def _days(_: str, array: pa.Array) -> Values:
    days: Values = pc.strftime(array.cast(pa.timestamp("s")), "%Y-%m-%d").to_pylist()
    return days


def _moments(_: str, array: pa.Array) -> Values:
    """Return ISO dates, in UTC where the type has a zone; decimals of a second only where they are not zero."""
    zone = "Z" if array.type.tz is not None else ""
    texts = pc.strftime(array.cast(pa.timestamp(array.type.unit)), "%Y-%m-%dT%H:%M:%S")
    if array.type.unit != "s":
        texts = pc.replace_substring_regex(texts, r"(\.[0-9]*[1-9])?\.?0*$", r"\1")
    moments: Values = pc.binary_join_element_wise(texts, zone, "").to_pylist()
    return moments


_READERS: Final[tuple[tuple[Callable[[pa.DataType], bool], Callable[[str, pa.Array], Values]], ...]] = (
    (_is_text, _texts),
    (_is_bytes, _texts),
    (pa.types.is_integer, _integers),
    (pa.types.is_decimal, _decimals),
    (pa.types.is_boolean, _flags),
    (pa.types.is_date, _days),
    (pa.types.is_timestamp, _moments),
)
