"""What a stranger types first, and what an attacker types next, beside publishing."""

import json
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from counterfoil import cli
from counterfoil.model import Kind
from tests.datasets.line_items import PARTNER, amounts, billed, write


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Result:
    done = CliRunner().invoke(cli.main, arguments, prog_name="counterfoil")
    assert "Traceback" not in done.stderr
    assert "unexpected" not in done.stderr
    return done


def test_a_client_needs_no_name_and_a_registered_partner() -> None:
    refused = run("clients", "add", "--partner", PARTNER)
    assert (refused.exit_code, list(Path.cwd().iterdir())) == (1, [])
    run("partners", "add", PARTNER)
    added = run("clients", "add", "--partner", PARTNER, "--output", "json")
    assert (added.exit_code, sorted(json.loads(added.stdout))) == (0, ["clientId", "clientSecret", "expires", "tenant"])
    assert "unnamed" in run("clients", "list", "--partner", PARTNER).stdout


def test_json_has_values_and_no_sentences() -> None:
    run("publish", write(Path("a"), billed(Kind.USAGE, "1.50")))
    [listed] = json.loads(run("list", "--output", "json").stdout)
    shown = json.loads(run("show", listed["revision"], "--output", "json").stdout)
    assert (shown["totals"], shown["currency"]) == ({"BillingPreTaxTotal": "1.50"}, "EUR")
    assert [(each["name"], each["lineItems"]) for each in shown["segments"]] == [("whole", 1)]
    run("withdraw", "--partner", PARTNER, "--kind", "usage", "--invoice", listed["scope"].split()[1])
    [withdrawn] = json.loads(run("list", "--output", "json").stdout)
    assert withdrawn["revision"] is None
    assert "withdrawn" in run("list").stdout


def test_a_partner_without_datasets_does_not_mean_that_nothing_is_published() -> None:
    run("publish", write(Path("a"), billed(Kind.USAGE, "1")))
    other = run("list", "--partner", "11111111-1111-1111-1111-111111111111")
    assert "Nothing is published for this partner." in other.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["serve", "--dev", "--now", ""],
        ["serve", "--dev", "--now", "0001-01-01"],
        ["serve", "--dev", "--now", "9999-12-31T23:59:59-10:00"],
        ["serve", "--now", ""],
        ["serve", "--dev", "--dev-open", "a b"],
        ["serve", "--dev", "--dev-open", "https://a"],
        ["serve", "--dev", "--port", "18080", "--https-port", "18080"],
        ["serve", "--dev", "--tls-cert", "a", "--tls-key", "b"],
        ["serve", "--dev", "--tls-cert", "a", "--https-port", "0"],
        ["serve", "--dev", "--operation-delay", "nan"],
        ["sweep", "--keep-billed", "999999"],
        ["sweep", "--keep-unbilled", "-1"],
        ["pull", "http://127.0.0.1:1", "--kind", "usage", "--invoice", "G1", "--to", ""],
        ["pull", "http://127.0.0.1:1", "--kind", "usage", "--invoice", "G1", "--to", "x", "--wait", "nan"],
        ["generate", "--kind", "usage", "--line-items", "1", "--partner", PARTNER, "--invoice", "G1", "-o", ""],
    ],
)
def test_what_cannot_be_right_is_wrong_use(arguments: list[str]) -> None:
    run("partners", "add", PARTNER)
    done = run(*arguments)
    assert (done.exit_code, done.stdout) == (2, ""), done.stderr


def test_wrong_use_of_serve_is_named_with_its_remedy() -> None:
    for arguments, said in (
        (("--dev-open", "a b"), "'a b' is not a host name. Write names without scheme and port, separated by commas"),
        (("--port", "18080", "--https-port", "18080"), "Port 18080 cannot be both for http and for https. Give one"),
        (
            ("--tls-cert", "a", "--tls-key", "b"),
            "A certificate is of use for https only. Name a port for https as well (--https-port).",
        ),
        (("--tls-cert", "a", "--tls-key", "b", "--https-port", "0"), "The certificate a cannot be read: No such file"),
    ):
        assert f"Error: {said}" in run("serve", "--dev", "--data", "data", *arguments).stderr


def test_a_server_that_is_refused_leaves_no_data_folder_behind() -> None:
    Path("samples").mkdir()
    write(Path("samples/lines.jsonl"), billed(Kind.USAGE, "1"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for arguments, said in (
            ((), "Nobody could sign in"),
            (("--load", "samples"), "Nobody could sign in"),
            (("--dev", "--port", port), f"Port {port} of 127.0.0.1 cannot be used"),
            (("--dev", "--port", port, "--load", "samples"), f"Port {port} of 127.0.0.1 cannot be used"),
            (("--dev", "--https-port", port), f"Port {port} of 127.0.0.1 cannot be used"),
            (("--dev", "--host", "0.0.0.0"), "not this machine alone"),
            (("--dev", "--tls-cert", "a", "--tls-key", "b", "--https-port", "0"), "The certificate a cannot be read"),
            (("--https-port", "0"), "https needs a certificate"),
        ):
            done = run("serve", "--data", "data", *arguments)
            assert (done.exit_code, said in done.stderr) == (2, True), done.stderr
            assert not Path("data").exists()


def test_a_partner_with_datasets_in_force_stays_and_they_are_counted_well() -> None:
    run("publish", write(Path("a"), billed(Kind.USAGE, "1")))
    assert f"Error: {PARTNER} has a dataset in force, so" in run("partners", "remove", PARTNER).stderr
    run("publish", write(Path("b"), billed(Kind.RECONCILIATION, "1")))
    assert f"Error: {PARTNER} has 2 datasets in force, so" in run("partners", "remove", PARTNER).stderr


def test_a_loaded_folder_without_a_month_is_told_what_to_do_there() -> None:
    Path("samples").mkdir()
    write(Path("samples/usage.jsonl"), amounts(Kind.USAGE, "1"))
    done = run("serve", "--dev", "--load", "samples")
    assert (done.exit_code, "usage-2026-11.jsonl" in done.stderr, "--period" in done.stderr) == (1, True, False)


def test_the_lines_to_paste_work_in_another_folder_whatever_the_data_folder_is_called(tmp_path: Path) -> None:
    data = tmp_path / "it's $HOME"
    run("publish", write(Path("a"), billed(Kind.USAGE, "1")), "--data", str(data))
    command = [sys.executable, "-m", "counterfoil", "serve", "--dev", "--port", "0", "--data", data.name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        line = next((line.strip() for line in iter(server.stderr.readline, "") if "TOKEN=" in line), "")
        server.send_signal(signal.SIGINT)
    words = shlex.split(line.removeprefix("TOKEN=$(").removesuffix(")"))
    token = run(*words[1:])
    assert (token.exit_code, token.stdout.count(".")) == (0, 2), token.stderr


def test_a_month_is_made_and_published_by_the_commands_that_are_told() -> None:
    made = run(
        *("generate", "--month", "2026-10", "--invoice", "G016907411", "--partner", PARTNER),
        *("--customers", "1", "-o", "a month"),
    )
    told = [line.partition(": counterfoil ")[2] for line in made.stderr.splitlines()[1:]]
    assert (made.exit_code, len(told)) == (0, 2)
    for command in told:
        assert run(*shlex.split(command)).exit_code == 0
    scopes = [(each["period"], each["invoice"]) for each in json.loads(run("list", "--output", "json").stdout)]
    assert sorted(map(str, scopes)) == sorted(map(str, [("2026-10", None), (None, "G016907411")] * 2))
