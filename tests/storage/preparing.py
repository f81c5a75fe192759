"""Publishing a small segment into any store, step by step."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from counterfoil.model import Contents, Dataset, Kind, Rendering, Scope
from counterfoil.storage.catalog_rows import NewFile, NewSegment, Revision
from counterfoil.storage.store import Publication, Store
from tests.committing import commit

PARTNER = "0e195b37-4574-4539-bc42-0e539b9684c0"
USAGE = Dataset(Kind.USAGE, PARTNER, Scope(period="2026-11", currency="EUR"))
INVOICES = [Dataset(Kind.RECONCILIATION, PARTNER, Scope(invoice=f"G{n}")) for n in range(3)]
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SEALED = {Rendering.LAKE: b"lake", Rendering.GRAPH_FULL: b"full", Rendering.GRAPH_BASIC: b"basic", Rendering.V1: b"v1"}

Prepared = tuple[list[NewSegment], dict[Dataset, str | None]]


def prepare(store: Store, publication: Publication, amount: int, dataset: Dataset = USAGE) -> Prepared:
    """Write and seal one segment; what is left to do is the commit."""
    files = []
    for rendering, content in SEALED.items():
        with publication.create(dataset, "whole", rendering) as writer:
            writer.write(content * amount)
        files.append(NewFile(rendering, 0, writer.path, writer.size_bytes, writer.sha256, 1))
    segment = NewSegment(
        dataset, "whole", PARTNER, Contents(1, f"{amount:064x}", "EUR", {"Total": Decimal(amount)}), tuple(files), {}
    )
    current = store.catalog.in_force(dataset)
    bases = {dataset: current.id if current else None}
    publication.seal([segment])
    return [segment], bases


def published(store: Store, amount: int, now: datetime = NOW, dataset: Dataset = USAGE) -> Revision:
    """Publish one segment."""
    with store.begin(now) as publication:
        segments, bases = prepare(store, publication, amount, dataset)
        [revision] = commit(store.catalog, publication.id, segments, bases, now)
    return revision


def paths(store: Store) -> set[str]:
    """Every file that is there."""
    return {found.path for found in store.files.find()}
