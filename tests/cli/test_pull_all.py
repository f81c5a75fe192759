"""`counterfoil pull PROFILE --all`: what a scheduler runs every day, and what its exit code tells."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from counterfoil.client import Client, Receipt
from counterfoil.client.holdings.pulling import one_at_a_time
from counterfoil.errors import LockedError
from counterfoil.model import Kind
from counterfoil.testing import PARTNER
from counterfoil.wire.graph import ExportRequest
from tests.cli.pulling import INVOICE, House, receipt_in, rows, run, this_month

ALL = ("pull", "contoso", "--all")
OTHER_PARTNER = "11111111-2222-3333-4444-555555555555"
ROOT = Path("counterfoil-pulls/contoso")


def states(*arguments: str) -> tuple[int, dict[str, str]]:
    code, found = rows(*ALL, *arguments)
    return code, {f"{row['kind']} {row['what']}": row["state"] for row in found}


def test_it_pulls_everything_that_is_expected_and_there_and_exits_with_0(house: House) -> None:
    house.profile('kinds = ["usage"]', f'invoices = ["{INVOICE}"]', 'currencies = ["EUR"]')
    house.invoice(2)
    house.month(3)
    house.month(4, last=True)
    now, last = this_month(), this_month().last
    assert states() == (0, {f"usage {what}": "pulled" for what in (INVOICE, f"{now} EUR", f"{last} EUR")})
    places = [f"usage/{INVOICE}", f"usage/{now}-EUR", f"usage/{last}-EUR"]
    assert [receipt_in(ROOT / place)["lineItems"] for place in places] == [2, 3, 4]


def test_the_second_run_fetches_nothing_and_does_not_even_ask_for_an_invoice(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.profile('kinds = ["usage"]', f'invoices = ["{INVOICE}"]', 'currencies = ["EUR"]', 'periods = ["current"]')
    house.invoice()
    house.month()
    assert states()[0] == 0
    before = {path: path.read_bytes() for path in ROOT.rglob("*") if path.is_file()}
    asked: list[str] = []
    pull = Client.pull

    def noted(client: Client, ask: ExportRequest, to: Path, **more: Any) -> Receipt:
        asked.append(ask.invoice)
        return pull(client, ask, to, **more)

    monkeypatch.setattr(Client, "pull", noted)
    assert states() == (0, {f"usage {INVOICE}": "held", f"usage {this_month()} EUR": "held"})
    assert asked == [""]
    assert {path: path.read_bytes() for path in ROOT.rglob("*") if path.is_file()} == before


def test_a_month_that_has_grown_is_pulled_again(house: House) -> None:
    house.profile('kinds = ["usage"]', 'currencies = ["EUR"]', 'periods = ["current"]')
    house.month(2)
    assert states() == (0, {f"usage {this_month()} EUR": "pulled"})
    house.month(5)
    assert states() == (0, {f"usage {this_month()} EUR": "pulled"})
    assert receipt_in(ROOT / f"usage/{this_month()}-EUR")["lineItems"] == 5


def test_an_invoice_whose_files_are_not_as_they_were_is_pulled_again(house: House) -> None:
    house.profile('kinds = ["usage"]', f'invoices = ["{INVOICE}"]')
    house.invoice()
    assert states()[0] == 0
    [blob] = (ROOT / "usage" / INVOICE).glob("*.gz")
    whole = blob.read_bytes()
    for damage in (b"", whole[:-1] + bytes([whole[-1] ^ 1])):
        blob.write_bytes(damage)
        assert states() == (3, {f"usage {INVOICE}": "pulled"})
        assert blob.read_bytes() == whole
        assert states() == (0, {f"usage {INVOICE}": "held"})


def test_an_edited_workbook_is_moved_aside_and_said_once(house: House) -> None:
    house.profile('kinds = ["usage"]', f'invoices = ["{INVOICE}"]', 'format = ["csv", "xlsx"]')
    house.invoice()
    assert states()[0] == 0
    folder = ROOT / "usage" / INVOICE
    (folder / "usage.xlsx").write_bytes(b"CHECKED, by hand")
    done = run(*ALL)
    assert (done.exit_code, done.stderr.count("usage.edited-")) == (3, 3)  # as it happens, in its row, in the end
    [kept] = Path("counterfoil-pulls/contoso~former/usage").glob("*/usage.edited-*.xlsx")
    assert kept.read_bytes() == b"CHECKED, by hand"
    assert run(*ALL).exit_code == 0
    assert sorted(path.name for path in folder.glob("usage.*")) == ["usage.csv", "usage.xlsx"]
    (folder / "usage.csv").write_bytes(b"again")
    code, [row] = rows(*ALL)
    assert (code, [Path(each).read_bytes() for each in row["setAside"]]) == (3, [b"again"])
    listed = run("pulls", "list", "contoso", "--output", "json")
    assert len(json.loads(listed.stdout)) == 1, "what is kept beside is no holding"


def test_another_format_in_the_profile_is_added_and_removes_none(house: House) -> None:
    for formats in ("blobs", "parquet", ["csv", "xlsx"]):
        house.profile('kinds = ["usage"]', f'invoices = ["{INVOICE}"]', f"format = {json.dumps(formats)}")
        house.invoice()
        assert states() == (0, {f"usage {INVOICE}": "pulled"})
        assert states() == (0, {f"usage {INVOICE}": "held"})
    found = {path.suffix for path in (ROOT / "usage" / INVOICE).iterdir() if path.suffix != ".json"}
    assert found == {".gz", ".parquet", ".csv", ".xlsx"}
    assert run("pulls", "verify", "contoso").exit_code == 0


def test_what_is_not_there_yet_exits_with_4_and_does_not_keep_the_rest_from_being_pulled(house: House) -> None:
    house.profile(f'invoices = ["{INVOICE}"]')
    house.invoice(kind=Kind.USAGE)
    code, found = states()
    assert (code, found) == (4, {f"reconciliation {INVOICE}": "not there yet", f"usage {INVOICE}": "pulled"})
    assert "Run it again later: counterfoil pull contoso --all" in run(*ALL).stderr
    done = run("--config", "counterfoil.toml", *ALL, "--publish", "--data", "mirror", "--token", house.server.token())
    again = "counterfoil --config counterfoil.toml pull contoso --all --publish --data mirror"
    assert f"Run it again later, with the same --token: {again}\n" in done.stderr


def test_an_invoice_of_a_month_long_past_is_overdue(house: House) -> None:
    house.profile('kinds = ["usage"]', f'invoices = {{ "{this_month().last.last.last}" = ["{INVOICE}"] }}')
    gap = f"None invoice of {this_month().last.last} to {this_month().last}"
    assert states() == (4, {f"usage {INVOICE}": "overdue", gap: "not listed"})


@pytest.mark.parametrize(
    ("lines", "unlisted"),
    [
        (['invoices = {{ "{last}" = [] }}'], ["invoice of {last}"]),
        (['invoices = {{ "{last}" = "none" }}'], []),
        (['invoices = {{ "{before}" = "none" }}'], ["invoice of {last}"]),
        (['invoices = {{ "{first}" = "none", "{last}" = "none" }}'], ["invoice of {before}"]),
        (['invoices = {{ "{first}" = "none" }}'], ["invoice of {before} to {last}"]),
        (['invoices = {{ "{now}" = "none" }}'], ["invoice of {last}"]),
        (["invoices = []"], ["invoice of {last}"]),
        (['invoices = "none"'], []),
    ],
)
def test_a_month_that_is_over_and_has_no_invoice_in_the_profile_is_never_green(
    house: House, lines: list[str], unlisted: list[str]
) -> None:
    now = this_month()
    months = {"now": now, "last": now.last, "before": now.last.last, "first": now.last.last.last}
    house.month()
    profile = [line.format(**months) for line in lines]
    house.profile('kinds = ["usage"]', 'currencies = ["EUR"]', 'periods = ["current"]', *profile)
    wanted = {f"None {what.format(**months)}": "not listed" for what in unlisted}
    held = f"usage {now} EUR"
    assert states() == (3 if wanted else 0, {held: "pulled", **wanted})
    code, found = rows("pulls", "status", "contoso")
    assert (code, {f"{row['kind']} {row['what']}": row["state"] for row in found}) == (
        3 if wanted else 0,
        {held: "held", **wanted},
    )


def test_periods_without_currencies_are_never_green(house: House) -> None:
    house.profile('kinds = ["usage"]', 'periods = ["current"]', f'invoices = ["{INVOICE}"]')
    house.invoice()
    assert states() == (3, {f"usage {INVOICE}": "pulled", "None unbilled line items": "not listed"})
    assert 'currencies = ["EUR"]' in run("pulls", "status", "contoso", "--output", "json").stdout.replace("\\", "")


def test_a_changed_address_changes_nothing(house: House) -> None:
    house.profile('kinds = ["usage"]', f'invoices = ["{INVOICE}"]', 'currencies = ["EUR"]', 'periods = ["current"]')
    house.invoice()
    house.month()
    assert states()[0] == 0
    written = Path("counterfoil.toml").read_text(encoding="utf-8")
    Path("counterfoil.toml").write_text(written.replace("127.0.0.1", "localhost"), encoding="utf-8")
    assert states() == (0, {f"usage {INVOICE}": "held", f"usage {this_month()} EUR": "held"})
    assert run("pulls", "status", "contoso").exit_code == 0


def test_a_month_that_is_no_longer_offered_and_was_never_held_fails_and_says_what_to_do(house: House) -> None:
    house.profile('kinds = ["usage"]', 'currencies = ["EUR"]', 'periods = ["2024-01"]')
    assert states() == (1, {"usage 2024-01 EUR": "never available"})
    assert "Take it out of the profile." in run(*ALL).stderr


def test_a_month_that_has_not_begun_is_refused_before_anything_is_asked(house: House) -> None:
    house.profile('kinds = ["usage"]', 'currencies = ["EUR"]', 'periods = ["2999-05"]')
    for command in (ALL, ("pulls", "status", "contoso")):
        done = run(*command)
        assert (done.exit_code, "The profile 'contoso' has '2999-05' in its periods" in done.stderr) == (2, True)


def test_a_currency_of_which_nothing_is_there_and_nothing_held_is_no_success(house: House) -> None:
    house.profile('kinds = ["usage"]', 'currencies = ["EUR", "EUX"]', 'periods = ["last"]', "billed_due_days = 0")
    house.month(last=True)
    month = this_month().last
    assert states() == (1, {f"usage {month} EUR": "pulled", f"usage {month} EUX": "never available"})
    assert "Check the currency, or take it out of the profile." in run(*ALL).stderr


def test_a_month_without_line_items_of_a_currency_that_others_have_is_no_failure(house: House) -> None:
    house.profile('kinds = ["usage"]', 'currencies = ["EUR"]', "billed_due_days = 0")
    house.month()
    now, last = this_month(), this_month().last
    assert states() == (0, {f"usage {now} EUR": "pulled", f"usage {last} EUR": "no longer there"})


def test_the_data_of_another_partner_does_not_count_as_held(house: House) -> None:
    house.profile('kinds = ["usage"]', f'invoices = ["{INVOICE}"]')
    house.invoice()
    assert states()[0] == 0
    house.profile('kinds = ["usage"]', f'invoices = ["{INVOICE}"]', f'tenant = "{OTHER_PARTNER}"')
    assert states() == (1, {f"usage {INVOICE}": "failed"})
    told = f"it is the data of the partner {PARTNER}, and the profile's tenant is {OTHER_PARTNER}"
    assert f"{told}. Move the folder away, or correct the tenant." in run(*ALL).stderr
    code, [row] = rows("pulls", "status", "contoso", "--offline")
    assert (code, row["state"], row["told"]) == (3, "damaged", told)
    code, [row] = rows("pulls", "list", "contoso")
    assert (code, row["state"], row["told"]) == (1, "damaged", told)
    verified = json.loads(run("pulls", "verify", "contoso", "--output", "json").stdout)
    assert (verified["sound"], verified["faults"]) == (
        False,
        [{"folder": str(ROOT / "usage" / INVOICE), "fault": told}],
    )
    house.profile(f'tenant = "{PARTNER.upper()}"')
    assert rows("pulls", "list", "contoso")[0] == 0


def test_what_is_pulled_of_another_partner_than_the_profiles_is_no_success(house: House) -> None:
    house.profile('kinds = ["usage"]', f'invoices = ["{INVOICE}"]', f'tenant = "{OTHER_PARTNER}"')
    house.invoice()
    code, [row] = rows(*ALL)
    assert (code, row["state"], PARTNER in row["told"]) == (1, "failed", True)


def test_one_that_fails_exits_with_1_and_the_rest_is_pulled(house: House) -> None:
    house.profile('kinds = ["usage"]', 'invoices = ["G1", "G2"]')
    house.invoice(invoice="G1")
    house.invoice(invoice="G2")
    house.server.fail("manifest-elsewhere", times=1)
    assert states() == (1, {"usage G1": "failed", "usage G2": "pulled"})
    assert states() == (0, {"usage G1": "pulled", "usage G2": "held"})


def test_a_source_that_does_not_let_us_in_is_not_asked_again(house: House) -> None:
    house.profile('kinds = ["usage"]', 'invoices = ["G1", "G2"]')
    house.server.fail("graph-denied", on="submit")
    assert states() == (1, {"usage G1": "failed", "usage G2": "not tried"})
    assert house.server.struck() == {"graph-denied": 1}


def test_v1_pulls_what_is_unbilled(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTOSO_TOKEN", house.server.token("partner-center"))
    house.profile('kinds = ["usage"]', 'currencies = ["EUR"]', 'periods = ["current"]', api="v1")
    house.month(3)
    assert states() == (0, {f"usage {this_month()} EUR": "pulled"})
    assert states() == (0, {f"usage {this_month()} EUR": "held"})


def test_a_second_run_of_the_same_profile_is_kept_out_and_told_who_is_at_work(house: House) -> None:
    house.profile('kinds = ["usage"]', f'invoices = ["{INVOICE}"]')
    house.invoice()
    with one_at_a_time(ROOT, "contoso", datetime(2026, 11, 21, tzinfo=UTC)):
        done = run(*ALL, "--output", "json")
        error = json.loads(done.stderr.splitlines()[-1])["error"]
        assert (done.exit_code, done.stdout) == (4, "")
        assert f"is at work: process {os.getpid()} on " in error["message"]
        assert error["message"].endswith(", since 2026-11-21T00:00:00Z.")
    assert run(*ALL).exit_code == 0
    assert not list(ROOT.glob(".counterfoil-all*"))


def test_a_folder_that_cannot_be_made_is_named_with_what_to_do(house: House) -> None:
    Path("file").write_text("")
    house.profile('kinds = ["usage"]', f'invoices = ["{INVOICE}"]', 'to = "file/sub"')
    done = run(*ALL)
    told = f"{Path('file/sub')} cannot be made: "
    assert (done.exit_code, told in done.stderr, "another folder, `to`" in done.stderr) == (2, True, True), done.stderr


def test_whoever_died_at_work_keeps_nobody_out(house: House) -> None:
    ROOT.mkdir(parents=True)
    (ROOT / ".counterfoil-all.lock").write_bytes(b"")
    (ROOT / ".counterfoil-all.json").write_text('{"process": 1}')
    now = datetime(2026, 11, 21, tzinfo=UTC)
    with one_at_a_time(ROOT, "contoso", now), pytest.raises(LockedError), one_at_a_time(ROOT, "contoso", now):
        pass


def test_each_step_is_told_as_it_happens_and_the_table_at_the_end(house: House) -> None:
    house.profile('kinds = ["usage"]', f'invoices = ["{INVOICE}"]')
    house.invoice()
    done = run(*ALL)
    assert f"usage of invoice {INVOICE}: pulled, 3 line items.\n" in done.stderr
    assert done.stdout.splitlines()[0].split() == ["Kind", "What", "State", "Line", "items", "Total", "Remark"]
