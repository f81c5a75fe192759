"""The audit convicts: each formula broken in ordinary line items is found, and no trap of other tools is left."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from decimal import Context, Decimal
from pathlib import Path

import pytest

from counterfoil import numbers, reconcile
from counterfoil.errors import SideError
from counterfoil.model import Kind
from counterfoil.reconcile import Severity
from counterfoil.reconcile.auditing.auditor import RULES
from tests.cli.pulling import run
from tests.reconcile.sides import INVOICE, PARTNER, licence, lines_file, usage
from tests.reconcile.test_audit import by_line, by_unit

Item = dict[str, str]
EXACT = Context(prec=99)
SPECIAL = 70  # the cases that the generator begins with are odd on purpose


def ordinary(folder: Path, kind: Kind) -> list[Item]:
    """Ordinary line items, each number as it is written."""
    scope = ["--invoice", INVOICE] if kind is Kind.RECONCILIATION else ["--period", "2026-10"]
    options = ["--kind", kind.value, "--line-items", "300", "--seed", "11", "--partner", PARTNER, "--currency", "EUR"]
    assert run("generate", *options, *scope, "-o", str(folder / kind.value)).exit_code == 0
    lines = (folder / kind.value).read_text(encoding="utf-8").splitlines()[SPECIAL:]
    items = [json.loads(line, parse_float=str, parse_int=str) for line in lines]
    return [{name: value for name, value in item.items() if isinstance(value, str)} for item in items]


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> dict[Kind, list[Item]]:
    folder = tmp_path_factory.mktemp("ordinary")
    return {kind: ordinary(folder, kind) for kind in Kind}


def more(name: str, by: str) -> Callable[[Item], Item]:
    return lambda item: item | {name: f"{EXACT.add(Decimal(item[name]), Decimal(by)):f}"}


def given(**values: str) -> Callable[[Item], Item]:
    return lambda item: item | values


def negative(name: str) -> Callable[[Item], Item]:
    return lambda item: item | {name: item[name].removeprefix("-") if item[name].startswith("-") else f"-{item[name]}"}


def is_seats(item: Item) -> bool:
    return item.get("UnitType", "")[:1] not in set("0123456789") and not item.get("MeterDescription")


def is_charged(item: Item) -> bool:
    return Decimal(item.get("Subtotal") or item["BillingPreTaxTotal"]) != 0


BROKEN: list[tuple[Kind, str, Callable[[Item], Item], Callable[[Item], bool]]] = [
    (Kind.RECONCILIATION, "subtotal-licence", more("Subtotal", "0.55"), is_seats),
    (Kind.RECONCILIATION, "subtotal-licence", more("EffectiveUnitPrice", "1"), is_seats),
    (Kind.RECONCILIATION, "subtotal-metered", more("Subtotal", "-0.05"), lambda item: not is_seats(item)),
    (Kind.RECONCILIATION, "subtotal-metered", more("BillableQuantity", "100000"), lambda item: not is_seats(item)
     and is_charged(item)),
    (Kind.RECONCILIATION, "total", more("Total", "0.01"), lambda _: True),
    (Kind.RECONCILIATION, "total", more("TaxTotal", "-0.01"), lambda _: True),
    (Kind.RECONCILIATION, "sign", negative("EffectiveUnitPrice"), is_charged),
    (Kind.RECONCILIATION, "own-currency", given(PricingCurrency="EUR"), lambda _: True),
    (Kind.RECONCILIATION, "rate-positive", given(PCToBCExchangeRate="0"), lambda _: True),
    (Kind.RECONCILIATION, "dates-in-order", given(ChargeEndDate="2020-01-01T00:00:00Z"), lambda _: True),
    (Kind.RECONCILIATION, "ids-whole", given(OrderId="5.66891E+17"), lambda _: True),
    (Kind.RECONCILIATION, "ids-whole", given(SkuId="2"), lambda _: True),
    (Kind.RECONCILIATION, "one-invoice", given(InvoiceNumber="G000000001"), lambda _: True),
    (Kind.USAGE, "usage-pricing-total", more("PricingPreTaxTotal", "0.0101"), lambda _: True),
    (Kind.USAGE, "usage-pricing-total", more("Quantity", "1"), is_charged),
    (Kind.USAGE, "usage-billing-total", more("BillingPreTaxTotal", "-0.0101"), lambda _: True),
    (Kind.USAGE, "usage-billing-total", more("PCToBCExchangeRate", "0.1"), lambda item: Decimal(
        item["BillingPreTaxTotal"]) > 1),
    (Kind.USAGE, "sign", negative("Quantity"), is_charged),
    (Kind.USAGE, "credit-covers", given(CreditPercentage="50"), lambda _: True),
    (Kind.USAGE, "rate-positive", given(PCToBCExchangeRate="-1"), lambda _: True),
    (Kind.USAGE, "dates-in-order", given(ChargeEndDate="2020-01-01T00:00:00Z"), lambda _: True),
    (Kind.USAGE, "ids-whole", given(EntitlementId="123456789012345000"), lambda _: True),
]  # fmt: skip


@pytest.mark.parametrize("kind", list(Kind), ids=str)
def test_every_formula_that_is_broken_in_one_line_item_is_found_there(
    tmp_path: Path, items: dict[Kind, list[Item]], kind: Kind
) -> None:
    mine = [(rule, change, fits) for its, rule, change, fits in BROKEN if its is kind]
    errors = {rule.id for rule in RULES if rule.severity is Severity.ERROR and kind in rule.kinds}
    assert errors - {"own-currency", "one-invoice"} <= {rule for rule, *_ in mine}
    path, draw = tmp_path / "side", random.Random(3)
    for rule, change, fits in mine:
        changed = list(items[kind])
        at = draw.choice([at for at, item in enumerate(changed) if fits(item)])
        changed[at] = change(changed[at])
        found = reconcile.audit(str(lines_file(path, changed)), rules=[rule])
        assert (found.of(rule).found, found.is_clean) == (1, False), (rule, changed[at])
        assert found.of(rule).examples[0].line_item in (at + 1, 0)


@pytest.mark.parametrize("kind", list(Kind), ids=str)
def test_ordinary_line_items_are_clean_but_for_changes_without_a_counterpart(
    tmp_path: Path, items: dict[Kind, list[Item]], kind: Kind
) -> None:
    found = reconcile.audit(str(lines_file(tmp_path / "side", items[kind])), skip=["change-pairs"])
    assert found.is_clean, [each.to_json() for each in found.findings if each.found]


def test_a_hundredth_of_the_line_items_by_a_foreign_rounding_is_named_however_few_each_product_has(
    tmp_path: Path,
) -> None:
    """Eight line items do not make a rounding usual; those of all products of the charge type do."""
    usual = [by_unit(12 + at, product=f"p{at % 60}") for at in range(495)]
    foreign = [by_line(12 + 5 * at, product=f"p{at}") for at in range(5)]
    found = reconcile.audit(str(lines_file(tmp_path / "side", [*usual, *foreign]))).of("rounding-unusual")
    assert found.found == 5
    between = [EXACT.multiply(Decimal("0.008"), Decimal(12 + 5 * at)) for at in range(5)]
    cut = [each.quantize(Decimal("0.01"), "ROUND_DOWN", EXACT) for each in between]
    assert found.at_stake == numbers.total(map(str, cut))


def test_roundings_are_counted_and_undecided_ones_apart(tmp_path: Path) -> None:
    items = [by_unit(12)] * 3 + [by_line(12)] * 2 + [by_unit(1)] * 4
    found = reconcile.audit(str(lines_file(tmp_path / "side", items)), rules=["subtotal-licence"])
    counts = {str(each.rounding or "undecided"): each.line_items for each in found.roundings}
    assert counts == {"cut per unit": 3, "cut per line": 2, "undecided": 4}


# What users of other tools reported: clean although nothing was audited, subscriptions of one product that collapse,
# empty keys that make strangers neighbours, duplicates that depend on the order of rows.
def test_nothing_audited_is_never_clean(tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    headings = tmp_path / "headings.csv"
    headings.write_text("PartnerId,CustomerId,Subtotal,TaxTotal,Total,Currency\n")
    for side in (empty, headings):
        assert run("audit", str(side)).exit_code in (1, 2)
    with pytest.raises(SideError, match="so nothing was audited"):
        reconcile.audit(str(lines_file(tmp_path / "side", [usage()])), rules=["usage-pricing-total"])


def test_two_subscriptions_of_one_product_stay_apart(tmp_path: Path) -> None:
    change = {"ChargeType": "addQuantity"}
    halves = [
        licence("-10", "0", "-10", SubscriptionId="s1", **change),
        licence("15", "0", "15", SubscriptionId="s2", **change),
    ]
    found = reconcile.audit(str(lines_file(tmp_path / "side", halves))).of("change-pairs")
    assert (found.applied_to, found.found, found.at_stake) == (2, 2, Decimal(25))


def test_line_items_without_a_key_are_no_neighbours(tmp_path: Path) -> None:
    strangers = [
        usage(CustomerId="", CustomerName=name, SubscriptionId="", Tier2MpnId=name) for name in ("A", "B", "C")
    ]
    found = reconcile.audit(str(lines_file(tmp_path / "side", strangers)))
    for rule in ("one-name", "one-reseller"):
        assert (found.of(rule).applied_to, found.of(rule).found) == (0, 0)
    assert found.of("ids-present").found == 3


def test_duplicates_are_found_in_any_order(tmp_path: Path) -> None:
    items = [usage(str(at), Tags=tag) for at in range(20) for tag in ("x", "y", "x")] + [usage("0", Tags="x")]
    for seed in range(3):
        random.Random(seed).shuffle(items)
        assert reconcile.audit(str(lines_file(tmp_path / "side", items))).of("duplicates").found == 21
