"""Rebuilding a lost catalog from what is beside the files: the listings of sealed publications, and the changes.

The listings say what was sealed, the changes what was committed, restored and withdrawn, in order. A publication that
was sealed and is in no change may never have been committed, so it is left unlisted, and kept. Clients, exports and
partners without a dataset in force are recorded nowhere but in the catalog, and do not come back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from msgspec.structs import replace
from sqlalchemy import Connection

from counterfoil.errors import DamagedError, LostCatalogError
from counterfoil.model import Dataset, Rendering
from counterfoil.storage import changes, partner_registry, publications, sealed_records
from counterfoil.storage.catalog_rows import NewFile, NewSegment, Revision
from counterfoil.storage.change_log import ChangeLog, mark_of
from counterfoil.storage.commits import record_dataset, record_files, record_revision, record_segment
from counterfoil.storage.files import Files
from counterfoil.storage.places import CHANGES, LISTINGS
from counterfoil.storage.sealed_records import CatalogRebuilt, Change, Committed, Mark, PutInForce, SealedPublication

Record = TypeVar("Record", Change, SealedPublication)
Key = tuple[str, Dataset, str]  # publication, dataset and name of a segment


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What came back. `to_render`: the revisions that are to be in force once their renderings are made again."""

    publications: int
    revisions: int
    in_force: int
    to_render: tuple[Revision, ...]
    uncommitted: tuple[str, ...]  # sealed publications that are not known to be committed
    incomplete: tuple[str, ...]  # revisions that were in force and lack a file
    damaged: tuple[str, ...]  # listings and changes that cannot be read
    foreign: tuple[str, ...]  # listings and changes of other catalogs
    missing: int  # changes that the mark counts and that are not there
    doubtful: tuple[Dataset, ...]  # datasets of which a change may be missing: what is in force may be too old


@dataclass(slots=True)
class Evidence:
    """What is beside the files."""

    mark: Mark | None = None
    changes: list[Change] = field(default_factory=list)  # in order
    sources: dict[str, dict[str, Any]] = field(default_factory=dict)  # of each sealed publication
    segments: dict[Key, NewSegment] = field(default_factory=dict)
    made_again: dict[Key, list[tuple[str, NewSegment]]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    def is_there(self, files: Iterable[NewFile]) -> bool:
        """Whether all these files are there, with their sizes."""
        return all(self.sizes.get(file.path, -1) >= file.offset + file.size_bytes for file in files)


def gather(files: Files) -> Evidence:
    """Read the mark, all changes and all listings; raises LostCatalogError where nothing says whose they are."""
    found = Evidence()
    with suppress(LostCatalogError):  # a mark that is damaged
        found.mark = mark_of(files)
    found.sizes = {each.path: each.size_bytes for each in files.find()}
    read_changes = sorted(_read(found, files, CHANGES, Change), key=lambda change: change.counter)
    read_listings = list(_read(found, files, LISTINGS, SealedPublication))
    catalogs = _catalogs(found.mark, read_changes)
    found.changes = [change for change in read_changes if change.catalog in catalogs]
    records: list[Change | SealedPublication] = [*read_changes, *read_listings]
    found.foreign += [record.path for record in records if record.catalog not in catalogs]
    for listing in read_listings:
        for segment in listing.segments if listing.catalog in catalogs else ():
            found.sources[listing.publication] = listing.sources
            key = (segment.made_by or listing.publication, segment.dataset, segment.name)
            if segment.made_by:
                found.made_again.setdefault(key, []).append((listing.publication, segment))
            else:
                found.segments[key] = segment
    return found


def _read(found: Evidence, files: Files, folder: str, kind: type[Record]) -> Iterator[Record]:
    for path in found.sizes:
        if path.startswith(folder) and path.endswith(".json"):
            try:
                record = sealed_records.read(files, path, kind)
            except DamagedError:
                found.damaged.append(path)
                continue
            if record.path == path:
                yield record
            else:
                found.damaged.append(path)


def _catalogs(mark: Mark | None, read: list[Change]) -> set[str]:
    """Return the ids of the catalog whose records these are, and of those it was rebuilt from."""
    if mark is not None:
        return sealed_records.with_predecessors(mark.catalog, read)
    if not read:
        return set()
    catalogs = sealed_records.with_predecessors(read[-1].catalog, read)
    if not {change.catalog for change in read} <= catalogs:
        raise LostCatalogError(
            "The stored file catalog.json is missing or damaged, and the changes beside the files are of several "
            "catalogs.",
            remedy="Bring catalog.json back from a backup, or move the changes of other data folders away.",
        )
    return catalogs


def rebuild(log: ChangeLog, now: datetime) -> Rebuilt:
    """Fill a catalog, which is empty, from what is beside the files, and make it the one they belong to."""
    found = gather(log.files)
    with log.database.writing() as connection:
        changes.take_over(connection, [change.counter for change in found.changes])
        changes.raise_to(connection, found.mark.counter if found.mark else 0)
        catalogs = {change.catalog for change in found.changes} | ({found.mark.catalog} if found.mark else set())
        changes.count(connection, CatalogRebuilt(tuple(sorted(catalogs))))
        rebuilt = _Rebuilding(connection, found, now).run()
    log.keep()
    return rebuilt


class _Rebuilding:
    def __init__(self, connection: Connection, found: Evidence, now: datetime) -> None:
        self._connection = connection
        self._found = found
        self._now = now
        self._revisions: dict[str, tuple[Revision, int, list[Key]]] = {}  # in order, each with its change and segments
        self._superseded: dict[str, datetime] = {}
        self._in_force: dict[Dataset, str] = {}
        self._committed: set[str] = set()
        self._recorded: set[str] = set()  # publications that have a row
        self._segments: dict[Key, tuple[int, bool]] = {}

    def run(self) -> Rebuilt:
        """Replay the changes and record what they come to."""
        for change in self._found.changes:
            self._replay(change)
        chosen, to_render, incomplete, count = set(self._in_force.values()), [], [], 0
        numbers, ids = dict[Dataset, int](), dict[Dataset, int]()
        for revision, _, _ in self._revisions.values():
            numbers[revision.dataset] = max(numbers.get(revision.dataset, 0), revision.number)
        for revision, counter, keys in self._revisions.values():
            dataset, is_chosen = revision.dataset, revision.id in chosen
            if not all(self._is_kept(key) for key in keys):
                incomplete += [revision.id] if is_chosen else []
                continue
            if dataset not in ids:
                ids[dataset] = record_dataset(self._connection, dataset, numbers[dataset])
            segments = [self._segment(key) for key in keys]
            rendered = all(is_rendered for _, is_rendered in segments)
            ended = None if is_chosen and rendered else self._superseded.get(revision.id, self._now)
            known = replace(revision, superseded_at=ended)
            record_revision(self._connection, known, ids[dataset], counter, [number for number, _ in segments])
            count += 1
            if is_chosen:
                partner_registry.register(self._connection, dataset.partner, self._now)
                to_render += [] if rendered else [known]
        found = self._found
        # Those that made a segment and are in no change; of renderings made again, none is needed.
        uncommitted = {publication for publication, _, _ in found.segments} - self._committed
        missing = max(0, found.mark.remembered - len(found.changes)) if found.mark else 0
        in_doubt = {dataset for publication, dataset, _ in found.segments if publication in uncommitted}
        return Rebuilt(
            publications=len(self._recorded),
            revisions=count,
            in_force=len(chosen) - len(incomplete),
            to_render=tuple(to_render),
            uncommitted=tuple(sorted(uncommitted)),
            incomplete=tuple(incomplete),
            damaged=tuple(found.damaged),
            foreign=tuple(found.foreign),
            missing=missing,
            doubtful=tuple(sorted(in_doubt)) if missing or found.damaged else (),
        )

    def _replay(self, change: Change) -> None:
        what = change.what
        if isinstance(what, PutInForce):
            self._put_in_force(what.dataset, what.revision_id, what.at)
        elif isinstance(what, Committed):
            self._committed.add(what.publication)
            for made in what.revisions:
                revision = made.revision
                keys = [(publication, revision.dataset, name) for publication, name in made.segments]
                self._revisions[revision.id] = revision, change.counter, keys
                self._put_in_force(revision.dataset, revision.id, revision.published_at)

    def _put_in_force(self, dataset: Dataset, revision_id: str | None, at: datetime) -> None:
        before = self._in_force.pop(dataset, None)
        if before is not None:
            self._superseded[before] = max(at, self._revisions[before][0].published_at)
        if revision_id is not None and revision_id in self._revisions:
            self._in_force[dataset] = revision_id
            self._superseded.pop(revision_id, None)

    def _is_kept(self, key: Key) -> bool:
        segment = self._found.segments.get(key)
        return segment is not None and self._found.is_there(_lake(segment))

    def _segment(self, key: Key) -> tuple[int, bool]:
        if key in self._segments:
            return self._segments[key]
        publication, _, _ = key
        segment = self._found.segments[key]
        made_by, forms = publication, [file for file in segment.files if file.rendering is not Rendering.LAKE]
        there = self._found.is_there(forms)
        for again, other in self._found.made_again.get(key, []):
            if not there and self._found.is_there(other.files):
                made_by, forms, there = again, list(other.files), True
        for each in {publication, made_by} - self._recorded:
            self._recorded.add(each)
            publications.begin(self._connection, each, self._now, self._found.sources[each])
            publications.commit(self._connection, each, 0)
        segment_id = record_segment(self._connection, publication, segment, _lake(segment), rendered=there)
        if there:
            record_files(self._connection, made_by, segment_id, forms)
        self._segments[key] = segment_id, there
        return self._segments[key]


def _lake(segment: NewSegment) -> list[NewFile]:
    return [file for file in segment.files if file.rendering is Rendering.LAKE]
