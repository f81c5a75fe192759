"""`compare` and `changes` on whole sides: what they find, what they warn of, and what they refuse to call an answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from counterfoil import reconcile
from counterfoil.errors import CounterfoilError
from counterfoil.model import Kind
from counterfoil.money import Money
from counterfoil.reconcile.comparing.focus_tolerance import tolerance_note
from counterfoil.reconcile.comparing.result_output import write_result
from counterfoil.reconcile.explaining import arithmetic
from tests.reconcile.sides import OTHER_PARTNER, Item, csv_file, lake_file, licence, lines_file, pull_folder, usage

SEATS = {"Quantity": "8", "BillableQuantity": "8", "UnitPrice": "22", "EffectiveUnitPrice": "22"}
METERED = {"UnitPrice": "1.50", "EffectiveUnitPrice": "1.50", "MeterId": "m1"}


def use(quantity: str, amount: str, **more: str) -> dict[str, str]:
    return usage(amount, Quantity=quantity, **METERED, **more)


def seats(subtotal: str = "176", **more: str) -> dict[str, str]:
    return licence(subtotal, "0", subtotal, **SEATS | more)


def compared(folder: Path, left: Sequence[Item], right: Sequence[Item], **more: Any) -> reconcile.Comparison:
    paths = (lines_file(folder / "left.jsonl", left), lines_file(folder / "right.jsonl", right))
    return reconcile.compare(*map(str, paths), **more)


def causes(result: reconcile.Comparison) -> dict[str, str]:
    return {cause.value: f"{total.amount:f}" for cause, total in result.causes.items()}


TINY: dict[str, tuple[str, list[Item], list[Item], dict[str, str]]] = {
    "use, and late use": (
        "unbilled-billed",
        [use("30", "45.00")],
        [
            use("31", "46.50", InvoiceNumber="G1"),
            use("1", "2.00", UsageDate="2026-09-30T00:00:00Z", InvoiceNumber="G1"),
        ],
        {"quantity": "1.50", "late usage": "2.00"},
    ),
    "seats as before": ("unbilled-billed", [seats()], [seats(InvoiceNumber="G1")], {}),
    "three subscriptions": (
        "revisions",
        [usage("10.00", SubscriptionId="a"), use("20", "30.00", SubscriptionId="b"), usage("5.00", SubscriptionId="c")],
        [
            usage("10.00", SubscriptionId="a"),
            use("21", "31.50", SubscriptionId="b"),
            usage("-3.00", SubscriptionId="d", ChargeType="Credit"),
        ],
        {"vanished": "-5.00", "credit": "-3.00", "quantity": "1.50"},
    ),
    "one line twice": ("revisions", [seats()], [seats(), seats()], {"duplicate": "176"}),
    "only words": ("revisions", [seats()], [seats(CustomerName="Contoso Ltd")], {}),
    "only spelling": ("revisions", [seats()], [seats("176.00", ChargeStartDate="2026-10-01")], {}),
}


@pytest.mark.parametrize("name", TINY)
def test_tiny_sides_have_the_causes_that_were_worked_by_hand(tmp_path: Path, name: str) -> None:
    comparing, left, right, expected = TINY[name]
    for turned in (False, True):
        with compared(tmp_path, *((right, left) if turned else (left, right))) as result:
            assert result.comparing == comparing
            total = arithmetic.total(map(Decimal, expected.values()))
            assert result.difference == (total.copy_negate() if turned else total)
            assert result.found == (len(expected) or name == "only words")
            if not turned:
                assert causes(result) == expected
                assert result.is_equal == (name in {"seats as before", "only spelling"})


def test_every_form_of_side_is_compared_alike(tmp_path: Path) -> None:
    left, right = (
        [seats(), seats(CustomerId="c2")],
        [seats("198", Quantity="9", BillableQuantity="9"), seats(CustomerId="c2")],
    )
    sides = [
        (lines_file(tmp_path / "a.jsonl", left), csv_file(tmp_path / "b.csv", right)),
        (lake_file(tmp_path / "a.parquet", left, Kind.RECONCILIATION), lines_file(tmp_path / "b.gz", right)),
        (pull_folder(tmp_path / "a", left, Kind.RECONCILIATION), lines_file(tmp_path / "c.jsonl", right)),
    ]
    found = []
    for mine, theirs in sides:
        with reconcile.compare(str(mine), str(theirs)) as result:
            found.append((causes(result), result.left.total, [each.amount for each in result.differences()]))
    assert found == [({"quantity": "22"}, Decimal(352), [Decimal(22)])] * 3


REFUSED: dict[str, tuple[list[Item], list[Item], dict[str, str], str]] = {
    "other currency": ([usage()], [usage(BillingCurrency="USD")], {}, "EUR, and .* in USD"),
    "two currencies": ([usage()], [usage(), usage(BillingCurrency="USD")], {}, "EUR and USD, which cannot be added"),
    "other partner": ([usage()], [usage(PartnerId=OTHER_PARTNER)], {}, "of the partner .*, and"),
    "other kind": ([usage()], [licence()], {}, "usage line items, and .* reconciliation line items"),
    "no customer in common": ([usage()], [usage(CustomerId="c9")], {}, "no customer in common"),
    "other month": ([usage()] * 9, [usage(UsageDate="2026-11-05T00:00:00Z")] * 9, {}, "no line item of 2026-1"),
    "the month asked for": ([usage()], [usage()], {"period": "2026-07"}, "no line item of 2026-07"),
    "no month": ([usage()], [usage()], {"period": "October"}, "not a billing period"),
    "no comparison": ([usage()], [usage()], {"comparing": "guess"}, "no comparison"),
    "two invoices": ([seats(InvoiceNumber="G1")], [seats(InvoiceNumber="G2")], {}, "two datasets"),
    "both billed": (
        [seats(InvoiceNumber="G1")],
        [seats(InvoiceNumber="G1")],
        {"comparing": "unbilled-billed"},
        "both billed",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_answer_is_refused_with_what_to_change(tmp_path: Path, name: str) -> None:
    left, right, more, told = REFUSED[name]
    with pytest.raises(CounterfoilError, match=told) as refused:
        compared(tmp_path, left, right, **more)
    assert refused.value.remedy
    if len(more) == 0 and "partner" not in name:
        with pytest.raises(CounterfoilError):
            compared(tmp_path, right, left, **more)


def metered(subtotal: str, **more: str) -> dict[str, str]:
    told = {"MeterDescription": "D4 v5", "UnitType": "1 Hour", "UnitPrice": "0.045", "EffectiveUnitPrice": "0.03825"}
    rate = {"PCToBCExchangeRate": "0.846202666", "PriceAdjustmentDescription": "15% Partner earned credit"}
    return licence(subtotal, "0.43", f"{subtotal}1", **told, **rate, BillableQuantity="70.050021", **more)


def test_metered_charges_are_compared_with_the_usage_behind_them(tmp_path: Path) -> None:
    priced = {"UnitPrice": "0.045", "EffectiveUnitPrice": "0.03825", "PartnerEarnedCreditPercentage": "15"}
    day = {"Quantity": "23.350007", "PCToBCExchangeRate": "0.846202666", **priced}
    days = [usage("0.7557755601753388215", **day, UsageDate=f"2026-10-0{at}T00:00:00Z") for at in (1, 2, 3)]
    bill = lines_file(tmp_path / "bill.jsonl", [metered("2.26"), seats("550")])
    used = lines_file(tmp_path / "used.jsonl", days)
    with reconcile.compare(str(bill), str(used), comparing="plan") as result:
        assert causes(result) == {"rounding": "0.0073266805260164645"}
        assert (result.left.line_items, result.right.line_items, result.left.total) == (1, 1, Decimal("2.26"))
    others = {
        "metered": [seats("550")],
        "plan and product": [metered("2.26", SkuId="0009")],
        "of one month": [metered("2.26", ChargeStartDate="2026-07-01T00:00:00Z")],
        "of one invoice": [metered("2.26", InvoiceNumber="G1")],
    }
    invoiced = lines_file(tmp_path / "invoiced.jsonl", [each | {"InvoiceNumber": "G2"} for each in days])
    for told, items in others.items():
        other = lines_file(tmp_path / "other.jsonl", items)
        with pytest.raises(CounterfoilError) as refused:
            reconcile.compare(str(other), str(invoiced if "invoice" in told else used), comparing="plan")
        assert told in str(refused.value)
    with pytest.raises(CounterfoilError, match="both hold"):
        reconcile.compare(str(used), str(used), comparing="plan")


@pytest.mark.parametrize(
    ("amount", "currency", "line_items", "verdict"),
    [
        ("-0.02", "EUR", 5, "within"),  # the worked cases of FOCUS: 12.50 against 12.52
        ("5.00", "EUR", 5, "beyond"),
        ("4.50", "EUR", 1_000_000, "within"),
        ("15.00", "EUR", 1_000_000, "beyond"),
        ("5", "EUR", 1_000_000, "within"),
        ("5.000000000000000000000000000000001", "EUR", 1_000_000, "beyond"),
        ("100", "JPY", 5, "within"),
        ("101", "JPY", 5, "beyond"),
    ],
)
def test_focus_verdicts_are_notes(amount: str, currency: str, line_items: int, verdict: str) -> None:
    assert f" is {verdict} what " in tolerance_note(Money(Decimal(amount), currency), line_items)


def test_an_empty_side_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(CounterfoilError, match="no line items"):
        reconcile.compare(str(lines_file(tmp_path / "a.jsonl", [usage()])), str(tmp_path / "empty.jsonl"))


def test_a_reader_is_warned_before_the_figures(tmp_path: Path) -> None:
    left = [usage(UsageDate=f"2026-10-{day:02}T00:00:00Z", MeterId=str(day)) for day in range(1, 9)]
    right = [*left[:3], usage("4", UsageDate="2026-09-30T00:00:00Z")]
    with compared(tmp_path, left, right) as result:
        warned = {each.code: each.text for each in result.warnings}
        assert set(warned) == {"few-matched", "days-missing", "outside-period"}
        assert "2026-10-04, 2026-10-05, 2026-10-06, 2026-10-07, 2026-10-08" in warned["days-missing"]
        assert "4.00 EUR" in warned["outside-period"]
        document = json.loads(json.dumps(result.to_json()))
        assert [each["code"] for each in document["warnings"]] == [each.code for each in result.warnings]


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    with compared(tmp_path, [usage()], [usage("2")]):
        assert list((tmp_path / "scratch").iterdir())
    assert not list((tmp_path / "scratch").iterdir())
    with pytest.raises(CounterfoilError):
        compared(tmp_path, [usage()], [usage(CustomerId="c9")])
    assert not list((tmp_path / "scratch").iterdir())


def test_what_happened_between_two_states_sums_to_the_difference(tmp_path: Path) -> None:
    left = [use("2", "3.00"), usage("5", SubscriptionId="gone"), usage("1", SubscriptionId="w", MeterName="a")]
    right = [
        use("4", "6.00"),
        usage("-3", SubscriptionId="k", ChargeType="customerCredit"),
        usage("7", UsageDate="2026-09-01T00:00:00Z", SubscriptionId="l"),
        usage("1", SubscriptionId="w", MeterName="b"),
    ]
    with compared(tmp_path, left, right) as result:
        happened = {each.change.value: (each.amount, each.differences) for each in reconcile.changes_in(result)}
        assert happened == {
            "came late": (Decimal(7), 1),
            "restated": (Decimal(3), 1),
            "credited": (Decimal(-3), 1),
            "vanished": (Decimal(-5), 1),
            "reworded": (Decimal(0), 1),
        }


FORMATS: dict[str, Callable[[Path], int]] = {
    "csv": lambda folder: len((folder / "causes.csv").read_text(encoding="utf-8-sig").splitlines()) - 1,
    "json": lambda folder: len(json.loads((folder / "comparison.json").read_text(encoding="utf-8"))["causes"]),
    "parquet": lambda folder: pq.read_metadata(folder / "causes.parquet").num_rows,
}


def test_a_result_is_written_once_and_never_over_a_file(tmp_path: Path) -> None:
    with compared(tmp_path, [use("2", "3.00")], [use("4", "6.00"), usage("9", SubscriptionId="x")]) as result:
        for form, count in FORMATS.items():
            write_result(result, tmp_path / "out", [form])
            assert count(tmp_path / "out") == 2
        with pytest.raises(CounterfoilError, match="is there already"):
            write_result(result, tmp_path / "out", ["json"])
        assert not [path for path in (tmp_path / "out").iterdir() if "unfinished" in path.name]
