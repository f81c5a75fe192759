"""Amounts as people read them: rounded once, in one place, and only to be shown."""

from __future__ import annotations

from decimal import Decimal

import pytest

from counterfoil.money import Money, money_of


@pytest.mark.parametrize(
    ("value", "currency", "shown", "exact", "is_rounded"),
    [
        ("3754295.27000000000000000000", "EUR", "3,754,295.27 EUR", "3,754,295.27 EUR", False),
        ("10464201.11406731635", "EUR", "10,464,201.11 EUR", "10,464,201.11406731635 EUR", True),
        ("0.19999680005119918080000", "EUR", "0.20 EUR", "0.1999968000511991808 EUR", True),
        ("0.125", "USD", "0.12 USD", "0.125 USD", True),
        ("0.135", "USD", "0.14 USD", "0.135 USD", True),
        ("-0.001", "EUR", "0.00 EUR", "-0.001 EUR", True),
        ("-1234.5", "GBP", "-1,234.50 GBP", "-1,234.50 GBP", False),
        ("1234567.5", "JPY", "1,234,568 JPY", "1,234,567.5 JPY", True),
        ("1234567", "JPY", "1,234,567 JPY", "1,234,567 JPY", False),
        ("1.2345", "KWD", "1.234 KWD", "1.2345 KWD", True),
        ("0E-20", "EUR", "0.00 EUR", "0.00 EUR", False),
        ("9999999999999.995", "EUR", "10,000,000,000,000.00 EUR", "9,999,999,999,999.995 EUR", True),
        ("1", "", "1.00", "1.00", False),
    ],
)  # fmt: skip
def test_an_amount_is_shown(value: str, currency: str, shown: str, exact: str, is_rounded: bool) -> None:
    money = Money(Decimal(value), currency)
    assert (money.shown(), money.shown(exact=True), money.is_rounded) == (shown, exact, is_rounded)


def test_totals_give_an_amount_in_each_currency_and_none_where_there_is_none() -> None:
    totals = {"EUR": {"Total": "1.10", "Subtotal": "1"}, "USD": {"Total": "2"}, "GBP": {}}
    assert [money.shown() for money in money_of(totals, "Total")] == ["1.10 EUR", "2.00 USD"]
