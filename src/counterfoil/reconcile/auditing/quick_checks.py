"""Rules of a whole batch at once, for which line items hardly repeat: exact, and only where the answer is certain.

A quick check returns for each line item True (the rule holds), False (it does not apply), or null: then the rule's own
check is asked. It never says that a rule is broken. Types hold every product and sum, see `quick_roundings`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from counterfoil.model import Kind
from counterfoil.reconcile.auditing.columns_read import BatchColumns
from counterfoil.reconcile.auditing.quick_roundings import PRICE_TYPE, QUANTITY_TYPE, metered_of
from counterfoil.reconcile.auditing.rule import NET, QUANTITY, Facts
from counterfoil.reconcile.explaining import arithmetic as exact
from counterfoil.reconcile.explaining.cycles import charged_days

_AMOUNT_TYPE: Final = pa.decimal128(36, 20)
_KEPT_TYPE: Final = pa.decimal256(12, 10)
_DAYS_TYPE: Final = pa.decimal256(5, 0)
_ADJUSTED: Final = "PriceAdjustmentDescription"
_CREDIT: Final = "PartnerEarnedCreditPercentage"
_HOLDS: Final = pa.scalar(value=True)
_UNKNOWN: Final = pa.scalar(None, pa.bool_())


def total(columns: BatchColumns) -> pa.Array:
    """Hold Total against Subtotal and TaxTotal."""
    net, tax, whole = (columns.decimals(name, _AMOUNT_TYPE) for name in (NET, "TaxTotal", "Total"))
    return pc.if_else(pc.equal(pc.add(net, tax), whole), _HOLDS, _UNKNOWN)


def not_above_list(columns: BatchColumns) -> pa.Array:
    """Hold the effective price against the list price."""
    listed, price = (pc.abs(columns.decimals(name, PRICE_TYPE)) for name in ("UnitPrice", "EffectiveUnitPrice"))
    return pc.if_else(pc.less_equal(price, listed), _HOLDS, _UNKNOWN)


def proration(columns: BatchColumns) -> pa.Array:
    """Hold the effective price of a part of a cycle against that part of the list price.

    Half up is left to the rule's own check: a part that ends just between two cents.
    """
    metered = pc.fill_null(metered_of(columns), fill_value=True)  # where nothing tells, the rule does not apply
    monthly = columns.mapped(["BillingFrequency"], lambda text: (text or "").lower() == "monthly", pa.bool_())
    listed, price = (pc.abs(columns.decimals(name, PRICE_TYPE)) for name in ("UnitPrice", "EffectiveUnitPrice"))
    spans = ["ChargeStartDate", "ChargeEndDate"]
    days, cycle = (columns.mapped(spans, _part_of_cycle(name), _DAYS_TYPE) for name in ("days", "cycle"))
    applies = pc.and_(pc.and_(pc.invert(metered), monthly), pc.invert(columns.is_given("PromotionId")))
    applies = pc.and_kleene(applies, pc.not_equal(price, pa.scalar(exact.ZERO, PRICE_TYPE)))
    applies = pc.and_kleene(applies, pc.not_equal(days, cycle))
    apart = pc.abs(pc.subtract(pc.multiply(listed, days), pc.multiply(price, cycle)))
    near = pc.less(pc.multiply(apart, pa.scalar(Decimal(200), _DAYS_TYPE)), cycle)
    near = pc.and_kleene(near, pc.equal(price, pc.round(price, 2)))
    return pc.if_else(applies, pc.if_else(near, _HOLDS, _UNKNOWN), pa.scalar(value=False))


def _part_of_cycle(name: str) -> Callable[[str | None, str | None], Decimal | None]:
    def of(start: str | None, end: str | None) -> Decimal | None:
        if not start or not end:
            return None
        charged = charged_days(date.fromisoformat(start[:10]), date.fromisoformat(end[:10]))
        return Decimal(getattr(charged, name))

    return of


def earned_credit(columns: BatchColumns) -> pa.Array:
    """Hold the effective price against the list price less the earned credit."""
    name = _CREDIT if columns.kind is Kind.USAGE else _ADJUSTED
    kept = columns.mapped([name], lambda text: _kept(columns.kind, text), _KEPT_TYPE)
    metered = pc.fill_null(metered_of(columns), fill_value=False)
    applies = pc.and_kleene(metered, pc.not_equal(kept, pa.scalar(Decimal(1), _KEPT_TYPE)))
    listed, price = (columns.decimals(each, PRICE_TYPE) for each in ("UnitPrice", "EffectiveUnitPrice"))
    apart = pc.subtract(price, pc.multiply(listed, kept))
    distance = pc.abs(pc.multiply(apart, columns.decimals(QUANTITY, QUANTITY_TYPE)))
    holds = pc.if_else(pc.less(distance, pa.scalar(Decimal("0.01"), pa.decimal256(3, 2))), _HOLDS, _UNKNOWN)
    return pc.if_else(applies, holds, pa.scalar(value=False))


def _kept(kind: Kind, text: str | None) -> Decimal | None:
    """Return which part of the list price is left, None where this type cannot tell."""
    name = _CREDIT if kind is Kind.USAGE else _ADJUSTED
    credit = Facts(kind, {name: text}).earned_credit
    _, digits, exponent = credit.as_tuple()
    if not isinstance(exponent, int) or exponent < -8 or len(digits) + exponent > 2:
        return None
    return exact.multiply(exact.subtract(exact.HUNDRED, credit), exact.CENT)
