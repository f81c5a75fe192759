"""Who did what: a record that is only ever added to, each row chained to the one before by a hash.

A row's chain goes over the chain of the row before and over its own ids, time and count, and over the SHA-256 of its
details. So a row that was changed, taken out or put in breaks the chain; but the details themselves, such as names and
addresses, can be erased for a partner, and the chain still holds. They have a salt, so that what was erased cannot be
guessed from its hash. Rows end by age, the oldest first; `activity_ends` says where the chain begins and ends.

The chain shows damage and careless hands. Whoever may write the catalog can compute it anew: to hold it against
somebody, keep the last chain elsewhere (`counterfoil activity` prints it).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import takewhile
from typing import Any, Final

from sqlalchemy import Connection, delete, select, true

from counterfoil.disk import documents
from counterfoil.disk.process_owner import NOBODY
from counterfoil.lifetimes_and_sizes import CLOCK_ERROR_MAX
from counterfoil.storage import rows, tables
from counterfoil.storage.column_types import microseconds

_SALT: Final = "salt"
_SALT_BYTES: Final = 16
_ROWS_AT_A_TIME: Final = 1_000
_COLUMNS: Final = tables.activity.c


class Action(StrEnum):
    """What can be done."""

    SIGN_IN = "sign-in"
    SIGN_IN_FAILED = "sign-in-failed"
    REFUSED = "refused"  # a request with a token or link that is not good
    EXPORT = "export"
    WALK = "walk"
    DOWNLOAD = "download"
    PUBLISH = "publish"
    RESTORE = "restore"
    WITHDRAW = "withdraw"
    PARTNER_ADD = "partner-add"
    PARTNER_REMOVE = "partner-remove"
    PARTNER_ERASE = "partner-erase"
    CLIENT_ADD = "client-add"
    CLIENT_REVOKE = "client-revoke"
    SECRET_ADD = "secret-add"  # noqa: S105 - a word, no password
    SECRET_REMOVE = "secret-remove"  # noqa: S105 - a word, no password
    CREDENTIAL_ADD = "credential-add"
    KEY_ROTATE = "key-rotate"
    BACKUP = "backup"
    RESTORE_BACKUP = "restore-backup"
    BREAKS_RECORD = "breaks-record"
    BREAK_NOTE = "break-note"
    BREAK_ACCEPT = "break-accept"


@dataclass(frozen=True, slots=True)
class NewActivity:
    """Something that was done, or several alike. `actor` is a client's id, or the user of a command.

    `partner` and `subject` are ids: what it was done to. All else that there is to say is in `details`, which erasing
    the partner takes away; no secret is ever in them.
    """

    action: Action
    at: datetime
    actor: str = NOBODY
    partner: str = ""
    subject: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    count: int = 1


@dataclass(frozen=True, slots=True)
class RecordedActivity(NewActivity):
    """One row of the record; its details are empty where they were erased."""

    number: int = 0
    chain: str = ""


def append(connection: Connection, entries: Sequence[NewActivity], kept: timedelta) -> None:
    """Add to the record, and forget some of what is older than `kept`.

    A clock that is far ahead of the row before is not believed, as by a sweep.
    """
    if not entries:
        return
    ends = connection.execute(select(tables.activity_ends)).one()
    before = connection.execute(select(_COLUMNS.at).where(_COLUMNS.number == ends.number)).scalar()
    number, chain, added = ends.number, ends.chain, []
    for entry in entries:
        number += 1
        row = _row_of(number, entry)
        chain = row["chain"] = _chain(chain, row)
        added.append(row)
    rows.insert(connection, tables.activity, *added)
    rows.update(connection, tables.activity_ends, true(), {"number": number, "chain": chain})
    if before is not None:
        _forget(connection, min(entries[-1].at, before + CLOCK_ERROR_MAX) - kept)


def _row_of(number: int, entry: NewActivity) -> dict[str, Any]:
    details = {**entry.details, _SALT: secrets.token_hex(_SALT_BYTES)} if entry.details else {}
    return {
        "number": number,
        "at": entry.at,
        "action": entry.action.value,
        "partner": entry.partner or None,
        "actor": entry.actor,
        "subject": entry.subject or None,
        "count": entry.count,
        "details": details or None,
        "details_sha256": documents.digest_of(details) if details else "",
    }


def _chain(before: str, row: Mapping[str, Any]) -> str:
    names = ("number", "action", "partner", "actor", "subject", "count", "details_sha256")
    return documents.digest_of({"before": before, "at": microseconds(row["at"]), **{name: row[name] for name in names}})


def _forget(connection: Connection, before: datetime) -> None:
    """Forget some of what is older than a time: the oldest rows, up to the first that is not."""
    oldest = select(_COLUMNS.number, _COLUMNS.at, _COLUMNS.chain).order_by(_COLUMNS.number).limit(_ROWS_AT_A_TIME)
    past = list(takewhile(lambda row: row.at < before, connection.execute(oldest).all()))
    if past:
        connection.execute(delete(tables.activity).where(_COLUMNS.number <= past[-1].number))
        rows.update(connection, tables.activity_ends, true(), {"before": past[-1].chain})


def read(
    connection: Connection,
    limit: int,
    *,
    partner: str | None = None,
    actor: str | None = None,
    actions: Sequence[Action] = (),
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[RecordedActivity]:
    """Return the newest rows for which all that is given holds, the oldest of them first."""
    found = select(tables.activity).order_by(_COLUMNS.number.desc()).limit(limit)
    if partner is not None:
        found = found.where(_COLUMNS.partner == partner)
    if actor is not None:
        found = found.where(_COLUMNS.actor == actor)
    if actions:
        found = found.where(_COLUMNS.action.in_([action.value for action in actions]))
    if since is not None:
        found = found.where(_COLUMNS.at >= since)
    if until is not None:
        found = found.where(_COLUMNS.at < until)
    return [_recorded(row) for row in reversed(connection.execute(found).mappings().all())]


def _recorded(row: Mapping[Any, Any]) -> RecordedActivity:
    details = {name: value for name, value in (row["details"] or {}).items() if name != _SALT}
    return RecordedActivity(
        Action(row["action"]),
        row["at"],
        row["actor"],
        row["partner"] or "",
        row["subject"] or "",
        details,
        row["count"],
        row["number"],
        row["chain"],
    )


def erase(connection: Connection, partner: str) -> int:
    """Take away the details of all that concerns a partner, so that ids, times and counts remain; return how many."""
    count, last = 0, 0
    its = (_COLUMNS.partner == partner, _COLUMNS.details.is_not(None))
    while True:
        found = select(_COLUMNS.number).where(*its, _COLUMNS.number > last).order_by(_COLUMNS.number)
        numbers = connection.execute(found.limit(_ROWS_AT_A_TIME)).scalars().all()
        if not numbers:
            return count
        last = numbers[-1]
        count += rows.update(connection, tables.activity, _COLUMNS.number.in_(numbers), {"details": None})


def faults(connection: Connection) -> Iterator[str]:
    """Yield where the chain does not hold, and the rows whose details are not those that it was made over."""
    ends = connection.execute(select(tables.activity_ends)).one_or_none()
    if ends is None:
        yield "the ends of the record of activity are missing"
        return
    chain, number = ends.before, None
    for row in _all(connection):
        if number is not None and row["number"] != number + 1:
            yield f"the record of activity lacks rows between {number} and {row['number']}"
        elif row["chain"] != _chain(chain, row):
            yield f"the chain of activity breaks at row {row['number']}"
        if row["details"] is not None and documents.digest_of(row["details"]) != row["details_sha256"]:
            yield f"the details of activity {row['number']} were changed"
        chain, number = row["chain"], row["number"]
    if (ends.number if number is None else number, chain) != (ends.number, ends.chain):
        yield f"the record of activity lacks its last rows, up to {ends.number}"


def _all(connection: Connection) -> Iterator[Mapping[str, Any]]:
    last = -1
    while True:
        found = select(tables.activity).where(_COLUMNS.number > last).order_by(_COLUMNS.number).limit(_ROWS_AT_A_TIME)
        portion = connection.execute(found).mappings().all()
        yield from map(dict, portion)
        if not portion:
            return
        last = portion[-1]["number"]
