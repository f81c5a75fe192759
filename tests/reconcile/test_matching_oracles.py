"""Matching agrees with EXCEPT ALL, and its groups do not depend on order, batches, storage, memory or which is left."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from counterfoil.columns import EXTRA, table_of
from counterfoil.generator import generate
from counterfoil.line_items.lake import DIGEST
from counterfoil.line_items.line_reader import LineReader
from counterfoil.model import Kind, Scope
from counterfoil.reconcile.matching import Line, MatchedLines, Stage, match, matcher, ordered_sides
from counterfoil.reconcile.sides.side import Reading
from tests.reconcile.readings import StoredSide, reading
from tests.reconcile.sides import PARTNER, usage

KINDS = (Kind.USAGE, Kind.RECONCILIATION)
LINE_ITEMS = 100
Item = dict[str, str]
Group = tuple[str, tuple[tuple[str, ...], ...], tuple[tuple[str, ...], ...]]
Sides = tuple[list[Item], list[Item]]


def names_of(kind: Kind) -> list[str]:
    return [*(column.name for column in table_of(kind).columns), EXTRA]


def generated(kind: Kind) -> list[Item]:
    scope = Scope(period="2026-10", currency="EUR")
    chunks = generate(kind, LINE_ITEMS, seed=3, special=True, partner=PARTNER, scope=scope)
    lines = b"".join(chunks).splitlines()

    def refuse(line: int, refused: Any) -> None:
        raise AssertionError((line, refused))

    rows = LineReader(kind).read(lines, refuse).to_pylist()
    return [{name: text for name, text in row.items() if text} for row in rows]


def changed(items: Sequence[Item], kind: Kind, seed: int) -> list[Item]:
    """Lines of which many changed in every way that has a stage."""
    drawn, table, found = random.Random(seed), table_of(kind), list[Item]()
    quantity = "Quantity" if kind is Kind.USAGE else "BillableQuantity"
    changes: list[Callable[[Item], list[Item]]] = [
        lambda item: [],
        lambda item: [item, item],
        lambda item: [item | {table.totals[0]: f"{drawn.randint(1, 99)}.5"}],
        lambda item: [item | {quantity: str(drawn.randint(1, 9))}],
        lambda item: [item | {"InvoiceNumber": "G1", "CustomerName": "Renamed"}],
        lambda item: [item | {"CustomerId": item.get("CustomerId", "").upper()}],
        lambda item: [item | {"SubscriptionId": f"moved-{drawn.randint(1, 3)}"}],
        lambda item: [item | {"OrderId": "another"} if kind is Kind.RECONCILIATION else item],
        lambda item: [item | {table.date: "2026-10-30T00:00:00Z"}],
        lambda item: [item | {"ChargeType": "addQuantity", table.totals[0]: amount} for amount in ("-7", "9")],
    ]
    for item in items:
        found += drawn.choice(changes)(item) if drawn.random() < 0.4 else [item]
    return found


@pytest.fixture(scope="module", params=KINDS, ids=str)
def sides(request: pytest.FixtureRequest) -> tuple[Kind, Sides]:
    kind: Kind = request.param
    items = generated(kind)
    return kind, (changed(items, kind, 1), changed(items, kind, 2))


def texts(line: Line, kind: Kind) -> tuple[str, ...]:
    return tuple(line.attributes[name] for name in names_of(kind))


def groups(
    left: Reading, right: Reading, kind: Kind, scratch: Path, numbered: Sequence[Sequence[Mapping[str, str]]] = ()
) -> tuple[list[Group], dict[Stage, int]]:
    """The groups by what their lines say, in order, and the counts; `numbered` are the sides in their own order."""
    matching = match(left, right, kind, scratch=scratch)
    found: list[Group] = []
    for each in matching:
        for side, items in zip((each.left, each.right), numbered, strict=False):
            for line in side:
                assert {name: text for name, text in line.attributes.items() if text} == items[line.number - 1]
        mine, theirs = (tuple(sorted(texts(line, kind) for line in side)) for side in (each.left, each.right))
        found.append((each.stage.value, mine, theirs))
    assert not list(scratch.iterdir())
    return found, dict(matching.counts)


def swapped(found: Sequence[Group]) -> Counter[Group]:
    return Counter((stage, theirs, mine) for stage, mine, theirs in found)


def few_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make everything that is large small: runs, sections, windows, and what is left over in memory."""
    monkeypatch.setattr(ordered_sides, "RUN_LINES", 50)
    monkeypatch.setattr(ordered_sides, "SECTION_LINES", 40)
    monkeypatch.setattr(ordered_sides, "_SECTION_LINES_MIN", 40)
    monkeypatch.setattr(ordered_sides, "_WINDOW_LINES", 40)
    monkeypatch.setattr(ordered_sides, "_MARKED_LINES", 40)
    monkeypatch.setattr(matcher, "LINES_HELD_MAX", 11)


def cut(items: Sequence[Item], parts: int, seed: int) -> list[list[Item]]:
    drawn = random.Random(seed)
    found: list[list[Item]] = [[] for _ in range(parts)]
    for item in items:
        drawn.choice(found).append(item)
    return found


def except_all(left: Iterable[Item], right: Iterable[Item], kind: Kind) -> Counter[tuple[str, ...]]:
    names = names_of(kind)
    mine, theirs = (
        pa.table({name: pa.array([item.get(name) for item in items], pa.string()) for name in names})
        for items in (list(left), list(right))
    )
    chosen = ", ".join(f"coalesce(\"{name}\", '')" for name in names)
    with duckdb.connect() as connection:
        connection.register("mine", mine)
        connection.register("theirs", theirs)
        return Counter(
            connection.execute(f"SELECT {chosen} FROM mine EXCEPT ALL SELECT {chosen} FROM theirs").fetchall()
        )


def test_what_is_not_identical_is_what_except_all_leaves(sides: tuple[Kind, Sides], tmp_path: Path) -> None:
    kind, (left, right) = sides
    found, counts = groups(reading(left, kind), reading(right, kind), kind, tmp_path, (left, right))
    alone = Counter[tuple[str, ...]](), Counter[tuple[str, ...]]()
    for _, *both in found:
        for side, its in zip(alone, both, strict=True):
            side.update(its)
    assert alone == (except_all(left, right, kind), except_all(right, left, kind))
    assert [side.total() + counts[Stage.IDENTICAL] for side in alone] == [len(left), len(right)]
    assert counts.keys() >= {Stage(stage) for stage, _, _ in found}


def test_every_stage_is_met(sides: tuple[Kind, Sides], tmp_path: Path) -> None:
    kind, (left, right) = sides
    _, counts = groups(reading(left, kind), reading(right, kind), kind, tmp_path)
    only_licences = {Stage.OTHER_ORDER, Stage.CHANGE, Stage.OTHER_DATES}
    assert set(counts) == set(Stage) - (only_licences if kind is Kind.USAGE else set())


WAYS: dict[str, Callable[[list[Item], Kind, int], Reading]] = {
    "in small batches": lambda items, kind, seed: reading(items, kind, at_once=13),
    "as dictionaries": lambda items, kind, seed: reading(items, kind, at_once=50, coded=True),
    "shuffled": lambda items, kind, seed: reading(random.Random(seed).sample(items, len(items)), kind),
    "stored": lambda items, kind, seed: StoredSide([items], kind).reading,
    "stored in parts": lambda items, kind, seed: StoredSide(cut(items, 5, seed), kind).reading,
    "stored without digests": lambda items, kind, seed: StoredSide(cut(items, 3, seed), kind, digests=False).reading,
}


def test_groups_do_not_depend_on_the_way_they_are_read(sides: tuple[Kind, Sides], tmp_path: Path) -> None:
    kind, (left, right) = sides
    expected, counts = groups(reading(left, kind), reading(right, kind), kind, tmp_path)
    for name, way in WAYS.items():
        turned, its_counts = groups(way(right, kind, 1), reading(left, kind), kind, tmp_path)
        assert (swapped(turned), its_counts) == (Counter(expected), counts), name
        assert groups(reading(left, kind), way(right, kind, 1), kind, tmp_path) == (expected, counts), name


@pytest.mark.parametrize("name", ["shuffled", "stored without digests"])
def test_groups_do_not_depend_on_memory(
    name: str, sides: tuple[Kind, Sides], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, (left, right) = sides
    expected, counts = groups(reading(left, kind), reading(right, kind), kind, tmp_path)
    few_in_memory(monkeypatch)
    found, its_counts = groups(WAYS[name](left, kind, 1), WAYS[name](right, kind, 2), kind, tmp_path)
    assert (Counter(found), its_counts) == (Counter(expected), counts)


def test_lines_have_their_numbers_however_they_are_stored(
    sides: tuple[Kind, Sides], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few_in_memory(monkeypatch)
    kind, (left, right) = sides
    stored = StoredSide(cut(left, 4, 1), kind), StoredSide(cut(right, 4, 2), kind)
    found, _ = groups(stored[0].reading, stored[1].reading, kind, tmp_path, (stored[0].items, stored[1].items))
    expected, _ = groups(reading(left, kind), reading(right, kind), kind, tmp_path, (left, right))
    assert Counter(found) == Counter(expected)


def test_a_line_on_both_sides_and_another_name_change_no_group(sides: tuple[Kind, Sides], tmp_path: Path) -> None:
    kind, (left, right) = sides
    expected, counts = groups(reading(left, kind), reading(right, kind), kind, tmp_path)
    more = left[0] | {"CustomerId": "another", "SubscriptionId": "another"}
    found, its_counts = groups(reading([*left, more], kind), reading([more, *right], kind), kind, tmp_path)
    assert (found, its_counts) == (expected, counts | {Stage.IDENTICAL: counts[Stage.IDENTICAL] + 1})

    customers = sorted({item.get("CustomerId", "") for item in (*left, *right)} - {""})
    renamed = {name: f"c-{at:04}" for at, name in enumerate(customers)}
    renamed |= {name: renamed[name.lower()].upper() for name in customers if name != name.lower() in renamed}
    both = [[item | ({"CustomerId": renamed[item["CustomerId"]]} if "CustomerId" in item else {}) for item in side]
            for side in (left, right)]  # fmt: skip
    assert groups(reading(both[0], kind), reading(both[1], kind), kind, tmp_path)[1] == counts


def test_numbers_are_those_of_the_groups(sides: tuple[Kind, Sides], tmp_path: Path) -> None:
    kind, (left, right) = sides
    for digests in (True, False):
        stored = [StoredSide(cut(items, 3, 1), kind, digests=digests) for items in (left, right)]
        both = [match(stored[0].reading, stored[1].reading, kind, scratch=tmp_path) for _ in range(2)]
        found = list(both[0])
        numbers = both[1].numbers()
        assert numbers[0] == sorted(line.number for each in found for line in each.left)
        assert numbers[1] == sorted(line.number for each in found for line in each.right)
        assert both[1].counts == {Stage.IDENTICAL: both[0].counts[Stage.IDENTICAL]}
        assert both[1].line_items == both[0].line_items == (len(left), len(right))
        assert {names[-1] for each in stored for _, names in each.read} == ({DIGEST, EXTRA} if digests else {EXTRA})


def test_parts_that_both_sides_hold_are_not_read(tmp_path: Path) -> None:
    days = [[usage(str(at + 1), UsageDate=f"2026-10-0{day}T00:00:00Z") for at in range(3)] for day in (1, 2, 3)]
    left = StoredSide(days, Kind.USAGE)
    same = StoredSide(days[::-1], Kind.USAGE)
    assert groups(left.reading, same.reading, Kind.USAGE, tmp_path) == ([], {Stage.IDENTICAL: 9})
    assert (left.read, same.read) == ([], [])

    more = StoredSide([*days, [usage("99", CustomerId="c2", UsageDate="2026-10-04T00:00:00Z")]], Kind.USAGE)
    _, counts = groups(left.reading, more.reading, Kind.USAGE, tmp_path, (left.items, more.items))
    assert counts == {Stage.IDENTICAL: 9, Stage.ONE_SIDE: 1}
    assert {names for _, names in left.read} == {(DIGEST,)}  # it might have been a copy
    assert {at for at, names in more.read if DIGEST not in names} == {3}


def test_a_copy_in_a_part_of_its_own_is_a_duplicate(tmp_path: Path) -> None:
    """One delivery loaded twice, as another segment: its twins are in a part that nobody needs to compare."""
    day = [usage(str(at + 1)) for at in range(3)]
    once, twice = StoredSide([day], Kind.USAGE), StoredSide([day, day[:2]], Kind.USAGE)
    for mine, other in ((once, twice), (twice, once)):
        assert groups(mine.reading, other.reading, Kind.USAGE, tmp_path)[1] == {Stage.IDENTICAL: 3, Stage.DUPLICATE: 2}


def test_members_of_extra_count_in_any_order(tmp_path: Path) -> None:
    one, other = usage(Extra='{"a":1,"b":"x"}'), usage(Extra='{"b": "x", "c": "", "a":1}')
    for left, right in (
        (reading([one], Kind.USAGE), reading([other], Kind.USAGE)),
        (StoredSide([[one]], Kind.USAGE).reading, StoredSide([[other]], Kind.USAGE).reading),
    ):
        assert groups(left, right, Kind.USAGE, tmp_path)[1] == {Stage.IDENTICAL: 1}


def test_what_is_left_half_way_leaves_nothing_behind(
    sides: tuple[Kind, Sides], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few_in_memory(monkeypatch)
    kind, (left, right) = sides
    going_on = iter(match(reading(left, kind), reading(right, kind), kind, scratch=tmp_path))
    first = next(going_on)
    assert isinstance(first, MatchedLines)
    assert list(tmp_path.iterdir())
    going_on.close()  # type: ignore[attr-defined]
    assert not list(tmp_path.iterdir())
