"""Publishing: files go in, sealed revisions come out, all of them in one transaction or none.

    lock each dataset -> read, check, sort -> seal (files, synced) -> commit the catalog -> receipts

The commit is the only moment at which anything changes for a reader. A crash before it leaves files nobody points
at, which sweep removes; after it the new revisions are true, and running the same command again finds them in force,
changes nothing and prints the same receipts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from pathlib import Path

import numpy as np

from counterfoil import numbers
from counterfoil.columns import table_of
from counterfoil.datasets import bulk_numbers, check, digest
from counterfoil.datasets.batch import Batch
from counterfoil.datasets.blob_parts import SegmentWriter, inexact_in
from counterfoil.datasets.check import Assertions, Checks, Identity
from counterfoil.datasets.csv_input import DateOrder
from counterfoil.datasets.data_folder import DataFolder
from counterfoil.datasets.input_formats import recognise
from counterfoil.datasets.rejects import Rejects
from counterfoil.datasets.sort import Sorter
from counterfoil.datasets.source import STANDARD_INPUT, Source, facts_of
from counterfoil.errors import InputError, RebaseError, UsageError
from counterfoil.line_items.line_digests import LineDigests
from counterfoil.line_items.reference import OnRefused
from counterfoil.line_items.values import Refused
from counterfoil.model import WHOLE, Contents, Dataset, Rendering, etag
from counterfoil.storage.catalog import Catalog
from counterfoil.storage.catalog_rows import NewSegment, Revision
from counterfoil.storage.locks import Held, refuse_lost
from counterfoil.storage.store import Publication


@dataclass(frozen=True, slots=True)
class Input:
    """One file to publish ('-' is standard input), with what is known about it beforehand."""

    name: str
    asserted: Assertions = field(default_factory=Assertions)
    segment: str = WHOLE


@dataclass(frozen=True, slots=True)
class PublicationReceipt:
    """What is in force for one dataset after a publication (or would be, for a dry run: then `revision` is None).

    `contents` are the whole dataset's. `warnings` count, for the segment, what deserves a look: line items with an
    `unknown NAME` attribute, those of which the lake's DECIMAL column is `inexact NAME` (never its text), and the
    lines `refused` under an allowance.
    """

    dataset: Dataset
    segment: str
    revision: Revision | None
    etag: str
    contents: Contents
    segment_contents: Contents
    warnings: dict[str, int]
    changed: bool


@dataclass
class _Segment:
    """A segment while it is read."""

    identity: Identity
    name: str
    base: str | None
    sorter: Sorter
    checks: Checks
    digests: LineDigests
    totals: dict[str, Decimal] = field(default_factory=dict)
    warnings: Counter[str] = field(default_factory=Counter)

    @cached_property
    def contents(self) -> Contents:
        """What was read; to be asked for once everything was."""
        currency = self.identity.currency if self.digests else ""
        return Contents(len(self.digests), self.digests.hexdigest(), currency, self.totals)

    def warnings_with(self, inexact: Mapping[str, int]) -> dict[str, int]:
        """Return what deserves a look, given how many decimals of each number were rounded."""
        return dict(self.warnings + Counter({f"inexact {name}": count for name, count in inexact.items()}))


def publish(
    data_folder: DataFolder,
    inputs: Sequence[Input],
    *,
    rejects: Path | None = None,
    allow_rejects: int = 0,
    date_order: DateOrder | None = None,
    dry_run: bool = False,
) -> list[PublicationReceipt]:
    """Publish all inputs, which may belong to several datasets, as one transaction; returns a receipt for each.

    Raises InputError (nothing is published), LockedError, MovedError, FullDiskError.
    """
    if rejects is not None and any(_same_file(rejects, given.name) for given in inputs):
        raise UsageError(
            f"{rejects} is an input and would be overwritten.", remedy="Name another file for the rejects."
        )
    with ExitStack() as stack:
        # Whatever happens: what was not committed when we leave is deleted.
        publication = stack.enter_context(data_folder.store.begin(data_folder.now()))
        refused = stack.enter_context(Rejects(rejects, allow_rejects))
        gathering = _Gathering(data_folder, publication, refused, stack, date_order)
        for given in inputs:
            gathering.read(given)
        refused.settle()
        segments = list(gathering.segments.values())
        if not segments or not all(segment.digests for segment in segments):
            raise InputError("no line item is left to publish", remedy="Every line was refused.")
        data_folder.at_point("read")
        changed = [segment for segment in segments if not _in_force_already(data_folder.catalog, segment)]
        if dry_run or not changed:
            return [_foreseen(data_folder, publication, segment, segments, changed) for segment in segments]
        publication.sources = {"inputs": [{**facts_of(given.name), "segment": given.segment} for given in inputs]}
        sealed = [_seal(data_folder, publication, number, segment) for number, segment in enumerate(changed)]
        refuse_lost(gathering.held)
        publication.seal(sealed)
        data_folder.at_point("sealed")
        _commit(data_folder, publication, sealed, changed)
        data_folder.at_point("committed")
        return [_receipt(data_folder.catalog, segment, segment in changed) for segment in segments]


def _same_file(path: Path, name: str) -> bool:
    return name != STANDARD_INPUT and path.exists() and Path(name).exists() and path.samefile(name)


@dataclass(slots=True)
class _Gathering:
    """Reads inputs into segments: one sorter and one running total for each."""

    _data_folder: DataFolder
    _publication: Publication
    _rejects: Rejects
    _stack: ExitStack
    _date_order: DateOrder | None
    held: list[Held] = field(default_factory=list)
    segments: dict[tuple[Dataset, str], _Segment] = field(default_factory=dict)  # in the order they were met
    _read_items: int = 0

    def read(self, given: Input) -> None:
        """Read one input to its end."""
        with Source(given.name) as source:

            def on_refused(line: int, why: Refused) -> None:
                self._rejects.add(source.name, line, why)

            segment: _Segment | None = None
            refused_before = self._rejects.count
            for batch in recognise(source, given.asserted.kind).batches(on_refused, self._date_order):
                if not len(batch):
                    continue
                if segment is None:
                    identity = check.identify(batch.table, batch, given.asserted, source.name)
                    segment = self._segment(identity, given.segment)
                self._take(segment, batch, source.name, on_refused)
            if segment is not None:
                segment.warnings += Counter({"refused": self._rejects.count - refused_before})

    def _segment(self, identity: Identity, name: str) -> _Segment:
        key = (identity.dataset, name)
        known = self.segments.get(key)
        for other in self.segments.values():
            if other is not known:
                other.sorter.rest()
        if known is not None:
            if known.identity != identity:
                raise UsageError(f"Two inputs for {identity.dataset} have different issuers or currencies.")
            return known
        beside = {other for dataset, other in self.segments if dataset == identity.dataset}
        if beside and WHOLE in beside | {name}:
            raise UsageError(f"{identity.dataset} cannot be published whole and in segments at once.")
        if not beside:
            self.held += self._stack.enter_context(self._data_folder.store.hold([identity.dataset]))
            self._data_folder.at_point("locked")
        base = self._data_folder.catalog.in_force(identity.dataset)
        scratch = self._publication.scratch
        sorter = self._stack.enter_context(closing(Sorter(table_of(identity.dataset.kind), scratch)))
        digests = self._stack.enter_context(LineDigests(scratch, sort=digest.in_order))
        checks = Checks(identity, sorter.run)
        segment = _Segment(identity, name, base.id if base else None, sorter, checks, digests)
        self.segments[key] = segment
        return segment

    def _take(self, segment: _Segment, batch: Batch, file: str, on_refused: OnRefused) -> None:
        """Add the line items of a batch that pass the checks."""
        codes, sizes = segment.sorter.run.code(batch.items)
        passed = segment.checks.passed(batch, codes, sizes, file, on_refused)
        if not passed.all():
            batch, codes = batch.keep(passed), np.ascontiguousarray(codes[:, passed])
        if not len(batch):
            return
        table = batch.table
        for name in table.totals:
            numbers.add_to(segment.totals, name, bulk_numbers.total(batch.column(name)))
        digests = digest.digests_of(table, batch.items)
        segment.digests.add(digest.digest_array(digests))
        segment.warnings.update(segment.checks.unknown_attributes(codes))
        segment.sorter.add(codes, digests)
        self._read_items += len(batch)
        self._data_folder.progress("reading", self._read_items)


def _seal(data_folder: DataFolder, publication: Publication, number: int, segment: _Segment) -> NewSegment:
    dataset = segment.identity.dataset
    written = 0
    with SegmentWriter(publication, number, dataset, segment.name, data_folder.at_point) as writer:
        for items in segment.sorter.sorted():
            writer.write(items)
            written += len(items)
            data_folder.progress("sealing", written)
        files = writer.finish()
    in_lake = sum(file.line_items for file in files if file.rendering is Rendering.LAKE)
    assert written == segment.contents.line_items == in_lake
    warnings = segment.warnings_with(writer.inexact)
    return NewSegment(dataset, segment.name, segment.identity.issuer, segment.contents, files, warnings)


def _in_force_already(catalog: Catalog, segment: _Segment) -> bool:
    held = catalog.segments(segment.base) if segment.base is not None else []
    return any(known.name == segment.name and known.contents == segment.contents for known in held)


def _commit(
    data_folder: DataFolder, publication: Publication, sealed: Sequence[NewSegment], changed: Sequence[_Segment]
) -> None:
    """Put the segments in force. Where other segments moved meanwhile, compute what the dataset holds once more."""
    bases = {segment.identity.dataset: segment.base for segment in changed}
    computed_on = dict(bases)
    while True:
        contents = {
            dataset: _whole(data_folder, publication, dataset, base, changed) for dataset, base in computed_on.items()
        }
        try:
            data_folder.catalog.commit(publication.id, sealed, bases, computed_on, contents, data_folder.now())
        except RebaseError:
            in_force = {dataset: data_folder.catalog.in_force(dataset) for dataset in bases}
            computed_on = {dataset: revision.id if revision else None for dataset, revision in in_force.items()}
        else:
            return


def _whole(
    data_folder: DataFolder, publication: Publication, dataset: Dataset, base: str | None, segments: Sequence[_Segment]
) -> Contents:
    """Return what a dataset holds with these segments put in place of those of its base."""
    its = {segment.name: segment for segment in segments if segment.identity.dataset == dataset}
    held = data_folder.catalog.segments(base) if base is not None and WHOLE not in its else []
    if any(segment.name == WHOLE for segment in held):
        raise UsageError(
            f"{dataset} is in force as a whole, so a named segment cannot be added to it.",
            remedy="Publish it as a whole again, or withdraw it first.",
        )
    kept = [segment for segment in held if segment.name not in its]
    parts = [*(segment.contents for segment in kept), *(segment.contents for segment in its.values())]
    if len(parts) == 1:
        return parts[0]
    with LineDigests(publication.scratch, sort=digest.in_order) as digests:
        stored = data_folder.catalog.files(base, Rendering.LAKE) if base is not None else []
        kept_ids = {segment.id for segment in kept}
        lake_files = [file for file in stored if file.segment_id in kept_ids]
        digest.add_stored(digests, data_folder.store.files, lake_files, dataset.kind)
        for segment in its.values():
            for some in segment.digests.sorted():
                digests.add(some)
        return Contents.together(parts, digests.hexdigest())


def _foreseen(
    data_folder: DataFolder,
    publication: Publication,
    segment: _Segment,
    segments: Sequence[_Segment],
    changed: Sequence[_Segment],
) -> PublicationReceipt:
    """The receipt of a publication that changes nothing here: because it is a dry run, or because nothing is new."""
    dataset = segment.identity.dataset
    its = [other for other in segments if other.identity.dataset == dataset]
    if not any(other in changed for other in its):
        return _receipt(data_folder.catalog, segment, changed=False)
    contents = _whole(data_folder, publication, dataset, segment.base, its)
    if segment in changed:
        warnings = segment.warnings_with(inexact_in(table_of(dataset.kind), segment.sorter.sorted()))
    else:
        warnings = _receipt(data_folder.catalog, segment, changed=False).warnings
    return PublicationReceipt(
        dataset, segment.name, None, etag(dataset, contents), contents, segment.contents, warnings, segment in changed
    )


def _receipt(catalog: Catalog, segment: _Segment, changed: bool) -> PublicationReceipt:
    """The receipt as the catalog has it, so that a repeated publication prints the very same."""
    dataset = segment.identity.dataset
    revision = catalog.in_force(dataset)
    assert revision is not None
    stored = next(known for known in catalog.segments(revision.id) if known.name == segment.name)
    etag_now, warnings = revision.etag, dict(stored.warnings)
    return PublicationReceipt(
        dataset, segment.name, revision, etag_now, revision.contents, stored.contents, warnings, changed
    )
