"""Opens two sides, of which one may be a ledger: then the other is made to tell no more than the ledger does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from counterfoil.errors import UsageError
from counterfoil.model import Kind
from counterfoil.reconcile.ledger_matching.told_alike import told_as_by
from counterfoil.reconcile.sides.ledgers.ledger_mapping import LedgerMapping
from counterfoil.reconcile.sides.ledgers.ledger_sides import is_ledger
from counterfoil.reconcile.sides.naming import wanted_of
from counterfoil.reconcile.sides.opening import opened_side
from counterfoil.reconcile.sides.side import Reading, Side


@contextmanager
def opened_pair(
    names: tuple[str, str],
    kinds: tuple[Kind | str | None, Kind | str | None],
    *,
    currency: str,
    partner: str,
    mapping: Path | str | None,
    data: Path | str,
    database_url: str,
) -> Iterator[tuple[Reading, Reading]]:
    """Open left and right. A `mapping` is for the side that is named as a ledger, or else for the right file of two.

    The bill is opened first: it says of which kind the ledger is. Raises as `opened_side` does, and UsageError for two
    ledgers.
    """
    at = _ledger_at(names, has_mapping=mapping is not None)
    with ExitStack() as opened:

        def side(index: int, kind: Kind | str | None, its: Path | str | None = None) -> Reading:
            return opened.enter_context(
                opened_side(
                    names[index],
                    kind=kind,
                    currency=currency,
                    partner=partner,
                    mapping=its,
                    data=data,
                    database_url=database_url,
                )
            )

        if at is None:
            yield side(0, kinds[0]), side(1, kinds[1])
            return
        bill = side(1 - at, kinds[1 - at])
        ledger = side(at, bill.side.kind, mapping)
        assert ledger.side.ledger is not None
        told = told_as_by(bill.side, ledger.side.ledger.mapping)
        bill = Reading(told, currency=currency, partner=partner)
        yield (ledger, bill) if at == 0 else (bill, ledger)


def mapping_of(left: Side, right: Side) -> LedgerMapping | None:
    """Return the mapping of the side that is a ledger, None if neither is."""
    return next((side.ledger.mapping for side in (left, right) if side.ledger is not None), None)


def _ledger_at(names: tuple[str, str], *, has_mapping: bool) -> int | None:
    named = [at for at, name in enumerate(names) if is_ledger(name)]
    if len(named) > 1:
        raise UsageError(
            f"{names[0]} and {names[1]} are both ledgers.",
            remedy="Name the provider's bill as one of the sides: a published dataset, a pull or a file of line items.",
        )
    if named or not has_mapping:
        return named[0] if named else None
    files = [at for at, name in enumerate(names) if wanted_of(name) is None]
    if not files:
        raise UsageError(
            "Neither side is a file, so there is no ledger that the mapping is for.",
            remedy="Name the file of the ledger as a side.",
            parameter="mapping",
        )
    return files[-1]
