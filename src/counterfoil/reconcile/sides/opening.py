"""Opening a side: one name becomes one side, or one sentence that says what to change.

Published datasets are read through the `PublishedDatasets` protocol. What implements it stands above this room, because
it needs the server's libraries; it is loaded by its name when a dataset is named, and not before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Final

from counterfoil.client.receipt import FILE_NAME
from counterfoil.errors import SideError, UsageError, member_of
from counterfoil.model import Kind, tenant_id
from counterfoil.reconcile.sides.file_sides import file_side
from counterfoil.reconcile.sides.ledgers.ledger_sides import is_ledger, ledger_side
from counterfoil.reconcile.sides.naming import FORMS, wanted_of
from counterfoil.reconcile.sides.pull_sides import pull_side
from counterfoil.reconcile.sides.side import PublishedDatasets, PublishedState, Reading, Side, Wanted

PUBLISHED_SIDES: Final = "counterfoil.published_sides"
DATA: Final = Path("counterfoil-data")


@contextmanager
def opened_side(
    name: str,
    *,
    kind: Kind | str | None = None,
    currency: str = "",
    partner: str = "",
    mapping: Path | str | None = None,
    data: Path | str = DATA,
    database_url: str = "",
) -> Iterator[Reading]:
    """Open the side of this name, to read the line items of one currency and one partner.

    A file with a `mapping` is a ledger, see `ledgers.ledger_mapping`.

    Raises UsageError for a name that cannot be right, MissingError for one that names nothing here, and SideError for
    a side that cannot be answered for: damaged, of another kind, or of several partners where none was chosen.
    """
    kind = None if kind is None else _kind(kind)
    tenant = tenant_id(partner) if partner else ""
    wanted = wanted_of(name)
    if mapping is not None and wanted is not None:
        raise UsageError(
            f"{name} is published, and needs no mapping.",
            remedy="Leave the mapping out, or name the file of a ledger.",
            parameter="mapping",
        )
    if wanted is None:
        if mapping is not None or is_ledger(name):
            side = ledger_side(name, mapping=mapping, kind=kind, partner=tenant)
        else:
            side = _at(name, kind)
        _check_partner(side, tenant)
        yield Reading(side, currency=currency, partner=tenant)
        return
    with _published(Path(data), database_url) as published:
        side = _only_one(published, wanted, name, kind, tenant)
        yield Reading(side, currency=currency)


def published_states(
    name: str,
    *,
    kind: Kind | str | None = None,
    partner: str = "",
    data: Path | str = DATA,
    database_url: str = "",
) -> list[PublishedState]:
    """Return the revisions of the dataset that a name means, from the one it means back to the first.

    Raises UsageError for a path, and as `opened_side` does.
    """
    wanted = wanted_of(name)
    if wanted is None:
        raise UsageError(f"{name} is no published dataset.", remedy="A dataset is invoice:ID or unbilled:YYYY-MM:CCC.")
    tenant = tenant_id(partner) if partner else ""
    with _published(Path(data), database_url) as published:
        side = _only_one(published, wanted, name, None if kind is None else _kind(kind), tenant)
        states = published.states(side)
    at = next((at for at, state in enumerate(states) if state.revision == side.revision), 0)
    return states[at:]


def _kind(kind: Kind | str) -> Kind:
    return member_of(Kind, kind, f"{kind!r} is no kind of line items.", "kind")


def _at(name: str, kind: Kind | None) -> Side:
    if not name or "\0" in name:
        raise UsageError(f"{name!r} names no side.", remedy=f"A side is {FORMS}.")
    path = Path(name)
    if not path.exists():
        raise UsageError(f"There is no {name}.", remedy=f"A side is {FORMS}.")
    if path.name == FILE_NAME:
        path = path.parent
    side = pull_side(path, name) if path.is_dir() else file_side(path, name)
    if kind not in (None, side.kind):
        raise SideError(
            f"{name} holds {side.kind} line items, and {kind} was expected.",
            remedy="Name a side of that kind, or leave the kind out.",
            parameter="kind",
        )
    return side


def _check_partner(side: Side, tenant: str) -> None:
    if tenant and side.partner and side.partner != tenant:
        raise SideError(
            f"{side.name} is of the partner {side.partner}, and {tenant} was asked for.",
            remedy="Name a side of that partner, or leave the partner out.",
            parameter="partner",
        )


@contextmanager
def _published(data: Path, database_url: str) -> Iterator[PublishedDatasets]:
    try:
        module = import_module(PUBLISHED_SIDES)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"Published datasets need the server's libraries, and {error.name} is not installed.",
            remedy='Install them with: pip install "counterfoil[server]"',
        ) from error
    with module.opened(data, database_url) as published:
        yield published


def _only_one(published: PublishedDatasets, wanted: Wanted, name: str, kind: Kind | None, tenant: str) -> Side:
    found = published.find(wanted, name, kind=kind, partner=tenant)
    if not found:
        raise _not_there(published.find(wanted, name, kind=None, partner=""), name, kind, tenant)
    partners = sorted({side.partner for side in found})
    if len(partners) > 1:
        raise SideError(
            f"{name} is published for {len(partners)} partners: {', '.join(partners[:8])}.",
            remedy="Name the partner whose line items count.",
            parameter="partner",
        )
    if len({side.kind for side in found}) > 1:
        raise SideError(
            f"{name} is published as reconciliation and as usage line items.",
            remedy="Name the kind.",
            parameter="kind",
        )
    return found[0]


def _not_there(others: Sequence[Side], name: str, kind: Kind | None, tenant: str) -> SideError:
    asked = " ".join(
        part for part in (f"as {kind}" if kind else "", f"for the partner {tenant}" if tenant else "") if part
    )
    there = "; ".join(f"as {side.kind} for the partner {side.partner}" for side in others[:4])
    if not there:
        return SideError(f"{name} is not published here.", remedy="`counterfoil list` shows what is.")
    return SideError(f"{name} is not published {asked}; it is {there}.", remedy="Name the one that is meant.")
