"""A pull of a Partner Center v1 walk, from the first page, or the one where an earlier run ended, to the last.

The pages are compared with each other as they come, by `page_walk`; the count and the sums are checked at the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from counterfoil.client.protocol.promised_totals import ChangedError, GarbledError
from counterfoil.client.protocol.v1_answers import SourcePage
from counterfoil.client.pull_folder.room import check_room, check_spare
from counterfoil.client.pull_folder.unfinished import UnfinishedPull
from counterfoil.client.pull_folder.walk_journal import WalkJournal
from counterfoil.client.receipt import Receipt
from counterfoil.client.transfer.page_walk import PageWalk, RepeatedPageError
from counterfoil.client.transfer.pull_task import PullTask, tally_of
from counterfoil.errors import ProofError


@dataclass(frozen=True, slots=True)
class WalkPull:
    """One pull of a walk."""

    task: PullTask

    def run(self, ticket: UnfinishedPull) -> Receipt:
        """Return the receipt of what was pulled, or the former one where the source has nothing new.

        Raises ChangedError if the pages are no longer of the data that the walk began with.
        """
        try:
            return self._once(ticket)
        except ProofError as error:
            unreadable = isinstance(error, GarbledError) and not isinstance(error, RepeatedPageError)
            if not unreadable and not isinstance(error, ChangedError):
                self.task.folder.clear()  # resuming from here would end here again
            raise

    def _once(self, ticket: UnfinishedPull) -> Receipt:
        task, progress = self.task, self.task.progress
        session, log = task.calls.session, task.calls.log
        journal = WalkJournal(task.folder.staging, task.ask.kind)
        walk = journal.walk
        journal.read()
        pages = PageWalk(task.calls, task.ask, task.settings.page_size_items, walk)
        if ticket.period and ticket.period != pages.period:
            raise ChangedError("The month ended since this walk began, so its pages go by another word.")
        if any(each.is_parquet is not task.as_parquet for each in journal.facts()):
            raise ChangedError("The unfinished pull is in another format.")
        if walk.pages:
            progress.remark(f"Going on after page {walk.pages}, with {walk.tally.line_items:,} line items.")
            progress.advance(walk.tally.line_items)
        log.remember(journal.request_ids)
        partner = ticket.partner
        close_full_parts = partial(journal.close_full_parts, as_parquet=task.as_parquet)
        while not walk.is_over:
            link, page = pages.next_page()
            task.folder.check_partner(log.tenant, partner)
            partner = partner or log.tenant
            if not walk.pages:
                if (held := task.held(page.annotations.etag or "", page.annotations.promise)) is not None:
                    return held
                ticket.period = pages.period
                self._begin(ticket, page)
            check_spare(task.folder.staging)
            session.work(partial(journal.add, link, page, log.ids[len(journal.request_ids) :]))
            progress.finished_blob()
            progress.advance(len(page.items))
            session.work(close_full_parts)
        session.work(close_full_parts)
        return self._receipt(ticket, journal)

    def _begin(self, ticket: UnfinishedPull, page: SourcePage) -> None:
        """Check that there is room, and leave word of what is begun here."""
        task = self.task
        count = page.annotations.promise.line_items
        if count is not None and page.items:
            check_room(task.folder.staging, count * sum(map(len, page.items)) // len(page.items) // 4)
        ticket.partner = task.calls.log.tenant  # no page says whose data it is
        ticket.etag = page.annotations.etag
        ticket.keep(task.folder.staging)
        task.progress.expect("fetching", line_items=count)

    def _receipt(self, ticket: UnfinishedPull, journal: WalkJournal) -> Receipt:
        walk, facts = journal.walk, journal.facts()
        kept = tally_of(facts)
        if kept != walk.tally:
            raise ProofError(
                f"{walk.tally.line_items:,} line items came, and the {kept.line_items:,} here are not the same."
            )
        etag = walk.annotations.etag or ""
        return self.task.receipt(
            ticket,
            facts,
            walk.annotations.promise,
            etag=etag,
            checked=("the walk ended, and no page came twice",),
            promised={"one eTag over the whole walk": bool(etag)},
        )
