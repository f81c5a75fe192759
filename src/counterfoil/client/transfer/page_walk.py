"""A Partner Center v1 walk, page by page.

Pages are not numbered, so a page that is repeated, left out or out of order looks like any other. Each page is
compared with those before: the link that led to it, its items, and what a Counterfoil says of the whole on every page.
"""

from __future__ import annotations

import uuid
from functools import partial
from typing import Final

from counterfoil.client.protocol import v1_answers as v1
from counterfoil.client.protocol.addresses import shown
from counterfoil.client.protocol.messages import Request, SourceAnswer
from counterfoil.client.protocol.promised_totals import TRY_AGAIN, ChangedError, GarbledError
from counterfoil.client.protocol.v1_answers import PageLink, SourcePage
from counterfoil.client.protocol.walk_state import WalkState, digest_of, lines_of
from counterfoil.client.transfer.month_words import asked_now, still_means
from counterfoil.client.transfer.source_calls import SourceCalls
from counterfoil.errors import ProofError, RefusedError
from counterfoil.wire.graph import ExportRequest

PAGES_MAX: Final = 1_000_000
EMPTY_PAGES_MAX: Final = 100  # in a row
_NO_LONGER_GOOD: Final = frozenset({400, 404, 410})


class RepeatedPageError(GarbledError):
    """The same page arrived twice; we cannot tell which copy is out of order."""


class PageWalk:
    """Asks for the pages of a walk. `walk` is the caller's, who adds each page to it; it may be one that is resumed."""

    def __init__(self, calls: SourceCalls, ask: ExportRequest, page_size_items: int, walk: WalkState) -> None:
        self._calls, self._ask, self._walk = calls, ask, walk
        self._asked = asked_now(ask, calls.session)
        self._first = v1.first_link(calls.base, self._asked, page_size_items)
        self._correlation_id = str(uuid.uuid4())

    @property
    def period(self) -> str:
        """The word by which the pages are asked for."""
        return str(self._asked.period)

    def next_page(self) -> tuple[PageLink, SourcePage]:
        """Return the next page, and the link that led to it.

        Raises ChangedError if it is of other data than the pages before, and other SourceErrors.
        """
        walk = self._walk
        number = walk.pages + 1
        link = walk.following or self._first
        if link.fingerprint in walk.taken or number > PAGES_MAX:
            raise ProofError(
                f"Page {number} leads back to a page that came before (MS-CorrelationId {self._correlation_id}).",
                remedy="Trying again is safe; if it stays so, the source's paging is broken.",
            )
        count = walk.annotations.promise.line_items
        if count is not None and walk.tally.line_items > count:
            raise ProofError(
                f"{walk.tally.line_items:,} line items came, more are to come, and {count:,} were promised.",
                remedy=TRY_AGAIN,
            )
        if walk.empty >= EMPTY_PAGES_MAX:
            raise ProofError(
                f"The source sends one empty page after another, {walk.empty} so far, and each names a next one "
                f"(MS-CorrelationId {self._correlation_id}).",
                remedy="Trying again is safe; if it stays so, the source's paging is broken.",
            )
        try:
            page = self._calls.read(partial(self._request, link), self._read)
        except RefusedError as error:
            if not walk.pages or error.status not in _NO_LONGER_GOOD:
                raise
            raise ChangedError(
                f"The source no longer accepts where the walk was after page {walk.pages}: {error.message}",
                remedy="Its pages have to be asked for from the first one again; the next run does that by itself.",
            ) from error
        if walk.pages and page.annotations != walk.annotations:
            raise ChangedError(
                f"Page {number} is of other data than the pages before: its eTag is "
                f"{shown(str(page.annotations.etag))}, and was {shown(str(walk.annotations.etag))}.",
                remedy=TRY_AGAIN,
            )
        if not still_means(self._asked, self._ask, self._calls.session.patience):
            raise ChangedError("The month ended while its pages were asked for.")
        return link, page

    def _request(self, link: PageLink) -> Request:
        return v1.page_request(link, correlation_id=self._correlation_id, request_id=str(uuid.uuid4()))

    def _read(self, answer: SourceAnswer) -> SourcePage:
        """Read a page; refuses one with the items of an earlier one. A single line item may well occur twice."""
        page = v1.read_page(self._calls.base, self._first, answer)
        if len(page.items) > 1 and (earlier := self._walk.digests.get(digest_of(lines_of(page)))) is not None:
            raise RepeatedPageError(
                f"Page {self._walk.pages + 1} holds the line items of page {earlier} again ({answer.request_ids}).",
                remedy="Trying again is safe; if it stays so, the source's paging is broken.",
            )
        return page
