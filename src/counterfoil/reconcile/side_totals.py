"""Who costs what: the exact totals of a side, whole and by customer, product, day and so on.

The rows of a breakdown sum to the total, because what is not shown by name is one row, the others. Shares are the only
figures that are rounded, and nothing is computed from them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from counterfoil import numbers
from counterfoil.columns import table_of
from counterfoil.errors import SideError, UsageError, member_of
from counterfoil.model import Kind
from counterfoil.reconcile.grouped_sums import GroupedSums, SummedGroup
from counterfoil.reconcile.sides.opening import DATA, opened_side
from counterfoil.reconcile.sides.side import Reading, Side

TOP_BY_DEFAULT: Final = 10
_DAY_LENGTH: Final = len("2026-11-28")
_SHARE: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)
_PERCENT: Final = Decimal("0.01")
_ZERO: Final = Decimal(0)


class By(StrEnum):
    """What line items can be grouped by."""

    CUSTOMER = "customer"
    SUBSCRIPTION = "subscription"
    PRODUCT = "product"
    RESELLER = "reseller"
    METER = "meter"
    DAY = "day"
    CHARGE_TYPE = "charge-type"


# The attribute that is the key, and the one that names it to people; by kind where they differ.
_KEYS: Final[dict[By, tuple[str, str]]] = {
    By.CUSTOMER: ("CustomerId", "CustomerName"),
    By.SUBSCRIPTION: ("SubscriptionId", "SubscriptionDescription"),
    By.PRODUCT: ("ProductId", "ProductName"),
    By.RESELLER: ("Tier2MpnId", ""),
    By.CHARGE_TYPE: ("ChargeType", ""),
}
_KEYS_BY_KIND: Final[dict[tuple[By, Kind], tuple[str, str]]] = {
    (By.METER, Kind.USAGE): ("MeterId", "MeterName"),
    (By.METER, Kind.RECONCILIATION): ("MeterDescription", ""),
    (By.DAY, Kind.USAGE): ("UsageDate", ""),
    (By.DAY, Kind.RECONCILIATION): ("ChargeStartDate", ""),
}


def columns_of_key(by: By, kind: Kind) -> tuple[str, str]:
    """Return the attribute that line items of a kind are grouped by, and the one that names it ('': none does)."""
    return _KEYS.get(by) or _KEYS_BY_KIND[by, kind]


@dataclass(frozen=True, slots=True)
class GroupTotal:
    """One row of a breakdown: exact amounts by attribute, and the share of the total in percent, to two decimals.

    The row of the others has `groups`, how many they are, and no key. `share` is None where the total is zero.
    """

    key: str
    name: str
    line_items: int
    amounts: dict[str, Decimal]
    share: Decimal | None
    groups: int = 1

    def to_json(self) -> dict[str, object]:
        """Return the members of the row, amounts with all their digits."""
        return {
            "key": self.key,
            "name": self.name,
            "lineItems": self.line_items,
            "totals": {name: shown(value) for name, value in self.amounts.items()},
            "share": self.share,
        }


@dataclass(frozen=True, slots=True)
class SideTotals:
    """The exact totals of a side in one currency, and their breakdown.

    `gross` is the last of the totals: with tax for reconciliation line items; usage line items have no tax.
    """

    side: Side
    currency: str
    line_items: int
    totals: dict[str, Decimal]
    by: By | None = None
    groups: tuple[GroupTotal, ...] = ()
    others: GroupTotal | None = None
    expected: Decimal | None = None

    @property
    def gross_name(self) -> str:
        """The attribute that is held against an invoice document."""
        return table_of(self.side.kind).totals[-1]

    @property
    def gross(self) -> Decimal:
        """The sum of that attribute."""
        return self.totals[self.gross_name]

    @property
    def difference(self) -> Decimal | None:
        """The gross less what was expected; None where nothing was."""
        return None if self.expected is None else numbers.subtract(self.gross, self.expected)

    @property
    def is_as_expected(self) -> bool:
        """Whether the gross is what was expected, to the last digit, if anything was."""
        return not self.difference

    def to_json(self) -> dict[str, object]:
        """Return everything, amounts as texts with all their digits."""
        document: dict[str, object] = {
            "side": self.side.to_json(),
            "currency": self.currency,
            "lineItems": self.line_items,
            "totals": {name: shown(value) for name, value in self.totals.items()},
        }
        if self.expected is not None:
            assert self.difference is not None
            document["expected"] = {
                "amount": shown(self.expected),
                "against": self.gross_name,
                "difference": shown(self.difference),
            }
        if self.by is not None:
            document["by"] = self.by.value
            document["groups"] = [group.to_json() for group in self.groups]
            others = self.others
            document["others"] = None if others is None else {"groups": others.groups, **others.to_json()}
        return document

    def write_html(self, path: Path | str) -> None:
        """Write one HTML file for people.

        Raises UsageError where there is something of that name already, and CounterfoilError if it cannot be written.
        """
        # What writes it stands above this room, so it is loaded by its name.
        import_module("counterfoil.reconcile.reports.totals_page").write_totals_page(self, path)

    def to_arrow(self) -> pa.Table:
        """Return the breakdown as a table: key, name, line items, and the exact text of each amount."""
        rows = [*self.groups, *([self.others] if self.others else [])]
        columns: dict[str, Any] = {
            "key": pa.array([None if row is self.others else row.key for row in rows], pa.string()),
            "name": pa.array([row.name for row in rows], pa.string()),
            "lineItems": pa.array([row.line_items for row in rows], pa.int64()),
        }
        for name in self.totals:
            columns[name] = pa.array([shown(row.amounts[name]) for row in rows], pa.string())
        return pa.table(columns)


def totals(
    side: str,
    *,
    by: By | str | None = None,
    top: int | None = None,
    expect: Decimal | str | None = None,
    kind: Kind | str | None = None,
    currency: str = "",
    partner: str = "",
    data: Path | str = DATA,
    database_url: str = "",
    progress: Callable[[int], None] = lambda _: None,
) -> SideTotals:
    """Return the exact totals of a side, in one currency and of one partner.

    `side` is named as on the command line: `invoice:ID`, `unbilled:2026-10:EUR`, `revision:ID`, `etag:...` of the data
    folder `data`, the folder of a pull, or a file. `top` bounds the rows of a breakdown (10; every day of a breakdown
    by day; 0 for all). `expect` is the gross of the invoice document. `progress` is given counts of line items.

    Raises UsageError for an argument that cannot be right, and SideError, MissingError or InputError for a side that
    cannot be summed.
    """
    grouped = None if by is None else _by(by)
    if top is not None and top < 0:
        raise UsageError(f"{top} is not a number of rows.", remedy="Give 0 for all, or how many.", parameter="top")
    if top is not None and grouped is None:
        raise UsageError(
            "There are no rows to bound: the totals are not broken down.", remedy="Say by what.", parameter="by"
        )
    expected = None if expect is None else amount_of(expect)
    with opened_side(
        side, kind=kind, currency=currency, partner=partner, data=data, database_url=database_url
    ) as reading:
        sums = _summed(reading, grouped, progress)
    return _result(reading, sums, grouped, top, expected)


def amount_of(text: Decimal | str, parameter: str = "expect") -> Decimal:
    """Return an amount that somebody gives as this parameter; raises UsageError for what is no plain number."""
    written = numbers.plain(text) if isinstance(text, Decimal) and text.is_finite() else str(text).strip()
    if numbers.why_not_a_number(written):
        raise UsageError(
            f"{written!r} is not an amount.", remedy="Write it as 1234.56, without separators.", parameter=parameter
        )
    return numbers.exact(written)


def shown(value: Decimal) -> str:
    """Return all digits of an amount, and at least two decimals; zeros behind those go."""
    whole, _, decimals = numbers.plain(value).partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}" if value else "0.00"


def _by(by: By | str) -> By:
    return member_of(By, by, f"Line items are not grouped by {by!r}.", "by")


def _summed(reading: Reading, by: By | None, progress: Callable[[int], None]) -> GroupedSums:
    side = reading.side
    names = side.amounts
    key, label = ("", "") if by is None else columns_of_key(by, side.kind)
    if key and side.attributes is not None and key not in side.attributes:
        raise SideError(
            f"{side.name} holds the basic attribute set, which lacks {key}.",
            remedy="Name a side with the full attribute set, or group by something else.",
        )
    label = "" if side.attributes is not None and label not in side.attributes else label
    sums = GroupedSums(names, side.name)
    for batch in reading.batches([*names, *filter(None, (key, label))]):
        keys = batch.column(key) if key else None
        if by is By.DAY:
            keys = _days(keys)
        sums.add([batch.column(name) for name in names], keys, batch.column(label) if label else None)
        progress(batch.num_rows)
    return sums


def _days(dates: pa.Array) -> pa.Array:
    """Return the days of dates, as they stand there: no time zone moves a charge to another day."""
    if not pa.types.is_dictionary(dates.type):
        return pc.utf8_slice_codeunits(dates, 0, _DAY_LENGTH)
    days = pc.utf8_slice_codeunits(dates.dictionary, 0, _DAY_LENGTH).dictionary_encode()
    return pa.DictionaryArray.from_arrays(days.indices.take(dates.indices), days.dictionary)


def _result(
    reading: Reading, sums: GroupedSums, by: By | None, top: int | None, expected: Decimal | None
) -> SideTotals:
    names = reading.side.amounts
    total = dict(zip(names, _added(sums.groups.values(), len(names)), strict=True))
    named = SideTotals(reading.side, reading.currency, reading.line_items, total, by, expected=expected)
    if by is None:
        return named
    ordered = sorted(sums.groups.values(), key=_by_day if by is By.DAY else _by_size)
    kept = len(ordered) if top == 0 or (top is None and by is By.DAY) else top or TOP_BY_DEFAULT
    first, rest = ordered[:kept], ordered[kept:]
    groups = tuple(_row(group, names, named.gross) for group in first)
    others = None
    if rest:
        together = SummedGroup(
            "", f"{len(rest):,} others", sum(each.line_items for each in rest), _added(rest, len(names))
        )
        others = _row(together, names, named.gross, groups=len(rest))
    return SideTotals(reading.side, reading.currency, reading.line_items, total, by, groups, others, expected=expected)


def _by_day(group: SummedGroup) -> tuple[str, str]:
    return group.key, group.name


def _by_size(group: SummedGroup) -> tuple[Decimal, str]:
    return group.amounts[-1].copy_negate(), group.key


def _added(groups: Iterable[SummedGroup], columns: int) -> list[Decimal]:
    sums = [_ZERO] * columns
    for group in groups:
        sums = [numbers.add(mine, more) for mine, more in zip(sums, group.amounts, strict=True)]
    return sums


def _row(group: SummedGroup, names: Sequence[str], gross: Decimal, groups: int = 1) -> GroupTotal:
    amounts = dict(zip(names, group.amounts, strict=True))
    share = None
    if gross:
        share = _SHARE.quantize(_SHARE.divide(_SHARE.scaleb(group.amounts[-1], 2), gross), _PERCENT)
    return GroupTotal(group.key, group.name, group.line_items, amounts, share, groups)
