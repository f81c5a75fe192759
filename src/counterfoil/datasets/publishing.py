"""Publishing: files go in, sealed revisions come out, all of them in one transaction or none.

    lock each dataset -> read, check, sort -> compare with what is in force -> seal (files, synced)
    -> make the receipts -> commit the catalog

The commit is the only moment at which anything changes for a reader. A crash before it leaves files nobody points
at, which sweep removes; after it the new revisions are true, and running the same command again finds them in force,
changes nothing and prints the same receipts. So whatever can fail is done before the commit, the receipts too; and
what still fails after it is told in the receipts, never raised: it must not look as if nothing had been published.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from counterfoil.datasets.blob_parts import BlobPart, inexact_in, items_of_parts, renderings_of, write_part
from counterfoil.datasets.csv_values import DateOrder, DecimalSign, LocalForms
from counterfoil.datasets.data_folder import DataFolder
from counterfoil.datasets.gathering import GatheredSegment, Gathering, Input
from counterfoil.datasets.jobs import Workers
from counterfoil.datasets.order import Ordered
from counterfoil.datasets.publication_receipt import PublicationReceipt
from counterfoil.datasets.rejects import Rejects
from counterfoil.datasets.safeguards import Safeguards
from counterfoil.datasets.source import STANDARD_INPUT, facts_of
from counterfoil.datasets.whole_datasets import Foreseen, foreseen
from counterfoil.errors import InputError, RebaseError, SurpriseError, UsageError
from counterfoil.model import Dataset, Rendering, etag
from counterfoil.storage.catalog import Catalog
from counterfoil.storage.catalog_rows import NewSegment, Revision, Segment
from counterfoil.storage.locks import refuse_lost
from counterfoil.storage.store import Publication

_STRICT = Safeguards()


def publish(
    data_folder: DataFolder,
    inputs: Sequence[Input],
    *,
    rejects: Path | None = None,
    allow_rejects: int = 0,
    date_order: DateOrder | None = None,
    decimal: DecimalSign | None = None,
    dry_run: bool = False,
    safeguards: Safeguards = _STRICT,
    on_skipped: Callable[[str, str], None] = lambda _name, _why: None,
) -> list[PublicationReceipt]:
    """Publish all inputs, which may belong to several datasets, as one transaction; returns a receipt for each.

    `date_order` and `decimal` say how a CSV writes local dates and numbers. `on_skipped` is given the name of each
    input that was passed over as a stray file, and why. Raises InputError, SurpriseError (nothing is published),
    LockedError, MovedError, FullDiskError.
    """
    if rejects is not None and any(_same_file(rejects, given.name) for given in inputs):
        raise UsageError(
            f"{rejects} is an input and would be overwritten.", remedy="Name another file for the rejects."
        )
    in_force: list[PublicationReceipt] = []  # filled by the commit
    try:
        with ExitStack() as stack:
            # Whatever happens: what was not committed when we leave is deleted.
            publication = stack.enter_context(data_folder.store.begin(data_folder.now()))
            refused = stack.enter_context(Rejects(rejects, allow_rejects))
            workers = stack.enter_context(Workers(data_folder.jobs))
            gathering = Gathering(
                data_folder,
                publication,
                refused,
                stack,
                LocalForms(date_order, decimal),
                workers,
                safeguards,
                on_skipped,
            )
            gathering.read_all(inputs)
            refused.settle()
            _refuse_nothing(gathering, inputs, refused)
            publishing = _Publishing(data_folder, publication, workers, safeguards, gathering)
            if dry_run or not publishing.changed:
                return publishing.foreseen_receipts()
            sources = [{**facts_of(given.name), "segment": given.segment} for given in inputs]
            publishing.seal({"inputs": sources})
            publishing.commit(in_force)
            data_folder.at_point("committed")
    except Exception as error:
        if not in_force:
            raise
        trouble = str(error) or type(error).__name__
        return [replace(receipt, trouble=trouble) for receipt in in_force]
    return in_force


class _Publishing:
    """What was gathered, on its way to be in force."""

    def __init__(
        self,
        data_folder: DataFolder,
        publication: Publication,
        workers: Workers,
        safeguards: Safeguards,
        gathering: Gathering,
    ) -> None:
        self._data_folder = data_folder
        self._publication = publication
        self._workers = workers
        self._safeguards = safeguards
        self._gathering = gathering
        self._segments = list(gathering.segments.values())
        for segment in self._segments:
            if not safeguards.allow_copies:
                segment.refuse_copies()
            if not safeguards.follows:
                segment.intake.dates.refuse_others(segment.files[0])
            segment.settle()
        data_folder.at_point("read")
        self._stored = {(segment.dataset, segment.name): self._find_stored(segment) for segment in self._segments}
        self.changed = [each for each in self._segments if self._stored[each.dataset, each.name] is None]
        self._bases = {segment.dataset: segment.base for segment in self.changed}
        self._foreseen = self._foresee(self._bases)
        self._sealed: list[NewSegment] = []

    def _find_stored(self, segment: GatheredSegment) -> Segment | None:
        """Return the segment of these contents that is in force already."""
        held = self._catalog.segments(segment.base.id) if segment.base is not None else []
        return next((each for each in held if each.name == segment.name and each.contents == segment.contents), None)

    @property
    def _catalog(self) -> Catalog:
        return self._data_folder.catalog

    def _foresee(self, bases: Mapping[Dataset, Revision | None]) -> dict[Dataset, Foreseen]:
        its: dict[Dataset, dict[str, GatheredSegment]] = {dataset: {} for dataset in bases}
        for segment in self.changed:
            its[segment.dataset][segment.name] = segment
        files, publication = self._data_folder.store.files, self._publication
        return {
            dataset: foreseen(self._catalog, files, publication, base, its[dataset], self._safeguards)
            for dataset, base in bases.items()
        }

    def _refuse_surprises(self) -> None:
        for dataset, seen in self._foreseen.items():
            self._safeguards.check(dataset, seen.before, seen.contents, replaces=seen.replaces)

    def foreseen_receipts(self) -> list[PublicationReceipt]:
        """Return the receipts of a publication that changes nothing here: a dry run, or nothing is new."""
        return [self._foreseen_receipt(segment) for segment in self._segments]

    def _foreseen_receipt(self, segment: GatheredSegment) -> PublicationReceipt:
        dataset, objection = segment.dataset, None
        seen = self._foreseen.get(dataset)
        if seen is None:
            return self._receipt_of_stored(segment)
        try:
            self._safeguards.check(dataset, seen.before, seen.contents, replaces=seen.replaces)
        except SurpriseError as error:
            objection = error
        if segment in self.changed:
            inexact = inexact_in(segment.table, segment.items, self._data_folder.sizes)
            warnings = segment.warnings_with(inexact)
        else:
            warnings = self._receipt_of_stored(segment).warnings
        return PublicationReceipt(
            dataset,
            segment.name,
            None,
            etag(dataset, seen.contents),
            seen.contents,
            segment.contents,
            warnings,
            segment in self.changed,
            seen.before,
            objection,
        )

    def _receipt_of_stored(self, segment: GatheredSegment) -> PublicationReceipt:
        """Return the receipt as the catalog has it, so that a repeated publication prints the very same."""
        stored, revision = self._stored[segment.dataset, segment.name], segment.base
        assert stored is not None
        assert revision is not None
        base = self._catalog.revision(revision.base_id) if revision.base_id else None
        return PublicationReceipt(
            segment.dataset,
            segment.name,
            revision,
            revision.etag,
            revision.contents,
            stored.contents,
            dict(stored.warnings),
            changed=False,
            before=base.contents if base else None,
        )

    def seal(self, sources: dict[str, Any]) -> None:
        """Write and sync the files of what changed; raises SurpriseError before the first."""
        self._refuse_surprises()
        self._publication.sources = sources
        self._sealed = [self._write(number, segment) for number, segment in enumerate(self.changed)]
        refuse_lost(self._gathering.held)
        self._publication.seal(self._sealed)
        self._data_folder.at_point("sealed")

    def _write(self, number: int, segment: GatheredSegment) -> NewSegment:
        dataset, sizes, written = segment.dataset, self._data_folder.sizes, 0

        def tell(count: int) -> None:
            nonlocal written
            written += count
            self._data_folder.progress("sealing", written)

        renderings = (Rendering.LAKE, *renderings_of(dataset.scope))
        parts = []
        for part, items in enumerate(items_of_parts(segment.table, segment.items, sizes)):
            place = partial(self._publication.place, dataset, segment.name, number=number, part=part)
            paths = {rendering: place(rendering) for rendering in renderings}
            parts.append(BlobPart(part, segment.table, items, self._data_folder.store.files, paths, sizes))
        if isinstance(segment.items, Ordered):  # they are in this process
            written_parts = [write_part(part, tell) for part in parts]
        else:
            written_parts = list(self._workers.map(write_part, parts, tell))
        files = tuple(file for part in written_parts for file in part.files)
        assert written == segment.contents.line_items == sum(part.line_items for part in written_parts)
        warnings = segment.warnings_with(sum((Counter(part.inexact) for part in written_parts), Counter()))
        return NewSegment(dataset, segment.name, segment.intake.identity.issuer, segment.contents, files, warnings)

    def commit(self, in_force: list[PublicationReceipt]) -> None:
        """Put the segments in force, and fill `in_force` with the receipts, in the order of the segments.

        Where other segments moved meanwhile, what the datasets hold is computed once more.
        """
        bases = {dataset: base.id if base else None for dataset, base in self._bases.items()}
        computed_on = dict(bases)
        unchanged = {
            (segment.dataset, segment.name): self._receipt_of_stored(segment)
            for segment in self._segments
            if segment not in self.changed
        }
        while True:
            contents = {dataset: seen.contents for dataset, seen in self._foreseen.items()}
            now = self._data_folder.now()
            try:
                made = self._catalog.commit(self._publication.id, self._sealed, bases, computed_on, contents, now)
            except RebaseError:
                moved = {dataset: self._catalog.in_force(dataset) for dataset in bases}
                computed_on = {dataset: revision.id if revision else None for dataset, revision in moved.items()}
                self._foreseen = self._foresee(moved)
                self._refuse_surprises()
                continue
            break
        revisions = {revision.dataset: revision for revision in made}
        warnings = {(segment.dataset, segment.name): segment.warnings for segment in self._sealed}
        for segment in self._segments:
            key = (segment.dataset, segment.name)
            in_force.append(self._receipt(segment, revisions.get(segment.dataset), unchanged.get(key), warnings))

    def _receipt(
        self,
        segment: GatheredSegment,
        revision: Revision | None,
        unchanged: PublicationReceipt | None,
        warnings: Mapping[tuple[Dataset, str], Mapping[str, int]],
    ) -> PublicationReceipt:
        if unchanged is not None and (
            revision is None or revision.id == (unchanged.revision and unchanged.revision.id)
        ):
            return unchanged
        assert revision is not None
        its = unchanged.warnings if unchanged else dict(warnings[segment.dataset, segment.name])
        seen = self._foreseen[segment.dataset]
        return PublicationReceipt(
            segment.dataset,
            segment.name,
            revision,
            revision.etag,
            revision.contents,
            segment.contents,
            its,
            unchanged is None,
            seen.before,
        )


def _refuse_nothing(gathering: Gathering, inputs: Sequence[Input], refused: Rejects) -> None:
    """Raise InputError where no line item is left of all inputs, or of a segment."""
    segments = gathering.segments.values()
    if segments and all(segment.intake.digests for segment in segments):
        return
    if refused.count:
        raise InputError("no line item is left to publish", remedy="Every line was refused.")
    raise InputError(
        "holds no line items" if len(inputs) == 1 else "no file holds a line item",
        file=inputs[0].name if len(inputs) == 1 else "",
        remedy="Nothing was published. A month without usage needs no publication.",
    )


def _same_file(path: Path, name: str) -> bool:
    return name != STANDARD_INPUT and path.exists() and Path(name).exists() and path.samefile(name)
