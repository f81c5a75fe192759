"""Metered charges of an invoice against the daily usage behind them: both summed by plan and product.

One reconciliation line item charges for a month of one meter, and usage tells each day of it. So each side becomes
made-up line items, one for each customer, subscription, product and SKU, which are then compared as any others. The
traps: usage has no tax, so what is compared is before tax; and usage lacks reservations, savings plans, seats and
marketplace, so only metered charges are taken.

Held are the sums of each plan and product, not the line items.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from counterfoil import numbers
from counterfoil.columns import table_of
from counterfoil.errors import SideError
from counterfoil.line_items.lake import text_schema
from counterfoil.model import Kind
from counterfoil.reconcile.comparing.surveys import INVOICE, rows_by
from counterfoil.reconcile.grouped_sums import GroupedSums
from counterfoil.reconcile.side_totals import shown
from counterfoil.reconcile.sides.side import PARTNER, Reading

KEYS: Final = ("CustomerId", "SubscriptionId", "ProductId", "SkuId")
_NAMES: Final = ("CustomerName", "SubscriptionDescription", "ProductName", "SkuName", PARTNER, "PricingCurrency")
# A price counts only where all line items of a plan and product have the same.
_EARNED: Final = "PartnerEarnedCreditPercentage"
_PRICES: Final = ("UnitPrice", "EffectiveUnitPrice", "PCToBCExchangeRate", _EARNED)
_CREDITS: Final = "PriceAdjustmentDescription"  # where reconciliation line items tell of earned credit
_METER: Final = ("MeterDescription", "UnitType")
_MONTH: Final = len("2026-11")
_LINES_AT_ONCE: Final = 20_000

PLAN_CONVENTIONS: Final = (
    "Metered charges and usage are summed by customer, subscription, product and SKU, before tax.",
    "Usage lacks reservations, savings plans, seats and marketplace, so only metered charges are compared with it.",
    "Charges are cut to cents for each meter and usage is not, so rounding is to be expected.",
)


@dataclass(slots=True)
class _PlanSum:
    told: dict[str, str]
    net: Decimal = Decimal(0)
    quantity: Decimal = Decimal(0)
    prices: dict[str, set[str]] = field(default_factory=dict)


def plan_pair(left: Reading, right: Reading) -> tuple[Reading, Reading]:
    """Return both sides, summed by plan and product.

    Raises SideError where they are not an invoice with metered charges and the usage behind it.
    """
    kinds = {reading.side.kind for reading in (left, right)}
    if len(kinds) == 1:
        raise SideError(
            f"{left.side.name} and {right.side.name} both hold {left.side.kind} line items.",
            remedy="Name the reconciliation line items of an invoice or month, and its usage line items.",
        )
    sums = [_PlanSums(reading) for reading in (left, right)]
    for each in sums:
        each.read()
    _refuse_strangers(sums[0], sums[1])
    return sums[0].as_reading(), sums[1].as_reading()


class _PlanSums:
    """Sums one side."""

    def __init__(self, reading: Reading) -> None:
        self.reading, self.side = reading, reading.side
        usage = self.side.kind is Kind.USAGE
        self._amounts = ("BillingPreTaxTotal", "Quantity") if usage else ("Subtotal", "BillableQuantity")
        self._is_usage = usage
        self.sums: dict[str, _PlanSum] = {}
        self.months: dict[str, int] = {}
        self.invoices = set[str]()

    def read(self) -> None:
        """Read all line items, and sum those that count."""
        table = table_of(self.side.kind)
        held = self.side.attributes
        wanted = (*self._amounts, *KEYS, *_NAMES, *_PRICES, _CREDITS, *_METER, "Quantity", INVOICE, table.date)
        names = [name for name in dict.fromkeys(wanted) if name in table.by_name and (held is None or name in held)]
        missing = [name for name in (*self._amounts[:1], *KEYS) if name not in names]
        if missing:
            raise SideError(f"{self.side.name} holds no {missing[0]}.", remedy="Pull the full attribute set.")
        for batch in self.reading.batches(names):
            metered = batch if self._is_usage else _metered(batch)
            if metered.num_rows:
                self._add(metered, table.date)
        if not self.sums:
            raise SideError(
                f"{self.side.name} holds no metered line item.",
                remedy="Name the invoice or month that charges for this usage.",
            )

    def _add(self, batch: pa.RecordBatch, date: str) -> None:
        held = set(batch.schema.names)
        prices = [name for name in (*_PRICES, _CREDITS) if name in held]
        groups, first = rows_by(batch, [*KEYS, *prices, INVOICE, date])
        sums = GroupedSums(["net", "quantity"], self.side.name)
        sums.add([batch.column(self._amounts[0]), self._quantities(batch)], groups, first)
        summed = list(sums.groups.values())
        rows = batch.take(pa.array([int(each.name) for each in summed], pa.int64()))
        for each, row in zip(summed, rows.to_pylist(), strict=True):
            key = "\0".join((row[name] or "").lower() for name in KEYS)
            plan = self.sums.get(key)
            if plan is None:
                told = {name: row.get(name) or "" for name in (*KEYS, *_NAMES)}
                plan = self.sums[key] = _PlanSum(told, prices={name: set() for name in prices})
            plan.net = numbers.add(plan.net, each.amounts[0])
            plan.quantity = numbers.add(plan.quantity, each.amounts[1])
            for name in prices:
                plan.prices[name].add(row[name] or "")
            month = (row[date] or "")[:_MONTH]
            self.months[month] = self.months.get(month, 0) + each.line_items
            self.invoices.add((row.get(INVOICE) or "").upper())

    def _quantities(self, batch: pa.RecordBatch) -> pa.Array:
        """Return the quantities; 0 where none is told, which `as_reading` then leaves out of the price."""
        found = None
        for name in (self._amounts[1], "Quantity"):
            if name in batch.schema.names:
                texts = batch.column(name).cast(pa.string())
                texts = pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)
                found = texts if found is None else pc.coalesce(found, texts)
        zeros = pa.repeat(pa.scalar("0"), batch.num_rows)
        return zeros if found is None else pc.coalesce(found, zeros)

    def as_reading(self) -> Reading:
        """Return the sums as line items of a side."""
        schema = text_schema(Kind.RECONCILIATION)
        lines = [self.sums[key] for key in sorted(self.sums)]

        def batches(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
            for start in range(0, len(lines), _LINES_AT_ONCE):
                rows = [self._line(each) for each in lines[start : start + _LINES_AT_ONCE]]
                yield pa.RecordBatch.from_pylist(rows, schema=schema).select(list(names))

        side = replace(
            self.side,
            what=f"{self.side.what}, {'usage' if self._is_usage else 'metered charges'} by plan",
            kind=Kind.RECONCILIATION,
            batches=batches,
            parts=(),
            attributes=None,
        )
        return Reading(side, currency=self.reading.currency)

    def _line(self, plan: _PlanSum) -> dict[str, str]:
        line = {name: text for name, text in plan.told.items() if text}
        line |= {name: next(iter(texts)) for name, texts in plan.prices.items() if len(texts) == 1}
        if (earned := line.pop(_EARNED, "")) and _CREDITS not in line:
            line[_CREDITS] = f"{earned}% Partner earned credit"  # as reconciliation line items tell it
        net = shown(plan.net)
        told = {"Quantity": shown(plan.quantity)} if plan.quantity else {}
        return (
            line
            | told
            | {
                PARTNER: plan.told[PARTNER],
                "Currency": self.reading.currency,
                "Subtotal": net,
                "TaxTotal": "0",
                "Total": net,
                "UnitType": "1 unit",  # metered, whatever the meter counts
            }
        )


def _metered(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Keep the metered charges, see `explaining.line_item_charges.is_metered`."""
    chosen = pa.repeat(pa.scalar(value=False), batch.num_rows)
    for name, pattern in zip(_METER, (r".", r"^1 "), strict=True):
        if name in batch.schema.names:
            told = pc.match_substring_regex(batch.column(name).cast(pa.string()), pattern)
            chosen = pc.or_(chosen, pc.fill_null(told, pa.scalar(value=False)))
    return batch.filter(chosen)


def _refuse_strangers(left: _PlanSums, right: _PlanSums) -> None:
    """Raise SideError for usage of another invoice or another month."""
    invoices = [each.invoices - {""} for each in (left, right)]
    if all(invoices) and not invoices[0] & invoices[1]:
        raise SideError(
            f"{left.side.name} is of the invoice {min(invoices[0])}, and {right.side.name} of {min(invoices[1])}.",
            remedy="Name the charges and the usage of one invoice.",
        )
    most = [max(each.months, key=lambda month: (each.months[month], month)) for each in (left, right)]
    if most[0] not in right.months and most[1] not in left.months:
        raise SideError(
            f"Most charges of {left.side.name} are of {most[0]}, and those of {right.side.name} of {most[1]}.",
            remedy="Name the charges and the usage of one month.",
        )
    if not left.sums.keys() & right.sums.keys():
        raise SideError(
            f"{left.side.name} and {right.side.name} have no plan and product in common, so nothing could be compared.",
            remedy="Check that both are of the same partner, month and reseller.",
        )
