"""Documents that carry their version and a digest: damage, other versions and other content are told apart."""

from __future__ import annotations

import json
import random
from typing import Any

import msgspec
import pytest

from counterfoil.disk.documents import (
    ChangedDocumentError,
    DocumentError,
    NewerDocumentError,
    OlderDocumentError,
    decode,
    digest_of,
    encode,
)


class Bill(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    bill_of: str
    amounts: dict[str, str]
    lines: int = 0


BILL = Bill("Müller \u2028 \x1f", {"EUR": "0.10", "USD": "-1"}, 7)
SEED = 20261127


def edited(**more: Any) -> bytes:
    body = {**json.loads(encode(BILL, 2)), **more}
    del body["digest"]
    return json.dumps(body | {"digest": digest_of(body)}).encode()


@pytest.mark.parametrize("indent", [None, 2])
def test_a_document_is_read_as_it_was_written_also_when_it_is_laid_out_anew(indent: int | None) -> None:
    data = encode(BILL, 2, indent=indent)
    assert decode(data, 2, Bill) == BILL
    assert decode(json.dumps(json.loads(data), indent=7, sort_keys=True).encode(), 2, Bill) == BILL
    assert data.count(b"\n") == (1 if indent is None else 10)


def test_every_flipped_bit_is_found() -> None:
    data = encode(BILL, 2)
    for place in range((len(data) - 1) * 8):
        damaged = bytearray(data)
        damaged[place // 8] ^= 1 << place % 8
        if json_of(bytes(damaged)) == json.loads(data):
            continue  # `\u001F` is written another way, and means the same
        with pytest.raises(DocumentError):
            decode(bytes(damaged), 2, Bill)


def json_of(data: bytes) -> object:
    try:
        return json.loads(data)
    except ValueError:
        return None


def test_random_bytes_and_deep_nesting_are_no_documents() -> None:
    dice = random.Random(SEED)
    for data in (b"", b"[]", b"null", b"[" * 100_000, b'{"version":' * 5_000, *(dice.randbytes(50) for _ in range(99))):
        with pytest.raises(DocumentError):
            decode(data, 2, Bill)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (edited(version=3), NewerDocumentError),
        (edited(version=1), OlderDocumentError),
        (edited(version=True), DocumentError),
        (edited(version="2"), DocumentError),
        (b'{"billOf": "", "amounts": {}}', DocumentError),
        (edited(lines=8).replace(b'"lines": 8', b'"lines": 7'), ChangedDocumentError),
        (edited(lines="7"), DocumentError),
        (edited(more=1), DocumentError),
        (edited(amounts={"EUR": 0.1}), DocumentError),
    ],
)
def test_what_is_wrong_is_told_apart(data: bytes, error: type[DocumentError]) -> None:
    with pytest.raises(DocumentError) as caught:
        decode(data, 2, Bill)
    assert type(caught.value) is error
