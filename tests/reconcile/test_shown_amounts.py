"""Amounts in a report add up in cents, keep every digit beside them, and are drawn without a float."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.printable_text import printable
from counterfoil.reconcile.explaining import arithmetic as exact
from counterfoil.reconcile.reports.shown_amounts import shown_adding_up, shown_by_itself
from counterfoil.reconcile.reports.waterfall import WIDTH, two_sided, waterfall

AMOUNTS = st.lists(st.decimals(-(10**9), 10**9, places=20), min_size=1, max_size=30)


@pytest.mark.parametrize(
    ("amount", "currency", "text", "signed", "digits"),
    [
        ("1234567.891", "EUR", "1,234,567.89", "+1,234,567.89", "1,234,567.891"),
        ("-0.5", "EUR", "−0.50", "−0.50", ""),
        ("0", "EUR", "0.00", "0.00", ""),
        ("0.00001", "EUR", "0.00", "+0.00", "0.00001"),
        ("-0.00001", "EUR", "0.00", "−0.00", "−0.00001"),
        ("-0.0050", "EUR", "0.00", "−0.00", "−0.005"),
        ("1234.50", "JPY", "1,234", "+1,234", "1,234.50"),
        ("1.2345", "KWD", "1.234", "+1.234", "1.2345"),
        ("123456789012.123456789012345678901234567890", "EUR", "123,456,789,012.12", "+123,456,789,012.12", None),
    ],
)
def test_an_amount_is_shown_in_the_decimals_of_its_currency(
    amount: str, currency: str, text: str, signed: str, digits: str | None
) -> None:
    shown = shown_by_itself(Decimal(amount), currency)
    assert (shown.text, shown.signed) == (text, signed)
    assert Decimal(shown.exact_text) == Decimal(amount)
    if digits is not None:
        assert shown.digits == digits


@given(AMOUNTS)
def test_shown_cents_add_up_and_none_is_a_cent_away(amounts: list[Decimal]) -> None:
    shown = shown_adding_up(amounts, "EUR")
    assert exact.total(each.cents for each in shown) == shown_by_itself(exact.total(amounts), "EUR").cents
    assert [each.exact for each in shown] == amounts
    assert all(exact.subtract(each.cents, each.exact).copy_abs() < Decimal("0.01") for each in shown)


@pytest.mark.parametrize("total", ["0.98", "0.99", "1.00", "1.03"])
def test_cents_add_up_to_a_total_that_was_rounded_elsewhere(total: str) -> None:
    shown = shown_adding_up([Decimal("0.495"), Decimal(0), Decimal("0.495")], "EUR", Decimal(total))
    assert exact.total(each.cents for each in shown) == Decimal(total)
    assert shown[1].cents == 0 or total == "1.03"


@given(AMOUNTS, st.decimals(-(10**9), 10**9, places=2))
def test_bars_of_a_bridge_meet_and_stay_on_their_scale(amounts: list[Decimal], left: Decimal) -> None:
    drawn = waterfall(left, amounts, exact.total([left, *amounts]))
    bars = [drawn.left, *drawn.steps, drawn.right]
    assert all(bar.start >= 0 and bar.width > 0 and bar.start + bar.width <= WIDTH for bar in bars)
    # Each step begins at one end of the step before it, within the width of the least bar.
    for before, after in pairwise(drawn.steps):
        ends = [
            abs(a - b) for a in (before.start, before.start + before.width) for b in _ends(after.start, after.width)
        ]
        assert min(ends) <= 25


def _ends(start: int, width: int) -> tuple[int, int]:
    return start, start + width


@pytest.mark.parametrize(
    ("left", "steps", "is_torn"),
    [("0", [], False), ("5", [], True), ("100", ["1"], True), ("100", ["90"], False), ("-100", ["1"], False)],
)
def test_a_scale_that_does_not_begin_at_zero_is_torn(left: str, steps: list[str], is_torn: bool) -> None:
    amounts = [Decimal(step) for step in steps]
    assert waterfall(Decimal(left), amounts, exact.total([Decimal(left), *amounts])).is_torn is is_torn


def test_bars_to_both_sides_begin_in_the_middle() -> None:
    less, none, more = two_sided([Decimal(-50), Decimal(0), Decimal("12.5")])
    assert (less.start, less.width) == (0, WIDTH // 2)
    assert none.width == 0
    assert (more.start, more.width) == (WIDTH // 2, WIDTH // 8)


def test_what_cannot_be_seen_is_written_as_its_code() -> None:
    assert printable("Größe „M“ 東京") == "Größe „M“ 東京"
    assert printable("a\u202eb\x1b[2J\x00\xa0") == "a\\u202eb\\x1b[2J\\x00\\xa0"
