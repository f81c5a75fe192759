"""`counterfoil list` and `show`: filters, pages, totals, and fields for programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from counterfoil import cli
from counterfoil.model import Kind
from tests.datasets.line_items import OTHER, PARTNER, amounts, billed, write


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A data folder with five datasets, one of them withdrawn."""
    root = tmp_path_factory.mktemp("listed")
    dollars = amounts(Kind.USAGE, "5").replace(b"EUR", b"USD")
    rows = ["file,partner,issuer,kind,invoice,period,currency"]
    for number, (content, what) in enumerate(
        [
            (billed(Kind.USAGE, "1.10", "2", invoice="G1"), ",,usage,G1,,"),
            (billed(Kind.RECONCILIATION, "3", invoice="G2"), ",,reconciliation,G2,,"),
            (amounts(Kind.USAGE, "4"), ",,usage,,2026-11,EUR"),
            (dollars, f"{OTHER},{PARTNER},usage,,2026-11,USD"),
            (billed(Kind.USAGE, "6", invoice="G3"), ",,usage,G3,,"),
        ]
    ):
        write(root / f"{number}.jsonl", content)
        rows.append(f"{number}.jsonl,{what}")
    (root / "list.csv").write_text("\n".join(rows))
    folder = str(root / "data")
    assert run("publish", "--list", str(root / "list.csv"), "--data", folder).exit_code == 0
    assert run("withdraw", "--partner", PARTNER, "--kind", "usage", "--invoice", "G3", "--data", folder).exit_code == 0
    return folder


def run(*arguments: str) -> Result:
    done = CliRunner().invoke(cli.main, arguments, prog_name="counterfoil")
    assert "Traceback" not in done.stderr
    return done


@pytest.mark.parametrize(
    ("options", "scopes"),
    [
        ("", ["invoice G2", "unbilled 2026-11 EUR", "invoice G1", "invoice G3", "unbilled 2026-11 USD"]),
        ("--kind usage --currency eur", ["unbilled 2026-11 EUR", "invoice G1"]),
        ("--invoice g1", ["invoice G1"]),
        ("--period 2026-11", ["unbilled 2026-11 EUR", "unbilled 2026-11 USD"]),
        (f"--partner {OTHER}", ["unbilled 2026-11 USD"]),
        ("--currency JPY", []),
        ("--limit 2", ["invoice G2", "unbilled 2026-11 EUR"]),
        ("--limit 2 --offset 3", ["invoice G3", "unbilled 2026-11 USD"]),
        ("--offset 9", []),
    ],
)
def test_a_list_is_filtered_and_cut_into_pages(data: str, options: str, scopes: list[str]) -> None:
    done = run("list", *options.split(), "--data", data, "--output", "json")
    assert done.exit_code == 0, done.stderr
    assert [each["scope"] for each in json.loads(done.stdout)] == scopes
    if "--limit" in options:
        assert "of 5 datasets" in run("list", *options.split(), "--data", data).stderr


def test_a_list_shows_totals_and_has_a_field_for_each_thing(data: str) -> None:
    assert "3.10 EUR" in run("list", "--data", data).stdout
    [listed] = json.loads(run("list", "--invoice", "G1", "--data", data, "--output", "json").stdout)
    assert {
        name: listed[name] for name in ("kind", "partner", "invoice", "period", "currency", "lineItems", "totals")
    } == {
        "kind": "usage",
        "partner": PARTNER,
        "invoice": "G1",
        "period": None,
        "currency": "EUR",
        "lineItems": 2,
        "totals": {"BillingPreTaxTotal": "3.10"},
    }
    shown = json.loads(run("show", listed["revision"], "--data", data, "--output", "json").stdout)
    assert (shown["eTag"], shown["invoice"], shown["kind"]) == (listed["eTag"], "G1", "usage")
    assert shown["segments"] == [
        {"name": "whole", "lineItems": 2, "currency": "EUR", "totals": {"BillingPreTaxTotal": "3.10"}, "warnings": {}}
    ]
    [withdrawn] = json.loads(run("list", "--invoice", "G3", "--data", data, "--output", "json").stdout)
    assert (withdrawn["inForce"], withdrawn["revision"], withdrawn["eTag"]) == (False, None, None)


@pytest.mark.parametrize(
    "options", ["--period 2026-13", "--currency EURO", "--invoice a\u00e4", "--partner x", "--limit 0", "--offset -1"]
)
def test_a_filter_that_nothing_can_match_is_refused(data: str, options: str) -> None:
    done = run("list", *options.split(), "--data", data)
    assert (done.exit_code, done.stdout) == (2, ""), done.stderr
    assert Path(data).is_dir()
