"""Rebuilding a lost catalog from what is beside the files: the listings of sealed publications, and the changes.

The listings say what was sealed, the changes what was committed, restored and withdrawn, in order. A publication that
was sealed and is in no change may never have been committed, so it is left unlisted, and kept. Clients, exports and
partners without a dataset in force are recorded nowhere but in the catalog, and do not come back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, insert

from counterfoil.errors import DamagedError
from counterfoil.model import Contents, Dataset, Rendering
from counterfoil.storage import changes, partner_registry, revisions, tables
from counterfoil.storage.catalog_rows import NewFile, Revision
from counterfoil.storage.change_log import unsealed
from counterfoil.storage.commits import record_files
from counterfoil.storage.files import Files
from counterfoil.storage.places import CHANGES, LISTINGS

Entry = Mapping[str, Any]
Key = tuple[str, Dataset, str]  # publication, dataset and name of a segment
_LAKE: Final = Rendering.LAKE.value


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


@dataclass(slots=True)
class Evidence:
    """What is beside the files."""

    segments: dict[Key, Entry] = field(default_factory=dict)
    made_again: dict[Key, list[tuple[str, Entry]]] = field(default_factory=dict)
    sealed: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    changes: dict[int, dict[str, Any]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)

    def is_there(self, files: Iterable[Entry]) -> bool:
        """Whether all these files are there, with their sizes."""
        return all(self.sizes.get(file["path"], -1) >= file["offset"] + file["sizeBytes"] for file in files)


def gather(files: Files) -> Evidence:
    """Read all listings and changes."""
    found = Evidence()
    for each in files.find():
        found.sizes[each.path] = each.size_bytes
        if not each.path.startswith((LISTINGS, CHANGES)) or not each.path.endswith(".json"):
            continue
        try:
            body = unsealed(files.get(each.path) or b"", each.path)
            if each.path.startswith(CHANGES):
                found.changes[int(each.path.removeprefix(CHANGES).removesuffix(".json"))] = body
            else:
                _take_listing(found, body)
        except (DamagedError, KeyError, ValueError, TypeError):
            found.damaged.append(each.path)
    return found


def _take_listing(found: Evidence, body: dict[str, Any]) -> None:
    publication = str(body["publication"])
    found.sealed[publication] = body["sources"]
    for entry in body["segments"]:
        dataset = changes.dataset_from_json(entry["dataset"])
        if entry["madeBy"]:
            again = found.made_again.setdefault((entry["madeBy"], dataset, entry["name"]), [])
            again.append((publication, entry))
        else:
            found.segments[publication, dataset, entry["name"]] = entry


def fill(connection: Connection, found: Evidence, counter: int, now: datetime) -> Rebuilt:
    """Fill an empty catalog, whose next change has a number above `counter`."""
    changes.raise_to(connection, max([counter, *found.changes]) + 1)
    return _Rebuilding(connection, found, now).run()


class _Rebuilding:
    def __init__(self, connection: Connection, found: Evidence, now: datetime) -> None:
        self._connection = connection
        self._found = found
        self._now = now
        self._bodies: dict[str, tuple[int, Mapping[str, Any]]] = {}  # revisions in order, each with its change
        self._superseded: dict[str, datetime] = {}
        self._in_force: dict[Dataset, str] = {}
        self._committed: set[str] = set()
        self._recorded: set[str] = set()  # publications that have a row
        self._segments: dict[Key, tuple[int, bool]] = {}

    def run(self) -> Rebuilt:
        """Replay the changes and record what they come to."""
        for counter, change in sorted(self._found.changes.items()):
            self._replay(counter, change)
        chosen, to_render, incomplete, count = set(self._in_force.values()), [], [], 0
        numbers: dict[Dataset, int] = {}
        for _, body in self._bodies.values():
            dataset = changes.dataset_from_json(body["dataset"])
            numbers[dataset] = max(numbers.get(dataset, 0), body["number"])
        ids = dict[Dataset, int]()
        for revision_id, (counter, body) in self._bodies.items():
            dataset = changes.dataset_from_json(body["dataset"])
            keys = [(each["publication"], dataset, each["name"]) for each in body["segments"]]
            if not all(self._is_kept(key) for key in keys):
                incomplete += [revision_id] if revision_id in chosen else []
                continue
            if dataset not in ids:
                ids[dataset] = self._dataset(dataset, numbers[dataset])
            segments = [self._segment(key) for key in keys]
            rendered = all(is_rendered for _, is_rendered in segments)
            superseded_at: datetime | None = self._superseded.get(revision_id, self._now)
            in_force = revision_id in chosen and rendered
            self._revision(
                body, ids[dataset], counter, None if in_force else superseded_at, [id_ for id_, _ in segments]
            )
            count += 1
            if revision_id in chosen:
                partner_registry.register(self._connection, dataset.partner, self._now)
                if not rendered:
                    revision = revisions.by_id(self._connection, revision_id)
                    assert revision is not None
                    to_render.append(revision)
        return Rebuilt(
            publications=len(self._recorded),
            revisions=count,
            in_force=len(chosen) - len(incomplete),
            to_render=tuple(to_render),
            uncommitted=tuple(sorted(self._unexplained())),
            incomplete=tuple(incomplete),
            damaged=tuple(self._found.damaged),
        )

    def _unexplained(self) -> set[str]:
        """Sealed publications that made a segment and are in no change; of renderings made again, none is needed."""
        makers = {publication for publication, _, _ in self._found.segments}
        return makers - self._committed

    def _replay(self, counter: int, change: Mapping[str, Any]) -> None:
        at = datetime.fromisoformat(change["at"])
        if "dataset" in change:
            self._put_in_force(changes.dataset_from_json(change["dataset"]), change["inForce"], at)
            return
        self._committed.add(change["publication"])
        for body in change["revisions"]:
            self._bodies[body["id"]] = counter, body
            self._put_in_force(changes.dataset_from_json(body["dataset"]), body["id"], at)

    def _put_in_force(self, dataset: Dataset, revision_id: str | None, at: datetime) -> None:
        before = self._in_force.pop(dataset, None)
        if before is not None:
            self._superseded[before] = max(at, datetime.fromisoformat(self._bodies[before][1]["publishedAt"]))
        if revision_id is not None and revision_id in self._bodies:
            self._in_force[dataset] = revision_id
            self._superseded.pop(revision_id, None)

    def _is_kept(self, key: Key) -> bool:
        entry = self._found.segments.get(key)
        return entry is not None and self._found.is_there(_lake(entry))

    def _dataset(self, dataset: Dataset, last_number: int) -> int:
        values = {**changes.dataset_to_json(dataset), "last_number": last_number}
        return _key(self._connection, tables.datasets, values)

    def _segment(self, key: Key) -> tuple[int, bool]:
        if key in self._segments:
            return self._segments[key]
        publication, _, name = key
        entry = self._found.segments[key]
        self._publication(publication)
        forms = [file for file in entry["files"] if file["rendering"] != _LAKE]
        made_by, there = publication, self._found.is_there(forms)
        for again, other in self._found.made_again.get(key, []):
            if not there and self._found.is_there(other["files"]):
                made_by, forms, there = again, other["files"], True
        self._publication(made_by)
        values = {
            "name": name,
            "publication": publication,
            "issuer": entry["issuer"],
            "contents": entry["contents"],
            "warnings": entry["warnings"],
            "rendered": there,
        }
        segment_id = _key(self._connection, tables.segments, values)
        record_files(self._connection, publication, segment_id, [_file(file) for file in _lake(entry)])
        if there:
            record_files(self._connection, made_by, segment_id, [_file(file) for file in forms])
        self._segments[key] = segment_id, there
        return self._segments[key]

    def _publication(self, publication: str) -> None:
        if publication not in self._recorded:
            self._recorded.add(publication)
            values = {
                "state": "committed",
                "began_at": self._now,
                "files": 0,
                "sources": self._found.sealed[publication],
            }
            self._connection.execute(insert(tables.publications).values(id=publication, **values))

    def _revision(
        self,
        body: Mapping[str, Any],
        dataset_id: int,
        counter: int,
        superseded_at: datetime | None,
        segment_ids: list[int],
    ) -> None:
        self._connection.execute(
            insert(tables.revisions).values(
                id=body["id"],
                dataset_id=dataset_id,
                number=body["number"],
                etag=body["etag"],
                contents=Contents.from_json(body["contents"]).to_json(),
                published_at=datetime.fromisoformat(body["publishedAt"]),
                base_id=body["base"],
                superseded_at=superseded_at,
                billed=bool(body["dataset"]["invoice"]),
                swept=False,
                change=counter,
            )
        )
        rows = [{"revision_id": body["id"], "segment_id": segment_id} for segment_id in segment_ids]
        self._connection.execute(insert(tables.revision_segments), rows)


def _lake(entry: Entry) -> list[Entry]:
    return [file for file in entry["files"] if file["rendering"] == _LAKE]


def _file(body: Entry) -> NewFile:
    return NewFile(
        Rendering(body["rendering"]),
        body["part"],
        body["path"],
        body["sizeBytes"],
        body["sha256"],
        body["lineItems"],
        body["offset"],
    )


def _key(connection: Connection, table: Any, values: Mapping[str, Any]) -> int:
    made = connection.execute(insert(table).values(**values)).inserted_primary_key
    assert made is not None
    return int(made[0])
