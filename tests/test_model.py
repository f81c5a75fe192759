"""The nouns: what may name a partner, a scope and a segment, and that contents add up whatever the order."""

import dataclasses
import json
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from counterfoil.disk import documents
from counterfoil.errors import UsageError
from counterfoil.model import AttributeSet, Contents, Dataset, Kind, Rendering, Scope, etag, segment_name, tenant_id
from counterfoil.periods import BillingPeriod
from tests.datasets.exploring import examples

TENANT = "0e195b37-4574-4539-bc42-0e539b9684c0"
PERIOD = BillingPeriod(2026, 11)
DATASET = Dataset(Kind.USAGE, TENANT, Scope.unbilled(PERIOD, "EUR"))
CONTENTS = st.builds(
    Contents,
    st.integers(1, 10**9),
    st.binary(min_size=32, max_size=32).map(bytes.hex),
    st.just("EUR"),
    st.decimals(-(10**9), 10**9, places=9).map(lambda value: {"Total": value}),
)


def test_a_tenant_is_a_guid_in_any_letter_case() -> None:
    assert tenant_id(f" {TENANT.upper()} ") == TENANT
    for text in ("", "common", TENANT[:-1], TENANT + "0", TENANT.replace("-", ""), TENANT.replace("0", "\u0660")):
        with pytest.raises(UsageError):
            tenant_id(text)


def test_a_segment_has_a_name_that_is_safe_anywhere() -> None:
    assert segment_name("2026-11-20") == "2026-11-20"
    for text in ("", ".", "..", ".hidden", "a/b", "a b", "a\n", "x" * 65, "é"):
        with pytest.raises(UsageError):
            segment_name(text)


def test_an_invoice_is_any_1_to_64_printable_characters_case_blind() -> None:
    assert Scope.billed("g01/~!") == Scope.billed("G01/~!")
    assert Scope.billed("x" * 64).is_billed
    for text in ("", "x" * 65, "a b", "a\tb", "é", "a\x7f"):
        with pytest.raises(UsageError):
            Scope.billed(text)


def test_unbilled_data_has_a_month_and_a_currency() -> None:
    assert str(Scope.unbilled(PERIOD, "eur")) == "unbilled 2026-11 EUR"
    for text in ("", "EU", "EURO", "E1R", "ÄUR"):
        with pytest.raises(UsageError):
            Scope.unbilled(PERIOD, text)


@examples(150)
@given(st.lists(CONTENTS, min_size=1, max_size=8), st.randoms())
def test_counts_and_totals_add_up_to_the_same_in_any_order_and_grouping(
    parts: list[Contents], chance: st.DataObject
) -> None:
    whole = Contents.together(parts, "aa" * 32)
    shuffled = list(parts)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    cut = len(parts) // 2
    assert Contents.together(shuffled, "aa" * 32) == whole
    halves = [Contents.together(half, "bb" * 32) for half in (parts[:cut], parts[cut:])]
    assert Contents.together(halves, "aa" * 32) == whole
    assert msgspec.convert(json.loads(documents.canonical(whole)), Contents) == whole


def test_nothing_added_changes_nothing_and_currencies_never_mix() -> None:
    euros = Contents(1, "07" * 32, "EUR", {"Total": Decimal("1.50")})
    assert Contents.together([euros, Contents()], euros.digest) == euros
    assert Contents.together([Contents(), euros], euros.digest) == euros
    with pytest.raises(UsageError):
        Contents.together([euros, replace(euros, currency="USD")], euros.digest)


def test_the_etag_tells_apart_all_that_it_names() -> None:
    contents = Contents(2, "07" * 32, "EUR", {"Total": Decimal(1)})
    billed = Scope.billed("G1")
    tags = [
        etag(DATASET, contents),
        etag(dataclasses.replace(DATASET, kind=Kind.RECONCILIATION), contents),
        etag(dataclasses.replace(DATASET, partner=TENANT.replace("0", "1")), contents),
        etag(dataclasses.replace(DATASET, scope=Scope.unbilled(PERIOD.last, "EUR")), contents),
        etag(dataclasses.replace(DATASET, scope=Scope.unbilled(PERIOD, "USD")), contents),
        etag(dataclasses.replace(DATASET, scope=billed), contents),
        etag(DATASET, replace(contents, line_items=3)),
        etag(DATASET, replace(contents, digest="08" * 32)),
    ]
    assert len(set(tags)) == len(tags)
    assert all(len(tag) == 64 and int(tag, 16) >= 0 for tag in tags)


def test_the_etag_of_this_version_stays_what_it_is() -> None:
    """Receipts live longer than programs: a change here must come with another name for the scheme."""
    assert etag(DATASET, Contents(1, "ff" * 32, "EUR", {})) == (
        "8de64b6815bede36fc10ddc3b3e69ed8534c562ecd51d1a578a84225a52fe996"
    )


def test_each_attribute_set_has_its_rendering() -> None:
    assert [Rendering.of(attributes) for attributes in AttributeSet] == [Rendering.GRAPH_FULL, Rendering.GRAPH_BASIC]
