"""What pulls and streams alike hold a source to: blobs that fit what was promised, and nothing twice.

What a newcomer would get wrong: a source that vouches for nothing can still be caught giving the same thing under two
names. A single line item may well be there twice, so only two or more that come again are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from counterfoil.client.flows.fetching import Fetcher
from counterfoil.client.flows.steps import Do, Flow, Wait
from counterfoil.client.protocol.graph import SourceBlob
from counterfoil.client.protocol.messages import Answer
from counterfoil.client.protocol.promises import TRY_AGAIN, GarbledError
from counterfoil.client.protocol.v1 import SourcePage
from counterfoil.client.pull_folder.walk_journal import digest_of
from counterfoil.errors import ProofError

Result = TypeVar("Result")


class RepeatedPageError(GarbledError):
    """A page came that was had already; which of the two is out of place nobody can tell."""


def until_it_fits(fetcher: Fetcher, blob: SourceBlob, part: Path, check: Callable[[], Result]) -> Flow[Result]:
    """Fetch a blob until what arrived passes `check`, heavy work that throws away what does not; gives its result.

    Raises the check's ProofError when that was often enough.
    """
    mismatches = 0
    while True:
        yield from fetcher.fetch(blob, part)
        try:
            return (yield Do(check, heavy=True))  # type: ignore[no-any-return]
        except ProofError:
            mismatches += 1
            wait_s = fetcher.patience.wait_if_wrong_s(mismatches)
            if wait_s is None:
                raise
            yield Wait(wait_s)


class Doubles:
    """Which blobs were had, for a source that does not vouch for each of them."""

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


def check_new(page: SourcePage, number: int, digests: Mapping[str, int], answer: Answer) -> None:
    """Refuse a page whose items are those of an earlier one; `digests` tells which page had which."""
    if len(page.items) > 1 and (earlier := digests.get(digest_of(page))) is not None:
        raise RepeatedPageError(
            f"Page {number} holds the line items of page {earlier} again ({answer.request_ids}).",
            remedy="Nothing was kept. Trying again is safe; if it stays so, the source's paging is broken.",
        )
