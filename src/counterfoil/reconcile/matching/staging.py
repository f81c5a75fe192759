"""The stages after identity: each pairs what is equal by its key, and leaves the others to the next.

Lines are matched where they stand first (`at_one_place`: one customer, subscription and date, byte for byte), and what
is left then among all of them (`everywhere`). So the groups do not depend on how much of a side is looked at together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from counterfoil.model import Kind
from counterfoil.reconcile.explaining.line_item_charges import is_metered
from counterfoil.reconcile.matching.line_keys import Key, LineKeys, reference_of
from counterfoil.reconcile.matching.matched_lines import Line, MatchedLines, Stage
from counterfoil.reconcile.matching.pairing import in_order, pairs

_SEAT_CHANGES: Final = {"addquantity", "removequantity"}
_CONVERSIONS: Final = {"convert", "movequantity", "changebillingplan"}
_CHANGED: Final = ("SubscriptionId", "ProductId", "SkuId", "ChargeStartDate", "ChargeEndDate")


@dataclass(slots=True)
class Unmatched:
    """The lines of both sides that have no partner yet."""

    left: list[Line] = field(default_factory=list)
    right: list[Line] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.left) + len(self.right)


def duplicates(twins: Unmatched) -> Iterator[MatchedLines]:
    """Yield further copies of lines that were matched: no coarser key may pair them with a line that is gone."""
    yield from _each_alone(twins, Stage.DUPLICATE)


def at_one_place(lines: Unmatched, keys: LineKeys) -> Iterator[MatchedLines]:
    """Yield what belongs together within one customer, subscription and date."""
    yield from _same_charge(lines, keys, keys.exact_place)


def everywhere(lines: Unmatched, keys: LineKeys) -> Iterator[MatchedLines]:
    """Yield what belongs together within one customer, however its ids are written."""
    yield from _same_charge(lines, keys)
    if keys.kind is Kind.RECONCILIATION:
        for index, side in enumerate((lines.left, lines.right)):
            for found in _changes(side):
                yield MatchedLines(Stage.CHANGE, () if index else found, found if index else ())
    if keys.other_dates is not None:
        yield from _paired(lines, Stage.OTHER_DATES, keys, keys.other_dates, _is_licence)


def moved(lines: Unmatched, keys: LineKeys) -> Iterator[MatchedLines]:
    """Yield what is equal but for one id, what is the same charge but for one id, and every line that is left, alone.

    A charge that moved and changed is one if nothing else on either side could be it: two would be guesses.
    """
    for key in keys.moved:
        yield from _paired(lines, Stage.MOVED, keys, key)
    for key in keys.moved_and_changed:
        yield from _paired(lines, Stage.MOVED, keys, key, alone=True)
    yield from _each_alone(lines, Stage.ONE_SIDE)


def _same_charge(lines: Unmatched, keys: LineKeys, place: Key | None = None) -> Iterator[MatchedLines]:
    stages = (
        (Stage.WORDS, keys.without_words),
        (Stage.SAME_CHARGE, keys.same_charge),
        (Stage.OTHER_ORDER, keys.other_order),
    )
    for stage, key in stages:
        if key is not None:
            yield from _paired(lines, stage, keys, key if place is None else _within(place, key))


def _within(place: Key, key: Key) -> Key:
    return lambda attributes: f"{place(attributes)}\0{key(attributes)}"


def _paired(
    lines: Unmatched,
    stage: Stage,
    keys: LineKeys,
    key: Key,
    takes: Callable[[Line], bool] = lambda _: True,
    *,
    alone: bool = False,
) -> Iterator[MatchedLines]:
    """Pair lines that are equal by a key; with `alone` only where one line of either side is."""
    if not lines.left or not lines.right:
        return
    groups = defaultdict[str, tuple[list[Line], list[Line]]](lambda: ([], []))
    left_over: tuple[list[Line], list[Line]] = ([], [])
    for index, side in enumerate((lines.left, lines.right)):
        for line in side:
            if takes(line):
                groups[key(line.attributes)][index].append(line)
            else:
                left_over[index].append(line)
    for _, (lefts, rights) in sorted(groups.items()):
        if not alone or len(lefts) == len(rights) == 1:
            for left, right in pairs(lefts, rights, keys):
                yield MatchedLines(stage, (left,), (right,))
        left_over[0].extend(lefts)
        left_over[1].extend(rights)
    lines.left, lines.right = left_over


def _is_licence(line: Line) -> bool:
    return not is_metered(line.attributes)


def _each_alone(lines: Unmatched, stage: Stage) -> Iterator[MatchedLines]:
    for left in in_order(lines.left):
        yield MatchedLines(stage, (left,), ())
    for right in in_order(lines.right):
        yield MatchedLines(stage, (), (right,))
    lines.left, lines.right = [], []


def _changes(side: list[Line]) -> Iterator[tuple[Line, ...]]:
    """Yield what lines of one side tell together, and take it out: seats back and others charged, or an upgrade."""
    seats, conversions = defaultdict[str, list[Line]](list), defaultdict[str, list[Line]](list)
    for line in side:
        told, charge_type = line.attributes, line.attributes["ChargeType"].lower()
        if charge_type in _SEAT_CHANGES:
            its = (told["CustomerId"], *(told[name] for name in _CHANGED), charge_type)
            seats["\0".join(its).lower()].append(line)
        elif charge_type in _CONVERSIONS and (reference := reference_of(told)):
            conversions[f"{told['CustomerId'].lower()}\0{reference}"].append(line)
    taken = set[int]()
    for _, lines in sorted(seats.items()):
        for pair in zip(*_back_and_charged(lines), strict=False):
            taken |= set(map(id, pair))
            yield pair
    for _, lines in sorted(conversions.items()):
        back, charged = _back_and_charged(lines)
        if back and charged:
            taken |= set(map(id, lines))
            yield (*back, *charged)
    side[:] = [line for line in side if id(line) not in taken]


def _back_and_charged(lines: list[Line]) -> tuple[list[Line], list[Line]]:
    """Return refunds and charges. The amount tells them apart: a refund's sign is on its quantity or on its price."""
    ordered = in_order(lines)
    back = [line for line in ordered if line.attributes["Subtotal"].startswith("-")]
    charged = [line for line in ordered if not line.attributes["Subtotal"].startswith("-")]
    return back, charged
