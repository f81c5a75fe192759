"""Continuation tokens: what one says is what was signed, for one partner, one query and one day."""

from __future__ import annotations

import base64
import re
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from counterfoil.errors import BadRequestError
from counterfoil.wire.blob_links import sign_directory
from counterfoil.wire.tokens import (
    Continuation,
    Keyring,
    Position,
    decode_continuation,
    encode_continuation,
)

KEYRING = Keyring({"k1": b"k" * 32})
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
PARTNER = "0e195b37-4574-4539-bc42-0e539b9684c0"
OTHER_PARTNER = "11111111-2222-3333-4444-555555555555"
QUERY = bytes(range(16))
TOKEN = Continuation(PARTNER, QUERY, "0123456789abcdef" * 2, Position(3, 70_000, 1_999), int(NOW.timestamp()) + 86_400)


def decode(text: str, *, keyring: Keyring = KEYRING, partner: str = PARTNER, query: bytes = QUERY) -> Continuation:
    return decode_continuation(keyring, text, partner=partner, query=query, now=NOW)


def refusal(text: str, **given: str | bytes | Keyring) -> str:
    with pytest.raises(BadRequestError) as caught:
        decode(text, **given)  # type: ignore[arg-type]
    assert caught.value.code == "3000"
    assert caught.value.parameter == "MS-ContinuationToken"
    assert "Start over with the first page" in caught.value.message
    return caught.value.message


u32 = st.integers(0, 2**32 - 1)


@given(
    st.builds(
        Continuation,
        partner=st.uuids().map(str),
        query=st.binary(min_size=16, max_size=16),
        revision_id=st.uuids().map(lambda each: each.hex),
        position=st.builds(Position, u32, u32, u32),
        expires_at=st.integers(int(NOW.timestamp()) + 1, 2**64 - 1),
    )
)
def test_a_token_says_what_was_put_in_and_fits_a_header(continuation: Continuation) -> None:
    keyring = Keyring({"sixteen-long-id_": b"k" * 32})
    text = encode_continuation(keyring, continuation)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,250}", text)
    assert decode(text, keyring=keyring, partner=continuation.partner, query=continuation.query) == continuation


def test_a_token_hides_its_partner() -> None:
    assert encode_continuation(KEYRING, TOKEN) != encode_continuation(KEYRING, replace(TOKEN, partner=OTHER_PARTNER))
    assert len(encode_continuation(KEYRING, TOKEN)) == len(
        encode_continuation(KEYRING, replace(TOKEN, partner="any length"))
    )


def test_another_partners_token_is_refused_in_the_very_words_of_a_forged_one() -> None:
    foreign = refusal(encode_continuation(KEYRING, TOKEN), partner=OTHER_PARTNER)
    assert foreign == refusal("AQAAAA==") == refusal("A" * 136)
    # ... also when the query differs or the time is over: nothing is said before the partner is known to be right.
    assert foreign == refusal(encode_continuation(KEYRING, TOKEN), partner=OTHER_PARTNER, query=b"x" * 16)
    expired = encode_continuation(KEYRING, replace(TOKEN, expires_at=1))
    assert foreign == refusal(expired, partner=OTHER_PARTNER)


def test_a_token_of_another_query_is_refused_and_says_so() -> None:
    assert "other parameters" in refusal(encode_continuation(KEYRING, TOKEN), query=b"x" * 16)


def test_a_token_expires_at_its_second() -> None:
    edge = int(NOW.timestamp())
    assert "expired" in refusal(encode_continuation(KEYRING, replace(TOKEN, expires_at=edge)))
    assert decode(encode_continuation(KEYRING, replace(TOKEN, expires_at=edge + 1))).expires_at == edge + 1


def test_every_character_of_a_token_is_signed() -> None:
    text = encode_continuation(KEYRING, TOKEN)
    for at, old in enumerate(text):
        for new in "AZaz09-_=. ":
            if new != old:
                refusal(text[:at] + new + text[at + 1 :])
    for end in range(len(text)):
        refusal(text[:end])
    for more in ("A", "=", "==", "\n", " ", "\u0660"):
        refusal(text + more)


def test_a_token_survives_rotation_and_dies_with_its_key() -> None:
    text = encode_continuation(KEYRING, TOKEN)
    assert decode(text, keyring=Keyring({"k2": b"l" * 32, "k1": b"k" * 32})) == TOKEN
    refusal(text, keyring=Keyring({"k2": b"l" * 32}))
    refusal(text, keyring=Keyring({"k1": b"l" * 32}))


def test_a_link_signature_is_no_continuation_token() -> None:
    link = sign_directory(KEYRING, "/blobs/a/b/full", now=NOW, expires_at=NOW + timedelta(hours=12))
    refusal(link)
    refusal(link.rpartition("sig=")[2])


@given(st.one_of(st.text(), st.text("ABCDEFabcdef0123-_=", max_size=300)))
@example("\udc80")
@example("A" * 10_000_000)
@example("AQ")
def test_any_text_is_refused_and_nothing_else_is_raised(text: str) -> None:
    refusal(text)


@given(st.binary(min_size=1, max_size=187))
def test_any_bytes_are_refused_and_nothing_else_is_raised(data: bytes) -> None:
    refusal(base64.urlsafe_b64encode(b"\x01" + data).decode().rstrip("="))


def test_decoding_takes_microseconds() -> None:
    """The floor is 15 us on an idle core; the best of many rounds says it even on a busy machine."""
    text = encode_continuation(KEYRING, TOKEN)
    best = float("inf")
    for _ in range(50):
        begun = time.perf_counter()
        for _ in range(100):
            decode(text)
        best = min(best, (time.perf_counter() - begun) / 100)
    assert best < 30e-6
