"""Every example of docs/reconcile.md is true, and every cause has one."""

from __future__ import annotations

import contextlib
import io
import re
from decimal import Context, localcontext
from pathlib import Path

import pytest

from counterfoil.generator.scenarios import ScenarioPair
from counterfoil.model import Kind
from counterfoil.reconcile import Comparing, StateChange
from counterfoil.reconcile.comparing import reader_notes
from counterfoil.reconcile.explaining import Cause, Rounding
from tests.reconcile.case_notation import WorkedCase, causes_in, read_cases
from tests.reconcile.sides import PARTNER
from tests.reconcile.test_sentences import SENTENCES

PAGE = (Path(__file__).parents[2] / "docs" / "reconcile.md").read_text(encoding="utf-8")
WARNINGS = Path(reader_notes.__file__).read_text(encoding="utf-8")
BLOCKS = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
EXAMPLES = [case for block in BLOCKS if re.match(r"[0-9]+\. ", block) for case in read_cases(block)]


@pytest.mark.parametrize("case", EXAMPLES, ids=lambda case: f"{case.number}-{case.name}")
def test_an_example_of_the_page_is_true(case: WorkedCase) -> None:
    assert causes_in(case.solve()) == case.causes


def test_the_examples_are_numbered_and_show_every_cause() -> None:
    assert [case.number for case in EXAMPLES] == list(range(1, len(EXAMPLES) + 1))
    assert {cause for case in EXAMPLES for cause in case.causes} == set(Cause)


def test_the_sentence_of_the_page_is_what_is_written() -> None:
    assert f"{next(iter(SENTENCES.values()))}\n" in BLOCKS


def test_the_python_of_the_page_prints_what_it_says() -> None:
    python, printed = re.findall(
        r"```python\n(.*?)```\n\nprints\n\n```text\n(.*?)```", PAGE.partition("## The arith")[2], re.DOTALL
    )[0]
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(python, {})
    assert output.getvalue() == printed


def test_the_example_of_comparing_from_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "two").mkdir()
    pair = ScenarioPair("all", Kind.RECONCILIATION, 70, PARTNER, period="2026-10", invoice="G016907411", one_in=4)
    with localcontext(Context()):  # making line items has a context of its own
        pair.write(tmp_path / "two")
    python = re.findall(r"<!-- example -->\n```python\n(.*?)```", PAGE, re.DOTALL)[0]
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(python, {})
    assert "quantity" in output.getvalue()
    assert (tmp_path / "report.html").stat().st_size


def test_every_warning_change_and_comparison_is_described() -> None:
    codes = set(re.findall(r'ReportWarning\(\s*"([a-z-]+)"', WARNINGS))
    assert codes
    for told in (*codes, *Comparing):
        assert f"`{told}`" in PAGE
    for change in StateChange:
        assert change.value in PAGE


def test_every_way_of_rounding_is_described() -> None:
    assert {way for way in Rounding if f"{way}" in PAGE} == set(Rounding)
