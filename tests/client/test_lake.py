"""The conversion from texts to the lake: exact, counted, and the same by every way through it."""

from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterfoil import numbers
from counterfoil.columns import USAGE, Type
from counterfoil.line_items.lake import DECIMAL, batch_to_lake, decimals_of, lake_schema, moments_of, text_schema
from counterfoil.model import Kind

HARD = [
    "24.0", "-0", "999999999999.9999999999999999",
    "0E-20", "1E-7", "1e3", "-1.5E+2", "0.1999968000511991808131", "0.0000000000000005",
    "0.0000000000000015", "0.00000000000000050000000001", "9999999999999.9999999999999999",
    "-9999999999999.99999999999999999", "9999999999999.999999999999999", "0.12345678901234567890123456789", None,
    "",
]  # fmt: skip


def expected(text: str | None) -> tuple[Decimal | None, bool]:
    if not text:
        return None, False
    value, rounded = numbers.for_lake(text)
    largest = Decimal("9999999999999.999999999999999")
    return max(min(value, largest), -largest), rounded


@pytest.mark.parametrize("text", [text for text in HARD if text])
def test_each_hard_number_alone_becomes_its_half_even_decimal(text: str) -> None:
    decimals, rounded = decimals_of(pa.array([text]))
    assert decimals.type == DECIMAL
    assert (decimals[0].as_py(), bool(rounded)) == expected(text)


def test_hard_numbers_together_are_converted_and_counted() -> None:
    decimals, rounded = decimals_of(pa.array(HARD, pa.string()))
    assert decimals.to_pylist() == [expected(text)[0] for text in HARD]
    assert rounded == sum(expected(text)[1] for text in HARD)


def test_a_dictionary_counts_every_line_item_not_every_distinct_text() -> None:
    texts = pa.array(["1E-16", "2.5", "1E-16", None, "1E-16"]).dictionary_encode()
    decimals, rounded = decimals_of(texts)
    assert rounded == 3
    assert decimals.to_pylist() == [Decimal(0), Decimal("2.5"), Decimal(0), None, Decimal(0)]


numbers_text = st.from_regex(r"-?(0|[1-9][0-9]{0,12})(\.[0-9]{1,30})?([eE]-[0-9])?", fullmatch=True)


@settings(max_examples=80, deadline=None)
@given(st.lists(numbers_text.filter(lambda text: numbers.why_not_a_number(text) is None), min_size=1, max_size=8))
def test_any_mixture_agrees_with_exact_arithmetic(texts: list[str]) -> None:
    decimals, rounded = decimals_of(pa.array(texts))
    assert decimals.to_pylist() == [expected(text)[0] for text in texts]
    assert rounded == sum(expected(text)[1] for text in texts)


@pytest.mark.parametrize("kind", list(Kind))
def test_the_lake_has_twin_columns_in_the_order_of_the_table_and_extra_last(kind: Kind) -> None:
    assert lake_schema(kind).names[-1] == "LineItemSha256"
    names = lake_schema(kind, digests=False).names
    assert [*names, "LineItemSha256"] == lake_schema(kind).names
    assert names[-1] == "Extra"
    assert [name for name in names if name in text_schema(kind).names] == text_schema(kind).names
    total = "BillingPreTaxTotal" if kind is Kind.USAGE else "Total"
    assert names[names.index(total) + 1] == total + "Text"
    assert names[names.index("ChargeStartDate") + 1] == "ChargeStartDateText"


def test_a_batch_keeps_every_text_and_fills_missing_columns_with_null() -> None:
    batch = pa.RecordBatch.from_pydict({"BillingPreTaxTotal": ["1E-20", "24.0"], "CustomerId": ["", None]})
    lake, inexact = batch_to_lake(Kind.USAGE, batch)
    assert lake.schema.equals(lake_schema(Kind.USAGE, digests=False), check_metadata=True)
    assert inexact == {"BillingPreTaxTotal": 1}
    assert lake["BillingPreTaxTotalText"].to_pylist() == ["1E-20", "24.0"]
    assert lake["CustomerId"].to_pylist() == ["", None]
    assert lake["PartnerId"].null_count == 2


def test_a_batch_counts_its_rounded_decimals_by_column_and_leaves_out_those_without() -> None:
    batch = pa.RecordBatch.from_pydict({"Quantity": ["1E-16", "1E-16", "1"], "UnitPrice": ["1", None, "0.5"]})
    lake, inexact = batch_to_lake(Kind.USAGE, batch)
    assert inexact == {"Quantity": 2}
    assert lake["Quantity"].to_pylist() == [0, 0, 1]
    assert lake["UnitPrice"].to_pylist() == [1, None, Decimal("0.5")]
    numbers = [column for column in USAGE.columns if column.type is Type.NUMBER]
    assert lake.num_columns == len(USAGE.columns) + len(numbers) + 4 + 1  # four dates, and Extra


@pytest.mark.parametrize("other", ["2026-02-30T00:00:00Z", "2026-11-20T24:00:00Z", "2026-11-20T23:59:60Z", "", None])
def test_dates_are_the_same_moments_whatever_stands_among_them(other: str | None) -> None:
    texts = ["2026-11-20T01:02:03Z", "1000-01-01T00:00:00Z", "9999-12-31T23:59:59Z", other]
    moments = [datetime.fromisoformat(text) for text in texts[:3] if text]
    for more, expected in (([], []), (["0999-01-01T00:00:00Z"], [datetime(999, 1, 1, tzinfo=UTC)])):
        assert moments_of([pa.array(texts + more, pa.string())])[0].to_pylist() == [*moments, None, *expected]


def test_a_date_is_a_moment_beside_its_text() -> None:
    texts = {
        "2026-11-20": datetime(2026, 11, 20, tzinfo=UTC),
        "2026-11-20T23:30:00-02:00": datetime(2026, 11, 21, 1, 30, tzinfo=UTC),
        "2026-11-20t01:02:03.1234567z": datetime(2026, 11, 20, 1, 2, 3, 123456, tzinfo=UTC),
        "2026-11-20T01:02:03": datetime(2026, 11, 20, 1, 2, 3, tzinfo=UTC),
        "0001-01-01T00:00:00+01:00": None,  # before the first year there is
        "": None,
        None: None,
    }
    lake, _ = batch_to_lake(Kind.USAGE, pa.RecordBatch.from_pydict({"UsageDate": list(texts)}))
    assert lake["UsageDate"].to_pylist() == list(texts.values())
    assert lake["UsageDateText"].to_pylist() == list(texts)
