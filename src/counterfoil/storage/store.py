"""A store: the catalog, the files it lists, and locks; and a publication, which writes new files and has them listed.

A store of another engine is made of other `Files`, `Locks` and another `Database`, and is all that the rest of
Counterfoil knows of it.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self
from weakref import WeakSet

from counterfoil.errors import CounterfoilError, FullDiskError, LockedError
from counterfoil.model import Dataset, Rendering
from counterfoil.storage import sealed_records
from counterfoil.storage.catalog import Catalog
from counterfoil.storage.catalog_rows import NewSegment
from counterfoil.storage.change_log import committed_among
from counterfoil.storage.failures import translated_errors
from counterfoil.storage.files import Deleted, Files, FileWriter, Found
from counterfoil.storage.folder_files import make_private_folders
from counterfoil.storage.locks import Held, Locks, refuse_lost
from counterfoil.storage.places import (
    CATALOG_MARK,
    UNLISTED,
    change_path,
    listing_of,
    place_of,
    publication_of,
    set_aside,
)
from counterfoil.storage.sealed_records import SealedPublication

_MARK_HALF_WRITTEN: Final = f"{CATALOG_MARK}.part"


@dataclass(frozen=True, slots=True)
class Store:
    """Everything that was published.

    `runs` are files that a publication sorts, which need not be durable, and `scratch` is a folder of this machine.
    """

    catalog: Catalog
    files: Files
    locks: Locks
    runs: Files
    scratch: Path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.catalog.close()
        self.locks.close()

    @contextmanager
    def hold(self, datasets: Iterable[Dataset]) -> Iterator[list[Held]]:
        """Hold all these datasets, or raise LockedError naming the one that another publication holds."""
        with ExitStack() as stack:
            held = []
            for dataset in sorted(set(datasets)):
                held.append(self.locks.take(str(dataset)))
                stack.callback(held[-1].release)
            yield held

    def begin(self, now: datetime) -> Publication:
        """Begin a publication; it is locked until it is left as a context."""
        name = uuid.uuid4().hex
        with translated_errors():
            make_private_folders(self.scratch / name)
        return Publication(self, name, self.locks.take(f"publication {name}", once=True), now)

    def is_dead(self, publication: str) -> bool:
        """Make sure that a publication never commits. False: it has. Its lock must be held."""
        try:
            return self.catalog.condemn(publication)
        except FullDiskError:
            # There is no room to record it. A lock that cannot be lost proves that nobody is about to commit it.
            if not self.locks.are_certain:
                raise
            return publication in self.catalog.unfinished_publications()

    def clear_dead(self) -> tuple[Deleted, int]:
        """Delete what dead publications left; return what was deleted, and how many publications are at work.

        It looks at unfinished publications and scratch folders only, however many publications there ever were. Files
        of a publication that was committed are kept, see `close_committed`.
        """
        dead, at_work = set[str](), 0
        with ExitStack() as stack:
            unfinished = set(self.catalog.unfinished_publications())
            for publication in sorted(unfinished | self._with_scratch()):
                try:
                    held = self.locks.take(f"publication {publication}", once=True)
                except LockedError:
                    at_work += 1
                    continue
                stack.callback(held.release)
                self.delete_scratch(publication)
                if publication in unfinished and self.is_dead(publication):
                    dead.add(publication)
            return self._delete_all_of(dead - self.close_committed(dead)), at_work

    def close_committed(self, publications: Collection[str]) -> set[str]:
        """Forget the unfinished publications that were committed, and return them; their files stay, unlisted.

        A catalog that was brought back from a backup may hold a publication as unfinished that was committed later.
        """
        sealed_ones = {each for each in publications if self.files.get(listing_of(each)) is not None}
        committed = committed_among(self.files, sealed_ones)
        for publication in committed:
            with suppress(FullDiskError):  # the next sweep forgets it
                self.catalog.end_publication(publication)
        return committed

    def delete_scratch(self, publication: str) -> None:
        """Delete what a publication sorted."""
        with suppress(CounterfoilError):  # the next sweep deletes it
            self.runs.delete([found.path for found in self.runs.find(f"{publication}/")])
        shutil.rmtree(self.scratch / publication, ignore_errors=True)

    def _with_scratch(self) -> set[str]:
        """Return the publications that have something to delete."""
        found = {found.path.partition("/")[0] for found in self.runs.find()}
        with translated_errors():
            if self.scratch.is_dir():
                found |= {path.name for path in self.scratch.iterdir() if path.is_dir()}
        return found

    def _delete_all_of(self, dead: set[str]) -> Deleted:
        if not dead:
            return Deleted()
        deleted = self.files.delete([found.path for found in self.files.find() if publication_of(found.path) in dead])
        for publication in dead:
            with suppress(FullDiskError):  # it stays condemned, or is condemned by the next sweep
                self.catalog.end_publication(publication)
        return deleted

    def delete_forgotten(self) -> Deleted:
        """Delete the files that the catalog has forgotten."""
        paths = self.catalog.files_to_delete()
        deleted = self.files.delete(paths)
        if paths:
            self.catalog.files_deleted(paths)
        return deleted

    def unlisted(self) -> list[Found]:
        """Return the files that no catalog lists, those kept aside included. Looks at every file there is."""
        # The files first: a publication is recorded before its first file, so what is found and unknown then stays so.
        there = [found for found in self.files.find() if found.path not in (CATALOG_MARK, _MARK_HALF_WRITTEN)]
        unfinished = set(self.catalog.unfinished_publications())
        known = self.catalog.publications_known()
        listed = {file.path for file in self.catalog.all_files()} | set(self.catalog.files_to_delete())
        listed |= {listing_of(publication) for publication in known}
        listed |= {change_path(number) for number in self.catalog.changes_remembered()}
        unknown = [
            found for found in there if found.path not in listed and publication_of(found.path) not in unfinished
        ]
        again = {found.path for found in self.files.find()} if unknown else set[str]()
        return [found for found in unknown if found.path in again]  # what was deleted meanwhile was no find

    def set_aside(self) -> list[Found]:
        """Move the files that no catalog lists to a place of their own; return all that are there then."""
        taken = {found.path for found in self.files.find(UNLISTED)}
        for found in self.unlisted():
            if not found.path.startswith(UNLISTED):
                self.files.move(found.path, set_aside(found.path, taken))
        return list(self.files.find(UNLISTED))

    def delete_unlisted(self) -> Deleted:
        """Delete the files that were set aside; nobody calls this but at an operator's word."""
        return self.files.delete([found.path for found in self.files.find(UNLISTED)])


class Publication:
    """New files, recorded as a publication from the first one on. Leaving it deletes what was not committed."""

    def __init__(self, store: Store, name: str, held: Held, now: datetime) -> None:
        """Use `Store.begin`."""
        self.id = name
        self.sources: dict[str, Any] = {}  # a JSON document about the input, recorded with the first file
        self._store = store
        self._held = held
        self._now = now
        self._paths: list[str] = []
        self._is_recorded = False
        self._is_sealed = False
        self._writers: WeakSet[FileWriter] = WeakSet()

    def create(
        self, dataset: Dataset, segment: str, rendering: Rendering, *, number: int = 0, part: int = 0
    ) -> FileWriter:
        """Make a file of a segment; raises FileExistsError when there is one of that rendering, number and part."""
        writer = self._store.files.create(self.place(dataset, segment, rendering, number=number, part=part))
        self._writers.add(writer)
        return writer

    def place(self, dataset: Dataset, segment: str, rendering: Rendering, *, number: int = 0, part: int = 0) -> str:
        """Return the path of a file of a segment, which is about to be made: it is deleted if nothing is committed."""
        self._begin()
        self._paths.append(place_of(self.id, dataset, segment, rendering, number, part))
        return self._paths[-1]

    def _begin(self) -> None:
        if not self._is_recorded:
            self._store.catalog.begin_publication(self.id, self._now, self.sources)
            self._is_recorded = True

    @property
    def scratch(self) -> Path:
        """A folder of this machine for what does not fit in memory; it is deleted with the publication."""
        folder = self._store.scratch / self.id
        with translated_errors():
            make_private_folders(folder)
        return folder

    def seal(self, segments: Sequence[NewSegment]) -> None:
        """Make all files durable, and write the listing; after this the catalog may list the files.

        Raises LockedError if the publication's lock was lost meanwhile.
        """
        refuse_lost([self._held])
        self._begin()
        self._is_sealed = True
        listing = SealedPublication(self._store.catalog.log.catalog(), self.id, self.sources, tuple(segments))
        self._store.files.sync(self._paths)
        self._store.files.put(listing.path, sealed_records.encode(listing))
        self._paths.append(listing.path)
        self._store.files.sync([listing.path])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for writer in self._writers:
            writer.give_up()
        try:
            self._store.delete_scratch(self.id)
            # What cannot be cleaned up now is left to a sweep; the error that led here is the one to report.
            with suppress(CounterfoilError):
                self._clean()
        finally:
            self._held.release()

    def _clean(self) -> None:
        # Until it was sealed nobody can have committed it. That matters on a full disk: this is what makes room.
        if self._is_recorded and (not self._is_sealed or self._store.is_dead(self.id)):
            self._store.files.delete(self._paths)
            self._store.catalog.end_publication(self.id)
