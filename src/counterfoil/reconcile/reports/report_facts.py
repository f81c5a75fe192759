"""What a report says of the comparison beside its figures: facts of both sides, stages, and the words that occur."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from counterfoil.printable_text import printable
from counterfoil.reconcile.comparing.comparison import ComparedSide, Comparing, Comparison
from counterfoil.reconcile.matching import Stage
from counterfoil.reconcile.reports.bridge_rows import Bridge
from counterfoil.reconcile.reports.side_words import SideWords, meanings_of
from counterfoil.reconcile.side_totals import shown

COMPARING: Final = {
    Comparing.UNBILLED_BILLED: "Unbilled against billed",
    Comparing.REVISIONS: "Two revisions",
    Comparing.PLAN: "Invoice against usage",
    Comparing.COPY: "Two copies",
    Comparing.LEDGER: "The provider's bill against a ledger",
}
MATCHED: Final = {
    Stage.IDENTICAL: "Identical",
    Stage.DUPLICATE: "One more copy of an identical line item",
    Stage.WORDS: "The same in all amounts, other words",
    Stage.SAME_CHARGE: "The same charge",
    Stage.OTHER_ORDER: "The same charge of another order",
    Stage.CHANGE: "A change within a subscription",
    Stage.OTHER_DATES: "The same subscription and product, other dates",
    Stage.MOVED: "Equal but for one id",
    Stage.ONE_SIDE: "On one side only",
}


def facts(comparison: Comparison, left: SideWords, right: SideWords) -> Iterator[tuple[str, str, str]]:
    """Yield what is known of the two sides: what it is, of the left, of the right."""
    yield "State", left.state, right.state
    yield "Proof", left.proof, right.proof
    sides: tuple[ComparedSide, ComparedSide] = comparison.left, comparison.right
    for what, told in (
        ("Named as", [side.name for side in sides]),
        ("Source", [side.what for side in sides]),
        ("eTag", [side.etag for side in sides]),
        ("Revision", [side.revision for side in sides]),
        ("Line items", [f"{side.line_items:,}" for side in sides]),
        ("Exact total before tax", [shown(side.net) if side.net != side.total else "" for side in sides]),
        ("Exact total", [shown(side.total) for side in sides]),
    ):
        if any(told):
            yield what, printable(told[0]), printable(told[1])


def stages_in_words(comparison: Comparison) -> list[tuple[str, int]]:
    """Return how many matches there are of each stage."""
    return [(MATCHED[stage], count) for stage, count in comparison.stages.items() if count]


def words_used(bridge: Bridge, left: SideWords, right: SideWords) -> Iterator[tuple[str, str]]:
    """Yield the words of states, proofs and causes that occur, and what they mean."""
    yield from meanings_of((left, right))
    for row in bridge.rows:
        if row.words.meaning:
            yield row.words.title, row.words.meaning
