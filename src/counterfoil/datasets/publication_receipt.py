"""The receipt of a publication: what is in force then, what was before, and what deserves a look."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from counterfoil.datasets.safeguards import difference
from counterfoil.errors import SurpriseError
from counterfoil.model import Contents, Dataset
from counterfoil.storage.catalog_rows import Revision


@dataclass(frozen=True, slots=True)
class PublicationReceipt:
    """What is in force for one dataset after a publication (or would be, for a dry run: then `revision` is None).

    `contents` are the whole dataset's, and `before` what its last revision held, None if it had none. `warnings` count,
    for the segment, what deserves a look:

    - `unknown NAME`: line items with an attribute that Microsoft has not documented,
    - `inexact NAME`: those of which the lake's DECIMAL column was rounded (never its text),
    - `notInGraph NAME`, `notInV1 NAME`: those with an attribute that one of the APIs does not have,
    - `lost NAME`, `shortened NAME`: those with a value that a spreadsheet or shell destroyed,
    - `skipped SORT`: rows and values that are no line items,
    - `refused`: lines that were left out under an allowance,
    - `earlier NAME`, `later NAME`, `none dated NAME`: usage dated before or after the month or days that NAME promises,
      or line items none of which is dated within,
    - `repeated NAME`: line items that another segment, NAME, holds too.

    `objection` is, for a dry run, the error by which the publication would be refused. `trouble` says what failed after
    everything was in force.
    """

    dataset: Dataset
    segment: str
    revision: Revision | None
    etag: str
    contents: Contents
    segment_contents: Contents
    warnings: dict[str, int]
    changed: bool
    before: Contents | None = None
    objection: SurpriseError | None = None
    trouble: str = ""

    @property
    def difference(self) -> dict[str, Decimal]:
        """By how much each total grew, exactly; empty where nothing was in force before."""
        return {} if self.before is None else difference(self.before, self.contents)

    @property
    def more_line_items(self) -> int:
        """How many line items there are more than before."""
        return self.contents.line_items - (self.before.line_items if self.before else 0)
