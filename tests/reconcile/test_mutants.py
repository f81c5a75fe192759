"""Each wrong way of explaining that is easily taken for a right one is convicted by a worked case, which is named."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.reconcile import case_notation
from tests.reconcile.case_notation import causes_in, negated, read_cases

PACKAGE = "counterfoil.reconcile.explaining"
HERE = Path(__file__).parent
CASES = {
    case.number: case
    for name in ("worked_cases.txt", "further_cases.txt")
    for case in read_cases((HERE / name).read_text(encoding="utf-8"))
}

# What is wrong, in which module, the text that is right, the one that is wrong, and the case that tells.
MUTANTS = [
    ("floats", "arithmetic", "multiply = _EXACT.multiply", "multiply = lambda a, b: Decimal(float(a) * float(b))", 14),
    ("28 digits", "arithmetic", "add = _EXACT.add", "add = Context(prec=28).add", 155),
    ("unary minus", "arithmetic", "return value.copy_negate()", "return -value", 42),
    ("abs", "arithmetic", "return value.copy_abs()", "return abs(value)", 8),
    ("one order", "factors", "exact.mean(forward[cause], backward[cause])", "forward[cause]", 21),
    ("left's discount", "factors", "exact.scale(exact.add_ratios(of_left, of_right), exact.HALF)", "of_left", 154),
    ("all that differ", "factors", "return some", "return tuple(differ)", 44),
    ("proration of use", "parts", "exact.ONE if metered else charge", "charge", 153),
    (
        "documented way only",
        "parts",
        "Rounding.WITHIN_A_UNIT} else other",
        "Rounding.WITHIN_A_UNIT, other} else 0",
        152,
    ),
    ("sign of the price", "parts", "if price < 0:", "if False:", 101),
    ("shown price of use", "parts", "return whole if close or", "return line.price if close or", 8),
    ("always per line", "parts", "if way in PER_UNIT:", "if False:", 3),
    ("each side its own way", "roundings", "if all(fits):", "if False:", 105),
    ("tax is quantity", "tax", "causes.add(Cause.TAX, follows,", "causes.add(Cause.QUANTITY, follows,", 2),
    (
        "totals are believed",
        "pairs",
        "    add_outside_total(causes, exact.subtract(right.outside_total, left.outside_total))",
        "",
        28,
    ),
    (
        "refunds of one side",
        "subscription_changes",
        "causes_of(refund.reversed(), charge, unit)\n",
        "causes_of(refund, charge, unit)\n",
        38,
    ),
]


def convicted(number: int) -> bool:
    """Whether a case tells that something is wrong."""
    case = CASES[number]
    try:
        found = causes_in(case.solve())
        return found != case.causes or negated(causes_in(case.solve(swapped=True))) != found
    except (ArithmeticError, AssertionError):
        return True


def replace_text(
    patch: pytest.MonkeyPatch,
    name: str,
    right: str,
    wrong: str,
    package: str = PACKAGE,
    test: ModuleType = case_notation,
) -> None:
    """Put what a module with the wrong text defines in the place of what the right one does, wherever it is used."""
    module = sys.modules[f"{package}.{name}"]
    assert module.__file__ is not None
    text = Path(module.__file__).read_text(encoding="utf-8")
    assert text.count(right) == 1, right
    mutant = ModuleType(module.__name__)
    patch.setitem(sys.modules, module.__name__, mutant)
    exec(compile(text.replace(right, wrong), module.__file__, "exec"), mutant.__dict__)
    users = [each for key, each in sys.modules.items() if key.startswith(package)]
    for user in [*users, test, module]:
        for attribute, value in list(vars(user).items()):
            if vars(module).get(attribute) is value and attribute in vars(mutant) and not attribute.startswith("__"):
                patch.setattr(user, attribute, vars(mutant)[attribute])


@pytest.mark.parametrize(("what", "module", "right", "wrong", "number"), MUTANTS, ids=lambda value: str(value)[:24])
def test_a_wrong_way_of_explaining_is_convicted(
    monkeypatch: pytest.MonkeyPatch, what: str, module: str, right: str, wrong: str, number: int
) -> None:
    assert not convicted(number)
    with monkeypatch.context() as patch:
        replace_text(patch, module, right, wrong)
        assert convicted(number), what
    assert not convicted(number)
