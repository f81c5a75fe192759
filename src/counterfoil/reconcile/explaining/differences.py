"""What explaining gives: the cause of each part of a difference, differences, and the totals of causes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from counterfoil.reconcile.explaining import arithmetic as exact
from counterfoil.reconcile.explaining.charges import Charge


class Cause(StrEnum):
    """Why two amounts differ. The first eight are factors of a net amount, in the order in which they are replaced."""

    QUANTITY = "quantity"
    UNIT_PRICE = "unit price"
    PRORATION = "proration"
    EARNED_CREDIT = "earned credit"
    CREDIT = "credit"  # of both sorts: a percentage of a price, and a line that gives money back
    DISCOUNT = "discount"
    EXCHANGE_RATE = "exchange rate"
    ROUNDING = "rounding"
    TAX = "tax"
    UNEXPLAINED = "unexplained"
    DUPLICATE = "duplicate"
    LATE_USAGE = "late usage"
    OTHER_PERIOD = "other period"
    CANCELLED = "cancelled"
    NEW = "new"
    VANISHED = "vanished"
    KEY_CHANGED = "key changed"
    CONVERSION = "conversion"


_ORDER = {cause: index for index, cause in enumerate(Cause)}


@dataclass(frozen=True, slots=True)
class CauseAmount:
    """The part of one difference that has this cause, in the billing currency."""

    cause: Cause
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Difference:
    """Charges of each side that belong together, and the causes that sum to right minus left, to the last digit.

    A cause of an amount of 0 stands only where something changed but money did not: `key changed`. `notes` are
    sentences for a reader, each beginning with the cause it is about.
    """

    left: tuple[Charge, ...]
    right: tuple[Charge, ...]
    causes: tuple[CauseAmount, ...]
    notes: tuple[str, ...] = ()

    @property
    def amount(self) -> Decimal:
        """The totals of the right less those of the left."""
        gross = exact.total(charge.gross for charge in self.right)
        return exact.subtract(gross, exact.total(charge.gross for charge in self.left))

    def amount_of(self, cause: Cause) -> Decimal:
        """Return the part that has this cause; 0 if none has."""
        return exact.total(each.amount for each in self.causes if each.cause is cause)


@dataclass(frozen=True, slots=True)
class CauseTotal:
    """What one cause comes to over many differences, and in how many it occurs."""

    cause: Cause
    amount: Decimal
    differences: int


def totals_by_cause(differences: Iterable[Difference]) -> tuple[CauseTotal, ...]:
    """Sum the causes of differences exactly, holding no difference; the largest amount, whatever its sign, first."""
    sums: dict[Cause, tuple[Decimal, int]] = {}
    for difference in differences:
        for each in difference.causes:
            amount, count = sums.get(each.cause, (exact.ZERO, 0))
            sums[each.cause] = exact.add(amount, each.amount), count + 1
    totals = [CauseTotal(cause, *found) for cause, found in sums.items()]
    # Sorted twice: equal amounts stand in the order of Cause, whichever difference came first.
    totals.sort(key=lambda each: _ORDER[each.cause])
    totals.sort(key=lambda each: exact.magnitude(each.amount), reverse=True)
    return tuple(totals)


@dataclass(slots=True)
class Causes:
    """The causes of one difference while they are found. An amount of 0 is no cause, and its note is not kept."""

    amounts: dict[Cause, Decimal] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, cause: Cause, amount: Decimal, note: str = "") -> None:
        """Add to what has this cause, and keep the note."""
        if amount:
            self.amounts[cause] = exact.add(self.amounts.get(cause, exact.ZERO), amount)
            if note:
                self.notes.append(f"{cause}: {note}")

    def of(self, left: Iterable[Charge], right: Iterable[Charge]) -> Difference:
        """Return the difference of these charges. Its causes sum to its amount, or this is a fault of this room."""
        found = Difference(tuple(left), tuple(right), tuple(self._kept()), tuple(self.notes))
        assert exact.total(self.amounts.values()) == found.amount, "causes that do not sum to the difference"
        return found

    def _kept(self) -> Iterator[CauseAmount]:
        for cause in sorted(self.amounts, key=_ORDER.__getitem__):
            if self.amounts[cause]:
                yield CauseAmount(cause, exact.trimmed(self.amounts[cause]))
