"""Reads worked cases, of the tests and of docs/reconcile.md.

    21. seats and list price [pair]
      left   10 x 22 of 24 @ 0.9 = 198 + 37.62 (metered, 15%, 29/30, credited, USD)
      right  ...
      causes quantity 45.10; unit price 12.10

A line is quantity x effective price of list price @ rate = net + tax; the list price is the effective one where it is
not given, and the rate 1. `sums 0` before the parenthesis is a total that does not add up. A line without a price is of
a ledger, which tells no rate either.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from counterfoil.reconcile.explaining import (
    Cause,
    Charge,
    ChargedDays,
    Difference,
    explain,
    explain_change,
    explain_conversion,
    explain_moved,
    explain_one_sided,
)

NUMBER = r"(-?[0-9.]+)"
LINE = re.compile(
    rf"{NUMBER}(?: x {NUMBER}(?: of {NUMBER})?)?(?: @ {NUMBER})? = {NUMBER}(?: \+ {NUMBER})?(?: sums {NUMBER})?"
    r"(?: \((.*)\))?"
)
TITLE = re.compile(r"([0-9]+)\. ([^\[]*?)(?: \[(.*)\])?")


@dataclass
class WorkedCase:
    """Lines of both sides, and the causes that were worked by hand."""

    number: int
    name: str
    sort: str
    left: list[Charge] = field(default_factory=list)
    right: list[Charge] = field(default_factory=list)
    causes: dict[str, Decimal] = field(default_factory=dict)

    def solve(self, *, swapped: bool = False) -> Difference:
        """Explain it, by the function for its sort."""
        left, right = (self.right, self.left) if swapped else (self.left, self.right)
        of_right = bool(right)
        match self.sort:
            case "pair":
                return explain(left[0], right[0])
            case "moved":
                return explain_moved(left[0], right[0], "CustomerId")
            case "change":
                return explain_change(*(left or right), on_the_right=of_right)
            case "convert":
                return explain_conversion(left or right, on_the_right=of_right)
            case _:
                reason = Cause(self.sort)
                return explain_one_sided((left or right)[0], reason, on_the_right=of_right)


def read_line(text: str) -> Charge:
    """Read one line of the notation."""
    match = LINE.fullmatch(text)
    assert match, text
    quantity, price, listed, rate, net, tax, sums, more = match.groups()
    told = {
        name: Decimal(value)
        for name, value in {
            "quantity": quantity,
            "price": price,
            "list_price": listed or price,
            "rate": rate or ("1" if price else None),
            "tax": tax,
            "total": sums,
        }.items()
        if value is not None
    }
    words = set((more or "").split(", ")) - {""}
    days = next((word for word in words if "/" in word), None)
    earned = next((word for word in words if word.endswith("%")), "0%")
    currency = next((word for word in words if re.fullmatch("[A-Z]{3}", word)), "")
    assert words <= {"metered", "credited", days, earned, currency}, words
    return Charge(
        Decimal(net),
        **told,
        metered="metered" in words,
        charged_days=ChargedDays(*map(int, days.split("/"))) if days else ChargedDays(),
        earned_credit=Decimal(earned.removesuffix("%")),
        credit=Decimal(100 if "credited" in words else 0),
        pricing_currency=currency,
    )


def read_causes(text: str) -> dict[str, Decimal]:
    """Read `quantity 44; tax 8.36`, or `none`."""
    parts = [] if text == "none" else text.split("; ")
    return {cause: Decimal(amount) for cause, _, amount in (part.rpartition(" ") for part in parts)}


def read_cases(text: str) -> Iterator[WorkedCase]:
    """Read all cases of a text."""
    case: WorkedCase | None = None
    for line in text.splitlines():
        word, _, rest = line.strip().partition(" ")
        if title := TITLE.fullmatch(line):
            if case:
                yield case
            case = WorkedCase(int(title[1]), title[2], title[3] or "pair")
        elif word in {"left", "right", "causes"}:
            assert case, line
            if word == "causes":
                case.causes = read_causes(rest.strip())
            else:
                (case.left if word == "left" else case.right).append(read_line(rest.strip()))
        else:
            assert not word or word == "#", line
    if case:
        yield case


def causes_in(difference: Difference) -> dict[str, Decimal]:
    """The causes of a difference by name."""
    return {str(each.cause): each.amount for each in difference.causes}


def negated(causes: dict[str, Decimal]) -> dict[str, Decimal]:
    """The same causes with every sign turned. A Decimal's own minus would round."""
    return {cause: amount.copy_negate() for cause, amount in causes.items()}
