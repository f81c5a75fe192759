"""What a publication may change without being told to: nothing that anybody was billed for, and nothing twice.

An invoice is a bill: once it is in force, other contents for it are a mistake until somebody says that they are meant.
Unbilled line items change every day, and a limit may be set to by how much. What was pulled from a source and proven
follows the source, whatever it says.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final

from counterfoil import numbers
from counterfoil.errors import SurpriseError, UsageError
from counterfoil.model import Contents, Dataset

_PERCENT_MAX: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Safeguards:
    """What is refused unless it is allowed here.

    `replace`: what an invoice in force holds may be replaced. `max_change`: the line items and each total of a dataset
    in force may change by so many percent at most; None sets no limit. `allow_copies`: files or segments may repeat
    one another's line items. `follows`: this is a proven copy of a source, and is what the source says.
    """

    replace: bool = False
    max_change: Decimal | None = None
    allow_copies: bool = False
    follows: bool = False

    def __post_init__(self) -> None:
        if self.max_change is not None and not 0 <= self.max_change <= _PERCENT_MAX:
            raise UsageError(
                f"{self.max_change} is not a limit of a change.",
                remedy=f"Give percent from 0 to {_PERCENT_MAX:,}, such as 5 or 2.5.",
                parameter="max_change",
            )

    def check(self, dataset: Dataset, before: Contents | None, after: Contents, *, replaces: bool) -> None:
        """Raise SurpriseError if a dataset in force would change in a way that is not allowed.

        `replaces`: line items that are in force are taken out, or others put in their place.
        """
        if before is None or self.follows or before == after:
            return
        if self.max_change is not None:
            self._check_size(dataset, before, after, self.max_change)
        if dataset.scope.is_billed and replaces and not self.replace:
            raise SurpriseError(
                f"{dataset} is in force with other contents, and a bill does not change by itself: "
                f"{described(before, after)}. Nothing was published.",
                remedy="If the change is meant, say so.",
                parameter="replace",
            )

    def _check_size(self, dataset: Dataset, before: Contents, after: Contents, most: Decimal) -> None:
        for name, (old, new) in _measures(before, after).items():
            if abs(Fraction(new) - Fraction(old)) * 100 > Fraction(most) * abs(Fraction(old)):
                raise SurpriseError(
                    f"{dataset} would change by more than {numbers.plain(most)} percent in {name}: "
                    f"{described(before, after)}. Nothing was published.",
                    remedy="Look at the input. If the change is meant, allow more.",
                    parameter="max_change",
                )


FOLLOWING: Final = Safeguards(allow_copies=True, follows=True)


def difference(before: Contents, after: Contents) -> dict[str, Decimal]:
    """Return by how much each total grows, exactly; less than nothing where it shrinks."""
    old, new = before.totals, after.totals
    zero = Decimal(0)
    return {name: numbers.subtract(new.get(name, zero), old.get(name, zero)) for name in {**old, **new}}


def described(before: Contents, after: Contents) -> str:
    """Return what was, what is and the difference, in words."""
    said = [f"{before.line_items:,} line items become {after.line_items:,}"]
    for name, change in difference(before, after).items():
        old, new = (numbers.plain(each.totals.get(name, Decimal(0))) for each in (before, after))
        sign = "+" if change > 0 else ""
        currency = after.currency or before.currency
        said.append(f"{name} {old} becomes {new} {currency} ({sign}{numbers.plain(change)})")
    return ", ".join(said)


def _measures(before: Contents, after: Contents) -> dict[str, tuple[Decimal, Decimal]]:
    zero, names = Decimal(0), {**before.totals, **after.totals}
    totals = {name: (before.totals.get(name, zero), after.totals.get(name, zero)) for name in names}
    return {"line items": (Decimal(before.line_items), Decimal(after.line_items)), **totals}
