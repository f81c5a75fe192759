"""The formula of each sort of line item: its price before rounding, and its amounts from price, quantity and rate.

The trap is metered use in reconciliation. Its effective unit price is an amount that was cut to cents, divided by the
quantity; so the price that counts is the list price less earned credit, and the rest of the line is rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from counterfoil.generator.scenarios.exact_fractions import ONE, ZERO, cut, half_up, to_fifteen, written
from counterfoil.generator.scenarios.injections import (
    Injected,
    LineSort,
    number,
    tax_moved,
    tax_rate,
    text_of,
    with_net,
)
from counterfoil.generator.scenarios.true_causes import TrueFactors, true_causes
from counterfoil.generator.spelling import Line

EARNED_CREDIT_KEPT = Fraction(85, 100)
_PRICE_PLACES = 15
Shares = Mapping[str, Fraction]  # factors of a price by cause
BothShares = tuple[Shares, Shares]
NO_SHARES: Shares = {}


@dataclass(frozen=True, slots=True)
class LineFormula:
    """How a sort of line item is reckoned.

    `price_of` is the price before rounding; `stated` gives a line item the amounts that follow from a price, taxed at
    a rate; `per_unit` is what one unit is rounded by, at a price and an exchange rate.
    """

    quantity: str  # the attributes' names
    net: str
    price_of: Callable[[Line], Fraction]
    stated: Callable[[Line, Fraction, Fraction], Line]
    per_unit: Callable[[Fraction, Fraction], Fraction] = lambda _, __: ZERO

    def follows(self, line: Line) -> bool:
        """Whether the line item's own amounts follow from the formula."""
        again = self.stated(line, self.price_of(line), ZERO)
        return all(number(again, name) == number(line, name) for name in (self.net, "EffectiveUnitPrice"))

    def factors(self, line: Line, price: Fraction, shares: Shares = NO_SHARES) -> TrueFactors:
        """Return the factors of a line item that was made with this price."""
        rate = number(line, "PCToBCExchangeRate")
        per_unit = self.per_unit(price, rate)
        return TrueFactors(number(line, self.net), number(line, self.quantity), price, rate, per_unit, shares=shares)

    def varied(
        self,
        before: Line,
        changes: Line,
        price: Fraction | None = None,
        shares: BothShares = (NO_SHARES, NO_SHARES),
        *,
        more_tax: Fraction = ZERO,
    ) -> Injected | None:
        """Change a line item and reckon it anew.

        None if it does not follow its formula, and where a change of price would not show: cutting took all of it.
        """
        if not self.follows(before):
            return None
        price_before = self.price_of(before)
        price = price_before if price is None else price
        rate = tax_rate(before) + more_tax if "TaxTotal" in before else ZERO
        after = self.stated(before | changes, price, rate)
        shown = number(after, "EffectiveUnitPrice")
        if not shown or (price != price_before and shown == number(before, "EffectiveUnitPrice")):
            return None
        factors = self.factors(before, price_before, shares[0]), self.factors(after, price, shares[1])
        return Injected((before,), (after,), true_causes(*factors, tax=tax_moved(before, after)))


def _licence_price(line: Line) -> Fraction:
    return number(line, "EffectiveUnitPrice")


def _licence_stated(line: Line, price: Fraction, rate: Fraction) -> Line:
    """Cut what one seat comes to, then multiply."""
    each = cut(price * number(line, "PCToBCExchangeRate"))
    line = line | {"EffectiveUnitPrice": written(price)}
    return with_net(line, each * number(line, "BillableQuantity"), rate)


def _licence_per_unit(price: Fraction, rate: Fraction) -> Fraction:
    return cut(price * rate) - price * rate


def earns_credit(line: Line) -> bool:
    """Whether a line item tells of partner earned credit."""
    if "PartnerEarnedCreditPercentage" in line:
        return number(line, "PartnerEarnedCreditPercentage") == 15
    return "Partner earned credit" in text_of(line, "PriceAdjustmentDescription")


def _metered_price(line: Line) -> Fraction:
    return number(line, "UnitPrice") * (EARNED_CREDIT_KEPT if earns_credit(line) else ONE)


def _metered_stated(line: Line, price: Fraction, rate: Fraction) -> Line:
    """Cut the amount in the pricing currency; what that leaves a unit is the price; cut twice from there."""
    quantity = number(line, "BillableQuantity")
    shown = half_up(cut(price * quantity) / quantity, _PRICE_PLACES)
    net = cut(cut(shown * quantity) * number(line, "PCToBCExchangeRate"))
    return with_net(line | {"EffectiveUnitPrice": written(shown)}, net, rate)


def _usage_stated(line: Line, price: Fraction, _: Fraction) -> Line:
    """Nothing is cut: both totals have 15 digits."""
    amount = price * number(line, "Quantity")
    return line | {
        "EffectiveUnitPrice": written(price),
        "PricingPreTaxTotal": written(to_fifteen(amount)),
        "BillingPreTaxTotal": written(to_fifteen(amount * number(line, "PCToBCExchangeRate"))),
    }


LICENCE = LineFormula("BillableQuantity", "Subtotal", _licence_price, _licence_stated, _licence_per_unit)
METERED = LineFormula("BillableQuantity", "Subtotal", _metered_price, _metered_stated)
USAGE = LineFormula("Quantity", "BillingPreTaxTotal", _licence_price, _usage_stated)
FORMULAS = {LineSort.LICENCE: LICENCE, LineSort.METERED: METERED, LineSort.USAGE: USAGE}
