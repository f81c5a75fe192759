"""Changing what is in force: the commit of a publication, restore and withdraw.

Each runs inside one write transaction that its caller opened, and writers come one at a time, so what is read
here is still true when it is changed here. The files of a publication are sealed before; until the transaction
ends nobody can see them, and after it everybody does.

A segment that holds what the one in force holds already is not recorded again: the new revision shares the old row,
and the new files are deleted.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, select

from counterfoil.errors import MissingError, MovedError, RebaseError, UsageError
from counterfoil.model import WHOLE, Contents, Dataset, etag
from counterfoil.storage import changes, partner_registry, publications, revisions, rows, tables
from counterfoil.storage.catalog_rows import NewFile, NewSegment, Revision, Segment
from counterfoil.storage.places import publication_of
from counterfoil.storage.sealed_records import Committed, CommittedRevision, PutInForce


def commit(
    connection: Connection,
    publication: str,
    segments: Sequence[NewSegment],
    bases: Mapping[Dataset, str | None],
    computed_on: Mapping[Dataset, str | None],
    contents: Mapping[Dataset, Contents],
    now: datetime,
) -> list[Revision]:
    """Put a publication in force; return one revision per dataset, in the order the datasets first come in.

    `contents` are what each dataset holds afterwards, computed on the revisions `computed_on`. Raises MovedError where
    what is replaced moved since the base, and RebaseError where other segments moved since the contents were computed.
    """
    named: dict[Dataset, dict[str, NewSegment]] = {}
    for segment in segments:
        its = named.setdefault(segment.dataset, {})
        if segment.name in its:
            raise UsageError(f"Segment {segment.name} of {segment.dataset} is given twice.")
        its[segment.name] = segment
    assert named.keys() == bases.keys(), "every dataset that is published needs its base, and no other does"
    publications.commit(connection, publication, sum(len(segment.files) for segment in segments))
    change = changes.mark(connection).counter + 1
    work = _Commit(connection, publication, change, now)
    revisions_in_force = [
        work.one(its, bases[dataset], computed_on[dataset], contents[dataset]) for dataset, its in named.items()
    ]
    if not work.recorded:
        publications.forget_empty(connection, [publication])
        return revisions_in_force
    superfluous = {file.path for segment in segments for file in segment.files} - work.recorded
    publications.to_delete(connection, sorted(superfluous))
    counted = changes.count(connection, Committed(publication, tuple(work.made)))
    assert counted == change
    return revisions_in_force


class _Commit:
    """One publication while it is committed: the revisions it makes, and the paths of the files it records."""

    def __init__(self, connection: Connection, publication: str, change: int, now: datetime) -> None:
        self._connection = connection
        self._publication = publication
        self._change = change
        self._now = now
        self.made: list[CommittedRevision] = []
        self.recorded: set[str] = set()

    def one(
        self, new: Mapping[str, NewSegment], base_id: str | None, computed_on: str | None, contents: Contents
    ) -> Revision:
        """Commit one dataset; returns the revision in force then."""
        connection = self._connection
        dataset = next(iter(new.values())).dataset
        if WHOLE in new and len(new) > 1:
            raise UsageError(f"{dataset} is published as a whole and in named segments at once.")
        current = revisions.in_force(connection, dataset)
        held = _segments(connection, current.id if current else None)
        unchanged = {name for name in new if name in held and held[name].contents == new[name].contents}
        if current is not None and len(unchanged) == len(new):
            return current
        self._fence(dataset, base_id, current, new)
        if WHOLE in held and WHOLE not in new:
            raise UsageError(
                f"{dataset} is in force as a whole, so a named segment cannot be added to it.",
                remedy="Publish it as a whole again, or withdraw it first.",
            )
        kept = {} if WHOLE in new else dict(held)
        if kept and current is not None and current.id != computed_on:
            raise RebaseError(
                f"Other segments of {dataset} went to revision {current.id} meanwhile.", remedy="Try again."
            )
        _check_sum(dataset, [segment.contents for name, segment in kept.items() if name not in new], new, contents)
        ids = {name: (segment.id, segment.publication) for name, segment in kept.items()}
        for name in new.keys() - unchanged:
            ids[name] = record_segment(connection, self._publication, new[name], new[name].files), self._publication
            self.recorded.update(file.path for file in new[name].files)
        segment_ids = [segment_id for segment_id, _ in ids.values()]
        made = self._record_revision(dataset, contents, segment_ids, current)
        its = sorted((publication, name) for name, (_, publication) in ids.items())
        self.made.append(CommittedRevision(made, tuple(its)))
        return made

    def _fence(
        self, dataset: Dataset, base_id: str | None, current: Revision | None, new: Mapping[str, NewSegment]
    ) -> None:
        """Raise MovedError unless the publication may be built on what is in force now.

        It may when nothing moved, or when what it replaces is in force just as it was in its base.
        """
        current_id = None if current is None else current.id
        if current_id == base_id:
            return
        then, now_held = (
            {name: segment.contents for name, segment in _segments(self._connection, revision_id).items()}
            for revision_id in (base_id, current_id)
        )
        replaced = then.keys() | now_held.keys() if WHOLE in new else new.keys()
        # A withdrawal, or a base that was swept, is not a base to build on: nobody asked for only these segments.
        lost = base_id is not None and (current is None or not then)
        if lost or any(then.get(name) != now_held.get(name) for name in replaced):
            raise MovedError(
                f"{dataset} went from revision {base_id or 'none'} to {current_id or 'none'} "
                "while this publication was prepared; nothing was published.",
                remedy="Publish it again.",
            )

    def _record_revision(
        self, dataset: Dataset, contents: Contents, segment_ids: Iterable[int], current: Revision | None
    ) -> Revision:
        partner_registry.register(self._connection, dataset.partner, self._now)
        dataset_id, number = _next_number(self._connection, dataset)
        base_id = None
        if current is not None:
            base_id = current.id
            _supersede(self._connection, current.id, self._now)
        made = Revision(uuid.uuid4().hex, number, dataset, etag(dataset, contents), contents, self._now, base_id)
        record_revision(self._connection, made, dataset_id, self._change, segment_ids)
        return made


def _segments(connection: Connection, revision_id: str | None) -> dict[str, Segment]:
    if revision_id is None:
        return {}
    return {segment.name: segment for segment in revisions.segments(connection, revision_id)}


def _check_sum(dataset: Dataset, kept: Sequence[Contents], new: Mapping[str, NewSegment], contents: Contents) -> None:
    """Raise UsageError for two currencies, and for contents that count or sum otherwise than their segments."""
    parts = Contents.together([*kept, *(segment.contents for segment in new.values())], contents.digest)
    if (parts.line_items, parts.totals) != (contents.line_items, contents.totals):
        raise UsageError(f"The contents of {dataset} are not those of its segments.")


def record_segment(
    connection: Connection, publication: str, segment: NewSegment, files: Sequence[NewFile], *, rendered: bool = True
) -> int:
    """Insert a segment that a publication made, and some of its files; return its number."""
    values = {
        "name": segment.name,
        "publication": publication,
        "issuer": segment.issuer,
        "contents": segment.contents,
        "warnings": dict(segment.warnings),
        "rendered": rendered,
    }
    segment_id = rows.insert(connection, tables.segments, values)
    assert segment_id is not None
    record_files(connection, publication, segment_id, files)
    return segment_id


def record_files(connection: Connection, publication: str, segment_id: int, files: Sequence[NewFile]) -> None:
    """List sealed files of a publication under a segment."""
    assert all(publication_of(file.path) == publication for file in files), "a file of another publication"
    values = (
        {
            "segment_id": segment_id,
            "publication": publication,
            "rendering": file.rendering.value,
            "part": file.part,
            "path": file.path,
            "offset": file.offset,
            "length": file.size_bytes,
            "sha256": file.sha256,
            "line_items": file.line_items,
        }
        for file in files
    )
    rows.insert(connection, tables.files, *values)


def record_revision(
    connection: Connection, revision: Revision, dataset_id: int, change: int, segment_ids: Iterable[int]
) -> None:
    """Insert a revision and its segments; `change` is the number of the change that made it."""
    values = {
        "id": revision.id,
        "dataset_id": dataset_id,
        "number": revision.number,
        "etag": revision.etag,
        "contents": revision.contents,
        "published_at": revision.published_at,
        "base_id": revision.base_id,
        "superseded_at": revision.superseded_at,
        "billed": revision.dataset.scope.is_billed,
        "swept": False,
        "change": change,
    }
    rows.insert(connection, tables.revisions, values)
    held = ({"revision_id": revision.id, "segment_id": segment_id} for segment_id in segment_ids)
    rows.insert(connection, tables.revision_segments, *held)


def _next_number(connection: Connection, dataset: Dataset) -> tuple[int, int]:
    its = revisions.is_dataset(dataset)
    if (row := connection.execute(select(tables.datasets).where(its)).first()) is not None:
        rows.update(connection, tables.datasets, its, {"last_number": row.last_number + 1})
        return row.id, row.last_number + 1
    return record_dataset(connection, dataset, 1), 1


def record_dataset(connection: Connection, dataset: Dataset, last_number: int) -> int:
    """Insert a dataset, whose last revision had this number; return the number of its row."""
    made = rows.insert(connection, tables.datasets, {**revisions.dataset_values(dataset), "last_number": last_number})
    assert made is not None
    return made


def set_in_force(
    connection: Connection, dataset: Dataset, revision_id: str | None, expected: str | None, now: datetime
) -> None:
    """Put a revision of the dataset in force, or none."""
    current = revisions.in_force(connection, dataset)
    current_id = None if current is None else current.id
    if current_id != expected:
        raise MovedError(
            f"{dataset} went from revision {expected or 'none'} to {current_id or 'none'} meanwhile; "
            "nothing was changed.",
            remedy="Look at it again: counterfoil list",
        )
    if revision_id == current_id:
        return
    if revision_id is not None:
        _require_servable(connection, dataset, revision_id)
    # In this order: the index allows one revision in force, at every moment.
    if current_id is not None:
        _supersede(connection, current_id, now)
    if revision_id is not None:
        chosen = tables.revisions.c.id == revision_id
        rows.update(connection, tables.revisions, chosen, {"superseded_at": None, "swept": False})
    changes.count(connection, PutInForce(dataset, revision_id, now))


def _require_servable(connection: Connection, dataset: Dataset, revision_id: str) -> None:
    partner_registry.require(connection, dataset.partner)
    chosen = revisions.by_id(connection, revision_id)
    if chosen is None or chosen.dataset != dataset:
        raise MissingError(f"{dataset} has no revision {revision_id}.", remedy="See: counterfoil list")
    # A sweep may have come between rendering it again and this transaction. Sweep itself leaves alone what is in
    # force when its transaction runs, so a revision in force always has its renderings.
    if not all(segment.rendered for segment in revisions.segments(connection, revision_id)):
        raise MovedError(
            f"Revision {revision_id} of {dataset} was swept meanwhile and must be rendered again.",
            remedy="Restore it again.",
        )


def _supersede(connection: Connection, revision_id: str, now: datetime) -> None:
    # Never before it was published, whatever a clock that was set back says.
    chosen = tables.revisions.c.id == revision_id
    rows.update(connection, tables.revisions, chosen, lambda row: {"superseded_at": max(now, row["published_at"])})
