"""Compares two sides: surveys both, refuses what is no answer, matches, explains, and writes what differs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from counterfoil import numbers
from counterfoil.disk.scratch import scratch_folder
from counterfoil.errors import CounterfoilError
from counterfoil.model import Kind
from counterfoil.money import Money
from counterfoil.reconcile.comparing.choosing import Surveys, comparing_of, days_of, inferred, period_of
from counterfoil.reconcile.comparing.comparison import ComparedSide, Comparing, Comparison
from counterfoil.reconcile.comparing.explained_matches import MatchExplainer
from counterfoil.reconcile.comparing.focus_tolerance import tolerance_note
from counterfoil.reconcile.comparing.plans import PLAN_CONVENTIONS, plan_pair
from counterfoil.reconcile.comparing.reader_notes import CONVENTIONS, respelled, warnings_of
from counterfoil.reconcile.comparing.refusals import refuse_other_kinds, refuse_what_is_no_answer
from counterfoil.reconcile.comparing.result_writer import ResultWriter
from counterfoil.reconcile.comparing.surveys import Survey, surveyed
from counterfoil.reconcile.ledger_matching.ledger_matcher import LedgerMatching
from counterfoil.reconcile.ledger_matching.ledger_pair import mapping_of, opened_pair
from counterfoil.reconcile.ledger_matching.told_alike import conventions_of
from counterfoil.reconcile.matching import Matching, Stage, match
from counterfoil.reconcile.sides.naming import wanted_of
from counterfoil.reconcile.sides.opening import DATA
from counterfoil.reconcile.sides.side import Reading

# Each group of these has one line on either side.
_PAIRED: Final = (
    Stage.IDENTICAL,
    Stage.WORDS,
    Stage.SAME_CHARGE,
    Stage.OTHER_ORDER,
    Stage.OTHER_DATES,
    Stage.MOVED,
)


def compare(
    left: str,
    right: str,
    *,
    comparing: Comparing | str | None = None,
    kind: Kind | str | None = None,
    period: str = "",
    currency: str = "",
    partner: str = "",
    mapping: Path | str | None = None,
    data: Path | str = DATA,
    database_url: str = "",
    progress: Callable[[int], None] = lambda _: None,
) -> Comparison:
    """Return what the line items of `right` differ in from those of `left`, and why, to the last digit.

    Sides are named as on the command line: `invoice:ID`, `unbilled:2026-10:EUR`, `revision:ID`, `etag:...` of the data
    folder `data`, the folder of a pull, a file, or a ledger: `ledger:MAPPING.toml`, or the right one of two files
    where there is a `mapping`. Left is what was expected and right what came. What is compared, and the `period` (a
    month such as `2026-10`), are inferred where they are not given. `progress` is given counts of line items, each of
    which is read twice.

    Raises UsageError for an argument that cannot be right, and SideError, MissingError or InputError for sides that are
    no answer to the question: of two kinds, currencies, partners or months, empty, damaged, or with nothing in common.
    """
    asked = None if comparing is None else comparing_of(comparing)
    kinds = (kind, kind)
    if asked is Comparing.PLAN:  # a file tells its kind itself
        kinds = (Kind.RECONCILIATION if wanted_of(left) else None, Kind.USAGE if wanted_of(right) else None)
    with ExitStack() as opened, ExitStack() as scratch:
        folder = scratch.enter_context(scratch_folder())
        pair = opened_pair(
            (left, right),
            kinds,
            currency=currency,
            partner=partner,
            mapping=mapping,
            data=data,
            database_url=database_url,
        )
        readings = opened.enter_context(pair)
        if asked is Comparing.PLAN:
            readings = plan_pair(*readings)
        return _compared(readings, asked, period, folder, scratch, progress)


def _compared(
    readings: tuple[Reading, Reading],
    asked: Comparing | None,
    asked_period: str,
    folder: Path,
    scratch: ExitStack,
    progress: Callable[[int], None],
) -> Comparison:
    left, right = readings
    refuse_other_kinds(asked, left.side, right.side)
    surveys = (
        surveyed(left, folder / "left_sums.arrow", progress),
        surveyed(right, folder / "right_sums.arrow", progress),
    )
    mapping = mapping_of(left.side, right.side)
    comparing = asked or inferred(surveys)
    period = None if comparing is Comparing.PLAN else period_of(asked_period, surveys)
    refuse_what_is_no_answer(comparing, surveys, period, asked_period)
    days = None if period is None else days_of(period)
    for reading in readings:
        reading.line_items = 0  # which are counted again
    matches: Matching | LedgerMatching
    if mapping is not None:
        line_items = sum(survey.line_items for survey in surveys)
        matches = LedgerMatching(left, right, mapping, scratch=folder, line_items=line_items)
    else:
        matches = match(left, right, left.side.kind, words=comparing is Comparing.UNBILLED_BILLED, scratch=folder)
    explainer = MatchExplainer(left.side.kind, surveys, days)
    with ResultWriter(folder, left.side.kind) as writer:
        _write(matches, explainer, writer)
        warned = warnings_of(comparing, surveys, days, partnered=_partnered(matches))
        conventions = CONVENTIONS if not explainer.respelled else (*CONVENTIONS, respelled(explainer.respelled))
        conventions = (*conventions, _tolerance(surveys))
        if comparing is Comparing.PLAN:
            conventions = (*conventions, *PLAN_CONVENTIONS)
        if mapping is not None:
            conventions = (*conventions, *conventions_of(mapping, left.side.kind))
        result = writer.finish(
            comparing,
            (_compared_side(surveys[0]), _compared_side(surveys[1])),
            surveys,
            scratch.pop_all().close,
            currency=surveys[0].currency,
            period="" if period is None else str(period),
            stages={stage: matches.counts[stage] for stage in Stage if matches.counts[stage]},
            warnings=tuple(warned),
            conventions=conventions,
            margins=matches.margins if isinstance(matches, LedgerMatching) else None,
        )
    _check_sum(surveys, writer)
    return result


def _partnered(matches: Matching | LedgerMatching) -> tuple[int, int]:
    """Return how many line items of left and right have a partner on the other side."""
    if isinstance(matches, LedgerMatching):
        return matches.with_partner
    pairs = sum(matches.counts[stage] for stage in _PAIRED)
    return pairs, pairs


def _write(matches: Matching | LedgerMatching, explainer: MatchExplainer, writer: ResultWriter) -> None:
    for matched in matches:
        found = explainer.explained(matched, writer.found + 1)
        if found is not None:
            writer.add(found)


def _tolerance(surveys: Surveys) -> str:
    left, right = surveys
    difference = numbers.subtract(right.net, left.net)
    return tolerance_note(Money(difference, right.currency), max(left.line_items, right.line_items))


def _check_sum(surveys: Surveys, writer: ResultWriter) -> None:
    """Hold the causes of all differences against the sums of the sides, which were made apart from them."""
    difference = numbers.subtract(surveys[1].total, surveys[0].total)
    if writer.explained != difference:
        raise CounterfoilError(
            f"The causes come to {numbers.plain(writer.explained)}, and the difference to {numbers.plain(difference)}.",
            remedy="Was a side written to while it was read? Then compare again. If not, it is a fault of Counterfoil: "
            "please report it.",
        )


def _compared_side(survey: Survey) -> ComparedSide:
    side = survey.side
    return ComparedSide(
        name=side.name,
        what=side.what,
        origin=side.origin,
        proof=side.proof,
        etag=side.etag,
        revision=side.revision,
        scope=side.scope,
        partner=side.partner or max(survey.partners, default=""),  # several are refused before
        line_items=survey.line_items,
        total=survey.total,
        net=survey.net,
    )
