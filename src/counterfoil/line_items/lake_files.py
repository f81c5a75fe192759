"""Reading and writing lake files, for the publisher and the client alike: see `lake` for what is in them.

A reader returns the requested attributes as columns of exact text; a writer takes such columns. Both stream, one row
group at a time.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from io import RawIOBase
from os import PathLike
from types import TracebackType
from typing import Any, Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

from counterfoil.columns import EXTRA, Column, LineItemTable, table_of
from counterfoil.errors import DamagedError
from counterfoil.line_items.lake import DIGEST, columns_of, lake_arrays, lake_schema, text_name
from counterfoil.model import Kind

_READ_LINE_ITEMS: Final = 25_000
# Readers who want a part of the line items seek by these; statistics of all columns cost a third of the writing.
_SOUGHT_BY: Final = ("PartnerId", "CustomerId", "SubscriptionId", "InvoiceNumber")
# Texts that hardly repeat: a dictionary of them would only be thrown away.
_UNREPEATED: Final = ("Quantity", "Total", DIGEST)
_DICTIONARY: Final = pa.dictionary(pa.int32(), pa.string())


class LakeReader:
    """A lake file of this or another version. `columns` are the attributes that it holds, `Extra` aside."""

    def __init__(self, source: str | PathLike[str] | RawIOBase | pa.NativeFile, kind: Kind) -> None:
        with pq.ParquetFile(source) as file:
            schema, metadata = file.schema_arrow, file.metadata
        texts = _repeated(field.name for field in schema if field.type == pa.string())
        self._file = pq.ParquetFile(source, metadata=metadata, read_dictionary=texts)
        self.columns: tuple[Column, ...] = columns_of(schema, kind)
        self.line_items: int = self._file.metadata.num_rows
        self._stored = {column.name: text_name(column) for column in self.columns}
        self._stored |= {name: name for name in (EXTRA, DIGEST) if name in schema.names}

    def batches(
        self, names: Sequence[str] | None = None, *, line_items: int = _READ_LINE_ITEMS
    ) -> Iterator[pa.RecordBatch]:
        """Yield columns of text by attribute, all of the file's and `Extra` unless `names` says which.

        Texts that repeat come in dictionaries, as they are stored, because that takes two thirds of the time. A column
        that the file lacks is null throughout. `lake.DIGEST` may be asked for as well; raises DamagedError where a
        file has none.
        """
        wanted = [*(column.name for column in self.columns), EXTRA] if names is None else list(names)
        yield from self._read(wanted, line_items, None)

    def stretches(
        self, names: Sequence[str], *, line_items: int, wants: Callable[[int, int], bool] | None = None
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Yield columns as `batches` does, each batch with the place of its first line item, from 0.

        Of the row groups only those that are wanted are read; `wants` is given the places from and to.
        """
        begin = 0
        for number in range(self._file.num_row_groups):
            end = begin + self._file.metadata.row_group(number).num_rows
            if wants is None or wants(begin, end):
                place = begin
                for batch in self._read(list(names), line_items, [number]):
                    yield place, batch
                    place += batch.num_rows
            begin = end

    def _read(self, wanted: list[str], line_items: int, row_groups: list[int] | None) -> Iterator[pa.RecordBatch]:
        if DIGEST in wanted and DIGEST not in self._stored:
            raise DamagedError("has no digests of its line items.")
        stored = [self._stored[name] for name in wanted if name in self._stored]
        for batch in self._file.iter_batches(line_items, row_groups=row_groups, columns=stored, use_threads=False):
            absent = pa.nulls(batch.num_rows, pa.string())
            arrays = [batch.column(self._stored[name]) if name in self._stored else absent for name in wanted]
            yield pa.RecordBatch.from_arrays(arrays, wanted)

    def digests(self) -> Iterator[pa.FixedSizeBinaryArray]:
        """Yield the line items' SHA-256 digests, in the order of the file."""
        for batch in self.batches([DIGEST]):
            yield batch.column(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()


class LakeWriter:
    """Writes one lake file to `out`, which it does not close. `decimals` may be a quicker twin of `lake.decimals_of`.

    With `dictionaries` texts that repeat may be given as dictionaries, whose values Parquet need not look for again.
    The file does not show it: whoever reads it gets plain texts.

    Call `finish` at the end, or `abandon`: a Parquet writer that is merely forgotten writes the end of its file.
    """

    def __init__(
        self,
        out: Any,
        kind: Kind,
        *,
        digests: bool,
        dictionaries: bool = False,
        decimals: Callable[[pa.Array], tuple[pa.Array, int]] | None = None,
    ) -> None:
        self._kind, self._decimals = kind, decimals
        self._schema, described = _schema_of(table_of(kind), digests=digests, dictionaries=dictionaries)
        names = self._schema.names
        self._writer = pq.ParquetWriter(
            out,
            self._schema,
            store_schema=False,
            compression={name: "none" if name == DIGEST else "zstd" for name in names},
            compression_level={name: 1 for name in names if name != DIGEST},
            use_dictionary=_repeated(names),
            write_statistics=[*_SOUGHT_BY, table_of(kind).date],
        )
        self._writer.add_key_value_metadata(described)
        self._waiting: list[pa.RecordBatch] = []
        self.waiting_line_items = 0
        self.line_items = 0
        self.inexact: Counter[str] = Counter()  # of each number, how many decimals had to be rounded

    def write(self, texts: Sequence[pa.Array], digests: pa.FixedSizeBinaryArray | None = None) -> None:
        """Take line items: columns of text in the table's order, then Extra; and their digests."""
        arrays, inexact = lake_arrays(self._kind, texts, self._decimals)
        self.inexact.update(inexact)
        if digests is not None:
            arrays.append(digests)
        typed = [_typed(array, field.type) for array, field in zip(arrays, self._schema, strict=True)]
        batch = pa.RecordBatch.from_arrays(typed, schema=self._schema)
        self._waiting.append(batch)
        self.waiting_line_items += batch.num_rows
        self.line_items += batch.num_rows

    def end_row_group(self) -> None:
        """Write what is waiting as one row group."""
        if self._waiting:
            table = pa.Table.from_batches(self._waiting).unify_dictionaries()
            self._writer.write_table(table, row_group_size=self.waiting_line_items)
        self._waiting, self.waiting_line_items = [], 0

    def finish(self) -> None:
        """Write the end of the file."""
        self.end_row_group()
        self._writer.close()

    def abandon(self) -> None:
        """Give up, without an error: what went wrong was reported before."""
        with suppress(Exception):
            self._writer.close()


@lru_cache(maxsize=8)  # to make one takes as long as to write a hundred line items
def _schema_of(
    table: LineItemTable, *, digests: bool, dictionaries: bool
) -> tuple[pa.Schema, dict[str | bytes, bytes]]:
    """Return the schema of what is written, and what the file says of it."""
    schema = lake_schema(table.kind, digests=digests)
    described = {"ARROW:schema": base64.b64encode(schema.serialize()), **schema.metadata}
    return pa.schema([_as_dictionary(field) for field in schema]) if dictionaries else schema, described


def _as_dictionary(field: pa.Field) -> pa.Field:
    is_text = field.type == pa.string() and _repeated([field.name])
    return field.with_type(_DICTIONARY) if is_text else field


def _typed(array: pa.Array, wanted: pa.DataType) -> pa.Array:
    if array.type == wanted:
        return array
    return array.dictionary_encode() if wanted == _DICTIONARY else array.cast(wanted)


def _repeated(names: Iterable[str]) -> list[str]:
    return [name for name in names if not any(part in name for part in _UNREPEATED)]
