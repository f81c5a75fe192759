"""The rows of a report that add up: the bridge of causes, and customers, products and subscriptions.

A table of groups shows the largest by name. All others that differ are one row, and those in which nothing differs
another, so that each column sums to the totals above it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from counterfoil.errors import SideError
from counterfoil.reconcile.comparing.comparison import Comparison
from counterfoil.reconcile.comparing.found_difference import GroupDifference
from counterfoil.reconcile.explaining import arithmetic as exact
from counterfoil.reconcile.explaining.differences import Cause, CauseTotal
from counterfoil.reconcile.reports.cause_words import CauseWords, words_of
from counterfoil.reconcile.reports.shown_amounts import ShownAmount, shown_adding_up, shown_by_itself
from counterfoil.reconcile.reports.waterfall import Bar, Waterfall, two_sided, waterfall
from counterfoil.reconcile.side_totals import By

GROUPS_SHOWN_MAX: Final = 20
GROUPINGS: Final = (By.CUSTOMER, By.PRODUCT, By.SUBSCRIPTION)


@dataclass(frozen=True, slots=True)
class CauseRow:
    """One cause in the bridge; `bar` is its step."""

    cause: str
    words: CauseWords
    amount: ShownAmount
    differences: int
    bar: Bar

    @property
    def slug(self) -> str:
        """The cause without spaces, for links."""
        return slug_of(self.cause)

    @property
    def tone(self) -> str:
        """How it is coloured."""
        return "odd" if self.cause == Cause.UNEXPLAINED else self.amount.tone


@dataclass(frozen=True, slots=True)
class Bridge:
    """From the left total to the right one: the causes add up to `difference`, also as they are shown."""

    left: ShownAmount
    right: ShownAmount
    difference: ShownAmount
    rows: tuple[CauseRow, ...]
    waterfall: Waterfall


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A customer, product ... or several together: `number` is None for several, and `mostly` its largest cause."""

    number: int | None
    key: str
    name: str
    left: ShownAmount
    difference: ShownAmount
    right: ShownAmount
    mostly: str
    bar: Bar


@dataclass(frozen=True, slots=True)
class GroupTable:
    """The groups of one grouping. `numbers` has the number of each group that is shown, by its key in lower case."""

    by: By
    differing: int
    rows: tuple[GroupRow, ...]
    numbers: Mapping[str, int]


def slug_of(cause: str) -> str:
    """Return a cause without spaces."""
    return cause.replace(" ", "-")


def in_order(causes: Iterable[CauseTotal]) -> list[CauseTotal]:
    """Return causes as they are shown: the largest first, what is unexplained last."""
    return sorted(causes, key=lambda each: each.cause == Cause.UNEXPLAINED)


def bridge_of(comparison: Comparison, left_title: str, right_title: str) -> Bridge:
    """Return the bridge. Both totals are rounded by themselves, and all between them adds up."""
    left = shown_by_itself(comparison.left.total, comparison.currency)
    right = shown_by_itself(comparison.right.total, comparison.currency)
    difference = ShownAmount(comparison.difference, exact.subtract(right.cents, left.cents))
    causes = in_order(comparison.causes.values())
    amounts = [each.amount for each in causes]
    shown = shown_adding_up(amounts, comparison.currency, difference.cents)
    drawn = waterfall(comparison.left.total, amounts, comparison.right.total)
    rows = [
        CauseRow(each.cause.value, words_of(each.cause, left_title, right_title), amount, each.differences, bar)
        for each, amount, bar in zip(causes, shown, drawn.steps, strict=True)
    ]
    return Bridge(left, right, difference, tuple(rows), drawn)


def group_tables(comparison: Comparison, bridge: Bridge) -> list[GroupTable]:
    """Return a table for each grouping whose attribute both sides have, and in which something differs."""
    tables = []
    for by in GROUPINGS:
        try:
            groups = comparison.by(by)
        except SideError:  # a side with the basic attribute set lacks it
            continue
        if groups:
            tables.append(_group_table(comparison, bridge, by, groups))
    return tables


def _group_table(comparison: Comparison, bridge: Bridge, by: By, groups: Sequence[GroupDifference]) -> GroupTable:
    named, rest = groups[:GROUPS_SHOWN_MAX], groups[GROUPS_SHOWN_MAX:]
    rows = [(each.key, each.name, each.left, each.right, _mostly(each, bridge)) for each in named]
    if rest:
        words = f"{len(rest):,} more with differences"
        rows.append(("", words, exact.total(each.left for each in rest), exact.total(each.right for each in rest), ""))
    equal_left = exact.subtract(comparison.left.total, exact.total(row[2] for row in rows))
    equal_right = exact.subtract(comparison.right.total, exact.total(row[3] for row in rows))
    if equal_left or equal_right:
        rows.append(("", "All without a difference", equal_left, equal_right, ""))
    lefts = shown_adding_up([row[2] for row in rows], comparison.currency, bridge.left.cents)
    apart = [exact.subtract(row[3], row[2]) for row in rows]
    differences = shown_adding_up(apart, comparison.currency, bridge.difference.cents)
    found = []
    for at, (key, name, _, right, mostly) in enumerate(rows):
        shown_right = ShownAmount(right, exact.add(lefts[at].cents, differences[at].cents))
        number = at if at < len(named) else None
        found.append((number, key, name, lefts[at], differences[at], shown_right, mostly))
    bars = two_sided(apart)
    return GroupTable(
        by,
        len(groups),
        tuple(GroupRow(*row, bar) for row, bar in zip(found, bars, strict=True)),
        {each.key.lower(): at for at, each in enumerate(named)},
    )


def _mostly(group: GroupDifference, bridge: Bridge) -> str:
    """Return the title of the cause that is the largest part of a group's difference."""
    largest = max(group.causes.items(), key=lambda each: each[1].copy_abs(), default=("", Decimal(0)))[0]
    return next((row.words.title for row in bridge.rows if row.cause == largest), "")
