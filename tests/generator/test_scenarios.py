"""Scenarios: two sides that differ where the truth says, by what it says, and nowhere else."""

from __future__ import annotations

import ast
import gzip
import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from fractions import Fraction
from functools import cache
from itertools import chain
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from counterfoil.cli import main
from counterfoil.errors import UsageError
from counterfoil.generator.scenarios import SCENARIOS, InjectedDifference, ScenarioPair, scenarios_of
from counterfoil.generator.scenarios.exact_fractions import cut, day_text, days_in, half_up, to_fifteen, written
from counterfoil.generator.scenarios.true_causes import TrueFactors, true_causes
from counterfoil.generator.spelling import Line, read
from counterfoil.model import Kind
from counterfoil.reconcile.explaining import Cause
from tests.generator.reading import PARTNER

HERE = Path(__file__).parents[2] / "src" / "counterfoil" / "generator" / "scenarios"
OWN = "counterfoil.generator.scenarios"
# The reconciler's arithmetic stands on none of these, and its calendar neither.
PURE = {"__future__", "collections", "dataclasses", "enum", "fractions", "itertools", "math", "typing"}
DATA_ONLY = {"counterfoil.errors", "counterfoil.model", "counterfoil.generator.draws", "counterfoil.generator.spelling"}
ENTRY = HERE / "scenario_pairs.py"  # which takes ordinary line items from the generator, and reckons nothing


@cache
def made(kind: Kind, scenario: str = "all") -> tuple[list[bytes], list[bytes], list[InjectedDifference]]:
    blocks = list(ScenarioPair(scenario, kind, 3_000, PARTNER, period="2026-10", seed=7, one_in=4).blocks())
    sides = (b"".join(side).splitlines() for side in zip(*((each.left, each.right) for each in blocks), strict=True))
    left, right = sides
    return left, right, list(chain.from_iterable(each.differences for each in blocks))


def imported(path: Path) -> Iterable[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_the_arithmetic_of_scenarios_is_their_own() -> None:
    """No rounding, proration or calendar is shared with the reconciler, the ground or the rest of the generator."""
    modules = [path for path in HERE.glob("*.py") if path != ENTRY]
    assert len(modules) > 8
    for path in modules:
        others = {name for name in imported(path) if not name.startswith(OWN)}
        assert {name.partition(".")[0] for name in others} <= {*PURE, "counterfoil"}, path
        assert {name for name in others if name.startswith("counterfoil")} <= DATA_ONLY, path
    assert not {name for name in imported(ENTRY) if "reconcile" in name or name.endswith(("numbers", "amounts"))}


@pytest.mark.parametrize("kind", Kind)
def test_the_sides_differ_where_the_truth_says_and_nowhere_else(kind: Kind) -> None:
    left, right, truth = made(kind)
    named_left = Counter(left[number - 1] for each in truth for number in each.left)
    named_right = Counter(right[number - 1] for each in truth for number in each.right)
    assert Counter(left) - Counter(right) == named_left
    assert Counter(right) - Counter(left) == named_right
    assert {each.scenario for each in truth} == set(scenarios_of(kind))
    assert len({each.scenario for each in truth if each.left and not each.right}) > 5, "mirrored"


def amount(line: Line, kind: Kind) -> Fraction:
    text = line["BillingPreTaxTotal" if kind is Kind.USAGE else "Total"]
    assert text is not None
    return Fraction(text)


@pytest.mark.parametrize("kind", Kind)
def test_causes_sum_to_the_difference_of_their_line_items(kind: Kind) -> None:
    left, right, truth = made(kind)
    for each in truth:
        before = sum(amount(read(left[number - 1]), kind) for number in each.left)
        after = sum(amount(read(right[number - 1]), kind) for number in each.right)
        assert sum(map(Fraction, each.causes.values())) == after - before, each


@pytest.mark.parametrize("kind", Kind)
def test_a_scenario_can_be_made_alone(kind: Kind) -> None:
    for name in scenarios_of(kind)[::8]:
        pair = ScenarioPair(name, kind, 150, PARTNER, invoice="G016907411", one_in=1)
        found = [each for block in pair.blocks() for each in block.differences]
        assert {each.scenario for each in found} == {name}


def test_each_cause_has_a_scenario() -> None:
    assert {cause for kind in Kind for each in made(kind)[2] for cause in each.causes} == set(Cause)
    assert len(SCENARIOS) > 21


def test_the_same_arguments_give_the_same_bytes() -> None:
    """The hash is a promise, like those of the generator's line items."""
    digest = hashlib.sha256()
    for kind in Kind:
        left, right, truth = made(kind)
        digest.update(b"".join((*left, *right)) + "".join(each.to_json() for each in truth).encode())
    assert digest.hexdigest() == "2a377c9c699ca2fc5c1a9b76bbf324ab360722f4df49c835cf5fdc4ca8e86ada"


def test_unbilled_and_billed_differ_in_invoice_and_frequency() -> None:
    pair = ScenarioPair("words", Kind.RECONCILIATION, 70, PARTNER, period="2026-10", invoice="g1")
    [block, *_] = pair.blocks()
    for side, invoice in ((block.left, ""), (block.right, "G1")):
        assert {read(line)["InvoiceNumber"] for line in side.splitlines()} == {invoice}
    frequencies = [{read(line)["BillingFrequency"] for line in side.splitlines()} for side in (block.left, block.right)]
    assert frequencies[0] == {""}
    assert "Monthly" in frequencies[1]


@pytest.mark.parametrize(
    "wrong",
    [{"scenario": "no such"}, {"one_in": 0}, {"period": ""}, {"period": "October"}, {"scenario": "proration"}],
    ids=str,
)
def test_what_cannot_be_made_is_refused(wrong: dict[str, str]) -> None:
    usual = {"scenario": "all", "kind": Kind.USAGE, "line_items": 1, "partner": PARTNER, "period": "2026-10"}
    with pytest.raises(UsageError) as told:
        ScenarioPair(**{**usual, **wrong})  # type: ignore[arg-type]
    assert told.value.remedy


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (cut(Fraction("18.616458652")), "18.61"),
        (cut(Fraction("-10.8934")), "-10.89"),
        (half_up(4 * Fraction(29, 30)), "3.87"),
        (half_up(Fraction("-0.005")), "-0.01"),
        (half_up(Fraction(1, 3), 15), "0.333333333333333"),
        (to_fifteen(Fraction("0.7557755601753388215")), "0.755775560175339"),
        (to_fifteen(Fraction("999999999999999.5")), "1000000000000000"),
        (to_fifteen(Fraction("0.0001000000000000005")), "0.0001"),
        (to_fifteen(Fraction(0)), "0"),
        (Fraction("1E-20"), "0.00000000000000000001"),
        (Fraction("1E+3"), "1000"),
    ],
)
def test_fractions_round_as_they_say(found: Fraction, wanted: str) -> None:
    assert written(found) == wanted


def test_a_third_is_no_decimal() -> None:
    with pytest.raises(ValueError, match="1/3"):
        written(Fraction(1, 3))


def test_the_calendar_knows_leap_years_and_the_months_around() -> None:
    assert [days_in(year, 2) for year in (1900, 2000, 2024, 2026)] == [28, 29, 29, 28]
    assert [day_text(2026, month, 1)[:7] for month in (0, 12, 13)] == ["2025-12", "2026-12", "2027-01"]


def factors(net: str, quantity: int, price: str, rate: str = "1", **shares: str) -> TrueFactors:
    told = {name.replace("_", " "): Fraction(text) for name, text in shares.items()}
    return TrueFactors(Fraction(net), Fraction(quantity), Fraction(price), Fraction(rate), shares=told)


@pytest.mark.parametrize(
    ("left", "right", "wanted"),
    [
        # Worked by hand: cases 21, 23 and 25 of worked_cases.txt.
        (factors("220", 10, "22", unit_price="22"), factors("277.20", 12, "23.1", unit_price="23.1"),
         {"quantity": "45.1", "unit price": "12.1"}),
        (factors("720", 50, "14.4", unit_price="16", discount="0.9"),
         factors("800", 50, "16", unit_price="20", discount="0.8"), {"unit price": "170", "discount": "-90"}),
        (factors("200", 10, "20", unit_price="20"), factors("330", 12, "25", "1.1", unit_price="25"),
         {"quantity": "47.5", "unit price": "57.5", "exchange rate": "25"}),
    ],
)  # fmt: skip
def test_joint_effects_are_halved(left: TrueFactors, right: TrueFactors, wanted: dict[str, str]) -> None:
    assert true_causes(left, right) == {cause: Fraction(text) for cause, text in wanted.items()}


COMMAND = ["generate", "--scenario", "all", "--kind", "usage", "--line-items", "300", "--partner", PARTNER]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, [*COMMAND, *arguments])


def test_the_command_writes_both_sides_and_the_truth(tmp_path: Path) -> None:
    done = run(
        "--period", "2026-10", "--invoice", "G1", "--one-in", "5", "-o", str(tmp_path / "all"), "--output", "json"
    )
    told = json.loads(done.stdout)
    assert told["files"] == ["unbilled.jsonl.gz", "billed.jsonl.gz", "truth.jsonl"]
    truth = [json.loads(line) for line in (tmp_path / "all" / "truth.jsonl").read_text().splitlines()]
    assert told["differences"] == len(truth) == sum(told["scenarios"].values()) > 10
    pair = ScenarioPair("all", Kind.USAGE, 300, PARTNER, period="2026-10", invoice="G1", one_in=5)
    assert gzip.decompress((tmp_path / "all" / "billed.jsonl.gz").read_bytes()) == b"".join(
        block.right for block in pair.blocks()
    )


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "folder"),
        (["-o", "full", "--period", "2026-10"], "no empty folder"),
        (["-o", "new"], "no month"),
        (["-o", "new", "--period", "2026-10", "--special"], "no special"),
        (["-o", "new", "--period", "2026-10", "--scenario", "proration"], "covered-by-credit"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_command_refuses(arguments: list[str], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    done = run(*arguments)
    assert done.exit_code == 2
    assert why in done.stderr
    assert not (tmp_path / "new").exists()
