"""`counterfoil pull` of one thing: what a whole command line is, where things go, how an interrupted one goes on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from counterfoil.model import Kind
from tests.cli.pulling import AMOUNT, INVOICE, House, receipt_in, run, this_month
from tests.client.folders import seal

USAGE = ("pull", "contoso", "--kind", "usage")


def test_a_profile_a_kind_a_period_and_a_currency_are_a_whole_command_line(house: House) -> None:
    house.month(last=True)
    done = run(*USAGE, "--period", "last", "--currency", "EUR")
    folder = Path("counterfoil-pulls/contoso/usage") / f"{this_month().last}-EUR"
    assert (done.exit_code, "proven" in done.stdout, str(folder) in done.stdout) == (0, True, True), done.output
    assert "BillingPreTaxTotal: 0.60 EUR" in done.stdout
    assert receipt_in(folder)["request"]["month"] == str(this_month().last)


def test_an_invoice_has_a_folder_of_its_own_below_the_profiles(house: House) -> None:
    house.invoice()
    house.profile('to = "kept"', 'format = "parquet"')
    assert run(*USAGE, "--invoice", INVOICE).exit_code == 0
    [file] = Path("kept/usage", INVOICE).glob("*.parquet")
    assert pq.read_table(file)["BillingPreTaxTotalText"].to_pylist() == [AMOUNT] * 3


def test_the_paths_of_a_profile_are_relative_to_its_file_and_not_to_the_working_directory(
    house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    house.invoice()
    house.profile('to = "kept"')
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert run("--config", "../counterfoil.toml", *USAGE, "--invoice", INVOICE).exit_code == 0
    assert (tmp_path / "kept/usage" / INVOICE / "receipt.json").is_file()


def test_a_profile_that_lists_one_currency_need_not_be_told_it(house: House) -> None:
    house.month()
    house.profile('currencies = ["EUR"]')
    assert run(*USAGE, "--period", "current").exit_code == 0
    house.profile('currencies = ["EUR", "USD"]')
    assert run(*USAGE, "--period", "current").exit_code == 2


def test_options_beat_the_profile(house: House) -> None:
    house.invoice()
    house.profile('format = "parquet"', 'attribute_set = "basic"')
    options = ["--to", "out", "--format", "blobs", "--attribute-set", "full"]
    assert run(*USAGE, "--invoice", INVOICE, *options).exit_code == 0
    receipt = receipt_in("out")
    assert (receipt["format"], receipt["request"]["attributeSet"]) == ("blobs", "full")


def test_pulling_the_same_state_twice_does_nothing_the_second_time(house: House) -> None:
    house.invoice()
    assert run(*USAGE, "--invoice", INVOICE).exit_code == 0
    before = receipt_in(f"counterfoil-pulls/contoso/usage/{INVOICE}")
    done = run(*USAGE, "--invoice", INVOICE)
    assert (done.exit_code, "held already" in done.stderr) == (0, True)
    assert receipt_in(f"counterfoil-pulls/contoso/usage/{INVOICE}") == before


def test_what_was_current_becomes_last_in_the_same_folder(house: House) -> None:
    house.month(last=True)
    folder = Path("counterfoil-pulls/contoso/usage") / f"{this_month().last}-EUR"
    assert run(*USAGE, "--period", "last", "--currency", "EUR").exit_code == 0
    receipt = receipt_in(folder)
    receipt["request"]["billingPeriod"] = "current"  # as a run of last month would have left it
    seal(folder, receipt)
    house.month(4, last=True)
    assert run(*USAGE, "--period", "last", "--currency", "EUR").exit_code == 0
    assert (receipt_in(folder)["lineItems"], receipt_in(folder)["request"]["billingPeriod"]) == (4, "last")


# A process that was started in the background may have been told to ignore Ctrl-C.
AS_A_PERSON = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "from counterfoil.cli import main; main(sys.argv[1:], prog_name='counterfoil')"
)


def test_ctrl_c_says_which_command_goes_on_and_exits_with_130(house: House) -> None:
    house.month(last=True)
    house.server.fail("operation-stuck")
    options = ["--period", "last", "--currency", "EUR", "--format", "parquet", "--token", house.server.token()]
    with subprocess.Popen(
        [sys.executable, "-c", AS_A_PERSON, *USAGE, *options], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stderr is not None
        first = running.stderr.readline()
        running.send_signal(signal.SIGINT)
        stdout, stderr = running.communicate()
    again = f"counterfoil pull contoso --kind usage --period {this_month().last} --currency EUR --format parquet"
    assert first.startswith("Waiting for the export")
    assert (running.returncode, stdout, f"To go on, with the same --token: {again}\n" in stderr) == (130, "", True), (
        stderr
    )
    assert options[-1] not in stderr
    house.server.heal()
    done = run(*again.split()[1:])
    assert (done.exit_code, "Going on with the pull" in done.stderr) == (0, True), done.stderr


@pytest.mark.parametrize("fault", ["stalled", "late"])
def test_ctrl_c_does_not_wait_for_a_source_that_has_gone_silent(house: House, fault: str) -> None:
    house.month(last=True)
    house.server.fail(fault, on="blob", seconds=60)
    options = ["--period", "last", "--currency", "EUR", "--token", house.server.token()]
    with subprocess.Popen([sys.executable, "-c", AS_A_PERSON, *USAGE, *options], stderr=subprocess.PIPE) as running:
        while not house.server.struck()[fault]:
            assert running.poll() is None
        running.send_signal(signal.SIGINT)
        stderr = running.communicate(timeout=30)[1].decode()
    house.server.heal()
    assert (running.returncode, "To go on, with the same --token: counterfoil pull contoso" in stderr) == (130, True), (
        stderr
    )
    assert run(*USAGE, *options).exit_code == 0


def test_an_export_that_takes_too_long_exits_with_4_and_is_gone_on_with(house: House) -> None:
    house.invoice()
    house.server.fail("operation-stuck")
    done = run(*USAGE, "--invoice", INVOICE, "--wait", "0")
    assert done.exit_code == 4
    assert f"To go on: counterfoil pull contoso --kind usage --invoice {INVOICE}" in done.stderr
    assert Path(f"counterfoil-pulls/contoso/usage/{INVOICE}/.counterfoil-pull/pull.json").is_file()
    house.server.heal()
    done = run(*USAGE, "--invoice", INVOICE)
    assert (done.exit_code, "Going on with the pull that began at" in done.stderr) == (0, True), done.stderr


def test_a_refusal_says_which_command_to_give_when_it_is_mended_and_leaves_no_folder(house: House) -> None:
    house.server.fail("graph-denied", on="submit")
    done = run(*USAGE, "--invoice", INVOICE)
    assert (done.exit_code, "PartnerBilling.Read.All" in done.stderr) == (1, True)
    assert f"When that is fixed: counterfoil pull contoso --kind usage --invoice {INVOICE}" in done.stderr
    assert not Path("counterfoil-pulls").exists()


def test_no_command_is_named_that_would_fail_the_same_way(house: House) -> None:
    done = run(*USAGE, "--invoice", "G000000000")
    assert (done.exit_code, "No data available" in done.stderr, "counterfoil pull" in done.stderr) == (1, True, False)


def test_the_command_that_goes_on_has_all_that_was_given_but_the_token(house: House) -> None:
    house.invoice()
    house.server.fail("operation-stuck")
    token = house.server.token()
    options = ["--token", token, "--output", "json", "--wait", "0", "--publish", "--data", "mirror"]
    done = run("--config", "counterfoil.toml", *USAGE, "--invoice", INVOICE, *options)
    remedy = json.loads(done.stderr.splitlines()[-1])["error"]["remedy"]
    assert token not in done.stderr
    assert remedy.endswith(
        "To go on, with the same --token: counterfoil --config counterfoil.toml pull contoso --kind usage --invoice "
        f"{INVOICE} --publish --data mirror --output json"
    )


def test_a_folder_of_a_profile_that_holds_something_else_is_to_be_moved_away(house: House) -> None:
    house.invoice()
    house.profile('kinds = ["usage"]', f'invoices = ["{INVOICE}"]')
    folder = Path("counterfoil-pulls/contoso/usage", INVOICE)
    folder.mkdir(parents=True)
    (folder / "receipt.json").write_text("{")
    for command in ([*USAGE, "--invoice", INVOICE], ["pull", "contoso", "--all"]):
        done = run(*command)
        assert (f"Move {folder} away, and pull again." in done.stderr, "--to" in done.stderr) == (True, False)
    folder.rename("away")
    assert run("pull", "contoso", "--all").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("contoso", "--kind"), "See `counterfoil pull --help`."),
        (("contoso", "--invoice", "G1"), "Say which line items."),
        (("contoso", "--kind", "usage"), "Say what to pull."),
        (("contoso", "--kind", "usage", "--invoice", "G1", "--data", "x"), "goes with --publish"),
        (("contoso", "--kind", "usage", "--invoice", "G1", "--parallel", "0"), "--parallel"),
        (("contoso", "--kind", "usage", "--invoice", "G1", "--wait", "nan"), "--wait is not a number"),
        (("contos", "--all"), "Did you mean 'contoso'?"),
        (("https://graph.microsoft.com", "--all"), "--all is for a profile"),
        (("contoso", "--all", "--kind", "usage"), "--kind does not go with --all"),
        (("contoso", "--all", "--format", "csv"), "--format does not go with --all"),
        (("contoso", "--all"), "lists neither invoices nor currencies"),
    ],
)
def test_wrong_use_is_told_in_one_line_and_asks_nobody(house: House, arguments: tuple[str, ...], said: str) -> None:
    done = run("pull", *arguments)
    assert (done.exit_code, said in done.stderr, done.stdout) == (2, True, ""), done.stderr
    assert not Path("counterfoil-pulls").exists()


def test_a_url_needs_a_folder(house: House) -> None:
    done = run("pull", house.server.url, "--kind", "usage", "--invoice", INVOICE, "--token", "x")
    assert (done.exit_code, "--to" in done.stderr) == (2, True)


def test_a_profile_whose_variable_is_missing_never_sends_another_sources_token(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CONTOSO_TOKEN")
    monkeypatch.setenv("COUNTERFOIL_TOKEN", house.server.token())
    done = run(*USAGE, "--invoice", INVOICE)
    assert (done.exit_code, "The environment has no CONTOSO_TOKEN" in done.stderr) == (2, True)


def test_both_kinds_of_one_invoice_lie_side_by_side(house: House) -> None:
    house.invoice(2, kind=Kind.USAGE)
    house.invoice(1, kind=Kind.RECONCILIATION)
    for kind in Kind:
        assert run("pull", "contoso", "--kind", kind.value, "--invoice", INVOICE).exit_code == 0
    counts = [
        receipt_in(f"counterfoil-pulls/contoso/{kind}/{INVOICE}")["lineItems"] for kind in ("usage", "reconciliation")
    ]
    assert counts == [2, 1]
