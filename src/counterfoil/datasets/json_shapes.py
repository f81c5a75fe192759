"""What JSON holds line items in: one a line, pages and envelopes, arrays, or objects one after another.

One line item a line is the usual form, of any size. Where a line item takes several lines, or a line has several, the
file is a document: its end may change what its beginning means, so it is held as a whole and is bounded. An API's page
names the page that follows; a file that ends with such a page is incomplete, and refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from counterfoil.columns import folded
from counterfoil.datasets.input_file import InputFile, NumberedLines
from counterfoil.datasets.json_lines import without_dress
from counterfoil.datasets.line_item_kind import kind_of_object, kind_of_pairs
from counterfoil.datasets.source import Source, input_error
from counterfoil.errors import InputError
from counterfoil.line_items.blocks import LINE_SIZE_BYTES_MAX
from counterfoil.line_items.json_documents import DOCUMENT_SIZE_BYTES_MAX, HOLDERS, in_lists, is_whole, items_of
from counterfoil.line_items.reference import parse_object
from counterfoil.line_items.values import Refused

_ONE_A_LINE: Final = "Write one line item a line: jq -c . FILE > NEW does it."
_NO_ITEMS: Final = "Nothing was published. A month without usage needs no publication."
_INCOMPLETE: Final = (
    "Its line items are incomplete. Fetch the pages that follow, and give them in one file, one page a line."
)


def recognise_json(source: Source) -> InputFile:
    """Return what a file holds that begins with an object; raises InputError."""
    first = without_dress(source.head.lstrip().split(b"\n", 1)[0].strip())
    try:
        pairs = parse_object(first)
        if not _is_page(pairs):
            _refuse_answer(pairs, source.name)
            return InputFile(source, kind_of_pairs(pairs, source.name))
    except Refused as refused:
        return _of_several_lines(source, first, refused)
    except InputError as error:
        return _mixed(source, error)
    if len(first) > LINE_SIZE_BYTES_MAX:  # more than one line may be
        return recognise_document(source)
    for page, _ in _page_items(source.head_lines(), 1, source.name, []):
        if page:
            return InputFile(source, kind_of_object(page[0], source.name), lambda *_: _pages(source))
    raise InputError("holds pages without line items", file=source.name, remedy=_NO_ITEMS)


def recognise_document(source: Source) -> InputFile:
    """Return what a file holds that is one document; raises InputError."""
    whole = source.whole(DOCUMENT_SIZE_BYTES_MAX)
    if whole is None:
        raise InputError(
            f"a JSON document of more than {DOCUMENT_SIZE_BYTES_MAX >> 20} MiB",
            file=source.name,
            remedy="Write one line item a line instead: jq -c '.[]' FILE > NEW does it.",
        )
    try:
        return _of_items(source, whole)
    except Refused as refused:
        raise input_error(refused, source.name, refused.line) from refused


def _is_page(pairs: Sequence[tuple[str, Any]]) -> bool:
    """Tell whether an object holds line items, and is none; a parsed array of objects is a list of lists."""
    return any(
        name == "items" or (name in HOLDERS and isinstance(value, list) and (not value or isinstance(value[0], list)))
        for name, value in ((folded(key), value) for key, value in pairs)
    )


def _refuse_answer(pairs: Sequence[tuple[str, Any]], file: str) -> None:
    """Raise InputError for the error that an API answered with in place of line items."""
    members = {folded(key): value for key, value in pairs}
    error = members.get("error", members)
    if "error" in members or {"code", "description"} <= members.keys() or {"code", "message"} <= members.keys():
        told = {folded(str(key)): value for key, value in error} if isinstance(error, list) else members
        raise InputError(
            "holds no line items: it is an error that an API answered with",
            file=file,
            value=str(told.get("message") or told.get("description") or told.get("errordescription") or "") or None,
            remedy="Its text says why: fetch the line items again.",
        )


def _of_several_lines(source: Source, first: bytes, refused: Refused) -> InputFile:
    """Return a file whose first line is no line item: a document, or JSON lines of which the first is to be refused."""
    error = _first_refused(source, len(first), refused)
    if is_whole(first) and not refused.reason.startswith("not JSON: Extra data"):
        return _mixed(source, error)
    whole = source.whole(DOCUMENT_SIZE_BYTES_MAX)
    if whole is not None:
        try:
            for _ in items_of(whole):
                pass  # all of it must be one document, or its lines are judged one by one
            return _of_items(source, whole)
        except Refused as why:
            if first == b"{":
                error = input_error(why, source.name, why.line)
        except InputError as why:
            error = why
    elif not first.endswith(b"}") and len(first) <= LINE_SIZE_BYTES_MAX:
        error = InputError(
            f"line items over several lines, in a file of more than {DOCUMENT_SIZE_BYTES_MAX >> 20} MiB",
            file=source.name,
            line=error.line,
            remedy=_ONE_A_LINE,
        )
    return _mixed(source, error)


def _mixed(source: Source, error: InputError) -> InputFile:
    """Take the kind from a later line, so that the first is refused like any other; raises `error` if none says."""
    for line in source.head_lines():
        if line.lstrip()[:1] == b"{":
            try:
                return InputFile(source, kind_of_pairs(parse_object(line), source.name))
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


def _of_items(source: Source, document: bytes) -> InputFile:
    """Return a document as a file; raises Refused if it is none."""
    first = next(items_of(document), None)
    if first is None:
        raise InputError("holds no line items", file=source.name, remedy=_NO_ITEMS)
    return InputFile(source, kind_of_object(first, source.name), lambda *_: _numbered_items(document, source.name))


def _numbered_items(document: bytes, file: str) -> NumberedLines:
    count, following = 0, list[str]()
    try:
        for items in in_lists(items_of(document, following)):
            yield items, range(count + 1, count + 1 + len(items))
            count += len(items)
    except Refused as refused:
        raise input_error(refused, file, refused.line) from refused
    _refuse_incomplete(following, file)


def _pages(source: Source) -> NumberedLines:
    following: list[str] = []
    for block in source.blocks():
        yield from _page_items(block.lines(), block.first_line, source.name, following)
    _refuse_incomplete(following, source.name)


def _page_items(lines: list[bytes], first: int, file: str, following: list[str]) -> NumberedLines:
    """Yield the line items of each page, all with the number of the page's line; see `items_of` for `following`."""
    for number, line in enumerate(lines, first):
        if not line.strip():
            continue
        try:
            for items in in_lists(items_of(without_dress(line), following)):
                yield items, [number] * len(items)
        except Refused as refused:
            raise input_error(refused, file, number, remedy="Each line is one page, whole.") from refused


def _refuse_incomplete(following: Sequence[str], file: str) -> None:
    if following:
        raise InputError("ends with a page that another follows", file=file, value=following[-1], remedy=_INCOMPLETE)
