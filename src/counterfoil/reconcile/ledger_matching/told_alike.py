"""Makes a bill tell no more than the ledger it is compared with: the same ids, and the same amounts.

The trap is tax. A ledger of net amounts says nothing of it, so with the bill's tax in the comparison every line would
differ by it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pyarrow as pa

from counterfoil.columns import table_of
from counterfoil.errors import SideError
from counterfoil.model import Kind
from counterfoil.reconcile.sides.ledgers.ledger_keys import stand_ins
from counterfoil.reconcile.sides.ledgers.ledger_mapping import PRICES, LedgerMapping
from counterfoil.reconcile.sides.side import Side


def told_as_by(bill: Side, mapping: LedgerMapping) -> Side:
    """Return a bill as the ledger of this mapping would tell it; raises SideError where it cannot."""
    sources = stand_ins(mapping.keys) | _amounts(bill, mapping)

    def batches(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        wanted = list(dict.fromkeys(source for name in names if (source := sources.get(name, name)) is not None))
        for batch in bill.batches(wanted):
            columns = [_column(batch, sources.get(name, name)) for name in names]
            yield pa.RecordBatch.from_arrays(columns, names=list(names))

    return replace(bill, batches=batches, parts=())


def conventions_of(mapping: LedgerMapping, kind: Kind) -> Iterator[str]:
    """Yield what a reader has to know of how a ledger and a bill were made comparable."""
    yield (
        f"Line items of either side are summed by {', '.join(mapping.matched_by)} before they are compared: a ledger "
        "may have several lines for one charge, or one for several."
    )
    if named := [f"{name} in place of {stood_for}" for stood_for, name in stand_ins(mapping.keys).items()]:
        yield f"The ledger tells names and no ids, so lines are matched by {' and '.join(named)}."
    if kind is Kind.USAGE:
        return
    if mapping.tells_gross_only:
        yield "The ledger tells amounts with tax alone, so amounts with tax are compared, and tax is no cause."
    elif not mapping.tells_tax:
        yield "The ledger tells no tax, so amounts before tax are compared."


def _amounts(bill: Side, mapping: LedgerMapping) -> dict[str, str | None]:
    totals = table_of(bill.kind).totals
    net, total = totals[0], totals[-1]
    if bill.kind is Kind.USAGE:
        if mapping.tells_gross_only:
            raise SideError(
                f"The ledger tells amounts with tax alone, and the usage line items of {bill.name} have no tax.",
                remedy="Map the ledger's amount before tax as Subtotal, or compare it with reconciliation line items.",
                parameter="mapping",
            )
        return {}
    if mapping.tells_gross_only:
        return {net: total, "TaxTotal": None, **dict.fromkeys(PRICES)}
    return {} if mapping.tells_tax else {total: net, "TaxTotal": None}


def _column(batch: pa.RecordBatch, source: str | None) -> pa.Array:
    return pa.nulls(batch.num_rows, pa.string()) if source is None else batch.column(source)
