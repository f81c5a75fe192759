"""The totals of a side as an HTML file: exact amounts are those of the JSON, and each column adds up."""

from __future__ import annotations

from pathlib import Path

import pytest

from counterfoil import numbers, reconcile
from tests.cli.pulling import run
from tests.reconcile.made_reports import HOSTILE, charged
from tests.reconcile.pages import Page
from tests.reconcile.sides import lines_file


@pytest.mark.parametrize("by", ["customer", "day", None])
def test_the_page_has_the_totals_of_the_json_and_its_columns_add_up(tmp_path: Path, by: str | None) -> None:
    items = [charged(f"{at}.005", f"c{at % 13}", CustomerName=HOSTILE if at == 5 else "Contoso") for at in range(40)]
    side = lines_file(tmp_path / "october.jsonl", [*items, charged("-3.00", "c99")])
    found = reconcile.totals(str(side), by=by, expect="10")
    found.write_html(tmp_path / "totals.html")
    page = Page(tmp_path / "totals.html")
    page.check()
    told = [numbers.exact(str(text)) for text in found.to_json()["totals"].values()]  # type: ignore[attr-defined]
    assert "october.jsonl comes to 777.20 EUR" in page.text
    assert "10.00 EUR was expected with tax. It is 767.20 more." in page.text
    assert "as given" in page.text
    if by is None:
        assert "Share" not in page.text
        return
    *rows, last = page.amounts(by)
    assert [numbers.exact(text) for text in last] == told
    assert [numbers.total(row[at] for row in rows) for at in range(3)] == told
    if by == "customer":
        assert len(rows) == 11
        assert HOSTILE in page.text


def test_the_command_writes_it_and_replaces_nothing(tmp_path: Path) -> None:
    side = str(lines_file(tmp_path / "october.jsonl", [charged("2.50")]))
    folder = tmp_path / "report"
    done = run("totals", side, "--by", "customer", "--to", str(folder))
    assert (done.exit_code, "Written: " in done.stderr) == (0, True)
    Page(folder / "totals.html").check()
    again = run("totals", side, "--to", str(folder))
    assert again.exit_code == 2
    assert "totals.html is there already" in again.stderr
    assert run("totals", side, "--to", str(tmp_path / "october.jsonl" / "in")).exit_code == 1
