"""Refusing two blobs with the same line items.

A source that promises nothing can still be caught giving the same data under two names. One line item may well occur
twice, so only two or more repeated line items are refused.
"""

from __future__ import annotations

from counterfoil.client.protocol.graph_answers import SourceBlob
from counterfoil.client.protocol.promised_totals import TRY_AGAIN
from counterfoil.errors import ProofError


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
