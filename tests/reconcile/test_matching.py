"""Lines are matched as the same charge by the finest stage that fits, as multisets, alike from either side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from counterfoil.errors import SideError
from counterfoil.model import Kind
from counterfoil.reconcile.matching import Stage, match
from counterfoil.reconcile.sides.side import Reading, Side
from tests.reconcile.readings import reading
from tests.reconcile.sides import licence, usage

USE, BILL = Kind.USAGE, Kind.RECONCILIATION
Item = Mapping[str, str]
# A group as a test tells it: the stage, and the marks of the lines on either side.
Group = tuple[str, tuple[str, ...], tuple[str, ...]]


def use(mark: str, **more: str) -> dict[str, str]:
    """Use of a meter, with what a test knows it by in an attribute that plays no part in pairing."""
    return usage(**{"MeterId": "m1", "Quantity": "1", "EffectiveUnitPrice": "1.5", "AvailabilityId": mark, **more})


def seat(mark: str, **more: str) -> dict[str, str]:
    begins = {"ChargeStartDate": "2026-10-01T00:00:00Z", "ChargeEndDate": "2026-10-31T00:00:00Z", "OrderId": "o1"}
    return licence(**{**begins, "Quantity": "25", "EffectiveUnitPrice": "22", "AvailabilityId": mark, **more})


def matched(left: Sequence[Item], right: Sequence[Item], kind: Kind, scratch: Path, **how: bool) -> Counter[Group]:
    matching = match(reading(left, kind), reading(right, kind), kind, scratch=scratch, **how)
    found = Counter[Group]()
    for each in matching:
        marks = [tuple(sorted(line.attributes["AvailabilityId"] for line in side)) for side in (each.left, each.right)]
        found[each.stage.value, marks[0], marks[1]] += 1
    assert sum(matching.counts.values()) == sum(found.values()) + matching.counts[Stage.IDENTICAL] + (
        matching.counts[Stage.WORDS] if how.get("words") else 0
    )
    assert matching.line_items == (len(left), len(right))
    return found


LATER = "2026-10-06T00:00:00Z"
OLD_REFERENCE, NEW_REFERENCE = "AB-1", '{"osId":"x","id":"ab-1","v":2}'
CASES: dict[str, tuple[Kind, list[Item], list[Item], list[Group]]] = {
    "identical": (USE, [use("a"), use("b")], [use("b"), use("a")], []),
    "absent and empty are alike": (USE, [use("a", Tags="")], [use("a")], []),
    "a further copy": (USE, [use("a")], [use("a"), use("a")], [("duplicate", (), ("a",))]),
    "a copy is not paired with a line that is gone": (
        USE,
        [use("a"), use("b", BillingPreTaxTotal="9")],
        [use("a"), use("a")],
        [("duplicate", (), ("a",)), ("one side", ("b",), ())],
    ),
    "copies on one side only are no duplicates": (USE, [use("a")] * 2, [use("z", MeterId="m9")],
        [("one side", ("a",), ())] * 2 + [("one side", (), ("z",))]),
    "words": (USE, [use("a")], [use("b", InvoiceNumber="G1", Tags="{}", Tier2MpnId="5")], [("words", ("a",), ("b",))]),
    "a reseller is no word in reconciliation": (BILL, [seat("a")], [seat("b", Tier2MpnId="5")],
        [("same charge", ("a",), ("b",))]),
    "an amount": (USE, [use("a")], [use("b", BillingPreTaxTotal="2")], [("same charge", ("a",), ("b",))]),
    "ids in another letter case": (USE, [use("a", CustomerId="ABC")], [use("b", CustomerId="abc")],
        [("words", ("a",), ("b",))]),
    "where lines stand first": (
        USE,
        [use("a", CustomerId="ABC"), use("b", CustomerId="abc", BillingPreTaxTotal="3")],
        [use("c", CustomerId="abc")],
        [("same charge", ("b",), ("c",)), ("one side", ("a",), ())],
    ),
    "equal amount and quantity first, then amount, then quantity": (
        USE,
        [use("a", BillingPreTaxTotal="1", Quantity="7"), use("b", BillingPreTaxTotal="2", Quantity="8"),
         use("c", BillingPreTaxTotal="3", Quantity="9"), use("d", BillingPreTaxTotal="4", Quantity="10")],
        [use("w", BillingPreTaxTotal="40", Quantity="11"), use("x", BillingPreTaxTotal="30", Quantity="9"),
         use("y", BillingPreTaxTotal="2.0", Quantity="7"), use("z", BillingPreTaxTotal="1.00", Quantity="7.0")],
        [("same charge", ("a",), ("z",)), ("same charge", ("b",), ("y",)), ("same charge", ("c",), ("x",)),
         ("same charge", ("d",), ("w",))],
    ),
    "another order": (BILL, [seat("a")], [seat("b", OrderId="o2", Quantity="26")], [("other order", ("a",), ("b",))]),
    "seats changed": (
        BILL,
        [seat("z")],
        [seat("z"), seat("a", ChargeType="addQuantity", Subtotal="-4", Quantity="-1"),
         seat("b", ChargeType="ADDQUANTITY", Subtotal="8", Quantity="2")],
        [("change", (), ("a", "b"))],
    ),
    "a refund without its charge": (BILL, [seat("z")], [seat("z"), seat("a", ChargeType="addQuantity", Subtotal="-4")],
        [("one side", (), ("a",))]),
    "an upgrade, by the id within the reference": (
        BILL,
        [seat("a", ChargeType="convert", Subtotal="-4", ReferenceId=OLD_REFERENCE, ProductId="p2"),
         seat("b", ChargeType="convert", Subtotal="-5", ReferenceId=NEW_REFERENCE, SubscriptionId="s2"),
         seat("c", ChargeType="convert", Subtotal="20", ReferenceId=NEW_REFERENCE, ProductId="p3")],
        [seat("z")],
        [("change", ("a", "b", "c"), ()), ("one side", (), ("z",))],
    ),
    "upgrades without a reference are strangers": (
        BILL,
        [seat("a", ChargeType="convert", Subtotal="-4"), seat("b", ChargeType="convert", Subtotal="4", ProductId="p2")],
        [seat("z")],
        [("one side", ("a",), ()), ("one side", ("b",), ()), ("one side", (), ("z",))],
    ),
    "a licence of other dates": (BILL, [seat("a")], [seat("b", ChargeStartDate=LATER, Subtotal="9")],
        [("other dates", ("a",), ("b",))]),
    "metered use of other dates is other use": (
        BILL,
        [seat("a", UnitType="1 GB", MeterDescription="m")],
        [seat("b", UnitType="1 GB", MeterDescription="m", ChargeStartDate=LATER)],
        [("one side", ("a",), ()), ("one side", (), ("b",))],
    ),
    "use of another day is other use": (USE, [use("a")], [use("b", UsageDate=LATER)],
        [("one side", ("a",), ()), ("one side", (), ("b",))]),
    "moved to another customer": (USE, [use("a")], [use("b", CustomerId="c2")], [("moved", ("a",), ("b",))]),
    "moved by a reference": (BILL, [seat("a", ReferenceId="r1", OrderId="o1", ProductId="p1")],
        [seat("b", ReferenceId="r1", OrderId="o1", ProductId="p2")], [("moved", ("a",), ("b",))]),
    "moved and changed": (USE, [use("a")], [use("b", CustomerId="c2", Quantity="70")], [("moved", ("a",), ("b",))]),
    "moved and changed, to one of two": (
        USE,
        [use("a")],
        [use("b", CustomerId="c2", Quantity="70"), use("c", CustomerId="c2", Quantity="80")],
        [("one side", ("a",), ()), ("one side", (), ("b",)), ("one side", (), ("c",))],
    ),
    "two ids are too many": (USE, [use("a")], [use("b", CustomerId="c2", SubscriptionId="s2")],
        [("one side", ("a",), ()), ("one side", (), ("b",))]),
}  # fmt: skip


@pytest.mark.parametrize("swapped", [False, True], ids=["", "swapped"])
@pytest.mark.parametrize("name", CASES)
def test_stages(name: str, swapped: bool, tmp_path: Path) -> None:
    kind, left, right, expected = CASES[name]
    if swapped:
        left, right, expected = right, left, [(stage, theirs, mine) for stage, mine, theirs in expected]
    assert matched(left, right, kind, tmp_path) == Counter(expected)


def test_where_words_differ_throughout_they_are_counted_only(tmp_path: Path) -> None:
    left = [use("a"), use("b", MeterId="m2"), use("b", MeterId="m2")]
    right = [use("a", InvoiceNumber="G1"), use("b", MeterId="m2", InvoiceNumber="G1")]
    assert matched(left, right, USE, tmp_path, words=True) == Counter([("duplicate", ("b",), ())])


def test_a_side_without_lines_or_of_no_text_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SideError, match="a side holds no line items"):
        list(match(reading([use("a")], USE), reading([], USE), USE, scratch=tmp_path))
    offsets, data = pa.array([0, 2], pa.int32()).buffers()[1], pa.py_buffer(b"\xff\xfe")
    bytes_ = pa.Array.from_buffers(pa.string(), 1, [None, offsets, data])

    def batches(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        columns = {name: pa.array([text]) for name, text in use("a").items()} | {"Tags": bytes_}
        yield pa.record_batch([columns.get(name, pa.nulls(1, pa.string())) for name in names], list(names))

    foreign = Reading(Side(name="f.parquet", what="a file", origin="file", kind=USE, batches=batches))
    with pytest.raises(SideError, match=r"f.parquet or a side holds bytes that are not UTF-8"):
        list(match(foreign, reading([use("a")], USE), USE, scratch=tmp_path))
    assert not list(tmp_path.iterdir())
