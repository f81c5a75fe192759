"""What a report calls the two sides, and how certain their figures are: open, billed or corrected; proven or not.

The title is for somebody who never saw a data folder: `Invoice G016907411`, `Unbilled, November 2026`, `ledger.csv`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from counterfoil.periods import BillingPeriod
from counterfoil.printable_text import printable
from counterfoil.reconcile.comparing.comparison import ComparedSide, Comparing, Comparison
from counterfoil.reconcile.sides.side import Side

AnySide = ComparedSide | Side
_FILE: Final = "the file "
_SHORT_ID: Final = 8
_UNBILLED: Final = "Unbilled, "
_UNBILLED_PHRASE: Final = "the unbilled amount of "
# fmt: off
_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)
# fmt: on
_STATES: Final = {
    "open": "Amounts that are not invoiced yet. They change until the month is closed.",
    "billed": "Amounts of an invoice.",
    "corrected": "Amounts of an invoice as a later revision has them.",
    "as given": "Amounts of a file or a ledger. It does not say whether they were invoiced.",
}
_PROOFS: Final = {
    "proven": "Every line item, byte and total that the source promised was counted, hashed and summed.",
    "transport checked": "All that the source sent arrived whole. The source promises no totals to hold it against.",
    "not proven": "Nothing says whether the line items are complete.",
}


@dataclass(frozen=True, slots=True)
class SideWords:
    """A side in the words of a report: `phrase` is its title within a sentence; `MEANINGS` has `state` and `proof`."""

    title: str
    phrase: str
    state: str
    proof: str


MEANINGS: Final = {**_STATES, **_PROOFS}


def words_of_sides(comparison: Comparison) -> tuple[SideWords, SideWords]:
    """Return the words for both sides; their titles differ."""
    left, right = comparison.left, comparison.right
    titles = _told_apart(left, right)
    if comparison.comparing is Comparing.PLAN:
        titles = f"{_title(left)}, metered charges", f"{_title(right)}, usage"
    is_revised = comparison.comparing is Comparing.REVISIONS
    states = _state(left), "corrected" if is_revised and _state(right) == "billed" else _state(right)
    return _words(titles[0], left, states[0]), _words(titles[1], right, states[1])


def words_of_side(side: Side) -> SideWords:
    """Return the words for a side that stands alone."""
    return _words(_title(side), side, _state(side))


def meanings_of(sides: Iterable[SideWords]) -> list[tuple[str, str]]:
    """Return what the states and proofs of sides mean."""
    words = dict.fromkeys(word for side in sides for word in (side.state, side.proof))
    return [(word[:1].upper() + word[1:], MEANINGS.get(word, "")) for word in words]


def month_in_words(period: str) -> str:
    """Return `November 2026` for `2026-11`; raises UsageError for no month."""
    month = BillingPeriod.parse(period)
    return f"{_MONTHS[month.month - 1]} {month.year}"


def _words(title: str, side: AnySide, state: str) -> SideWords:
    phrase = title.replace(_UNBILLED, _UNBILLED_PHRASE, 1) if side.scope else title
    return SideWords(title, phrase, state, _proof(side))


def _told_apart(left: ComparedSide, right: ComparedSide) -> tuple[str, str]:
    """Return two titles that differ, with as much added to both as that takes."""
    titles = _title(left), _title(right)
    for more in (_when, _revision, _etag, _name):
        if titles[0] != titles[1]:
            break
        titles = _with(titles[0], more(left)), _with(titles[1], more(right))
    return titles if titles[0] != titles[1] else (f"{titles[0]} (left)", f"{titles[1]} (right)")


def _title(side: AnySide) -> str:
    if side.scope is None:
        return printable(side.what.removeprefix(_FILE) or side.name)
    if side.scope.is_billed:
        return f"Invoice {side.scope.invoice}"
    return f"{_UNBILLED}{month_in_words(side.scope.period)}"


def _with(title: str, more: str) -> str:
    return f"{title}, {more}" if more else title


def _when(side: ComparedSide) -> str:
    """Return when it was published or pulled, as `what` ends."""
    return side.what.rpartition(", ")[2] if side.origin in ("published", "pull") else ""


def _revision(side: ComparedSide) -> str:
    return f"revision {side.revision[:_SHORT_ID]}" if side.revision else ""


def _etag(side: ComparedSide) -> str:
    return f"eTag {side.etag[:_SHORT_ID]}" if side.etag else ""


def _name(side: ComparedSide) -> str:
    return printable(side.name)


def _state(side: AnySide) -> str:
    if side.scope is None:
        return "as given"
    return "billed" if side.scope.is_billed else "open"


def _proof(side: AnySide) -> str:
    return side.proof.replace("-", " ") or "not proven"
