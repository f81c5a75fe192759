"""Erasing a partner for good: everything it is served from, and all that the catalog and the records say of it.

Three steps, of which each may be cut short and is then done again: the partner is no longer served; the records beside
the files that it shares with other partners are written again without it; the catalog forgets it and notes its files,
which are then deleted. What stays are ids: that the tenant was removed, and when datasets of it were withdrawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from msgspec.structs import replace
from sqlalchemy import Connection, Select, delete, func, select

from counterfoil.errors import DamagedError
from counterfoil.model import Dataset
from counterfoil.storage import activity, changes, partner_registry, retention, revisions, rows, sealed_records, tables
from counterfoil.storage.files import Files
from counterfoil.storage.places import change_path, listing_of
from counterfoil.storage.sealed_records import Change, Committed, PutInForce, SealedPublication


@dataclass(frozen=True, slots=True)
class Erased:
    """What was erased."""

    datasets: int
    revisions: int
    clients: int
    exports: int


@dataclass(frozen=True, slots=True)
class HeldOfPartner:
    """What the catalog holds of a partner: its datasets, and the publications and changes that speak of them."""

    datasets: list[Dataset]
    publications: list[str]
    changes: list[int]
    is_registered: bool


def held_of(connection: Connection, tenant: str) -> HeldOfPartner:
    """Return what there is of a partner."""
    columns = tables.datasets.c
    named: Select[Any] = select(columns.partner, columns.kind, columns.invoice, columns.period, columns.currency)
    named = named.where(columns.partner == tenant)
    found = [revisions.dataset_of(row) for row in connection.execute(named.order_by(*named.selected_columns))]
    its = select(tables.revisions.c.id).join(tables.datasets).where(tables.datasets.c.partner == tenant)
    of_segments = (
        select(tables.segments.c.publication)
        .join(tables.revision_segments)
        .where(tables.revision_segments.c.revision_id.in_(its))
        .distinct()
    )
    numbers = select(tables.revisions.c.change).where(tables.revisions.c.id.in_(its)).distinct()
    return HeldOfPartner(
        found,
        sorted(connection.execute(of_segments).scalars()),
        sorted(connection.execute(numbers).scalars()),
        partner_registry.registered(connection, tenant),
    )


def withdraw_all(connection: Connection, tenant: str, now: datetime) -> None:
    """Take everything of a partner out of force, in one change for each dataset."""
    current = revisions.SELECT.where(tables.datasets.c.partner == tenant, tables.revisions.c.superseded_at.is_(None))
    for row in connection.execute(current).all():
        chosen = tables.revisions.c.id == row.id
        rows.update(connection, tables.revisions, chosen, {"superseded_at": max(now, row.published_at)})
        changes.count(connection, PutInForce(revisions.dataset_of(row), None, now))


def leave_out(files: Files, held: HeldOfPartner, tenant: str) -> None:
    """Write the records that a partner shares with others again, without it."""
    for publication in held.publications:
        _leave_out_of_listing(files, listing_of(publication), tenant)
    for number in held.changes:
        path = change_path(number)
        try:
            change = sealed_records.read(files, path, Change)
        except DamagedError:  # `verify` tells of it
            continue
        if isinstance(change.what, Committed):
            others = tuple(made for made in change.what.revisions if made.revision.dataset.partner != tenant)
            if others and len(others) < len(change.what.revisions):
                files.put(path, sealed_records.encode(replace(change, what=replace(change.what, revisions=others))))


def _leave_out_of_listing(files: Files, path: str, tenant: str) -> None:
    try:
        listing = sealed_records.read(files, path, SealedPublication)
    except DamagedError:
        return
    others = tuple(segment for segment in listing.segments if segment.dataset.partner != tenant)
    if others and len(others) < len(listing.segments):
        # The names of input files may name the partner, and do not say whose they were.
        files.put(path, sealed_records.encode(replace(listing, segments=others, sources={})))


def forget(connection: Connection, tenant: str) -> Erased:
    """Forget everything of a partner that is not in force any more, and note its files to be deleted."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete = ON")  # or what was there stays readable in the file
    its_publications = held_of(connection, tenant).publications
    exports = connection.execute(delete(tables.operations).where(tables.operations.c.partner == tenant)).rowcount
    clients = connection.execute(
        select(func.count()).select_from(tables.clients).where(tables.clients.c.partner == tenant)
    ).scalar_one()
    ids = connection.execute(
        select(tables.revisions.c.id).join(tables.datasets).where(tables.datasets.c.partner == tenant)
    ).scalars().all()  # fmt: skip
    retention.forget(connection, ids)
    for publication in its_publications:
        rows.update(connection, tables.publications, tables.publications.c.id == publication, {"sources": {}})
    datasets = connection.execute(delete(tables.datasets).where(tables.datasets.c.partner == tenant)).rowcount
    if partner_registry.registered(connection, tenant):
        partner_registry.remove(connection, tenant)
    activity.erase(connection, tenant)
    return Erased(datasets, len(ids), clients, exports)


def paths_of(files: Files, tenant: str) -> list[str]:
    """Return the files of a partner, by their paths: also of those that no catalog lists."""
    marks = (f"/partner={tenant}/", f"graph/{tenant}/", f"v1/{tenant}/")
    return [found.path for found in files.find() if any(mark in found.path for mark in marks)]
