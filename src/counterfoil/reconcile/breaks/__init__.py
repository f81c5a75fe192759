"""Breaks: the differences of comparisons, kept from run to run as items with a state, an owner and a note.

    from counterfoil import reconcile

    with reconcile.compare("unbilled:2026-10:EUR", "invoice:G016907411") as comparison:
        reconcile.breaks.record(comparison, "counterfoil-data")
    for each in reconcile.breaks.listed("counterfoil-data", states=["open"]):
        print(each.number, each.cause, each.amount)
    reconcile.breaks.accept("counterfoil-data", 3, note="below our limit")

They are in one file, `breaks.json`, in a folder of your choice: the data folder, which is backed up with it, or the
folder in which pulls and files are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from decimal import Decimal
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from counterfoil.disk.process_owner import process_owner
from counterfoil.errors import MissingError, UsageError
from counterfoil.periods import utc_now
from counterfoil.reconcile.breaks.break_file import BREAKS_FILE, BreakList, change_breaks, read_breaks
from counterfoil.reconcile.breaks.break_item import (
    Break,
    BreakEvent,
    BreakEvidence,
    BreakState,
    BreakStep,
    BreakSubject,
    EvidenceLine,
    SeenSide,
)
from counterfoil.reconcile.breaks.break_recording import BreakRecorder, RecordedBreaks, wanted_credits
from counterfoil.reconcile.breaks.found_breaks import found_in, seen, subject_of
from counterfoil.reconcile.comparing.comparison import Comparison
from counterfoil.reconcile.explaining import Cause
from counterfoil.reconcile.side_totals import amount_of, shown

E = TypeVar("E", BreakState, Cause)

__all__ = [
    "BREAKS_FILE",
    "Break",
    "BreakEvent",
    "BreakEvidence",
    "BreakState",
    "BreakStep",
    "BreakSubject",
    "EvidenceLine",
    "RecordedBreaks",
    "SeenSide",
    "accept",
    "forget_partner",
    "listed",
    "note",
    "record",
    "show",
]
_TEXT_MAX: Final = 2_000


def record(comparison: Comparison, folder: Path | str, *, by: str = "") -> RecordedBreaks:
    """Keep the differences of a comparison as breaks in a folder, and return what that changed.

    A break that is there already keeps its number, owner, note and state; another amount than was explained, accepted
    or resolved opens it again; an amount of zero, or a later credit, resolves it. `by` is who does it, by default the
    user of this process.

    Raises UsageError where there is no such folder, DamagedError or NewerDataError if its breaks cannot be read, and
    LockedError while another process changes them.
    """
    by = _checked_text(by, "by") or process_owner()
    place = Path(folder)
    findings = found_in(comparison, wanted_credits(iter(read_breaks(place).breaks)))
    recorder = BreakRecorder(
        subject=subject_of(comparison),
        findings=findings,
        sides=(seen(comparison.left), seen(comparison.right)),
        at=utc_now(),
        by=by,
    )
    return change_breaks(place, recorder.record)


def listed(
    folder: Path | str,
    *,
    states: Collection[BreakState | str] = (),
    cause: Cause | str | None = None,
    customer: str = "",
    subscription: str = "",
    partner: str = "",
    period: str = "",
    owner: str = "",
    at_least: Decimal | str | None = None,
) -> tuple[Break, ...]:
    """Return the breaks of a folder that fit all of what is given, in the order of their numbers.

    `customer` is an id or the name; `at_least` is a size, whatever the sign. Raises UsageError for a state or cause
    that is none, and as `record` does.
    """
    wanted = {_known(BreakState, state, "state") for state in states}
    asked = None if cause is None else _known(Cause, cause, "cause")
    least = None if at_least is None else amount_of(at_least, "at_least").copy_abs()
    return tuple(
        each
        for each in read_breaks(Path(folder)).breaks
        if (not wanted or each.state in wanted)
        and asked in (None, each.cause)
        and (not customer or customer.lower() in (each.customer.lower(), each.customer_name.lower()))
        and subscription.lower() in ("", each.subscription.lower())
        and partner.lower() in ("", each.subject.partner)
        and period in ("", each.subject.period)
        and owner in ("", each.owner)
        and (least is None or each.amount.copy_abs() >= least)
    )


def show(folder: Path | str, number: int) -> Break:
    """Return the break of this number; raises MissingError where there is none, and as `listed` does."""
    return _numbered(read_breaks(Path(folder)), number, Path(folder))


def note(
    folder: Path | str,
    number: int,
    text: str = "",
    *,
    owner: str | None = None,
    is_explained: bool = False,
    by: str = "",
) -> Break:
    """Note something at a break, give it an owner (`""` for none), or say that its amount is explained.

    What was noted before stays in its history. Raises UsageError where there is nothing to note, or if what is accepted
    or resolved is to be explained, and as `show` does.
    """
    text = _checked_text(text, "text")
    new_owner = None if owner is None else _checked_text(owner, "owner")
    if not text and owner is None and not is_explained:
        raise UsageError("There is nothing to note.", remedy="Give a text or an owner.", parameter="text")

    def noted(its: Break) -> Break:
        its = msgspec.structs.replace(its, note=text or its.note, owner=its.owner if new_owner is None else new_owner)
        if not is_explained:
            told = text if new_owner is None else f"{text} (owner: {new_owner or 'none'})".strip()
            return _with(its, BreakStep.NOTED, told, by)
        if not its.is_unsettled:
            raise UsageError(f"Break {number} is {its.state}.", remedy="Only one that is open can be explained.")
        its = msgspec.structs.replace(its, state=BreakState.EXPLAINED, settled=its.amount)
        return _with(its, BreakStep.EXPLAINED, text, by)

    return _changed(folder, number, noted)


def accept(
    folder: Path | str,
    number: int,
    *,
    note: str,
    amount: Decimal | str | None = None,
    owner: str | None = None,
    by: str = "",
) -> Break:
    """Accept a break with the exact amount that it has: it is closed until a re-run finds another amount.

    `note` says why, and must. With `amount`, nothing else than this amount is accepted. Raises UsageError for another
    amount, an empty note and a break that is resolved, and as `show` does.
    """
    why = _checked_text(note, "note")
    new_owner = None if owner is None else _checked_text(owner, "owner")
    expected = None if amount is None else amount_of(amount, "amount")
    if not why:
        raise UsageError("Nobody could tell later why it was accepted.", remedy="Say why.", parameter="note")

    def accepted(its: Break) -> Break:
        if its.state is BreakState.RESOLVED:
            raise UsageError(f"Break {number} is resolved.", remedy="There is nothing left to accept.")
        if expected is not None and expected != its.amount:
            raise UsageError(
                f"Break {number} is about {shown(its.amount)} {its.subject.currency}, and not {shown(expected)}.",
                remedy="Look at it again, and accept the amount that it has.",
                parameter="amount",
            )
        its = msgspec.structs.replace(
            its,
            state=BreakState.ACCEPTED,
            settled=its.amount,
            note=why,
            owner=its.owner if new_owner is None else new_owner,
        )
        return _with(its, BreakStep.ACCEPTED, why, by)

    return _changed(folder, number, accepted)


def forget_partner(folder: Path | str, partner: str) -> int:
    """Take all breaks of a partner's tenant out of a folder, and return how many there were; raises as `record`."""

    def forgotten(before: BreakList) -> tuple[BreakList, int]:
        kept = tuple(each for each in before.breaks if each.subject.partner != partner.lower())
        return msgspec.structs.replace(before, breaks=kept), len(before.breaks) - len(kept)

    return change_breaks(Path(folder), forgotten)


def _changed(folder: Path | str, number: int, change: Callable[[Break], Break]) -> Break:
    def changed(before: BreakList) -> tuple[BreakList, Break]:
        after = change(_numbered(before, number, Path(folder)))
        breaks = tuple(after if each.number == number else each for each in before.breaks)
        return msgspec.structs.replace(before, breaks=breaks), after

    return change_breaks(Path(folder), changed)


def _with(its: Break, step: BreakStep, note: str, by: str) -> Break:
    event = BreakEvent(utc_now(), _checked_text(by, "by") or process_owner(), step, its.amount, note)
    return msgspec.structs.replace(its, history=(*its.history, event))


def _numbered(found: BreakList, number: int, folder: Path) -> Break:
    for each in found.breaks:
        if each.number == number:
            return each
    there = f"its numbers go to {found.next_number - 1}" if found.breaks else "none are recorded there"
    raise MissingError(f"There is no break {number} in {folder}; {there}.", remedy="List them to see their numbers.")


def _checked_text(text: str, parameter: str) -> str:
    text = text.strip()
    if len(text) > _TEXT_MAX:
        raise UsageError(
            f"A text of {len(text):,} characters is too long.",
            remedy=f"Write at most {_TEXT_MAX:,}.",
            parameter=parameter,
        )
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(
            f"{text!r} holds bytes that are no text.", remedy="Write it in UTF-8.", parameter=parameter
        ) from None
    return text


def _known(kinds: type[E], text: str, parameter: str) -> E:
    try:
        return kinds(text)
    except ValueError:
        raise UsageError(
            f"{text!r} is no {parameter} of a break.", remedy=f"Take one of {', '.join(kinds)}.", parameter=parameter
        ) from None
