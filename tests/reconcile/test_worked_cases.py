"""The 44 cases that were worked by hand come out to the last digit, and as many more of the same kinds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reconcile.case_notation import WorkedCase, causes_in, negated, read_cases

HERE = Path(__file__).parent


def cases(name: str) -> list[WorkedCase]:
    return list(read_cases((HERE / name).read_text(encoding="utf-8")))


ALL = [*cases("worked_cases.txt"), *cases("further_cases.txt")]


def each_case() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", ALL, ids=lambda case: f"{case.number}-{case.name}")


def test_no_case_is_missing() -> None:
    assert [case.number for case in ALL if case.number < 100] == list(range(1, 45))
    assert len({case.number for case in ALL}) == len(ALL)


@each_case()
def test_the_causes_are_those_worked_by_hand(case: WorkedCase) -> None:
    assert causes_in(case.solve()) == case.causes


@each_case()
def test_swapped_sides_turn_every_sign(case: WorkedCase) -> None:
    assert negated(causes_in(case.solve(swapped=True))) == causes_in(case.solve())
