"""Did a number change: a published dataset against what it was, or two states of anything.

    counterfoil.reconcile.changes("invoice:G016907411", since="2026-11-20")

Older is left. The trap is what a date means: `since` a day is since its first moment, in UTC, so the state that was in
force then is what is compared with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Final

from counterfoil.errors import SideError
from counterfoil.model import Kind
from counterfoil.periods import utc_now
from counterfoil.reconcile.comparing.compare import compare
from counterfoil.reconcile.comparing.comparison import Comparing, Comparison
from counterfoil.reconcile.explaining import Cause
from counterfoil.reconcile.explaining import arithmetic as exact
from counterfoil.reconcile.side_totals import shown
from counterfoil.reconcile.sides.opening import DATA, published_states
from counterfoil.reconcile.sides.side import PublishedState

YESTERDAY: Final = "yesterday"
_SHORT: Final = 12  # digits of a revision by which it is named


class StateChange(StrEnum):
    """What happened to line items between two states."""

    CAME_LATE = "came late"
    CAME = "came"
    RESTATED = "restated"
    CREDITED = "credited"
    CANCELLED = "cancelled"
    REPEATED = "repeated"
    VANISHED = "vanished"
    REWORDED = "reworded"


_OF_REASONS: Final = {
    Cause.LATE_USAGE: StateChange.CAME_LATE,
    Cause.OTHER_PERIOD: StateChange.CAME_LATE,
    Cause.NEW: StateChange.CAME,
    Cause.CREDIT: StateChange.CREDITED,
    Cause.CANCELLED: StateChange.CANCELLED,
    Cause.DUPLICATE: StateChange.REPEATED,
    Cause.VANISHED: StateChange.VANISHED,
}


@dataclass(frozen=True, slots=True)
class ChangeTotal:
    """What happened, how often, and the amount that it moved, with tax."""

    change: StateChange
    amount: Decimal
    differences: int

    def to_json(self) -> dict[str, object]:
        """Return the members, the amount as text with all its digits."""
        return {"change": self.change.value, "amount": shown(self.amount), "differences": self.differences}


def changes(
    dataset: str,
    *,
    since: str = "",
    kind: Kind | str | None = None,
    period: str = "",
    currency: str = "",
    partner: str = "",
    data: Path | str = DATA,
    database_url: str = "",
    now: Callable[[], datetime] = utc_now,
    progress: Callable[[int], None] = lambda _: None,
) -> Comparison:
    """Compare a published dataset with what it was before: one revision ago, or at `since`.

    `since` is a day such as `2026-11-20`, `yesterday`, or a revision. For two pulls or files call `compare`.

    Raises UsageError and MissingError for what names nothing, and SideError where there is nothing to compare with.
    """
    states = published_states(dataset, kind=kind, partner=partner, data=data, database_url=database_url)
    before = _before(states, dataset, since, now)
    return compare(
        f"revision:{before[:_SHORT]}",
        f"revision:{states[0].revision[:_SHORT]}",
        comparing=Comparing.REVISIONS,
        kind=kind,
        period=period,
        currency=currency,
        partner=partner,
        data=data,
        database_url=database_url,
        progress=progress,
    )


def changes_in(comparison: Comparison) -> tuple[ChangeTotal, ...]:
    """Return what happened between two states, in the order of `StateChange`; its amounts sum to the difference."""
    sums: dict[StateChange, tuple[Decimal, int]] = {}
    for change, amount in _each_change(comparison):
        total, count = sums.get(change, (exact.ZERO, 0))
        sums[change] = exact.add(total, amount), count + 1
    found = ((change, sums[change]) for change in StateChange if change in sums)
    return tuple(ChangeTotal(change, exact.trimmed(amount), count) for change, (amount, count) in found)


def _before(states: list[PublishedState], dataset: str, since: str, now: Callable[[], datetime]) -> str:
    """Return the id of the revision to compare with."""
    newest = states[0]
    if not since:
        if len(states) == 1:
            raise SideError(
                f"{dataset} has one revision only, published {newest.published_at:%Y-%m-%d}, so nothing changed.",
                remedy="Publish a newer state, or compare it with a pull or a file.",
            )
        return states[1].revision
    moment = _moment(since, now)
    if moment is None:
        return next((state.revision for state in states if state.revision.startswith(since.lower())), since)
    held = next((state for state in states if state.published_at < moment), None)
    if held is None:
        first = states[-1]
        raise SideError(
            f"{dataset} was first published on {first.published_at:%Y-%m-%d}, which is not before {moment:%Y-%m-%d}.",
            remedy="Name a later day, or a revision.",
            parameter="since",
        )
    if held == newest:
        raise SideError(
            f"{dataset} has not changed since {moment:%Y-%m-%d}: {newest.revision[:_SHORT]} was published on "
            f"{newest.published_at:%Y-%m-%d}.",
            remedy="Name an earlier day, or a revision.",
            parameter="since",
        )
    return held.revision


def _moment(since: str, now: Callable[[], datetime]) -> datetime | None:
    """Return the first moment of a day, None for what is no day."""
    if since.lower() == YESTERDAY:
        day = now().astimezone(UTC).date() - timedelta(days=1)
    else:
        try:
            day = date.fromisoformat(since)
        except ValueError:
            return None
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _each_change(comparison: Comparison) -> Iterator[tuple[StateChange, Decimal]]:
    """Yield what happened in each difference, and its amount. Lines are not read, only what was found of them."""
    files = comparison.files
    for differences, causes in zip(files.batches("differences"), files.batches("causes"), strict=True):
        reasons: dict[int, Cause] = {}
        for number, text in zip(*(causes.column(name).to_pylist() for name in ("difference", "cause")), strict=True):
            if (cause := Cause(text)) in _OF_REASONS:
                reasons[number] = cause
        names = ("number", "leftLineItems", "rightLineItems", "difference")
        for number, left, right, text in zip(*(differences.column(name).to_pylist() for name in names), strict=True):
            one_sided = not left or not right
            if one_sided and number in reasons:
                yield _OF_REASONS[reasons[number]], Decimal(text)
            else:
                yield StateChange.RESTATED if Decimal(text) else StateChange.REWORDED, Decimal(text)
