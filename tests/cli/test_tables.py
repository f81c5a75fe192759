"""What lists look like: money with its currency, tables as wide as the terminal, no colour where none is wanted."""

from __future__ import annotations

import io
import json
from decimal import Decimal
from pathlib import Path

import pytest

from counterfoil.cli.output import Output, OutputForm
from counterfoil.cli.terminal_tables import print_table
from counterfoil.errors import CounterfoilError
from counterfoil.money import Money
from tests.cli.pulling import INVOICE, House, run
from tests.reconcile.sides import lines_file, usage

HEADINGS = ["Kind", "What", "Total", "Folder", "Remark"]
ROWS = [
    ["usage", "2026-10 EUR", "10,464,201.11 EUR", "/srv/billing/pulls/usage/2026-10-EUR", "word " * 20],
    ["reconciliation", "G016907411", "3,754,295.27 EUR", "/srv/billing/pulls/reconciliation/G016907411", "[b]"],
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def drawn(monkeypatch: pytest.MonkeyPatch, columns: int, *, wide: bool = False) -> tuple[list[str], list[str]]:
    monkeypatch.setenv("COLUMNS", str(columns))
    out = io.StringIO()
    left_out = print_table(
        out, HEADINGS, ROWS, to_right=[False, False, True, False, False], less_needed=["Folder", "Kind"], wide=wide
    )
    return left_out, out.getvalue().splitlines()


@pytest.mark.parametrize("columns", [80, 100, 120, 250])
def test_a_table_fits_the_terminal_and_money_is_whole(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    left_out, lines = drawn(monkeypatch, columns)
    assert max(len(line.rstrip()) for line in lines) <= columns
    text = "\n".join(lines)
    assert "10,464,201.11 EUR" in text
    assert "[b]" in text
    assert ("Folder" in left_out) == (columns <= 120)
    assert text.count("word") == 20


def test_a_wide_table_has_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    left_out, lines = drawn(monkeypatch, 80, wide=True)
    assert (left_out, sum("word " * 19 in line for line in lines)) == ([], 1)


def test_rounded_amounts_say_so_and_exact_ones_do_not() -> None:
    rows = [{"what": "a", "total": [Money(Decimal("1234.567"), "EUR"), Money(Decimal(2), "USD")]}]
    for exact, shown in ((False, "1,234.57 EUR, 2.00 USD"), (True, "1,234.567 EUR, 2.00 USD")):
        out, err = io.StringIO(), io.StringIO()
        Output(stdout=out, stderr=err, exact=exact).rows(rows)
        assert shown in out.getvalue()
        assert ("--exact shows every digit" in err.getvalue()) == (not exact)
    out = io.StringIO()
    Output(OutputForm.JSON, out).facts({"total": rows[0]["total"]})
    assert json.loads(out.getvalue()) == {"total": ["1234.567", "2"]}


@pytest.mark.parametrize(
    ("name", "value", "coloured"), [("NO_COLOR", "1", False), ("TERM", "dumb", False), ("X", "1", True)]
)
def test_an_error_is_red_only_where_colour_is_wanted(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, coloured: bool
) -> None:
    for each in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv(name, value)
    terminal = Terminal()
    output = Output(stderr=terminal)
    output.error(CounterfoilError("no"))
    output.warning("careful")
    assert ("\x1b[" in terminal.getvalue()) == coloured


def test_every_list_of_pulls_has_totals(house: House) -> None:
    house.profile('kinds = ["usage"]', f'invoices = ["{INVOICE}"]')
    house.invoice(3, amount="1234567.891")
    assert "3,703,703.67 EUR" in run("pull", "contoso", "--kind", "usage", "--invoice", INVOICE).stdout
    folder = f"counterfoil-pulls/contoso/usage/{INVOICE}"
    for command in (("pulls", "list", "contoso"), ("pulls", "status", "contoso"), ("pulls", "show", folder)):
        assert "3,703,703.67 EUR" in run(*command).stdout, command
        assert "3,703,703.673 EUR" in run(*command, "--exact").stdout, command
        assert '"BillingPreTaxTotal": "3703703.673"' in run(*command, "--output", "json").stdout, command


def test_totals_and_audits_round_amounts_and_show_every_digit_if_asked(tmp_path: Path) -> None:
    side = str(lines_file(tmp_path / "side", [usage("1234567.1999968000511991808131000", SkuId="")]))
    rounded, exact = (run("totals", side, "--by", "customer", *more) for more in ([], ["--exact"]))
    assert rounded.stdout.count(" 1,234,567.20 EUR") == 2
    assert rounded.stderr.count("Amounts are rounded; --exact shows every digit.") == 1
    assert exact.stdout.count(" 1,234,567.1999968000511991808131 EUR") == 2
    audited = run("audit", side, "--rule", "ids-present", "--exact")
    assert " 1,234,567.1999968000511991808131 EUR" in audited.stdout
    told = run("totals", side, "--expect", "1234567.20").stderr
    assert "was expected: 0.0000031999488008191869 EUR less." in told
