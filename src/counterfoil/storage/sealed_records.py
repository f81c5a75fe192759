"""The records beside the files, from which a lost catalog is rebuilt, and by which it is noticed that one is lost.

    catalog.json               the mark: which catalog the files belong to, and how many changes it has made
    changes/000000000012.json  one change that must not be lost: what was committed, restored, withdrawn, revoked
    publications/ID.json       the listing of a sealed publication: its segments and their files

Each is a JSON document with the version of its form and a digest of itself (`disk.documents`). A change and a listing
name the catalog that made them, so records that got into another folder are noticed.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar

import msgspec

from counterfoil.disk import documents
from counterfoil.errors import DamagedError, NewerDataError
from counterfoil.model import Dataset
from counterfoil.storage.catalog_rows import NewSegment, Revision
from counterfoil.storage.files import Files
from counterfoil.storage.places import change_path, listing_of

_FORM: Final = 2
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]

T = TypeVar("T")


class Mark(msgspec.Struct, frozen=True):
    """Which catalog it is, how many changes it has made, and how many of them it still remembers."""

    catalog: Annotated[str, msgspec.Meta(min_length=1)]
    counter: _Count
    remembered: _Count


class SealedPublication(msgspec.Struct, frozen=True):
    """What a sealed publication holds. `sources` is a JSON object about its input."""

    catalog: str
    publication: str
    sources: dict[str, Any]
    segments: tuple[NewSegment, ...]

    @property
    def path(self) -> str:
        """Where it is among the files."""
        return listing_of(self.publication)


class CommittedRevision(msgspec.Struct, frozen=True):
    """A revision that a publication put in force, and its segments, each by publication and name."""

    revision: Revision
    segments: tuple[tuple[str, str], ...]


class _Event(msgspec.Struct, frozen=True, tag_field="event", tag=True):
    """What happened; the document names the class."""


class Committed(_Event, frozen=True):
    """A publication was committed."""

    publication: str
    revisions: tuple[CommittedRevision, ...]


class PutInForce(_Event, frozen=True):
    """An older revision of a dataset was restored, or the dataset was withdrawn (None)."""

    dataset: Dataset
    revision_id: str | None
    at: datetime


class ClientRevoked(_Event, frozen=True):
    """A client may ask for no more tokens."""

    client: str


class SecretRemoved(_Event, frozen=True):
    """A client may sign in by one of its secrets no more."""

    client: str
    secret: str


class PartnerRemoved(_Event, frozen=True):
    """A partner is no longer served."""

    partner: str


class CatalogRebuilt(_Event, frozen=True):
    """A catalog was made of the records of others."""

    catalogs: tuple[str, ...]


Event = Committed | PutInForce | ClientRevoked | SecretRemoved | PartnerRemoved | CatalogRebuilt


class Change(msgspec.Struct, frozen=True):
    """One change of a catalog, with its number; the first has 1."""

    catalog: str
    counter: int
    what: Event

    @property
    def path(self) -> str:
        """Where it is among the files."""
        return change_path(self.counter)


def encode(record: Mark | Change | SealedPublication) -> bytes:
    """Return a record as it is written beside the files; the same record always gives the same bytes."""
    return documents.encode(record, _FORM)


def read(files: Files, path: str, kind: type[T]) -> T:
    """Return the record at a path; raises DamagedError, and NewerDataError for one that a newer Counterfoil wrote."""
    content = files.get(path)
    if content is None:
        raise DamagedError(f"The stored file {path} is missing.")
    try:
        return documents.decode(content, _FORM, kind)
    except documents.NewerDocumentError as error:
        raise NewerDataError(
            f"A newer Counterfoil wrote the stored file {path}.", remedy="Upgrade Counterfoil, or name another folder."
        ) from error
    except documents.DocumentError as error:
        raise DamagedError(f"The stored file {path} is damaged: {error}.") from error


def with_predecessors(catalog: str, changes: Iterable[Change]) -> set[str]:
    """Return a catalog and those that it was rebuilt from."""
    catalogs = {catalog}
    for change in sorted(changes, key=lambda change: -change.counter):
        if change.catalog in catalogs and isinstance(change.what, CatalogRebuilt):
            catalogs.update(change.what.catalogs)
    return catalogs
