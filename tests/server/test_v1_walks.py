"""A walk sees every line item of one revision once, whatever the page size, filter, encoding, server or time."""

import gzip
import subprocess
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterfoil.model import Dataset, Kind, Scope
from counterfoil.periods import BillingPeriod, Clocks
from counterfoil.server.activity_recorder import ActivityRecorder
from counterfoil.server.listening import Endpoint
from counterfoil.server.lru_cache import LruCache
from counterfoil.server.partner_limits import PartnerLimits
from counterfoil.server.v1_routes import V1App
from counterfoil.server.web_server import running
from tests.server.serving import OTHER, PARTNER, Place, StubAuthenticator, serving
from tests.server.v1_walks import LINE_ITEMS, USAGE, items, joined, page, publish_v1, texts, walk

COUNT = 61
PARTS = (COUNT - 30, 0, 1, 29)  # an empty file in the middle, and one of a single item


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A served revision of four files, in blocks of at most seven items."""
    with serving(tmp_path_factory.mktemp("walks")) as place:
        everything, parts = items(COUNT), []
        for count in PARTS:
            parts.append(everything[:count])
            everything = everything[count:]
        publish_v1(place, parts, block_items=7)
        yield place


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.sampled_from([None, True, False]), st.sampled_from(["gzip", "identity"]))
def test_a_walk_equals_a_scan(published: Place, size: int, credit: bool | None, encoding: str) -> None:
    query = f"{USAGE}&size={size}" + ("" if credit is None else f"&hasPartnerEarnedCredit={credit}")
    expected = [item for item in items(COUNT) if credit is None or item.credit is credit]
    pages = walk(published, query, headers={"Accept-Encoding": encoding})
    assert texts(pages) == joined(expected)
    assert all(0 < len(one.json()["items"]) <= size for one in pages), "no empty page, and none too long"
    for one in pages:
        assert one.headers["Counterfoil-Line-Item-Count"] == str(len(expected))
        assert one.headers.get("Content-Encoding", "identity") == encoding
        assert ("Counterfoil-Totals" in one.headers) is (credit is None)
    assert len({one.headers["Counterfoil-ETag"] for one in pages}) == 1


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=70, max_size=70))
def test_the_size_may_change_from_page_to_page(published: Place, sizes: list[int]) -> None:
    pages = [page(published, f"{USAGE}&size={sizes[0]}")]
    for size in sizes[1:]:
        token = pages[-1].json().get("continuationToken")
        if token is None:
            break
        pages.append(page(published, f"{USAGE}&size={size}&seekOperation=Next", token))
    assert texts(pages) == joined(items(COUNT))


def test_a_page_is_a_block_and_its_envelope_is_exact(place: Place) -> None:
    revision = publish_v1(place, [items(5)], block_items=3)
    first = page(place, f"{USAGE}&size=2000")
    token = first.json()["continuationToken"]
    uri = f"{LINE_ITEMS.removeprefix('/v1')}?{USAGE}&size=2000"
    assert first.content.decode() == (
        f'{{"continuationToken":"{token}","totalCount":3,"items":[{joined(items(3)).decode()}],'
        f'"links":{{"self":{{"uri":"{uri}","method":"GET","headers":[]}},'
        f'"next":{{"uri":"{uri}&seekOperation=Next","method":"GET",'
        f'"headers":[{{"key":"MS-ContinuationToken","value":"{token}"}}]}}}},'
        '"attributes":{"objectType":"Collection"}}'
    )
    assert first.headers["Counterfoil-ETag"] == revision.etag
    assert first.headers["Counterfoil-Line-Item-Count"] == "5"
    assert first.headers["Counterfoil-Totals"] == '{"currency":"USD","BillingPreTaxTotal":"10.50"}'


@pytest.mark.parametrize("headers", [{"Accept-Encoding": "identity"}, {"Accept-Encoding": "gzip"}])
def test_exactly_2000_line_items_are_one_page_without_a_next(place: Place, headers: dict[str, str]) -> None:
    publish_v1(place, [items(2000)])
    [only] = walk(place, USAGE, headers=headers)
    assert only.json()["totalCount"] == 2000
    publish_v1(place, [items(2001)])
    assert [one.json()["totalCount"] for one in walk(place, USAGE, headers=headers)] == [2000, 1]


@pytest.mark.parametrize("size", ["2000", "3"])  # as it is stored, and cut
def test_a_gzip_page_is_one_member_that_every_client_reads(published: Place, tmp_path: Path, size: str) -> None:
    url = f"{published.url}{LINE_ITEMS}?{USAGE}&size={size}"
    plain = page(published, f"{USAGE}&size={size}", headers={"Accept-Encoding": "identity"}).content
    headers = {"Authorization": f"Bearer {PARTNER}", "Accept-Encoding": "gzip"}
    with published.client.stream("GET", url, headers=headers) as response:
        packed = b"".join(response.iter_raw())
    reader = zlib.decompressobj(31)
    assert reader.decompress(packed) == gzip.decompress(packed) == plain
    assert reader.eof
    assert reader.unused_data == b""
    (tmp_path / "page.gz").write_bytes(packed)
    subprocess.run(["gzip", "-t", str(tmp_path / "page.gz")], check=True)
    assert published.client.get(url, headers=headers).content == plain
    curl = ["curl", "-sS", "--fail", "--compressed", "-H", f"Authorization: Bearer {PARTNER}", url]
    assert subprocess.run(curl, check=True, capture_output=True).stdout == plain


def test_nothing_published_is_an_empty_page(place: Place) -> None:
    for query in (USAGE, USAGE.replace("usd", "xxx"), USAGE.replace("current", "previous")):
        only = page(place, query)
        assert only.json()["items"] == []
        assert "continuationToken" not in only.json()
        assert only.headers["Counterfoil-Line-Item-Count"] == "0"


@pytest.mark.parametrize("parts", [[], [[]], [[], []]])
def test_a_revision_without_line_items_is_an_empty_page(place: Place, parts: list[list[object]]) -> None:
    publish_v1(place, [items(0) for _ in parts])
    assert page(place).json()["items"] == []


def test_a_filter_that_nothing_passes_is_an_empty_page(place: Place) -> None:
    publish_v1(place, [[item for item in items(20) if not item.credit]])
    only = page(place, f"{USAGE}&hasPartnerEarnedCredit=true")
    assert only.json()["items"] == []
    assert only.headers["Counterfoil-Line-Item-Count"] == "0"


def test_a_walk_stays_with_its_revision_while_another_is_published(place: Place) -> None:
    publish_v1(place, [items(20)], block_items=4)
    begun = page(place)
    publish_v1(place, [items(9, name="new")], block_items=4)
    rest = [begun]
    while token := rest[-1].json().get("continuationToken"):
        rest.append(page(place, f"{USAGE}&seekOperation=Next", token))
    assert texts(rest) == joined(items(20))
    assert texts(walk(place)) == joined(items(9, name="new"))


def test_previous_stays_the_month_it_meant_on_page_1(place: Place) -> None:
    october = Dataset(Kind.USAGE, PARTNER, Scope.unbilled(BillingPeriod(2026, 10), "USD"))
    publish_v1(place, [items(8, name="october")], dataset=october, block_items=5)
    publish_v1(place, [items(8, name="november")], block_items=5)
    query = USAGE.replace("=current", "=Previous")
    begun = page(place, query)
    place.business = datetime(2026, 12, 1, tzinfo=UTC)
    rest = page(place, f"{query}&seekOperation=Next", begun.json()["continuationToken"])
    assert texts([begun, rest]) == joined(items(8, name="october"))
    assert texts(walk(place, query)) == joined(items(8, name="november"))
    assert page(place).json()["items"] == [], "and current is december now"


def test_the_wall_clock_does_not_move_the_period(place: Place) -> None:
    publish_v1(place, [items(1)])
    place.travel(days=40)
    assert page(place).json()["totalCount"] == 1


def test_kinds_currencies_and_partners_are_kept_apart(place: Place) -> None:
    euro = Dataset(Kind.USAGE, PARTNER, Scope.unbilled(BillingPeriod(2026, 11), "EUR"))
    billing = Dataset(Kind.RECONCILIATION, PARTNER, Scope.unbilled(BillingPeriod(2026, 11), "USD"))
    other = Dataset(Kind.USAGE, OTHER, Scope.unbilled(BillingPeriod(2026, 11), "USD"))
    for dataset, name in ((euro, "euro"), (billing, "billing"), (other, "other")):
        publish_v1(place, [items(2, name=name)], dataset=dataset)
    publish_v1(place, [items(2, name="usage")])

    def seen(query: str, partner: str = PARTNER) -> str:
        return str(page(place, query, partner=partner).json()["items"][0]["name"])

    assert seen(USAGE) == "usage"
    assert seen(USAGE.replace("onetime", "marketplace")) == "usage"
    assert seen(USAGE.replace("usd", "EUR")) == "euro"
    assert seen(USAGE.replace("usage", "billing")) == "billing"
    assert seen(USAGE.replace("usage", "billing").replace("onetime", "all")) == "billing"
    assert seen(USAGE, OTHER) == "other"


def _another_node(place: Place) -> V1App:
    """A second server on the same data folder with the same secret, which has seen nothing yet."""

    class Node:
        authenticator = StubAuthenticator()
        limits = PartnerLimits()
        catalog, files, keyring = place.catalog, place.files, place.keyring
        clocks = Clocks(business=lambda: place.business, wall=lambda: place.wall)
        activity = ActivityRecorder(place.catalog, clocks.wall)

    return V1App(Node())  # type: ignore[arg-type]


def test_a_walk_goes_on_at_another_node_and_after_a_restart(published: Place) -> None:
    token = page(published).json()["continuationToken"]
    here = page(published, token=token).content
    with running(_another_node(published), [Endpoint("127.0.0.1", 0)], grace_s=1) as [url]:
        there = published.get(f"{url}{LINE_ITEMS}?{USAGE}", **{"MS-ContinuationToken": token})
    assert there.content == here


def test_page_2_and_later_touch_no_database(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_v1(place, [items(9)], block_items=2)
    token = page(place).json()["continuationToken"]

    def touched(*_: object) -> None:
        raise AssertionError("the catalog was asked")

    for method in ("in_force", "revision", "files"):
        monkeypatch.setattr(place.catalog, method, touched)
    for query in (USAGE, USAGE + "&size=1"):
        pages = [page(place, query, token)]
        while following := pages[-1].json().get("continuationToken"):
            pages.append(page(place, query, following))
        assert texts(pages) == joined(items(9)[2:])


def test_many_walk_at_once_with_sizes_and_filters_of_their_own(published: Place) -> None:
    def one(number: int) -> None:
        credit = (None, True, False)[number % 3]
        query = f"{USAGE}&size={1 + number % 9}" + ("" if credit is None else f"&haspartnerearnedcredit={credit}")
        encoding = ("gzip", "identity")[number % 2]
        expected = [item for item in items(COUNT) if credit is None or item.credit is credit]
        assert texts(walk(published, query, headers={"Accept-Encoding": encoding})) == joined(expected)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(one, range(48)))


def test_what_is_kept_is_bounded() -> None:
    kept: LruCache[int, str] = LruCache(10, len)
    for number in range(5):
        kept.put(number, "xxx")
    assert [kept.get(number) for number in range(5)] == [None, None, "xxx", "xxx", "xxx"]
    kept.put(9, "x" * 11)
    assert kept.get(9) is None, "what is too large by itself is not kept"
    kept.put(2, "yy")
    kept.put(2, "yyyy")
    assert kept.get(2) == "yyyy"
    kept.drop(2)
    kept.drop(2)
    kept.put(1, "x" * 10)
    assert kept.get(1) is not None, "what was dropped is not counted any more"
