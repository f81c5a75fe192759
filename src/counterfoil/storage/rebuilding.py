"""Rebuilding a lost catalog from what is beside the files: the listings of sealed publications, and the changes.

The listings say what was sealed, the changes what was committed, restored and withdrawn, in order. A publication that
was sealed and is in no change may never have been committed, so it is left unlisted, and kept. Clients, exports and
partners without a dataset in force are recorded nowhere but in the catalog, and do not come back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import Connection

from counterfoil.errors import DamagedError, LostCatalogError
from counterfoil.model import Dataset, Rendering
from counterfoil.storage import changes, partner_registry, publications, tables
from counterfoil.storage.catalog_rows import NewFile, Revision
from counterfoil.storage.change_log import ChangeLog, unsealed
from counterfoil.storage.commits import record, record_files, record_revision
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


def rebuild(log: ChangeLog, now: datetime) -> Rebuilt:
    """Fill a catalog, which is empty, from what is beside the files, and make it the one they belong to."""
    found, counter = gather(log.files), 0
    with suppress(LostCatalogError):  # a mark that is damaged
        mark = log.mark()
        counter = mark.counter if mark else 0
    with log.database.writing() as connection:
        changes.raise_to(connection, max([counter, *found.changes]) + 1)
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
        for counter, change in sorted(self._found.changes.items()):
            self._replay(counter, change)
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
                values = {**changes.dataset_to_json(dataset), "last_number": numbers[dataset]}
                ids[dataset] = record(self._connection, tables.datasets, values)
            segments = [self._segment(key) for key in keys]
            rendered = all(is_rendered for _, is_rendered in segments)
            ended = None if is_chosen and rendered else self._superseded.get(revision.id, self._now)
            known = replace(revision, superseded_at=ended)
            record_revision(self._connection, known, ids[dataset], counter, [number for number, _ in segments])
            count += 1
            if is_chosen:
                partner_registry.register(self._connection, dataset.partner, self._now)
                to_render += [] if rendered else [known]
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
        return {publication for publication, _, _ in self._found.segments} - self._committed

    def _replay(self, counter: int, change: Mapping[str, Any]) -> None:
        at = datetime.fromisoformat(change["at"])
        if "dataset" in change:
            self._put_in_force(changes.dataset_from_json(change["dataset"]), change["inForce"], at)
            return
        self._committed.add(change["publication"])
        for body in change["revisions"]:
            revision = changes.revision_from_json(body)
            keys = [(each["publication"], revision.dataset, each["name"]) for each in body["segments"]]
            self._revisions[revision.id] = revision, counter, keys
            self._put_in_force(revision.dataset, revision.id, at)

    def _put_in_force(self, dataset: Dataset, revision_id: str | None, at: datetime) -> None:
        before = self._in_force.pop(dataset, None)
        if before is not None:
            self._superseded[before] = max(at, self._revisions[before][0].published_at)
        if revision_id is not None and revision_id in self._revisions:
            self._in_force[dataset] = revision_id
            self._superseded.pop(revision_id, None)

    def _is_kept(self, key: Key) -> bool:
        entry = self._found.segments.get(key)
        return entry is not None and self._found.is_there(_lake(entry))

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
        segment_id = record(self._connection, tables.segments, values)
        record_files(self._connection, publication, segment_id, msgspec.convert(_lake(entry), list[NewFile]))
        if there:
            record_files(self._connection, made_by, segment_id, msgspec.convert(forms, list[NewFile]))
        self._segments[key] = segment_id, there
        return self._segments[key]

    def _publication(self, publication: str) -> None:
        if publication not in self._recorded:
            self._recorded.add(publication)
            publications.begin(self._connection, publication, self._now, self._found.sealed[publication])
            publications.commit(self._connection, publication, 0)


def _lake(entry: Entry) -> list[Entry]:
    return [file for file in entry["files"] if file["rendering"] == _LAKE]
