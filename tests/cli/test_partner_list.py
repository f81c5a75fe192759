"""Partners in bulk, with names and clients; and erasing one from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from counterfoil import cli
from counterfoil.model import Kind
from counterfoil.periods import utc_now
from counterfoil.storage.engines import open_store
from tests.datasets.line_items import OTHER, PARTNER, billed, write

LIST = f'partner,name,client\n{PARTNER},Northlight IT,nightly\n{OTHER.upper()},"Amberly, Inc.",\n'


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: str, given: str | None = None) -> Result:
    done = CliRunner().invoke(cli.main, arguments, prog_name="counterfoil", input=given)
    assert "Traceback" not in done.stderr
    return done


def test_a_list_of_partners_is_registered_with_names_and_clients_once() -> None:
    Path("list.csv").write_text(LIST)
    done = run("partners", "add", "--list", "list.csv", "--output", "json")
    assert done.exit_code == 0, done.stderr
    first, second = json.loads(done.stdout)
    assert (first["name"], first["added"], second["clientSecret"]) == ("Northlight IT", True, None)
    with open_store(Path("counterfoil-data")) as store:
        assert store.catalog.check_client(first["clientId"], first["clientSecret"], utc_now()) is not None
    assert [
        (each["partner"], each["name"]) for each in json.loads(run("partners", "list", "--output", "json").stdout)
    ] == [
        (PARTNER, "Northlight IT"),
        (OTHER, "Amberly, Inc."),
    ]
    again, _ = json.loads(run("partners", "add", "--list", "list.csv", "--output", "json").stdout)
    assert (again["added"], again["clientId"], again["clientSecret"]) == (False, first["clientId"], None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("partner,name\nx,A\n", "line 2: 'x' is not a tenant id"),
        ("name\nA\n", "has no header of its own"),
        (f"partner,colour\n{PARTNER},red\n", "'colour' is unknown in a list"),
        (f"partner,name\n{PARTNER},{'a' * 101}\n", "line 2, name: is not a name"),
        ("partner\n", "lists no partners"),
    ],
)
def test_a_list_with_a_mistake_registers_nobody(text: str, said: str) -> None:
    Path("list.csv").write_text(text)
    done = run("partners", "add", "--list", "list.csv")
    assert (done.exit_code, said in done.stderr) == (1, True), done.stderr
    assert not Path("counterfoil-data").exists()
    assert run("partners", "add").exit_code == 2


def test_erasing_asks_and_says_what_was_deleted() -> None:
    run("publish", write(Path("a"), billed(Kind.USAGE, "1")))
    refused = run("partners", "remove", PARTNER)
    assert (refused.exit_code, "in force" in refused.stderr) == (2, True)
    nobody = run("partners", "remove", PARTNER, "--erase")
    assert (nobody.exit_code, "(--yes)" in nobody.stderr) == (2, True)
    assert len(json.loads(run("list", "--output", "json").stdout)) == 1
    done = run("partners", "remove", PARTNER, "--erase", "--yes", "--output", "json")
    assert done.exit_code == 0, done.stderr
    erased = json.loads(done.stdout)["erased"]
    assert (erased["datasets"], erased["revisions"]) == (1, 1)
    assert erased["files"] >= 4
    assert json.loads(run("list", "--output", "json").stdout) == []
    assert run("verify").exit_code == 0
    gone = run("partners", "remove", PARTNER, "--erase", "--yes")
    assert (gone.exit_code, "There is nothing of" in gone.stderr) == (1, True)
