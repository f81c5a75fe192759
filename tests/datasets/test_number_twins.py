"""Numbers in bulk, compiled and by Arrow, are the numbers of the one rule, digit for digit."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from counterfoil import numbers
from counterfoil.datasets import bulk_numbers
from counterfoil.line_items import lake
from counterfoil.line_items.totals import Totals, summed_names
from counterfoil.model import Kind
from tests.datasets.exploring import examples
from tests.test_numbers import number_like

KEPT = number_like().filter(lambda text: numbers.why_not_a_number(text) is None)
PLAIN = st.from_regex(r"-?(0|[1-9][0-9]{0,12})(\.[0-9]{1,45})?", fullmatch=True)
COLUMNS = st.lists(KEPT | st.none(), max_size=6) | st.lists(PLAIN, max_size=12)


@examples(200)
@given(COLUMNS)
def test_sums_are_those_of_the_reference(texts: list[str | None]) -> None:
    there = [text for text in texts if text is not None]
    expected = numbers.plain(numbers.total(there))
    assert numbers.plain(bulk_numbers.total(pa.array(texts, pa.string()))) == expected
    currency, *columns = summed_names(Kind.USAGE)
    totals = Totals()
    arrays = {currency: pa.array(["EUR"] * len(texts), pa.string()), columns[0]: pa.array(texts, pa.string())}
    totals.add_batch(Kind.USAGE, pa.RecordBatch.from_pydict(arrays))
    if texts:
        assert totals.plain_totals() == {"EUR": {columns[0]: expected}}


@examples(200)
@given(COLUMNS)
def test_the_lakes_decimals_are_those_of_the_reference(texts: list[str | None]) -> None:
    array = pa.array(texts, pa.string())
    largest = numbers.for_lake("9999999999999.999999999999999")[0]
    expected = [None if text is None else min(max(numbers.for_lake(text)[0], -largest), largest) for text in texts]
    rounded = sum(numbers.for_lake(text)[1] for text in texts if text is not None)
    for decimals in (bulk_numbers.decimals, lake.decimals_of):
        found, count = decimals(array)
        assert (found.to_pylist(), count) == (expected, rounded)
    found, count = lake.decimals_of(array.dictionary_encode())
    assert (found.to_pylist(), count) == (expected, rounded)
