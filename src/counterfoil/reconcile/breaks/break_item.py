"""A break: what one cause comes to for one customer and subscription in a comparison, kept as an item.

Its identity is what was compared, without revisions, and the cause, customer and subscription; so a re-run finds it
again, with the sides in either order. The amount is right minus left, in the order of the first run.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

from counterfoil.disk import documents
from counterfoil.periods import timestamp
from counterfoil.reconcile.explaining import Cause
from counterfoil.reconcile.side_totals import shown

SETTLED_PARTS: Final = ("net", "tax")


class BreakState(StrEnum):
    """Where a break stands. People explain and accept; a later comparison resolves, and opens again."""

    OPEN = "open"
    EXPLAINED = "explained"
    ACCEPTED = "accepted"
    RESOLVED = "resolved"


class BreakStep(StrEnum):
    """What can happen to a break."""

    FOUND = "found"
    CHANGED = "changed"
    REOPENED = "reopened"
    NOTED = "noted"
    EXPLAINED = "explained"
    ACCEPTED = "accepted"
    RESOLVED = "resolved"


class BreakSubject(msgspec.Struct, frozen=True):
    """What was compared, whatever its revisions. `left` and `right` say what the sides are, such as a dataset.

    `left_role` and `right_role` say what sort of side each is: months are compared in the same order only by these.
    """

    comparing: str
    kind: str
    currency: str
    period: str
    partner: str
    left: str
    right: str
    left_role: str
    right_role: str

    @property
    def identity(self) -> str:
        """The same text for the same subject, in whichever order its sides were named."""
        told = [self.comparing, self.kind, self.currency, self.period, self.partner]
        return documents.canonical([*told, *sorted((self.left, self.right))])

    def is_swapped(self, other: BreakSubject) -> bool:
        """Whether the other has the same sides in the other order."""
        return self.left != other.left


class SeenSide(msgspec.Struct, frozen=True):
    """The state of a side that a comparison read."""

    name: str
    what: str
    etag: str
    revision: str

    def to_json(self) -> dict[str, str]:
        """Return what is known of it."""
        told = {"name": self.name, "what": self.what, "eTag": self.etag, "revision": self.revision}
        return {name: value for name, value in told.items() if value}


class EvidenceLine(msgspec.Struct, frozen=True):
    """A line item that settled a break, with what it says; `part` is the amount of it that did, `net` or `tax`."""

    side: str
    line_item: int
    part: str
    attributes: dict[str, str]

    @property
    def fingerprint(self) -> str:
        """The same for the same line item, wherever it stands in its side."""
        return hashlib.sha256(documents.canonical([self.part, self.attributes]).encode()).hexdigest()


class BreakEvidence(msgspec.Struct, frozen=True):
    """Why a break was resolved: the sides of the comparison in which it was, and the line items that settled it.

    There are none where its amount came to zero.
    """

    left: SeenSide
    right: SeenSide
    lines: tuple[EvidenceLine, ...] = ()


class BreakEvent(msgspec.Struct, frozen=True):
    """One thing that happened to a break: who did it, when, and the amount that the break had then."""

    at: datetime
    by: str
    step: BreakStep
    amount: Decimal
    note: str = ""

    def to_json(self) -> dict[str, str]:
        """Return the event, the amount as text with all its digits."""
        told = {"at": timestamp(self.at), "by": self.by, "step": self.step.value, "amount": shown(self.amount)}
        return told | ({"note": self.note} if self.note else {})


class Break(msgspec.Struct, frozen=True):
    """One break. `number` is its number in its file; no other break ever gets it.

    `settled` is the amount that was explained, accepted or resolved, None while it is open. `settles` are the numbers
    of the breaks that this one, a credit, settled.
    """

    number: int
    subject: BreakSubject
    cause: Cause
    customer: str
    subscription: str
    customer_name: str
    amount: Decimal
    differences: int
    first_found: datetime
    last_compared: datetime
    left: SeenSide
    right: SeenSide
    state: BreakState = BreakState.OPEN
    settled: Decimal | None = None
    owner: str = ""
    note: str = ""
    evidence: BreakEvidence | None = None
    settles: tuple[int, ...] = ()
    history: tuple[BreakEvent, ...] = ()

    @property
    def identity(self) -> tuple[str, Cause, str, str]:
        """What a re-run finds it by."""
        return self.subject.identity, self.cause, self.customer.lower(), self.subscription.lower()

    @property
    def is_unsettled(self) -> bool:
        """Whether somebody still has to see to it: it is open, or explained and neither accepted nor resolved."""
        return self.state in (BreakState.OPEN, BreakState.EXPLAINED)

    def to_json(self) -> dict[str, object]:
        """Return all that is known of it, amounts as texts with all their digits."""
        return {
            "number": self.number,
            "state": self.state.value,
            "cause": self.cause.value,
            "amount": shown(self.amount),
            "currency": self.subject.currency,
            "settledAmount": None if self.settled is None else shown(self.settled),
            "customer": self.customer,
            "customerName": self.customer_name,
            "subscription": self.subscription,
            "differences": self.differences,
            "owner": self.owner,
            "note": self.note,
            "comparison": self.subject.comparing,
            "kind": self.subject.kind,
            "period": self.subject.period,
            "partner": self.subject.partner,
            "firstFound": timestamp(self.first_found),
            "lastCompared": timestamp(self.last_compared),
            "left": self.left.to_json(),
            "right": self.right.to_json(),
            "settles": list(self.settles),
            "evidence": None if self.evidence is None else _evidence_json(self.evidence),
            "history": [event.to_json() for event in self.history],
        }


def _evidence_json(evidence: BreakEvidence) -> dict[str, object]:
    lines = [
        {"side": line.side, "lineItem": line.line_item, "part": line.part, **line.attributes} for line in evidence.lines
    ]
    return {"left": evidence.left.to_json(), "right": evidence.right.to_json(), "lineItems": lines}
