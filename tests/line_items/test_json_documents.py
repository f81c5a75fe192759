"""Documents are cut into the same items that a parser finds in them, and what is no document is refused."""

from __future__ import annotations

import json
import random

import msgspec
import pytest

from counterfoil.columns import folded
from counterfoil.line_items.json_documents import in_lists, items_of
from counterfoil.line_items.values import Refused

SEED = 20261128
SIGNS = b'{}[],:"\\ \n0a'


def by_parser(document: bytes) -> list[bytes]:
    """The items as two parsers find them, which parse all of the document; raises ValueError."""
    if document.lstrip().startswith(b"["):
        return [bytes(item) for item in msgspec.json.decode(document, type=list[msgspec.Raw])]
    decoder, text, at = json.JSONDecoder(object_pairs_hook=lambda pairs: pairs), document.decode(), 0
    items: list[bytes] = []
    is_page: bool | None = None
    while True:
        at += len(text[at:]) - len(text[at:].lstrip())
        if text[at : at + 1] != "{":
            raise ValueError("no object")
        pairs, end = decoder.raw_decode(text, at)
        holders = [name for name, _ in pairs if folded(name) == "items"]
        is_page = bool(holders) if is_page is None else is_page
        if is_page and len(holders) != 1:
            raise ValueError("no items, or twice")
        if is_page:
            members = msgspec.json.decode(text[at:end], type=dict[str, msgspec.Raw])
            items += [bytes(item) for item in msgspec.json.decode(members[holders[0]], type=list[msgspec.Raw])]
        else:
            items.append(text[at:end].encode())
        at = end + len(text[end:]) - len(text[end:].lstrip())
        at += text[at : at + 1] == ","
        if not text[at:].strip():
            return items


@pytest.mark.parametrize(
    "document",
    [
        b"[]",
        b' [ {"a":1} , {"b":"]}\\"["} ] \n',
        b'{"totalCount":2,"items":[{"a":[[],{"b":{}}]},{}],"links":{"next":{"uri":"/x]"}}}',
        b'{"Items":[1,"text",null,true,-1.5e3]}',
        b'{"items":[{"a":"\xc3\xa9\\\\"}]}',
        b'{"totalCount":0}',
        b'{"a":1}{"a":[2]}\n{"a": "}"} ',
        b'{"a":1},\n{"a":2},\n',
        b'{\n "a": {"b": 1}\n}\n{\n "a": 2\n}\n',
        b'{"items":[{"a":1}]}{"items":[]},{"items":[{"a":2}]}',
    ],
)
def test_items_are_as_they_are_written(document: bytes) -> None:
    assert list(items_of(document)) == by_parser(document)


@pytest.mark.parametrize(
    ("document", "item", "reason"),
    [
        (b'[{"a":1}', 2, "it ends too early"),
        (b'[{"a":1},', 2, "it ends too early"),
        (b'[{"a":1},]', 2, "a value is missing"),
        (b'[{"a":1} {"b":2}]', 2, "a comma is missing"),
        (b'[{"a":"', 1, "it ends within a value"),
        (b'[{"a":1}] [', 2, "something follows its end"),
        (b'{"items":[{}],"items":[{}]}', 2, "given twice"),
        (b'{"items":[{}],"Items":[]}', 2, "given twice"),
        (b'{"items":[{}],"next":nothing}', 2, "JSON is malformed"),
        (b'{"items":[{}],next:1}', 2, "a member has no name"),
        (b'{"items":{}}', 1, "its items are no array"),
        (b'{"items":[1]}{"totalCount":0}', 2, "a JSON object without items"),
        (b'{"a":1}{"a":2', 2, "it ends within a value"),
        (b'{"a":1} 5', 2, "neither an array nor an object"),
        (b'{"a":1},,{"a":2}', 2, "neither an array nor an object"),
        (b'"items"', 1, "neither an array nor an object"),
        (b"", 1, "neither an array nor an object"),
        (b'[{"a":"' + b"x" * (4 << 20) + b'"}]', 1, "an item of more than 4 MiB"),
        (b'{"items":[],' + b'"a":0,' * 2_000 + b'"b":0}', 1, "more than 1,000 members"),
    ],
)
def test_what_is_no_document_is_refused_with_the_number_of_the_item(document: bytes, item: int, reason: str) -> None:
    with pytest.raises(Refused, match=reason) as refused:
        list(items_of(document))
    assert refused.value.line == item


def test_changed_documents_are_cut_as_a_parser_cuts_them() -> None:
    # What is within an item is judged by who reads the item, so only documents whose items are JSON are compared.
    chance = random.Random(SEED)
    page = b'{"totalCount": 2, "items": [{"a": "x,]}", "b": [1, {"c": null}]}, {"d": "\\"\\\\"}], "links": {"s": []}}'
    accepted = refused = 0
    for _ in range(20_000):
        document = bytearray(page if chance.random() < 0.5 else page[page.index(b"[") : page.index(b', "links')])
        for _ in range(chance.randint(0, 2)):
            at = chance.randrange(len(document))
            document[at : at + chance.randint(0, 2)] = bytes(chance.choices(SIGNS, k=chance.randint(0, 2)))
        try:
            expected = by_parser(bytes(document))
        except ValueError:
            with pytest.raises((Refused, ValueError)):
                list(map(msgspec.json.decode, items_of(bytes(document))))
            refused += 1
        else:
            assert list(items_of(bytes(document))) == expected, document
            accepted += 1
    assert min(accepted, refused) > 2_000


def test_lists_are_bounded_in_items_and_in_bytes() -> None:
    assert [len(some) for some in in_lists(iter([b"{}"] * 20_000))] == [8_192, 8_192, 3_616]
    assert [len(some) for some in in_lists(iter([b"x" * (1 << 20)] * 12))] == [5, 5, 2]
