"""Which rounding explains the amounts of a whole batch at once, in decimals of 256 bits that hold every product.

It decides what it can and leaves the rest to the checks of single line items in `rounding_rules`, with which it agrees
on all that it decides. No type here can be exceeded: a product has the digits of its factors, 76 at most, and a number
that does not fit its own type is null from the start, so its line item is left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from counterfoil.model import Kind
from counterfoil.reconcile.auditing.columns_read import BatchColumns
from counterfoil.reconcile.auditing.rule import METERED_BY, NET, QUANTITY
from counterfoil.reconcile.explaining import arithmetic as exact
from counterfoil.reconcile.explaining.roundings import Rounding

PRICE_TYPE: Final = pa.decimal256(30, 22)
QUANTITY_TYPE: Final = pa.decimal256(22, 12)
_RATE_TYPE: Final = pa.decimal256(20, 15)
_CENTS_TYPE: Final = pa.decimal256(22, 2)
_RESULT_TYPE: Final = pa.decimal256(44, 14)
_NET_TYPE: Final = pa.decimal256(32, 14)
_PRICING_TYPE: Final = pa.decimal256(52, 34)
_BILLING_TYPE: Final = pa.decimal256(62, 49)
_PRICE: Final = "EffectiveUnitPrice"
_LIST_PRICE: Final = "UnitPrice"
_RATE: Final = "PCToBCExchangeRate"
_PRICING: Final = "PricingPreTaxTotal"
_CUT, _HALF_UP = "towards_zero", "half_towards_infinity"
_DIGITS_SHOWN_MIN: Final = 3
# Below this amount 15 digits reach to a millionth: who is further off than that does not show the digits of a value.
_SURELY_IN_CENTS_LIMIT: Final = Decimal("1e9")
_SURELY_APART: Final = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class DecidedRoundings:
    """Line items of a batch, by number from 0, and of each of them which of the `ways` lead to its amount, as bits.

    `apart`: how far each way's result is from the amount, without a sign, where ways are held against one another.
    """

    rows: pa.Array
    bits: pa.Array
    ways: tuple[Rounding, ...]
    apart: Mapping[Rounding, pa.Array] = field(default_factory=dict)

    def ways_of(self, bits: int) -> tuple[Rounding, ...]:
        """Return the ways that some bits stand for."""
        return tuple(way for at, way in enumerate(self.ways) if bits >> at & 1)


@dataclass(frozen=True, slots=True)
class QuickRoundings:
    """What could be decided of a batch, and the line items that are left; a rule does not apply to any other."""

    decided: tuple[DecidedRoundings, ...]
    left: pa.Array


def metered_of(columns: BatchColumns) -> pa.Array:
    """Return whether each line item charges for use, null where nothing tells; see `Facts.metered`."""
    if columns.kind is Kind.USAGE:
        return pa.repeat(pa.scalar(value=True), columns.line_items)
    meter, unit = METERED_BY
    counted = columns.mapped([unit], lambda text: bool(text) and str(text).isdigit(), pa.bool_())
    untold = pc.and_(pc.is_null(columns.column(meter)), pc.is_null(columns.column(unit)))
    return pc.if_else(untold, pa.scalar(None, pa.bool_()), pc.or_(columns.is_given(meter), counted))


def licences(columns: BatchColumns) -> QuickRoundings:
    """Decide `subtotal-licence`."""
    metered = metered_of(columns)
    rows = _where(pc.invert(metered))
    price, rate, quantity, net = (column.take(rows) for column in _priced(columns))
    unit = pc.multiply(price, rate)
    value = pc.multiply(unit, quantity)
    results = {
        Rounding.CUT_PER_UNIT: _per_unit(unit, quantity, _CUT),
        Rounding.CUT_PER_LINE: _in_cents(value, _CUT),
        Rounding.HALF_UP_PER_UNIT: _per_unit(unit, quantity, _HALF_UP),
        Rounding.HALF_UP_PER_LINE: _in_cents(value, _HALF_UP),
    }
    decided, left = _held_against(net, results, rows)
    return QuickRoundings((decided,), pa.concat_arrays([left, _where(pc.is_null(metered))]))


def metered_use(columns: BatchColumns) -> QuickRoundings:
    """Decide `subtotal-metered`."""
    rows = _where(metered_of(columns))
    price, rate, quantity, net = (column.take(rows) for column in _priced(columns))
    pricing = pc.multiply(price, quantity)
    value = pc.multiply(pricing, rate)
    first = pc.round(pricing, 2, _CUT).cast(_CENTS_TYPE)
    results = {
        Rounding.CUT_TWICE: _in_cents(pc.multiply(first, rate), _CUT),
        Rounding.CUT_PER_LINE: _in_cents(value, _CUT),
        Rounding.HALF_UP_PER_LINE: _in_cents(value, _HALF_UP),
    }
    decided, left = _held_against(net, results, rows)
    return QuickRoundings((decided,), left)


def pricing_totals(columns: BatchColumns) -> QuickRoundings:
    """Decide `usage-pricing-total`."""
    quantity = columns.decimals(QUANTITY, QUANTITY_TYPE)
    value = pc.multiply(_price(columns), quantity)
    listed = pc.multiply(columns.decimals(_LIST_PRICE, PRICE_TYPE), quantity)
    return _of_usage(columns, _PRICING, _PRICING_TYPE, (value, listed), columns.is_given(_LIST_PRICE))


def billing_totals(columns: BatchColumns) -> QuickRoundings:
    """Decide `usage-billing-total`."""
    rate = columns.decimals(_RATE, _RATE_TYPE)
    value = pc.multiply(columns.decimals(_PRICING, _PRICING_TYPE), rate)
    whole = pc.multiply(pc.multiply(_price(columns), columns.decimals(QUANTITY, QUANTITY_TYPE)), rate)
    is_there = pc.and_(columns.is_given(_PRICE), columns.is_given(QUANTITY))
    return _of_usage(columns, NET, _BILLING_TYPE, (value, whole), is_there)


def _priced(columns: BatchColumns) -> tuple[pa.Array, ...]:
    """Return prices, rates, quantities and nets."""
    quantity, net = columns.decimals(QUANTITY, QUANTITY_TYPE), columns.decimals(NET, _NET_TYPE)
    return _price(columns), _rate(columns), quantity, net


def _price(columns: BatchColumns) -> pa.Array:
    return columns.decimals(_PRICE, PRICE_TYPE)


def _rate(columns: BatchColumns) -> pa.Array:
    """Return the rates, 1 where none is told."""
    one = pa.scalar(Decimal(1), _RATE_TYPE)
    return pc.if_else(columns.is_given(_RATE), columns.decimals(_RATE, _RATE_TYPE), one)


def _where(mask: pa.Array) -> pa.Array:
    return pc.indices_nonzero(pc.fill_null(mask, fill_value=False)).cast(pa.int64())


def _in_cents(values: pa.Array, way: str) -> pa.Array:
    return pc.round(values, 2, way).cast(_RESULT_TYPE)


def _per_unit(unit: pa.Array, quantity: pa.Array, way: str) -> pa.Array:
    return pc.multiply(pc.round(unit, 2, way).cast(_CENTS_TYPE), quantity).cast(_RESULT_TYPE)


def _held_against(
    amounts: pa.Array, results: Mapping[Rounding, pa.Array], rows: pa.Array
) -> tuple[DecidedRoundings, pa.Array]:
    """Return what the results decide of some line items, and those that none of them leads to."""
    apart = {way: pc.abs(pc.subtract(result, amounts)) for way, result in results.items()}
    bits = pa.repeat(pa.scalar(0, pa.int8()), len(rows))
    for at, distance in enumerate(apart.values()):
        fits = pc.equal(distance, pa.scalar(Decimal(0), distance.type))
        bits = pc.add(bits, pc.if_else(fits, pa.scalar(1 << at, pa.int8()), pa.scalar(0, pa.int8())))
    fitting = pc.fill_null(pc.greater(bits, 0), fill_value=False)
    kept = {way: distance.filter(fitting) for way, distance in apart.items()}
    decided = DecidedRoundings(rows.filter(fitting), bits.filter(fitting), tuple(results), kept)
    return decided, rows.filter(pc.invert(fitting))


def _of_usage(
    columns: BatchColumns, name: str, amount_type: pa.DataType, values: Sequence[pa.Array], has_second: pa.Array
) -> QuickRoundings:
    """Decide daily amounts that are one of two values: whole, to the digits shown, or to cents.

    `has_second`: where the second value is to be tried at all.
    """
    amounts = columns.decimals(name, amount_type)
    first, second = (pc.abs(pc.subtract(amounts, value)) for value in values)
    unit = _last_places(columns.column(name), amount_type.scale)
    no = pa.scalar(value=False)
    whole, in_digits = pc.equal(first, _like(first, exact.ZERO)), pc.less_equal(first, unit)
    whole_too = pc.if_else(has_second, pc.equal(second, _like(second, exact.ZERO)), no)
    in_digits_too = pc.if_else(has_second, pc.less_equal(second, unit), no)
    # Whether 15 digits of the first value come before the whole second one, the line item alone is asked.
    neither = pc.and_kleene(pc.invert(in_digits), pc.invert(whole_too))
    is_whole = pc.or_kleene(whole, pc.and_kleene(pc.invert(in_digits), whole_too))
    is_in_digits = pc.or_kleene(pc.and_kleene(in_digits, pc.invert(whole_too)), pc.and_kleene(neither, in_digits_too))
    bits = pc.case_when(
        pc.make_struct(pc.fill_null(is_whole, fill_value=False), pc.fill_null(is_in_digits, fill_value=False)),
        pa.scalar(1, pa.int8()),
        pa.scalar(2, pa.int8()),
    )
    found = pc.is_valid(bits)
    decided = DecidedRoundings(columns.rows.filter(found), bits.filter(found), (Rounding.NONE, Rounding.DIGITS))
    in_cents = pc.and_(pc.invert(found), pc.is_null(unit))
    sure = pc.less(pc.abs(amounts), _like(amounts, _SURELY_IN_CENTS_LIMIT))
    sure = pc.and_kleene(sure, pc.greater(first, _like(first, _SURELY_APART)))
    sure_too = pc.greater(second, _like(second, _SURELY_APART))
    rows = _where(pc.and_kleene(in_cents, pc.and_kleene(sure, pc.or_kleene(pc.invert(has_second), sure_too))))
    results = {
        Rounding.CUT_PER_LINE: _in_cents(values[0].take(rows), _CUT),
        Rounding.HALF_UP_PER_LINE: _in_cents(values[0].take(rows), _HALF_UP),
    }
    cents, _ = _held_against(amounts.take(rows).cast(_NET_TYPE), results, rows)
    left = pc.and_(pc.invert(found), pc.invert(pc.is_in(columns.rows, cents.rows)))
    return QuickRoundings((decided, cents), columns.rows.filter(left))


def _last_places(texts: pa.Array, scale: int) -> pa.Array:
    """Return one in the last decimal that each amount shows, zeros at its end aside; null for less than three."""
    if pa.types.is_dictionary(texts.type):
        return _last_places(texts.dictionary.cast(pa.string()), scale).take(texts.indices)
    point = pc.find_substring(texts, ".")
    places = pc.subtract(pc.subtract(pc.binary_length(pc.ascii_rtrim(texts, "0")), point), 1)
    shown = pc.if_else(pc.less(point, 0), pa.scalar(0, pa.int32()), pc.min_element_wise(places, scale + 1))
    units = [exact.ONE.scaleb(-places) for places in range(_DIGITS_SHOWN_MIN, scale + 1)]
    return pa.array([*[None] * _DIGITS_SHOWN_MIN, *units, None], pa.decimal256(scale + 1, scale)).take(shown)


def _like(column: pa.Array, value: Decimal) -> pa.Scalar:
    """Return a value to hold a column of decimals against."""
    return pa.scalar(value, pa.decimal256(76, column.type.scale))
