"""Every bad request for pages or blobs, one line each, and what exactly it gets: status, code and error shape."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from http.client import HTTPConnection
from urllib.parse import urlsplit

import httpx
import pytest

from counterfoil.periods import utc_now
from counterfoil.testing import PARTNER
from counterfoil.wire.blob_links import sign_directory
from counterfoil.wire.tokens import decode_continuation, encode_continuation
from counterfoil.wire.v1 import read_path, read_query
from tests.end_to_end.asking import QUERY, USAGE, Place, prepared
from tests.end_to_end.fetching import LINE_ITEMS
from tests.end_to_end.refusals import assert_partner_center, assert_storage


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with prepared() as made:
        yield made


V1_QUERIES = [
    ("currencycode=EUR", "currencycode=", "currencycode"),
    ("currencycode=EUR&", "", "currencycode"),
    ("currencycode=EUR", "currencycode=EURO", "currencycode"),
    ("currencycode=EUR", "currencycode=%E2%82%AC", "currencycode"),
    ("period=current", "period=last", "period"),
    ("period=current", "period=2026-11", "period"),
    ("period=current", "period=unknownFutureValue", "period"),
    ("&period=current", "", "period"),
    ("size=30", "size=0", "size"),
    ("size=30", "size=-1", "size"),
    ("size=30", "size=1e3", "size"),
    ("size=30", "size=2.5", "size"),
    ("size=30", "size=%D9%A3", "size"),
    ("size=30", "size=all", "size"),
    ("size=30", "seekOperation=Previous", "seekOperation"),
    ("size=30", "seekOperation=Next", "MS-ContinuationToken"),
    ("provider=onetime", "provider=azure", "provider"),
    ("provider=onetime&", "", "provider"),
    ("usagelineitems", "billinglineitems&provider=marketplace", ""),
    ("usagelineitems", "lineitems", "invoicelineitemtype"),
    ("invoicelineitemtype=usagelineitems&", "", "invoicelineitemtype"),
    ("size=30", "hasPartnerEarnedCredit=maybe", "hasPartnerEarnedCredit"),
    ("size=30", "x=" + "y" * 4_096, "query"),
]


@pytest.mark.parametrize(("good", "bad", "named"), V1_QUERIES)
def test_a_query_that_cannot_be_right(place: Place, good: str, bad: str, named: str) -> None:
    query = QUERY.replace(good, bad)
    assert query != QUERY
    answer = place.center(f"{LINE_ITEMS}?{query}")
    if not named:  # the first of a doubled parameter counts
        assert answer.status_code == 200
    else:
        assert named in assert_partner_center(answer, 400, "3000")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (f"{LINE_ITEMS}/onetime", 404, "1000"),
        (f"{LINE_ITEMS}/onetime/usagelineitems/more", 404, "1000"),
        (f"{LINE_ITEMS}/azure/usagelineitems?currencycode=EUR&period=current", 400, "3000"),
        ("/v1/invoices/other-unbilled/lineitems", 404, "1000"),
        ("/v1/invoices/G016907411/lineitems", 501, "0"),
        ("/v1/invoices", 501, "0"),
        ("/v1/customers", 501, "0"),
        ("/v1", 501, "0"),
        (f"{LINE_ITEMS}?q={'x' * 9_000}", 413, "3000"),
    ],
)
def test_an_address_that_leads_nowhere_in_v1(place: Place, path: str, status: int, code: str) -> None:
    assert_partner_center(place.center(path), status, code)


@pytest.mark.parametrize(
    ("method", "headers", "status", "code"),
    [
        ("POST", {}, 405, "3000"),
        ("PUT", {}, 405, "3000"),
        ("DELETE", {}, 405, "3000"),
        ("OPTIONS", {}, 405, "3000"),
        ("GET", {"Accept": "application/xml"}, 406, "3000"),
        ("GET", {"Accept": "application/json;q=0"}, 406, "3000"),
        ("GET", {"MS_Contract_Version": "v2"}, 400, "3000"),
        ("GET", {"X_Long": "x" * 33_000}, 413, "3000"),
    ],
)
def test_a_request_that_v1_does_not_take(
    place: Place, method: str, headers: dict[str, str], status: int, code: str
) -> None:
    assert_partner_center(place.center(USAGE, method=method, **headers), status, code)


def continuations(place: Place) -> dict[str, tuple[str, str, str]]:
    """Tokens that are not good: each with the query it is sent with, and what is said of it."""
    keyring, good = place.server.service.keyring, place.token
    digest = read_query(read_path(LINE_ITEMS), QUERY.encode()).digest
    held = decode_continuation(keyring, good, partner=PARTNER, query=digest, now=utc_now())
    expired = type(held)(held.partner, held.query, held.revision_id, held.position, int(utc_now().timestamp()) - 1)
    others = type(held)("11111111-2222-3333-4444-555555555555", digest, held.revision_id, held.position, 2**33)
    signature = re.search(r"sig=([^&]+)", place.link)
    assert signature is not None
    return {
        "expired": (encode_continuation(keyring, expired), QUERY, "has expired"),
        "of another partner": (encode_continuation(keyring, others), QUERY, "is not one that"),
        "cut": (good[:-1], QUERY, "is not one that"),
        "longer": (good + "A", QUERY, "is not one that"),
        "changed": (good[:40] + ("A" if good[40] != "A" else "B") + good[41:], QUERY, "is not one that"),
        "doubled": (f"{good}, {good}", QUERY, "is not one that"),
        "another text": ("nonsense", QUERY, "is not one that"),
        "with letters of no token": ("%2F..%2F..", QUERY, "is not one that"),
        "very long": ("A" * 10_000, QUERY, "is not one that"),
        "a blob's link": (place.link, QUERY, "is not one that"),
        "a blob link's signature": (signature[1], QUERY, "is not one that"),
        "a bearer token": (place.server.token("partner-center"), QUERY, "is not one that"),
        "of another currency": (good, QUERY.replace("EUR", "USD"), "belongs to a query with other parameters"),
        "of another month": (good, QUERY.replace("current", "previous"), "belongs to a query"),
        "of the other kind": (good, QUERY.replace("usagel", "billingl"), "belongs to a query"),
        "of another filter": (good, QUERY + "&hasPartnerEarnedCredit=true", "belongs to a query"),
    }


def test_a_continuation_token_that_is_not_good(place: Place) -> None:
    assert place.center(USAGE, MS_ContinuationToken=place.token).status_code == 200
    for what, (token, query, said) in continuations(place).items():
        for seek in ("", "&seekOperation=Next"):
            answer = place.center(f"{LINE_ITEMS}?{query}{seek}", MS_ContinuationToken=token)
            message = assert_partner_center(answer, 400, "3000")
            assert said in message, what
            assert "Start over with the first page" in message


def test_a_link_that_is_not_good(place: Place) -> None:
    keyring, path = place.server.service.keyring, place.blob.rpartition("/")[0]
    now, hour = utc_now(), timedelta(hours=1)
    good = place.link
    assert place.client.get(f"{place.blob}?{good}").status_code == 200
    for what, link in {
        "none": "",
        "expired": sign_directory(keyring, path, now=now - 2 * hour, expires_at=now - hour),
        "not valid yet": sign_directory(keyring, path, now=now + hour, expires_at=now + 2 * hour),
        "for another directory": sign_directory(keyring, path.replace("full", "basic"), now=now, expires_at=now + hour),
        "for the directory above": sign_directory(
            keyring, path.rpartition("/")[0] + "/x", now=now, expires_at=now + hour
        ),
        "for the blob as a directory": sign_directory(keyring, place.blob, now=now, expires_at=now + hour),
        "with more permissions": good.replace("sp=rl", "sp=racwdl"),
        "with a later end": re.sub(r"se=\d{4}", "se=2099", good),
        "with another depth": good.replace("sdd=3", "sdd=2"),
        "with an endless depth": good.replace("sdd=3", "sdd=99999999999"),
        "of another key": re.sub(r"si=[^&]+", "si=other", good),
        "with its signature cut": good[:-1],
        "without its signature": re.sub(r"&sig=.*", "", good),
        "with a parameter twice": good + "&sp=r",
        "with another parameter": good + "&rscd=inline",
        "with a version beside a cut signature": good[:-1] + "&versionid=1",
        "with a parameter in capitals": good.replace("sp=r", "SP=r"),
        "a continuation token as its signature": re.sub(r"sig=.*", f"sig={place.token}", good),
        "a bearer token": f"sig={place.server.token()}",
        "very long": good + "&x=" + "y" * 3_000,
    }.items():
        assert link != good, what
        for method in ("GET", "HEAD"):
            answer = place.client.request(method, f"{place.blob}?{link}", headers=place.fetch.graph)
            if method == "GET":
                assert_storage(answer, 403, "AuthenticationFailed")
            assert (answer.status_code, answer.headers["x-ms-error-code"]) == (403, "AuthenticationFailed"), what


def test_a_blob_name_that_leads_elsewhere(place: Place) -> None:
    """Encoded slashes and dots are refused by their spelling alone, whatever they would lead to."""
    root, _, name = place.blob.rpartition("/")
    for path in (
        f"{root}/../full/{name}",
        f"{root}/%2e%2e/full/{name}",
        f"{root}/..%2Ffull%2F{name}",
        f"{root}%252F{name}",
        f"{root}%2F%2F{name}",
        f"{root}/%2F{name}",
        f"{root}/x%2F..%2F{name}",
        f"{root}/%252e%252e%252f{name}",
        f"{root}/..%5C{name}",
        f"{root}/{name}%00",
        f"{root}/{name}%0A",
        f"{root}/.{name}",
        f"{root}/..",
        f"{root}/{name}/",
        f"{root}/{name}/{name}",
        f"{root}/{name}%",
        f"{root}/{'x' * 200}",
        f"{root}/{'%78' * 400}",
        f"{root.replace('full', 'basic2')}/{name}",
        f"/blobs/{PARTNER.upper()}{root[43:]}/{name}",
        "/blobs/../catalog.sqlite",
        "/blobs/..%2F..%2Fsecret",
        "/blobs/%2e%2e/%2e%2e/etc/passwd",
        "/blobs//etc/passwd",
    ):
        with closing(HTTPConnection(urlsplit(place.server.url).netloc, timeout=60)) as connection:
            connection.request("GET", f"{path}?{place.link}")  # which tidies nothing, other than httpx
            told = connection.getresponse()
            answer = httpx.Response(told.status, headers=told.getheaders(), content=told.read())
        assert_storage(answer, 400, "InvalidUri")


@pytest.mark.parametrize(
    ("method", "headers", "status", "code"),
    [
        ("PUT", {}, 405, "UnsupportedHttpVerb"),
        ("POST", {}, 405, "UnsupportedHttpVerb"),
        ("DELETE", {}, 405, "UnsupportedHttpVerb"),
        ("GET", {"Range": "bytes=99999999-"}, 416, "InvalidRange"),
        ("GET", {"Range": "bytes=-0"}, 416, "InvalidRange"),
        ("GET", {"x-ms-range": "bytes=99999999-"}, 416, "InvalidRange"),
        ("GET", {"If-Match": '"another"'}, 412, "ConditionNotMet"),
        ("GET", {"If-Unmodified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"}, 412, "ConditionNotMet"),
        ("GET", {"X-Long": "x" * 33_000}, 413, "InvalidInput"),
    ],
)
def test_a_request_that_no_blob_takes(
    place: Place, method: str, headers: dict[str, str], status: int, code: str
) -> None:
    answer = place.client.request(method, f"{place.blob}?{place.link}", headers=headers)
    assert_storage(answer, status, code)


@pytest.mark.parametrize(
    "wanted", ["lines=1-2", "bytes=5-1", "bytes=a-b", "bytes=0-1,4-5", "bytes", "bytes=" + "9" * 30]
)
def test_a_range_that_is_none_is_ignored(place: Place, wanted: str) -> None:
    answer = place.client.get(f"{place.blob}?{place.link}", headers={"Range": wanted})
    assert answer.status_code == 200
