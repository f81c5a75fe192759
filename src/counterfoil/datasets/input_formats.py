"""One input file of any format: recognise the format and the kind of line items, and yield them in batches.

Formats are recognised by content, never by name: JSON lines (Graph's or v1's spelling), v1 page envelopes (one
document, or one a line), a JSON array of line items, CSV, and Parquet. All but Parquet may be gzip.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

from counterfoil.columns import RECONCILIATION, USAGE, table_of
from counterfoil.datasets.batch import Batch
from counterfoil.datasets.csv_input import DateOrder, csv_lines, header_of
from counterfoil.datasets.json_documents import in_lists, items_of
from counterfoil.datasets.json_lines import JsonLinesReader
from counterfoil.datasets.source import Source, input_error
from counterfoil.errors import InputError
from counterfoil.line_items.blocks import LINE_SIZE_BYTES_MAX
from counterfoil.line_items.parquet_lines import PARQUET_MAGIC, parquet_lines, parquet_names, row_groups_of
from counterfoil.line_items.reference import OnRefused, parse_object
from counterfoil.line_items.values import Refused
from counterfoil.model import Kind

_ROW_SIZE_BYTES = 2 << 10  # of Parquet, as a line of JSON
DOCUMENT_SIZE_BYTES_MAX = 64 << 20  # several times that is needed to read one
# The byte order marks of UTF-16 and UTF-32, and how JSON begins in UTF-16 without one.
_NOT_UTF_8 = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
    b"{\x00": "UTF-16",
    b"\x00{": "UTF-16",
    b"[\x00": "UTF-16",
    b"\x00[": "UTF-16",
}
_USAGE_MARKS = frozenset({"usagedate", "billingpretaxtotal", "billingcurrency"})
_RECONCILIATION_MARKS = frozenset({"subtotal", "taxtotal", "orderid", "orderdate", "billablequantity"})


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

    `numbered_lines` turns it into JSON lines, given where refused lines go and the order of local dates; a file of JSON
    lines has none.
    """

    source: Source
    kind: Kind
    numbered_lines: Callable[[OnRefused, DateOrder | None], NumberedLines] | None = None
    is_parquet: bool = False

    def batches(self, on_refused: OnRefused, date_order: DateOrder | None, span: Span | None = None) -> Iterator[Batch]:
        """Yield all line items, or those of a span; refused ones go to `on_refused`.

        Line numbers count the line items of a document, and the rows of a Parquet file.
        """
        reader = JsonLinesReader(table_of(self.kind), on_refused)
        if self.numbered_lines is None:
            for block in self.source.blocks(*((span.begin, span.end) if span else ())):
                yield from reader.read(block)
        else:
            rows = partial(_parquet_rows, self.source, self.kind, span) if self.is_parquet else self.numbered_lines
            for lines, numbers in rows(on_refused, date_order):
                yield from reader.read_lines(lines, numbers)

    def spans(self, size_bytes: int) -> list[Span] | list[None]:
        """Divide the file into spans of about so many bytes of lines; what cannot be divided is one, None."""
        if self.source.path is None or not (self.is_parquet or self.numbered_lines is None):
            return [None]
        if self.is_parquet:
            return [Span(*span) for span in row_groups_of(self.source.path, size_bytes // _ROW_SIZE_BYTES)]
        return [Span(begin, end) for begin, end in pairwise(self.source.line_starts(size_bytes))]


def recognise(source: Source, asserted: Kind | None = None) -> InputFile:
    """Return what an opened source holds; raises InputError if it is nothing we read, or not of the asserted kind."""
    _refuse_other_encodings(source)
    start = source.head.lstrip()[:1]
    if source.head.startswith(PARQUET_MAGIC):
        found = _parquet(source)
    elif start == b"{":
        found = _json(source)
    elif start == b"[":
        found = _document(source)
    else:
        header = header_of(source.head, source.name)
        if header is None:
            raise InputError(
                "is neither JSON lines nor a CSV with a PartnerId column",
                file=source.name,
                line=1,
                remedy="Give Graph or Partner Center line items, or Parquet.",
            )
        kind = _kind_of(header[0], source.name)
        found = InputFile(source, kind, partial(csv_lines, source, header, table_of(kind)))
    if asserted is not None and found.kind is not asserted:
        raise InputError(
            f"holds {found.kind} line items, and {asserted} was expected",
            file=source.name,
            remedy="Leave the kind out, or give the other file.",
            parameter="kind",
        )
    return found


def _parquet(source: Source) -> InputFile:
    if source.path is None:
        raise InputError(
            "Parquet cannot be read from standard input or out of gzip",
            file=source.name,
            remedy="Name the Parquet file itself.",
        )
    kind = _kind_of(parquet_names(source.path), source.name)
    return InputFile(source, kind, partial(_parquet_rows, source, kind, None), is_parquet=True)


def _parquet_rows(source: Source, kind: Kind, span: Span | None, *_: object) -> NumberedLines:
    assert source.path is not None
    first = first_row = span.first_row if span else 1
    try:
        for lines in parquet_lines(source.path, table_of(kind), range(span.begin, span.end) if span else None):
            yield lines, range(first, first + len(lines))
            first += len(lines)
    except Refused as refused:
        raise input_error(refused, source.name, refused.line and first_row + refused.line - 1) from refused


def _refuse_other_encodings(source: Source) -> None:
    for mark, encoding in _NOT_UTF_8.items():
        if source.head.startswith(mark):
            raise InputError(
                f"the file is {encoding}, and must be UTF-8",
                file=source.name,
                remedy=f"Save it as UTF-8, or write: iconv -f {encoding} -t UTF-8 FILE > NEW",
            )


def _json(source: Source) -> InputFile:
    first = source.head.lstrip().split(b"\n", 1)[0]
    try:
        pairs = parse_object(first)
        if not any(key.lower() == "items" for key, _ in pairs):
            return InputFile(source, _kind_of_pairs(pairs, source.name))
    except Refused as refused:
        whole = source.whole(DOCUMENT_SIZE_BYTES_MAX)
        if whole is not None:
            with suppress(Refused):
                return _of_items(source, whole)
        return _mixed(source, _first_refused(source, len(first), refused))
    except InputError as error:
        return _mixed(source, error)
    for page, _ in _page_items(source.head_lines(), 1, source.name):
        if page:
            return InputFile(source, _kind_of_object(page[0], source.name), lambda *_: _pages(source))
    raise InputError("holds pages without line items", file=source.name, remedy="Nothing was published.")


def _mixed(source: Source, error: InputError) -> InputFile:
    """Take the kind from a later line, so that the first is refused like any other; raises `error` if none says."""
    for line in source.head_lines():
        if line.lstrip()[:1] == b"{":
            try:
                return InputFile(source, _kind_of_pairs(parse_object(line), source.name))
            except (Refused, InputError):
                continue
    raise error


def _first_refused(source: Source, length: int, refused: Refused) -> InputError:
    line = 1 + source.head[: source.head.index(b"{")].count(b"\n")
    if length > LINE_SIZE_BYTES_MAX:
        return InputError(
            f"a line of more than {LINE_SIZE_BYTES_MAX >> 20} MiB",
            file=source.name,
            line=line,
            remedy=f"Line items are one JSON object a line, or one document of {DOCUMENT_SIZE_BYTES_MAX >> 20} MiB.",
        )
    return input_error(refused, source.name, line, remedy="Each line is one line item, {...}.")


def _document(source: Source) -> InputFile:
    whole = source.whole(DOCUMENT_SIZE_BYTES_MAX)
    if whole is None:
        raise InputError(
            f"a JSON document of more than {DOCUMENT_SIZE_BYTES_MAX >> 20} MiB",
            file=source.name,
            remedy="Write one line item a line instead.",
        )
    try:
        return _of_items(source, whole)
    except Refused as refused:
        raise input_error(refused, source.name, refused.line) from refused


def _of_items(source: Source, document: bytes) -> InputFile:
    """Return a document as a file; raises Refused if it is none."""
    first = next(items_of(document), None)
    if first is None:
        raise InputError("holds no line items", file=source.name, remedy="Nothing was published.")
    return InputFile(source, _kind_of_object(first, source.name), lambda *_: _numbered_items(document, source.name))


def _numbered_items(document: bytes, file: str) -> NumberedLines:
    count = 0
    try:
        for items in in_lists(items_of(document)):
            yield items, range(count + 1, count + 1 + len(items))
            count += len(items)
    except Refused as refused:
        raise input_error(refused, file, refused.line) from refused


def _pages(source: Source) -> NumberedLines:
    for block in source.blocks():
        yield from _page_items(block.lines(), block.first_line, source.name)


def _page_items(lines: list[bytes], first: int, file: str) -> NumberedLines:
    """Yield the line items of each page, all with the number of the page's line."""
    for number, line in enumerate(lines, first):
        if not line.strip():
            continue
        try:
            for items in in_lists(items_of(line)):
                yield items, [number] * len(items)
        except Refused as refused:
            raise input_error(refused, file, number, remedy="Each line is one page, whole.") from refused


def _kind_of_object(line: bytes, file: str) -> Kind:
    try:
        return _kind_of_pairs(parse_object(line), file)
    except Refused as refused:
        raise input_error(refused, file, 1) from refused


def _kind_of_pairs(pairs: list[tuple[str, Any]], file: str) -> Kind:
    for key, value in pairs:
        if key.lower() == "invoicelineitemtype" and isinstance(value, str):
            for table in (RECONCILIATION, USAGE):
                if value.lower() == table.v1_line_item_type:
                    return table.kind
    return _kind_of([key for key, _ in pairs], file)


def _kind_of(names: Iterable[str], file: str) -> Kind:
    lowered = {name.lower() for name in names}
    usage, reconciliation = len(lowered & _USAGE_MARKS), len(lowered & _RECONCILIATION_MARKS)
    if usage == reconciliation:
        raise InputError(
            "the first line is not a recognisable line item",
            file=file,
            line=1,
            remedy=f"Usage needs {', '.join(USAGE.required)}; reconciliation {', '.join(RECONCILIATION.required)}.",
        )
    return Kind.USAGE if usage > reconciliation else Kind.RECONCILIATION
