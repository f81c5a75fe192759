"""JSON documents that hold many line items, cut into their items one after the other.

A document is an array, an API's page or envelope (an object with an array of items), or several objects, which are
pages or the items themselves.

64 MB may be thirty million items, which take gigabytes as objects. So an item is cut off by its brackets, without a
look at what is between them, and is parsed alone, as a line is.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from typing import Final

import msgspec

from counterfoil.columns import folded
from counterfoil.line_items.blocks import LINE_SIZE_BYTES_MAX
from counterfoil.line_items.values import ATTRIBUTES_MAX, Refused

DOCUMENT_SIZE_BYTES_MAX: Final = 64 << 20  # several times that is needed to read one
# What the member of a page is called that holds its items, as `folded` leaves it: by v1, by Graph, by other tools.
HOLDERS: Final = frozenset({"items", "value", "lineitems", "data", "results"})
_NEXT: Final = frozenset({"@odata.nextlink", "odata.nextlink", "nextlink"})
_LINKS: Final = "links"
_TEXT: Final = rb'"(?:[^"\\]++|\\.)*+"'
_SPACE: Final = re.compile(rb"[ \t\r\n]*+")
_KEY: Final = re.compile(rb"(%s)[ \t\r\n]*+:[ \t\r\n]*+" % _TEXT, re.DOTALL)
_PLAIN_VALUE: Final = re.compile(rb'%s|[^\s,:"\[\]{}]++' % _TEXT, re.DOTALL)
_TO_BRACKET: Final = re.compile(rb'(?:[^"\[\]{}]++|%s)*+[\[\]{}]' % _TEXT, re.DOTALL)
_ARRAY_OF_OBJECTS: Final = re.compile(rb"\[[ \t\r\n]*+[{\]]")
_OPENING: Final = frozenset(b"[{")
_MEMBERS_MAX: Final = 1_000  # of a page, its items among them
_AT_ONCE: Final = 8_192
_AT_ONCE_SIZE_BYTES: Final = 4 << 20
# It yields items, and returns where the value that holds them ends.
_ItemsOfValue = Generator[bytes, None, int]
_REMEDY: Final = "Was it cut? Give it whole, or write one line item a line."


def items_of(document: bytes, following: list[str] | None = None) -> Iterator[bytes]:
    """Yield the items of a document, as they are written.

    `following` holds afterwards what the last page names as the one that follows, or nothing. Raises Refused where the
    document is none, or is not JSON around the items; `line` is the item's number, from 1.
    """
    count = 0
    try:
        for item in _items(document, [] if following is None else following):
            count += 1
            yield item
    except Refused as refused:
        refused.line = count + 1
        raise


def is_whole(line: bytes) -> bool:
    """Whether a line is one value by its brackets, be it JSON or not."""
    try:
        return _past_space(line, _value_end(line, _past_space(line, 0))) == len(line)
    except Refused:
        return False


def in_lists(items: Iterator[bytes]) -> Iterator[list[bytes]]:
    """Yield items some thousand at a time, and no more than some megabytes."""
    some: list[bytes] = []
    size_bytes = 0
    for item in items:
        some.append(item)
        size_bytes += len(item)
        if len(some) == _AT_ONCE or size_bytes > _AT_ONCE_SIZE_BYTES:
            yield some
            some, size_bytes = [], 0
    if some:
        yield some


def _items(document: bytes, following: list[str]) -> Iterator[bytes]:
    at = _past_space(document, 0)
    if document[at : at + 1] == b"[":
        end = _past_space(document, (yield from _items_of_array(document, at)))
        if end < len(document):
            raise _not_json("something follows its end")
        return
    is_page = _holder(document, at) is not None
    while True:
        if document[at : at + 1] != b"{":
            raise _not_json("it is neither an array nor an object" if at < len(document) else "it ends too early")
        if is_page:
            following.clear()
            end = yield from _items_of_page(document, at, following)
        else:
            end = _value_end(document, at)
            yield document[at:end]
        at = _past_space(document, end)
        if document[at : at + 1] == b",":
            at = _past_space(document, at + 1)
        if at == len(document):
            return


def _holder(document: bytes, begin: int) -> str | None:
    """Return the member of an object that holds items, None if it is an item itself; raises Refused."""
    if document[begin : begin + 1] != b"{":
        raise _not_json("it is neither an array nor an object")
    at = _past_space(document, begin + 1)
    for _ in range(ATTRIBUTES_MAX):
        key = _KEY.match(document, at)
        if key is None:
            return None
        name = folded(str(_decoded(key[1])))
        if name == "items" or (name in HOLDERS and _ARRAY_OF_OBJECTS.match(document, key.end())):
            return name
        at, is_last = _past_comma(document, _value_end(document, key.end()), b"}")
        if is_last:
            return None
    return None


def _items_of_page(document: bytes, begin: int, following: list[str]) -> _ItemsOfValue:
    holder = _holder(document, begin)
    at, found = _past_space(document, begin + 1), False
    if document[at : at + 1] == b"}" or holder is None:
        raise Refused("a JSON object without items", remedy=_REMEDY)
    for _ in range(_MEMBERS_MAX):
        key = _KEY.match(document, at)
        if key is None:
            raise _not_json("a member has no name")
        name = folded(str(_decoded(key[1])))
        if name == holder and found:
            raise Refused("given twice", attribute=holder, remedy="Keep one of the two.")
        if name == holder:
            found = True
            end = yield from _items_of_array(document, key.end())
        else:
            end = _value_end(document, key.end())
            value = _decoded(document[key.end() : end])
            if name in _NEXT or name == _LINKS:
                following += _link_in(value)
        at, is_last = _past_comma(document, end, b"}")
        if is_last:
            return at
    raise Refused(f"a page with more than {_MEMBERS_MAX:,} members beside its items", remedy=_REMEDY)


def _link_in(value: object) -> list[str]:
    """Return what names the page that follows: a text, or v1's `links`."""
    if isinstance(value, msgspec.Raw):
        links = msgspec.json.decode(value)
        following = links.get("next") if isinstance(links, dict) else None
        value = following.get("uri") if isinstance(following, dict) else following
    return [value] if isinstance(value, str) and value else []


def _items_of_array(document: bytes, begin: int) -> _ItemsOfValue:
    if document[begin : begin + 1] != b"[":
        raise _not_json("its items are no array")
    at = _past_space(document, begin + 1)
    if document[at : at + 1] == b"]":
        return at + 1
    is_last = False
    while not is_last:
        end = _value_end(document, at)
        yield document[at:end]
        at, is_last = _past_comma(document, end, b"]")
    return at


def _past_comma(document: bytes, at: int, closing: bytes) -> tuple[int, bool]:
    """Return where the next value may begin, or where this one ends, and whether it is the end."""
    at = _past_space(document, at)
    sign = document[at : at + 1]
    if sign not in (b",", closing):
        raise _not_json("a comma is missing" if sign else "it ends too early")
    return (at + 1, True) if sign == closing else (_past_space(document, at + 1), False)


def _value_end(document: bytes, begin: int) -> int:
    """Return where a value ends, by its brackets."""
    plain = _PLAIN_VALUE.match(document, begin)
    if plain is not None:
        return plain.end()
    if document[begin : begin + 1] not in (b"[", b"{"):
        raise _not_json("a value is missing" if begin < len(document) else "it ends too early")
    depth, at, most = 1, begin + 1, begin + LINE_SIZE_BYTES_MAX
    while depth:
        bracket = _TO_BRACKET.match(document, at, most)
        if bracket is None and most < len(document):
            raise Refused(f"an item of more than {LINE_SIZE_BYTES_MAX >> 20} MiB", remedy=_REMEDY)
        if bracket is None:
            raise _not_json("it ends within a value")
        at = bracket.end()
        depth += 1 if document[at - 1] in _OPENING else -1
    return at


def _past_space(document: bytes, at: int) -> int:
    space = _SPACE.match(document, at)
    assert space is not None  # it matches nothing as well
    return space.end()


def _decoded(raw: bytes) -> object:
    """Check that a member is JSON, and return its value if it is a text."""
    try:
        return msgspec.json.decode(raw, type=str if raw.startswith(b'"') else msgspec.Raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _not_json(str(error)) from error


def _not_json(why: str) -> Refused:
    return Refused(f"the document is not JSON: {why}", remedy=_REMEDY)
