"""Every field of generated line items can be read by SDKs that bind each attribute to one type; see make soak."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import httpx
import pytest

from counterfoil.columns import table_of
from counterfoil.generator import generate
from counterfoil.model import Kind, Scope
from counterfoil.periods import BillingPeriod
from counterfoil.testing import PARTNER, Server
from tests.end_to_end.strict_readers import READERS, UnreadableError, expected, read

MONTH = Scope.unbilled(BillingPeriod(2026, 11), "EUR")
BILLING = "/v1.0/reports/partners/billing"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(now="2026-11-21") as server:
        yield server


def only_in_v1(kind: Kind) -> set[str]:
    """Attributes that Graph's spelling, in which line items are generated, does not have."""
    return {str(column.v1).lower() for column in table_of(kind).columns if not column.graph}


def from_graph(server: Server, kind: Kind) -> Iterator[dict[str, object]]:
    headers = {"Authorization": f"Bearer {server.token()}"}
    body = {"currencyCode": "EUR", "billingPeriod": "current"}
    submitted = httpx.post(f"{server.url}{BILLING}/{kind}/unbilled/export", json=body, headers=headers)
    manifest = httpx.get(submitted.headers["location"], headers=headers).json()["resourceLocation"]
    for blob in manifest["blobs"]:
        packed = httpx.get(f"{manifest['rootDirectory']}/{blob['name']}?{manifest['sasToken']}").content
        yield from map(read, gzip.decompress(packed).splitlines())


def from_v1(server: Server, kind: Kind) -> Iterator[dict[str, object]]:
    headers = {"Authorization": f"Bearer {server.token('partner-center')}"}
    items = {Kind.USAGE: "usagelineitems", Kind.RECONCILIATION: "billinglineitems"}[kind]
    query = f"provider=onetime&invoicelineitemtype={items}&currencycode=EUR&period=current&size=2000"
    url = f"{server.url}/v1/invoices/unbilled/lineitems?{query}"
    while url:
        page = read(httpx.get(url, headers=headers).content)
        yield from page["items"]
        onwards = page["links"].get("next")
        if onwards is None:
            return
        url = f"{server.url}/v1/{onwards['uri'].lstrip('/')}"
        headers |= {each["key"]: each["value"] for each in onwards["headers"]}


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("api", ["graph", "v1"])
@pytest.mark.parametrize("line_items", [1_000, pytest.param(10_000, marks=pytest.mark.soak)])
def test_every_field_of_generated_line_items_can_be_read(server: Server, kind: Kind, api: str, line_items: int) -> None:
    server.publish(generate(kind, line_items, special=True, partner=PARTNER, scope=MONTH), period="2026-11")
    declared = expected(kind, v1=api == "v1")
    count, seen = 0, set[str]()
    for item in (from_graph if api == "graph" else from_v1)(server, kind):
        count += 1
        for name, value in item.items():
            what = declared.get(name.lower(), "text" if name != "attributes" else "")
            seen.add(name.lower())
            for reader in READERS.values() if what else ():
                reader(value, what)
    assert count == line_items
    assert declared.keys() - seen == only_in_v1(kind) & declared.keys()


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("value", "declared"),
    [
        ("", "date"),
        ("20.11.2026", "date"),
        ("2026-11-31T00:00:00Z", "date"),
        ("1.5", "number"),
        (None, "number"),
        (None, "text"),
        (7, "text"),
        ('"env": "prod"', "map"),
        ("[1]", "map"),
        ('{"a":{"b":1}}', "map"),
        ('{"a":[1]}', "map"),
        ('{"a":1,"A":2}', "map"),
        ("AddOn", "list"),
        ([1], "list"),
        ("", "integer"),
    ],
)
def test_the_readers_refuse_what_the_sdks_refuse(reader: str, value: object, declared: str) -> None:
    with pytest.raises((UnreadableError, ValueError)):
        READERS[reader](value, declared)


@pytest.mark.parametrize("kind", list(Kind))
def test_hostile_line_items_are_unreadable_and_come_only_where_they_are_asked_for(kind: Kind) -> None:
    declared = expected(kind, v1=False)

    def unreadable(hostile: bool) -> set[str]:
        lines = b"".join(generate(kind, 64, special=True, partner=PARTNER, scope=MONTH, hostile=hostile)).splitlines()
        found = set[str]()
        for item in map(read, lines):
            for name, value in item.items():
                try:
                    if value is not None:  # blobs and pages leave it out
                        READERS[".NET"](value, declared[name.lower()])
                except UnreadableError:
                    found.add(name)
        return found

    dates = {"SubscriptionStartDate", "SubscriptionEndDate"}
    wanted = {"ChargeStartDate", "ChargeEndDate", "Tags", "AdditionalInfo"} if kind is Kind.USAGE else dates
    assert unreadable(hostile=True) == wanted
    assert unreadable(hostile=False) == set()
