"""Each wrong way of matching that is easily taken for a right one is convicted by a case, which is named."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from counterfoil.reconcile.matching import windows as windows_module
from tests.reconcile.test_matching import CASES, matched
from tests.reconcile.test_mutants import replace_text

PACKAGE = "counterfoil.reconcile.matching"
# What is wrong, in which module, the text that is right, the one that is wrong, and the case that tells.
MUTANTS = [
    (
        "duplicates after coarse keys", "matcher",
        "yield from sorted((*duplicates(twins), *at_one_place(lines, keys)), key=self._place)",
        "lines.left += twins.left; lines.right += twins.right", "a copy is not paired with a line that is gone",
    ),
    (
        "pairing by order", "pairing", "".join(f"    lambda values: values[{which}],\n" for which in (":2", 0, 1, 2)),
        "", "equal amount and quantity first, then amount, then quantity",
    ),
    ("moved to whom it may", "staging", "keys, key, alone=True)", "keys, key)", "moved and changed, to one of two"),
    ("letters count", "line_keys", "join(plain(attributes)).lower()", "join(plain(attributes))",
     "ids in another letter case"),
    ("use of other days", "staging", "keys.other_dates, _is_licence)", "keys.other_dates)",
     "metered use of other dates is other use"),
    ("no reference is one", "staging", "and (reference := reference_of(told)):",
     "and (reference := reference_of(told)) is not None:", "upgrades without a reference are strangers"),
    ("changes count as money", "line_keys", '"Tags", ', "", "words"),
]  # fmt: skip


def convicted(name: str, scratch: Path) -> bool:
    kind, left, right, expected = CASES[name]
    return matched(left, right, kind, scratch) != Counter(expected)


@pytest.mark.parametrize(("what", "module", "right", "wrong", "name"), MUTANTS, ids=lambda value: str(value)[:24])
def test_a_wrong_way_of_matching_is_convicted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, what: str, module: str, right: str, wrong: str, name: str
) -> None:
    assert not convicted(name, tmp_path)
    with monkeypatch.context() as patch:
        replace_text(patch, module, right, wrong, PACKAGE, sys.modules[matched.__module__])
        assert convicted(name, tmp_path), what
    assert not convicted(name, tmp_path)


def lengths() -> list[tuple[int, ...]]:
    """Windows over sections of one line each: two lines of one place on the left, one on the right."""

    def stream(*texts: str) -> windows_module.Stream:
        batches = (pa.record_batch([pa.array([text])], ["place"]) for text in texts)
        return windows_module.Stream([windows_module.Section(batch, at) for at, batch in enumerate(batches)], 1, 1)

    found = windows_module.windows([stream("a", "a", "b")], [stream("a", "c")])
    return [tuple(sum(map(len, sections)) for sections in window) for window in found]


def test_a_window_that_ends_with_a_place_is_convicted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the last place, not with it: more lines of that place may follow."""
    assert lengths() == [(2, 1), (1, 0), (0, 1)]
    with monkeypatch.context() as patch:
        right = "if section.place(high - 1, self._width) < place:"
        replace_text(patch, "windows", right, right.replace("<", "<="), PACKAGE, windows_module)
        assert lengths() != [(2, 1), (1, 0), (0, 1)]
