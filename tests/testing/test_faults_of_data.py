"""Faults of pages, and other spellings of line items, each as its entry of the catalogue describes it."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
import pytest

from counterfoil.columns import Type, table_of
from counterfoil.model import Kind
from counterfoil.testing.faults.fault_plan import FAULTS
from tests.testing.fault_calls import LINE_ITEMS, PAGE_SIZE, Calls

TABLE: Final = table_of(Kind.USAGE)
PAGES: Final = LINE_ITEMS // PAGE_SIZE
Item = dict[str, Any]


def items(pages: list[dict[str, Any]]) -> list[list[Item]]:
    return [page["items"] for page in pages]


def tokens(page: dict[str, Any]) -> tuple[str | None, str | None]:
    following = page["links"].get("next")
    return page.get("continuationToken"), following["headers"][0]["value"] if following else None


def page_repeated(calls: Calls, right: list[list[Item]]) -> None:
    calls.server.fail("page-repeated")
    assert items(calls.pages()) == [right[0], right[0], *right[1:]]


def page_skipped(calls: Calls, right: list[list[Item]]) -> None:
    calls.server.fail("page-skipped", at=3)
    assert items(calls.pages()) == [*right[:2], *right[3:]]


def page_reordered(calls: Calls, right: list[list[Item]]) -> None:
    calls.server.fail("page-reordered")
    assert items(calls.pages()) == [right[0], right[2], right[1], *right[3:]]


def page_looping(calls: Calls, right: list[list[Item]]) -> None:
    calls.server.fail("page-looping")
    pages = calls.pages(limit=9)
    assert items(pages) == [right[0], *[right[1]] * 8]
    assert len(set(map(tokens, pages[1:]))) == 1
    assert len(set(tokens(pages[2]))) == 1


def page_ends_early(calls: Calls, right: list[list[Item]]) -> None:
    calls.server.fail("page-ends-early", at=2)
    pages = calls.pages()
    assert items(pages) == right[:2]
    assert tokens(pages[-1]) == (None, None)


def page_without_link(calls: Calls, right: list[list[Item]]) -> None:
    calls.server.fail("page-without-link")
    pages = calls.pages()
    assert items(pages) == right
    assert all(tokens(page)[0] and tokens(page)[1] is None for page in pages[:-1])


def page_without_token(calls: Calls, right: list[list[Item]]) -> None:
    calls.server.fail("page-without-token")
    token, link = tokens(calls.page().json())
    assert (token, items([calls.page(link or "").json()])) == (None, [right[1]])


def page_miscounted(calls: Calls, right: list[list[Item]]) -> None:
    calls.server.fail("page-miscounted")
    page = calls.page().json()
    assert (page["totalCount"], page["items"]) == (1_000_000, right[0])


def page_of_other_data(calls: Calls, right: list[list[Item]]) -> None:
    calls.server.fail("page-of-other-data")
    first = calls.page()
    etags = [calls.page(first.json()["continuationToken"]).headers["counterfoil-etag"] for _ in range(2)]
    assert etags[0] != etags[1] == first.headers["counterfoil-etag"]


PAGING: Final[dict[str, Callable[[Calls, list[list[Item]]], None]]] = {
    test.__name__.replace("_", "-"): test
    for test in (
        *(page_repeated, page_skipped, page_reordered, page_looping, page_ends_early),
        *(page_without_link, page_without_token, page_miscounted, page_of_other_data),
    )
}


@pytest.mark.parametrize("name", [fault.name for fault in FAULTS if fault.group == "Pages"])
def test_a_fault_of_pages_is_as_described(calls: Calls, name: str) -> None:
    right = items(calls.pages())
    assert len(right) == PAGES
    PAGING[name](calls, right)


# --- spellings: what stands there before and after --------------------------------------------------------------

DATE: Final = "2026-11-"


def same_number(before: str, after: str) -> bool:
    return Decimal(before) == Decimal(after.strip('"'))


def same_instant(before: str, after: str) -> bool:
    moments = [datetime.fromisoformat(text.strip('"')) for text in (before, after)]
    return len({moment.replace(tzinfo=moment.tzinfo or UTC) for moment in moments}) == 1


def is_date(text: str) -> bool:
    return text.startswith('"') and text != '""'


SPELLED: Final[dict[str, tuple[Type | None, Callable[[str], bool], Callable[[str, str], bool]]]] = {
    "quoted-numbers": (Type.NUMBER, lambda b: b != "null", lambda b, a: a == f'"{b}"'),
    "numbers-with-exponent": (
        Type.NUMBER,
        lambda b: b != "null" and "E" not in b.upper(),
        lambda b, a: a == f"{b}E0" and same_number(b, a),
    ),
    "nulls": (None, lambda b: b == '""', lambda _, a: a == "null"),
    "dates-with-seven-digits": (
        Type.DATE,
        is_date,
        lambda b, a: a.endswith('.0000000Z"') and same_instant(b, a),
    ),
    "dates-with-offset": (Type.DATE, is_date, lambda b, a: a.endswith('-08:00"') and same_instant(b, a)),
    "dates-without-zone": (Type.DATE, is_date, lambda b, a: a == b.replace("Z", "") and same_instant(b, a)),
    "dates-of-year-one": (Type.DATE, lambda b: not is_date(b), lambda _, a: a == '"0001-01-01T00:00:00"'),
}


def of_type(wanted: Type | None, names: dict[str, Type]) -> set[str]:
    return {name for name, kind in names.items() if wanted in (kind, None)}


@pytest.mark.parametrize("name", SPELLED)
def test_blobs_are_spelled_otherwise_and_mean_the_same(calls: Calls, name: str) -> None:
    wanted, applies, agrees = SPELLED[name]
    before = [line for number in (1, 2, 3) for line in calls.lines(number)]
    calls.server.fail(name, on="blob")
    manifest = calls.manifest_now()
    after = [line for number in (1, 2, 3) for line in calls.lines(number, manifest)]
    columns = of_type(wanted, {column.name: column.type for column in TABLE.columns})
    if name == "dates-of-year-one":
        check_added(before, after, columns, "ChargeStartDate")
        assert not seen(before, after, columns, applies, agrees)
    else:
        assert seen(before, after, columns, applies, agrees)
    check_annotations(calls, manifest)


@pytest.mark.parametrize("name", SPELLED)
def test_pages_are_spelled_otherwise_and_mean_the_same(calls: Calls, name: str) -> None:
    wanted, applies, agrees = SPELLED[name]
    before = raw_items(calls)
    calls.server.fail(name, on="page")
    after = raw_items(calls)
    columns = of_type(wanted, {column.v1 or "": column.type for column in TABLE.columns if column.v1})
    if name == "dates-of-year-one":
        check_added(before, after, columns, "pcToBCExchangeRateDate")
        assert not seen(before, after, columns, applies, agrees)
    else:
        assert seen(before, after, columns, applies, agrees)


def check_added(before: list[dict[str, Any]], after: list[dict[str, Any]], columns: set[str], one: str) -> None:
    """Dates that are not there are left out, and are added by the fault; takes them away again."""
    added = [
        {key: bytes(new.pop(key)) for key in new.keys() - old.keys()} for old, new in zip(before, after, strict=True)
    ]
    assert {one} <= set().union(*added) <= columns
    assert {value for each in added for value in each.values()} == {b'"0001-01-01T00:00:00"'}


def raw_items(calls: Calls) -> list[dict[str, Any]]:
    page = msgspec.json.decode(calls.page().content, type=dict[str, msgspec.Raw])
    return msgspec.json.decode(page["items"], type=list[dict[str, msgspec.Raw]])


def seen(
    before: list[dict[str, Any]],
    after: list[dict[str, Any]],
    columns: set[str],
    applies: Callable[[str], bool],
    agrees: Callable[[str, str], bool],
) -> int:
    """Every value that the spelling is about is spelled so, every other one is as it was; returns how many are."""
    count = 0
    for old, new in zip(before, after, strict=True):
        assert old.keys() == new.keys()
        for name in old:
            was, is_now = bytes(old[name]).decode(), bytes(new[name]).decode()
            if name in columns and applies(was):
                assert agrees(was, is_now), (name, was, is_now)
                count += 1
            else:
                assert was == is_now, name
    return count


def check_annotations(calls: Calls, manifest: dict[str, Any]) -> None:
    """Blobs in another spelling are no damage: the manifest agrees with them."""
    for number, blob in enumerate(manifest["blobs"], 1):
        answer = calls.client.get(calls.blob_url(number, manifest))
        body = answer.content
        assert blob["@counterfoil.sizeBytes"] == len(body)
        assert blob["@counterfoil.sha256"] == hashlib.sha256(body).hexdigest() == answer.headers["etag"].strip('"')
        part = calls.client.get(
            calls.blob_url(number, manifest), headers={"Range": "bytes=7-", "If-Match": answer.headers["etag"]}
        )
        assert (part.status_code, part.content) == (206, body[7:])
        assert part.headers["content-range"] == f"bytes 7-{len(body) - 1}/{len(body)}"
        refused = calls.client.get(calls.blob_url(number, manifest), headers={"If-Match": '"other"'})
        assert refused.status_code == 412
        assert calls.client.head(calls.blob_url(number, manifest)).headers["content-length"] == str(len(body))


def test_an_unknown_attribute_stands_behind_the_known(calls: Calls) -> None:
    calls.server.fail("unknown-attribute")
    assert list(calls.lines(1, calls.manifest_now())[0])[-1] == "AttributeOfTheFuture"
    assert calls.page().json()["items"][0]["AttributeOfTheFuture"] == {"a": [1.1, "x"]}


def test_a_blob_of_two_members_holds_the_same_lines(calls: Calls) -> None:
    right = calls.blob().content
    calls.server.fail("blob-of-two-members", at=1)
    manifest = calls.manifest_now()
    body = calls.client.get(calls.blob_url(1, manifest)).content
    assert gzip.decompress(body) == gzip.decompress(right)
    reader = zlib.decompressobj(wbits=31)
    reader.decompress(body)
    assert reader.eof
    assert gzip.decompress(reader.unused_data).count(b"\n") == LINE_ITEMS // 6
    check_annotations(calls, manifest)


def test_a_loosely_written_blob_holds_the_same_lines(calls: Calls) -> None:
    calls.server.fail("blob-loosely-written", at=2)
    manifest = calls.manifest_now()
    text = gzip.decompress(calls.client.get(calls.blob_url(2, manifest)).content)
    assert text.startswith(b"\xef\xbb\xbf{")
    assert text.endswith(b"}")
    assert text.count(b"\r\n\r\n") == LINE_ITEMS // 3 - 1
    assert gzip.decompress(calls.blob(1).content).count(b"\n") == LINE_ITEMS // 3
    check_annotations(calls, manifest)


def test_every_spelling_is_under_test() -> None:
    others = {"unknown-attribute", "blob-of-two-members", "blob-loosely-written"}
    assert {fault.name for fault in FAULTS if fault.group == "Spellings of line items"} == {*SPELLED, *others}
