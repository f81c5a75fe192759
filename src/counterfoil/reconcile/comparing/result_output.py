"""A comparison as files in a folder: tables that others read, the figures as JSON, and the reports for people.

Nothing that is there is replaced. Each file gets its name when it is complete, so a killed run leaves none that looks
whole.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from decimal import Decimal
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from counterfoil.disk.durability import sync_file, sync_folder
from counterfoil.errors import CounterfoilError, UsageError, member_of
from counterfoil.reconcile.comparing.comparison import Comparison
from counterfoil.reconcile.comparing.found_difference import TABLES
from counterfoil.reconcile.explaining import arithmetic as exact

_UNFINISHED: Final = ".unfinished"
_AMOUNTS: Final = {"differences": "difference", "causes": "amount"}
_PLACES: Final = 15
_NUMBER: Final = pa.decimal128(28, _PLACES)  # the widest that .NET's decimal can hold, as in the lake
_WHOLE_DIGITS_MAX: Final = 13
_LIST_SEPARATOR: Final = "; "


class ResultFormat(StrEnum):
    """What a comparison can be written as."""

    HTML = "html"
    XLSX = "xlsx"
    PARQUET = "parquet"
    CSV = "csv"
    JSON = "json"


# The reports stand above this room, so they are loaded by their names.
_REPORTS: Final = {
    ResultFormat.HTML: ("counterfoil.reconcile.reports.comparison_page", "write_comparison_page"),
    ResultFormat.XLSX: ("counterfoil.reconcile.reports.comparison_workbook", "write_comparison_workbook"),
}


def write_result(comparison: Comparison, folder: Path, formats: Sequence[ResultFormat | str]) -> list[Path]:
    """Write a comparison into a folder, which is made if need be, and return the files.

    Raises UsageError for a format that is none, a file that is there already, or a folder that cannot be written to.
    """
    chosen = [format_of(each) for each in dict.fromkeys(formats)]
    writers = {folder / name: write for each in chosen for name, write in _files(each, comparison)}
    unfinished = {path: path.with_name(path.name + _UNFINISHED) for path in writers}
    _refuse_others(writers)
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, write in writers.items():
            unfinished[path].unlink(missing_ok=True)  # that a killed run left
            write(unfinished[path])
            sync_file(unfinished[path])
        _refuse_others(writers)
        for path in writers:
            unfinished[path].rename(path)
        sync_folder(folder)
    except (OSError, pa.ArrowException) as error:
        raise CounterfoilError(
            f"The result cannot be written to {folder}: {getattr(error, 'strerror', None) or error}.",
            remedy="Name a folder that can be written to, and that has room.",
            parameter="to",
        ) from error
    finally:
        with suppress(OSError):
            for each in unfinished.values():
                each.unlink(missing_ok=True)
            if made:
                folder.rmdir()  # which fails where the result is in it
    return list(writers)


def format_of(each: ResultFormat | str) -> ResultFormat:
    """Return the format of this name; raises UsageError for what is none."""
    return member_of(ResultFormat, each, f"{each!r} is no format of a result.", "format")


def _refuse_others(paths: Iterable[Path]) -> None:
    for path in paths:
        if os.path.lexists(path):  # also a link that leads nowhere
            raise UsageError(
                f"{path} is there already.", remedy="Name another folder, or move the file away.", parameter="to"
            )


def _files(form: ResultFormat, comparison: Comparison) -> Iterator[tuple[str, Callable[[Path], None]]]:
    match form:
        case ResultFormat.JSON:
            yield "comparison.json", lambda path: _write_json(comparison, path)
        case ResultFormat.HTML | ResultFormat.XLSX:
            module, function = _REPORTS[form]
            yield f"report.{form}", lambda path: getattr(import_module(module), function)(comparison, path)
        case ResultFormat.PARQUET | ResultFormat.CSV:
            write = _write_parquet if form is ResultFormat.PARQUET else _write_csv
            for table in TABLES:
                yield f"{table}.{form}", lambda path, table=table: write(comparison, table, path)  # type: ignore[misc]


def _write_json(comparison: Comparison, path: Path) -> None:
    path.write_text(json.dumps(comparison.to_json(), ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def _write_parquet(comparison: Comparison, table: str, path: Path) -> None:
    schema = comparison.files.schema(table)
    amounts = _AMOUNTS.get(table)
    if amounts:
        schema = schema.append(pa.field(f"{amounts}Decimal", _NUMBER))
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in comparison.files.batches(table):
            columns = list(batch.columns)
            if amounts:
                columns.append(pa.array([_number(text) for text in batch.column(amounts).to_pylist()], _NUMBER))
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))


def _write_csv(comparison: Comparison, table: str, path: Path) -> None:
    schema = comparison.files.schema(table)
    flat = pa.schema([pa.field(each.name, pa.string() if _is_list(each) else each.type) for each in schema])
    options = pa_csv.WriteOptions(quoting_style="needed")
    with path.open("wb") as file:
        file.write(b"\xef\xbb\xbf")  # without which Excel assumes another encoding
        with pa_csv.CSVWriter(file, flat, write_options=options) as writer:
            for batch in comparison.files.batches(table):
                columns = [
                    pc.binary_join(column, _LIST_SEPARATOR) if _is_list(each) else column
                    for each, column in zip(schema, batch.columns, strict=True)
                ]
                writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=flat))


def _is_list(field: pa.Field) -> bool:
    return bool(pa.types.is_list(field.type))


def _number(text: str) -> Decimal | None:
    """Return what DECIMAL(28,15) holds of an amount, rounded half to even; None for what it cannot hold."""
    value = Decimal(text)
    return exact.to_places(value, _PLACES) if not value or value.adjusted() < _WHOLE_DIGITS_MAX else None
