"""Each rule of the audit holds and is broken as it says, found in a whole side as in a single line item."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterator, Sequence
from decimal import ROUND_DOWN, Context, Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from counterfoil import numbers, reconcile
from counterfoil.errors import CounterfoilError
from counterfoil.model import Kind
from counterfoil.reconcile import Audit, Severity
from counterfoil.reconcile.auditing.auditor import RULES, audited, rules_chosen
from counterfoil.reconcile.auditing.excerpts import excerpt_and_name
from counterfoil.reconcile.auditing.rounding_rules import ROUNDING_RULES, RoundingRule
from counterfoil.reconcile.auditing.rule import AuditRule, Facts
from counterfoil.reconcile.explaining.roundings import Rounding
from counterfoil.reconcile.sides.file_sides import file_side
from counterfoil.reconcile.sides.side import Reading
from tests.cli.pulling import rows, run
from tests.reconcile.sides import INVOICE, PARTNER, lake_file, licence, lines_file, pull_folder, usage

Item = dict[str, str]
EXACT, CUT = Context(prec=99), Context(prec=99, rounding=ROUND_DOWN)
LINE_RULES = [rule for rule in RULES if rule.check is not None]


def kind_of(rule: AuditRule) -> Kind:
    return Kind.USAGE if rule.kinds == {Kind.USAGE} else Kind.RECONCILIATION


@pytest.mark.parametrize("rule", LINE_RULES, ids=lambda rule: rule.id)
def test_a_rule_holds_and_is_broken_as_its_examples_say(rule: AuditRule) -> None:
    assert rule.check is not None
    assert rule.check(Facts(kind_of(rule), rule.passes)) is True
    assert rule.check(Facts(kind_of(rule), rule.fails)) is False
    if rule.id != "ids-present":
        assert rule.check(Facts(kind_of(rule), {})) is None


def item_of(rule: AuditRule, example: Item) -> Item:
    """A whole line item with what an example says; what is not of the rule is right."""
    plain = usage() if kind_of(rule) is Kind.USAGE else licence("0", "0", "0")
    return plain | dict(example)


@pytest.mark.parametrize("rule", LINE_RULES, ids=lambda rule: rule.id)
def test_what_breaks_a_rule_is_found_in_a_side(tmp_path: Path, rule: AuditRule) -> None:
    good, bad = item_of(rule, dict(rule.passes)), item_of(rule, dict(rule.fails))
    side = lines_file(tmp_path / "side", [good, bad, good, bad, good])
    found = reconcile.audit(str(side), rules=[rule.id]).of(rule.id)
    assert (found.applied_to, found.found) == (5, 2)
    assert [example.line_item for example in found.examples] == [2]  # both are one tuple, and are told once
    amount = numbers.exact(bad["BillingPreTaxTotal" if kind_of(rule) is Kind.USAGE else "Subtotal"])
    assert found.at_stake == EXACT.multiply(Decimal(2), amount.copy_abs())
    read = {excerpt_and_name(name)[1] for name in rule.reads}
    assert all(found.examples[0].attributes[name] == bad[name] for name in rule.fails if name in read)


PRICED = {"PCToBCExchangeRate": "1", "UnitType": "Licenses"}
METERED = {"PCToBCExchangeRate": "1", "MeterDescription": "meter"}
# What Microsoft printed, see "Billing scenarios for one-time and recurring purchases"; amounts of several sources.
PRINTED: list[tuple[str, Item, str, str, str, set[Rounding]]] = [
    ("new", PRICED, "10.08", "10", "100.80", {*()} | {
        Rounding.CUT_PER_UNIT, Rounding.CUT_PER_LINE, Rounding.HALF_UP_PER_UNIT, Rounding.HALF_UP_PER_LINE}),
    ("seats refunded", PRICED, "-9.408", "10", "-94.08", {Rounding.CUT_PER_LINE, Rounding.HALF_UP_PER_LINE}),
    ("seats charged", PRICED, "9.408", "12", "112.89", {Rounding.CUT_PER_LINE}),
    ("seats removed", PRICED, "9.408", "8", "75.26", {Rounding.CUT_PER_LINE, Rounding.HALF_UP_PER_LINE}),
    ("legacy seats", PRICED, "45.22", "500", "22610.00", {
        Rounding.CUT_PER_UNIT, Rounding.CUT_PER_LINE, Rounding.HALF_UP_PER_UNIT, Rounding.HALF_UP_PER_LINE}),
    ("documented formula", PRICED | {"PCToBCExchangeRate": "0.846202666"}, "22", "25", "465.25", {
        Rounding.CUT_PER_UNIT}),
    ("half-up unit", PRICED, "3.8667", "2", "7.74", {Rounding.HALF_UP_PER_UNIT}),
    ("tiered meter", METERED, "2.5415", "32", "81.33", {Rounding.HALF_UP_PER_LINE}),
    ("metered", METERED | {"PCToBCExchangeRate": "0.846202666"}, "0.737586206896552", "29", "18.10", {
        Rounding.CUT_TWICE, Rounding.CUT_PER_LINE, Rounding.HALF_UP_PER_LINE}),
    ("metered, a cent less", METERED, "0.737586206896552", "29", "21.38", {Rounding.WITHIN_A_UNIT}),
    ("metered, two cents less", METERED, "0.737586206896552", "29", "21.36", set()),
    ("a refund cut towards zero", PRICED, "-9.405", "1", "-9.40", {Rounding.CUT_PER_UNIT, Rounding.CUT_PER_LINE}),
]  # fmt: skip


@pytest.mark.parametrize(("_", "more", "price", "quantity", "net", "ways"), PRINTED, ids=[row[0] for row in PRINTED])
def test_every_rounding_that_explains_an_amount_is_named(
    _: str, more: Item, price: str, quantity: str, net: str, ways: set[Rounding]
) -> None:
    facts = Facts(
        Kind.RECONCILIATION, more | {"EffectiveUnitPrice": price, "BillableQuantity": quantity, "Subtotal": net}
    )
    licences, metered, *_others = ROUNDING_RULES
    explained = (metered if "MeterDescription" in more else licences).explain(facts)
    assert explained is not None
    assert set(explained.ways) == ways


@pytest.mark.parametrize(
    ("pricing", "billing", "good"),
    [
        ("0.490235765325545", "0.490235765325545", True),  # Microsoft's sample: the list price, unrounded, rate 1
        ("0.490235765325544", "0.490235765325544", True),  # one off in the last digit: somebody's double
        ("0.49", "0.49", True),
        ("0.48", "0.48", False),
        ("0.490235865325545", "0.490235865325545", False),
    ],
)
def test_daily_amounts_are_whole_to_digits_or_to_cents(pricing: str, billing: str, good: bool) -> None:
    item = usage(billing, PricingPreTaxTotal=pricing, Quantity="23.350007", PCToBCExchangeRate="1") | {
        "UnitPrice": "0.0209951014286867",
        "EffectiveUnitPrice": "0.1999968000511991808131",
    }
    pricing_total = ROUNDING_RULES[2]
    assert pricing_total.check is not None
    assert pricing_total.check(Facts(Kind.USAGE, item)) is good


def seats(net: str, quantity: str, month: str = "10", product: str = "p1", price: str = "9.408") -> Item:
    priced = {"EffectiveUnitPrice": price, "BillableQuantity": quantity, "PCToBCExchangeRate": "1"}
    return licence(net, "0", net, ProductId=product, ChargeStartDate=f"2026-{month}-01T00:00:00Z", **priced)


def by_unit(quantity: int, **more: str) -> Item:
    return seats(numbers.plain(EXACT.multiply(Decimal("9.40"), Decimal(quantity))), str(quantity), **more)


def by_line(quantity: int, **more: str) -> Item:
    cut = CUT.quantize(CUT.multiply(Decimal("9.408"), Decimal(quantity)), Decimal("0.01"))
    return seats(numbers.plain(cut), str(quantity), **more)


def test_a_rounding_that_is_unusual_for_its_product_is_a_warning_with_the_amount_between(tmp_path: Path) -> None:
    items = [by_unit(12 + at) for at in range(99)] + [by_line(12)] + [by_line(12, product="p2")] * 30
    found = reconcile.audit(str(lines_file(tmp_path / "side", items)))
    unusual = found.of("rounding-unusual")
    assert (unusual.found, unusual.at_stake) == (1, Decimal("0.09"))  # 112.89 is cut per line, 112.80 per unit
    assert unusual.examples[0].line_item == 100
    assert found.of("subtotal-licence").found == 0


@pytest.mark.parametrize("few", [19, 40])
def test_a_month_that_switches_its_rounding_is_named(tmp_path: Path, few: int) -> None:
    items = [by_unit(12 + at, month="09") for at in range(40)] + [
        by_line(12 + at * 5, product="p2") for at in range(few)
    ]
    found = reconcile.audit(str(lines_file(tmp_path / "side", items))).of("rounding-switched")
    assert found.found == (few >= 20)
    if found.found:
        assert found.told == "subtotal-licence: from 2026-10 on cut per line, before cut per unit"


@pytest.mark.parametrize(("signs", "found"), [((-1, -1), 1), ((-1, 1), 0)])
def test_allowed_cents_that_do_not_cancel_out_are_a_bias(tmp_path: Path, signs: tuple[int, int], found: int) -> None:
    priced = {"EffectiveUnitPrice": "0.737586206896552", "BillableQuantity": "29", "PCToBCExchangeRate": "1"}
    nets = [{-1: "21.38", 1: "21.40"}[sign] for sign in signs]
    items = [
        licence(net, "0", net, MeterDescription="D4", OrderId=str(at), **priced) for at in range(60) for net in nets
    ]
    audit = reconcile.audit(str(lines_file(tmp_path / "side", items)))
    assert audit.of("rounding-bias").found == found
    assert audit.of("subtotal-metered").found == 0


CHANGE = {"ChargeType": "addQuantity"}
AMONG: dict[str, tuple[list[Item], int, int]] = {
    "one-name": ([usage(), usage(CustomerId="C1", CustomerName="Fabrikam"), usage(CustomerId="c2")], 2, 1),
    "one-reseller": ([usage(Tier2MpnId="1"), usage(Tier2MpnId="2"), usage(Tier2MpnId="")], 1, 1),
    "one-invoice": ([usage(InvoiceNumber=""), usage(InvoiceNumber="G1"), usage(InvoiceNumber="G2")], 1, 1),
    "one-rate-a-day": (
        [licence(PCToBCExchangeRate=rate, PCToBCExchangeRateDate=day, PricingCurrency="USD")
         for rate, day in (("0.92", "2026-10-01"), ("0.93", "2026-10-01"), ("0.94", "2026-10-02"))], 2, 1,
    ),
    "change-pairs": (
        [licence("-10", "0", "-10", **CHANGE), licence("15", "0", "15", **CHANGE),
         licence("-9", "0", "-9", SubscriptionId="s2", **CHANGE), licence("7", "0", "7")], 2, 1,
    ),
    "tax-rate": (
        [licence("100", tax, "119", CustomerCountry="DE", OrderId=tax) for tax in ("19.00", "19.00", "19.01", "20")]
        + [licence("1", "1", "2", CustomerCountry="DE")], 4, 1,
    ),
    "duplicates": ([usage(), usage(), usage("1.5"), usage(Tags="x"), usage()], 5, 2),
}  # fmt: skip


@pytest.mark.parametrize("rule", AMONG)
def test_what_neighbours_contradict_is_found(tmp_path: Path, rule: str) -> None:
    items, applied, broken = AMONG[rule]
    found = reconcile.audit(str(lines_file(tmp_path / "side", items))).of(rule)
    assert (found.applied_to, found.found) == (applied, broken)
    if rule == "change-pairs":
        assert found.at_stake == 9


def test_late_use_is_a_note_with_its_sum(tmp_path: Path) -> None:
    items = [usage("1"), usage("2.5", UsageDate="2026-09-30T00:00:00Z"), usage("-1", UsageDate="2026-09-29T00:00:00Z")]
    month = {"month": "2026-10", "billingPeriod": "last", "currencyCode": "EUR"}
    found = reconcile.audit(str(pull_folder(tmp_path / "pull", items, Kind.USAGE, **month)))
    late = found.of("in-period")
    assert (late.applied_to, late.found, late.at_stake) == (3, 2, Decimal("1.5"))
    assert found.is_clean


def test_another_invoices_line_item_is_an_error(tmp_path: Path) -> None:
    found = reconcile.audit(str(pull_folder(tmp_path / "pull", [usage(InvoiceNumber="G1")], Kind.USAGE)))
    assert found.of("one-invoice").found == 1
    assert found.of("one-invoice").examples[0].attributes == {"InvoiceNumber": f"{INVOICE} and G1"}


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Kind], Path]:
    """Ordinary line items of each kind, as `counterfoil generate` makes them."""
    folder = tmp_path_factory.mktemp("generated")
    for kind in Kind:
        scope = ["--invoice", INVOICE] if kind is Kind.RECONCILIATION else ["--period", "2026-10"]
        path = str(folder / kind.value)
        options = [
            "--kind",
            kind.value,
            "--line-items",
            "1500",
            "--seed",
            "7",
            "--partner",
            PARTNER,
            "--currency",
            "EUR",
        ]
        assert run("generate", *options, *scope, "-o", path).exit_code == 0
    return lambda kind: folder / kind.value


@pytest.mark.parametrize("kind", list(Kind))
def test_ordinary_line_items_break_no_rule_that_is_an_error(generated: Callable[[Kind], Path], kind: Kind) -> None:
    found = reconcile.audit(str(generated(kind)))
    assert found.found(Severity.ERROR) == 0
    applied = {finding.rule.id for finding in found.findings if finding.applied_to}
    errors = {rule.id for rule in RULES if rule.severity is Severity.ERROR and kind in rule.kinds}
    assert errors - {"one-invoice", "own-currency"} <= applied  # unbilled, and priced in another currency
    # The cases that the generator begins with are odd on purpose; what is broken after them is at most a note.
    ordinary = {finding.rule.id for finding in found.findings for each in finding.examples if each.line_item > 64}
    assert not [finding for finding in found.findings if finding.rule.id in ordinary
                and finding.rule.severity is not Severity.NOTE]  # fmt: skip


def in_portions(path: Path, line_items: int, *, coded: bool) -> Audit:
    side = file_side(path, "side")

    def batches(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        for batch in side.batches(names):
            for start in range(0, batch.num_rows, line_items):
                part = pa.Table.from_batches([batch.slice(start, line_items)])
                if not coded:
                    part = part.cast(pa.schema([pa.field(name, pa.string()) for name in part.column_names]))
                yield part.combine_chunks().to_batches()[0]

    chosen = [rule for rule in rules_chosen() if rule.id != "duplicates"]  # which are looked for in a batch
    return audited(Reading(dataclasses.replace(side, batches=batches)), chosen, lambda _: None)


def test_an_audit_does_not_depend_on_how_line_items_are_read(generated: Callable[[Kind], Path]) -> None:
    path = generated(Kind.RECONCILIATION)
    whole, parts = (in_portions(path, size, coded=coded) for size, coded in ((10_000, True), (211, False)))
    assert [(each.rule.id, each.applied_to, each.found, each.at_stake) for each in whole.findings] == [
        (each.rule.id, each.applied_to, each.found, each.at_stake) for each in parts.findings
    ]
    assert sorted(map(str, whole.roundings)) == sorted(map(str, parts.roundings))


def test_rules_are_chosen_and_an_audit_by_none_that_applies_is_never_clean(tmp_path: Path) -> None:
    side = str(lines_file(tmp_path / "side", [licence()]))
    assert [each.rule.id for each in reconcile.audit(side, rules=["total", "sign"], skip=["sign"]).findings] == [
        "total"
    ]
    assert "duplicates" not in {each.rule.id for each in reconcile.audit(side, skip=["duplicates"]).findings}
    for wrong, told in {
        "toatl": "Did you mean 'total'?",
        "credit-covers": "so nothing was audited",
    }.items():
        with pytest.raises(CounterfoilError, match=told.replace("?", r"\?")):
            reconcile.audit(side, rules=[wrong])
    with pytest.raises(CounterfoilError, match="No rule is left"):
        reconcile.audit(side, rules=["total"], skip=["total"])


@pytest.mark.parametrize(
    ("attribute", "value", "told"),
    [
        ("UsageDateText", "2026-13-01", "not a date of the calendar"),
        ("QuantityText", "1,5", "not a JSON number"),
        ("UnitPriceText", "NaN", "not a JSON number"),
        ("ChargeEndDateText", "soon", "not an ISO 8601 date"),
    ],
)
def test_a_lake_file_that_some_program_wrote_is_not_believed(
    tmp_path: Path, attribute: str, value: str, told: str
) -> None:
    path = lake_file(tmp_path / "side", [usage(Quantity="1", UnitPrice="1", ChargeEndDate="2026-10-31")], Kind.USAGE)
    table = pq.read_table(path)
    at = table.schema.get_field_index(attribute)
    changed = pa.chunked_array([[value]], pa.string())
    pq.write_table(table.set_column(at, table.schema.field(at), changed), path)
    with pytest.raises(CounterfoilError, match=told):
        reconcile.audit(str(path))


def test_the_command_tells_what_the_library_finds(tmp_path: Path) -> None:
    good = lines_file(tmp_path / "good", [licence()])
    bad = lines_file(tmp_path / "bad", [licence(), licence("720", "0", "0")])
    assert run("audit", str(good)).exit_code == 0
    code, told = rows("audit", str(bad))
    assert (code, told) == (3, json.loads(json.dumps(reconcile.audit(str(bad)).to_json(), default=str)))
    code, both = rows("audit", str(good), str(bad), "--rule", "total")
    assert (code, [each["clean"] for each in both]) == (3, [True, False])
    done = run("audit", str(bad))
    assert "total: line item 2: Subtotal 720, TaxTotal 0, Total 0" in done.stdout
    assert re.search("^total +error +2 +1 +720.00 EUR$", done.stdout, re.MULTILINE)
    assert "1 error, 0 warnings, 0 notes. What a rule demands: counterfoil audit --explain total" in done.stderr
    assert run("audit").exit_code == 2
    assert run("audit", str(good), "--rule", "nonsense").exit_code == 2


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_every_rule_can_be_explained(rule: AuditRule) -> None:
    done = run("audit", "--explain", rule.id, "--output", "json")
    told = json.loads(done.stdout)
    assert (done.exit_code, told["sentence"], told["severity"]) == (0, rule.sentence, rule.severity.value)
    assert told["holds"]
    assert told["isBrokenBy"]
    if rule.id == "subtotal-licence":
        assert told["computed"] == "22 x 0.846202666 = 18.616458652; cut: 18.61; x 25 = 465.25"
    assert isinstance(rule, RoundingRule) == ("computed" in told)
