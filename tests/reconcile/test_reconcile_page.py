"""Every example of docs/reconcile.md is true, and every cause has one."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

from counterfoil.reconcile.explaining import Cause, Rounding
from tests.reconcile.case_notation import WorkedCase, causes_in, read_cases
from tests.reconcile.test_sentences import SENTENCES

PAGE = (Path(__file__).parents[2] / "docs" / "reconcile.md").read_text(encoding="utf-8")
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
    python, printed = re.findall(r"```python\n(.*?)```\n\nprints\n\n```text\n(.*?)```", PAGE, re.DOTALL)[0]
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(python, {})
    assert output.getvalue() == printed


def test_every_way_of_rounding_is_described() -> None:
    assert {way for way in Rounding if f"{way}" in PAGE} == set(Rounding)
