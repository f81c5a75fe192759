"""`counterfoil clients`: secrets, certificates and federated identities, and what the list says of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from counterfoil import cli
from counterfoil.storage.engines import open_store
from tests.server.asserting import Certified

PARTNER = "0e195b37-4574-4539-bc42-0e539b9684c0"


@pytest.fixture(autouse=True)
def _with_a_partner(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("partners", "add", PARTNER).exit_code == 0


def run(*arguments: str) -> Result:
    done = CliRunner().invoke(cli.main, arguments, prog_name="counterfoil")
    assert "Traceback" not in done.stderr
    assert "unexpected" not in done.stderr
    return done


def certificate(name: str, lives: timedelta = timedelta(days=30)) -> str:
    """Write a certificate with its key, as tools that sign in keep it."""
    made = Certified.made(name, begins=datetime.now(UTC) - timedelta(days=1), lives=lives)
    Path(f"{name}.pem").write_bytes(made.with_key)
    return f"{name}.pem"


def test_a_client_with_certificates_has_no_secret_and_the_list_says_until_when() -> None:
    added = run("clients", "add", "--partner", PARTNER, "--output", "json", "--certificate", certificate("first"))
    told = json.loads(added.stdout)
    assert (added.exit_code, sorted(told)) == (0, ["clientId", "signsInBy", "tenant"])
    assert told["signsInBy"][0].startswith("certificate ")
    client = told["clientId"]
    federated = ("--federated", "https://issuer.example", "system:serviceaccount:a:b", "api://AzureADTokenExchange")
    more = ("--certificate", certificate("second"), *federated)
    again = run("clients", "add", "--partner", PARTNER, "--client", client, "--output", "json", *more)
    assert json.loads(again.stdout)["clientId"] == client
    [listed] = json.loads(run("clients", "list", "--partner", PARTNER, "--output", "json").stdout)
    until = (datetime.now(UTC) + timedelta(days=29)).date()
    assert listed["clientId"] == client
    assert listed["signsInBy"].count(f"until {until}") == 2
    assert "tokens of https://issuer.example for system:serviceaccount:a:b" in listed["signsInBy"]
    run("clients", "add", "--partner", PARTNER)
    secret = json.loads(run("clients", "list", "--partner", PARTNER, "--output", "json").stdout)[1]
    a_year_on = (datetime.now(UTC) + timedelta(days=365)).date()
    assert secret["signsInBy"] == f"secret {secret['secrets'][0]['id']} until {a_year_on}"


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--client", "x"), 2, "--certificate"),
        (("--certificate", "absent.pem"), 2, "absent.pem"),
        (("--certificate", "empty.pem"), 2, "empty.pem holds no certificate"),
        (("--certificate", "old.pem"), 2, "expired"),
        (("--federated", "http://issuer.example", "s", "a"), 2, "https"),
        (("--client", "nobody", "--federated", "https://issuer.example", "s", "a"), 1, "has no client nobody"),
    ],
)
def test_what_cannot_be_trusted_is_refused_and_no_client_is_made(
    options: tuple[str, ...], code: int, said: str
) -> None:
    Path("empty.pem").touch()
    certificate("old", timedelta(hours=1))
    refused = run("clients", "add", "--partner", PARTNER, *options)
    assert refused.exit_code == code, refused.stderr
    assert said in refused.stderr
    assert json.loads(run("clients", "list", "--partner", PARTNER, "--output", "json").stdout) == []


def listed() -> dict[str, Any]:
    """Return what the list says of the only client."""
    [client] = json.loads(run("clients", "list", "--partner", PARTNER, "--output", "json").stdout)
    assert isinstance(client, dict)
    return client


def test_a_secret_is_rotated_while_the_other_one_works_and_then_removed() -> None:
    asked = ("--partner", PARTNER, "--output", "json")
    made = json.loads(run("clients", "add", *asked, "--client-secret-days", "200").stdout)
    client, days = made["clientId"], timedelta(days=1)
    again = json.loads(run("clients", "rotate", *asked, client, "--overlap", "3").stdout)
    now = datetime.now(UTC)
    first, second = listed()["secrets"]
    assert (second["id"], second["expires"]) == (again["secretId"], again["expires"])
    assert timedelta(days=364) < datetime.fromisoformat(again["expires"]) - now < 366 * days
    assert 2 * days < datetime.fromisoformat(first["expires"]) - now <= 3 * days
    with open_store(Path("counterfoil-data")).catalog as catalog:
        for secret in (made["clientSecret"], again["clientSecret"]):
            assert catalog.check_client(client, secret, now) is not None
        assert catalog.check_client(client, made["clientSecret"], now + 4 * days) is None
        assert catalog.check_client(client, again["clientSecret"], now + 4 * days) is not None
    third = run("clients", "rotate", *asked, client)
    assert (third.exit_code, "2 secrets that are good" in third.stderr, "remove-secret" in third.stderr) == (
        2,
        True,
        True,
    )
    assert run("clients", "remove-secret", *asked, client, first["id"]).exit_code == 0
    assert [each["id"] for each in listed()["secrets"]] == [second["id"]]
    missing = run("clients", "remove-secret", *asked, client, first["id"])
    assert (missing.exit_code, "has no secret" in missing.stderr) == (1, True)


def test_a_secret_may_have_no_end_and_a_rotation_may_end_the_other_at_once() -> None:
    asked = ("--partner", PARTNER, "--output", "json")
    made = json.loads(run("clients", "add", *asked, "--client-secret-days", "0").stdout)
    assert made["expires"] is None
    for overlap in ("0", "30", "0"):
        assert run("clients", "rotate", *asked, made["clientId"], "--overlap", overlap).exit_code == 0
    assert len(listed()["secrets"]) == 1
    for bad in ("-1", "soon", "99999"):
        assert run("clients", "add", *asked, "--client-secret-days", bad).exit_code == 2
