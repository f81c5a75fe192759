"""Pulling everything that a profile expects and that is not held yet, once.

An invoice does not change, so one that is held is not asked for again. A month that is not invoiced yet changes every
day, so it always is, and where its eTag is still the same, nothing is fetched. One pull that fails does not keep the
others from being made; a source that refuses the token, or does not answer, does.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from counterfoil.client.api import Client
from counterfoil.client.holdings.expected import ExpectedPull, UnlistedPull, expected_of, root_of, unlisted_of
from counterfoil.client.holdings.holding import partner_flaw
from counterfoil.client.holdings.status import NEVER_REMARK, State, absent_state, held_of, shuts_out
from counterfoil.client.output_files.output_formats import formats_of
from counterfoil.client.protocol.asking import Api
from counterfoil.client.pull_folder.former_states import former_beside
from counterfoil.client.pull_folder.target import lock_pulls
from counterfoil.client.receipt import Receipt
from counterfoil.client.transfer.progress import Watcher
from counterfoil.errors import CounterfoilError, LockedError, NoAnswerError, OperationFailedError, UsageError
from counterfoil.periods import timestamp, utc_now
from counterfoil.profiles import Profile
from counterfoil.wire.graph import NO_DATA_CODE

_TAKE_OUT: Final = "Take it out of the profile."


@dataclass(frozen=True, slots=True)
class ExpectedPullResult:
    """What became of one expected pull, or of what the profile should list and does not.

    `error` is what it failed with, `remark` what else there is to say.

    `set_aside` is where files went that somebody had edited.
    """

    expected: ExpectedPull | UnlistedPull
    folder: Path
    state: State
    line_items: int | None = None
    remark: str = ""
    error: CounterfoilError | None = None
    set_aside: tuple[str, ...] = ()
    receipt: Receipt | None = None  # of what is held in the end


@dataclass(frozen=True, slots=True)
class ProfilePulls:
    """The pulls that a profile expects, by a client of its source.

    - `on_held` is called with the receipt and folder of each pull that is held in the end.
    - `watch` is called with an expected pull, its number from 1, and how many there are; it gives a context in which
      the pull is made, and its watcher.
    """

    profile: Profile
    client: Client
    on_held: Callable[[Receipt, Path], None] = field(default=lambda _receipt, _folder: None, kw_only=True)
    watch: Callable[[ExpectedPull, int, int], AbstractContextManager[Watcher | None]] = field(
        default=lambda _expected, _number, _count: nullcontext(), kw_only=True
    )
    now: Callable[[], datetime] = field(default=utc_now, kw_only=True)

    def run(self) -> Iterator[ExpectedPullResult]:
        """Pull what is expected and not held, and yield what became of each.

        Raises UsageError if the profile expects nothing or its folder cannot be made, and LockedError if another run
        of the same profile is at work.
        """
        now = self.now()
        expected = expected_of(self.profile, now)
        if not expected:
            raise UsageError(
                f"The profile {self.profile.name!r} lists neither invoices nor currencies, so nothing is expected.",
                remedy='Give it currencies = ["EUR"], invoices = ["G016907411"], or both.',
            )
        root = root_of(self.profile)
        with one_at_a_time(root, self.profile.name, now):
            yield from self._results(expected, root)
        for each in unlisted_of(self.profile, now):
            yield ExpectedPullResult(each, root, State.UNLISTED, remark=each.remark)

    def _results(self, expected: list[ExpectedPull], root: Path) -> Iterator[ExpectedPullResult]:
        shut = ""
        for number, each in enumerate(expected, 1):
            folder = root / each.place
            if shut:
                yield ExpectedPullResult(each, folder, State.NOT_TRIED, remark=shut)
                continue
            try:
                # The time by now: the pulls before may have taken hours, and a month may have ended meanwhile.
                watch = self.watch(each, number, len(expected))
                state, remark, receipt = self._pull(each, folder, watch, self.now())
                if receipt is not None:
                    self.on_held(receipt, folder)
                aside = receipt.set_aside if receipt and state is State.PULLED else ()
                line_items = receipt.line_items if receipt else None
                yield ExpectedPullResult(each, folder, state, line_items, remark, set_aside=aside, receipt=receipt)
            except CounterfoilError as error:
                if shuts_out(error):
                    shut = "The source did not answer." if isinstance(error, NoAnswerError) else "Access was refused."
                may_help = error.exit_code == LockedError.exit_code
                state = State.UNFINISHED if may_help else State.FAILED
                yield ExpectedPullResult(each, folder, state, error=error)

    def _pull(
        self, each: ExpectedPull, folder: Path, watch: AbstractContextManager[Watcher | None], now: datetime
    ) -> tuple[State, str, Receipt | None]:
        """Return the state of an expected pull, a remark, and the receipt of what is held in the end."""
        profile = self.profile
        api, formats = Api(profile.api), formats_of(profile.format)
        holding = held_of(each, folder, api, now, profile.tenant, read=True)
        flaw = holding.flaw
        if holding.receipt and partner_flaw(holding.receipt, profile.tenant):
            return State.FAILED, f"{folder}: {flaw}. Move the folder away, or correct the tenant.", None
        receipt = None if flaw else holding.receipt
        try:
            ask = each.ask(now)
        except UsageError as error:
            if receipt is not None:
                return State.HELD, "", receipt
            return State.DAMAGED if flaw else State.NEVER, f"{flaw or error.remedy} {_TAKE_OUT}", None
        if receipt is not None and each.invoice and {*formats} <= {*receipt.formats}:
            return State.HELD, "", receipt
        try:
            with watch as watcher:
                former = former_beside(root_of(profile)) / each.place
                pulled = self.client.pull(
                    ask, folder, api=api, format=formats, keep=profile.keep, former=former, watcher=watcher
                )
        except OperationFailedError as error:
            if error.code != NO_DATA_CODE:
                raise
            if receipt is not None:
                return State.HELD, "It is no longer there.", receipt
            if flaw:
                return State.DAMAGED, f"{flaw}, and the source has nothing for it any more. {_TAKE_OUT}", None
            state = absent_state(each, folder, now)
            return state, NEVER_REMARK if state is State.NEVER else "The source has nothing for it.", None
        if flaw := partner_flaw(pulled, profile.tenant):
            return State.FAILED, f"{folder}: {flaw}.", None
        told = (
            f"A file that was edited or damaged is kept as {', '.join(pulled.set_aside)}." if pulled.set_aside else ""
        )
        return State.HELD if pulled.already_held else State.PULLED, told, pulled


@contextmanager
def one_at_a_time(root: Path, name: str, now: datetime) -> Iterator[None]:
    """Keep a second run of the same profile out; raises LockedError that says who is at work.

    The lock frees itself when its process dies. Who holds it is written to a file of its own: on Windows nobody else
    can read a locked one.
    """
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"The folder {root} cannot be made: {error.strerror}.", remedy="Give the profile another folder, `to`."
        ) from None
    holder = root / ".counterfoil-all.json"
    try:
        lock = lock_pulls(root / ".counterfoil-all.lock", str(root))
    except LockedError as error:
        raise LockedError(
            f"Another pull of all that the profile {name!r} expects is at work{_who(holder)}.", remedy=error.remedy
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
