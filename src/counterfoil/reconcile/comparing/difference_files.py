"""The files of a result: differences, their causes and their line items, written as they are found.

Each of the four is an Arrow file, and its record batch number N belongs to batch N of the others: all four are written
in one go. So a difference is read with its lines and causes by reading one batch of each, and nothing is looked up.
"""

from __future__ import annotations

import heapq
import weakref
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Self

import pyarrow as pa

from counterfoil.columns import EXTRA, table_of
from counterfoil.model import Kind
from counterfoil.reconcile.comparing.found_difference import TABLES, FoundDifference
from counterfoil.reconcile.explaining import Cause, CauseAmount
from counterfoil.reconcile.matching import Line, Stage
from counterfoil.reconcile.side_totals import shown

_AT_ONCE: Final = 2_000
_PLACE: Final = [("difference", pa.int64()), ("lineItem", pa.int64())]
_NUMBER: Final = "number"
_DIFFERENCES: Final = pa.schema(
    [
        (_NUMBER, pa.int64()),
        ("stage", pa.string()),
        ("customer", pa.string()),
        ("subscription", pa.string()),
        ("product", pa.string()),
        ("leftLineItems", pa.int64()),
        ("rightLineItems", pa.int64()),
        ("difference", pa.string()),
        ("attributes", pa.list_(pa.string())),
        ("notes", pa.list_(pa.string())),
    ]
)
_CAUSES: Final = pa.schema(
    [("difference", pa.int64()), ("cause", pa.string()), ("amount", pa.string()), ("note", pa.string())]
)


def line_columns(kind: Kind) -> tuple[str, ...]:
    """Return the attributes that a result keeps of each line item."""
    return *(column.name for column in table_of(kind).columns), EXTRA


class DifferenceFiles:
    """The written files of a result. `remove` is called once, by `close` or when the last reader has gone."""

    def __init__(self, folder: Path, kind: Kind, batches: Sequence[int], remove: Callable[[], None]) -> None:
        """Take what `DifferenceWriter.finish` gives; `batches` are the numbers that the record batches begin with."""
        self._folder, self._columns = folder, line_columns(kind)
        self._begins = list(batches)
        self._removed = weakref.finalize(self, remove)

    def close(self) -> None:
        """Remove the files."""
        self._removed()

    def differences(
        self, cause: Cause | None = None, at_least: Decimal | None = None, limit: int | None = None
    ) -> Iterator[FoundDifference]:
        """Yield differences; see `Comparison.differences`."""
        if limit is None and cause is None and at_least is None:
            for at in range(len(self._begins)):
                yield from self._read(at, None)
            return
        chosen = self._chosen(cause, at_least)
        if limit is None:
            yield from self._numbered([number for number, _ in chosen])
            return
        largest = heapq.nlargest(limit, chosen, key=_size)
        found = {each.number: each for each in self._numbered(sorted(number for number, _ in largest))}
        yield from (found[number] for number, _ in largest)

    def to_arrow(self, table: str) -> pa.Table:
        """Return one of the tables, mapped from its file."""
        with pa.memory_map(str(_path(self._folder, table))) as source:
            return pa.ipc.open_file(source).read_all()

    def batches(self, table: str) -> Iterator[pa.RecordBatch]:
        """Yield one of the tables piece by piece."""
        with pa.memory_map(str(_path(self._folder, table))) as source:
            file = pa.ipc.open_file(source)
            for at in range(file.num_record_batches):
                yield file.get_batch(at)

    def schema(self, table: str) -> pa.Schema:
        """Return the columns of one of the tables."""
        with pa.memory_map(str(_path(self._folder, table))) as source:
            return pa.ipc.open_file(source).schema

    def _chosen(self, cause: Cause | None, at_least: Decimal | None) -> Iterator[tuple[int, Decimal]]:
        """Yield the numbers and amounts of the differences that are wanted."""
        if cause is None:
            table, names, wanted = "differences", (_NUMBER, "difference"), None
        else:
            table, names, wanted = "causes", ("difference", "amount"), cause.value
        for batch in self.batches(table):
            texts = batch.column("cause").to_pylist() if wanted else [None] * batch.num_rows
            rows = zip(*(batch.column(name).to_pylist() for name in names), texts, strict=True)
            for number, text, its in rows:
                amount = Decimal(text)
                if its == wanted and (at_least is None or amount.copy_abs() >= at_least.copy_abs()):
                    yield number, amount

    def _numbered(self, wanted: Sequence[int]) -> Iterator[FoundDifference]:
        """Yield the differences of these numbers, which are in ascending order."""
        by_batch: dict[int, set[int]] = {}
        for number in wanted:
            by_batch.setdefault(bisect_right(self._begins, number) - 1, set()).add(number)
        for at, numbered in by_batch.items():
            yield from self._read(at, numbered)

    def _read(self, at: int, wanted: set[int] | None) -> Iterator[FoundDifference]:
        """Yield the differences of one record batch, those that are wanted."""
        differences, causes, left, right = (self._batch(table, at) for table in TABLES)
        lines = [self._lines(batch, wanted) for batch in (left, right)]
        amounts: dict[int, list[CauseAmount]] = {}
        for number, cause, amount in zip(
            *(causes.column(name).to_pylist() for name in ("difference", "cause", "amount")), strict=True
        ):
            amounts.setdefault(number, []).append(CauseAmount(Cause(cause), Decimal(amount)))
        for row in differences.to_pylist():
            number = row[_NUMBER]
            if wanted is None or number in wanted:
                yield FoundDifference(
                    number=number,
                    stage=Stage(row["stage"]),
                    left=tuple(lines[0].get(number, ())),
                    right=tuple(lines[1].get(number, ())),
                    amount=Decimal(row["difference"]),
                    causes=tuple(amounts.get(number, ())),
                    notes=tuple(row["notes"]),
                    attributes=tuple(row["attributes"]),
                )

    def _batch(self, table: str, at: int) -> pa.RecordBatch:
        with pa.memory_map(str(_path(self._folder, table))) as source:
            return pa.ipc.open_file(source).get_batch(at)

    def _lines(self, batch: pa.RecordBatch, wanted: set[int] | None) -> dict[int, list[Line]]:
        if wanted is not None:
            rows = [at for at, number in enumerate(batch.column("difference").to_pylist()) if number in wanted]
            batch = batch.take(pa.array(rows, pa.int64()))
        found: dict[int, list[Line]] = {}
        for row in batch.to_pylist():
            number, place = row.pop("difference"), row.pop("lineItem")
            found.setdefault(number, []).append(Line(place, row))
        return found


class DifferenceWriter:
    """Writes differences as they are found, a batch at a time. Use it in a `with`, and `finish` it."""

    def __init__(self, folder: Path, kind: Kind) -> None:
        """Begin the files of a result in a folder."""
        self._folder, self._kind, self._columns = folder, kind, line_columns(kind)
        self._found: list[FoundDifference] = []
        self._begins: list[int] = []
        lines = pa.schema([*_PLACE, *((name, pa.string()) for name in self._columns)])
        self._schemas = dict(zip(TABLES, (_DIFFERENCES, _CAUSES, lines, lines), strict=True))
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        self._writers = {
            table: pa.ipc.new_file(str(_path(folder, table)), schema, options=options)
            for table, schema in self._schemas.items()
        }

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the files."""
        for writer in self._writers.values():
            writer.close()

    def add(self, found: FoundDifference) -> None:
        """Write a difference; they come in the order of their numbers."""
        self._found.append(found)
        if len(self._found) == _AT_ONCE:
            self._flush()

    def finish(self, remove: Callable[[], None] = lambda: None) -> DifferenceFiles:
        """Write what is left, and return the files; `remove` removes them when nobody needs them any more."""
        if self._found:
            self._flush()
        for writer in self._writers.values():
            writer.close()
        return DifferenceFiles(self._folder, self._kind, self._begins, remove)

    def _flush(self) -> None:
        found, self._found = self._found, []
        self._begins.append(found[0].number)
        self._write("differences", _difference_columns(found))
        self._write("causes", _cause_columns(found))
        self._write_lines("left_lines", [(each.number, line) for each in found for line in each.left])
        self._write_lines("right_lines", [(each.number, line) for each in found for line in each.right])

    def _write_lines(self, table: str, lines: Sequence[tuple[int, Line]]) -> None:
        told = [line.attributes for _, line in lines]
        columns: dict[str, list[Any]] = {
            "difference": [number for number, _ in lines],
            "lineItem": [line.number for _, line in lines],
        }
        for name in self._columns:
            columns[name] = [attributes.get(name) for attributes in told]
        self._write(table, columns)

    def _write(self, table: str, columns: Mapping[str, list[Any]]) -> None:
        schema = self._schemas[table]
        arrays = [pa.array(columns[field.name], field.type) for field in schema]
        self._writers[table].write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))


def _difference_columns(found: Sequence[FoundDifference]) -> dict[str, list[Any]]:
    return {
        _NUMBER: [each.number for each in found],
        "stage": [each.stage.value for each in found],
        "customer": [each.customer for each in found],
        "subscription": [each.subscription for each in found],
        "product": [each.product for each in found],
        "leftLineItems": [len(each.left) for each in found],
        "rightLineItems": [len(each.right) for each in found],
        "difference": [shown(each.amount) for each in found],
        "attributes": [list(each.attributes) for each in found],
        "notes": [list(each.notes) for each in found],
    }


def _cause_columns(found: Sequence[FoundDifference]) -> dict[str, list[Any]]:
    rows = [(each, amount) for each in found for amount in each.causes]
    return {
        "difference": [each.number for each, _ in rows],
        "cause": [amount.cause.value for _, amount in rows],
        "amount": [shown(amount.amount) for _, amount in rows],
        "note": [_note(each.notes, amount.cause) for each, amount in rows],
    }


def _note(notes: Sequence[str], cause: Cause) -> str:
    """Return what the notes say of a cause; each of them begins with the cause it is about."""
    begins = f"{cause}: "
    return "; ".join(note.removeprefix(begins) for note in notes if note.startswith(begins))


def _size(chosen: tuple[int, Decimal]) -> tuple[Decimal, int]:
    number, amount = chosen
    return amount.copy_abs(), -number


def _path(folder: Path, table: str) -> Path:
    return folder / f"{table}.arrow"
