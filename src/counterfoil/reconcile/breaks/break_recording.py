"""What a comparison does to the breaks that are kept: finds new ones, changes, opens again, and resolves.

Two things resolve a break, and nothing else does: its amount comes to zero when the same is compared again, or a later
credit of the opposite amount, for the same customer and subscription, is found on one side. The trap is to use a credit
twice: a line item that is evidence already settles no further break, so a re-run changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec

from counterfoil.reconcile.breaks.break_file import BreakList
from counterfoil.reconcile.breaks.break_item import (
    SETTLED_PARTS,
    Break,
    BreakEvent,
    BreakEvidence,
    BreakState,
    BreakStep,
    BreakSubject,
    SeenSide,
)
from counterfoil.reconcile.breaks.found_breaks import ComparisonFindings, CreditLines, FoundBreak, FoundKey, Whose
from counterfoil.reconcile.explaining import Cause
from counterfoil.reconcile.explaining import arithmetic as exact

_PART_OF: Final = {Cause.CREDIT: "net", Cause.TAX: "tax"}
_SAME: Final = ("comparing", "kind", "currency", "partner")  # of a break, and of the comparison whose credit settles it


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedBreaks:
    """What recording a comparison did, as numbers of breaks; `unsettled` of them are left of what was compared."""

    found: tuple[int, ...] = ()
    changed: tuple[int, ...] = ()
    reopened: tuple[int, ...] = ()
    resolved: tuple[int, ...] = ()
    unsettled: int = 0

    def to_json(self) -> dict[str, object]:
        """Return the numbers, and how many are unsettled."""
        told = {"new": self.found, "changed": self.changed, "reopened": self.reopened, "resolved": self.resolved}
        return {**{name: list(numbers) for name, numbers in told.items()}, "unsettled": self.unsettled}


@dataclass(slots=True, kw_only=True)
class BreakRecorder:
    """Records one comparison: its subject, what it found, the sides that it read, and who recorded it when."""

    subject: BreakSubject
    findings: ComparisonFindings
    sides: tuple[SeenSide, SeenSide]
    at: datetime
    by: str
    _breaks: dict[int, Break] = field(default_factory=dict)
    _steps: dict[BreakStep, list[int]] = field(default_factory=dict)
    _credited_before: set[Whose] = field(default_factory=set)

    def record(self, before: BreakList) -> tuple[BreakList, RecordedBreaks]:
        """Return the breaks as they are afterwards, and what was done."""
        self._turn_as_before(before)
        self._breaks = {each.number: each for each in before.breaks}
        identity = self.subject.identity
        mine = {each.identity[1:]: each for each in before.breaks if each.subject.identity == identity}
        self._credited_before = {key[1:] for key in mine if key[0] is Cause.CREDIT}
        for key, its in mine.items():
            self._compare(self._breaks[its.number], self.findings.breaks.get(key))
        next_number = before.next_number
        for key, found in sorted(self.findings.breaks.items(), key=_by_size):
            if key not in mine and found.amount:
                self._breaks[next_number] = self._new(next_number, key, found)
                next_number += 1
        self._settle(before)
        after = BreakList(tuple(self._breaks.values()), next_number)
        own = [each for each in after.breaks if each.subject.identity == identity]
        return after, RecordedBreaks(
            found=self._numbers(BreakStep.FOUND),
            changed=self._numbers(BreakStep.CHANGED),
            reopened=self._numbers(BreakStep.REOPENED),
            resolved=self._numbers(BreakStep.RESOLVED),
            unsettled=sum(each.is_unsettled for each in own),
        )

    def _numbers(self, step: BreakStep) -> tuple[int, ...]:
        return tuple(sorted(set(self._steps.get(step, ()))))

    def _turn_as_before(self, before: BreakList) -> None:
        """Take the order of the sides of the first run, so that amounts keep their sign."""
        identity = self.subject.identity
        first = next((each.subject for each in before.breaks if each.subject.identity == identity), None)
        if first is not None and first.is_swapped(self.subject):
            self.subject, self.findings, self.sides = first, self.findings.swapped(), self.sides[::-1]

    def _new(self, number: int, key: FoundKey, found: FoundBreak) -> Break:
        self._steps.setdefault(BreakStep.FOUND, []).append(number)
        amount = exact.trimmed(found.amount)
        return Break(
            number=number,
            subject=self.subject,
            cause=key[0],
            customer=found.customer,
            subscription=found.subscription,
            customer_name=found.customer_name,
            amount=amount,
            differences=found.differences,
            first_found=self.at,
            last_compared=self.at,
            left=self.sides[0],
            right=self.sides[1],
            history=(BreakEvent(self.at, self.by, BreakStep.FOUND, amount),),
        )

    def _compare(self, its: Break, found: FoundBreak | None) -> None:
        """Hold a break against what was found this time."""
        amount = exact.ZERO if found is None else exact.trimmed(found.amount)
        now = msgspec.structs.replace(
            its,
            amount=amount,
            differences=0 if found is None else found.differences,
            last_compared=self.at,
            left=self.sides[0],
            right=self.sides[1],
        )
        self._breaks[its.number] = now
        if amount != its.amount and its.settles:
            self._take_back(now)
            now = msgspec.structs.replace(now, settles=())
        self._breaks[its.number] = now
        if amount != its.amount:
            self._free_credits(its)
        if not amount:
            if its.state is not BreakState.RESOLVED or its.settled:
                self._resolve(now, BreakEvidence(*self.sides), "It came to zero.")
        elif its.settled is not None and amount != its.settled:
            self._reopen(now, "The amount is another one.")
        elif amount != its.amount:
            self._step(now, BreakStep.CHANGED)

    def _take_back(self, credit: Break) -> None:
        """Open what a credit settled that has changed since."""
        for number in credit.settles:
            settled = self._breaks.get(number)
            if settled is not None and settled.state is BreakState.RESOLVED:
                self._reopen(settled, f"The credit that settled it, break {credit.number}, has changed.")

    def _free_credits(self, its: Break) -> None:
        """Open the credits that settled a break which no longer needs them: they are differences of their own again."""
        if its.evidence is None or not its.evidence.lines:
            return
        for settling in [each for each in self._breaks.values() if its.number in each.settles]:
            left = tuple(number for number in settling.settles if number != its.number)
            credit = self._breaks[settling.number] = msgspec.structs.replace(settling, settles=left)
            if credit.state is BreakState.RESOLVED:
                self._reopen(credit, f"Break {its.number}, which it settled, has another amount.")

    def _reopen(self, its: Break, why: str) -> None:
        opened = msgspec.structs.replace(its, state=BreakState.OPEN, settled=None, evidence=None)
        self._step(opened, BreakStep.REOPENED, why)

    def _resolve(self, its: Break, evidence: BreakEvidence, why: str) -> None:
        resolved = msgspec.structs.replace(its, state=BreakState.RESOLVED, settled=its.amount, evidence=evidence)
        self._step(resolved, BreakStep.RESOLVED, why)

    def _step(self, its: Break, step: BreakStep, note: str = "") -> None:
        event = BreakEvent(self.at, self.by, step, its.amount, note)
        self._breaks[its.number] = msgspec.structs.replace(its, history=(*its.history, event))
        self._steps.setdefault(step, []).append(its.number)

    def _settle(self, before: BreakList) -> None:
        """Resolve the breaks that credits of this comparison settle, the oldest first, and the credits with them."""
        unused = self._unused_credits()
        spent: dict[tuple[Whose, str], list[int]] = {}
        for number in [each.number for each in before.breaks]:
            its = self._breaks[number]
            whose, part = (its.customer.lower(), its.subscription.lower()), _part_of(its)
            found = unused.get((whose, part))
            if not found or not its.is_unsettled or not any(whose) or not self._may_settle(its, whose):
                continue
            wanted = exact.negated(its.amount) if self._sign(its) > 0 else its.amount
            if chosen := _adding_up(found, part, wanted, is_all=whose not in self.findings.more_credits):
                lines = tuple(line for credit in chosen for line in credit.evidence(part))
                evidence = BreakEvidence(*self.sides, lines)
                self._resolve(its, evidence, f"Credited by {len(lines)} of the line items compared; see the evidence.")
                unused[whose, part] = [credit for credit in found if not any(credit is each for each in chosen)]
                spent.setdefault((whose, part), []).append(number)
        for (whose, part), numbers in spent.items():
            self._close_credit(whose, part, numbers)

    def _unused_credits(self) -> dict[tuple[Whose, str], list[CreditLines]]:
        """Return the credits of this comparison that are evidence of nothing yet, by whose they are and their part."""
        used = Counter(
            line.fingerprint
            for each in self._breaks.values()
            if each.evidence is not None
            for line in each.evidence.lines
        )
        unused: dict[tuple[Whose, str], list[CreditLines]] = {}
        for whose, found in self.findings.credits.items():
            for credit in found:
                for part in SETTLED_PARTS:
                    if getattr(credit, part) and not _is_used(credit, part, used):
                        unused.setdefault((whose, part), []).append(credit)
        return unused

    def _close_credit(self, whose: Whose, part: str, settled: list[int]) -> None:
        """Note at the break that a credit itself is what it settled; with nothing of it left, it is resolved."""
        cause = next(cause for cause, its in _PART_OF.items() if its == part)
        key = self.subject.identity, cause, *whose
        credit = next((each for each in self._breaks.values() if each.identity == key), None)
        if credit is None or credit.number in settled:
            return
        credit = msgspec.structs.replace(credit, settles=(*credit.settles, *settled))
        self._breaks[credit.number] = credit
        amounts = exact.total(self._signed_amount(number) for number in credit.settles)
        if credit.is_unsettled and exact.add(credit.amount, amounts) == 0:
            told = ", ".join(map(str, credit.settles))
            self._resolve(credit, BreakEvidence(*self.sides), f"It settles break {told}.")

    def _signed_amount(self, number: int) -> Decimal:
        its = self._breaks[number]
        return its.amount if self._sign(its) > 0 else exact.negated(its.amount)

    def _may_settle(self, its: Break, whose: Whose) -> bool:
        """Whether a credit of this comparison came after this break, and is about the same."""
        mine, theirs = self.subject, its.subject
        if mine.identity == theirs.identity:
            return whose not in self._credited_before and its.cause is not Cause.CREDIT
        same = all(
            getattr(mine, name) == getattr(theirs, name) for name in ("comparing", "kind", "currency", "partner")
        )
        return same and bool(theirs.period) and theirs.period < mine.period and self._sign(its) != 0

    def _sign(self, its: Break) -> int:
        """Return 1 where this comparison has its sides in the order of the break's, -1 for the other, 0 if unknown."""
        mine = self.subject.left_role, self.subject.right_role
        theirs = its.subject.left_role, its.subject.right_role
        return 1 if mine == theirs else -1 if mine == theirs[::-1] else 0


def _by_size(entry: tuple[FoundKey, FoundBreak]) -> tuple[Decimal, FoundKey]:
    key, found = entry
    return exact.negated(exact.magnitude(found.amount)), key


def _part_of(its: Break) -> str:
    return "tax" if its.cause is Cause.TAX else "net"


def _is_used(credit: CreditLines, part: str, used: Counter[str]) -> bool:
    """Whether a credit is evidence already; of equal line items, so many are as were used."""
    prints = [line.fingerprint for line in credit.evidence(part)]
    if any(used[each] <= 0 for each in prints):
        return False
    used.subtract(prints)
    return True


def _adding_up(found: list[CreditLines], part: str, wanted: Decimal, *, is_all: bool) -> list[CreditLines]:
    """Return the first credit that comes to an amount, or all where they do together; else none."""
    for credit in found:
        if getattr(credit, part) == wanted:
            return [credit]
    return list(found) if is_all and exact.total(getattr(each, part) for each in found) == wanted else []


def wanted_credits(breaks: Iterator[Break]) -> set[Whose]:
    """Return the customers and subscriptions whose breaks a credit may settle, or has settled."""
    return {(each.customer.lower(), each.subscription.lower()) for each in breaks}
