"""The result of a comparison: its files, sums by cause and by group, and what it says as JSON."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from counterfoil.errors import UsageError
from counterfoil.reconcile import Cause, Comparison, Stage
from tests.reconcile.comparisons import comparison, found
from tests.reconcile.sides import usage

LONG = "0.1234567890123456789012345678901234567890"


def some(folder: Path) -> Comparison:
    """Ten customers; every difference is of another one."""
    many = (
        found(number, [usage("1", CustomerId=f"C{number}")], [usage(str(number), CustomerId=f"C{number}")], causes)
        for number, causes in ((n, {"quantity": str(n - 1)} if n > 1 else {}) for n in range(1, 11))
    )
    return comparison(folder / "files", many, equal=[usage("100", CustomerId="same"), usage(LONG, CustomerId="same")])


def test_causes_groups_and_differences_sum_to_the_difference(tmp_path: Path) -> None:
    with some(tmp_path) as result:
        assert (result.difference, result.found, result.is_equal) == (Decimal(45), 10, False)
        assert (result.causes[Cause.QUANTITY].amount, result.causes[Cause.QUANTITY].differences) == (Decimal(45), 9)
        assert [(group.key, group.difference) for group in result.by("customer")][:2] == [
            ("C10", Decimal(9)),
            ("C9", Decimal(8)),
        ]
        everybody = result.by("customer", equal=True)
        assert [group.left for group in everybody if group.key == "same"] == [Decimal(f"100{LONG[1:]}")]
        assert len(everybody) == 11
        assert len(result.by("customer")) == 9
        assert result.stages == {Stage.IDENTICAL: 2, Stage.SAME_CHARGE: 10}


def test_differences_are_read_back_as_they_were_found(tmp_path: Path) -> None:
    with some(tmp_path) as result:
        numbers = [each.number for each in result.differences()]
        assert numbers == list(range(1, 11))
        assert [each.number for each in result.differences(limit=3)] == [10, 9, 8]
        assert [each.number for each in result.differences(at_least="-8")] == [9, 10]
        assert [each.number for each in result.differences("quantity", limit=1)] == [10]
        assert not list(result.differences("tax"))
        last = next(result.differences(limit=1))
        assert (last.customer, last.right[0].number, last.amount) == ("C10", 10, Decimal(9))
        assert result.to_arrow("left_lines").num_rows == 10
        assert json.loads(json.dumps(result.to_json(top=1)))["byCustomer"][0]["causes"] == {"quantity": "9.00"}


def test_a_line_item_that_moved_is_in_both_groups_and_swapping_turns_every_sign(tmp_path: Path) -> None:
    sides = [usage("10", CustomerId="a")], [usage("13", CustomerId="b")]
    there = found(1, *sides, {"quantity": "3", "key changed": "0"}, stage=Stage.MOVED)
    back = found(1, *sides[::-1], {"quantity": "-3", "key changed": "0"}, stage=Stage.MOVED)
    groups = []
    for name, moved in (("there", there), ("back", back)):
        with comparison(tmp_path / name, [moved]) as result:
            groups.append({group.key: dict(group.causes) for group in result.by("customer")})
            assert [dict(group.causes) for group in result.by("product")] == [
                {Cause.QUANTITY: Decimal(3 if name == "there" else -3)}
            ]
    assert groups[0] == {
        "a": {Cause.QUANTITY: Decimal("1.5"), Cause.KEY_CHANGED: Decimal("-11.5")},
        "b": {Cause.QUANTITY: Decimal("1.5"), Cause.KEY_CHANGED: Decimal("11.5")},
    }
    turned = {key: {cause: amount.copy_negate() for cause, amount in its.items()} for key, its in groups[1].items()}
    assert turned == groups[0]


def test_the_files_go_with_the_comparison(tmp_path: Path) -> None:
    result = some(tmp_path)
    assert (tmp_path / "files").exists()
    result.close()
    assert not (tmp_path / "files").exists()


def test_what_cannot_be_asked_is_refused(tmp_path: Path) -> None:
    with some(tmp_path) as result:
        for ask in (
            lambda: result.by("colour"),
            lambda: list(result.differences("luck")),
            lambda: list(result.differences(at_least="1,5")),
            lambda: result.to_arrow("rows"),
        ):
            with pytest.raises(UsageError):
                ask()
