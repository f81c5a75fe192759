"""Reads a charge from the attributes of a line item, each the text that came in, by its Graph name.

The traps: an absent or empty attribute is "not told", so the attribute set `basic` gives charges that tell less;
nothing says outright which reconciliation line items are metered; and their earned credit stands in a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from functools import lru_cache

from counterfoil.errors import InputError
from counterfoil.model import Kind
from counterfoil.reconcile.explaining import arithmetic as exact
from counterfoil.reconcile.explaining.charges import WHOLE, Charge
from counterfoil.reconcile.explaining.cycles import charged_days
from counterfoil.reconcile.explaining.one_sided import Circumstances

Attributes = Mapping[str, str | None]

_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,4})?", re.ASCII)
_MAGNITUDE_MAX = 120  # digits before or after the point; more is no amount, and summing it would take a day
_TEXTS_KEPT = 1 << 14
_DAY = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[Tt ].*)?", re.ASCII)
_EARNED_CREDIT = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*% partner earned credit", re.ASCII | re.IGNORECASE)


def charge_of(attributes: Attributes, kind: Kind) -> Charge:
    """Return what a line item tells of its charge.

    Raises InputError, which names the attribute, for a text that is no number or no date, and where there is no net.
    """
    usage = kind is Kind.USAGE
    net_name = "BillingPreTaxTotal" if usage else "Subtotal"
    net = _number(attributes, net_name)
    if net is None:
        raise InputError(f"The line item has no {net_name}.", remedy="Without an amount nothing can be explained.")
    metered = usage or is_metered(attributes)
    start, end = _day(attributes, "ChargeStartDate"), _day(attributes, "ChargeEndDate")
    return Charge(
        net,
        quantity=_quantity(attributes, usage=usage),
        list_price=_number(attributes, "UnitPrice"),
        price=_number(attributes, "EffectiveUnitPrice"),
        rate=_number(attributes, "PCToBCExchangeRate"),
        tax=_number(attributes, "TaxTotal") or exact.ZERO,
        total=None if usage else _number(attributes, "Total"),
        metered=metered,
        charged_days=WHOLE if metered else charged_days(start, end),
        earned_credit=earned_credit_of(attributes),
        credit=_number(attributes, "CreditPercentage") or exact.ZERO,
        pricing_currency=attributes.get("PricingCurrency") or "",
    )


def circumstances_of(
    attributes: Attributes,
    kind: Kind,
    *,
    period: tuple[date, date] | None = None,
    has_twin: bool = False,
    customer_on_other_side: bool = True,
    subscription_on_other_side: bool = True,
) -> Circumstances:
    """Return what a line item tells of why it may be on one side only; raises InputError for a text that is no date."""
    return Circumstances(
        charge_type=attributes.get("ChargeType") or "",
        credit_reason_code=attributes.get("CreditReasonCode") or "",
        day=_day(attributes, "UsageDate" if kind is Kind.USAGE else "ChargeStartDate"),
        period=period,
        has_twin=has_twin,
        customer_on_other_side=customer_on_other_side,
        subscription_on_other_side=subscription_on_other_side,
    )


def is_metered(attributes: Attributes) -> bool:
    """Whether a reconciliation line item charges for metered use: it names a meter, or a unit such as `1 GB` or `10K`.

    Nothing documents how the two are told apart. Seats have no meter, and `Licenses` or nothing for a unit.
    """
    return bool(attributes.get("MeterDescription")) or (attributes.get("UnitType") or "")[:1].isdigit()


def _quantity(attributes: Attributes, *, usage: bool) -> Decimal | None:
    billable = None if usage else _number(attributes, "BillableQuantity")
    return _number(attributes, "Quantity") if billable is None else billable


def earned_credit_of(attributes: Attributes) -> Decimal:
    """Return the partner earned credit in percent: usage has it as a number, reconciliation in words."""
    percent = _number(attributes, "PartnerEarnedCreditPercentage")
    if percent is not None:
        return percent
    told = _EARNED_CREDIT.search(attributes.get("PriceAdjustmentDescription") or "")
    return Decimal(told[1]) if told else exact.ZERO


def _number(attributes: Attributes, name: str) -> Decimal | None:
    text = attributes.get(name)
    if not text:
        return None
    value = _value(text)
    if value is None:
        raise InputError(f"{name} is {text!r}, which is no amount.", remedy="Amounts are plain numbers such as 12.50.")
    return value


@lru_cache(_TEXTS_KEPT)
def _value(text: str) -> Decimal | None:
    """Return the value of a text, None for one that is no amount. Prices and rates repeat in most line items."""
    value = Decimal(text) if _NUMBER.fullmatch(text) else None
    if value and (value.adjusted() > _MAGNITUDE_MAX or exact.places_shown(value) > _MAGNITUDE_MAX):
        return None
    return value


def _day(attributes: Attributes, name: str) -> date | None:
    text = attributes.get(name)
    if not text:
        return None
    day = _date(text)
    if day is None:
        raise InputError(
            f"{name} is {text!r}, which is no date.", remedy="Dates are ISO 8601, such as 2026-11-20T00:00:00Z."
        )
    return day


@lru_cache(_TEXTS_KEPT)
def _date(text: str) -> date | None:
    """Return the day of a text, None for one that is no date."""
    match = _DAY.fullmatch(text)
    try:
        return date.fromisoformat(match[1] if match else "")
    except ValueError:
        return None
