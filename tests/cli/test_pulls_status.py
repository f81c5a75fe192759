"""`counterfoil pulls status`: what is expected, what is held of it, and what the source has."""

from __future__ import annotations

from pathlib import Path

import pytest

from counterfoil.model import Kind
from tests.cli.pulling import INVOICE, House, rows, run, this_month

STATUS = ("pulls", "status", "contoso")


def states(*arguments: str) -> tuple[int, dict[str, str]]:
    code, found = rows(*STATUS, *arguments)
    return code, {f"{row['kind']} {row['what']}": row["state"] for row in found}


def test_all_that_is_held_and_as_it_is_there_exits_with_0(house: House) -> None:
    house.profile('kinds = ["usage"]', f'invoices = ["{INVOICE}"]', 'currencies = ["EUR"]', 'periods = ["current"]')
    house.invoice()
    house.month()
    assert run("pull", "contoso", "--all").exit_code == 0
    assert states() == (0, {f"usage {INVOICE}": "held", f"usage {this_month()} EUR": "held"})


def test_each_state_is_told_apart_and_asking_leaves_nothing_behind(house: House) -> None:
    house.profile('invoices = ["G1", "G2"]')
    house.invoice(kind=Kind.USAGE, invoice="G1")
    house.invoice(kind=Kind.RECONCILIATION, invoice="G1")
    assert run("pull", "contoso", "--all").exit_code == 4
    house.invoice(4, kind=Kind.RECONCILIATION, invoice="G1")
    house.invoice(kind=Kind.USAGE, invoice="G2")
    before = sorted(Path().rglob("*"))
    assert states() == (
        3,
        {
            "reconciliation G1": "newer available",
            "usage G1": "held",
            "reconciliation G2": "not there yet",
            "usage G2": "not pulled yet",
        },
    )
    assert sorted(Path().rglob("*")) == before


def test_what_only_waits_for_its_time_exits_with_0(house: House) -> None:
    months = f'"{this_month()}" = ["{INVOICE}"], "{this_month().last}" = "none"'
    house.profile('kinds = ["usage"]', f"invoices = {{ {months} }}")
    assert states() == (0, {f"usage {INVOICE}": "not there yet"})


def test_what_should_long_be_there_is_overdue_and_exits_with_3(house: House) -> None:
    months = f'"2025-01" = ["{INVOICE}"], "{this_month().last}" = "none"'
    house.profile('kinds = ["usage"]', f"invoices = {{ {months} }}")
    gap = f"None invoice of 2025-02 to {this_month().last.last}"
    assert states() == (3, {f"usage {INVOICE}": "overdue", gap: "not listed"})
    assert "Of 2 expected: 1 overdue, 1 not listed." in run(*STATUS).stderr


def test_a_source_that_cannot_be_asked_is_said_to_be_so_and_is_asked_once(house: House) -> None:
    house.profile('kinds = ["usage"]', 'invoices = ["G1", "G2"]')
    house.invoice(invoice="G1")
    assert run("pull", "contoso", "--all").exit_code == 4
    house.server.fail("graph-denied", on="submit")
    code, found = rows(*STATUS)
    assert (code, [row["state"] for row in found]) == (4, ["held", "unknown"])
    assert found[0]["told"].startswith("not compared with the source: POST ")
    assert house.server.struck() == {"graph-denied": 1}


def test_offline_asks_nobody_and_needs_no_token(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.profile('kinds = ["usage"]', 'invoices = ["G1", "G2"]')
    house.invoice(invoice="G1")
    assert run("pull", "contoso", "--all").exit_code == 4
    monkeypatch.delenv("CONTOSO_TOKEN")
    house.server.fail("unavailable")
    assert states("--offline") == (0, {"usage G1": "held", "usage G2": "unknown"})
    assert house.server.struck() == {"unavailable": 0}


def test_a_pull_that_can_be_gone_on_with_is_mentioned(house: House) -> None:
    house.profile('kinds = ["usage"]', f'invoices = ["{INVOICE}"]')
    house.invoice()
    house.server.fail("operation-stuck")
    assert run("pull", "contoso", "--kind", "usage", "--invoice", INVOICE, "--wait", "0").exit_code == 4
    house.server.heal()
    _, [row] = rows(*STATUS)
    assert (row["state"], row["told"]) == ("not pulled yet", "an unfinished pull can be gone on with")


def test_files_that_are_gone_are_not_held(house: House) -> None:
    house.profile('kinds = ["usage"]', f'invoices = ["{INVOICE}"]')
    house.invoice()
    assert run("pull", "contoso", "--all").exit_code == 0
    [blob] = Path("counterfoil-pulls/contoso/usage", INVOICE).glob("*.gz")
    blob.unlink()
    _, [row] = rows(*STATUS)
    assert (row["state"], row["told"]) == ("damaged", f"{blob.name} is missing")


@pytest.mark.parametrize("annotated", [True, False])
def test_v1_is_asked_for_one_line_item_and_tells_its_state_only_where_it_has_an_etag(
    house: House, monkeypatch: pytest.MonkeyPatch, annotated: bool
) -> None:
    monkeypatch.setenv("CONTOSO_TOKEN", house.server.token("partner-center"))
    house.profile('kinds = ["usage"]', 'currencies = ["EUR"]', 'periods = ["current"]', api="v1")
    what = f"usage {this_month()} EUR"
    assert states()[1][what] in ("not there yet", "overdue")
    house.month(3)
    if not annotated:
        house.server.fail("unannotated")
    assert states() == (3, {what: "not pulled yet"})
    assert run("pull", "contoso", "--all").exit_code == 0
    assert states() == (0, {what: "held"})
    house.month(4)
    assert states() == ((3, {what: "newer available"}) if annotated else (0, {what: "held"}))


def test_a_profile_that_expects_nothing_is_told_so(house: House) -> None:
    done = run(*STATUS)
    assert (done.exit_code, "1 not listed" in done.stderr) == (3, True)
