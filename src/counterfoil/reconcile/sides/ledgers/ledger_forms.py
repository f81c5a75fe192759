"""Reads the cells of one row of a ledger into attributes: amounts, dates, ids and texts, each by its own rule.

The trap is tax. A ledger tells two of net, tax and total at most, and the third follows from them exactly; where it
tells the total alone, nothing says how much of it is tax.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from counterfoil import numbers
from counterfoil.columns import Type
from counterfoil.line_items.values import Refused
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
_AMOUNTS: Final = (NET, _TAX, _TOTAL, DEBIT, CREDIT, SALE_AMOUNT, SALE_PRICE)


class ValueReader:
    """Reads rows as a mapping says."""

    def __init__(self, mapping: LedgerMapping) -> None:
        source = mapping.source
        self._mapping = mapping
        self._forms = LedgerForms(source.decimal, source.thousands, source.date)
        self._currency = source.currency.upper()
        self._keys = frozenset(mapping.keys)

    def read(self, told: Mapping[str, str], *, skip_keys: bool = False) -> dict[str, str | None]:
        """Return every mapped attribute of a row, None where it is not told; raises Refused.

        Net and total are always among them, and Currency. Where the total alone is told, net is None.
        """
        currency = self._currency_of(told)
        attributes: dict[str, str | None] = dict.fromkeys(self._mapping.columns)
        for ours, cell in told.items():
            if not (skip_keys and ours in self._keys):
                attributes[ours] = self._value(ours, cell, currency)
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

    def _value(self, ours: str, cell: str, currency: str) -> str | None:
        try:
            text = self._mapping.values.get(ours, {}).get(cell.strip().casefold(), cell)
            if is_amount(ours):
                return self._forms.amount(text, currency if ours in _AMOUNTS else "")
            column = column_of(ours)
            if column.type is Type.DATE:
                return self._forms.day(text)
            return id_in(text, ours) if column.is_id else text_in(text)
        except Refused as refused:
            refused.attribute = ours
            raise

    def _settle(self, attributes: dict[str, str | None]) -> None:
        """Fill in what follows from the amounts that are told; raises Refused where none is, or they contradict."""
        if DEBIT in self._mapping.columns:
            attributes[NET] = _debit_less_credit(attributes)
        net, tax, total = (_number(attributes, name) for name in (NET, _TAX, _TOTAL))
        if net is None and total is not None and tax is not None:
            net = numbers.add(total, tax.copy_negate())
        elif net is not None and total is None and tax is not None:
            total = numbers.add(net, tax)
        elif net is not None and total is not None and tax is None:
            tax = numbers.add(total, net.copy_negate())
        elif net is None and (total is None or not self._mapping.tells_gross_only):
            name = next(each for each in (NET, _TOTAL) if each in self._mapping.columns)
            raise Refused("no amount", name, remedy="Fill it in, or write 0.")
        for name, value in ((NET, net), (_TAX, tax), (_TOTAL, total)):
            if value is not None:
                attributes[name] = attributes.get(name) or numbers.plain(value)
            else:
                attributes.setdefault(name, None)


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


def _number(attributes: Mapping[str, str | None], name: str) -> Decimal | None:
    text = attributes.get(name)
    return numbers.exact(text) if text else None
