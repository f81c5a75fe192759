"""Parquet files as JSON lines, value for value: the rules of line items then hold for them as for every other source.

The lake's own files and those of a pull are read by their exact texts (`lake.text_name`); the value beside a text must
agree with it. Other files may hold texts, integers, decimals, booleans, dates and timestamps of any unit, under any
known spelling. What has no exact text, such as a float or a list, is refused by the name of its column; a column
without any value may have any type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from counterfoil import numbers
from counterfoil.columns import EXTRA, Column, LineItemTable, Type
from counterfoil.errors import DamagedInputError
from counterfoil.line_items.blocks import LINE_SIZE_BYTES_MAX
from counterfoil.line_items.lake import DIGEST, columns_of, decimals_of, is_described, moments_of, text_name
from counterfoil.line_items.values import ATTRIBUTES_MAX, Refused

PARQUET_MAGIC: Final = b"PAR1"
_ROWS_AT_ONCE: Final = 5_000
_AT_ONCE_SIZE_BYTES: Final = 4 << 20  # of texts, where rows are wide
_COLUMN_SIZE_BYTES_MAX: Final = 512 << 20  # in one row group, unpacked
_ENCODER: Final = msgspec.json.Encoder()
_PLAIN_NUMBER: Final = r"^-?[0-9]{1,12}(\.[0-9]{1,25})?$"  # what Arrow converts, and rounds, exactly
_ROUNDINGS: Final = (ROUND_HALF_EVEN, ROUND_HALF_UP)
_ONE_OF_TWO: Final = "Make the two columns agree, or leave one of them out."
_AS_TEXT: Final = "Write the column as text or as a decimal, and the file again."

Values = list[Any]  # what msgspec writes as JSON: texts, booleans, and numbers as `Raw`


def parquet_names(path: Path) -> list[str]:
    """Return the names of the columns; raises DamagedInputError."""
    with _opened(path) as file:
        return list(file.schema_arrow.names)


def row_groups_of(path: Path, rows: int) -> Iterator[tuple[int, int, int]]:
    """Yield ranges of row groups that hold about so many rows: begin, end, and the number of the first row, from 1."""
    with _opened(path) as file:
        begin = first = count = 0
        for group in range(file.num_row_groups):
            count += file.metadata.row_group(group).num_rows
            if count >= rows or group == file.num_row_groups - 1:
                yield begin, group + 1, first + 1
                begin, first, count = group + 1, first + count, 0


def parquet_lines(path: Path, table: LineItemTable, row_groups: Iterable[int] | None = None) -> Iterator[list[bytes]]:
    """Yield the rows in order, some thousand at a time, each as one JSON object of the values that are there.

    All row groups are read, or some.

    Raises Refused, naming the column, for values that have no exact text or do not agree with the one beside them, and
    DamagedInputError.
    """
    with _opened(path) as file:
        schema = file.schema_arrow
        _check_sizes(file.metadata)
        read, pairs = _columns_read(table, schema)
    needed = [*read, *(pair.value for pair in pairs)]
    # As dictionaries: a text that a small file has once may be in every row.
    texts = [name for name in needed if _is_text(schema.field(name).type) or _is_bytes(schema.field(name).type)]
    rows = 0
    with _opened(path, read_dictionary=texts) as file:
        for batch in file.iter_batches(_ROWS_AT_ONCE, row_groups=row_groups and list(row_groups), columns=needed):
            for some in _portions(batch, rows):
                lines = list(_lines_of(some, read))
                for pair in pairs:
                    _check_pair(pair, some)
                rows += len(lines)
                yield lines


def _check_sizes(metadata: pq.FileMetaData) -> None:
    """Raise Refused for what would not fit into memory."""
    if metadata.num_columns > ATTRIBUTES_MAX:
        raise Refused(f"a Parquet file of more than {ATTRIBUTES_MAX:,} columns")
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for column in map(group.column, range(group.num_columns)):
            if column.total_uncompressed_size > _COLUMN_SIZE_BYTES_MAX:
                raise Refused(
                    f"a row group with more than {_COLUMN_SIZE_BYTES_MAX >> 20} MiB of one column",
                    column.path_in_schema,
                    remedy="Write the file with smaller row groups.",
                )


def _portions(batch: pa.RecordBatch, rows_before: int) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a batch, some megabytes at a time; raises Refused for a row larger than a line may be."""
    sizes = pa.repeat(pa.scalar(0, pa.int64()), batch.num_rows)
    for array in map(_storage, batch.columns):
        if _is_text(array.type) or _is_bytes(array.type):
            coded = pa.types.is_dictionary(array.type)
            lengths = pc.binary_length(array.dictionary).take(array.indices) if coded else pc.binary_length(array)
            sizes = pc.add(sizes, lengths.cast(pa.int64()).fill_null(0))
    begin = size_bytes = 0
    for row, size in enumerate(sizes.to_pylist()):
        if size > LINE_SIZE_BYTES_MAX:
            raise Refused(f"a row of more than {LINE_SIZE_BYTES_MAX >> 20} MiB", line=rows_before + row + 1)
        if size_bytes + size > _AT_ONCE_SIZE_BYTES and row > begin:
            yield batch.slice(begin, row - begin)
            begin, size_bytes = row, 0
        size_bytes += size
    yield batch.slice(begin)


@contextmanager
def _opened(path: Path, read_dictionary: Sequence[str] = ()) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path, read_dictionary=list(read_dictionary)) as file:
            yield file
    except (OSError, ValueError, pa.ArrowException) as error:
        why = str(error).partition("\n")[0].rstrip(". ")
        raise DamagedInputError(
            f"the Parquet data is cut or corrupt: {why}", file=str(path), remedy="Fetch the file again."
        ) from error


@dataclass(frozen=True, slots=True)
class _Pair:
    """A number or a date in two columns: its exact text, which counts, and beside it the same value for engines."""

    column: Column
    text: str
    value: str


def _columns_read(table: LineItemTable, schema: pa.Schema) -> tuple[dict[str, str], list[_Pair]]:
    """Return the columns to read with the attribute that each one is, and the pairs of which only the text is read.

    Names count in any letter case. Raises Refused for an attribute, or a value beside a text, that is there twice.
    """
    # A lake file describes its attributes; one that another program has written again may have lost the description.
    described, is_lake = columns_of(schema, table.kind), is_described(schema)
    texts = {
        name: column
        for column in (*table.columns, *described)
        if text_name(column) != column.name and (name := _only_text(schema, text_name(column)))
    }
    values = {column.name.lower(): (text, column) for text, column in texts.items()}
    read: dict[str, str] = {}
    meant: dict[str, str] = {}
    pairs: list[_Pair] = []
    for name in schema.names:
        if table.is_constant(name) or (name.lower() == DIGEST.lower() and (is_lake or _is_hash(schema, name))):
            continue
        if name.lower() in values:
            text, column = values[name.lower()]
            identity = f"the value of {column.name}"
            pairs.append(_Pair(column, text, name))
        else:
            attribute = EXTRA if name.lower() == EXTRA.lower() else texts[name].name if name in texts else name
            spelling = table.spelling_of(attribute)
            identity = spelling.column.name if spelling else attribute.lower()
            read[name] = attribute
        if identity in meant:
            raise Refused(f"the file gives {meant[identity]} twice", name, remedy="Keep one of the two columns.")
        meant[identity] = name
    return read, pairs


def _is_hash(schema: pa.Schema, name: str) -> bool:
    """Tell whether a column holds bytes, as the lake's own hashes do; an attribute of this name would be a text."""
    types = [schema.field(at).type for at in schema.get_all_field_indices(name)]
    return all(_is_bytes(type_) or pa.types.is_fixed_size_binary(type_) for type_ in types)


def _only_text(schema: pa.Schema, wanted: str) -> str | None:
    """Return the column of this name in any letter case, if there is just one and it holds texts."""
    names = [name for name in schema.names if name.lower() == wanted.lower()]
    return names[0] if len(names) == 1 and _is_text(schema.field(names[0]).type) else None


def _check_pair(pair: _Pair, batch: pa.RecordBatch) -> None:
    """Raise Refused where a value has no text, or another one than the text says."""
    texts, values = batch.column(pair.text).cast(pa.string()), _decoded(batch.column(pair.value))
    if values.null_count == batch.num_rows:
        return
    is_number = pair.column.type is Type.NUMBER
    plain = pc.if_else(pc.match_substring_regex(texts, _PLAIN_NUMBER), texts, pa.scalar(None, pa.string()))
    expected = decimals_of(plain)[0] if is_number else moments_of([texts])[0]
    same = pc.equal(expected, values) if expected.type == values.type else pa.nulls(batch.num_rows, pa.bool_())
    suspects = pc.indices_nonzero(pc.and_(pc.invert(same.fill_null(pa.scalar(value=False))), values.is_valid()))
    agree = _numbers_agree if is_number else _moments_agree
    for at in suspects.to_pylist():
        text, value = texts[at].as_py(), values[at]
        if not text and not (_is_text(value.type) and value.as_py() == ""):
            raise Refused(f"values that have no text in {pair.text}", pair.value, remedy=_ONE_OF_TWO)
        if text and not agree(text, value):
            raise Refused(f"values that are not those of {pair.text}", pair.value, text, _ONE_OF_TWO)


def _numbers_agree(text: str, value: pa.Scalar) -> bool:
    """Tell whether a value is a text's number, or that number rounded to what the value's type can hold."""
    if numbers.why_not_a_number(text) is not None:
        return True  # the line is refused, by its number
    exact, lake, held = numbers.exact(text), decimals_of(pa.array([text]))[0][0].as_py(), value.as_py()
    if pa.types.is_floating(value.type):
        return held in (float(exact), float(lake))
    try:
        number = Decimal(str(held))
    except InvalidOperation:
        return False
    if number in (exact, lake) or not pa.types.is_decimal(value.type):
        return number in (exact, lake)
    unit = Decimal(1).scaleb(-value.type.scale)
    return number in [exact.quantize(unit, way, numbers.ROUNDING) for way in _ROUNDINGS]


def _moments_agree(text: str, value: pa.Scalar) -> bool:
    """Tell whether a value is a text's moment, in UTC, as exactly as the value's type can hold it."""
    [moment] = moments_of([pa.array([text], pa.string())])
    if not moment[0].is_valid:
        return True  # the line is refused, by its number
    if _is_text(value.type):
        return bool(moment == moments_of([pa.array([value.as_py()], pa.string())])[0])
    if pa.types.is_date(value.type):
        return value.as_py().isoformat() in (text[:10], moment[0].as_py().date().isoformat())
    if not pa.types.is_timestamp(value.type):
        return False
    coarser = pa.timestamp("us" if value.type.unit == "ns" else value.type.unit, "UTC")
    try:
        held = pa.array([value.value], pa.int64()).cast(pa.timestamp(value.type.unit, "UTC")).cast(coarser, safe=False)
    except pa.ArrowInvalid:  # out of the calendar
        return False
    return bool(moment.cast(coarser, safe=False) == held)


def _lines_of(batch: pa.RecordBatch, read: dict[str, str]) -> Iterator[bytes]:
    found = {name: batch.column(name) for name in batch.schema.names if name in read}
    names = [name for name, array in found.items() if array.null_count < batch.num_rows]
    columns = [_values_of(name, found[name]) for name in names]
    attributes = [read[name] for name in names]
    extra_at = attributes.index(EXTRA) if EXTRA in attributes else -1
    for row in zip(*columns, strict=True) if columns else iter([()] * batch.num_rows):
        item = {name: value for name, value in zip(attributes, row, strict=True) if value is not None}
        extra = row[extra_at] if extra_at >= 0 else None
        if isinstance(extra, str) and extra.startswith("{") and extra.endswith("}"):
            # Its members are attributes of their own, some of which may be known by now.
            del item[EXTRA]
            members = [_ENCODER.encode(item)[1:-1], extra[1:-1].strip(" \t\r\n").encode()]
            yield b"{" + b",".join(filter(None, members)) + b"}"
        else:
            yield _ENCODER.encode(item)


def _values_of(name: str, array: pa.Array) -> Values:
    array = _decoded(array)
    for is_of, values in _READERS:
        if is_of(array.type):
            return values(name, array)
    if pa.types.is_floating(array.type):
        raise Refused(
            "floating-point numbers, which are not exact amounts", name, str(array.type), "Write them as decimals."
        )
    raise Refused("values that are not text, numbers, flags or dates", name, str(array.type), _AS_TEXT)


def _storage(array: pa.Array) -> pa.Array:
    return array.storage if isinstance(array.type, pa.BaseExtensionType) else array


def _decoded(array: pa.Array) -> pa.Array:
    array = _storage(array)
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _is_text(type_: pa.DataType) -> bool:
    type_ = _value_type(type_)
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_))


def _is_bytes(type_: pa.DataType) -> bool:
    type_ = _value_type(type_)
    return bool(pa.types.is_binary(type_) or pa.types.is_large_binary(type_) or pa.types.is_binary_view(type_))


def _value_type(type_: pa.DataType) -> pa.DataType:
    return type_.value_type if pa.types.is_dictionary(type_) else type_


def _texts(name: str, array: pa.Array) -> Values:
    try:
        array.validate(full=True)
        return list(array.cast(pa.large_string()).to_pylist())
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise Refused("bytes that are not UTF-8", name, str(array.type), _AS_TEXT) from error


def _numbers(_: str, array: pa.Array) -> Values:
    return [None if value is None else msgspec.Raw(format(Decimal(value), "f").encode()) for value in array.to_pylist()]


def _flags(_: str, array: pa.Array) -> Values:
    return list(array.to_pylist())


def _days(_: str, array: pa.Array) -> Values:
    return list(pc.strftime(array.cast(pa.timestamp("s")), "%Y-%m-%d").to_pylist())


def _moments(_: str, array: pa.Array) -> Values:
    """Return ISO dates, in UTC where the type has a zone; decimals of a second only where they are not zero."""
    zone = "Z" if array.type.tz is not None else ""
    texts = pc.strftime(array.cast(pa.timestamp(array.type.unit)), "%Y-%m-%dT%H:%M:%S")
    if array.type.unit != "s":
        texts = pc.replace_substring_regex(texts, r"(\.[0-9]*[1-9])?\.?0*$", r"\1")
    return list(pc.binary_join_element_wise(texts, zone, "").to_pylist())


_READERS: Final[tuple[tuple[Callable[[pa.DataType], bool], Callable[[str, pa.Array], Values]], ...]] = (
    (_is_text, _texts),
    (_is_bytes, _texts),
    (pa.types.is_integer, _numbers),
    (pa.types.is_decimal, _numbers),
    (pa.types.is_boolean, _flags),
    (pa.types.is_date, _days),
    (pa.types.is_timestamp, _moments),
)
