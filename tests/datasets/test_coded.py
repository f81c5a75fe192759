"""Coded line items lose nothing: what went in comes out, in order, and its digest is that of the definition."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil import numbers
from counterfoil.columns import EXTRA, RECONCILIATION, USAGE, LineItemTable, table_of
from counterfoil.datasets import bulk_numbers, coded, dictionary, digest
from counterfoil.datasets.batch import names_of
from counterfoil.datasets.coded import Coded, Coder
from counterfoil.datasets.cuts import parts_of, portions_of
from counterfoil.datasets.dictionary import groups_of
from counterfoil.datasets.runs import Run, RunFolder
from counterfoil.datasets.sizes import Sizes
from counterfoil.datasets.sort import Sorter
from counterfoil.line_items import canonical, lake
from counterfoil.model import Kind
from counterfoil.storage.folder_files import FolderFiles
from tests.datasets.exploring import examples
from tests.datasets.line_items import as_they_came, batch_of, rows

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


def rows_of(table: LineItemTable, coded: Coded) -> list[dict[str, str]]:
    return rows(pa.table(list(coded.texts()), names_of(table)))


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
        batch = batch_of(table, given_items)
        ordered = as_they_came(batch)
        assert rows_of(table, ordered.coded(0, len(given_items))) == given_items
        sizes = [len("\0".join(item.get(name, "") for name in names_of(table)).encode()) + 1 for item in given_items]
        assert ordered.sizes(0, len(given_items)).tolist() == sizes
        assert ordered.coder.code(batch.items)[1].tolist() == sizes

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
        made = as_they_came(batch_of(table, given_items))
        assert [row.tobytes() for row in made.coder.digests] == [canonical.digest(item) for item in given_items]

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


# Line items that tie: of one digest, in every way that may differ from each other all the same.
ALIKE = [{}, {"SkuId": ""}, {"PartnerName": ""}, {"SkuId": "", "UnitPrice": ""}]
SPELLED = [{EXTRA: '{"a":1,"b":2}'}, {EXTRA: '{"b":2,"a":1}'}, {EXTRA: '{"b":2,"a":1}', "SkuId": ""}]


def unordered(chance: random.Random, count: int) -> list[dict[str, str]]:
    found = []
    for _ in range(count):
        item = {"CustomerId": chance.choice(["", "b", "ba", "a\u0301", "z"]), "UsageDate": chance.choice("12")}
        if chance.random() < 0.7:
            item["SubscriptionId"] = chance.choice(["s", "t"])
        found.append(item | chance.choice(ALIKE + SPELLED) | chance.choice([{}, {"Quantity": str(chance.random())}]))
    return found


def in_order(item: dict[str, str]) -> tuple[bytes, ...]:
    names = names_of(USAGE)
    seen = [item.get(name, "").encode() for name in ("CustomerId", "SubscriptionId", "UsageDate")]
    nulls = bytes(number for number, name in enumerate(names, 1) if name not in item)
    record = b"".join(item.get(name, "").encode() + b"\0" for name in names) + nulls
    return *seen, canonical.digest(item), record


def taken(sorter: Sorter, given_items: list[dict[str, str]]) -> None:
    items_ = batch_of(USAGE, given_items).items
    codes, _ = sorter.coder.code(items_)
    sorter.add(codes, digest.digests_of(USAGE, items_))


@pytest.mark.parametrize("part_line_items", [9, 50, 10_000])
@pytest.mark.parametrize(
    ("run_bytes", "piece_bytes", "batches"),
    [
        (1, 1, 4),  # a run of each, and of each line item a portion, take long
        pytest.param(1, 1, 12, marks=pytest.mark.soak),
        (20_000, 1, 12),
        (20_000, 5_000, 12),
        (100_000, 2_000, 12),
    ],
)
def test_line_items_come_back_in_order_however_they_came(
    tmp_path: Path, run_bytes: int, piece_bytes: int, batches: int, part_line_items: int
) -> None:
    chance = random.Random(run_bytes)
    given_items = list[dict[str, str]]()
    folder = RunFolder(FolderFiles(tmp_path), "runs")
    sorter = Sorter(USAGE, folder, Sizes(run_bytes=run_bytes, piece_bytes=piece_bytes))
    for _ in range(batches):
        some = unordered(chance, chance.randrange(1, 40))
        given_items += some
        taken(sorter, some)
    parts = parts_of(USAGE, sorter.runs(), part_line_items)
    found = [
        [item for portion in portions_of(USAGE, part, run_bytes) for item in rows_of(USAGE, portion.coded(0, 10_000))]
        for part in parts
    ]
    whole = sum(run.size_bytes for run in sorter.runs())
    assert sum(run.size_bytes for part in parts for run in part) <= whole
    ordered = sorted(given_items, key=in_order)
    assert found == [ordered[at : at + part_line_items] for at in range(0, len(ordered), part_line_items)]
    folder.files.delete([found.path for found in folder.files.find("runs/")])
    assert list(tmp_path.iterdir()) == []


def test_copies_in_any_number_are_divided_without_reading_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sorter = Sorter(USAGE, RunFolder(FolderFiles(tmp_path), "runs"), Sizes(run_bytes=1, piece_bytes=1))
    for _ in range(20):
        taken(sorter, [{"CustomerId": "c", EXTRA: json.dumps({"a": "b" * 400})}] * 50)
    read: list[Run] = []
    reads = Run.read
    monkeypatch.setattr(Run, "read", lambda run: read.append(run) or reads(run))  # type: ignore[func-returns-value]
    parts = parts_of(USAGE, sorter.runs(), 300)
    assert [sum(map(len, part)) for part in parts] == [300, 300, 300, 100]
    assert len(read) <= 3 * 2 * 20 < 1000


def test_texts_that_do_not_repeat_are_not_looked_up_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dictionary, "_LOOKED_UP_ROWS", 50)
    coder = Coder(groups_of(USAGE.columns))
    given_items = [{"SkuId": str(number), "CustomerId": "c"} for number in range(120)]
    for begin in range(0, 120, 60):
        batch = batch_of(USAGE, given_items[begin : begin + 60])
        coder.add(coder.code(batch.items)[0], digest.digests_of(USAGE, batch.items))
    batch = batch_of(USAGE, given_items[:60])
    coder.add(coder.code(batch.items)[0], digest.digests_of(USAGE, batch.items))
    entries = {tuple(each.group.columns): len(each) for each in coder.dictionaries}
    assert entries[tuple(range(9))] == 1
    assert entries[tuple(range(9, 17))] == 180
    assert rows_of(USAGE, coder.take(np.arange(180))) == [*given_items, *given_items[:60]]


@pytest.mark.parametrize("table", [USAGE, RECONCILIATION])
def test_line_items_that_become_many_are_as_if_they_had_been_many_at_once(
    table: LineItemTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coded, "_FEW_ROWS", 8)
    of_many, of_few = groups_of(table.columns), groups_of(table.columns, together=True)
    assert len(of_few) == 2 < len(of_many)
    given_items = [
        {"CustomerId": f"c{number % 3}", "SkuId": "", "ProductId": "\u2028" * number}
        | ({EXTRA: '{"a":1}'} if number else {})
        for number in range(5)
    ]
    batches = [batch_of(table, given_items), batch_of(table, given_items[1:4]), batch_of(table, given_items)]
    coder, at_once = Coder(of_many, of_few), Coder(of_many)
    for number, batch in enumerate(batches):
        codes, sizes = coder.code(batch.items)
        plain_codes, plain_sizes = at_once.code(batch.items)
        assert sizes.tolist() == plain_sizes.tolist()
        coder.add(codes, digest.digests_of(table, batch.items))
        at_once.add(plain_codes, digest.digests_of(table, batch.items))
        assert coder.groups == (of_few if number < 2 else of_many)
        if number == 1:
            assert rows_of(table, coder.take(np.arange(8))) == [*given_items, *given_items[1:4]]
    every = np.arange(13)
    assert coder.take(every).encoded() == at_once.take(every).encoded()


def test_a_total_of_many_large_amounts_is_exact() -> None:
    texts = ["-9999999999999." + "9" * 40, "12.5"] * 100_000
    assert bulk_numbers.total(pa.array(texts)) == numbers.total(texts)
