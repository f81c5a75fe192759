"""A path that is empty, such as `"$UNSET"`, is a mistake and never the working directory; so is one with a NUL."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.pulling import House, receipt_in, run

UNBILLED = ("--kind", "usage", "--line-items", "64", "--partner", "0e195b37-4574-4539-bc42-0e539b9684c0")
ONE = ("pull", "http://127.0.0.1:1", "--kind", "usage", "--invoice", "G1", "--token", "x")


@pytest.mark.parametrize("path", ["", "\0", "a\0b"])
@pytest.mark.parametrize(
    "command",
    [
        ("pulls", "show"),
        ("pulls", "list"),
        ("pulls", "verify"),
        ("pulls", "status"),
        ("pull", "--all"),
        ("publish", "--period", "2026-11"),
        ("publish", "x.jsonl", "--rejects"),
        ("publish", "x.jsonl", "--data"),
        ("generate", *UNBILLED, "--invoice", "G1", "-o"),
        (*ONE, "--to"),
        (*ONE, "--to", "x", "--publish", "--data"),
        ("serve", "--dev", "--load"),
        ("serve", "--dev", "--faults"),
        ("serve", "--tls-cert"),
        ("serve", "--tls-key"),
        ("list", "--data"),
        ("sweep", "--data"),
        ("doctor", "--data"),
        ("--config", "", "list"),
    ],
)
def test_an_empty_path_names_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], path: str
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [path if word == "" else word for word in command] if "" in command else [*command, path]
    done = run(*words)
    assert done.exit_code == 2, done.stderr
    assert "unexpected" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_show_of_nothing_does_not_show_what_is_held_in_the_working_directory(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.invoice()
    house.profile('kinds = ["usage"]', 'invoices = ["G016907411"]')
    assert run("pull", "contoso", "--all").exit_code == 0
    monkeypatch.chdir("counterfoil-pulls/contoso/usage/G016907411")
    assert receipt_in(".")["lineItems"] == 3
    done = run("pulls", "show", "")
    assert (done.exit_code, done.stdout) == (2, "")
    assert run("pulls", "show", ".").exit_code == 0
