"""Scenarios: two sides that differ by known line items, with the cause and the exact amount of every difference.

`ScenarioPair` makes them, from the generator's ordinary line items. What a difference is worth is reckoned by
an arithmetic of this package's own, see `exact_fractions`: a deliberate duplicate that can convict the reconciler.
"""

from counterfoil.generator.scenarios.scenario_list import SCENARIOS, scenarios_of
from counterfoil.generator.scenarios.scenario_pairs import (
    DEFAULT_ONE_IN,
    InjectedDifference,
    ScenarioBlock,
    ScenarioFiles,
    ScenarioPair,
)

__all__ = [
    "DEFAULT_ONE_IN",
    "SCENARIOS",
    "InjectedDifference",
    "ScenarioBlock",
    "ScenarioFiles",
    "ScenarioPair",
    "scenarios_of",
]
