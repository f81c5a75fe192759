"""What a command loads before it does anything: what it uses, and no more. Loading is what small commands take."""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from counterfoil.cli import main
from counterfoil.generator import generate, write
from counterfoil.model import Kind, Scope
from counterfoil.storage.engines import open_store

PARTNER = "0e195b37-4574-4539-bc42-0e539b9684c0"
SLOW = {"cryptography", "duckdb", "httpx", "numba", "numpy", "pyarrow", "rich", "starlette", "trustme", "uvicorn"}
MORE_THAN_HELP_NEEDS = SLOW | {"asyncio", "email", "msgspec", "sqlalchemy", "ssl"}
OTHER_DATABASES = {"sqlalchemy.dialects.postgresql", "sqlalchemy.orm"}
RUN_IN_TURN = """
import json
import sys
from counterfoil.cli import main
runs, unwanted = json.loads(sys.argv[1])
for arguments in runs:
    try:
        main(arguments)
    except SystemExit:
        found = sys.modules.keys() & unwanted
        assert not found, (arguments, found)
"""


def run_without(unwanted: set[str], runs: list[list[str]]) -> subprocess.CompletedProcess[str]:
    """Run commands in one process, which ends at the first that loads what is not wanted."""
    command = [sys.executable, "-c", RUN_IN_TURN, json.dumps([runs, sorted(unwanted)])]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def commands_in(group: click.Group, *path: str) -> Iterator[list[str]]:
    yield [*path]
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands_in(command, *path, name)
        else:
            yield [*path, name]


def test_no_help_loads_what_only_the_command_needs() -> None:
    done = run_without(MORE_THAN_HELP_NEEDS, [[*path, "--help"] for path in commands_in(main)])
    assert (done.returncode, done.stderr) == (0, "")


def test_looking_at_pulls_loads_no_network_no_catalog_and_no_reader_of_line_items(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "receipt.json").touch()
    done = run_without(SLOW | {"asyncio", "sqlalchemy"}, [["pulls", "list"], ["pulls", "list", "."]])
    assert (done.returncode, "receipt.json" in done.stderr) == (0, True), done.stderr


def test_looking_at_what_is_published_loads_one_database_and_no_reader_of_line_items(tmp_path: Path) -> None:
    data = ["--data", str(tmp_path / "data")]
    with open_store(tmp_path / "data", create=True) as store:
        store.catalog.add_partner(PARTNER, datetime(2026, 11, 5, tzinfo=UTC))
    dataset = ["--partner", PARTNER, "--kind", "usage", "--invoice", "G1"]
    runs = [["list", *data], ["show", *data, *dataset], ["partners", "list", *data], ["clients", "list", *data]]
    done = run_without(SLOW | OTHER_DATABASES, runs)
    assert (done.returncode, PARTNER in done.stdout) == (0, True), done.stderr


def test_publishing_a_little_loads_no_compiler_and_no_network(tmp_path: Path) -> None:
    file = tmp_path / "invoice.jsonl"
    write(generate(Kind.USAGE, 64, partner=PARTNER, scope=Scope.billed("G1")), file)
    unwanted = (SLOW | OTHER_DATABASES) - {"numpy", "pyarrow"}
    done = run_without(unwanted, [["publish", str(file), "--data", str(tmp_path / "data")]])
    assert (done.returncode, "Line items  64" in done.stdout) == (0, True), done.stderr


ANNOUNCED = """
import os
import signal
import sys
from counterfoil.cli import main

class Watched:
    def write(self, text):
        if "Counterfoil is serving at" in text:
            print(sorted({"counterfoil.datasets", "llvmlite", "numba"} & sys.modules.keys()), file=sys.stderr)
            os.kill(os.getpid(), signal.SIGTERM)
    def flush(self): ...
    def isatty(self): return False

sys.stdout = Watched()
main(["serve", "--dev", "--port", "0", "--data", sys.argv[1]])
"""


def test_a_server_is_ready_before_anything_is_compiled(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ANNOUNCED, str(tmp_path / "data")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "[]" in done.stderr.splitlines(), done.stderr


def test_warming_up_says_how_long_it_took_and_where_all_is_kept() -> None:
    done = CliRunner().invoke(main, ["warm-up", "--output", "json"])
    told = json.loads(done.stdout)
    assert (done.exit_code, done.stderr, sorted(told)) == (0, "", ["compiled", "folder", "seconds"])
    assert told["compiled"] == 0  # it was done before all tests
    assert Path(told["folder"]).is_dir()


def test_warming_up_is_refused_where_nothing_can_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))
    done = CliRunner().invoke(main, ["warm-up"])
    assert (done.exit_code, "Name one with NUMBA_CACHE_DIR" in done.stderr) == (1, True)
