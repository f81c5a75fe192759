"""Does one thing to a catalog in a process of its own: says `ready`, waits for a line, does it, says how it went.

Arguments: the data folder, what to do, and its arguments. The process may be killed at any moment; some of the
things to do stop at an interesting one and wait there for it.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from sqlalchemy import event

from counterfoil.errors import CounterfoilError
from counterfoil.model import AttributeSet, Contents, Dataset, Kind, Rendering, Scope
from counterfoil.storage.catalog_rows import NewFile, NewSegment, Operation
from counterfoil.storage.engines import open_store
from counterfoil.storage.sqlite import SqliteDatabase
from tests.committing import commit

PARTNER = "0e195b37-4574-4539-bc42-0e539b9684c0"
DATASET = Dataset(Kind.USAGE, PARTNER, Scope(period="2026-11", currency="EUR"))
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def wait() -> None:
    sys.stdin.readline()


def stop_there(*_: object) -> None:
    say("stopped")
    wait()


def open_only(data: Path) -> str:
    say("ready")
    wait()
    open_store(data).catalog.close()
    return "opened"


def publish(data: Path, segment: str, amount: str, stop: str = "") -> str:
    """Publish one segment of one line item; `stop` names where to stop and wait."""
    store = open_store(data)
    catalog = store.catalog
    base = catalog.in_force(DATASET)
    say("ready")
    wait()
    publication = store.begin(NOW)
    with publication.create(DATASET, segment, Rendering.LAKE) as writer:
        writer.write(amount.encode() * 1000)
    contents = Contents(1, f"{int(amount):064x}", "EUR", {"Total": Decimal(amount)})
    file = NewFile(Rendering.LAKE, 0, writer.path, writer.size_bytes, writer.sha256, 1)
    new = NewSegment(DATASET, segment, PARTNER, contents, (file,), {})
    bases = {DATASET: base.id if base else None}
    publication.seal([new])
    if stop == "before commit":
        stop_there()
    if stop == "in commit":
        database = catalog.log.database
        assert isinstance(database, SqliteDatabase)
        event.listen(database._engine, "commit", stop_there)
    with publication:
        [revision] = commit(catalog, publication.id, [new], bases, NOW)
        if stop == "after commit":
            stop_there()
    return f"{revision.number} {revision.contents.line_items}"


def export(data: Path, key: str, digest: str) -> str:
    """Submit an operation under an idempotency key."""
    catalog = open_store(data).catalog
    operation = Operation(
        str(uuid.uuid4()),
        str(uuid.uuid4()),
        DATASET,
        AttributeSet.FULL,
        None,
        NOW,
        NOW,
        NOW + timedelta(hours=24),
    )
    say("ready")
    wait()
    return catalog.add_operation(operation, key, digest).id


def hold_dataset(data: Path) -> str:
    """Hold the dataset's lock until a line comes."""
    with open_store(data).hold([DATASET]):
        say("ready")
        wait()
    return "let go"


def hold_publication(data: Path) -> str:
    """Hold a publication with one file in it until a line comes."""
    with open_store(data).begin(NOW) as publication:
        publication.create(DATASET, "whole", Rendering.LAKE).close()
        say("ready")
        wait()
    return "let go"


TO_DO: dict[str, Callable[..., str]] = {
    "open": open_only,
    "publish": publish,
    "export": export,
    "hold dataset": hold_dataset,
    "hold publication": hold_publication,
}

if __name__ == "__main__":
    try:
        say(TO_DO[sys.argv[2]](Path(sys.argv[1]), *sys.argv[3:]))
    except CounterfoilError as error:
        say(type(error).__name__)
