"""The rows of *Lines*: the largest differences, largest first, in memory that does not grow with their line items.

The trap: the files of a result are in the order in which differences were found, and reading them once for every row
would take hours. So the largest are chosen by their amounts alone; then the files are read once, in their order, and
of each difference only its cells are kept, packed, until all can be given in the order of their size.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from counterfoil.reconcile.comparing.comparison import Comparison
from counterfoil.reconcile.comparing.found_difference import FoundDifference
from counterfoil.reconcile.reports.difference_rows import dates_of, note_in_words, totals_of
from counterfoil.reconcile.reports.report_facts import MATCHED

TOLD: Final = ("CustomerName", "CustomerId", "SubscriptionId", "ProductName", "SkuId", "ChargeType")


class LineRow(msgspec.Struct, frozen=True, array_like=True):
    """The cells of one difference. `left` and `right` are None where the line items do not say what they come to."""

    number: int
    told: tuple[str, ...]
    left: Decimal | None
    right: Decimal | None
    amount: Decimal
    causes: tuple[tuple[str, Decimal], ...]
    attributes: str
    notes: str


def line_rows(comparison: Comparison, most: int, titles: dict[str, str]) -> Iterator[LineRow]:
    """Yield the rows of at most so many differences. `titles` are what causes are called."""
    largest = heapq.nlargest(most, _amounts(comparison))
    if not largest:
        return
    places = {-negated: at for at, (_, negated) in enumerate(largest)}
    packed: list[bytes] = [b""] * len(largest)
    encode = msgspec.msgpack.Encoder().encode
    for found in comparison.differences(at_least=largest[-1][0]):
        at = places.get(found.number)
        if at is not None:
            packed[at] = encode(_row(found, comparison, titles))
    decode = msgspec.msgpack.Decoder(LineRow).decode
    for each in packed:
        yield decode(each)


def _amounts(comparison: Comparison) -> Iterator[tuple[Decimal, int]]:
    """Yield the size of each difference and its number, negated: of equal ones, the first is the larger."""
    for batch in comparison.files.batches("differences"):
        columns: Sequence[list[int | str]] = [batch.column(name).to_pylist() for name in ("number", "difference")]
        for number, text in zip(*columns, strict=True):
            yield Decimal(text).copy_abs(), -int(number)


def _row(found: FoundDifference, comparison: Comparison, titles: dict[str, str]) -> LineRow:
    left, right = totals_of(found, comparison.kind)
    return LineRow(
        found.number,
        (*(found.told(name) for name in TOLD), dates_of(found, comparison.kind), MATCHED[found.stage]),
        left,
        right,
        found.amount,
        tuple((each.cause.value, each.amount) for each in found.causes),
        ", ".join(found.attributes),
        "; ".join(note_in_words(each, titles) for each in found.notes),
    )
