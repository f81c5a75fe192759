"""Published datasets as sides: the lake files of a revision, each held against its size and SHA-256 before it is read.

It stands above `reconcile`, which knows it as `sides.side.PublishedDatasets` only, and so installs without the server.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Final

import pyarrow as pa

from counterfoil.disk.hashing import measured_stream
from counterfoil.errors import DamagedError, SideError
from counterfoil.line_items.lake_files import LakeReader
from counterfoil.model import Contents, Kind, Rendering
from counterfoil.reconcile.sides.side import PublishedState, Side, SidePart, Wanted, Wants
from counterfoil.storage.catalog_rows import Revision, StoredFile
from counterfoil.storage.engines import open_store
from counterfoil.storage.files import Reader, ReaderStream
from counterfoil.storage.store import Store

_HASHED_AT_ONCE_BYTES: Final = 1 << 20
_LINE_ITEMS_AT_ONCE: Final = 100_000


@contextmanager
def opened(data: Path, database_url: str = "") -> Iterator[PublishedSides]:
    """Open what is published in a data folder; raises DataFolderError where there is none."""
    with open_store(data, database_url or None) as store:
        yield PublishedSides(store)


class PublishedSides:
    """Finds datasets in a catalog, and reads their lake files."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, wanted: Wanted, name: str, *, kind: Kind | None, partner: str) -> list[Side]:
        """Return the revisions that fit, see `reconcile.sides.side.PublishedDatasets`."""
        if wanted.revision:
            found = [self._store.catalog.find_revision(wanted.revision)]
        elif wanted.etag:
            found = self._by_etag(wanted.etag, partner)
        else:
            in_force = self._store.catalog.datasets(partner or None)
            found = [revision for dataset, revision in in_force if revision and dataset.scope == wanted.scope]
        return [
            self._side(revision, name)
            for revision in found
            if kind in (None, revision.dataset.kind) and partner in ("", revision.dataset.partner)
        ]

    def states(self, side: Side) -> list[PublishedState]:
        """Return the revisions of a side's dataset, see `reconcile.sides.side.PublishedDatasets`."""
        dataset = self._store.catalog.find_revision(side.revision).dataset
        return [PublishedState(each.id, each.published_at) for each in self._store.catalog.revisions(dataset)]

    def _by_etag(self, etag: str, partner: str) -> list[Revision]:
        """Return the newest revision of each dataset that has this content."""
        found = []
        for dataset, _ in self._store.catalog.datasets(partner or None):
            its = (revision for revision in self._store.catalog.revisions(dataset) if revision.etag.startswith(etag))
            if newest := next(its, None):
                found.append(newest)
        return found

    def _side(self, revision: Revision, name: str) -> Side:
        dataset = revision.dataset
        files = _LakeFiles(self._store, name, dataset.kind)
        listed = self._store.catalog.files(revision.id, Rendering.LAKE)
        contents = {segment.id: segment.contents for segment in self._store.catalog.segments(revision.id)}
        return Side(
            name=name,
            what=f"{dataset}, published {revision.published_at:%Y-%m-%d}",
            origin="published",
            kind=dataset.kind,
            batches=partial(files.batches, listed),
            parts=tuple(files.part(list(its), contents[segment]) for segment, its in groupby(listed, key=_segment_of)),
            proof="proven",
            etag=revision.etag,
            revision=revision.id,
            scope=dataset.scope,
            partner=dataset.partner,
            currency=revision.contents.currency,
        )


class _LakeFiles:
    """Reads lake files of one side, each of which is held against its size and SHA-256 once."""

    def __init__(self, store: Store, side: str, kind: Kind) -> None:
        self._store, self._side, self._kind = store, side, kind
        self._checked = set[int]()

    def part(self, files: Sequence[StoredFile], contents: Contents) -> SidePart:
        """Return a segment, which is in order throughout its files."""
        return SidePart(
            line_items=contents.line_items,
            stretches=partial(self._stretches, files),
            identity=f"{contents.line_items} {contents.digest}",
            in_order=True,
            digests=True,
        )

    def batches(self, files: Sequence[StoredFile], names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield the line items of some files."""
        for file in files:
            with self._opened(file) as lake:
                yield from lake.batches(names, line_items=_LINE_ITEMS_AT_ONCE)

    def _stretches(
        self, files: Sequence[StoredFile], names: Sequence[str], *, line_items: int, wants: Wants | None = None
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        begin = 0
        for file in files:
            if wants is None or wants(begin, begin + file.line_items):
                its = None if wants is None else partial(_from, begin, wants)
                with self._opened(file) as lake:
                    for place, batch in lake.stretches(names, line_items=line_items, wants=its):
                        yield begin + place, batch
            begin += file.line_items

    @contextmanager
    def _opened(self, file: StoredFile) -> Iterator[LakeReader]:
        try:
            reader = self._store.files.open(file.path)
            if file.id not in self._checked:
                _check(reader, file)
                self._checked.add(file.id)
            with LakeReader(ReaderStream(reader), self._kind) as lake:
                yield lake
        except (DamagedError, OSError, ValueError, pa.ArrowException) as error:
            raise SideError(
                f"{self._side} is damaged: the lake file {file.path} {_told(error)}",
                remedy="`counterfoil verify` names every fault; bring the file back from a backup, or publish again.",
            ) from error


def _segment_of(file: StoredFile) -> int:
    return file.segment_id


def _from(begin: int, wants: Wants, first: int, end: int) -> bool:
    return wants(begin + first, begin + end)


def _check(reader: Reader, file: StoredFile) -> None:
    found = measured_stream(io.BufferedReader(ReaderStream(reader), _HASHED_AT_ONCE_BYTES))
    if found != (file.size_bytes, file.sha256):
        raise DamagedError("has other bytes than were published.")


def _told(error: Exception) -> str:
    return error.message if isinstance(error, DamagedError) else f"cannot be read: {error}."
