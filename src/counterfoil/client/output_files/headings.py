"""The columns of Partner Center's own files, in their order, and what those files have no column for.

A query built on these files may name columns or count them, so there is never one more and never one less. Values
without a column are left out and reported; Parquet holds everything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from counterfoil.columns import EXTRA, Column, table_of
from counterfoil.model import Kind

Note = Callable[[str], None]

# The daily rated usage file spells two names its own way, and has a column that Graph has not.
_SPELLED: Final = {"BenefitOrderID": "BenefitOrderId", "BenefitID": "BenefitId"}
_BEHIND: Final = {"PCToBCExchangeRate": "PCToBCExchangeRateDate"}


@cache
def columns_of(kind: Kind) -> Mapping[str, Column]:
    """Return the columns of Partner Center's reconciliation file or daily rated usage file, in order, by heading."""
    table = table_of(kind)
    found: dict[str, Column] = {}
    for column in table.graph_full:
        found[_SPELLED.get(column.name, column.name)] = column
        also = _BEHIND.get(column.name)
        if also is not None and not table.by_name[also].graph:
            found[also] = table.by_name[also]
    return found


class OmittedValues:
    """Counts the values for which a file has no column."""

    def __init__(self, kind: Kind) -> None:
        has = {column.name for column in columns_of(kind).values()}
        self._names = [name for name in (*(each.name for each in table_of(kind).columns), EXTRA) if name not in has]
        self._counts: Counter[str] = Counter()

    def look(self, batch: pa.RecordBatch) -> None:
        """Count those of a batch."""
        for name in self._names:
            if name in batch.schema.names:
                texts = batch.column(name)
                empty = pc.sum(pc.equal(texts, "")).as_py() or 0
                self._counts[name] += len(texts) - texts.null_count - empty

    def tell(self, note: Note) -> None:
        """Say what was left out, if anything was."""
        for name, count in self._counts.items():
            if count:
                what = "unknown attributes" if name == EXTRA else name
                items = f"{count:,} line item{'s' * (count != 1)}"
                note(f"Partner Center's file has no column for {what}, which {items} had. Parquet keeps everything.")


def texts_of(batch: pa.RecordBatch, name: str) -> pa.Array:
    """Return a column of text; one that is missing is empty throughout."""
    if name not in batch.schema.names:
        return pa.array([""] * batch.num_rows, pa.string())
    texts = batch.column(name)
    return pc.fill_null(texts if texts.type == pa.string() else texts.cast(pa.string()), "")


def quietly(message: str) -> None:
    """Discard the note."""
