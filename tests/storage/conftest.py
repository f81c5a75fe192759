"""Catalogs to test, one for each engine, and publications to put in them."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from counterfoil.model import Contents, Dataset, Rendering
from counterfoil.storage.catalog import Catalog
from counterfoil.storage.catalog_rows import NewFile, NewSegment, Revision
from counterfoil.storage.engines import open_store
from counterfoil.storage.store import Store
from tests import committing
from tests.storage.memory import memory_store
from tests.storage.postgres_server import PostgresServer

# One store, opened as often as wanted, in a folder of its own. A new engine is one line here.
STORES: dict[str, Callable[[Path, pytest.FixtureRequest], Callable[[], Store]]] = {
    "folder": lambda data, _: lambda: open_store(data),
    "memory": lambda data, _: memory_store(data),
    "postgres": lambda data, request: partial(open_store, data, request.getfixturevalue("postgres").url()),
}
ENGINES = [pytest.param(name, marks=[pytest.mark.engines] if name == "postgres" else []) for name in STORES]
NOW = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)

OpenStore = Callable[[], Store]
OpenCatalog = Callable[[], Catalog]
Publish = Callable[..., Revision]
MakeSegment = Callable[..., NewSegment]
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(params=ENGINES)
def open_again(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenStore]:
    """Open one and the same store again and again."""
    with ExitStack() as opened:
        open_one = STORES[request.param](tmp_path / "data", request)
        yield lambda: opened.enter_context(open_one())


@pytest.fixture
def store(open_again: OpenStore) -> Store:
    """An empty store."""
    return open_again()


@pytest.fixture
def catalog(store: Store) -> Catalog:
    """An empty catalog."""
    return store.catalog


def contents_of(line_items: Iterable[int]) -> Contents:
    """What a segment of these amounts holds, in EUR."""
    amounts = list(line_items)
    digests = sorted(hashlib.sha256(str(amount).encode()).digest() for amount in amounts)
    digest = hashlib.sha256(b"".join(digests)).hexdigest()
    return Contents(len(amounts), digest, "EUR", {"Total": Decimal(sum(amounts))})


def segment_of(publication: str, dataset: Dataset, name: str, line_items: Iterable[int]) -> NewSegment:
    """A segment with one file in each rendering. Its line items are amounts in EUR."""
    contents = contents_of(line_items)
    stem = f"{publication}-{uuid.uuid4().hex[:8]}"
    files = [
        NewFile(rendering, 0, f"v1/{stem}.{rendering}", 10, "ab" * 32, contents.line_items)
        for rendering in Rendering
        if rendering is not Rendering.V1 or not dataset.scope.is_billed
    ]
    return NewSegment(dataset, name, dataset.partner, contents, tuple(files), {"unknown attributes": 2})


@pytest.fixture
def make_segment() -> MakeSegment:
    """Make a segment of (publication, dataset, name, amounts)."""
    return segment_of


@pytest.fixture
def publish(catalog: Catalog) -> Publish:
    """Commit one dataset given as {segment name: amounts}, on the revision in force unless told otherwise."""

    def commit(
        dataset: Dataset, segments: Mapping[str, Iterable[int]], now: datetime = NOW, base: str | None = "in force"
    ) -> Revision:
        if base == "in force":
            current = catalog.in_force(dataset)
            base = None if current is None else current.id
        publication = uuid.uuid4().hex
        catalog.begin_publication(publication, now)
        made = [segment_of(publication, dataset, name, amounts) for name, amounts in segments.items()]
        [revision] = committing.commit(catalog, publication, made, {dataset: base}, now)
        return revision

    return commit


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start catalog_process.py on the data folder, in a process of its own; it has said that it is ready."""
    script = Path(__file__).with_name("catalog_process.py")
    with ExitStack() as started:

        def run(*arguments: str) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, script, tmp_path / "data", *arguments],
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            started.enter_context(process)
            started.callback(process.kill)
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            return process

        yield run
