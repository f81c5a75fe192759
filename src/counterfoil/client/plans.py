"""What both clients do, as flows: from a request to a receipt. Neither client decides anything beside this.

What a newcomer would get wrong: a pull that fails leaves what it fetched, and the same pull goes on from there. So
every error that can be mended by trying again says where that state lies; a refusal at the start leaves nothing.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from counterfoil.client.addresses import Base
from counterfoil.client.calls import Caller, Ids
from counterfoil.client.exporting import ExportPull
from counterfoil.client.exports import Export, Exporter
from counterfoil.client.folder import Folder
from counterfoil.client.outcomes import Api, Form, Outcome
from counterfoil.client.proof import TRY_AGAIN
from counterfoil.client.receipt import Proof, Receipt, identity, request_facts
from counterfoil.client.retries import Patience
from counterfoil.client.steps import Do, Flow
from counterfoil.client.tickets import Ticket
from counterfoil.client.v1 import PAGE_SIZE_ITEMS_MAX, first_step
from counterfoil.client.walks import WalkPull
from counterfoil.client.watching import Watcher, Watching
from counterfoil.errors import (
    CounterfoilError,
    FullDiskError,
    LinkExpiredError,
    OperationFailedError,
    ProofError,
    RefusedError,
    UsageError,
)
from counterfoil.periods import timestamp
from counterfoil.wire.graph import ExportRequest

WAIT_S_DEFAULT: Final = 3600.0
PARALLEL_DEFAULT: Final = 4
PARALLEL_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class Plan:
    """How one client pulls: the source, and the bounds it was given."""

    base: Base
    version: str
    wait_s_max: float
    page_size_items: int
    patience: Patience
    parallel: int

    @classmethod
    def checked(
        cls, url: str, version: str, wait_s_max: float, page_size_items: int, patience: Patience, parallel: int
    ) -> Plan:
        """Return the plan; raises UsageError for what cannot be right."""
        if not 1 <= page_size_items <= PAGE_SIZE_ITEMS_MAX:
            raise UsageError(f"A page has 1 to {PAGE_SIZE_ITEMS_MAX} line items, not {page_size_items}.")
        if not 1 <= parallel <= PARALLEL_MAX:
            raise UsageError(f"1 to {PARALLEL_MAX} blobs can be fetched side by side, not {parallel}.")
        return cls(Base.parse(url), version, wait_s_max, page_size_items, patience, parallel)

    def caller(self, ids: Ids) -> Caller:
        """Return what makes the calls to the source."""
        return Caller(self.base, self.patience, ids)

    def exporter(self, caller: Caller) -> Exporter:
        """Return what makes exports."""
        return Exporter(caller, self.version, self.wait_s_max)

    def export(self, ask: ExportRequest, on_wait: Callable[[float], None]) -> Flow[Export]:
        """Submit an export and wait for it."""
        return self.exporter(self.caller(Ids())).export(ask, on_wait)

    def pull(self, ask: ExportRequest, to: Path, api: Api, form: Form, watcher: Watcher | None) -> Flow[Receipt]:
        """Fetch, prove and write; see `Client.pull`."""
        if api is Api.V1:
            first_step(self.base, ask, self.page_size_items)  # refuses what v1 does not offer
        facts = request_facts(ask, api, self.patience.now())
        folder = Folder(to, identity(str(self.base), api.value, facts))
        yield Do(folder.enter)
        try:
            receipt = yield from self._pulled(ask, facts, folder, api, form, Watching(watcher))
        except GeneratorExit:
            raise
        except BaseException as error:  # noqa: BLE001 - it is raised again, and whatever it is, the lock goes
            # An operation that is still under way is worth waiting for again; an answer that will not do is not.
            answered = isinstance(error, OperationFailedError | ProofError | RefusedError | LinkExpiredError)
            if isinstance(error, OperationFailedError) or (answered and not folder.has_fetched):
                yield Do(folder.clear)
            yield Do(folder.leave)
            raise _told(error, folder) from None if isinstance(error, OSError) else error.__cause__
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
        caller = self.caller(Ids(ticket.request_ids))
        pull: ExportPull | WalkPull
        if api is Api.GRAPH:
            pull = ExportPull(caller, self.exporter(caller), ask, folder, form, watching)
        else:
            pull = WalkPull(caller, ask, folder, form, watching, self.page_size_items)
        outcome: Outcome | Receipt = yield from pull.run(ticket)
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
            request_ids=caller.ids.all(),
            inexact=outcome.inexact,
            notes=tuple(watching.notes),
        )
        yield Do(lambda: folder.keep(receipt))
        return receipt


def _told(error: BaseException, folder: Folder) -> BaseException:
    """Return the error with what became of what was fetched; a full disk gets a name."""
    kept = Ticket.read(folder.staging) is not None
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        error = FullDiskError(f"There is no room left in {folder.path}.", remedy="Make room, then pull again.")
    if kept and isinstance(error, CounterfoilError):
        remedy = error.remedy.replace(TRY_AGAIN, "Trying again is safe.")
        said = f"What was fetched is kept: the same pull into {folder.path} goes on from there."
        error.remedy = f"{remedy} {said}".strip()
    return error
