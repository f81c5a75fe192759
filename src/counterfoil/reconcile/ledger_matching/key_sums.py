"""Sums of the lines of a side by the attributes that charges are matched by: one line for each key, exact.

The trap is quantity: a refund may carry its sign on the price, so where lines are added, the sign of the amount goes
over to the quantity. Of several lines no price is told, because none of theirs is that of the sum.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from counterfoil import numbers
from counterfoil.columns import EXTRA, table_of
from counterfoil.model import Kind
from counterfoil.reconcile.grouped_sums import GroupedSums
from counterfoil.reconcile.matching import Line
from counterfoil.reconcile.side_totals import shown
from counterfoil.reconcile.sides.ledgers.ledger_mapping import SALE_AMOUNT

KEY: Final = "key"
NUMBER: Final = "number"
_NAMES: Final = (
    "CustomerName",
    "CustomerDomainName",
    "ProductName",
    "SkuName",
    "SubscriptionDescription",
    "Tier2MpnId",
)
_IDS: Final = ("PartnerId", "CustomerId", "SubscriptionId", "ProductId", "SkuId")
_OF_ONE_LINE: Final = (
    "ChargeType",
    "ChargeStartDate",
    "ChargeEndDate",
    "UsageDate",
    "UnitType",
    "UnitPrice",
    "EffectiveUnitPrice",
    "PCToBCExchangeRate",
    "PricingCurrency",
    "MeterDescription",
    "CreditPercentage",
    "CreditReasonCode",
    "PartnerEarnedCreditPercentage",
    "PriceAdjustmentDescription",
    "OrderId",
    "InvoiceNumber",
)
_PRICES: Final = ("Quantity", "UnitPrice", "EffectiveUnitPrice", "PCToBCExchangeRate")


@dataclass(slots=True)
class KeySum:
    """The lines of one side that have one key. `quantity` is None where one tells none; `sale` is what is told."""

    number: int
    texts: tuple[str, ...]
    lines: int
    net: Decimal
    tax: Decimal
    total: Decimal
    quantity: Decimal | None
    sale: Decimal


class SideSums:
    """Adds up one side; see `KeySum`. `names` are the attributes to be read of it."""

    def __init__(self, kind: Kind, side: str, *, has_sales: bool) -> None:
        table = table_of(kind)
        self._net, self._total, self._tax = table.totals[0], table.totals[-1], "TaxTotal"
        self._has_tax = "TaxTotal" in table.by_name
        self._quantity = "BillableQuantity" if "BillableQuantity" in table.by_name else ""
        self._carried = tuple(name for name in (*_IDS, *_NAMES, table.currency) if name in table.by_name)
        self._of_one = tuple(name for name in _OF_ONE_LINE if name in table.by_name)
        self._all = (*table.by_name, EXTRA)
        self._side, self._has_sales = side, has_sales
        amounts = [self._net, self._total, "Quantity", *([self._tax] if self._has_tax else [])]
        amounts += [name for name in (self._quantity, SALE_AMOUNT if has_sales else "") if name]
        self.names = list(dict.fromkeys((*amounts, *self._carried, *self._of_one)))

    def summed(self, batches: Iterable[pa.RecordBatch]) -> dict[str, KeySum]:
        """Return the sums of batches that have the columns `names`, and `key` and `number` beside them."""
        found: dict[str, KeySum] = {}
        for batch in batches:
            self._add(batch, found)
        return found

    def _add(self, batch: pa.RecordBatch, found: dict[str, KeySum]) -> None:
        zeros = pa.repeat(pa.scalar("0"), batch.num_rows)
        net = _plain(batch.column(self._net))
        quantity = _plain(batch.column("Quantity"))
        if self._quantity:
            quantity = pc.coalesce(_plain(batch.column(self._quantity)), quantity)
        sale = _plain(batch.column(SALE_AMOUNT)) if self._has_sales else pa.nulls(batch.num_rows, pa.string())
        tax = _plain(batch.column(self._tax)).fill_null("0") if self._has_tax else zeros
        columns = {
            self._net: net,
            self._tax: tax,
            self._total: _plain(batch.column(self._total)),
            "Quantity": _signed(quantity.fill_null("0"), net),
            SALE_AMOUNT: sale.fill_null("0"),
        }
        sums = GroupedSums(["lines without quantity", *columns], self._side)
        rows = pa.array(range(batch.num_rows), pa.int64())
        sums.add([_counted(quantity), *columns.values()], batch.column(KEY), rows)
        groups = list(sums.groups.values())
        first = pa.array([int(group.name) for group in groups], pa.int64())
        texts = zip(*(_texts(batch.column(name), first) for name in (*self._carried, *self._of_one)), strict=True)
        at = batch.column(NUMBER).take(first).to_pylist()
        for group, its, number in zip(groups, texts, at, strict=True):
            no_quantity, net_sum, tax_sum, *others = group.amounts
            total, quantity_sum, sale_sum = (net_sum, *others) if len(others) == 2 else others
            new = KeySum(
                number=number,
                texts=its,
                lines=group.line_items,
                net=net_sum,
                tax=tax_sum,
                total=total,
                quantity=None if no_quantity else quantity_sum,
                sale=sale_sum,
            )
            before = found.get(group.key)
            found[group.key] = new if before is None else _together(before, new)

    def line(self, key_sum: KeySum) -> Line:
        """Return a sum as a line that can be explained. A price of several lines is none, and so are their dates."""
        attributes = dict.fromkeys(self._all, "")
        names = (*self._carried, *self._of_one) if key_sum.lines == 1 else self._carried
        attributes.update(zip(names, key_sum.texts, strict=False))
        attributes[self._net] = shown(key_sum.net)
        attributes[self._total] = shown(key_sum.total)
        if self._has_tax:
            attributes[self._tax] = shown(key_sum.tax)
        if key_sum.quantity is not None:
            attributes["Quantity"] = shown(self._upright(key_sum, attributes["EffectiveUnitPrice"]))
        return Line(key_sum.number, attributes)

    def as_one_piece(self, line: Line, *, is_exact: bool) -> Line:
        """Return a line that differs from the other side's by rounding alone as one piece, at the price of the whole.

        A mean price of several lines would be rounded too, and the difference would look like one of price.
        """
        whole = dict.fromkeys(_PRICES, "") | {"EffectiveUnitPrice": line.attributes[self._net] if is_exact else ""}
        return Line(line.number, {**line.attributes, **whole})

    def customer_of(self, key_sum: KeySum) -> tuple[str, str]:
        """Return the customer's id, and their name."""
        return self._told(key_sum, "CustomerId"), self._told(key_sum, "CustomerName")

    def product_of(self, key_sum: KeySum) -> tuple[str, str]:
        """Return the product's id, and its name."""
        return self._told(key_sum, "ProductId"), self._told(key_sum, "ProductName")

    def _told(self, key_sum: KeySum, name: str) -> str:
        return key_sum.texts[self._carried.index(name)]

    @staticmethod
    def _upright(key_sum: KeySum, price: str) -> Decimal:
        """Return the quantity without the sign that stands on the price already."""
        assert key_sum.quantity is not None
        return key_sum.quantity.copy_negate() if key_sum.lines == 1 and price.startswith("-") else key_sum.quantity


def _together(first: KeySum, second: KeySum) -> KeySum:
    return KeySum(
        number=first.number,
        texts=first.texts,
        lines=first.lines + second.lines,
        net=numbers.add(first.net, second.net),
        tax=numbers.add(first.tax, second.tax),
        total=numbers.add(first.total, second.total),
        quantity=_sum_of_told(first.quantity, second.quantity),
        sale=numbers.add(first.sale, second.sale),
    )


def _sum_of_told(first: Decimal | None, second: Decimal | None) -> Decimal | None:
    return None if first is None or second is None else numbers.add(first, second)


def with_keys(batch: pa.RecordBatch, keys: Sequence[str], first_number: int) -> pa.RecordBatch:
    """Return a batch with the key of each line, in small letters, and its number beside its attributes."""
    parts = [pc.utf8_lower(_plain(batch.column(name)).fill_null("")) for name in keys]
    key = pc.binary_join_element_wise(*parts, "\x1f")
    number = pa.array(range(first_number, first_number + batch.num_rows), pa.int64())
    return pa.RecordBatch.from_arrays([*batch.columns, key, number], names=[*batch.schema.names, KEY, NUMBER])


def _plain(column: pa.Array) -> pa.Array:
    """Return texts in place of coded ones, null in place of an empty one: files have either for what is absent."""
    texts = column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
    return pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)


def _signed(quantity: pa.Array, net: pa.Array) -> pa.Array:
    turned = pc.and_(pc.starts_with(net, "-"), pc.invert(pc.starts_with(quantity, "-")))
    return pc.if_else(turned.fill_null(False), pc.binary_join_element_wise("-", quantity, ""), quantity)  # noqa: FBT003


def _counted(column: pa.Array) -> pa.Array:
    return pc.if_else(column.is_null(), "1", "0")


def _texts(column: pa.Array, rows: pa.Array) -> list[str]:
    taken = column.take(rows)
    plain = taken.cast(pa.string()) if pa.types.is_dictionary(taken.type) else taken
    texts: list[str] = plain.fill_null("").to_pylist()
    return texts
