"""What is made of a segment's line items as they are read: checked, added up, hashed, coded and put into runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from counterfoil import numbers
from counterfoil.columns import table_of
from counterfoil.datasets import bulk_numbers, digest
from counterfoil.datasets.batch import Batch
from counterfoil.datasets.charge_dates import DateCheck
from counterfoil.datasets.check import Checks, Identity, refuse_many_unknown
from counterfoil.datasets.runs import Run, RunFolder
from counterfoil.datasets.sizes import Sizes
from counterfoil.datasets.sort import Sorter
from counterfoil.line_items.line_digests import DigestRun, LineDigests
from counterfoil.line_items.reference import OnRefused
from counterfoil.model import Contents


@dataclass(frozen=True, slots=True)
class TakenIn:
    """Line items that were taken in elsewhere, as a value that travels between processes."""

    runs: list[Run]
    digests: str  # the path of a file of them, in order
    line_items: int
    totals: Mapping[str, Decimal]
    warnings: Mapping[str, int]
    dated: Mapping[str, int]  # how many line items are dated as promised, and how many otherwise


class Intake:
    """Takes the line items of one segment."""

    def __init__(
        self, identity: Identity, dates: DateCheck, folder: RunFolder, digests: LineDigests, sizes: Sizes
    ) -> None:
        self.identity = identity
        self.dates = dates
        self._folder = folder
        table = table_of(identity.dataset.kind)
        self.sorter = Sorter(table, folder, sizes)
        self._checks = Checks(identity, self.sorter.coder)
        self.digests = digests
        self.totals: dict[str, Decimal] = {}
        self.warnings: Counter[str] = Counter()

    def take(self, batch: Batch, file: str, on_refused: OnRefused) -> None:
        """Take the line items of a batch that pass the checks; raises InputError where the file is in doubt."""
        codes, sizes = self.sorter.coder.code(batch.items)
        passed = self._checks.passed(batch, codes, sizes, file, on_refused)
        if not passed.all():
            batch, codes = batch.keep(passed), np.ascontiguousarray(codes[:, passed])
        if not len(batch):
            return
        self.dates.take(batch)
        for name in batch.table.totals:
            numbers.add_to(self.totals, name, bulk_numbers.total(batch.column(name)))
        digests = digest.digests_of(batch.table, batch.items)
        self.digests.add(digest.digest_array(digests))
        self.warnings.update(self._checks.unknown_attributes(batch, codes, file))
        refuse_many_unknown(self.warnings, file, int(batch.lines[0]))
        self.warnings.update(self._checks.findings.counts(batch, codes))
        self.sorter.add(codes, digests)

    @property
    def contents(self) -> Contents:
        """What was taken."""
        currency = self.identity.currency if self.digests else ""
        return Contents(len(self.digests), self.digests.hexdigest(), currency, self.totals)

    def taken_in(self) -> TakenIn:
        """Put what was taken into files, for `adopt`."""
        with self._folder.files.create(self._folder.path()) as file:
            for digests in self.digests.sorted():
                file.write(digest.digest_rows(digests).data)
        warnings, dated = dict(self.warnings), dict(self.dates.counts)
        return TakenIn(self.sorter.runs(), file.path, len(self.digests), self.totals, warnings, dated)

    def adopt(self, taken: TakenIn, file: str) -> None:
        """Add what was taken in elsewhere."""
        self.sorter.adopt(taken.runs)
        read = self._folder.files.open(taken.digests).read
        self.digests.add_run(DigestRun(taken.line_items, 0, read))
        for name, total in taken.totals.items():
            numbers.add_to(self.totals, name, total)
        self.warnings.update(taken.warnings)
        self.dates.counts.update(taken.dated)
        refuse_many_unknown(self.warnings, file)
