"""Publishing: files go in, sealed revisions come out, all of them in one transaction or none.

    lock each dataset -> read, check, sort -> seal (files, synced) -> commit the catalog -> receipts

The commit is the only moment at which anything changes for a reader. A crash before it leaves files nobody points
at, which sweep removes; after it the new revisions are true, and running the same command again finds them in force,
changes nothing and prints the same receipts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from counterfoil.datasets import digest
from counterfoil.datasets.blob_parts import BlobPart, inexact_in, items_of_parts, renderings_of, write_part
from counterfoil.datasets.csv_values import DateOrder, DecimalSign, LocalForms
from counterfoil.datasets.data_folder import DataFolder
from counterfoil.datasets.gathering import GatheredSegment, Gathering, Input
from counterfoil.datasets.jobs import Workers
from counterfoil.datasets.order import Ordered
from counterfoil.datasets.rejects import Rejects
from counterfoil.datasets.source import STANDARD_INPUT, facts_of
from counterfoil.errors import InputError, RebaseError, UsageError
from counterfoil.line_items.line_digests import LineDigests
from counterfoil.model import WHOLE, Contents, Dataset, Rendering, etag
from counterfoil.storage.catalog import Catalog
from counterfoil.storage.catalog_rows import NewSegment, Revision
from counterfoil.storage.locks import refuse_lost
from counterfoil.storage.store import Publication


@dataclass(frozen=True, slots=True)
class PublicationReceipt:
    """What is in force for one dataset after a publication (or would be, for a dry run: then `revision` is None).

    `contents` are the whole dataset's. `warnings` count, for the segment, what deserves a look. The first word of each
    is its sort: line items with an `unknown NAME` attribute, with one that is `notInGraph NAME` or `notInV1 NAME`, with
    a value that a spreadsheet or shell destroyed (`lost NAME`, `shortened NAME`), or of which the lake's DECIMAL column
    is `inexact NAME` (never its text); rows that are no line items, `skipped SORT`; and the lines `refused` under an
    allowance.
    """

    dataset: Dataset
    segment: str
    revision: Revision | None
    etag: str
    contents: Contents
    segment_contents: Contents
    warnings: dict[str, int]
    changed: bool


def publish(
    data_folder: DataFolder,
    inputs: Sequence[Input],
    *,
    rejects: Path | None = None,
    allow_rejects: int = 0,
    date_order: DateOrder | None = None,
    decimal: DecimalSign | None = None,
    dry_run: bool = False,
) -> list[PublicationReceipt]:
    """Publish all inputs, which may belong to several datasets, as one transaction; returns a receipt for each.

    `date_order` and `decimal` say how a CSV writes local dates and numbers.

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
        workers = stack.enter_context(Workers(data_folder.jobs))
        gathering = Gathering(data_folder, publication, refused, stack, LocalForms(date_order, decimal), workers)
        gathering.read_all(inputs)
        refused.settle()
        segments = list(gathering.segments.values())
        if not segments or not all(segment.intake.digests for segment in segments):
            raise _nothing_left(inputs, refused)
        for segment in segments:
            segment.settle()
        data_folder.at_point("read")
        changed = [segment for segment in segments if not _in_force_already(data_folder.catalog, segment)]
        if dry_run or not changed:
            return [_foreseen(data_folder, publication, segment, segments, changed) for segment in segments]
        publication.sources = {"inputs": [{**facts_of(given.name), "segment": given.segment} for given in inputs]}
        sealed = [_seal(data_folder, publication, workers, number, segment) for number, segment in enumerate(changed)]
        refuse_lost(gathering.held)
        publication.seal(sealed)
        data_folder.at_point("sealed")
        _commit(data_folder, publication, sealed, changed)
        data_folder.at_point("committed")
        return [_receipt(data_folder.catalog, segment, segment in changed) for segment in segments]


def _nothing_left(inputs: Sequence[Input], refused: Rejects) -> InputError:
    if refused.count:
        return InputError("no line item is left to publish", remedy="Every line was refused.")
    return InputError(
        "holds no line items" if len(inputs) == 1 else "no file holds a line item",
        file=inputs[0].name if len(inputs) == 1 else "",
        remedy="Nothing was published. A month without usage needs no publication.",
    )


def _same_file(path: Path, name: str) -> bool:
    return name != STANDARD_INPUT and path.exists() and Path(name).exists() and path.samefile(name)


def _seal(
    data_folder: DataFolder, publication: Publication, workers: Workers, number: int, segment: GatheredSegment
) -> NewSegment:
    dataset, sizes, written = segment.dataset, data_folder.sizes, 0

    def tell(count: int) -> None:
        nonlocal written
        written += count
        data_folder.progress("sealing", written)

    renderings = (Rendering.LAKE, *renderings_of(dataset.scope))
    parts = []
    for part, items in enumerate(items_of_parts(segment.table, segment.items, sizes)):
        place = partial(publication.place, dataset, segment.name, number=number, part=part)
        paths = {rendering: place(rendering) for rendering in renderings}
        parts.append(BlobPart(part, segment.table, items, data_folder.store.files, paths, sizes))
    if isinstance(segment.items, Ordered):  # they are in this process
        written_parts = [write_part(part, tell) for part in parts]
    else:
        written_parts = list(workers.map(write_part, parts, tell))
    files = tuple(file for part in written_parts for file in part.files)
    assert written == segment.contents.line_items == sum(part.line_items for part in written_parts)
    warnings = segment.warnings_with(sum((Counter(part.inexact) for part in written_parts), Counter()))
    return NewSegment(dataset, segment.name, segment.intake.identity.issuer, segment.contents, files, warnings)


def _in_force_already(catalog: Catalog, segment: GatheredSegment) -> bool:
    held = catalog.segments(segment.base) if segment.base is not None else []
    return any(known.name == segment.name and known.contents == segment.contents for known in held)


def _commit(
    data_folder: DataFolder, publication: Publication, sealed: Sequence[NewSegment], changed: Sequence[GatheredSegment]
) -> None:
    """Put the segments in force. Where other segments moved meanwhile, compute what the dataset holds once more."""
    bases = {segment.dataset: segment.base for segment in changed}
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
    data_folder: DataFolder,
    publication: Publication,
    dataset: Dataset,
    base: str | None,
    segments: Sequence[GatheredSegment],
) -> Contents:
    """Return what a dataset holds with these segments put in place of those of its base."""
    its = {segment.name: segment for segment in segments if segment.dataset == dataset}
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
            for some in segment.intake.digests.sorted():
                digests.add(some)
        return Contents.together(parts, digests.hexdigest())


def _foreseen(
    data_folder: DataFolder,
    publication: Publication,
    segment: GatheredSegment,
    segments: Sequence[GatheredSegment],
    changed: Sequence[GatheredSegment],
) -> PublicationReceipt:
    """The receipt of a publication that changes nothing here: because it is a dry run, or because nothing is new."""
    dataset = segment.dataset
    its = [other for other in segments if other.intake.identity.dataset == dataset]
    if not any(other in changed for other in its):
        return _receipt(data_folder.catalog, segment, changed=False)
    contents = _whole(data_folder, publication, dataset, segment.base, its)
    if segment in changed:
        warnings = segment.warnings_with(inexact_in(segment.table, segment.items, data_folder.sizes))
    else:
        warnings = _receipt(data_folder.catalog, segment, changed=False).warnings
    return PublicationReceipt(
        dataset, segment.name, None, etag(dataset, contents), contents, segment.contents, warnings, segment in changed
    )


def _receipt(catalog: Catalog, segment: GatheredSegment, changed: bool) -> PublicationReceipt:
    """The receipt as the catalog has it, so that a repeated publication prints the very same."""
    dataset = segment.dataset
    revision = catalog.in_force(dataset)
    assert revision is not None
    stored = next(known for known in catalog.segments(revision.id) if known.name == segment.name)
    etag_now, warnings = revision.etag, dict(stored.warnings)
    return PublicationReceipt(
        dataset, segment.name, revision, etag_now, revision.contents, stored.contents, warnings, changed
    )
