"""The first reading of a side: what it comes to, whole and by group, and what the checks must know before matching.

Sums are exact and checked on the way. What is held is by day and by customer; the sums of the finest groups go to a
file, so that a breakdown by subscription of millions is made only when somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from counterfoil import numbers
from counterfoil.columns import table_of
from counterfoil.reconcile.comparing.found_difference import net_and_total
from counterfoil.reconcile.grouped_sums import GroupedSums, SummedGroup
from counterfoil.reconcile.side_totals import By, columns_of_key, shown
from counterfoil.reconcile.sides.side import PARTNER, Reading, Side

INVOICE: Final = "InvoiceNumber"
# What the finest groups are told apart by. Days are summed apart: with them there would be as many groups as lines.
KEYS: Final = (By.CUSTOMER, By.SUBSCRIPTION, By.PRODUCT, By.RESELLER, By.METER, By.CHARGE_TYPE)
_DAY_LENGTH: Final = len("2026-11-28")
_LISTED_MAX: Final = 1_000  # of the invoices and partners that a side names
_ZERO: Final = Decimal(0)


@dataclass(slots=True)
class Survey:
    """What a side comes to. Customers and subscriptions are known by the hash of their id in lower case.

    `days` are sums by the day of use, or of the beginning of the charge. `held` are the attributes that the side has.
    """

    side: Side
    sums: Path
    held: frozenset[str]
    currency: str = ""
    line_items: int = 0
    net: Decimal = _ZERO
    total: Decimal = _ZERO
    days: dict[str, SummedGroup] = field(default_factory=dict)
    customers: set[int] = field(default_factory=set)
    subscriptions: set[int] = field(default_factory=set)
    partners: set[str] = field(default_factory=set)
    invoices: set[str] = field(default_factory=set)

    def months(self) -> dict[str, int]:
        """Return how many line items are of each month, as `2026-10`."""
        found: dict[str, int] = {}
        for day in self.days.values():
            month = day.key[: len("2026-11")]
            found[month] = found.get(month, 0) + day.line_items
        return found


def surveyed(reading: Reading, sums: Path, progress: Callable[[int], None] = lambda _: None) -> Survey:
    """Read a side once. Raises SideError and InputError for one that cannot be answered for.

    The sums of its finest groups are written to the file `sums`.
    """
    side = reading.side
    held = frozenset(column.name for column in table_of(side.kind).columns)
    if side.attributes is not None:
        held = side.attributes
    survey = Survey(side, sums, held)
    net, total = net_and_total(side.kind)
    amounts = list(dict.fromkeys((net, total)))
    keys = [pair for by in KEYS for pair in columns_of_key(by, side.kind) if pair and pair in held]
    date = table_of(side.kind).date
    told = [name for name in (PARTNER, INVOICE) if name in held]
    names = list(dict.fromkeys([*amounts, *keys, date, *told]))
    by_day = GroupedSums(amounts, side.name)
    with pa.OSFile(str(sums), "wb") as sink, pa.ipc.new_file(sink, _SUMS) as writer:
        for batch in reading.batches(names):
            by_day.add([batch.column(name) for name in amounts], _days(batch.column(date)))
            writer.write_batch(_summed(batch, side, total, survey))
            for name, found in ((PARTNER, survey.partners), (INVOICE, survey.invoices)):
                if name in told and len(found) < _LISTED_MAX:
                    found |= {(text or "").lower() for text in pc.unique(batch.column(name)).to_pylist()}
            survey.line_items += batch.num_rows
            progress(batch.num_rows)
    survey.currency = reading.currency
    survey.days = by_day.groups
    for group in by_day.groups.values():
        survey.net = numbers.add(survey.net, group.amounts[0])
        survey.total = numbers.add(survey.total, group.amounts[-1])
    return survey


def name_field(by: By) -> str:
    """Return the column of a file of sums that names the groups of a grouping to people."""
    return f"{by} name"


def key_fields() -> Iterator[tuple[str, pa.DataType]]:
    """Yield the columns of a file of sums that say whose they are: the key of each grouping, and what names it."""
    for by in KEYS:
        yield by.value, pa.string()
        yield name_field(by), pa.string()


_SUMS: Final = pa.schema([*key_fields(), ("total", pa.string())])


def _summed(batch: pa.RecordBatch, side: Side, total: str, survey: Survey) -> pa.RecordBatch:
    """Sum a batch by its finest groups."""
    held = survey.held
    keys = [name for by in KEYS if (name := columns_of_key(by, side.kind)[0]) in held]
    numbered, rows = rows_by(batch, keys)
    sums = GroupedSums([total], side.name)
    sums.add([batch.column(total)], numbered, rows)
    groups = list(sums.groups.values())
    first = pa.array([int(group.name) for group in groups], pa.int64())
    columns: list[pa.Array] = []
    for by in KEYS:
        for name in columns_of_key(by, side.kind):
            found = batch.column(name).take(first).cast(pa.string()) if name and name in held else None
            columns.append(pa.nulls(len(groups), pa.string()) if found is None else found)
    for at, seen in ((0, survey.customers), (2, survey.subscriptions)):
        seen |= {hash((text or "").lower()) for text in pc.unique(columns[at]).to_pylist()}
    columns.append(pa.array([shown(group.amounts[0]) for group in groups], pa.string()))
    return pa.RecordBatch.from_arrays(columns, schema=_SUMS)


def rows_by(batch: pa.RecordBatch, names: Sequence[str]) -> tuple[pa.DictionaryArray, pa.Int64Array]:
    """Return which rows have the same texts under all of these names, and the number of each row.

    With the two as its keys and names, `GroupedSums` names each group by the row that it was first seen in.
    """
    codes = pa.repeat(pa.scalar(0, pa.int64()), batch.num_rows)
    for name in names:
        if name not in batch.schema.names:
            continue
        column = batch.column(name)
        coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        one = coded.indices.cast(pa.int64()).fill_null(len(coded.dictionary))
        codes = pc.add(pc.multiply(codes, len(coded.dictionary) + 1), one)
        codes = codes.dictionary_encode().indices.cast(pa.int64())  # dense again, so that nothing overflows
    dense = codes.dictionary_encode()
    numbered = pa.array([str(at) for at in range(len(dense.dictionary))], pa.string())
    return pa.DictionaryArray.from_arrays(dense.indices, numbered), pa.array(range(batch.num_rows), pa.int64())


def _days(dates: pa.Array) -> pa.Array:
    """Return the days of dates, as they stand there: no time zone moves a charge to another day."""
    if not pa.types.is_dictionary(dates.type):
        return pc.utf8_slice_codeunits(dates, 0, _DAY_LENGTH)
    days = pc.utf8_slice_codeunits(dates.dictionary.cast(pa.string()), 0, _DAY_LENGTH).dictionary_encode()
    return pa.DictionaryArray.from_arrays(days.indices.take(dates.indices), days.dictionary)
