"""Every command with `--output json`: one value on stdout, one JSON object a line on stderr, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import Result

from counterfoil.cli import main
from counterfoil.testing import PARTNER
from tests.cli.pulling import INVOICE, House, run
from tests.cli.test_startup import commands_in

# They run until they are stopped, or for long: tests of their own look at what they print.
LONG = {"demo", "serve"}
OTHER = "5d2a8f0c-6a4e-4d8b-9b7e-6f1d2c3b4a59"


def leaves() -> set[str]:
    return {" ".join(path) for path in commands_in(main) if not isinstance(_at(path), click.Group)}


def _at(path: list[str]) -> click.Command:
    command: click.Command = main
    for name in path:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), name)
        assert found is not None
        command = found
    return command


def in_json(*arguments: str) -> Result:
    done = run(*arguments, "--output", "json")
    for line in done.stderr.splitlines():
        [told] = json.loads(line)
        assert told in {"error", "warning", "conclusion"}
    if done.stdout:
        json.loads(done.stdout)
    return done


@pytest.mark.parametrize("command", sorted(leaves()))
def test_a_mistake_in_any_command_is_one_line_of_json(command: str) -> None:
    done = in_json(*command.split(), "--no-such-option")
    assert (done.exit_code, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)


@pytest.mark.parametrize("command", sorted(leaves()))
def test_every_help_has_an_example(command: str) -> None:
    done = run(*command.split(), "--help")
    assert f"\n    counterfoil {command}" in done.stdout or f"$(counterfoil {command}" in done.stdout


def _scenario(house: House, folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield every command and arguments with which it does something."""
    house.profile('kinds = ["usage"]', f'invoices = ["{INVOICE}"]')
    house.invoice()
    scope = ["--partner", PARTNER, "--kind", "usage", "--invoice", INVOICE]
    made = ["--kind", "usage", "--line-items", "70", "--partner", PARTNER, "--invoice", INVOICE, "-o", "made.jsonl"]
    yield "generate", made
    yield "anonymize", ["made.jsonl", "-o", "anonymous"]
    yield "publish", ["made.jsonl"]
    yield "list", []
    listed = json.loads(run("list", "--output", "json").stdout)
    yield "show", [listed[0]["revision"]]
    yield "verify", []
    yield "withdraw", scope
    yield "restore", [listed[0]["revision"]]
    yield "partners add", [OTHER]
    yield "partners list", []
    yield "clients add", ["--partner", OTHER]
    yield "clients list", ["--partner", OTHER]
    clients = json.loads(run("clients", "list", "--partner", OTHER, "--output", "json").stdout)
    yield "clients rotate", ["--partner", OTHER, clients[0]["clientId"]]
    yield "clients remove-secret", ["--partner", OTHER, clients[0]["clientId"], clients[0]["secrets"][0]["id"]]
    yield "clients revoke", ["--partner", OTHER, clients[0]["clientId"]]
    yield "partners remove", [OTHER]
    yield "rotate-keys", ["--at-once"]
    yield "activity", ["--partner", PARTNER]
    yield "token", ["--partner", PARTNER]
    yield "warm-up", []
    yield "backup", ["kept.tar"]
    yield "restore-backup", ["kept.tar", "--data", "new"]
    yield "sweep", []
    yield "rebuild", ["--keep-catalog"]
    yield "doctor", []
    yield "init", ["fabrikam", "--tenant", PARTNER, "--client-id", "an-id"]
    yield "pull", ["contoso", "--kind", "usage", "--invoice", INVOICE]
    yield "pulls list", ["contoso"]
    yield "pulls show", [f"counterfoil-pulls/contoso/usage/{INVOICE}"]
    yield "pulls verify", ["contoso"]
    yield "pulls status", ["contoso"]
    yield "totals", [f"counterfoil-pulls/contoso/usage/{INVOICE}", "--by", "customer"]
    yield "audit", ["made.jsonl", "--rule", "usage-billing-total"]
    yield "explain", ["made.jsonl:2"]
    Path("ledger.csv").write_text("Customer;Amount;Currency\nc1;1.50;EUR\n", encoding="utf-8")
    yield "mapping suggest", ["ledger.csv", "-o", "ledger.toml"]
    yield "mapping check", ["ledger.toml"]
    yield "reconcile", ["made.jsonl", "made.jsonl", "--by", "product", "--to", "compared", "--format", "csv,json"]
    yield "changes", ["made.jsonl", "made.jsonl"]
    Path("less.jsonl").write_bytes(b"".join(Path("made.jsonl").read_bytes().splitlines(keepends=True)[1:]))
    assert in_json("reconcile", "made.jsonl", "less.jsonl", "--breaks").exit_code == 3
    yield "breaks list", ["--in", "."]
    yield "breaks show", ["1", "--in", "."]
    yield "breaks note", ["1", "--owner", "finance", "--in", "."]
    yield "breaks accept", ["1", "--note", "small", "--in", "."]


def test_every_command_that_does_its_work_says_so_in_json(house: House, tmp_path: Path) -> None:
    done = set()
    for command, arguments in _scenario(house, tmp_path):
        result = in_json(*command.split(), *arguments)
        assert (result.exit_code, bool(result.stdout)) == (0, True), (command, result.stderr)
        done.add(command)
    assert done == leaves() - LONG
