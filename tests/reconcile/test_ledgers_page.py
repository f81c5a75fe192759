"""Every example of docs/ledgers.md is true: its files are written, its commands run, and what they print compared."""

from __future__ import annotations

import contextlib
import io
import re
from dataclasses import fields
from pathlib import Path

import pytest

from counterfoil.reconcile.sides.ledgers.ledger_mapping import LedgerSource
from tests.cli.pulling import run

PAGE = (Path(__file__).parents[2] / "docs" / "ledgers.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def files_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("bill.jsonl", "october.csv", "ledger.toml"):
        found = re.search(rf"`{re.escape(name)}`[^`]*:\n\n```\w+\n(.*?)```", PAGE, re.DOTALL)
        assert found is not None, name
        (tmp_path / name).write_text(found[1], encoding="utf-8")
    monkeypatch.chdir(tmp_path)


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)


def test_the_drafted_mapping_is_the_one_of_the_page() -> None:
    drafted = run("mapping", "suggest", "october.csv").stdout
    assert re.sub(" +#", " #", drafted) == re.sub(" +#", " #", blocks("toml")[0])


def test_the_check_prints_what_the_page_says() -> None:
    assert run("mapping", "check", "ledger.toml").stdout == blocks("text")[0]


def test_the_difference_has_the_causes_of_the_page() -> None:
    done = run("reconcile", "bill.jsonl", "ledger:ledger.toml")
    assert (done.exit_code, blocks("text")[1] in done.stdout) == (3, True)
    assert re.search(r"600\.00 EUR +574\.00 EUR +26\.00 EUR +24\.00 EUR +0\.00 EUR", done.stdout)


def test_the_python_of_the_page_prints_what_it_says() -> None:
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(blocks("python")[0], {})
    assert output.getvalue() == blocks("text")[2]


def test_every_key_of_a_source_is_described() -> None:
    assert [each.name for each in fields(LedgerSource) if f"`{each.name}`" not in PAGE] == []
