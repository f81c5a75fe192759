"""`counterfoil pull PROFILE --all`: everything that a profile lists and that is not held yet, once.

It is made for schedulers: it ends, and its exit code says whether to come again. What a newcomer would get wrong: an
invoice does not change, so one that is held is not asked for again; a month that is not invoiced yet changes every
day, so it always is, and where its eTag is still the same, nothing is fetched. One thing that fails does not keep the
others from being pulled; a source that does not let us in does.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from counterfoil.cli.output import Output, counted
from counterfoil.cli.publishing import Publishing
from counterfoil.cli.pull_again import Again, advise_for_profile
from counterfoil.cli.pull_display import displayed
from counterfoil.errors import (
    CounterfoilError,
    LockedError,
    NoAnswerError,
    OperationFailedError,
    RefusedError,
    UsageError,
)
from counterfoil.periods import timestamp, utc_now
from counterfoil.profiles import Profile

if TYPE_CHECKING:
    from counterfoil.client import Client, Receipt
    from counterfoil.client.holdings.expected import Expected

HEADINGS: Final = {"kind": "Kind", "what": "What", "state": "State", "lineItems": "Line items", "told": "Remark"}
DONE: Final = frozenset({"held", "pulled", "no longer there"})
FAILED: Final = "failed"
_HOPELESS: Final = frozenset({FAILED, "never held", "damaged"})  # whatever it is, running again will not mend it
_TAKE_OUT: Final = "Take it out of the profile."


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one expected thing."""

    expected: Expected
    folder: Path
    state: str
    line_items: int | None = None
    told: str = ""


def pull_all(
    profile: Profile, client: Client, publishing: Publishing | None, output: Output, now: datetime, again: Again
) -> None:
    """Pull what is missing, print what became of each, and raise what the exit code should tell."""
    from counterfoil.client.holdings.expected import expected_of, root_of

    expected = expected_of(profile, now)
    if not expected:
        raise UsageError(
            f"The profile {profile.name!r} lists neither invoices nor currencies, so nothing is expected.",
            remedy='Give it currencies = ["EUR"], invoices = ["G016907411"], or both.',
        )
    root = root_of(profile)
    results: list[Result] = []
    try:
        with one_at_a_time(root, profile.name, now):
            for each in _results(profile, client, expected, root, publishing, output):
                results.append(each)
                more = (
                    f", {counted(each.line_items, 'line item')}" if each.state == "pulled" and each.line_items else ""
                )
                output.note(f"{each.expected}: {each.state}{more}." + (f" {each.told}" if each.told else ""))
    except KeyboardInterrupt:
        output.note(again.said("To go on"))
        raise
    rows = [
        {
            "kind": each.expected.kind.value,
            "what": each.expected.what,
            "state": each.state,
            "lineItems": each.line_items,
            "folder": each.folder,
            "told": each.told,
        }
        for each in results
    ]
    output.rows(HEADINGS if output.form != "json" else {**HEADINGS, "folder": "Folder"}, rows)
    _judge(results, again)


def _judge(results: list[Result], again: Again) -> None:
    failed = sum(each.state in _HOPELESS for each in results)
    open_ones = [each for each in results if each.state not in DONE | _HOPELESS]
    if failed:
        raise CounterfoilError(
            f"{failed} of {counted(len(results), 'expected pull')} failed.",
            remedy=f"Each says why. {again.said('When that is mended')}",
        )
    if open_ones:
        overdue = sum(each.state == "overdue" for each in open_ones)
        unfinished = CounterfoilError(
            f"{len(open_ones)} of {counted(len(results), 'expected pull')} are not here yet"
            + (f", {overdue} of them overdue." if overdue else "."),
            remedy=again.said("Run it again later"),
        )
        unfinished.exit_code = 4
        raise unfinished


def _results(
    profile: Profile,
    client: Client,
    expected: list[Expected],
    root: Path,
    publishing: Publishing | None,
    output: Output,
) -> Iterator[Result]:
    shut = ""
    for number, each in enumerate(expected, 1):
        folder = root / each.place
        if shut:
            yield Result(each, folder, "not tried", told=shut)
            continue
        try:
            title = f"{number} of {len(expected)}, {each}"
            # The time by now: the pulls before may have taken hours, and a month may have ended meanwhile.
            yield _result(profile, client, each, folder, publishing, output, title, utc_now())
        except CounterfoilError as error:
            if isinstance(error, NoAnswerError) or (isinstance(error, RefusedError) and error.is_about_who_asks):
                shut = "the source did not let us in"
            advise_for_profile(error, folder)
            state = "unfinished" if error.exit_code == LockedError.exit_code else FAILED
            yield Result(each, folder, state, told=str(error))


def _result(
    profile: Profile,
    client: Client,
    each: Expected,
    folder: Path,
    publishing: Publishing | None,
    output: Output,
    title: str,
    now: datetime,
) -> Result:
    from counterfoil.client import Api, Form
    from counterfoil.client.holdings.held import is_strangers
    from counterfoil.client.holdings.standing import held_of
    from counterfoil.client.protocol.addresses import Base
    from counterfoil.wire.graph import NO_DATA_CODE

    kept = partial(_kept, each, folder, publishing, output)
    api, form = Api(profile.api), Form(profile.form)
    holding, flaw = held_of(each, folder, Base.parse(profile.url), api, now, profile.tenant, read=True)
    if holding and holding.receipt and is_strangers(holding.receipt, profile.tenant):
        return Result(each, folder, FAILED, told=f"{folder}: {flaw}. Move the folder away, or correct the tenant.")
    receipt = holding.receipt if holding and not flaw else None
    try:
        ask = each.ask(now)
    except UsageError as error:
        return _no_longer_offered(each, folder, flaw, error) if receipt is None else kept(receipt)
    if receipt is not None and each.invoice and receipt.format == form.value:
        return kept(receipt)
    try:
        with displayed(output, title) as display:
            pulled = client.pull(ask, folder, api=api, form=form, watcher=display)
    except OperationFailedError as error:
        if error.code != NO_DATA_CODE:
            raise
        return _absent(each, folder, flaw, now) if receipt is None else kept(receipt, "It is no longer there.")
    if is_strangers(pulled, profile.tenant):
        told = f"It is the data of the partner {pulled.partner}, and the profile's tenant is {profile.tenant}."
        return Result(each, folder, FAILED, told=told)
    return kept(pulled, state="held" if pulled.already_held else "pulled")


def _no_longer_offered(each: Expected, folder: Path, flaw: str, error: UsageError) -> Result:
    from counterfoil.client.holdings.standing import State

    state = State.DAMAGED if flaw else State.NEVER
    return Result(each, folder, state.value, told=f"{flaw or error.remedy} {_TAKE_OUT}")


def _absent(each: Expected, folder: Path, flaw: str, now: datetime) -> Result:
    """Return the result for what the source has nothing of, and we have nothing whole."""
    from counterfoil.client.holdings.standing import NEVER_REMARK, State, absent_state

    if flaw:
        told = f"{flaw}, and the source has nothing for it any more. {_TAKE_OUT}"
        return Result(each, folder, State.DAMAGED.value, told=told)
    state = absent_state(each, folder, now)
    told = NEVER_REMARK if state is State.NEVER else "The source has nothing for it."
    return Result(each, folder, state.value, told=told)


def _kept(
    each: Expected,
    folder: Path,
    publishing: Publishing | None,
    output: Output,
    receipt: Receipt,
    told: str = "",
    *,
    state: str = "held",
) -> Result:
    """Return the result for what is held; it is published if it is to be and was not before."""
    if publishing is not None:
        publishing.once(receipt, folder, output)
    return Result(each, folder, state, receipt.line_items, told)


@contextmanager
def one_at_a_time(root: Path, name: str, now: datetime) -> Iterator[None]:
    """Keep a second run of the same profile out; raises LockedError that says who is at work.

    The lock frees itself when its process dies. Who holds it stands in a file of its own: on Windows nobody else can
    read a locked one.
    """
    from counterfoil.client.pull_folder.target import lock_pulls

    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"The folder {root} cannot be made: {error.strerror}.", remedy="Give the profile another folder, `to`."
        ) from None
    holder = root / ".counterfoil-all.json"
    try:
        lock = lock_pulls(root / ".counterfoil-all.lock", str(root))
    except LockedError as error:
        raise LockedError(
            f"Another `counterfoil pull {name} --all` is at work{_who(holder)}.", remedy=error.remedy
        ) from None
    try:
        who = {"process": os.getpid(), "host": socket.gethostname(), "since": timestamp(now)}
        holder.write_text(json.dumps(who) + "\n", encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.remove()


def _who(holder: Path) -> str:
    try:
        who = json.loads(holder.read_text(encoding="utf-8"))
        return f": process {who['process']} on {who['host']}, since {who['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
