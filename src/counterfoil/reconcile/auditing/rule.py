"""What a rule of the audit is: a sentence that must hold, where it is from, and what it reads.

The trap: a rule that does not apply has proved nothing. A check returns None for that, never True.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from counterfoil import numbers
from counterfoil.columns import table_of
from counterfoil.model import Kind
from counterfoil.reconcile.auditing.excerpts import Excerpt, excerpt_and_name
from counterfoil.reconcile.explaining import arithmetic as exact
from counterfoil.reconcile.explaining.line_item_charges import earned_credit_of, is_metered

# What both kinds have under different names; a rule reads these, and they become the kind's own attributes.
NET: Final = "net"
QUANTITY: Final = "quantity"
CURRENCY: Final = "currency"
_OWN_NAMES: Final[dict[Kind, dict[str, str]]] = {
    Kind.USAGE: {NET: "BillingPreTaxTotal", QUANTITY: "Quantity", CURRENCY: "BillingCurrency"},
    Kind.RECONCILIATION: {NET: "Subtotal", QUANTITY: "BillableQuantity", CURRENCY: "Currency"},
}
_METER, _UNIT = "MeterDescription", "UnitType"
METERED_BY: Final = (Excerpt.PRESENCE.of(_METER), Excerpt.BEGINNING.of(_UNIT))
BOTH: Final = frozenset(Kind)
RECONCILIATION: Final = frozenset({Kind.RECONCILIATION})
USAGE: Final = frozenset({Kind.USAGE})


class Severity(StrEnum):
    """How sure a rule is: what is documented is an error, what is unusual a warning, what may well be right a note."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


def sign_of(name: str) -> str:
    """Return what a rule reads that asks for the sign of an amount only: signs repeat, and amounts do not."""
    return Excerpt.SIGN.of(name)


def own_name(read: str, kind: Kind) -> str:
    """Return what a rule reads by the name that the kind has for the attribute."""
    excerpt, name = excerpt_and_name(read)
    own = _OWN_NAMES[kind].get(name, name)
    return own if excerpt is None else excerpt.of(own)


def own_names(reads: Iterable[str], kind: Kind) -> tuple[str, ...]:
    """Return what a rule reads by the names of a kind; attributes that the kind does not have are left out."""
    table = table_of(kind)
    own = [own_name(read, kind) for read in reads]
    return tuple(read for read in own if excerpt_and_name(read)[1] in table.by_name)


class Facts:
    """What a rule reads of one line item; amounts are exact, and None where there is none."""

    def __init__(self, kind: Kind, texts: Mapping[str, str | None]) -> None:
        self.kind, self.texts = kind, texts
        self._own = _OWN_NAMES[kind]

    def text(self, name: str) -> str:
        """Return the text of an attribute, '' where there is none."""
        return self.texts.get(self._own.get(name, name)) or ""

    def number(self, name: str) -> Decimal | None:
        """Return an amount, None where there is none."""
        text = self.text(name)
        return numbers.exact(text) if text else None

    def day(self, name: str) -> date | None:
        """Return the day of a date as it stands there."""
        text = self.text(name)
        return date.fromisoformat(text[:10]) if text else None

    @property
    def net(self) -> Decimal | None:
        """The amount before tax."""
        return self.number(NET)

    @property
    def quantity(self) -> Decimal | None:
        """The quantity that is charged."""
        return self.number(QUANTITY)

    @property
    def price(self) -> Decimal | None:
        """The effective unit price."""
        return self.number("EffectiveUnitPrice")

    @property
    def rate(self) -> Decimal:
        """The exchange rate; 1 where none is told."""
        rate = self.number("PCToBCExchangeRate")
        return exact.ONE if rate is None else rate

    @property
    def charge_type(self) -> str:
        """The charge type in lower case: sources differ in its case."""
        return self.text("ChargeType").lower()

    @property
    def metered(self) -> bool | None:
        """Whether use is charged, and not seats; None where the basic attribute set does not tell."""
        if self.kind is Kind.USAGE or is_metered(self.texts):
            return True
        return None if all(self.texts.get(name) is None for name in (_METER, _UNIT)) else False

    @property
    def earned_credit(self) -> Decimal:
        """Partner earned credit in percent."""
        return earned_credit_of(self.texts)


Check = Callable[[Facts], bool | None]
# Given the columns of a batch, `columns_read.BatchColumns`; returns booleans, see `quick_checks`.
QuickCheck = Callable[[Any], Any]
Example = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class AuditRule:
    """A rule of the audit, under an id that stays.

    `source`: where it is documented, or who found it; `reads`: the attributes (or `NET`, `QUANTITY`, `CURRENCY`) that
    decide it; `check`: whether a line item keeps it, None where it does not apply, and no check at all for a rule among
    line items, which is decided when all were read. `passes` and `fails` are examples. `quick` settles what it can of a
    whole batch beforehand.
    """

    id: str
    sentence: str
    severity: Severity
    source: str
    reads: tuple[str, ...]
    check: Check | None
    passes: Example
    fails: Example
    kinds: frozenset[Kind] = BOTH
    quick: QuickCheck | None = None


def needs(*names: str) -> Callable[[Check], Check]:
    """Make a check apply only where all these are there."""

    def wrap(check: Check) -> Check:
        return lambda facts: check(facts) if all(facts.text(name) for name in names) else None

    return wrap
