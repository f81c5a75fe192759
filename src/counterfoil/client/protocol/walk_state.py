"""How far a walk has come, and what its pages so far were: by that the next one is judged."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import msgspec

from counterfoil.client.protocol.v1_answers import Annotations, PageLink, SourcePage
from counterfoil.line_items.totals import Totals


@dataclass(slots=True)
class WalkState:
    """The position of a walk after its last page."""

    pages: int = 0
    empty: int = 0  # the pages since the last line item
    following: PageLink | None = None
    annotations: Annotations = field(default_factory=Annotations)  # of every page
    tally: Totals = field(default_factory=Totals)
    taken: set[bytes] = field(default_factory=set)  # fingerprints of the links followed
    digests: dict[str, int] = field(default_factory=dict)  # SHA-256 of a page's items: the number of that page

    def add(
        self, fingerprint: bytes, following: PageLink | None, annotations: Annotations, sha256: str, tally: Totals
    ) -> None:
        """Go on to the next page: `fingerprint` is of the link that led to this one, `sha256` of its items."""
        self.pages += 1
        self.empty = 0 if tally.line_items else self.empty + 1
        self.following, self.annotations = following, annotations
        self.tally.merge(tally)
        self.taken.add(fingerprint)
        if tally.line_items > 1:
            self.digests[sha256] = self.pages

    @property
    def is_over(self) -> bool:
        """Whether the last page was taken."""
        return self.pages > 0 and self.following is None


def lines_of(page: SourcePage) -> list[bytes]:
    """Return a page's items as lines: verbatim, unless the source laid one out over several lines."""
    return [
        item if b"\n" not in item and b"\r" not in item else msgspec.json.format(item, indent=-1) for item in page.items
    ]


def digest_of(lines: list[bytes]) -> str:
    """Return the SHA-256 of a page's items, as they are stored."""
    return hashlib.sha256(joined(lines)).hexdigest()


def joined(lines: list[bytes]) -> bytes:
    """Return lines as they are stored."""
    return b"".join(line + b"\n" for line in lines)
