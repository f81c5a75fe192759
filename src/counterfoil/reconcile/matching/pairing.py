"""Pairs lines of one key: those of equal amount and quantity first, then amount, quantity, price, then in order.

Which of several lines of one key belong together is a convention; it moves value between causes, never out of the key.
The order is that of what the lines say, never of their arrival, so it is the same whichever side is left.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping
from decimal import Decimal
from typing import Final

from counterfoil import numbers
from counterfoil.reconcile.matching.line_keys import LineKeys
from counterfoil.reconcile.matching.matched_lines import Line

_Values = tuple[Decimal | str, Decimal | str, Decimal | str]
_ALIKE: Final[tuple[Callable[[_Values], Hashable], ...]] = (
    lambda values: values[:2],
    lambda values: values[0],
    lambda values: values[1],
    lambda values: values[2],
    lambda _: None,
)


def pairs(lefts: list[Line], rights: list[Line], keys: LineKeys) -> Iterator[tuple[Line, Line]]:
    """Yield as many pairs as both have lines, and leave the others in the lists."""
    if len(lefts) == len(rights) == 1:
        yield lefts.pop(), rights.pop()
        return
    if not lefts or not rights:
        return
    sides = [[(values_of(line.attributes, keys), line) for line in in_order(lines)] for lines in (lefts, rights)]
    for alike in _ALIKE:
        waiting = defaultdict[Hashable, tuple[list[Line], list[Line]]](lambda: ([], []))
        for index, side in enumerate(sides):
            for values, line in side:
                waiting[alike(values)][index].append(line)
        taken = set[int]()
        for mine, theirs in waiting.values():
            for left, right in zip(mine, theirs, strict=False):
                taken |= {id(left), id(right)}
                yield left, right
        if taken:
            sides = [[each for each in side if id(each[1]) not in taken] for side in sides]
        if not all(sides):
            break
    lefts[:], rights[:] = ([line for _, line in side] for side in sides)


def in_order(lines: list[Line]) -> list[Line]:
    """Return lines in the order of all their texts; of copies it does not matter which is which."""
    return sorted(lines, key=_texts) if len(lines) > 1 else lines


def _texts(line: Line) -> tuple[str, ...]:
    return tuple(line.attributes.values())


def values_of(attributes: Mapping[str, str], keys: LineKeys) -> _Values:
    """Return net amount, quantity and price by their values; what is no number counts as it stands."""
    amount, quantity, price = (attributes[name] for name in keys.amounts)
    return _value(amount), _value(quantity or attributes["Quantity"]), _value(price)


def _value(text: str) -> Decimal | str:
    return text if numbers.why_not_a_number(text) else numbers.exact(text)
