"""The state of what a profile expects: held, newer available, not there yet, overdue, never available.

A source is asked one harmless question for each: an export of which only the manifest is read, or in v1 one page of one
line item. "Not there" and "could not be asked" are different answers, and only the first can be overdue. If a month is
over and the source has nothing for it, either it was invoiced meanwhile or there never was anything; held months in the
same currency show that the currency is right.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Final

from counterfoil.client.holdings.expected import ExpectedPull, UnlistedPull
from counterfoil.client.holdings.holding import Holding, flaw_of, holding_at
from counterfoil.client.network.bearer_tokens import BearerTokens, Credential, scope_for
from counterfoil.client.network.session import open_session
from counterfoil.client.protocol.addresses import Base
from counterfoil.client.protocol.asking import Api
from counterfoil.client.protocol.retries import Patience
from counterfoil.client.protocol.walk_state import WalkState
from counterfoil.client.receipt import FILE_NAME, identity, request_facts
from counterfoil.client.transfer.client_settings import ClientSettings
from counterfoil.client.transfer.graph_exports import Exporter
from counterfoil.client.transfer.page_walk import PageWalk
from counterfoil.client.transfer.source_calls import CallLog, SourceCalls
from counterfoil.errors import CounterfoilError, NoAnswerError, OperationFailedError, RefusedError, UsageError
from counterfoil.wire.graph import NO_DATA_CODE, ExportRequest

NEVER_REMARK: Final = (
    "The source has nothing for it, and nothing in this currency is held. Check the currency, or take it out of the "
    "profile."
)


class State(StrEnum):
    """The state of one expected pull, or what became of it when it was pulled."""

    HELD = "held"
    PULLED = "pulled"
    NEWER = "newer available"
    THERE = "not pulled yet"
    AWAITED = "not there yet"
    OVERDUE = "overdue"
    OVER = "no longer there"
    UNFINISHED = "unfinished"
    NOT_TRIED = "not tried"
    FAILED = "failed"
    NEVER = "never available"
    DAMAGED = "damaged"
    UNKNOWN = "unknown"
    UNLISTED = "not listed"

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to be done."""
        return self in (State.HELD, State.PULLED, State.OVER)

    @property
    def is_hopeless(self) -> bool:
        """Whether pulling again does not help: somebody has to do something first."""
        return self in (State.FAILED, State.NEVER, State.DAMAGED)


WANTING: Final = (
    State.NEWER,
    State.THERE,
    State.OVERDUE,
    State.NEVER,
    State.DAMAGED,
    State.UNLISTED,
)  # somebody has to act


@dataclass(frozen=True, slots=True)
class HoldingStatus:
    """One expected pull: what is held of it, its state, and what else there is to say."""

    expected: ExpectedPull | UnlistedPull
    holding: Holding
    state: State
    remark: str = ""


class ProbedSource:
    """A source that is asked only for the eTags of what it has."""

    def __init__(
        self, url: str, api: Api, credential: Credential, *, wait_s_max: float, patience: Patience | None = None
    ) -> None:
        self.base = Base.parse(url)
        self.api = api
        self._tokens = BearerTokens(credential, scope_for(self.base.origin.host))
        self._settings = ClientSettings(self.base, wait_s_max=wait_s_max, patience=patience or Patience())

    def etag_of(self, ask: ExportRequest) -> str | None:
        """Return the eTag of what is there now, '' if the source gives none, None if nothing is there.

        Raises a CounterfoilError where it cannot be asked.
        """
        with open_session(self._tokens, self._settings.patience) as session:
            calls = SourceCalls(session, self.base, CallLog())
            if self.api is Api.V1:
                _, page = PageWalk(calls, ask, 1, WalkState()).next_page()
                return (page.annotations.etag or "") if page.items or page.following else None
            try:
                return Exporter(calls, self._settings).export(ask).manifest.etag
            except OperationFailedError as error:
                if error.code == NO_DATA_CODE:
                    return None
                raise


def statuses(
    expected: list[ExpectedPull],
    root: Path,
    source: ProbedSource,
    now: datetime,
    *,
    tenant: str = "",
    offline: bool = False,
) -> Iterator[HoldingStatus]:
    """Yield the state of each expected pull. A source that refuses the token or does not answer is not asked again."""
    shut = "the source was not asked" if offline else ""
    for each in expected:
        holding = held_of(each, root / each.place, source.api, now, tenant)
        status = partial(HoldingStatus, each, holding)
        if holding.flaw:
            yield status(State.DAMAGED, holding.flaw)
            continue
        try:
            ask = each.ask(now)
        except UsageError:
            state = State.HELD if holding.receipt else State.NEVER
            yield status(state, "sources no longer offer this month")
            continue
        why = shut
        try:
            etag = None if shut else source.etag_of(ask)
        except CounterfoilError as error:
            why = error.message
            shut = why if shuts_out(error) else ""
        if not why:
            yield status(*_asked(each, holding, etag, now))
        elif holding.receipt:
            yield status(State.HELD, f"not compared with the source: {why}")
        else:
            yield status(State.UNKNOWN, why)


def shuts_out(error: CounterfoilError) -> bool:
    """Whether an error shows that the source answers nothing, or nothing to us, so that nothing more is asked."""
    return isinstance(error, NoAnswerError) or (isinstance(error, RefusedError) and error.is_about_who_asks)


def held_of(
    expected: ExpectedPull, folder: Path, api: Api, now: datetime, tenant: str = "", *, read: bool = False
) -> Holding:
    """Return what is held of an expected thing; its flaw is '' if it can be counted as held.

    `tenant` and `read` are those of `flaw_of`.
    """
    holding = holding_at(folder)
    receipt = holding.receipt
    if receipt is None:
        return holding
    mine = identity(receipt.api, receipt.request)
    try:
        wanted = identity(api.value, request_facts(expected.ask(now), api.value, now))
    except UsageError:  # a month that is no longer offered: by its folder it is the right one
        wanted = mine
    if mine != wanted:
        return replace(holding, flaw="the folder holds another pull")
    return replace(holding, flaw=flaw_of(holding, tenant, read=read))


def _asked(each: ExpectedPull, holding: Holding, etag: str | None, now: datetime) -> tuple[State, str]:
    receipt = holding.receipt
    begun = "an unfinished pull can be gone on with" if holding.unfinished else ""
    if receipt is None:
        state = absent_state(each, holding.folder, now) if etag is None else State.THERE
        return state, NEVER_REMARK if state is State.NEVER else begun
    if etag is None:
        return State.HELD, "it is no longer there"
    if not etag or not receipt.etag:
        return State.HELD, "not compared with the source: it gives no eTag"
    if etag != receipt.etag:
        return State.NEWER, begun or f"the source has the eTag {etag} by now"
    return State.HELD, begun


def absent_state(expected: ExpectedPull, folder: Path, now: datetime) -> State:
    """Return the state of a pull that is not held and of which the source has nothing. `folder` is its own."""
    if expected.over_at is not None and now >= expected.over_at:
        of_other_months = folder.parent.glob(f"*-{expected.currency}/{FILE_NAME}")
        return State.OVER if any(of_other_months) else State.NEVER
    if expected.due_at is not None and now >= expected.due_at:
        return State.OVERDUE
    return State.AWAITED
