"""Files of JSON that are no lines: arrays, an API's pages, one document over several lines, as sides.

They are cut into line items by the same code as a publication's. The trap is the last page: where it names another that
follows, the file is incomplete, and its sum would be no answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NoReturn

import pyarrow as pa

from counterfoil.errors import InputError
from counterfoil.line_items.blocks import BYTE_ORDER_MARK, DAMAGED_GZIP
from counterfoil.line_items.json_documents import DOCUMENT_SIZE_BYTES_MAX, in_lists, is_whole, items_of
from counterfoil.line_items.line_reader import LineReader
from counterfoil.line_items.values import Refused
from counterfoil.model import Kind
from counterfoil.reconcile.sides.text_files import opened_bytes

_ONE_A_LINE: Final = "Write one line item a line instead: jq -c '.[]' FILE > NEW does it."
_INCOMPLETE: Final = "Fetch the pages that follow, and give them in one file, one page a line."
_ITEMS: Final = "Give a file of line items: an array, the pages of an API, or one line item a line."


def is_line_item(first: bytes) -> bool:
    """Whether the first line of a file is one line item, so that the others are, too."""
    if not first.startswith(b"{") or not is_whole(first):
        return False
    try:
        return next(items_of(first), b"") == first
    except Refused:
        return False


def first_item(path: Path, name: str, first: bytes) -> bytes:
    """Return the first line item of a document or of pages; raises InputError where there is none."""
    item = next((items[0] for items, _ in _items(path, name, first)), None)
    if item is None:
        raise InputError("holds no line items", file=name, remedy=_ITEMS)
    return item


def json_batches(path: Path, name: str, first: bytes, kind: Kind, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield the attributes of these names of every line item; raises InputError with the one that is at fault."""
    reader = LineReader(kind)
    for items, numbers in _items(path, name, first):

        def refuse(line: int, refused: Refused, numbers: Sequence[int] = numbers) -> NoReturn:
            raise _refused(refused, name, numbers[line - 1])

        yield reader.read(items, refuse).select(list(names))


def _items(path: Path, name: str, first: bytes) -> Iterator[tuple[list[bytes], Sequence[int]]]:
    """Yield line items and the number of each: its own in a document, that of its line where each line is a page."""
    following: list[str] = []
    documents = _pages(path, name) if first.startswith(b"{") and is_whole(first) else _document(path, name)
    for line, document in documents:
        count = 0
        try:
            for items in in_lists(items_of(document, following)):
                yield items, [line] * len(items) if line else range(count + 1, count + 1 + len(items))
                count += len(items)
        except Refused as refused:
            raise _refused(refused, name, line or refused.line) from refused
    if following:
        raise InputError(
            "ends with a page that another follows, so line items are missing",
            file=name,
            value=following[-1],
            remedy=_INCOMPLETE,
        )


def _pages(path: Path, name: str) -> Iterator[tuple[int, bytes]]:
    with opened_bytes(path) as file:
        number = 0
        while line := file.readline(DOCUMENT_SIZE_BYTES_MAX + 1):
            number += 1
            if len(line) > DOCUMENT_SIZE_BYTES_MAX:
                raise _too_large("a page", name)
            if page := line.removeprefix(BYTE_ORDER_MARK).strip().rstrip(b","):
                yield number, page


def _document(path: Path, name: str) -> Iterator[tuple[int, bytes]]:
    try:
        with opened_bytes(path) as file:
            document = file.read(DOCUMENT_SIZE_BYTES_MAX + 1)
    except DAMAGED_GZIP as error:
        raise InputError(f"the gzip data is cut or corrupt: {error}", file=name) from error
    if len(document) > DOCUMENT_SIZE_BYTES_MAX:
        raise _too_large("a JSON document", name)
    yield 0, document.removeprefix(BYTE_ORDER_MARK)


def _too_large(what: str, name: str) -> InputError:
    return InputError(f"{what} of more than {DOCUMENT_SIZE_BYTES_MAX >> 20} MiB", file=name, remedy=_ONE_A_LINE)


def _refused(refused: Refused, name: str, line: int | None) -> InputError:
    return InputError(
        refused.reason,
        file=name,
        line=line,
        attribute=refused.attribute,
        value=refused.value,
        remedy=refused.remedy or _ITEMS,
    )
