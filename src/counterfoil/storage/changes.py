"""The counter of changes that must not be lost, and the changes that are still to be written beside the files.

Each change has a row for as long as it has a file of its own there. Its document is emptied once that file is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from sqlalchemy import Connection, and_, delete, select, update

from counterfoil.errors import DamagedError
from counterfoil.storage import rows, tables
from counterfoil.storage.places import change_path
from counterfoil.storage.sealed_records import Change, Event, Mark

_META = tables.meta.c
_CHANGES = tables.changes.c


def mark(connection: Connection) -> Mark:
    """Return the catalog's id, how many changes it has made, and how many of them it remembers."""
    chosen = select(tables.meta).where(_META.key.in_(("id", "counter", "remembered")))
    found = {row.key: row.value for row in connection.execute(chosen)}
    try:
        return msgspec.convert(
            {"catalog": found["id"], "counter": int(found["counter"]), "remembered": int(found["remembered"])}, Mark
        )
    except (KeyError, ValueError) as error:
        raise DamagedError(
            "The id of the catalog or its counter of changes is damaged.", remedy="Bring it back from a backup."
        ) from error


def count(connection: Connection, what: Event) -> int:
    """Count one more change, which is to be written beside the files, and return its number."""
    now = mark(connection)
    counter = now.counter + 1
    _set(connection, "counter", counter)
    rows.insert(connection, tables.changes, {"counter": counter, "document": Change(now.catalog, counter, what)})
    _set(connection, "remembered", now.remembered + 1)
    return counter


def take_over(connection: Connection, numbers: Sequence[int]) -> None:
    """Remember changes that are beside the files, in a catalog that has made none."""
    if numbers:
        raise_to(connection, max(numbers))
        rows.insert(connection, tables.changes, *({"counter": number, "document": {}} for number in numbers))
        _set(connection, "remembered", len(numbers))


def raise_to(connection: Connection, counter: int) -> None:
    """Make the counter at least this one, so that no number is given to a second change."""
    if mark(connection).counter < counter:
        _set(connection, "counter", counter)


def unwritten(connection: Connection) -> list[Change]:
    """Return the changes that may not be beside the files yet, in order."""
    found = connection.execute(select(tables.changes).where(tables.UNWRITTEN).order_by(_CHANGES.counter))
    return [msgspec.convert(row.document, Change) for row in found]


def written(connection: Connection, counter: int) -> None:
    """Empty the documents of the changes up to a counter: they are beside the files."""
    rows.update(connection, tables.changes, and_(tables.UNWRITTEN, _CHANGES.counter <= counter), {"document": {}})


def remembered(connection: Connection) -> set[int]:
    """Return the numbers of all changes that are, or will be, beside the files."""
    return set(connection.execute(select(_CHANGES.counter)).scalars())


def forget(connection: Connection, numbers: Iterable[int]) -> list[str]:
    """Forget changes that are not needed any more; return the paths of their files."""
    numbers = set(numbers)
    gone = connection.execute(delete(tables.changes).where(_CHANGES.counter.in_(numbers))).rowcount
    _set(connection, "remembered", mark(connection).remembered - gone)
    return [change_path(number) for number in numbers]


def _set(connection: Connection, key: str, value: int) -> None:
    connection.execute(update(tables.meta).where(_META.key == key).values(value=str(value)))
