"""From line items that belong together to a difference with its causes.

The trap is speed: a price list that changed makes every line a difference. Texts repeat far more than lines do, so what
a tuple of texts comes to is kept, for one side and for a pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from functools import lru_cache
from operator import itemgetter
from typing import Final, NamedTuple

from counterfoil.columns import EXTRA, Column, Type, table_of
from counterfoil.errors import InputError
from counterfoil.model import Kind
from counterfoil.reconcile.comparing.found_difference import FoundDifference, net_and_total
from counterfoil.reconcile.comparing.surveys import Survey
from counterfoil.reconcile.explaining import (
    CauseAmount,
    Charge,
    Difference,
    charge_of,
    circumstances_of,
    explain,
    explain_change,
    explain_conversion,
    explain_moved,
    explain_one_sided,
    reason_for,
)
from counterfoil.reconcile.explaining import arithmetic as exact
from counterfoil.reconcile.matching import Line, MatchedLines, Stage

# What `charge_of` reads.
_READ: Final = (
    "UnitPrice",
    "EffectiveUnitPrice",
    "PCToBCExchangeRate",
    "TaxTotal",
    "CreditPercentage",
    "BillableQuantity",
    "Quantity",
    "PartnerEarnedCreditPercentage",
    "PriceAdjustmentDescription",
    "PricingCurrency",
    "ChargeStartDate",
    "ChargeEndDate",
    "MeterDescription",
    "UnitType",
)
_KEPT: Final = 1 << 13
_MIDNIGHT: Final = "T00:00:00"
_CONVERTS: Final = "convert"
_PRODUCT: Final = ("ProductId", "SkuId")


class Reasons(NamedTuple):
    """What a difference comes to, and why."""

    amount: Decimal
    causes: tuple[CauseAmount, ...]
    notes: tuple[str, ...]

    @classmethod
    def of(cls, difference: Difference) -> Reasons:
        """Return what is kept of a difference."""
        return cls(exact.trimmed(difference.amount), difference.causes, difference.notes)


class MatchExplainer:
    """Explains what was matched of two sides of one kind. `respelled` counts pairs that are equal but for spelling."""

    def __init__(self, kind: Kind, surveys: tuple[Survey, Survey], period: tuple[date, date] | None) -> None:
        """Take what is known of the sides before they are matched; `period` is the first and the last day."""
        names = [column.name for column in table_of(kind).columns]
        amounts = net_and_total(kind)
        told = tuple(name for name in names if name in _READ or name in amounts)
        self._kind, self._surveys, self._period = kind, surveys, period
        self._texts = itemgetter(*told)
        self._names = [name for name in (*names, EXTRA) if name == EXTRA or all(name in each.held for each in surveys)]
        self._all = itemgetter(*self._names)
        self._columns = table_of(kind).by_name
        self._charge = lru_cache(_KEPT)(lambda texts: charge_of(dict(zip(told, texts, strict=True)), kind))
        self._pair = lru_cache(_KEPT)(lambda left, right: Reasons.of(explain(self._charge(left), self._charge(right))))
        self.respelled = 0

    def explained(self, matched: MatchedLines, number: int) -> FoundDifference | None:
        """Return the difference of this number, or None where texts differ and what they say does not.

        Raises InputError, which names the side and the line item, for a text that is no number or no date.
        """
        left, right = matched.left, matched.right
        attributes: tuple[str, ...] = ()
        if len(left) == len(right) == 1:
            attributes = self._differing(left[0], right[0])
            if not attributes:
                self.respelled += 1
                return None
        why = self._why(matched)
        return FoundDifference(
            number=number,
            stage=matched.stage,
            left=left,
            right=right,
            amount=why.amount,
            causes=why.causes,
            notes=why.notes,
            attributes=attributes,
        )

    def _why(self, matched: MatchedLines) -> Reasons:
        left, right = matched.left, matched.right
        try:
            if len(left) == len(right) == 1:
                if matched.stage is Stage.MOVED:
                    return self._moved(left[0], right[0])
                return self._pair(self._texts(left[0].attributes), self._texts(right[0].attributes))
            if left and right:
                return Reasons.of(explain(self._together(left), self._together(right)))
            on_the_right = not left
            lines = right or left
            if matched.stage is Stage.CHANGE:
                return self._change(lines, on_the_right=on_the_right)
            return self._one_sided(lines, on_the_right=on_the_right, has_twin=matched.stage is Stage.DUPLICATE)
        except InputError as error:
            raise self._placed(error, matched) from error

    def _placed(self, error: InputError, matched: MatchedLines) -> InputError:
        """Name the line item that a refused text is in."""
        for survey, lines in zip(self._surveys, (matched.left, matched.right), strict=True):
            for line in lines:
                try:
                    charge_of(line.attributes, self._kind)
                    circumstances_of(line.attributes, self._kind)
                except InputError as its:
                    told = f"{survey.side.name}, line item {line.number:,}: {its.message}"
                    return InputError(told, remedy=its.remedy)
        return error

    def _moved(self, left: Line, right: Line) -> Reasons:
        ids = [name for name in self._differing(left, right) if name.endswith("Id")]
        found = explain_moved(
            self._charge(self._texts(left.attributes)),
            self._charge(self._texts(right.attributes)),
            ", ".join(ids) or "an id",
        )
        return Reasons.of(found)

    def _change(self, lines: Sequence[Line], *, on_the_right: bool) -> Reasons:
        charges = [self._charge(self._texts(line.attributes)) for line in lines]
        products = {tuple(line.attributes[name].lower() for name in _PRODUCT) for line in lines}
        converts = any(_CONVERTS in line.attributes["ChargeType"].lower() for line in lines)
        if len(charges) == 2 and len(products) == 1 and not converts:
            return Reasons.of(explain_change(charges[0], charges[1], on_the_right=on_the_right))
        return Reasons.of(explain_conversion(charges, on_the_right=on_the_right))

    def _one_sided(self, lines: Sequence[Line], *, on_the_right: bool, has_twin: bool) -> Reasons:
        other = self._surveys[0 if on_the_right else 1]
        line, charge = lines[0], self._together(lines)
        told = circumstances_of(
            line.attributes,
            self._kind,
            period=self._period,
            has_twin=has_twin,
            customer_on_other_side=_is_in(other.customers, line, "CustomerId"),
            subscription_on_other_side=_is_in(other.subscriptions, line, "SubscriptionId"),
        )
        reason, note = reason_for(charge, told, on_the_right=on_the_right)
        return Reasons.of(explain_one_sided(charge, reason, on_the_right=on_the_right, note=note))

    def _together(self, lines: Sequence[Line]) -> Charge:
        """Return several lines of one charge as one: amounts and quantities are added, a price that differs is none."""
        first, *more = (self._charge(self._texts(line.attributes)) for line in lines)
        return first if not more else _sum_of([first, *more])

    def _differing(self, left: Line, right: Line) -> tuple[str, ...]:
        mine, theirs = self._all(left.attributes), self._all(right.attributes)
        return tuple(
            name
            for name, a, b in zip(self._names, mine, theirs, strict=True)
            if a != b and not _says_the_same(a or "", b or "", self._columns.get(name))
        )


def _sum_of(charges: Sequence[Charge]) -> Charge:
    first = charges[0]
    quantities = [charge.quantity for charge in charges]
    told = [quantity for quantity in quantities if quantity is not None]

    def common(name: str) -> Decimal | None:
        values = {getattr(charge, name) for charge in charges}
        return values.pop() if len(values) == 1 else None

    return replace(
        first,
        net=exact.total(charge.net for charge in charges),
        tax=exact.total(charge.tax for charge in charges),
        total=exact.total(charge.gross for charge in charges),
        quantity=exact.total(told) if len(told) == len(charges) else None,
        list_price=common("list_price"),
        price=common("price"),
        rate=common("rate"),
    )


def _is_in(known: set[int], line: Line, name: str) -> bool:
    return hash((line.attributes[name] or "").lower()) in known


def _says_the_same(left: str, right: str, column: Column | None) -> bool:
    """Whether two texts mean one value: `24.0` and `24`, a date with and without its midnight, ids in two cases."""
    if not left or not right or column is None:
        return not left and not right
    if column.type is Type.NUMBER:
        return _number(left) == _number(right)
    if column.type is Type.DATE:
        return _date(left) == _date(right)
    return column.is_id and left.lower() == right.lower()


@lru_cache(_KEPT)
def _number(text: str) -> Decimal | str:
    try:
        return Decimal(text)
    except ArithmeticError:
        return text


def _date(text: str) -> str:
    return text.removesuffix("Z").removesuffix(_MIDNIGHT)
