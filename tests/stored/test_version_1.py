"""A data folder of version 1, which no release wrote: one sentence, what to do, and nothing is touched."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from counterfoil import cli
from counterfoil.model import Kind
from tests.datasets.line_items import amounts

COMMANDS = [
    ("list",),
    ("verify",),
    ("sweep",),
    ("rebuild",),
    ("rebuild", "--keep-catalog"),
    ("serve", "--dev", "--port", "0"),
    ("partners", "list"),
    ("publish", "lines.jsonl", "--period", "2026-11"),
]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The beginnings of a version 1: what tells the version, and a file that its catalog lists."""
    data = tmp_path / "data"
    (data / "files" / "000").mkdir(parents=True)
    (data / "files" / "000" / "s0-lake-00000.parquet").write_bytes(b"PAR1")
    with closing(sqlite3.connect(data / "catalog.sqlite")) as catalog:
        catalog.execute("CREATE TABLE meta (key VARCHAR PRIMARY KEY, value VARCHAR NOT NULL)")
        catalog.execute("INSERT INTO meta VALUES ('application', 'counterfoil'), ('schema_version', '1')")
        catalog.execute("CREATE TABLE files (id INTEGER PRIMARY KEY, path VARCHAR NOT NULL)")
        catalog.execute("INSERT INTO files VALUES (1, 'files/000/s0-lake-00000.parquet')")
        catalog.commit()
    return data


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_it_is_refused_in_one_sentence_and_left_as_it_is(
    old: Path, command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lines.jsonl").write_bytes(amounts(Kind.USAGE, "1"))
    before = {path: path.read_bytes() for path in old.rglob("*") if path.is_file()}
    told = CliRunner().invoke(cli.main, [*command, "--data", str(old)], prog_name="counterfoil")
    assert (told.exit_code, told.stdout) == (1, "")
    said = " ".join(told.stderr.split())
    assert "was written before Counterfoil's first release (catalog version 1) and cannot be read." in said
    assert "Publish again into a new data folder (--data)." in said
    assert "Traceback" not in said
    assert {path: path.read_bytes() for path in old.rglob("*") if path.is_file()} == before
