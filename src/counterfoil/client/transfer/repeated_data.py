"""Refusing data that comes twice: two blobs, or two pages, with the same line items.

A source that promises nothing can still be caught giving the same data under two names. One line item may well occur
twice, so only two or more repeated line items are refused.
"""

from __future__ import annotations

from collections.abc import Mapping

from counterfoil.client.protocol.graph_answers import SourceBlob
from counterfoil.client.protocol.messages import SourceAnswer
from counterfoil.client.protocol.promised_totals import TRY_AGAIN, GarbledError
from counterfoil.client.protocol.v1_answers import SourcePage
from counterfoil.client.pull_folder.walk_journal import digest_of
from counterfoil.errors import ProofError


class RepeatedPageError(GarbledError):
    """The same page arrived twice; we cannot tell which copy is out of order."""


class RepeatedBlobs:
    """The blobs so far, by their content, of a source that gives no SHA-256 for each of them."""

    def __init__(self) -> None:
        self._had: dict[str, tuple[str, int]] = {}  # by SHA-256

    def check(self, blob: SourceBlob, sha256: str) -> None:
        """Raise ProofError if another blob held the same line items."""
        name, line_items = self._had.get(sha256, ("", 0))
        if blob.sha256 is None and line_items > 1:
            raise ProofError(
                f"The blobs {name} and {blob.name} hold the same {line_items:,} line items.", remedy=TRY_AGAIN
            )

    def note(self, blob: SourceBlob, sha256: str, line_items: int) -> None:
        """Remember a blob."""
        self._had[sha256] = blob.name, line_items


def check_new(page: SourcePage, number: int, digests: Mapping[str, int], answer: SourceAnswer) -> None:
    """Refuse a page whose items are those of an earlier one; `digests` maps each to its page."""
    if len(page.items) > 1 and (earlier := digests.get(digest_of(page))) is not None:
        raise RepeatedPageError(
            f"Page {number} holds the line items of page {earlier} again ({answer.request_ids}).",
            remedy="Trying again is safe; if it stays so, the source's paging is broken.",
        )
