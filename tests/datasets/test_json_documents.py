"""Documents are cut into the same items that a parser finds in them, and what is no document is refused."""

from __future__ import annotations

import json
import random

import msgspec
import pytest

from counterfoil.datasets.json_documents import in_lists, items_of
from counterfoil.line_items.values import Refused

SEED = 20261128
SIGNS = b'{}[],:"\\ \n0a'


def by_parser(document: bytes) -> list[bytes]:
    """The items as msgspec finds them, which parses all of the document; raises ValueError."""
    if document.lstrip().startswith(b"["):
        raw = msgspec.json.decode(document, type=list[msgspec.Raw])
    else:
        pairs = [(name.lower(), value) for name, value in json.loads(document, object_pairs_hook=lambda pairs: pairs)]
        if sum(name == "items" for name, _ in pairs) != 1:
            raise ValueError("no items, or twice")
        members = msgspec.json.decode(document, type=dict[str, msgspec.Raw])
        raw = msgspec.json.decode(
            next(value for name, value in members.items() if name.lower() == "items"), type=list[msgspec.Raw]
        )
    return [bytes(item) for item in raw]


@pytest.mark.parametrize(
    "document",
    [
        b"[]",
        b' [ {"a":1} , {"b":"]}\\"["} ] \n',
        b'{"totalCount":2,"items":[{"a":[[],{"b":{}}]},{}],"links":{"next":{"uri":"/x]"}}}',
        b'{"Items":[1,"text",null,true,-1.5e3]}',
        b'{"items":[{"a":"\xc3\xa9\\\\"}]}',
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
        (b'{"totalCount":0}', 1, "a JSON object without items"),
        (b"{ }", 1, "a JSON object without items"),
        (b'"items"', 1, "neither an array nor an object"),
        (b"", 1, "neither an array nor an object"),
        (b'[{"a":"' + b"x" * (4 << 20) + b'"}]', 1, "an item of more than 4 MiB"),
        (b"{" + b'"a":0,' * 2_000 + b'"items":[]}', 1, "more than 1,000 members"),
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
