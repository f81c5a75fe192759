"""Verifying: every count, sum and hash in the catalog, computed again from the stored bytes.

Four promises are kept apart, so that a report says what broke: the bytes of each file (size, SHA-256), what the
lake holds (line items, their digest, exact totals), what the wire forms hold (as many line items as the lake), and
the catalog itself. The catalog is checked too because any byte of it can break: it may then name no dataset at all,
or another partner's.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

import pyarrow as pa
from isal import igzip, igzip_lib

from counterfoil import numbers
from counterfoil.columns import EXTRA, LineItemTable, table_of
from counterfoil.datasets.blob_parts import renderings_of
from counterfoil.datasets.digest import digest_array, digests_of, in_order, stored_digests
from counterfoil.datasets.value_spans import ValueSpans
from counterfoil.disk.hashing import measured_stream
from counterfoil.errors import DamagedError
from counterfoil.line_items.lake import DIGEST
from counterfoil.line_items.lake_files import LakeReader
from counterfoil.line_items.line_digests import LineDigests
from counterfoil.model import Contents, Dataset, Rendering, etag
from counterfoil.storage.catalog import Catalog
from counterfoil.storage.catalog_rows import Revision, Segment, StoredFile
from counterfoil.storage.files import Files, Reader, ReaderStream
from counterfoil.storage.places import UNLISTED, publication_of
from counterfoil.storage.store import Store
from counterfoil.storage.v1_blocks import BlockFile

_READ_SIZE_BYTES = 4 << 20
_CATALOG = "catalog"
_OPERATIONS_MAX = 1_000_000  # of one partner, in the day that they live


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is not as the catalog says: where, and what."""

    where: str
    what: str


@dataclass(slots=True)
class Verification:
    """What was looked at, and every fault that was found."""

    files: int = 0
    size_bytes: int = 0
    line_items: int = 0
    revisions: int = 0
    set_aside: int = 0  # files that no catalog lists, kept until an operator deletes them


def verify(
    store: Store, progress: Callable[[str, int], None] = lambda _what, _count: None
) -> tuple[Verification, list[Fault]]:
    """Check everything the catalog lists, and that nothing else is there.

    Returns what was seen and the faults, none for a sound data folder.
    """
    catalog, files = store.catalog, store.files
    seen = Verification()
    faults: list[Fault] = []
    checked: dict[int, bool] = {}  # segments by id, and whether they are sound
    try:
        faults += (Fault(_CATALOG, what) for what in catalog.faults())
        for dataset, _ in catalog.datasets():
            for revision in catalog.revisions(dataset):
                seen.revisions += 1
                segments = catalog.segments(revision.id)
                stored = catalog.files(revision.id)
                for segment in segments:
                    if segment.id in checked:
                        continue
                    its = [file for file in stored if file.segment_id == segment.id]
                    found = list(_check_segment(dataset, files, segment, its))
                    faults += found
                    checked[segment.id] = not found
                    seen.files += len(its)
                    seen.size_bytes += sum(file.size_bytes for file in its)
                    seen.line_items += segment.contents.line_items
                    progress("verifying", seen.line_items)
                faults += _check_revision(revision, segments)
                if all(checked[segment.id] for segment in segments):
                    faults += _check_digest(files, revision, segments, stored)
        faults += _check_operations(catalog)
        faults += (Fault(path, what) for path, what in catalog.log.faults())
        for unlisted in store.unlisted():
            if unlisted.path.startswith(UNLISTED):
                seen.set_aside += 1
            else:
                faults.append(Fault(unlisted.path, "is listed by no catalog"))
    except Exception as error:  # noqa: BLE001 - a damaged catalog raises whatever its readers stumble over
        faults.append(Fault(_CATALOG, f"cannot be read to its end: {error!r}"))
    return seen, faults


def _check_operations(catalog: Catalog) -> Iterator[Fault]:
    """Each operation leads to a revision of the dataset that it is about, and its times follow one another."""
    datasets: dict[str, Dataset | None] = {}
    for partner in catalog.partners():
        for operation in catalog.operations(partner.tenant, _OPERATIONS_MAX):
            where = f"operation {operation.id}"
            if not operation.created_at <= operation.ready_at or not operation.created_at < operation.expires_at:
                yield Fault(where, "its times cannot be right")
            if operation.revision_id is None:
                continue
            if operation.revision_id not in datasets:
                revision = catalog.revision(operation.revision_id)
                datasets[operation.revision_id] = revision.dataset if revision else None
            # A revision that retention has forgotten is not there, and its operation has expired long ago.
            if datasets[operation.revision_id] not in (None, operation.dataset):
                yield Fault(where, f"it is about {operation.dataset}, and leads to another dataset")


def _check_revision(revision: Revision, segments: list[Segment]) -> Iterator[Fault]:
    where = f"revision {revision.id[:12]} of {revision.dataset}"
    if revision.superseded_at is not None and revision.superseded_at < revision.published_at:
        yield Fault(where, "it was superseded before it was published")
    if len({segment.contents.currency for segment in segments}) > 1:
        yield Fault(where, "its segments are in several currencies")
        return
    contents = Contents.together([segment.contents for segment in segments], revision.contents.digest)
    if contents != revision.contents:
        yield Fault(where, "its segments do not add up to it")
    if etag(revision.dataset, revision.contents) != revision.etag:
        yield Fault(where, "its eTag does not name its contents")


def _check_digest(
    files: Files, revision: Revision, segments: list[Segment], stored: list[StoredFile]
) -> Iterator[Fault]:
    """Hold a revision's digest against all line items of its segments, whose lake files are sound."""
    digest = segments[0].contents.digest if len(segments) == 1 else ""
    if not digest:
        with LineDigests(sort=in_order) as digests:
            lake_files = [file for file in stored if file.rendering is Rendering.LAKE]
            for some in stored_digests(files, lake_files, revision.dataset.kind):
                digests.add(some)
            digest = digests.hexdigest()
    if digest != revision.contents.digest:
        yield Fault(f"revision {revision.id[:12]} of {revision.dataset}", "its line items do not have its digest")


def _check_segment(dataset: Dataset, files: Files, segment: Segment, stored: list[StoredFile]) -> Iterator[Fault]:
    counts: dict[Rendering, int] = {}
    parts: list[Contents] = []
    digests = LineDigests(sort=in_order)
    sound = True
    for file in stored:
        counts[file.rendering] = counts.get(file.rendering, 0) + file.line_items
        try:
            reader = files.open(file.path)
            _check_bytes(reader, file)
            if file.rendering is Rendering.LAKE:
                parts.append(lake_contents(table_of(dataset.kind), reader, segment, digests))
            else:
                _check_line_items(reader, file)
        except (DamagedError, OSError, EOFError, pa.ArrowException, igzip_lib.IsalError) as error:  # type: ignore[misc]
            sound = False
            yield Fault(file.path, str(error) if isinstance(error, DamagedError) else f"cannot be read: {error}")
        if file.rendering is Rendering.LAKE and publication_of(file.path) != segment.publication:
            yield Fault(file.path, f"is not of the publication {segment.publication}, which made it")
    where = f"segment {segment.name}"
    with digests:
        found = Contents.together(parts, digests.hexdigest())
    if sound and found != segment.contents:
        yield Fault(where, "the lake does not hold what the catalog says")
    for rendering, count in counts.items():
        if count != segment.contents.line_items:
            yield Fault(where, f"{rendering} has {count:,} line items instead of {segment.contents.line_items:,}")
    needed = {Rendering.LAKE, *(renderings_of(dataset.scope) if segment.rendered else ())}
    for rendering in sorted(needed - counts.keys()):
        yield Fault(where, f"has no {rendering} file")


def _check_bytes(reader: Reader, file: StoredFile) -> None:
    size, sha256 = measured_stream(io.BufferedReader(ReaderStream(reader), _READ_SIZE_BYTES))
    if size != file.size_bytes:
        raise DamagedError(f"has {size:,} bytes instead of {file.size_bytes:,}.")
    if sha256 != file.sha256:
        raise DamagedError("has bytes that were changed: its SHA-256 is another.")


def lake_contents(table: LineItemTable, reader: Reader, segment: Segment, digests: LineDigests) -> Contents:
    """Compute what a lake file contains, its digest aside: the digests of its line items are added to `digests`.

    Raises DamagedError for line items that its segment cannot hold, and for one that is not what its digest says.
    """
    line_items, currency, totals = 0, segment.contents.currency, dict[str, Decimal]()
    with LakeReader(ReaderStream(reader), table.kind) as lake:
        its = replace(table, columns=lake.columns)
        names = [*(column.name for column in lake.columns), EXTRA]
        for batch in lake.batches([*names, DIGEST]):
            currencies = {(text or "").upper() for text in batch.column(table.currency).unique().to_pylist()}
            if currencies != {currency}:
                raise DamagedError(f"holds amounts in {', '.join(sorted(currencies))} instead of {currency}.")
            issuers = {(text or "").lower() for text in batch.column("PartnerId").unique().to_pylist()}
            if issuers != {segment.issuer}:
                raise DamagedError(f"holds line items of {', '.join(sorted(issuers))} instead of {segment.issuer}.")
            hashes = digest_array(digests_of(its, ValueSpans.of_columns([batch.column(name) for name in names])))
            if not hashes.equals(batch.column(DIGEST)):
                raise DamagedError("holds a line item that is not what its SHA-256 says.")
            digests.add(hashes)
            line_items += batch.num_rows
            for name in table.totals:
                numbers.add_to(totals, name, numbers.total(text for text in batch.column(name).to_pylist() if text))
    return Contents(line_items, currency=currency if line_items else "", totals=totals)


def _check_line_items(reader: Reader, file: StoredFile) -> None:
    found = 0
    if file.rendering is Rendering.V1:
        blocks = BlockFile(file.path, reader.size_bytes, reader.read)
        for block in blocks.blocks:
            blocks.json(block)  # raises DamagedError unless the checksum holds
            found += block.items
    else:
        with igzip.open(ReaderStream(reader), "rb") as lines:  # type: ignore[no-untyped-call]
            try:
                while piece := lines.read(_READ_SIZE_BYTES):
                    found += piece.count(b"\n")
            except gzip.BadGzipFile as error:
                raise DamagedError(f"is not a complete gzip file: {error}") from error
    if found != file.line_items:
        raise DamagedError(f"holds {found:,} line items instead of {file.line_items:,}.")
