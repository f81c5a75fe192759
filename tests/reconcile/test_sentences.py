"""What Microsoft and others printed is reckoned from its inputs, with the rule told; and each sentence says how."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest

from counterfoil.errors import UsageError
from counterfoil.reconcile.explaining import (
    WHOLE,
    Charge,
    ChargedDays,
    Reckoning,
    Rounding,
    charged_days,
    explain_conversion,
    in_words,
    reckon,
)
from tests.reconcile.case_notation import read_cases, read_line

UNIT, LINE, HALF_UNIT, HALF_LINE = "unit", "line", "half unit", "half line"
NAMES = {
    Rounding.CUT_PER_UNIT: UNIT,
    Rounding.CUT_PER_LINE: LINE,
    Rounding.HALF_UP_PER_UNIT: HALF_UNIT,
    Rounding.HALF_UP_PER_LINE: HALF_LINE,
}
EVERY = {UNIT, LINE, HALF_UNIT, HALF_LINE}

# From "Billing scenarios for one-time and recurring purchases" (Microsoft), its older edition, and AppXite's articles:
# list price, quantity, days charged of the cycle, amount printed, the ways that lead to it.
PRINTED = [
    ("new, 30 days", "10.08", 10, (30, 30), "100.80", EVERY),
    ("10 refunded, 28 of 30 days left", "10.08", -10, (28, 30), "-94.08", {LINE, HALF_LINE}),
    ("12 charged, 28 of 30 days left", "10.08", 12, (28, 30), "112.89", {LINE}),
    ("removed to 8", "10.08", 8, (28, 30), "75.26", {LINE, HALF_LINE}),
    ("chain, 29 days: 10 before", "12", -10, (29, 31), "-112.25", {LINE}),
    ("chain, 29 days: 15 after", "12", 15, (29, 31), "168.38", {LINE}),
    ("chain, 26 days: 15 before", "12", -15, (26, 31), "-150.96", {LINE}),
    ("chain, 26 days: 25 after", "12", 25, (26, 31), "251.61", {LINE, HALF_LINE}),
    ("chain, 24 days: 25 before", "12", -25, (24, 31), "-232.25", {UNIT, LINE, HALF_UNIT}),
    ("chain, 24 days: 23 after", "12", 23, (24, 31), "213.67", {UNIT, LINE, HALF_UNIT}),
    ("chain, 22 days: 23 before", "12", -23, (22, 31), "-195.87", {LINE, HALF_LINE}),
    ("chain, 22 days: 20 after", "12", 20, (22, 31), "170.32", {LINE, HALF_LINE}),
    ("chain, 11 days: 20 before", "12", -20, (11, 31), "-85.16", {LINE, HALF_LINE}),
    ("chain, 11 days: 30 after", "12", 30, (11, 31), "127.74", {LINE, HALF_LINE}),
    ("cancelled on day 3, 29 of 31 days left", "10.08", -10, (29, 31), "-94.20", {UNIT}),
    ("full upgrade: refund", "10.08", -300, (23, 30), "-2316", {UNIT}),
    ("full upgrade: charge", "6.43", 300, (23, 30), "1476", {UNIT}),
    ("partial upgrade: refund", "10.08", -100, (23, 30), "-772", {UNIT}),
    ("partial upgrade: charge", "6.43", 100, (23, 30), "492", {UNIT}),
    ("trial", "0", 25, (1, 1), "0", EVERY),
    ("trial to paid", "52.61", 25, (1, 1), "1315.25", EVERY),
    ("monthly to annual plan, 11 of 12 months left", "250", 10, (11, 12), "2291.6", {UNIT}),
    ("annual to monthly plan", "20", 10, (1, 1), "200", EVERY),
    ("legacy to new commerce: refund", "16", -1, (27, 31), "-13.93", {UNIT, LINE}),
    ("legacy to new commerce: unit", "16", 1, (27, 28), "15.42", {UNIT, LINE}),
    ("hybrid product: use", "0.1", 50, (1, 1), "5", EVERY),
    ("hybrid product: fee", "10", 1, (1, 1), "10", EVERY),
    ("one seat, 29 of 30 days", "4", 1, (29, 30), "3.87", {HALF_UNIT, HALF_LINE}),
    ("two seats, 29 of 30 days", "4", 2, (29, 30), "7.74", {HALF_UNIT}),
    ("legacy, 500 seats for 27 of 31 days", "51.93", 500, (27, 31), "22614.68", {HALF_LINE}),
    ("legacy, 5 seats for 4 of 31 days", "51.93", 5, (4, 31), "33.5", EVERY),
    ("a shown unit price that was cut", "45.22", 500, (1, 1), "22614.68", set()),
    ("cancelled on the same day", "3", -10, (1, 1), "-30", EVERY),
]


def ways(found: Reckoning) -> set[str]:
    return {NAMES[way] for way in (found.rule, *found.also) if way in NAMES}


@pytest.mark.parametrize(
    ("name", "price", "quantity", "days", "printed", "fits"), PRINTED, ids=[name for name, *_ in PRINTED]
)
def test_what_was_printed_comes_out_by_the_rule_told(
    name: str, price: str, quantity: int, days: tuple[int, int], printed: str, fits: set[str]
) -> None:
    charge = Charge(
        Decimal(printed), quantity=Decimal(quantity), list_price=Decimal(price), charged_days=ChargedDays(*days)
    )
    found = reckon(charge)
    assert ways(found) == fits
    assert (found.rule is Rounding.UNKNOWN) == (not fits)
    assert found.result == Decimal(printed) or not fits


def test_a_hybrid_product_is_two_line_items_of_one_sum() -> None:
    use, fee = reckon(read_line("50 x 0.1 = 5 (metered)")), reckon(read_line("1 x 10 = 10"))
    both = explain_conversion([read_line("50 x 0.1 = 5 (metered)"), read_line("1 x 10 = 10")], on_the_right=True)
    assert both.amount == Decimal(15)
    assert Fraction(use.result) + Fraction(fee.result) == 15


def test_a_tiered_meter_is_half_up_of_what_its_tiers_come_to() -> None:
    free = reckon(read_line("5 x 0 = 0 (metered, 15%)"))
    rest = reckon(read_line("32 x 2.5415 of 2.99 = 81.33 (metered, 15%)"))
    assert (free.rule, free.result) == (Rounding.NONE, Decimal(0))
    assert (rest.rule, rest.also) == (Rounding.HALF_UP_PER_LINE, ())
    assert rest.sentence == "2.99 x 85 % = 2.5415; x 32 = 81.328; half up: 81.33"


SENTENCES = {
    "15 x 11.225806451612903 of 12 = 168.38 (29/31)": "12 / 31 x 29 = 11.2258...; x 15 = 168.387...; cut: 168.38",
    "2 x 3.87 of 4 = 7.74 (29/30)": "4 / 30 x 29 = 3.86666...; half up: 3.87; x 2 = 7.74",
    "10 x -9.429677419354839 of 10.08 = -94.20 (29/31)": "-10.08 / 31 x 29 = -9.42967...; cut: -9.42; x 10 = -94.20",
    "25 x 22 @ 0.846202666 = 465.25": "22 x 0.846202666 = 18.616458652; cut: 18.61; x 25 = 465.25",
    "29 x 0.737586206896552 of 0.868 @ 0.846202666 = 18.10 (metered, 15%)": (
        "0.868 x 85 % = 0.7378; x 29 = 21.3962; cut: 21.39; x 0.846202666 = 18.1002...; cut: 18.10"
    ),
    "23.350007 x 0.03825 of 0.045 @ 0.846202666 = 0.755775560175339 (metered, 15%)": (
        "0.045 x 85 % = 0.03825; x 23.350007 = 0.89313776775; x 0.846202666 = 0.7557755601753388215; "
        "to 15 decimals: 0.755775560175339"
    ),
    # The shown price has fifteen decimals, and the amount follows from it and not from 85 % of the list price.
    "1000000 x 0.283333333333333 of 0.333333333333333 = 283333.333333333 (metered, 15%)": (
        "0.283333333333333 x 1000000 = 283333.333333333"
    ),
    "1000000.5 x 0.283333333333333 of 0.333333333333333 = 283333.47499999967 (metered, 15%)": (
        "0.283333333333333 x 1000000.5 = 283333.4749999996666665; to 11 decimals: 283333.47499999967"
    ),
    "7 x 0.283333333333333 of 0.333333333333333 @ 0.7 = 1.3883333333333 (metered, 15%)": (
        "0.333333333333333 x 85 % = 0.283333...; x 7 = 1.98333...; x 0.7 = 1.388333333333331945; "
        "to 13 decimals: 1.3883333333333"
    ),
    "10 x 2.7 of 3 = 27": "2.7 x 10 = 27.00",
    "10 x -3 of 3 = -30": "-3 x 10 = -30.00",
    "8 x 0 of 0.25 = 0 (metered, credited)": "0.25 x 0 % = 0; x 8 = 0.00",
    "0.000123 x 0.0007 = 0 (metered)": "0.0007 x 0.000123 = 0.0000000861; cut: 0.00",
    "-12.55 x 0.868 = -10.90 (metered)": "0.868 x -12.55 = -10.8934; down: -10.90",
    "10 x 22 = 225": "22 x 10 = 220.00; no known rounding gives 225",
    "24 = 528": "528: no price or no quantity is told",
}


@pytest.mark.parametrize(("line", "sentence"), SENTENCES.items())
def test_a_sentence_has_the_rule_the_numbers_and_the_result(line: str, sentence: str) -> None:
    assert reckon(read_line(line)).sentence == sentence


def test_a_difference_in_words_has_each_line_and_its_causes() -> None:
    text = """7. lost
      left   29 x 0.737586206896552 of 0.868 = 21.39 (metered, 15%)
      right  29 x 0.867931034482759 of 0.868 = 25.17 (metered)"""
    (case,) = read_cases(text)
    assert in_words(case.solve()).splitlines() == [
        "left: 0.868 x 85 % = 0.7378; x 29 = 21.3962; cut: 21.39",
        "right: 0.868 x 29 = 25.172; cut: 25.17",
        "difference 3.78: earned credit 3.7758, rounding 0.0042",
    ]


@pytest.mark.parametrize("unit", ["0", "-0.01", "0.05", "10", "NaN"])
def test_a_unit_that_no_currency_has_is_refused(unit: str) -> None:
    with pytest.raises(UsageError, match="smallest amount"):
        reckon(read_line("1 x 1 = 1"), unit=Decimal(unit))


def test_a_currency_without_cents_is_rounded_to_whole_amounts() -> None:
    line = read_line("3 x 1000 @ 1.4567 = 4368")
    assert reckon(line, unit=Decimal(1)).sentence == "1000 x 1.4567 = 1456.7; cut: 1456; x 3 = 4368"
    assert reckon(line).rule is Rounding.UNKNOWN


# Microsoft: monthly subscriptions bought in 2021, and cycles of February and March 2022. Ends are inclusive.
CYCLES = [
    (date(2021, 1, 31), date(2021, 2, 27)),
    (date(2021, 2, 28), date(2021, 3, 27)),
    (date(2021, 5, 31), date(2021, 6, 29)),
    (date(2021, 6, 30), date(2021, 7, 29)),
    (date(2021, 7, 31), date(2021, 8, 30)),
    (date(2022, 2, 21), date(2022, 3, 20)),
    (date(2022, 3, 21), date(2022, 4, 20)),
]
PARTS = [
    (date(2026, 6, 11), date(2026, 7, 9), ChargedDays(29, 30)),
    (date(2026, 3, 3), date(2026, 3, 31), ChargedDays(29, 31)),
    (date(2024, 2, 2), date(2024, 2, 29), ChargedDays(28, 29)),
    (date(2026, 10, 31), date(2026, 10, 31), ChargedDays(1, 31)),
    (date(2026, 1, 1), date(2026, 3, 31), WHOLE),  # a quarter
    (date(2024, 2, 29), date(2025, 2, 27), WHOLE),  # a year
    (date(2025, 2, 1), date(2028, 1, 31), WHOLE),  # three
    (date(2026, 1, 2), date(2026, 3, 31), ChargedDays(89, 90)),
    (date(2026, 1, 1), None, WHOLE),  # perpetual software
    (None, date(2026, 1, 1), WHOLE),
    (date(2026, 2, 1), date(2026, 1, 1), WHOLE),  # a line that ends before it starts is the audit's to report
    (date(1, 1, 1), date.max, WHOLE),
    (date(1, 1, 1), date(1, 1, 5), WHOLE),  # its cycle began before the calendar
]


@pytest.mark.parametrize(("start", "end"), CYCLES)
def test_a_monthly_cycle_ends_the_day_before_it_comes_round(start: date, end: date) -> None:
    assert charged_days(start, end) == WHOLE


@pytest.mark.parametrize(("start", "end", "days"), PARTS)
def test_a_part_is_counted_in_days_of_the_cycle_that_ends_with_it(
    start: date | None, end: date | None, days: ChargedDays
) -> None:
    assert charged_days(start, end) == days
