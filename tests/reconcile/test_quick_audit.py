"""What the audit decides of whole batches is what its rules say of each line item, for amounts of every shape."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator, Sequence
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal
from typing import Any

import pyarrow as pa
import pytest

from counterfoil import numbers
from counterfoil.columns import EXTRA, table_of
from counterfoil.model import Kind
from counterfoil.reconcile import Audit
from counterfoil.reconcile.auditing.auditor import audited, rules_chosen
from counterfoil.reconcile.auditing.columns_read import BatchColumns
from counterfoil.reconcile.auditing.excerpts import Excerpt, excerpts_of
from counterfoil.reconcile.auditing.quick_roundings import QuickRoundings
from counterfoil.reconcile.auditing.rounding_rules import RoundingRule
from counterfoil.reconcile.auditing.rule import AuditRule, Facts
from counterfoil.reconcile.sides.side import Reading, Side
from tests.reconcile.sides import licence, usage

Item = dict[str, str]
EXACT = Context(prec=400)
WAYS = (ROUND_DOWN, ROUND_HALF_UP, ROUND_HALF_EVEN, ROUND_CEILING)
RATES = ("1", "1", "0.935855890881", "0.846202666", "16321.55", "", "0.0000000000000000000000017", "9.2E-1")
SHAPES: Sequence[Callable[[random.Random], str]] = (
    lambda _: "0",
    lambda _: "0.00",
    lambda _: "-0.0",
    lambda _: "0E-20",
    lambda r: str(r.randint(1, 50)),
    lambda r: str(r.randint(1, 50)),
    lambda r: f"{r.randint(0, 9999)}.{r.randint(0, 99):02}",
    lambda r: f"-{r.randint(0, 9999)}.{r.randint(0, 99):02}",
    lambda r: f"{r.randint(0, 9)}.{r.randint(0, 10**15):015}",
    lambda r: f"0.{r.randint(0, 10**6):09}",
    lambda r: f"{r.randint(0, 9)}.{r.randint(0, 10**22):022}",
    lambda r: f"{r.randint(0, 9)}.{r.randint(0, 10**45):045}",
    lambda r: f"{r.randint(1, 9)}.{r.randint(0, 99)}E{r.choice(['', '-', '+'])}{r.randint(0, 9)}",
    lambda r: str(r.randint(10**8, 10**12)),
    lambda r: f"{r.randint(1, 9)}.5",
)


def near(r: random.Random, value: Decimal) -> str:
    """An amount that comes from a value by some rounding, or misses it by one in a place."""
    if r.random() < 0.15:
        places = r.choice([2, 2, 3, 6, 12])
        value = EXACT.add(value, Decimal(r.choice([-1, 1])).scaleb(-places, EXACT))
    match r.randrange(4):
        case 0:
            amount = value
        case 1:
            amount = Context(prec=15, rounding=r.choice(WAYS)).plus(value)
        case 2:
            amount = value.quantize(Decimal("0.01"), r.choice(WAYS), EXACT)
        case _:
            amount = value.quantize(Decimal(1).scaleb(-r.randint(0, 9), EXACT), r.choice(WAYS), EXACT)
    text = f"{amount:f}"
    return text if numbers.why_not_a_number(text) is None else "1.00"


def product(*texts: str) -> Decimal:
    result = Decimal(1)
    for text in texts:
        result = EXACT.multiply(result, Decimal(text or "1"))
    return result


def cut(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.01"), ROUND_DOWN, EXACT)


def daily_use(r: random.Random) -> Item:
    price, listed, quantity = (r.choice(SHAPES)(r) for _ in range(3))
    if r.random() < 0.6:
        listed = f"{EXACT.multiply(Decimal(price), r.choice([Decimal(1), Decimal('1.25'), Decimal('0.5')])):f}"[:60]
    rate = r.choice(RATES)
    pricing = near(r, product(r.choice([price, price, listed]), quantity))
    billing = near(r, product(*r.choice([(pricing, rate), (pricing, rate), (price, quantity, rate)])))
    return usage(
        billing,
        EffectiveUnitPrice=price,
        UnitPrice=r.choice([listed, listed, ""]),
        Quantity=quantity,
        PCToBCExchangeRate=rate,
        PricingPreTaxTotal=r.choice([pricing] * 9 + [""]),
        PartnerEarnedCreditPercentage=r.choice(["15", "15", "0", "", "12.5", "1.5E1", "150"]),
        CreditPercentage=r.choice(["0", "100", ""]),
        ProductId=r.choice("pq"),
    )


def seats(r: random.Random) -> Item:
    listed, quantity, rate = r.choice(SHAPES)(r), r.choice(SHAPES)(r), r.choice(RATES)
    start, end = r.choice([("2026-10-01", "2026-10-31"), ("2026-10-15", "2026-10-31"), ("2026-10-30", "2026-10-31")])
    days = {"2026-10-01": 31, "2026-10-15": 17, "2026-10-30": 2}[start]
    price = near(r, EXACT.divide(EXACT.multiply(Decimal(listed), Decimal(r.choice([days, 31]))), Decimal(31)))
    exact = product(price, rate, quantity)
    nets = [
        exact,
        product(str(cut(product(price, rate))), quantity),
        cut(product(str(cut(product(price, quantity))), rate)),
    ]
    net = near(r, r.choice(nets))
    tax = near(
        r, EXACT.multiply(Decimal(net), r.choice([Decimal("0.19"), Decimal("0.19"), Decimal("0.0005"), Decimal(7)]))
    )
    total = (
        near(r, EXACT.add(Decimal(net), Decimal(tax)))
        if r.random() < 0.5
        else f"{EXACT.add(Decimal(net), Decimal(tax)):f}"
    )
    return licence(
        net,
        r.choice([tax] * 9 + [""]),
        total if numbers.why_not_a_number(total) is None else "0",
        EffectiveUnitPrice=r.choice([price] * 9 + [""]),
        UnitPrice=listed,
        BillableQuantity=quantity,
        PCToBCExchangeRate=rate,
        UnitType=r.choice(["Licenses", "Licenses", "1 GB", "10K", ""]),
        MeterDescription=r.choice(["", "", "meter"]),
        PriceAdjustmentDescription=r.choice(["", '["15.0% Partner earned credit for services managed"]']),
        BillingFrequency=r.choice(["Monthly", "Annual"]),
        PromotionId=r.choice(["", "", "promotion"]),
        ChargeType=r.choice(["new", "addQuantity", "Refund"]),
        CustomerCountry=r.choice(["DE", "FR", "de", ""]),
        SubscriptionId=r.choice("stu"),
        ChargeStartDate=f"{start}T00:00:00Z",
        ChargeEndDate=f"{end}T00:00:00Z",
        OrderId=r.choice(["5e1234567890", "5.66891E+17", "a1", "", "123456789012345000"]),
    )  # fmt: skip


MAKE: dict[Kind, Callable[[random.Random], Item]] = {Kind.USAGE: daily_use, Kind.RECONCILIATION: seats}


def one_by_one(rule: AuditRule) -> AuditRule:
    """The same rule, which decides nothing of a whole batch."""
    if isinstance(rule, RoundingRule):
        return dataclasses.replace(rule, decide=lambda columns: QuickRoundings((), columns.rows))
    return dataclasses.replace(rule, quick=None)


def batch_of(items: Sequence[Item], kind: Kind, names: Sequence[str], *, coded: bool) -> pa.RecordBatch:
    columns = [pa.array([item.get(name) for item in items], pa.string()) for name in names]
    return pa.RecordBatch.from_arrays([each.dictionary_encode() if coded else each for each in columns], list(names))


def audit_of(items: Sequence[Item], kind: Kind, *, quick: bool, coded: bool) -> Audit:
    def batches(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        for start in range(0, len(items), 700):
            yield batch_of(items[start : start + 700], kind, names, coded=coded)

    side = Side(name="side", what="", origin="published", kind=kind, batches=batches, partner="p", currency="EUR")
    rules = rules_chosen() if quick else [one_by_one(rule) for rule in rules_chosen()]
    return audited(Reading(side), rules, lambda _: None)


def told(audit: Audit) -> dict[str, Any]:
    document = audit.to_json()
    assert isinstance(document["rules"], list)
    assert isinstance(document["roundings"], list)
    return {each["rule"]: each for each in document["rules"]} | {"roundings": sorted(map(str, document["roundings"]))}


@pytest.mark.parametrize("coded", [False, True], ids=["plain", "coded"])
@pytest.mark.parametrize("kind", list(Kind), ids=str)
def test_a_batch_at_once_is_judged_as_each_line_item_is(kind: Kind, coded: bool) -> None:
    r = random.Random(f"{kind} {coded}")
    items = [MAKE[kind](r) for _ in range(1400)]
    quick, slow = (told(audit_of(items, kind, quick=each, coded=coded)) for each in (True, False))
    assert {key: value for key, value in quick.items() if value != slow[key]} == {}
    for rule in rules_chosen():
        if kind in rule.kinds and (isinstance(rule, RoundingRule) or rule.quick is not None):
            assert min(slow[rule.id]["found"], slow[rule.id]["appliedTo"] - slow[rule.id]["found"]) > 4, rule.id


@pytest.mark.parametrize("kind", list(Kind), ids=str)
def test_hardly_a_line_item_of_ordinary_shape_is_left_to_be_asked_alone(kind: Kind) -> None:
    table = table_of(kind)
    r = random.Random(5)
    few: list[Item] = []
    for _ in range(400):
        price, quantity = f"{r.randint(1, 99)}.{r.randint(0, 10**14):014}", str(r.randint(1, 99))
        if kind is Kind.USAGE:
            pricing = f"{Context(prec=15).multiply(Decimal(price), Decimal(quantity)):f}"
            priced = {
                "EffectiveUnitPrice": price,
                "UnitPrice": price,
                "Quantity": quantity,
                "PCToBCExchangeRate": "0.92",
            }
            billing = Context(prec=15).multiply(Decimal(pricing), Decimal("0.92"))
            few.append(usage(f"{billing:f}", PricingPreTaxTotal=pricing, **priced))
        else:
            net = f"{EXACT.multiply(cut(Decimal(price)), Decimal(quantity)):f}"
            priced = {"EffectiveUnitPrice": price, "UnitPrice": price, "BillableQuantity": quantity}
            few.append(licence(net, "0", net, **priced))
    columns = BatchColumns(batch_of(few, kind, [*(each.name for each in table.columns), EXTRA], coded=False), kind)
    mine = [rule for rule in rules_chosen() if kind in rule.kinds]
    for rule in mine:
        if isinstance(rule, RoundingRule):
            assert len(rule.decide(columns).left) == 0, rule.id
        elif rule.quick is not None:
            assert rule.quick(columns).null_count == 0, rule.id


@pytest.mark.parametrize(
    ("part", "text", "short"),
    [
        (Excerpt.SIGN, "-0.00", "0"),
        (Excerpt.SIGN, "0E5", "0"),
        (Excerpt.SIGN, "0.0e-5", "0"),
        (Excerpt.SIGN, "-0.001", "-1"),
        (Excerpt.SIGN, "10", "1"),
        (Excerpt.SIGN, "1E-5", "1"),
        (Excerpt.SIGN, "", ""),
        (Excerpt.WHOLENESS, "5.00", "1"),
        (Excerpt.WHOLENESS, "-5", "1"),
        (Excerpt.WHOLENESS, "5.01", "0.5"),
        (Excerpt.WHOLENESS, "5E1", "5E1"),
        (Excerpt.HEALTH, "0002", "whole"),
        (Excerpt.HEALTH, "2", "2"),
        (Excerpt.HEALTH, "5.66891E+17", "5.66891E+17"),
        (Excerpt.HEALTH, "5e1234567890", "whole"),
        (Excerpt.PRESENCE, "x", "present"),
        (Excerpt.BEGINNING, "10K", "1"),
    ],
)
def test_a_part_says_what_its_text_does(part: Excerpt, text: str, short: str) -> None:
    column = pa.array([text, None], pa.string())
    assert excerpts_of(part, column).to_pylist() == [short, None]
    coded = excerpts_of(part, column.dictionary_encode())
    assert coded.cast(pa.string()).to_pylist() == [short, None]


def test_facts_of_a_part_are_those_of_its_text() -> None:
    for unit in ("1 GB", "Licenses", "", "10K"):
        whole = Facts(Kind.RECONCILIATION, {"UnitType": unit, "MeterDescription": ""})
        part = excerpts_of(Excerpt.BEGINNING, pa.array([unit])).to_pylist()[0]
        assert Facts(Kind.RECONCILIATION, {"UnitType": part, "MeterDescription": ""}).metered == whole.metered
