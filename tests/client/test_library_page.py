"""docs/library.md is true: its examples run as they stand there, and its reference names what the package offers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import counterfoil
from counterfoil import client
from counterfoil.generator import generate
from counterfoil.model import Kind, Scope
from counterfoil.periods import BillingPeriod, utc_now
from counterfoil.testing import PARTNER, Server
from tools.write_docs import REFERENCE

PAGE = (Path(__file__).parents[2] / "docs/library.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"<!-- run -->\n```python\n(.*?)```", PAGE, re.DOTALL)


def test_the_examples_run_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    month = BillingPeriod.containing(utc_now())
    with Server(now=utc_now().isoformat()) as server:
        lines = generate(Kind.USAGE, 50, special=True, partner=PARTNER, scope=Scope.unbilled(month, "EUR"))
        server.publish(lines, period=str(month))
        names: dict[str, Any] = {"url": server.url, "token": server.token(), "print": lambda *_: None}
        assert len(EXAMPLES) == PAGE.count("```python\n") - PAGE.partition("## Reference")[2].count("```python\n")
        for example in EXAMPLES:
            exec(compile(example, "docs/library.md", "exec"), names)
    assert names["receipt"].line_items == 50
    assert "again_later" not in names, "the refusal was another error"


def test_everything_that_the_package_offers_is_in_the_reference() -> None:
    told = {getattr(each, "__name__", "") for each in REFERENCE}
    assert {*counterfoil.__all__, *client.__all__} - {"Ask"} == told
