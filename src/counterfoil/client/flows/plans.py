"""What both clients do, as flows: from a request to a receipt. Neither client decides anything beside this.

What a newcomer would get wrong: a pull that fails leaves what it fetched, and the same pull goes on from there. So
every error that can be mended by trying again says where that state lies; a refusal at the start leaves nothing.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from counterfoil.client.disk.folder import Folder
from counterfoil.client.disk.tickets import Ticket
from counterfoil.client.flows.calls import Caller, CallLog
from counterfoil.client.flows.export_pull import ExportPull
from counterfoil.client.flows.exports import Export, Exporter
from counterfoil.client.flows.outcomes import Outcome
from counterfoil.client.flows.steps import Do, Flow
from counterfoil.client.flows.walk_pull import WalkPull
from counterfoil.client.flows.watching import Watcher, Watching
from counterfoil.client.line_items.forms import Form
from counterfoil.client.protocol.addresses import Base
from counterfoil.client.protocol.asking import Api, word_of
from counterfoil.client.protocol.promises import TRY_AGAIN, ChangedError
from counterfoil.client.protocol.retries import Patience
from counterfoil.client.protocol.v1 import first_link
from counterfoil.client.receipt import Proof, Receipt, identity, request_facts
from counterfoil.errors import (
    CounterfoilError,
    FullDiskError,
    LinkExpiredError,
    OperationFailedError,
    ProofError,
    UsageError,
)
from counterfoil.lifetimes import PAGE_LINE_ITEMS_MAX
from counterfoil.periods import timestamp
from counterfoil.wire.graph import ExportRequest

WAIT_S_DEFAULT: Final = 3600.0
PARALLEL_DEFAULT: Final = 4
PARALLEL_MAX: Final = 64
BEGUN_ANEW_MAX: Final = 2
_ANSWERED: Final = (OperationFailedError, ProofError, LinkExpiredError, UsageError)


@dataclass(frozen=True, slots=True)
class Plan:
    """How one client pulls: the source, and the bounds it was given."""

    base: Base
    version: str = "v1.0"
    wait_s_max: float = WAIT_S_DEFAULT
    parallel: int = PARALLEL_DEFAULT
    page_size_items: int = PAGE_LINE_ITEMS_MAX
    patience: Patience = field(default_factory=Patience)

    def __post_init__(self) -> None:
        """Raise UsageError for what cannot be right."""
        if not 1 <= self.page_size_items <= PAGE_LINE_ITEMS_MAX:
            raise UsageError(f"A page has 1 to {PAGE_LINE_ITEMS_MAX} line items, not {self.page_size_items}.")
        if not 1 <= self.parallel <= PARALLEL_MAX:
            raise UsageError(f"1 to {PARALLEL_MAX} blobs can be fetched side by side, not {self.parallel}.")
        if not self.wait_s_max >= 0:  # which a NaN is not either
            raise UsageError(f"An export is waited for so many seconds, and not {self.wait_s_max}.")

    def caller(self, log: CallLog) -> Caller:
        """Return what makes the calls to the source."""
        return Caller(self.base, self.patience, log)

    def exporter(self, caller: Caller) -> Exporter:
        """Return what makes exports."""
        return Exporter(caller, self.version, self.wait_s_max)

    def export(self, ask: ExportRequest, on_wait: Callable[[float], None]) -> Flow[Export]:
        """Submit an export and wait for it."""
        return self.exporter(self.caller(CallLog())).export(ask, on_wait)

    def pull(
        self, ask: ExportRequest, to: Path | str, api: Api | str, form: Form | str, watcher: Watcher | None
    ) -> Flow[Receipt]:
        """Fetch, prove and write; see `Client.pull`."""
        to, api, form = Path(to), word_of(Api, api), word_of(Form, form)
        if api is Api.V1:
            first_link(self.base, ask, self.page_size_items)  # refuses what v1 does not offer
        facts = request_facts(ask, api, self.patience.now())
        folder = Folder(to, identity(str(self.base), api.value, facts))
        try:
            yield Do(folder.enter)
            receipt = yield from self._pulled(ask, facts, folder, api, form, Watching(watcher))
        except GeneratorExit:
            raise
        except BaseException as error:  # noqa: BLE001 - it is raised again, and whatever it is, the lock goes
            if not folder.is_held:  # what is there is another pull's
                raise _told(error, to, kept=False) from error.__cause__
            # An operation is worth asking again, also after a refusal; one whose answer will not do is not.
            answered = isinstance(error, _ANSWERED)
            if isinstance(error, OperationFailedError) or (answered and not folder.has_fetched):
                yield Do(folder.clear)
            yield Do(folder.leave)
            kept = Ticket.read(folder.staging) is not None
            raise _told(error, to, kept=kept) from None if isinstance(error, OSError) else error.__cause__
        yield Do(folder.leave)
        return receipt

    def _pulled(
        self, ask: ExportRequest, facts: dict[str, str], folder: Folder, api: Api, form: Form, watching: Watching
    ) -> Flow[Receipt]:
        ticket = folder.ticket
        if ticket is None:
            yield Do(folder.clear)
            ticket = Ticket(identity(str(self.base), api.value, facts), timestamp(self.patience.now()))
        else:
            watching.remark(f"Going on with the pull that began at {ticket.started_at}.")
        caller = self.caller(CallLog(ticket.request_ids))
        pull: ExportPull | WalkPull
        if api is Api.GRAPH:
            pull = ExportPull(caller, self.exporter(caller), ask, folder, form, watching)
        else:
            pull = WalkPull(caller, ask, folder, form, watching, self.page_size_items)
        outcome = yield from _until_it_stays(pull, ticket, folder, watching)
        if isinstance(outcome, Receipt):
            watching.remark(f"eTag {outcome.etag} is held already, and verified: nothing is to be done.")
            yield Do(folder.clear)
            return outcome.as_held()
        receipt = Receipt(
            source=str(self.base),
            api=api.value,
            request=facts,
            operation=outcome.operation,
            etag=outcome.etag,
            started_at=ticket.started_at,
            finished_at=timestamp(self.patience.now()),
            format=form.value,
            line_items=outcome.tally.line_items,
            totals=outcome.tally.plain_totals(),
            proof=Proof.TRANSPORT_CHECKED if outcome.unchecked else Proof.PROVEN,
            checked=outcome.checked,
            unchecked=outcome.unchecked,
            blobs=outcome.blobs,
            files=outcome.files,
            request_ids=caller.log.ids,
            inexact=outcome.inexact,
            notes=tuple(watching.notes),
            partner=outcome.partner,
        )
        yield Do(lambda: folder.keep(receipt))
        return receipt


def _until_it_stays(
    pull: ExportPull | WalkPull, ticket: Ticket, folder: Folder, watching: Watching
) -> Flow[Outcome | Receipt]:
    """Pull, and begin anew where the source has other data than when it was begun; not for ever."""
    anew = 0
    while True:
        try:
            return (yield from pull.run(ticket))
        except ChangedError as error:
            yield Do(folder.clear)
            anew += 1
            if anew > BEGUN_ANEW_MAX:
                raise
            watching.note(f"{error.message} Starting over.")
            ticket = Ticket(ticket.subject, ticket.started_at)


def _told(error: BaseException, to: Path, *, kept: bool) -> BaseException:
    """Return the error with what became of what was fetched; what the disk refuses gets words."""
    if isinstance(error, OSError):
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            error = FullDiskError(f"There is no room left in {to}.", remedy="Make room, then pull again.")
        else:
            refused = f"{error.filename or to} cannot be used: {error.strerror or error}."
            error = CounterfoilError(refused, remedy="Mend that, then pull again, or name another folder.")
    if kept and isinstance(error, CounterfoilError):
        remedy = error.remedy.replace(TRY_AGAIN, "Trying again is safe.")
        said = f"What was fetched is kept: the same pull into {to} goes on from there."
        error.remedy = f"{remedy} {said}".strip()
    return error
