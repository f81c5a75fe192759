"""What a comparison gives to be kept as breaks: its differences, added up by cause, customer and subscription.

The trap: a line item that moved is a difference of two customers or subscriptions. Each gets half of its causes, and
`key changed` is what is then missing from its own difference, as in the breakdowns of a comparison. So the sum of all
breaks is the difference of the comparison.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Final

from counterfoil import numbers
from counterfoil.reconcile.breaks.break_file import BREAKS_MAX, too_many
from counterfoil.reconcile.breaks.break_item import BreakSubject, EvidenceLine, SeenSide
from counterfoil.reconcile.comparing.comparison import ComparedSide, Comparison
from counterfoil.reconcile.comparing.found_difference import FoundDifference, net_and_total
from counterfoil.reconcile.explaining import Cause
from counterfoil.reconcile.explaining import arithmetic as exact
from counterfoil.reconcile.matching import Line

Whose = tuple[str, str]  # customer and subscription, in lower case
FoundKey = tuple[Cause, str, str]
CREDIT_LINES_MAX: Final = 100  # that are kept of one customer and subscription
_LEDGER: Final = "ledger:"  # which a mapping's name begins with
_SWAPPED: Final = {Cause.NEW: Cause.VANISHED, Cause.VANISHED: Cause.NEW}


@dataclass(slots=True)
class FoundBreak:
    """What one cause comes to for one customer and subscription, in so many differences."""

    customer: str
    subscription: str
    customer_name: str
    amount: Decimal = Decimal(0)
    differences: int = 0


@dataclass(frozen=True, slots=True)
class CreditLines:
    """Line items on one side that give money back: what they add to the difference, before tax and as tax."""

    net: Decimal
    tax: Decimal
    lines: tuple[tuple[str, Line], ...]  # each with the name of its side

    def evidence(self, part: str) -> tuple[EvidenceLine, ...]:
        """Return the line items as evidence of what this part of them, `net` or `tax`, settles."""
        return tuple(
            EvidenceLine(side, line.number, part, {name: text for name, text in line.attributes.items() if text})
            for side, line in self.lines
        )


@dataclass(slots=True)
class ComparisonFindings:
    """All that a comparison found; the amounts are right minus left.

    `more_credits` are those who have more credits than are kept, so that the sum of what is kept says nothing.
    """

    breaks: dict[FoundKey, FoundBreak] = field(default_factory=dict)
    credits: dict[Whose, list[CreditLines]] = field(default_factory=dict)
    more_credits: set[Whose] = field(default_factory=set)

    def swapped(self) -> ComparisonFindings:
        """Return what the same comparison finds with its sides in the other order."""
        turned = ComparisonFindings(more_credits=self.more_credits)
        for (cause, *whose), found in self.breaks.items():
            key = (_SWAPPED.get(cause, cause), whose[0], whose[1])
            turned.breaks[key] = FoundBreak(
                found.customer,
                found.subscription,
                found.customer_name,
                exact.negated(found.amount),
                found.differences,
            )
        for of, listed in self.credits.items():
            turned.credits[of] = [
                CreditLines(exact.negated(each.net), exact.negated(each.tax), each.lines) for each in listed
            ]
        return turned


def found_in(comparison: Comparison, credits_of: Collection[Whose]) -> ComparisonFindings:
    """Add up a comparison's differences, which are read one after the other.

    Line items that give money back are kept for `credits_of`. Raises UsageError for more breaks than a file keeps.
    """
    findings = ComparisonFindings()
    total = net_and_total(comparison.kind)[1]
    names = comparison.left.name, comparison.right.name
    for found in comparison.differences():
        for line, cause, amount in _shares(found, total):
            _add(findings, line, cause, amount)
        if len(findings.breaks) > BREAKS_MAX:
            raise too_many(f"This comparison alone has more than {BREAKS_MAX:,} breaks")
        if credit := _credit_of(found, names):
            whose = _whose(credit.lines[0][1])
            if whose in credits_of:
                its = findings.credits.setdefault(whose, [])
                if len(its) < CREDIT_LINES_MAX:
                    its.append(credit)
                else:
                    findings.more_credits.add(whose)
    return findings


def subject_of(comparison: Comparison) -> BreakSubject:
    """Return what was compared, without the revisions of its sides."""
    left, right = comparison.left, comparison.right
    texts = [_side_text(left), _side_text(right)]
    if texts[0] == texts[1]:
        texts = [f"{text}, {apart}" for text, apart in zip(texts, _apart(left, right), strict=True)]
    return BreakSubject(
        comparing=comparison.comparing.value,
        kind=comparison.kind.value,
        currency=comparison.currency,
        period=comparison.period,
        partner=left.partner or right.partner,
        left=texts[0],
        right=texts[1],
        left_role=_role(left),
        right_role=_role(right),
    )


def seen(side: ComparedSide) -> SeenSide:
    """Return the state of a side that was read."""
    return SeenSide(side.name, side.what, side.etag, side.revision)


def _side_text(side: ComparedSide) -> str:
    return _path(side).name if side.scope is None else str(side.scope)


def _path(side: ComparedSide) -> Path:
    return Path(side.name.removeprefix(_LEDGER)).absolute()


def _apart(left: ComparedSide, right: ComparedSide) -> tuple[str, str]:
    """Return what tells two sides apart that are the same dataset, or files of the same name."""
    if left.origin != right.origin:
        return left.origin, right.origin
    if left.etag != right.etag:  # the states themselves are what was compared
        return left.etag, right.etag
    folders = [reversed(_path(side).parts[:-1]) for side in (left, right)]
    return next(((one, other) for one, other in zip(*folders, strict=False) if one != other), (left.name, right.name))


def _role(side: ComparedSide) -> str:
    if side.scope is None:
        return side.origin
    return "billed" if side.scope.is_billed else "unbilled"


def _add(findings: ComparisonFindings, line: Line, cause: Cause, amount: Decimal) -> None:
    key = cause, *_whose(line)
    its = findings.breaks.get(key)
    if its is None:
        told = {name: line.attributes.get(name) or "" for name in ("CustomerId", "SubscriptionId", "CustomerName")}
        its = findings.breaks[key] = FoundBreak(told["CustomerId"], told["SubscriptionId"], told["CustomerName"])
    its.amount = exact.add(its.amount, amount)
    its.differences += 1


def _shares(found: FoundDifference, total: str) -> Iterator[tuple[Line, Cause, Decimal]]:
    """Yield the causes of a difference, each with a line item of those whose it is."""
    left, right = found.left, found.right
    if left and right and _whose(left[0]) != _whose(right[0]) and found.causes:
        sums = _sum(left, total), _sum(right, total)
        if sums[0] is not None and sums[1] is not None:
            halves = [(each.cause, exact.multiply(each.amount, exact.HALF)) for each in found.causes if each.amount]
            for line, moved in ((left[0], exact.negated(sums[0])), (right[0], sums[1])):
                for cause, amount in halves:
                    yield line, cause, amount
                yield line, Cause.KEY_CHANGED, exact.subtract(moved, exact.total(amount for _, amount in halves))
            return
    for each in found.causes:
        if each.amount:
            yield (right or left)[0], each.cause, each.amount


def _sum(lines: Sequence[Line], name: str) -> Decimal | None:
    """Return what line items come to; None where one, of a ledger, does not tell it."""
    texts = [line.attributes.get(name) or "" for line in lines]
    return exact.total(map(numbers.exact, texts)) if all(texts) else None


def _whose(line: Line) -> Whose:
    customer, subscription = (line.attributes.get(name) or "" for name in ("CustomerId", "SubscriptionId"))
    return customer.lower(), subscription.lower()


def _credit_of(found: FoundDifference, names: tuple[str, str]) -> CreditLines | None:
    """Return the line items of a difference if they are on one side and give money back."""
    amounts = {each.cause: each.amount for each in found.causes}
    if Cause.CREDIT not in amounts or (found.left and found.right):
        return None
    name, lines = (names[1], found.right) if found.right else (names[0], found.left)
    told = tuple((name, line) for line in lines)
    return CreditLines(amounts[Cause.CREDIT], amounts.get(Cause.TAX, exact.ZERO), told)
