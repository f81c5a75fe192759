"""`counterfoil init` writes a profile that works, overwrites nothing, and never shows or stores a secret."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from counterfoil.cli import init, main
from tests.cli.pulling import House, run

TENANT = "0e195b37-4574-4539-bc42-0e539b9684c0"
GIVEN = ("--tenant", TENANT, "--client-id", "5f2b7d0e-8f1c-4b7e-9d58-5f0f0a6f2b11")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def written() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads(Path("counterfoil.toml").read_text(encoding="utf-8"))
    return found


def test_options_say_it_all() -> None:
    done = run(
        "init", "contoso", *GIVEN, "--currency", "eur", "--currency", "USD", "--format", "csv", "--format", "xlsx"
    )
    assert done.exit_code == 0, done.stderr
    assert written()["profiles"]["contoso"] == {
        "url": "https://graph.microsoft.com",
        "tenant": TENANT,
        "client_id": GIVEN[3],
        "client_secret_env": "CONTOSO_CLIENT_SECRET",
        "to": "pulls",
        "format": ["csv", "xlsx"],
        "kinds": ["usage", "reconciliation"],
        "currencies": ["EUR", "USD"],
    }
    assert "Put the secret into the environment variable CONTOSO_CLIENT_SECRET" in done.stderr


def test_at_a_terminal_it_asks_for_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(init, "can_ask", lambda: True)
    answers = ["fabrikam", "", TENANT, "an-id", "", "", "csv, xlsx", "usage", "eur gbp"]
    done = CliRunner().invoke(main, ["init"], input="\n".join(answers) + "\n")
    assert done.exit_code == 0, done.output
    table = written()["profiles"]["fabrikam"]
    assert (table["format"], table["kinds"], table["currencies"]) == (["csv", "xlsx"], ["usage"], ["EUR", "GBP"])


def test_nothing_that_is_there_is_overwritten() -> None:
    before = "# mine\r\nport = 9000\r\n[profiles.contoso]\r\nurl = 'http://127.0.0.1:1'"
    Path("counterfoil.toml").write_bytes(before.encode())
    done = run("init", "contoso", *GIVEN)
    assert (done.exit_code, "nothing is overwritten" in done.stderr) == (2, True)
    assert Path("counterfoil.toml").read_bytes() == before.encode()
    assert run("init", "second one", *GIVEN).exit_code == 0
    assert Path("counterfoil.toml").read_bytes().startswith(before.encode())
    assert set(written()["profiles"]) == {"contoso", "second one"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("contoso",), "Directory (tenant) ID of the partner: it is missing"),
        ((), "Name the profile"),
        (("contoso", *GIVEN, "--currency", "EURO"), "'EURO' is not a currency"),
        (("contoso", *GIVEN, "--url", "127.0.0.1:8081"), "Write it with https://"),
        (("contoso", *GIVEN, "--client-secret-env", "abc~Q8secretvalue"), "the name of an environment variable"),
    ],
)
def test_what_is_missing_or_wrong_writes_nothing(arguments: tuple[str, ...], said: str) -> None:
    done = run("init", *arguments)
    assert (done.exit_code, said in done.stderr) == (2, True), done.stderr
    assert "abc~Q8" not in done.output
    assert not Path("counterfoil.toml").exists()


@pytest.mark.parametrize(
    "secret",
    ["abc~Q8secretvalue", "Xy8Q.abcdefghijklmnopqrstuvwxyz", "aB3dE5fG7hI9jK1lM3nO5pQ7rS9tU1vW3xY5zA7b", "a=b", "x y"],
)
@pytest.mark.parametrize("key", ["client_secret_env", "token_env"])
def test_a_secret_in_place_of_a_variables_name_is_shown_nowhere(secret: str, key: str) -> None:
    text = f'[profiles.contoso]\nurl = "http://127.0.0.1:1"\ntenant = "t"\nclient_id = "c"\n{key} = "{secret}"\n'
    Path("counterfoil.toml").write_text(text, encoding="utf-8")
    for command in (("doctor", "contoso"), ("pull", "contoso", "--all"), ("pulls", "list", "contoso")):
        done = run(*command)
        assert (done.exit_code, secret in done.output) == (2, False)
        assert f"{key} must be the name of an environment variable" in done.stderr


def test_doctor_lists_a_secret_that_is_not_set(house: House) -> None:
    house.profile('tenant = "t"', 'client_id = "c"')
    text = Path("counterfoil.toml").read_text(encoding="utf-8").replace("token_env", "client_secret_env")
    Path("counterfoil.toml").write_text(text.replace("CONTOSO_TOKEN", "NOT_SET_HERE"), encoding="utf-8")
    done = run("doctor", "contoso")
    assert (done.exit_code, "credential" in done.stdout, "NOT_SET_HERE" in done.stdout) == (1, True, True)
