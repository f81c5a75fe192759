"""What a scenario puts between two sides is found: those line items, those causes, those amounts to the last digit.

And nothing beside it: no cause, and no `unexplained`, where none was put. The scenarios reckon in fractions and share
nothing with the reconciler, see `counterfoil.generator.scenarios`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from counterfoil.generator.scenarios import ScenarioPair, scenarios_of
from counterfoil.model import Kind
from tests.generator.reading import PARTNER
from tests.reconcile.scenario_verdicts import Verdict, table, verdict_on

PERIOD, INVOICE = "2026-10", "G016907411"
SEEDS, LINE_ITEMS, MANY = 20, 20_000, 1_000_000
SCENARIOS = [pytest.param(kind, name, id=f"{kind}-{name}") for kind in Kind for name in scenarios_of(kind)]


def pair(kind: Kind, scenario: str, line_items: int, seed: int, one_in: int = 25, invoice: str = "") -> ScenarioPair:
    return ScenarioPair(scenario, kind, line_items, PARTNER, PERIOD, invoice, seed=seed, one_in=one_in)


def told(verdict: Verdict) -> str:
    return f"\n{table(verdict)}\nmissed {verdict.missed[:3]}\nbeside {verdict.beside[:3]}"


@pytest.mark.parametrize("invoice", ["", INVOICE], ids=["revisions", "unbilled-billed"])
@pytest.mark.parametrize("kind", Kind)
def test_all_scenarios_mixed_are_found_and_nothing_else(kind: Kind, invoice: str, tmp_path: Path) -> None:
    """Every 3rd line item differs, so that windows, places and subscriptions hold several differences."""
    verdict = verdict_on(pair(kind, "all", 1_500, len(invoice), one_in=3, invoice=invoice), tmp_path)
    assert verdict.is_clean, told(verdict)
    assert set(verdict.hits) == set(scenarios_of(kind)) or kind is Kind.USAGE
    assert verdict.hits.total() > 40


@pytest.mark.soak
@pytest.mark.parametrize(("kind", "scenario"), SCENARIOS)
def test_each_scenario_alone_is_always_found(
    kind: Kind, scenario: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verdict = Verdict()
    for seed in range(SEEDS):
        invoice = INVOICE if seed % 2 else ""
        verdict.add(verdict_on(pair(kind, scenario, LINE_ITEMS, seed, invoice=invoice), tmp_path / str(seed)))
    with capsys.disabled():
        sys.stdout.write(f"\n{kind} {table(verdict).splitlines()[0]}\n")
    assert verdict.is_clean, told(verdict)


@pytest.mark.soak
@pytest.mark.parametrize("kind", Kind)
def test_all_scenarios_mixed_are_found_for_many_seeds(
    kind: Kind, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verdict = Verdict()
    for seed in range(SEEDS):
        invoice = INVOICE if seed % 2 else ""
        verdict.add(verdict_on(pair(kind, "all", LINE_ITEMS, seed, one_in=5, invoice=invoice), tmp_path / str(seed)))
    with capsys.disabled():
        sys.stdout.write(f"\n{kind}, {SEEDS} seeds of {LINE_ITEMS:,} line items\n{table(verdict)}\n")
    assert verdict.sums
    assert verdict.hits.total() * 100 >= verdict.injected.total() * 99, told(verdict)


@pytest.mark.soak
@pytest.mark.parametrize("kind", Kind)
def test_all_scenarios_mixed_are_found_among_a_million(
    kind: Kind, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verdict = verdict_on(pair(kind, "all", MANY, seed=1), tmp_path)
    with capsys.disabled():
        sys.stdout.write(f"\n{kind}, {MANY:,} line items\n{table(verdict)}\n")
    assert verdict.sums
    assert verdict.hits.total() * 100 >= verdict.injected.total() * 99, told(verdict)
