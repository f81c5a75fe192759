"""`counterfoil pull` as a person meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from counterfoil.cli import main
from tests.client.hostile_source import TOKEN, Canned, HostileSource


def run(*arguments: str, given: str | None = None, **environ: str) -> Result:
    return CliRunner().invoke(main, ["pull", *arguments], input=given, env=environ)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


BILLED = ("--kind", "usage", "--invoice", "G016907411", "--to", "out")


def test_a_url_and_a_token_are_enough(source: HostileSource) -> None:
    result = run(source.url, *BILLED, "--token", TOKEN)
    assert (result.exit_code, "proven" in result.stdout) == (0, True), result.output
    assert "BillingPreTaxTotal: 1.00 EUR" in result.stdout
    exact = run(source.url, *BILLED, "--token", TOKEN, "--exact")
    assert "BillingPreTaxTotal: 0.9999840002559959040655 EUR" in exact.stdout
    assert TOKEN not in result.output


def test_json_is_the_receipt(source: HostileSource) -> None:
    result = run(source.url, *BILLED, "--output", "json", COUNTERFOIL_TOKEN=TOKEN)
    body = json.loads(result.stdout)
    assert body.pop("folder") == "out"
    assert body == json.loads(Path("out/receipt.json").read_text())


def test_the_token_can_come_from_standard_input(source: HostileSource) -> None:
    assert run(source.url, *BILLED, "--token", "-", given=f"{TOKEN}\n").exit_code == 0
    assert source.calls[0].headers["authorization"] == f"Bearer {TOKEN}"


def test_a_profile_has_its_own_api_and_token(source: HostileSource) -> None:
    Path("counterfoil.toml").write_text(
        f'[profiles.contoso]\nurl = "{source.url}"\napi = "v1"\ntoken_env = "CONTOSO_TOKEN"\n'
    )
    unbilled = ("--kind", "usage", "--period", "last", "--currency", "EUR", "--to", "out", "--format", "parquet")
    result = run("contoso", *unbilled, CONTOSO_TOKEN="contosos-own", COUNTERFOIL_TOKEN="of-another-source")
    assert result.exit_code == 0, result.output
    assert {call.headers["authorization"] for call in source.calls} == {"Bearer contosos-own"}
    assert {call.what for call in source.calls} == {"page"}


def test_a_profile_that_signs_in_does_so_at_the_source(source: HostileSource) -> None:
    Path("counterfoil.toml").write_text(
        f'[profiles.contoso]\nurl = "{source.url}"\ntenant = "0e195b37-4574-4539-bc42-0e539b9684c0"\n'
        'client_id = "c"\nclient_secret = "s"\n'
    )
    source.canned["other"].append(Canned(200, {}, b'{"access_token":"signed-in","expires_in":3600}'))
    assert run("contoso", *BILLED).exit_code == 0
    assert source.calls[1].headers["authorization"] == "Bearer signed-in"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--invoice", "G1", "--period", "last"), "--invoice goes without"),
        (("--period", "last"), "Say what to pull"),
        ((), "Say what to pull"),
        (("--invoice", "G1"), "There is no token"),
        (("--period", "2020-01", "--currency", "EUR"), "cannot be asked for"),
        (("--invoice", "G1", "--format", "pdf"), "pdf"),
    ],
)
def test_wrong_use_is_told_in_one_line_and_exits_with_2(
    source: HostileSource, arguments: tuple[str, ...], said: str
) -> None:
    result = run(source.url, "--kind", "usage", "--to", "out", *arguments)
    assert (result.exit_code, said in result.stderr) == (2, True), result.output
    assert source.calls == []


def test_a_token_is_not_sent_over_plain_http_to_another_machine() -> None:
    result = run("http://192.0.2.1:8080", *BILLED, "--token", TOKEN)
    assert (result.exit_code, "plain http" in result.stderr) == (2, True)


def test_a_failed_export_exits_with_1(source: HostileSource) -> None:
    source.statuses = ["failed"]
    result = run(source.url, *BILLED, "--token", TOKEN)
    assert (result.exit_code, "5000: No data available" in result.stderr) == (1, True), result.output
    assert result.stdout == ""


def test_an_export_that_does_not_end_exits_with_4(source: HostileSource) -> None:
    source.statuses = ["running"]
    result = run(source.url, *BILLED, "--token", TOKEN, "--wait", "0")
    assert (result.exit_code, "--wait" in result.stderr) == (4, True), result.output
