"""The pure rules: where a secret may go, what an error may show, how long to wait, what may be asked for."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from counterfoil.client import ClientCredentials, ask_billed, ask_unbilled
from counterfoil.client.protocol.addresses import Base, check_blob_url, shown
from counterfoil.client.protocol.error_answers import read_error, refused
from counterfoil.client.protocol.messages import Request, SourceAnswer, retry_after_s
from counterfoil.client.protocol.retries import Patience
from counterfoil.errors import ProofError, RefusedError, UsageError
from counterfoil.model import Kind
from counterfoil.wire.graph import Period
from tests.client.hostile_source import Canned, HostileSource

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
GRAPH = Base.parse("https://graph.microsoft.com")


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("https://graph.microsoft.com/v1.0/", "https://graph.microsoft.com"),
        ("https://GRAPH.microsoft.com:443", "https://graph.microsoft.com"),
        ("http://localhost:8080/v1", "http://localhost:8080"),
        ("http://[::1]:8080/beta", "http://[::1]:8080"),
        ("https://example.com/counterfoil/", "https://example.com/counterfoil"),
    ],
)
def test_a_base_url_loses_what_the_apis_add(given: str, base: str) -> None:
    assert str(Base.parse(given)) == base


@pytest.mark.parametrize(
    "url",
    [
        "http://graph.microsoft.com",
        "http://10.0.0.1:8080",
        "http://localhost.evil.example",
        "https://user@example.com",
        "https://example.com/?x=1",
        "ftp://example.com",
        "graph.microsoft.com",
        "https://",
        "https://example.com:99999",
        "https://[x",
        "https://xn--",
        "https://exam ple",
        "https://\ud800",
        "http://127.1:8080",
        "http://2130706433",
        "http://0x7f000001",
    ],
)
def test_a_base_url_that_would_give_a_token_away_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        Base.parse(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://graph.microsoft.com.evil.example/x",
        "http://graph.microsoft.com/x",
        "https://graph.microsoft.com:8443/x",
        "https://graph.microsoft.com@evil.example/x",
        "//evil.example/x",
        "https:\\\\evil.example/x\n",
        "javascript:1",
        "http://[x",
    ],
)
def test_an_address_of_another_origin_is_not_the_sources_own(url: str) -> None:
    try:
        own = GRAPH.own(url, "The link")
    except ProofError:
        return
    assert own.startswith("https://graph.microsoft.com/")


def test_addresses_of_the_source_may_be_relative() -> None:
    assert GRAPH.own("/v1.0/x", "The link") == "https://graph.microsoft.com/v1.0/x"


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://account.blob.core.windows.net/c/x?sig=1", True),
        ("http://account.blob.core.windows.net/c/x?sig=1", False),
        ("https://127.0.0.1/x", False),
        ("https://169.254.169.254/latest", False),
        ("https://10.1.2.3/x", False),
        ("https://[::ffff:10.1.2.3]/x", False),
        ("https://localhost/x", False),
        ("https://127.1/x", False),
        ("https://2130706433/x", False),
        ("https://0x7f000001/x", False),
        ("https://0x7f.1./x", False),
        ("https://0/x", False),
        ("https://[64:ff9b::7f00:1]/x", False),
        ("https://[2002:7f00:1::]/x", False),
        ("https://xn--/x", False),
        ("https://\ud800/x", False),
        ("https://a..b/x", False),
        ("https://xn--bcher-kva.example/x", True),
        ("https://1.example/x", True),
        ("https://[64:ff9b::808:808]/x", True),
        ("https://8.8.8.8/x", True),
        ("https://u@account.blob.core.windows.net/x", False),
        ("file:///etc/passwd", False),
    ],
)
def test_blob_links_may_not_lead_into_this_network_or_over_plain_http(url: str, good: bool) -> None:
    if good:
        assert check_blob_url(GRAPH, url) == url
    else:
        with pytest.raises(ProofError):
            check_blob_url(GRAPH, url)


def test_nothing_secret_and_nothing_that_moves_a_cursor_is_shown() -> None:
    text = shown("GET https://h/p?sig=abc%3D failed\x1b[2J with Bearer t0k.en and sig=xyz and eyJhbGciOiJSUzI1NiJ9.a.b")
    assert text == "GET https://h/p failed [2J with ... and ... and ..."
    assert len(shown("x" * 5000)) == 300


@pytest.mark.parametrize(
    ("text", "wait_s"),
    [
        ("5", 5.0),
        ("2.128", 2.128),
        ("Sat, 21 Nov 2026 12:00:30 GMT", 30.0),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0.0),
        ("", None),
        ("-5", None),
        ("nan", None),
        ("inf", None),
        ("1e9", None),
        ("soon", None),
        ("Mon, 1 Jan 2024 00:00:00 +99999999999999999999", None),
        ("٣", None),
    ],
)
def test_retry_after_is_read_in_every_form_and_nonsense_is_none(text: str, wait_s: float | None) -> None:
    assert retry_after_s({"retry-after": text}, NOW) == wait_s


def test_waits_double_are_jittered_and_end() -> None:
    low, high = Patience(draw=lambda: 0.0), Patience(draw=lambda: 1.0)
    assert [low.wait_s(made, None) for made in range(1, 7)] == [0.25, 0.5, 1.0, 2.0, 4.0, None]
    assert [high.wait_s(made, None) for made in range(1, 7)] == [0.5, 1.0, 2.0, 4.0, 8.0, None]
    assert low.wait_s(1, 60.0) == 60.0
    assert low.wait_s(1, 121.0) is None


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (b'{"error":{"code":"BadRequest","message":"m"}}', "BadRequest", "m"),
        (b'{"code":"3000","description":"d","data":[],"source":"s"}', "3000", "d"),
        (b'{"statusCode":429,"message":"Rate limit is exceeded."}', "429", "Rate limit is exceeded."),
        (b'{"message":"The request is invalid."}', "", "The request is invalid."),
        (b"<?xml version='1.0'?><Error><Code>C</Code><Message>M</Message></Error>", "C", "M"),
        (b'{"error":"invalid_client","error_description":"AADSTS7000215"}', "invalid_client", "AADSTS7000215"),
        (b"<html>gateway</html>", "", ""),
        (b"", "", ""),
        (b"[1]", "", ""),
        (b"\xff\xfe", "", "\ufffd\ufffd"),
    ],
)
def test_every_error_body_is_read(body: bytes, code: str, message: str) -> None:
    assert read_error(body) == (code, message)


def test_a_refusal_names_the_missing_permission() -> None:
    answer = SourceAnswer(Request("GET", "https://h/p?sig=1"), 403, {"request-id": "r"}, b"")
    error = refused(answer)
    assert "PartnerBilling.Read.All" in error.remedy
    assert "sig" not in str(error)


@pytest.mark.parametrize(
    ("period", "asked"),
    [
        ("current", Period.CURRENT),
        ("LAST", Period.LAST),
        ("previous", Period.LAST),
        ("2026-11", Period.CURRENT),
        ("2026-10", Period.LAST),
    ],
)
def test_months_become_the_words_that_sources_know(period: str, asked: Period) -> None:
    ask = ask_unbilled(Kind.USAGE, period, "eur", now=NOW)
    assert (ask.period, ask.currency) == (asked, "EUR")


@pytest.mark.parametrize(
    ("period", "currency"), [("2026-09", "EUR"), ("2026-13", "EUR"), ("last", "EURO"), ("", "EUR")]
)
def test_what_no_source_offers_is_refused(period: str, currency: str) -> None:
    with pytest.raises(UsageError):
        ask_unbilled(Kind.USAGE, period, currency, now=NOW)


def test_an_invoice_id_is_checked() -> None:
    assert ask_billed(Kind.USAGE, "g016907411").invoice == "G016907411"
    with pytest.raises(UsageError):
        ask_billed(Kind.USAGE, "G 1")


def credentials(source: HostileSource, patience: Patience, now: list[float]) -> ClientCredentials:
    return ClientCredentials(
        source.url,
        tenant="0e195b37-4574-4539-bc42-0e539b9684c0",
        client_id="the-client",
        client_secret="s&cret",
        patience=patience,
        monotonic=lambda: now[0],
    )


def test_a_token_is_kept_until_shortly_before_it_ends(source: HostileSource, patience: Patience) -> None:
    source.canned["other"] += [
        Canned(200, {}, b'{"access_token":"one","expires_in":3600}'),
        Canned(200, {}, b'{"access_token":"two","expires_in":"3600"}'),
    ]
    now = [0.0]
    token = credentials(source, patience, now)
    assert [token(), token()] == ["one", "one"]
    now[0] = 3481.0
    assert token() == "two"
    assert source.calls[0].path == "/0e195b37-4574-4539-bc42-0e539b9684c0/oauth2/v2.0/token"
    assert b"client_secret=s%26cret" in source.calls[0].body
    assert b"scope=api%3A%2F%2Fcounterfoil%2F.default" in source.calls[0].body


def test_a_refused_sign_in_says_why_and_not_the_secret(source: HostileSource, patience: Patience) -> None:
    body = b'{"error":"invalid_client","error_description":"AADSTS7000215: client_secret=s%26cret is wrong"}'
    source.canned["other"].append(Canned(401, {}, body))
    with pytest.raises(RefusedError, match="invalid_client: AADSTS7000215") as caught:
        credentials(source, patience, [0.0])()
    assert "s%26cret" not in str(caught.value)
