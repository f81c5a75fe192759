"""A scripted day, by command and over HTTP: the record says who did what, all of it, and nothing secret."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from counterfoil.disk.process_owner import process_owner
from counterfoil.periods import Clocks, utc_now
from counterfoil.server.app import create_app
from counterfoil.server.identity.audiences import DEFAULT_AUDIENCE
from counterfoil.server.listening import Endpoint
from counterfoil.server.startup import open_service
from counterfoil.server.web_server import running
from counterfoil.settings import Settings
from counterfoil.storage.engines import open_store
from tests.cli.pulling import run

PARTNER = "0e195b37-4574-4539-bc42-0e539b9684c0"
OTHER = "5d2a8f0c-6a4e-4d8b-9b7e-6f1d2c3b4a59"
INVOICE = "G016907411"
BILLING = "/v1.0/reports/partners/billing"


def done(*arguments: str) -> Any:
    """Run a command that prints JSON, on the data folder of the day."""
    result = run(*arguments, "--output", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout) if result.stdout else None


@contextmanager
def served(data: Path) -> Iterator[str]:
    """Serve to registered clients."""
    with (
        open_service(Settings(data=data), Clocks(), development=False) as service,
        running(create_app(service), [Endpoint("127.0.0.1", 0)], grace_s=1) as [url],
    ):
        yield url


def called(url: str, client: str, secret: str) -> list[str]:
    """Do what a client does in a day; return all that nobody else may see."""
    with httpx.Client(base_url=url, timeout=30) as http:
        form = {"grant_type": "client_credentials", "client_id": client, "scope": f"{DEFAULT_AUDIENCE}/.default"}
        token_url = f"/{PARTNER}/oauth2/v2.0/token"
        assert http.post(token_url, data=form | {"client_secret": "a wrong guess"}).status_code == 401
        token = http.post(token_url, data=form | {"client_secret": secret}).json()["access_token"]
        http.headers["Authorization"] = f"Bearer {token}"
        operation = http.post(f"{BILLING}/usage/billed/export", json={"invoiceId": INVOICE}).headers["location"]
        manifest = http.get(operation).json()["resourceLocation"]
        for blob in manifest["blobs"]:
            link = f"{manifest['rootDirectory']}/{blob['name']}?{manifest['sasToken']}"
            for span in ("bytes=0-99", "bytes=100-"):
                assert httpx.get(link, headers={"Range": span}).status_code == 206
        assert httpx.get(f"{manifest['rootDirectory']}/{blob['name']}?sig=x").status_code == 403
        return [token, manifest["sasToken"], manifest["sasToken"].partition("sig=")[2]]


def test_the_record_of_a_day_is_complete_and_has_nothing_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    scope = ("--kind", "usage", "--partner", PARTNER, "--invoice", INVOICE)
    done("generate", *scope, "--line-items", "70", "-o", "made.jsonl")
    [published] = done("publish", "made.jsonl")
    registered = done("clients", "add", "--partner", PARTNER, "--name", "nightly")
    client, secret = registered["clientId"], registered["clientSecret"]
    with served(Path("counterfoil-data")) as url:
        hidden = called(url, client, secret)
    done("withdraw", *scope)
    done("restore", published["revision"])
    done("clients", "revoke", "--partner", PARTNER, client)
    done("partners", "add", OTHER)
    done("partners", "remove", OTHER)
    record = done("activity")
    me = process_owner()
    assert [(each["action"], each["partner"], each["actor"], each["count"]) for each in record] == [
        ("publish", PARTNER, me, 1),
        ("client-add", PARTNER, me, 1),
        ("sign-in-failed", PARTNER, client, 1),
        ("sign-in", PARTNER, client, 1),
        ("export", PARTNER, client, 1),
        ("download", PARTNER, client, 1),
        ("refused", PARTNER, "-", 1),
        ("withdraw", PARTNER, me, 1),
        ("restore", PARTNER, me, 1),
        ("client-revoke", PARTNER, me, 1),
        ("partner-add", OTHER, me, 1),
        ("partner-remove", OTHER, me, 1),
    ]
    assert [each["number"] for each in record] == list(range(1, 13))
    text = json.dumps(record)
    for shown in (published["revision"], INVOICE, "nightly", "127.0.0.1"):
        assert shown in text
    stored = b"".join(path.read_bytes() for path in Path("counterfoil-data").glob("catalog.sqlite*"))
    for secret_text in (secret, "a wrong guess", *hidden):
        assert secret_text not in text
        assert secret_text.encode() not in stored
    assert [each["action"] for each in done("activity", "--actor", client, "--action", "export")] == ["export"]
    assert [each["action"] for each in done("activity", "--limit", "1", "--partner", OTHER)] == ["partner-remove"]
    assert done("activity", "--until", "2020-01-01") == done("activity", "--since", "2999-01-01T00:00Z") == []
    assert done("verify")["sound"]
    table = run("activity", "--data", os.fspath(tmp_path / "counterfoil-data"))
    assert "chain up to here: " in table.stderr
    assert "invoice G016907411, kind usage" in table.stdout


@pytest.mark.chaos
def test_a_server_that_is_killed_loses_the_last_second_at_most(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with open_store(data) as store:
        store.catalog.add_partner(PARTNER, utc_now())
        client, secret = store.catalog.add_client(PARTNER, "nightly", utc_now())
    form = {"grant_type": "client_credentials", "client_id": client.id, "client_secret": secret}
    form["scope"] = f"{DEFAULT_AUDIENCE}/.default"
    for _ in range(5):
        command = [sys.executable, "-m", "counterfoil", "serve", "--port", "0", "--data", str(data)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
            assert server.stdout is not None
            url = server.stdout.readline().split()[-1]
            kept = 0
            for wait_s in (0.3, 2.0, 0.0):
                assert httpx.post(f"{url}/{PARTNER}/oauth2/v2.0/token", data=form).status_code == 200
                kept += bool(wait_s)  # what is older than a second, with time for a slow machine
                time.sleep(wait_s)
            with open_store(data) as store:
                before = sum(each.count for each in store.catalog.activity(999, actor=client.id))
            server.kill()
        with open_store(data) as store:
            signed_in = sum(each.count for each in store.catalog.activity(999, actor=client.id))
            assert store.catalog.faults() == []
        assert signed_in >= before >= kept


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--action", "sign-on"], "There is no action 'sign-on'. Did you mean 'sign-in'?"),
        (["--since", "yesterday"], "--since 'yesterday' is not a time. Write it as 2026-11-28T14:00Z."),
        (["--until", "2026-13-01"], "--until '2026-13-01' is not a time."),
        (["--partner", "contoso"], "is not a tenant id"),
        (["--limit", "0"], "0 is not in the range"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    run("partners", "add", PARTNER)
    refused = run("activity", *arguments)
    assert refused.exit_code == 2
    assert said in refused.stderr
