"""A record holds a line item whole: what went in comes out, and its digest is that of the definition."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil import numbers
from counterfoil.columns import EXTRA, LineItemTable, table_of
from counterfoil.datasets import bulk_numbers, digest, sort
from counterfoil.datasets.records import names_of, within
from counterfoil.datasets.sort import Sorter
from counterfoil.line_items import canonical, lake
from counterfoil.model import Kind
from tests.datasets.exploring import examples
from tests.datasets.line_items import batch_of, rows

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
AMOUNTS = st.from_regex(numbers.NUMBER, fullmatch=True).filter(lambda text: numbers.why_not_a_number(text) is None)
LONG = st.tuples(st.sampled_from(["", "-"]), st.integers(0, 10**13 - 1), st.text("0123456789", min_size=1, max_size=45))
# Where rounding to fifteen decimals is close, and where it reaches the largest number there is.
CLOSE = st.sampled_from(["0.0000000000000005", "0.0000000000000015", "1.00000000000000050", "0.00000000000000050001"])
LARGEST = st.sampled_from(
    ["9999999999999.9999999999999999", "-9999999999999.99999999999999949", "9" * 13 + "." + "9" * 14]
)
MANY = st.lists(
    st.none() | AMOUNTS | LONG.map(lambda parts: f"{parts[0]}{parts[1]}.{parts[2]}") | CLOSE | LARGEST | st.just("0"),
    max_size=8,
)


def items(table: LineItemTable) -> st.SearchStrategy[list[dict[str, str]]]:
    known = st.dictionaries(st.sampled_from(names_of(table)[:-1]), TEXTS, max_size=9)
    members = st.none() | TEXTS | st.integers() | st.booleans() | st.lists(st.integers(), max_size=2)
    extra = st.dictionaries(TEXTS.map(str.lower), members, max_size=3).map(json.dumps)
    return st.lists(
        st.builds(lambda item, text: item | text, known, st.just({}) | extra.map(lambda text: {EXTRA: text})),
        max_size=5,
    )


@pytest.mark.parametrize("kind", Kind)
def test_what_goes_in_comes_out(kind: Kind) -> None:
    table = table_of(kind)

    @examples(60)
    @given(items(table))
    def check(given_items: list[dict[str, str]]) -> None:
        made = batch_of(table, given_items)
        assert rows(made.items) == given_items
        for record, size, item in zip(made.records.to_pylist(), made.text_sizes, given_items, strict=True):
            assert record[:size] == "\0".join(item.get(name, "") for name in names_of(table)).encode()

    check()


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("extra_names_max", [0, 256])
def test_digests_in_bulk_are_those_of_the_definition(
    kind: Kind, extra_names_max: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = table_of(kind)
    monkeypatch.setattr(digest, "_EXTRA_NAMES_MAX", extra_names_max)

    @examples(60)
    @given(items(table))
    def check(given_items: list[dict[str, str]]) -> None:
        made = batch_of(table, given_items)
        assert [row.tobytes() for row in made.digests] == [canonical.digest(item) for item in given_items]

    check()


@examples(150)
@given(MANY)
def test_quick_totals_are_those_of_the_plain_way(texts: list[str | None]) -> None:
    expected = numbers.total(text for text in texts if text is not None)
    found = bulk_numbers.total(pa.array(["7", *texts], pa.string()).slice(1))
    assert (found, found.as_tuple().exponent) == (expected, expected.as_tuple().exponent)


@examples(150)
@given(MANY)
def test_quick_decimals_are_those_of_the_plain_way(texts: list[str | None]) -> None:
    array = pa.array(texts, pa.string())
    assert bulk_numbers.decimals(array)[0].equals(lake.decimals_of(array)[0])
    assert bulk_numbers.decimals(array)[1] == lake.decimals_of(array)[1]


@pytest.mark.parametrize("pieces_together", [1, 3, 64])
@pytest.mark.parametrize("piece_size_bytes", [1, 100, 1 << 20])
@pytest.mark.parametrize("run_size_bytes", [1, 700, 5_000, 1 << 20])
def test_records_come_back_in_the_order_of_their_keys(
    tmp_path: Path, run_size_bytes: int, piece_size_bytes: int, pieces_together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sort, "_PIECE_SIZE_BYTES", piece_size_bytes)
    monkeypatch.setattr(sort, "_PIECES_TOGETHER", pieces_together)
    chance = random.Random(run_size_bytes)
    sorter = Sorter(tmp_path / "run", run_size_bytes=run_size_bytes)
    given_items = list[tuple[bytes, bytes]]()
    for _ in range(40):
        keys = [b"%03d" % chance.randrange(500) + hashlib.sha256(b"").digest() for _ in range(chance.randrange(1, 40))]
        records = [b"record %d of " % chance.randrange(3) + key for key in keys]
        sorter.add(pa.array([b"?", *records], pa.binary()).slice(1), pa.array(keys, pa.binary()))
        given_items += zip(keys, records, strict=True)
    found = [item for some in sorter.sorted() for item in zip(*(each.to_pylist() for each in some), strict=True)]
    assert found == [(record, key) for key, record in sorted(given_items)]
    assert list(tmp_path.iterdir()) == []


def test_no_more_records_than_there_is_room_for() -> None:
    records = pa.array([b"x", b"aa", b"bbb", b"c"], pa.binary()).slice(1)
    assert [within(records, 9, size) for size in (0, 1, 2, 4, 5, 6, 7)] == [0, 0, 1, 1, 2, 3, 3]
    assert [within(records, count, 99) for count in (0, 1, 2)] == [0, 1, 2]


def test_a_total_of_many_large_amounts_is_exact() -> None:
    texts = ["-9999999999999." + "9" * 40, "12.5"] * 100_000
    assert bulk_numbers.total(pa.array(texts)) == numbers.total(texts)
