"""`counterfoil doctor` without a source: it tells how this machine's set-up is, and only looks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from counterfoil.model import Kind
from tests.cli.pulling import run
from tests.datasets.line_items import billed, write


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder that was published into and never served."""
    monkeypatch.chdir(tmp_path)
    name = write(Path("invoice"), billed(Kind.USAGE, "1"))
    assert run("publish", name, "--data", "data").exit_code == 0
    (tmp_path / "data" / "secret").unlink(missing_ok=True)
    return tmp_path / "data"


def told() -> dict[str, str]:
    done = run("doctor", "--data", "data", "--output", "json")
    return {row["about"]: row["told"] for row in json.loads(done.stdout)}


def test_looking_at_a_folder_changes_nothing_in_it(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERFOIL_ISSUER", "https://issuer.example")
    monkeypatch.setenv("COUNTERFOIL_AUDIENCE", "api://mine")
    before = {path: path.stat().st_size for path in published.rglob("*")}
    found = told()
    assert found["data folder"] == "data: 1 dataset in force."
    assert "can start" in found["serving"], found
    assert before.keys() == {path for path in published.rglob("*") if not path.name.endswith(("-wal", "-shm"))}


def test_a_signing_key_that_is_damaged_is_found(published: Path) -> None:
    key = published / "secret"
    key.write_text("nonsense")
    key.chmod(0o600)
    assert "is damaged" in told()["data folder"]
    assert key.read_text() == "nonsense"


def test_windows_is_told_what_runs_there(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("counterfoil.cli.doctor._ON_WINDOWS", True)
    assert "for tests only" in told()["installation"]


def test_a_client_that_can_soon_sign_in_no_more_is_told_of(published: Path) -> None:
    [partner] = json.loads(run("partners", "list", "--data", "data", "--output", "json").stdout)
    asked = ("--data", "data", "--partner", partner["partner"])
    assert "ending: client" not in told()
    assert run("clients", "add", *asked, "--name", "nightly", "--client-secret-days", "29").exit_code == 0
    assert run("clients", "add", *asked, "--name", "yearly").exit_code == 0
    found = told()["ending: client"]
    assert "(nightly)" in found
    assert "ends on" in found
