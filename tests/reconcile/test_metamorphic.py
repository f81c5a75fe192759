"""What must not change what two sides differ by, and what must change it in a known way. Of `compare` as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path
from random import Random
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from counterfoil.generator.scenarios import ScenarioPair
from counterfoil.generator.scenarios.exact_fractions import written
from counterfoil.generator.spelling import read
from counterfoil.line_items.lake import batch_to_lake, text_schema
from counterfoil.model import Kind
from counterfoil.reconcile import Comparison, compare
from tests.generator.reading import PARTNER
from tests.reconcile.sides import INVOICE, lines_file, pull_folder

Item = dict[str, str]
Causes = Mapping[str, Fraction]
MIRRORED = {"new": "vanished", "vanished": "new"}
PERIOD = "2026-10"
# Amounts of daily use have 15 digits, and stay so ten times as large; what is cut to cents does not.
TENFOLD = ("UnitPrice", "EffectiveUnitPrice", "PricingPreTaxTotal", "BillingPreTaxTotal")
KINDS = pytest.mark.parametrize("kind", Kind)


class Outcome(NamedTuple):
    """What two sides differ by, whatever the numbers of their lines are."""

    differences: Counter[object]
    causes: Causes
    by_customer: Mapping[str, Causes]
    total: Fraction


@cache
def sides(kind: Kind, scenario: str = "all") -> tuple[list[Item], list[Item]]:
    """Two sides of which every third line item differs."""
    blocks = list(ScenarioPair(scenario, kind, 200, PARTNER, PERIOD, seed=3, one_in=3).blocks())
    left, right = (
        [{name: text for name, text in read(each).items() if text} for each in b"".join(side).splitlines()]
        for side in zip(*((block.left, block.right) for block in blocks), strict=True)
    )
    return left, right


def outcome(left: Path, right: Path) -> Outcome:
    with compare(str(left), str(right), comparing="revisions", period=PERIOD) as result:
        return _outcome(result)


def _outcome(result: Comparison) -> Outcome:
    differences = Counter[object]()
    for each in result.differences():
        told = (
            tuple(sorted(tuple(text for text in line.attributes.values() if text) for line in lines))
            for lines in (each.left, each.right)
        )
        causes = tuple(sorted((str(amount.cause), Fraction(amount.amount)) for amount in each.causes))
        differences[*told, causes] += 1
    return Outcome(
        differences,
        {str(cause): Fraction(each.amount) for cause, each in result.causes.items()},
        {
            group.key: {str(cause): Fraction(amount) for cause, amount in group.causes.items()}
            for group in result.by("customer")
        },
        Fraction(result.difference),
    )


def of(folder: Path, left: Iterable[Item], right: Iterable[Item]) -> Outcome:
    folder.mkdir(exist_ok=True)
    return outcome(lines_file(folder / "left.jsonl", left), lines_file(folder / "right.jsonl", right))


@pytest.fixture(scope="module", params=list(Kind), ids=str)
def usual(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Kind, Outcome]:
    kind: Kind = request.param
    return kind, of(tmp_path_factory.mktemp("usual"), *sides(kind))


def shuffled(items: Sequence[Item]) -> list[Item]:
    return Random(5).sample(items, len(items))


def in_small_groups(path: Path, items: Sequence[Item], kind: Kind) -> Path:
    """A Parquet file of many row groups, as another program may have written it."""
    batch, _ = batch_to_lake(kind, pa.RecordBatch.from_pylist([dict(each) for each in items], schema=text_schema(kind)))
    pq.write_table(pa.Table.from_batches([batch]), path, row_group_size=37)
    return path


def test_the_order_of_line_items_changes_nothing(usual: tuple[Kind, Outcome], tmp_path: Path) -> None:
    kind, wanted = usual
    assert len(wanted.differences) > 8
    left, right = sides(kind)
    assert of(tmp_path, shuffled(left), shuffled(right)) == wanted


def test_the_form_and_the_batches_of_a_side_change_nothing(usual: tuple[Kind, Outcome], tmp_path: Path) -> None:
    kind, wanted = usual
    left, right = sides(kind)
    pulled = pull_folder(tmp_path / "pulled", right, kind, form="parquet", invoiceId=INVOICE)
    assert outcome(in_small_groups(tmp_path / "left.parquet", left, kind), pulled) == wanted


def test_swapped_sides_turn_every_sign(usual: tuple[Kind, Outcome], tmp_path: Path) -> None:
    kind, wanted = usual
    left, right = sides(kind)
    found = of(tmp_path, right, left)
    assert turned(found.causes) == wanted.causes
    assert {key: turned(causes) for key, causes in found.by_customer.items()} == wanted.by_customer
    assert -found.total == wanted.total
    assert len(found.differences) == len(wanted.differences)


def turned(causes: Causes) -> Causes:
    return {MIRRORED.get(cause, cause): -amount for cause, amount in causes.items()}


def test_a_line_item_more_on_both_sides_changes_nothing(usual: tuple[Kind, Outcome], tmp_path: Path) -> None:
    kind, wanted = usual
    left, right = sides(kind)
    more = {**left[3], "SubscriptionId": "0f0f0f0f-0000-4000-8000-000000000000"}
    assert of(tmp_path, [*left, more], [more, *right]) == wanted


def test_renaming_a_customer_on_both_sides_changes_its_name_only(usual: tuple[Kind, Outcome], tmp_path: Path) -> None:
    kind, wanted = usual
    old = next(iter(wanted.by_customer))
    new = "ffffffff-0000-4000-8000-000000000000"

    def renamed(items: Iterable[Item]) -> list[Item]:
        return [each | {"CustomerId": new} if each["CustomerId"] == old else each for each in items]

    left, right = sides(kind)
    found = of(tmp_path, renamed(left), renamed(right))
    assert found.causes == wanted.causes
    assert {old if key == new else key: causes for key, causes in found.by_customer.items()} == wanted.by_customer


def test_from_a_to_b_and_from_b_to_c_is_from_a_to_c(usual: tuple[Kind, Outcome], tmp_path: Path) -> None:
    kind, wanted = usual
    left, right = sides(kind)
    third = sides(kind, "unit-price")[1]  # of the same line items
    second = of(tmp_path / "second", right, third)
    both = of(tmp_path / "both", left, third)
    assert wanted.total + second.total == both.total != 0
    for each in (second, both):
        assert sum(each.causes.values()) == each.total


@KINDS
def test_a_side_is_equal_to_itself(kind: Kind, tmp_path: Path) -> None:
    left, _ = sides(kind)
    path, other = lines_file(tmp_path / "left.jsonl", left), lines_file(tmp_path / "other.jsonl", shuffled(left))
    with compare(str(path), str(other), period=PERIOD) as result:
        assert result.is_equal
        assert not result.causes


@pytest.mark.parametrize("scenario", ["quantity", "earned-credit", "vanished"])
def test_amounts_ten_times_as_large_have_causes_ten_times_as_large(scenario: str, tmp_path: Path) -> None:
    """Where nothing is cut: the prices and amounts of daily use, on both sides."""
    left, right = sides(Kind.USAGE, scenario)
    once = of(tmp_path / "once", left, right)
    tenfold = of(tmp_path / "tenfold", *([times_ten(each) for each in side] for side in (left, right)))
    assert once.causes
    assert tenfold.causes == {cause: 10 * amount for cause, amount in once.causes.items()}


def times_ten(item: Item) -> Item:
    return item | {name: f"{item[name]}E+1" for name in TENFOLD}


def test_a_charge_split_in_two_moves_no_money(tmp_path: Path) -> None:
    """A licence of some seats as one seat and the others, at the same price: what else differs stays as it was."""
    left, right = sides(Kind.RECONCILIATION, "tax-rate")
    at = next(at for at, each in enumerate(right) if each in left and is_whole(each))
    one = right[at]
    parts = [with_seats(one, 1), with_seats(one, int(one["BillableQuantity"]) - 1)]
    wanted = of(tmp_path / "whole", left, right)
    found = of(tmp_path / "split", left, [*right[:at], *parts, *right[at + 1 :]])
    assert found.total == wanted.total
    assert not wanted.differences - found.differences
    assert (found.differences - wanted.differences).total() == 2
    moved = found.causes["quantity"] + found.causes["new"]
    assert moved == 0
    assert found.causes["tax"] == wanted.causes["tax"]


def is_whole(item: Item) -> bool:
    return item.get("UnitType") == "Licenses" and int(item["BillableQuantity"]) > 2


def with_seats(item: Item, seats: int) -> Item:
    """The same for so many seats; all of the tax stands on the larger part."""
    net = Fraction(item["Subtotal"]) * seats / int(item["BillableQuantity"])
    tax = Fraction(item["TaxTotal"]) if seats > 1 else Fraction(0)
    amounts = {"Subtotal": written(net), "TaxTotal": written(tax), "Total": written(net + tax)}
    return item | amounts | {"Quantity": str(seats), "BillableQuantity": str(seats)}
