"""The quick way of reading blocks of lines against the reference: the same columns, and the same lines refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.columns import Type, table_of
from counterfoil.generator import generate
from counterfoil.line_items import fast_reader, line_reader
from counterfoil.line_items.lake import text_schema
from counterfoil.line_items.line_reader import LineReader
from counterfoil.line_items.reference import read_lines
from counterfoil.line_items.totals import Totals, summed_names
from counterfoil.line_items.values import Refused
from counterfoil.model import Kind, Scope
from counterfoil.testing import PARTNER
from tests.datasets.exploring import examples

COLUMNS = [column for column in table_of(Kind.USAGE).columns if column.graph]
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12) | st.sampled_from(
    ["", "a,", ',"', '","b":', "\\", '\\"', "\x01", "\r", "\n", "é", "}", '"}', "null", "1", "\ud83d\ude00"]
)
NUMBER = st.sampled_from(
    ["0", "-0", "24.0", "1E-7", "1e400", "007", "1_0", "", "null", "NaN", '"1.50"', '""', "1 "]
) | (st.decimals(allow_nan=False, allow_infinity=False, places=6).map(str))


@pytest.fixture(autouse=True, scope="module")
def any_number_of_lines_is_cut() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fast_reader, "CUT_SIZE_BYTES_MIN", 1)
        yield


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


def refuse(line: int, refused: Refused) -> None:
    raise refused


def read(block: bytes, *, quick: bool) -> list[dict[str, str | None]] | None:
    try:
        if quick:
            batch = LineReader(Kind.USAGE).read(block.split(b"\n"), refuse, coded=True)
            return [*batch.to_pylist()]
        lines = enumerate(block.split(b"\n"), 1)
        names = text_schema(Kind.USAGE).names
        return [{name: item.get(name) for name in names} for _, item in read_lines(table_of(Kind.USAGE), lines, refuse)]
    except Refused:
        return None


@pytest.mark.parametrize(("count", "new"), [(80, False), pytest.param(200, True, marks=pytest.mark.soak)])
def test_both_ways_agree_on_any_block(count: int, new: bool) -> None:
    @examples(count, new=new)
    @given(blocks())
    def agree(block: bytes) -> None:
        assert read(block, quick=True) == read(block, quick=False)

    agree()


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


@pytest.mark.parametrize("line", [b'{"UnitPrice":1}', b'{"UnitPrice":1,"Quantity":2}'])
def test_blank_lines_are_passed_over_wherever_they_are(line: bytes) -> None:
    for block in (
        b"\n".join([line, b"", line]),
        b"\n\n" + line + b"\n \n",
        b"\n".join([line, b"", b"", line, line, b""]),
    ):
        quick = read(block, quick=True)
        assert quick is not None
        assert quick == read(block, quick=False)
        assert len(quick) == block.count(line)


def test_an_amount_that_is_there_twice_is_refused_among_others() -> None:
    right = b'{"BillingPreTaxTotal":1,"BillingCurrency":"EUR","UnitPrice":1}\n'
    twice = b'{"BillingPreTaxTotal":1,"BillingCurrency":"EUR","BillingPreTaxTotal":2}\n'
    for block in (twice, right + twice):
        for quick in (True, False):
            assert read(block, quick=quick) is None


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
        for piece in generate(kind, 500, special=True, partner=PARTNER, scope=Scope.billed("G016907411"))
        for line in piece.splitlines()
    )
    names = [column.name for column in table_of(kind).columns if column.graph]
    full = b"".join(
        json.dumps({name: json.loads(line).get(name) for name in names}, separators=(",", ":")).encode() + b"\n"
        for line in block.splitlines()
    )
    expected = list(read_lines(table_of(kind), enumerate(full.splitlines()), refuse))
    monkeypatch.setattr(line_reader, "read_lines", None)
    totals = []
    for coded in (False, True):
        batch = LineReader(kind).read(full.splitlines(), refuse, coded=coded)
        rows = [{name: text for name, text in row.items() if text is not None} for row in batch.to_pylist()]
        assert rows == [item for _, item in expected]
        totals.append(Totals())
        totals[-1].add_batch(kind, batch)
    one_by_one = Totals()
    currency, *columns = summed_names(kind)
    values = [item for _, item in expected]
    one_by_one.add(
        [each.get(currency) for each in values], {name: [each.get(name) for each in values] for name in columns}
    )
    assert totals[0].plain_totals() == totals[1].plain_totals() == one_by_one.plain_totals()


amounts = st.from_regex(r"-?(0|[1-9][0-9]{0,12})(\.[0-9]{1,30})?([eE]-[0-9])?", fullmatch=True)


@examples(80)
@given(st.lists(amounts | st.none(), max_size=6), st.booleans())
def test_sums_are_those_of_adding_one_by_one(texts: list[str | None], coded: bool) -> None:
    given_texts = pa.array(texts, pa.string())
    batch = pa.RecordBatch.from_pydict(
        {
            "BillingCurrency": ["EUR"] * len(texts),
            "BillingPreTaxTotal": given_texts.dictionary_encode() if coded else given_texts,
        }
    )
    quick, slow = Totals(), Totals()
    quick.add_batch(Kind.USAGE, batch)
    if texts:
        slow.add(["EUR"] * len(texts), {"BillingPreTaxTotal": texts})
    assert (quick.line_items, quick.plain_totals()) == (slow.line_items, slow.plain_totals())
