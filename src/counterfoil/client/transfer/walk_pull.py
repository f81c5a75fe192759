"""A pull of a Partner Center v1 walk, from the first page, or the one where an earlier run ended, to the last.

Pages are not numbered, so a page that is repeated, left out or out of order looks like any other. Each page is
compared with those before: the link that led to it, its items, and what a Counterfoil says of the whole on every page.
The count and the sums are checked at the end.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from functools import partial
from typing import Final

from counterfoil.client.output_files.output_formats import Form, check_rows
from counterfoil.client.protocol import v1_answers as v1
from counterfoil.client.protocol.addresses import shown
from counterfoil.client.protocol.messages import Request, SourceAnswer
from counterfoil.client.protocol.promised_totals import TRY_AGAIN, ChangedError, GarbledError, Promise
from counterfoil.client.protocol.v1_answers import PageLink, SourcePage
from counterfoil.client.pull_folder.target import PullFolder, check_room
from counterfoil.client.pull_folder.unfinished import UnfinishedPull
from counterfoil.client.pull_folder.walk_journal import WalkJournal, WalkState
from counterfoil.client.receipt import Receipt
from counterfoil.client.transfer.month_words import asked_now, check_means
from counterfoil.client.transfer.progress import ProgressReport
from counterfoil.client.transfer.pull_results import PullResult, agrees, rounded, together, verdict, written
from counterfoil.client.transfer.repeated_data import RepeatedPageError, check_new
from counterfoil.client.transfer.source_calls import SourceCalls
from counterfoil.errors import ProofError, RefusedError
from counterfoil.wire.graph import ExportRequest

PAGES_MAX: Final = 10_000_000
_NO_LONGER_GOOD: Final = frozenset({400, 404, 410})


@dataclass(frozen=True, slots=True)
class WalkPull:
    """One pull of a walk."""

    calls: SourceCalls
    ask: ExportRequest
    folder: PullFolder
    form: Form
    progress: ProgressReport
    page_size_items: int

    def run(self, ticket: UnfinishedPull) -> PullResult | Receipt:
        """Return what was pulled, or the former receipt where the source has nothing new.

        Raises ChangedError if the pages are no longer of the data that the walk began with.
        """
        try:
            return self._once(ticket)
        except ProofError as error:
            unreadable = isinstance(error, GarbledError) and not isinstance(error, RepeatedPageError)
            if not unreadable and not isinstance(error, ChangedError):
                self.folder.clear()  # resuming from here would end here again
            raise

    def _once(self, ticket: UnfinishedPull) -> PullResult | Receipt:
        asked = asked_now(self.ask, self.calls.session)
        first = v1.first_link(self.calls.base, asked, self.page_size_items)
        if ticket.period and ticket.period != asked.period:
            raise ChangedError("The month ended since this walk began, so its pages go by another word.")
        journal = WalkJournal(self.folder.staging, self.ask.kind)
        walk = journal.read()
        if self._is_of_another_form(journal, walk):
            raise ChangedError(f"The unfinished pull is not in the form {self.form.value}.")
        if walk.pages:
            self.progress.remark(f"Going on after page {walk.pages}, with {walk.tally.line_items:,} line items.")
            self.progress.advance(walk.tally.line_items)
        log = self.calls.log
        log.remember(walk.request_ids)
        begun = walk.pages
        correlation_id = str(uuid.uuid4())
        while not walk.is_over:
            link = walk.following or first
            page = self._page(first, link, walk, begun, correlation_id)
            check_means(asked, self.ask, self.calls.session.patience)
            self.folder.check_partner(log.tenant)
            if not walk.pages:
                held = self.folder.held(page.annotations.etag or "", self.form.value)
                if held is not None and agrees(held, page.annotations.promise):
                    return held
                ticket.period = str(asked.period)
                self._begin(ticket, page)
                self.progress.expect("fetching", line_items=page.annotations.promise.line_items)
            where = f"Page {walk.pages + 1}"
            ids = log.since(len(walk.request_ids))
            self.calls.session.work(partial(journal.add, walk, link, page, where, ids))
            self.progress.finished_blob()
            self.progress.advance(len(page.items))
            self._close(journal, walk)
        self._close(journal, walk)
        return self._sum(journal, walk, ticket)

    def _begin(self, ticket: UnfinishedPull, page: SourcePage) -> None:
        """Check that there is room, and leave word of what is begun here."""
        count = page.annotations.promise.line_items
        check_rows(self.form, count)
        if count is not None and page.items:
            check_room(self.folder.staging, count * sum(map(len, page.items)) // len(page.items) // 4)
        ticket.partner = self.calls.log.tenant  # no page says whose data it is
        ticket.etag = page.annotations.etag
        ticket.keep(self.folder.staging)

    def _page(self, first: PageLink, link: PageLink, walk: WalkState, begun: int, correlation_id: str) -> SourcePage:
        number = walk.pages + 1
        if link.fingerprint in walk.taken or number > PAGES_MAX:
            raise ProofError(
                f"Page {number} leads back to a page that was had already (MS-CorrelationId {correlation_id}).",
                remedy="Trying again is safe; if it stays so, the source's paging is broken.",
            )

        def request() -> Request:
            return v1.page_request(link, correlation_id=correlation_id, request_id=str(uuid.uuid4()))

        def read(answer: SourceAnswer) -> SourcePage:
            page = v1.read_page(self.calls.base, first, answer)
            check_new(page, number, walk.digests, answer)
            return page

        try:
            page = self.calls.read(request, read)
        except RefusedError as error:
            if not begun or error.status not in _NO_LONGER_GOOD:
                raise
            raise ChangedError(f"The walk cannot go on from page {begun}: {error.message}") from error
        if walk.annotations is not None and page.annotations != walk.annotations:
            raise ChangedError(
                f"Page {number} is of other data than the pages before: its eTag is "
                f"{shown(str(page.annotations.etag))}, and was {shown(str(walk.annotations.etag))}.",
                remedy=TRY_AGAIN,
            )
        return page

    def _is_of_another_form(self, journal: WalkJournal, walk: WalkState) -> bool:
        as_parquet = self.form is Form.PARQUET
        return any((each.file.name != each.blob.name) is not as_parquet for each in journal.facts(walk))

    def _close(self, journal: WalkJournal, walk: WalkState) -> None:
        as_parquet = self.form is Form.PARQUET
        for part in journal.full_parts(walk):
            self.calls.session.work(partial(journal.close, part, as_parquet=as_parquet))

    def _sum(self, journal: WalkJournal, walk: WalkState, ticket: UnfinishedPull) -> PullResult:
        facts = journal.facts(walk)
        tally = together(facts)
        promise = walk.annotations.promise if walk.annotations else Promise()
        promise.check(tally)
        if tally != walk.tally:
            raise ProofError(
                f"{walk.tally.line_items:,} line items were had, and the {tally.line_items:,} here differ."
            )
        etag = (walk.annotations.etag if walk.annotations else None) or ""
        checked, unchecked = verdict(self.ask.kind, promise, {"one eTag over the whole walk": bool(etag)})
        files = written(self.calls.session, self.form, self.ask.kind, self.folder, facts, self.progress)
        return PullResult(
            operation="",
            partner=ticket.partner,
            etag=etag,
            tally=tally,
            checked=("the walk ended, and no page was had twice", *checked),
            unchecked=unchecked,
            blobs=(),
            files=files,
            inexact=rounded(facts),
        )
