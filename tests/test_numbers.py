"""Exact numbers: what is one, what it adds up to, and how the point moves between percentages and rates."""

import json
import re
from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact, InvalidOperation
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from counterfoil import numbers
from tests.datasets.exploring import examples

TEXTS = st.from_regex(numbers.NUMBER, fullmatch=True).filter(lambda text: numbers.why_not_a_number(text) is None)


@pytest.mark.parametrize(
    "text",
    [
        "0",
        "-0",
        "24.0",
        "0E-20",
        "1e3",
        "1E+3",
        "-0.5",
        "0.1999968000511991808131",
        "9999999999999.9",
        "1e12",
        "1E-100",
    ],
)
def test_a_json_number_below_ten_trillion_is_one(text: str) -> None:
    assert numbers.why_not_a_number(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "-",
        "+1",
        "007",
        "-01",
        "1.",
        ".5",
        "1_000",
        "1,5",
        "NaN",
        "Infinity",
        "-Infinity",
        "0x1F",
        "1e",
        "1e+",
        "--1",
        "1.5.5",
        "¹",
        "١",
        "null",
        "1e400",
        "-1e13",
        "10000000000000",
        "1E-101",
        "1E-999999999",
        "1E999999999999999999999",
        "1e0x1",
    ],
)
def test_anything_else_is_none_and_the_reason_is_said(text: str) -> None:
    assert numbers.why_not_a_number(text)


@pytest.mark.parametrize("text", ["", " 1", "1 ", "1\n", "1" * 65, "0e" + "9" * 62])
def test_space_and_length_count(text: str) -> None:
    assert numbers.why_not_a_number(text)


@examples(300)
@given(st.text(alphabet="0123456789+-.eE_ naifNI\x00é", max_size=12))
def test_the_grammar_is_that_of_json(text: str) -> None:
    def refuse(constant: str) -> float:
        raise ValueError(constant)

    try:
        is_json = text == text.strip() and isinstance(json.loads(text, parse_constant=refuse), int | float)
    except ValueError:
        is_json = False
    if numbers.why_not_a_number(text) is None:
        assert is_json
    elif is_json:
        assert abs(Decimal(text)) >= numbers.MAGNITUDE_LIMIT or "e" in text.lower()


@examples(50)
@given(st.lists(TEXTS, max_size=8))
def test_a_sum_is_exact_and_independent_of_order(texts: list[str]) -> None:
    total = numbers.total(texts)
    assert Fraction(total) == sum((Fraction(Decimal(text)) for text in texts), Fraction(0))
    assert numbers.total(reversed(texts)) == total
    assert Decimal(numbers.plain(total)) == total
    assert "E" not in numbers.plain(total)


def test_a_sum_that_would_lose_a_digit_raises() -> None:
    huge = Decimal("1e142")
    with pytest.raises(Inexact):
        numbers.add(huge, Decimal("1e-100"))
    with pytest.raises(Inexact):
        numbers.subtract(huge, Decimal("1e-100"))
    long = Decimal("9" * 13 + "." + "1" * 100)
    assert numbers.add(numbers.subtract(Decimal("0.5"), long), long) == Decimal("0.5")


def test_a_total_is_written_out_in_full() -> None:
    assert numbers.plain(numbers.total(["0E-20"])) == "0.00000000000000000000"
    assert numbers.plain(numbers.total(["1e3", "0.10"])) == "1000.10"
    assert numbers.plain(numbers.total([])) == "0"


@pytest.mark.parametrize(
    ("percent", "rate"),
    [
        ("15", "0.15"),
        ("0", "0"),
        ("10", "0.1"),
        ("100", "1"),
        ("7.5", "0.075"),
        ("7.50", "0.0750"),
        ("-15", "-0.15"),
        ("0.1", "0.001"),
        ("12345", "123.45"),
        ("1e3", "1e1"),
        ("1E+3", "1E+1"),
        ("1E2", "1"),
        ("0E-20", "0E-22"),
    ],
)
def test_the_point_moves_in_the_text(percent: str, rate: str) -> None:
    assert numbers.percent_to_rate(percent) == rate


@pytest.mark.parametrize(
    ("rate", "percent"), [("0.15", "15"), ("1", "100"), ("0", "0"), ("0.075", "7.5"), ("-0.2", "-20")]
)
def test_a_rate_becomes_the_percentage_people_write(rate: str, percent: str) -> None:
    assert numbers.rate_to_percent(rate) == percent


@examples(200)
@given(TEXTS.filter(lambda text: re.search(r"[eE][+-]?0", text) is None))
@example("1E-2")
@example("0.10")
@example("1e-1")
@example("1E+1")
@example("0E-20")
@example("-0.150")
def test_a_rate_comes_back_digit_for_digit_and_no_value_changes(text: str) -> None:
    percent = numbers.rate_to_percent(text)
    assert numbers.percent_to_rate(percent) == text
    assert Fraction(Decimal(percent)) == 100 * Fraction(Decimal(text))
    assert Fraction(Decimal(numbers.percent_to_rate(text))) * 100 == Fraction(Decimal(text))
    assert numbers.NUMBER.fullmatch(numbers.percent_to_rate(text))
    assert numbers.NUMBER.fullmatch(percent)


@pytest.mark.parametrize(
    ("text", "value", "rounded"),
    [
        ("24.0", "24", False),
        ("0.1999968000511991808131", "0.199996800051199", True),
        ("1E-16", "0", True),
        ("0.0000000000000005", "0", True),
        ("0.0000000000000015", "2E-15", True),
        ("-0.0000000000000025", "-2E-15", True),
    ],
)
def test_the_lake_rounds_half_to_even_and_says_so(text: str, value: str, rounded: bool) -> None:
    assert numbers.for_lake(text) == (Decimal(value), rounded)


@st.composite
def number_like(draw: st.DrawFn) -> str:
    """Texts near to the limits: many digits, large exponents of either sign, leading zeros, 64 characters and more."""
    digits = st.text("0123456789", min_size=1, max_size=16) | st.sampled_from(["0", "00", "9" * 13, "1" + "0" * 13])
    decimals = st.text("0123456789", max_size=70) | st.sampled_from(["0" * 99, "0" * 100, "9" * 15 + "5", "0" * 62])
    exponents = st.integers(-120, 120) | st.integers(-20_000, 20_000) | st.integers(-(10**25), 10**25)
    text = draw(st.sampled_from(["", "-", "+"])) + draw(digits)
    if draw(st.booleans()):
        text += "." + draw(decimals)
    if draw(st.booleans()):
        exponent = draw(exponents)
        sign = "-" if exponent < 0 else draw(st.sampled_from(["", "+"]))
        text += draw(st.sampled_from("eE")) + sign + "0" * draw(st.sampled_from([0, 1, 40])) + str(abs(exponent))
    return text


WIDE = Context(prec=400, Emin=-(10**17), Emax=10**17, traps=[InvalidOperation])


@examples(1_000)
@given(number_like())
@example("123E9999")
@example("0E99999")
@example("0E9000")
@example("9999999999999" + "." + "9" * 50)
@example("1E-100")
@example("10E12")
def test_every_function_takes_whatever_the_rule_accepts_and_the_rule_is_decimals_own(text: str) -> None:
    reason = numbers.why_not_a_number(text)
    value = WIDE.create_decimal(text) if numbers.NUMBER.fullmatch(text) and len(text) <= 64 else None
    if value is None:
        assert reason
        assert numbers.why_not_a_rate(text) or len(text) > 64
        return
    exponent = int(text.lower().partition("e")[2] or 0)
    kept = (
        value.copy_abs() < numbers.MAGNITUDE_LIMIT and -int(value.as_tuple().exponent) <= 100 and abs(exponent) <= 9_000
    )
    assert (reason is None) is kept
    if kept:
        assert numbers.exact(text) == value
        assert numbers.total([text, "0.1", text]) == WIDE.add(WIDE.add(value, value), Decimal("0.1"))
        assert WIDE.create_decimal(numbers.plain(numbers.exact(text))) == value
        rounded, inexact = numbers.for_lake(text)
        nearest = value.quantize(Decimal("1E-15"), context=Context(prec=400, rounding=ROUND_HALF_EVEN))
        assert (rounded, inexact) == (nearest, nearest != value)
        rate = numbers.percent_to_rate(text)
        assert WIDE.multiply(WIDE.create_decimal(rate), Decimal(100)) == value
        assert numbers.why_not_a_rate(rate) is None, "a percentage that is kept comes back from v1"
    if numbers.why_not_a_rate(text) is None:
        percent = numbers.rate_to_percent(text)
        assert WIDE.create_decimal(percent) == WIDE.multiply(value, Decimal(100))
        assert numbers.why_not_a_number(percent) is None
