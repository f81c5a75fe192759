"""Comparisons of invoices, made by hand for whoever tests a report: their causes, names and sizes are given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from counterfoil.model import Kind, Scope
from counterfoil.periods import BillingPeriod
from counterfoil.reconcile import Comparing, Comparison, FoundDifference, ReportWarning, Stage
from counterfoil.reconcile.ledger_matching.margins import Margins
from tests.reconcile.comparisons import comparison, found
from tests.reconcile.sides import Item, licence, usage

UNBILLED = Scope.unbilled(BillingPeriod(2026, 10), "EUR")
INVOICE = Scope.billed("G016907411")
HOSTILE = '</script><script>alert(1)</script><img src=x onerror="alert(2)">'
FORMULA = '=HYPERLINK("http://127.0.0.1/","Contoso")'


def charged(net: str, customer: str = "c1", **more: str) -> dict[str, str]:
    """A licence of this amount before tax, without tax, of a customer and a subscription of theirs."""
    told = {"CustomerId": customer, "CustomerName": f"Customer {customer}", "SubscriptionId": f"s-{customer}"}
    named = {"ProductName": "Microsoft 365 E3", "ChargeEndDate": "2026-10-31T00:00:00Z"}
    return licence(net, "0", net, **{**told, **named, **more})


def differing(
    number: int, left: str, right: str, causes: Mapping[str, str], *, customer: str = "c1", **more: str
) -> FoundDifference:
    """A difference of licences; '' for a side is no line item there."""
    lefts: Sequence[Item] = [charged(left, customer, **more)] if left else []
    rights: Sequence[Item] = [charged(right, customer, **more)] if right else []
    both = bool(left and right)
    return found(
        number,
        lefts,
        rights,
        causes,
        kind=Kind.RECONCILIATION,
        stage=Stage.SAME_CHARGE if both else Stage.ONE_SIDE,
        attributes=("Subtotal", "Total") if both else (),
        notes=[f"{cause}: as made by hand" for cause in causes],
    )


def of_invoice(
    folder: Path,
    differences: Iterable[FoundDifference],
    *,
    equal: Sequence[Item] = (),
    warnings: Sequence[ReportWarning] = (),
) -> Comparison:
    """Unbilled line items against an invoice, both published."""
    made = comparison(
        folder,
        differences,
        kind=Kind.RECONCILIATION,
        comparing=Comparing.UNBILLED_BILLED,
        equal=equal,
        warnings=warnings,
    )
    left = replace(made.left, name="unbilled:2026-10:EUR", what="unbilled", scope=UNBILLED, etag="7e1c0b5a")
    right = replace(made.right, name="invoice:G016907411", what="invoice", scope=INVOICE, revision="9bdc4ace")
    sides = [replace(side, origin="published", proof="proven") for side in (left, right)]
    return replace(made, left=sides[0], right=sides[1])


def two_causes(folder: Path) -> Comparison:
    """45.00 less: a subscription that vanished, and two seats more; and 1,000.00 that are the same."""
    return of_invoice(
        folder,
        [
            differing(1, "100.00", "", {"vanished": "-100.00"}, customer="c2"),
            differing(2, "275.00", "330.00", {"quantity": "55.00"}),
        ],
        equal=[charged("1000.00", "c3")],
    )


def with_margins(folder: Path) -> Comparison:
    """An invoice against a ledger with sale prices, in which something was bought and not sold."""
    margins = Margins()
    margins.add(("c1", "Contoso"), ("p1", "Microsoft 365 E3"), Decimal("330.005"), Decimal("275.00"))
    margins.add(("c2", FORMULA), ("p1", "Microsoft 365 E3"), Decimal(0), Decimal("100.00"))
    for number in range(30):
        customer = f"c{number + 3}"
        margins.add((customer, ""), (f"p{number}", ""), Decimal("10.0033"), Decimal("9.99"))
    return replace(two_causes(folder), comparing=Comparing.LEDGER, margins=margins)


def many(folder: Path, count: int = 60) -> Comparison:
    """Many small differences of 40 customers, whose amounts have twenty-three decimals."""
    items = []
    for number in range(1, count + 1):
        customer = f"c{number % 40}"
        left, apart = f"{number}.125", f"{number:08}123456789123"
        right, causes = left + apart, {"rounding": f"0.000{apart}"}
        told = {"CustomerId": customer, "SubscriptionId": f"s-{customer}", "CustomerName": f"Customer {customer}"}
        lefts, rights = [usage(left, **told)], [usage(right, **told)]
        items.append(found(number, lefts, rights, causes, attributes=("BillingPreTaxTotal",)))
    return comparison(folder, items)


def hostile(folder: Path) -> Comparison:
    """Names with markup, formulas, characters that turn text round, and an id of 5,000 characters."""
    names = (HOSTILE, FORMULA, "Contoso \u202e00.1 RUE", "\x1b[2J\x00", "i" * 5_000, "{{ 7 * 7 }}{% raw %}")
    return of_invoice(
        folder,
        [
            differing(
                at, "1.00", "2.00", {"unit price": "1.00"}, customer=f"{at}{name}", CustomerName=name, ProductName=name
            )
            for at, name in enumerate(names, 1)
        ],
        warnings=[ReportWarning("made", f"Beware of {HOSTILE}")],
    )
