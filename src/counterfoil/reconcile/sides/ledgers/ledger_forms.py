"""Reads the cells of one row of a ledger into attributes: amounts, dates, ids and texts, each by its own rule.

The trap is tax. A ledger tells two of net, tax and total at most, and the third follows from them exactly; where it
tells the total alone, nothing says how much of it is tax.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Final

from counterfoil import numbers
from counterfoil.columns import Type
from counterfoil.line_items.values import NumberText, Refused
from counterfoil.reconcile.sides.ledgers.ledger_mapping import (
    CREDIT,
    DEBIT,
    NET,
    SALE_AMOUNT,
    SALE_PRICE,
    LedgerMapping,
    column_of,
    is_amount,
)
from counterfoil.reconcile.sides.ledgers.ledger_values import LedgerForms, id_in, text_in

_TAX: Final = "TaxTotal"
_TOTAL: Final = "Total"
_KEPT: Final = 1 << 14  # of the values of a column
_AMOUNTS: Final = (NET, _TAX, _TOTAL, DEBIT, CREDIT, SALE_AMOUNT, SALE_PRICE)


class ValueReader:
    """Reads rows as a mapping says."""

    def __init__(self, mapping: LedgerMapping) -> None:
        source = mapping.source
        self._mapping = mapping
        self._forms = LedgerForms(source.decimal, source.thousands, source.date)
        self._currency = source.currency.upper()
        self._keys = frozenset(mapping.keys)
        self._readers = {ours: self._reader_of(ours) for ours in mapping.columns if ours != "Currency"}

    def read(self, told: Mapping[str, str], *, skip_keys: bool = False) -> dict[str, str | None]:
        """Return every mapped attribute of a row, None where it is not told; raises Refused.

        Net and total are always among them, and Currency. Where the total alone is told, net is None.
        """
        currency = self._currency_of(told)
        attributes: dict[str, str | None] = dict.fromkeys(self._mapping.columns)
        for ours, cell in told.items():
            if ours in self._readers and not (skip_keys and ours in self._keys):
                attributes[ours] = self._readers[ours](cell, isinstance(cell, NumberText), currency)
        attributes["Currency"] = currency
        self._settle(attributes)
        return attributes

    def _currency_of(self, told: Mapping[str, str]) -> str:
        code = told.get("Currency", "").strip()
        code = self._mapping.values.get("Currency", {}).get(code.casefold(), code) or self._currency
        if not (len(code) == 3 and code.isascii() and code.isalpha()):
            why = "no currency" if not code else "not a currency's code"
            raise Refused(
                why, "Currency", code or None, "Write a code such as EUR, or translate it: [values.Currency]."
            )
        return code.upper()

    def _reader_of(self, ours: str) -> Callable[[str, bool, str], str]:
        """Return what reads a cell of one column, whether it is a number, and the currency of its row; raises Refused.

        What was read is kept, because most values are there many times. A text and a number that look alike are two.
        """
        translated = self._mapping.values.get(ours, {})
        read = self._rule_of(ours)

        @lru_cache(_KEPT)
        def value(cell: str, is_number: bool, currency: str) -> str:  # noqa: ARG001 - a part of the key
            try:
                return read(translated.get(cell.strip().casefold(), cell) if translated else cell, currency)
            except Refused as refused:
                refused.attribute = ours
                raise

        return value

    def _rule_of(self, ours: str) -> Callable[[str, str], str]:
        forms = self._forms
        if is_amount(ours):
            return forms.amount if ours in _AMOUNTS else lambda text, _: forms.amount(text, "")
        column = column_of(ours)
        if column.type is Type.DATE:
            return lambda text, _: forms.day(text)
        return (lambda text, _: id_in(text, ours)) if column.is_id else (lambda text, _: text_in(text))

    def _settle(self, attributes: dict[str, str | None]) -> None:
        """Fill in what follows from the amounts that are told; raises Refused where none is, or they contradict."""
        if DEBIT in self._mapping.columns:
            attributes[NET] = _debit_less_credit(attributes)
        net, tax, total = (_number(attributes, name) for name in (NET, _TAX, _TOTAL))
        if net is None and total is not None and tax is not None:
            net = numbers.subtract(total, tax)
        elif net is not None and total is None and tax is not None:
            total = numbers.add(net, tax)
        elif net is not None and total is not None and tax is None:
            tax = numbers.subtract(total, net)
        elif net is None and (total is None or not self._mapping.tells_gross_only):
            name = next(each for each in (NET, _TOTAL) if each in self._mapping.columns)
            raise Refused("no amount", name, remedy="Fill it in, or write 0.")
        for name, value in ((NET, net), (_TAX, tax), (_TOTAL, total)):
            if value is not None:
                attributes[name] = attributes.get(name) or numbers.plain(value)
            else:
                attributes.setdefault(name, None)
        if attributes.get(SALE_PRICE) and not attributes.get(SALE_AMOUNT):
            attributes[SALE_AMOUNT] = _sale_of(attributes)


def _debit_less_credit(attributes: Mapping[str, str | None]) -> str:
    debit, credit = (_number(attributes, name) for name in (DEBIT, CREDIT))
    if debit is None and credit is None:
        raise Refused("neither debit nor credit", DEBIT, remedy="Fill in one of them.")
    if debit and credit:
        raise Refused("both debit and credit", DEBIT, attributes[DEBIT], "Write one row for each.")
    if debit is None or (not debit and credit):
        assert credit is not None
        return numbers.plain(credit.copy_negate() if credit else credit)
    return numbers.plain(debit)


def _sale_of(attributes: Mapping[str, str | None]) -> str | None:
    """Return price times quantity, exactly, negative where the line gives money back; None without a quantity."""
    price, quantity = _number(attributes, SALE_PRICE), _number(attributes, "Quantity")
    if price is None or quantity is None:
        return None
    amount = numbers.ROUNDING.multiply(price, quantity)
    cost = _number(attributes, NET) or _number(attributes, _TOTAL)
    if cost is not None and cost < 0 < amount:
        amount = amount.copy_negate()
    text = numbers.plain(amount)
    if reason := numbers.why_not_a_number(text):
        raise Refused(f"price times quantity is {reason}", SALE_PRICE, attributes[SALE_PRICE])
    return text


def _number(attributes: Mapping[str, str | None], name: str) -> Decimal | None:
    text = attributes.get(name)
    return numbers.exact(text) if text else None
