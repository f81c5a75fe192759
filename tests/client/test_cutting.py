"""The quick way of reading blocks of lines against the reference: the same columns, or it says that it will not."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterfoil.client.line_items.reading import Dialect, LineReader, tally_columns, tally_of
from counterfoil.client.protocol.promised_totals import Tally
from counterfoil.columns import Type, table_of
from counterfoil.errors import ProofError
from counterfoil.generator import generate
from counterfoil.model import Kind, Scope
from counterfoil.testing import PARTNER

COLUMNS = [column for column in table_of(Kind.USAGE).columns if column.graph]
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12) | st.sampled_from(
    ["", "a,", ',"', '","b":', "\\", '\\"', "\x01", "\r", "\n", "é", "}", '"}', "null", "1", "\ud83d\ude00"]
)
NUMBER = st.sampled_from(
    ["0", "-0", "24.0", "1E-7", "1e400", "007", "1_0", "", "null", "NaN", '"1.50"', '""', "1 "]
) | (st.decimals(allow_nan=False, allow_infinity=False, places=6).map(str))


def value_of(column: Any) -> st.SearchStrategy[str]:
    if column.type is Type.NUMBER:
        return NUMBER
    odd = st.sampled_from(["null", "1", "true", '{"a":1,"b":2}', "[]", ' "x"', '"\\u00e9"', '"\\ud800"', "x"])
    return st.one_of(TEXT.map(json.dumps), TEXT.map(lambda text: json.dumps(text, ensure_ascii=False)), odd)


@st.composite
def blocks(draw: st.DrawFn) -> bytes:
    """Blocks of lines of about one shape."""
    columns = draw(st.lists(st.sampled_from(COLUMNS), min_size=1, max_size=6, unique_by=lambda each: each.name))
    shape = draw(st.sampled_from([("{", ":", ",", "}"), ("{", ": ", ", ", "}"), ("{ ", ":", ",", " }")]))
    lines = []
    for _ in range(draw(st.integers(1, 5))):
        pairs = [f'"{each.name}"{shape[1]}{draw(value_of(each))}' for each in columns]
        if draw(st.integers(0, 9)) == 0:
            pairs = draw(st.permutations(pairs))
        lines.append(shape[0] + shape[2].join(pairs) + shape[3])
    return "\n".join([*lines, ""]).encode(errors="surrogatepass")


def read(block: bytes, *, quick: bool, only: tuple[str, ...] = ()) -> list[dict[str, str | None]] | None:
    reader = LineReader(Kind.USAGE, Dialect.GRAPH, only=only)
    try:
        if quick:
            rows: list[dict[str, str | None]] = reader.read_block(block, "x", coded=True).to_pylist()
            return rows
        lines = [line for line in block.split(b"\n") if line and not line.isspace()]
        rows = reader.read(lines, "x").to_pylist()
    except ProofError:
        return None
    return rows


@settings(max_examples=200, deadline=None)
@given(blocks())
def test_both_ways_agree_on_any_block(block: bytes) -> None:
    assert read(block, quick=True) == read(block, quick=False)


@pytest.mark.parametrize(
    "line",
    [
        b'{"UnitPrice":1,"UnitPrice":2}',
        b'{"UnitPrice":1,"Tags":"a\\":b","UnitPrice":2}',
        b'{"UnitPrice" :1,"UnitPrice":2}',
        b'{"UnitPrice":1,"UnitPrice"\t:2}',
        b'{"UnitPrice":1,"Unit\\u0050rice":2}',
        b'{"UnitPrice":1,"New":1,"New":2}',
        b'{"UnitPrice":1,"New\\\\":1,"UnitPrice":2}',
        b'{"UnitPrice":1,"Tags":{"a":1},"UnitPrice":2}',
    ],
)
def test_an_attribute_that_is_there_twice_is_refused_either_way(line: bytes) -> None:
    for quick in (True, False):
        assert read(line + b"\n", quick=quick) is None
        assert read(b'{"UnitPrice":1,"Quantity":2}\n' + line + b"\n", quick=quick) is None


def test_an_amount_that_is_there_twice_is_refused_where_only_the_sums_are_wanted() -> None:
    right = b'{"BillingPreTaxTotal":1,"BillingCurrency":"EUR","UnitPrice":1}\n'
    twice = b'{"BillingPreTaxTotal":1,"BillingCurrency":"EUR","BillingPreTaxTotal":2}\n'
    for block in (twice, right + twice):
        for quick in (True, False):
            assert read(block, quick=quick, only=tally_columns(Kind.USAGE)) is None


@pytest.mark.parametrize(
    "line",
    [b'{"UnitPrice":1,"AdditionalInfo":"{\\"a\\":1}"}', b'{"UnitPrice":1,"Tags":"a : b"}', b'{"UnitPrice" : 1}\r'],
)
def test_what_only_looks_like_more_attributes_is_read(line: bytes) -> None:
    quick = read(line + b"\n", quick=True)
    assert quick is not None
    assert quick == read(line + b"\n", quick=False)


@pytest.mark.parametrize("kind", list(Kind))
def test_generated_lines_are_cut_and_not_read_one_by_one(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    # What a server gives has every attribute in one order; so has what the generator writes, but for absent ones.
    block = b"".join(
        (line if line.endswith(b"\n") else line + b"\n")
        for piece in generate(kind, 500, partner=PARTNER, scope=Scope.billed("G016907411"))
        for line in piece.splitlines()
    )
    names = [column.name for column in table_of(kind).columns if column.graph]
    full = b"".join(
        json.dumps({name: json.loads(line).get(name) for name in names}, separators=(",", ":")).encode() + b"\n"
        for line in block.splitlines()
    )
    reader = LineReader(kind, Dialect.GRAPH)
    expected = reader.read(full.splitlines(), "x")
    monkeypatch.setattr(LineReader, "read", None)
    for coded in (False, True):
        batch = reader.read_block(full, "x", coded=coded)
        assert batch.to_pylist() == expected.to_pylist()
        tallies = [Tally(), Tally()]
        tally_of(kind, batch, tallies[0])
        tally_of(kind, expected, tallies[1])
        assert tallies[0].plain_totals() == tallies[1].plain_totals()


def test_only_the_columns_of_the_sums_are_made_where_no_more_is_wanted() -> None:
    only = tally_columns(Kind.USAGE)
    block = b'{"PartnerId":"p","BillingPreTaxTotal":1.50,"BillingCurrency":"EUR"}\n' * 3
    batch = LineReader(Kind.USAGE, Dialect.GRAPH, only=only).read_block(block, "x")
    assert set(batch.schema.names) == set(only)
    assert batch.to_pylist() == [{"BillingPreTaxTotal": "1.50", "BillingCurrency": "EUR"}] * 3


amounts = st.from_regex(r"-?(0|[1-9][0-9]{0,12})(\.[0-9]{1,30})?([eE]-[0-9])?", fullmatch=True)


@settings(max_examples=200, deadline=None)
@given(st.lists(amounts | st.none(), max_size=6), st.booleans())
def test_sums_are_those_of_adding_one_by_one(texts: list[str | None], coded: bool) -> None:
    given_texts = pa.array(texts, pa.string())
    batch = pa.RecordBatch.from_pydict(
        {
            "BillingCurrency": ["EUR"] * len(texts),
            "BillingPreTaxTotal": given_texts.dictionary_encode() if coded else given_texts,
        }
    )
    quick, slow = Tally(), Tally()
    tally_of(Kind.USAGE, batch, quick)
    if texts:
        slow.add(["EUR"] * len(texts), {"BillingPreTaxTotal": texts})
    assert (quick.line_items, quick.plain_totals()) == (slow.line_items, slow.plain_totals())
