"""An input file whose format and kind are known, and how its line items are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Final

from counterfoil.columns import table_of
from counterfoil.datasets.batch import Batch
from counterfoil.datasets.csv_input import CsvRows
from counterfoil.datasets.csv_values import NOTHING_SAID, LocalForms
from counterfoil.datasets.json_lines import JsonLinesReader
from counterfoil.datasets.scan import Scanner
from counterfoil.datasets.source import Source, input_error
from counterfoil.line_items.parquet_lines import parquet_lines, row_groups_of
from counterfoil.line_items.reference import OnRefused
from counterfoil.line_items.values import Refused
from counterfoil.model import Kind

_ROW_SIZE_BYTES: Final = 2 << 10  # of Parquet, as a line of JSON

# Lines that are one JSON object each, and their numbers in the file.
NumberedLines = Iterator[tuple[Sequence[bytes], Sequence[int]]]


@dataclass(frozen=True, slots=True)
class Span:
    """What can be read apart from the rest of a file: lines by their places in it, or the row groups of Parquet."""

    begin: int
    end: int
    first_row: int = 0  # 0: lines, which are counted from 1 in each span


@dataclass(frozen=True, slots=True)
class InputFile:
    """An opened file whose format and kind are known.

    `numbered_lines` turns it into JSON lines, given where refused lines go; a file of JSON lines has none. A CSV has
    `csv_rows` instead, given how its local dates and numbers are written.
    """

    source: Source
    kind: Kind
    numbered_lines: Callable[[OnRefused], NumberedLines] | None = None
    csv_rows: Callable[[LocalForms], CsvRows] | None = None
    is_parquet: bool = False

    def batches(
        self,
        on_refused: OnRefused,
        forms: LocalForms = NOTHING_SAID,
        span: Span | None = None,
        scanners: dict[Kind, Scanner] | None = None,
    ) -> Iterator[Batch]:
        """Yield all line items, or those of a span; refused ones go to `on_refused`.

        Line numbers count the line items of a document, and the rows of a Parquet file. `scanners` may be kept for the
        next file.
        """
        rows = partial(parquet_rows, self.source, self.kind, span) if self.is_parquet else self.numbered_lines
        if self.csv_rows is not None:
            csv = self.csv_rows(forms)
            on_refused, rows = csv.asking(on_refused), csv.lines
        reader = JsonLinesReader(table_of(self.kind), on_refused, scanners)
        if rows is None:
            for block in self.source.blocks(*((span.begin, span.end) if span else ())):
                yield from reader.read(block)
            return
        for lines, numbers in rows(on_refused):
            yield from reader.read_lines(lines, numbers)

    def spans(self, size_bytes: int) -> list[Span] | list[None]:
        """Divide the file into spans of about so many bytes of lines; what cannot be divided is one, None."""
        has_lines = self.is_parquet or (self.numbered_lines is None and self.csv_rows is None)
        if self.source.path is None or not has_lines:
            return [None]
        if self.is_parquet:
            return [Span(*span) for span in row_groups_of(self.source.path, size_bytes // _ROW_SIZE_BYTES)]
        return [Span(begin, end) for begin, end in pairwise(self.source.line_starts(size_bytes))]


def parquet_rows(source: Source, kind: Kind, span: Span | None, *_: object) -> NumberedLines:
    """Yield the rows of a Parquet file, or of some of its row groups, with their numbers; raises InputError."""
    assert source.path is not None
    first = first_row = span.first_row if span else 1
    try:
        for lines in parquet_lines(source.path, table_of(kind), range(span.begin, span.end) if span else None):
            yield lines, range(first, first + len(lines))
            first += len(lines)
    except Refused as refused:
        raise input_error(refused, source.name, refused.line and first_row + refused.line - 1) from refused
