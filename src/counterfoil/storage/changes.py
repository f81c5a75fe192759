"""The counter of changes that must not be lost, and the changes that are still to be written beside the files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, delete, insert, select, update

from counterfoil.errors import DamagedError
from counterfoil.model import Contents, Dataset, Kind, Scope
from counterfoil.storage import tables
from counterfoil.storage.catalog_rows import Revision

Document = Mapping[str, Any]
_META: Final = tables.meta.c


@dataclass(frozen=True, slots=True)
class Mark:
    """Which catalog it is, and how many changes it has made: as it says itself, or as is written beside the files."""

    catalog: str
    counter: int


def mark(connection: Connection) -> Mark:
    """Return the catalog's id and how many changes it has made."""
    rows = connection.execute(select(tables.meta).where(_META.key.in_(("id", "counter"))))
    said = {row.key: row.value for row in rows}
    if not said.get("id") or not said.get("counter", "").isdecimal():
        raise DamagedError("The catalog does not say which one it is.", remedy="Bring it back from a backup.")
    return Mark(said["id"], int(said["counter"]))


def count(connection: Connection, document: Document | None = None) -> int:
    """Count one more change and return its number; what it put in force is to be written beside the files."""
    counter = mark(connection).counter + 1
    raise_to(connection, counter)
    connection.execute(insert(tables.changes).values(counter=counter, document=dict(document or {})))
    return counter


def raise_to(connection: Connection, counter: int) -> None:
    """Make the counter at least this one, so that no number is given to a second change."""
    if mark(connection).counter < counter:
        connection.execute(update(tables.meta).where(_META.key == "counter").values(value=str(counter)))


def unwritten(connection: Connection, since: int) -> dict[int, dict[str, Any]]:
    """Return the changes after a counter."""
    rows = connection.execute(select(tables.changes).where(tables.changes.c.counter > since))
    return {row.counter: row.document for row in rows}


def written(connection: Connection, counter: int) -> None:
    """Forget the changes up to a counter: they are beside the files."""
    connection.execute(delete(tables.changes).where(tables.changes.c.counter <= counter))


def dataset_to_json(dataset: Dataset) -> dict[str, str]:
    """Return a dataset as its row has it."""
    scope = dataset.scope
    return {
        "kind": dataset.kind.value,
        "partner": dataset.partner,
        "invoice": scope.invoice,
        "period": scope.period,
        "currency": scope.currency,
    }


def dataset_from_json(body: Document) -> Dataset:
    """Read what `dataset_to_json` wrote."""
    return Dataset(Kind(body["kind"]), body["partner"], Scope(body["invoice"], body["period"], body["currency"]))


def revision_to_json(revision: Revision, segments: list[tuple[str, str]]) -> dict[str, Any]:
    """Return a revision with its segments, each by publication and name."""
    return {
        "id": revision.id,
        "number": revision.number,
        "dataset": dataset_to_json(revision.dataset),
        "etag": revision.etag,
        "contents": revision.contents.to_json(),
        "publishedAt": revision.published_at.isoformat(),
        "base": revision.base_id,
        "segments": [{"publication": publication, "name": name} for publication, name in segments],
    }


def revision_from_json(body: Document) -> Revision:
    """Read what `revision_to_json` wrote, its segments aside: a revision in force."""
    return Revision(
        body["id"],
        body["number"],
        dataset_from_json(body["dataset"]),
        body["etag"],
        Contents.from_json(body["contents"]),
        datetime.fromisoformat(body["publishedAt"]),
        body["base"],
    )
