"""docs/pulling.md is followed to the letter: its profile is read, and each of its commands for it is run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from counterfoil.client.holdings.status import State
from counterfoil.client.protocol.advice import BY_CODE
from counterfoil.client.protocol.messages import Answerer
from counterfoil.model import Kind
from tests.cli.pulling import House, run, this_month

PAGE = (Path(__file__).parents[2] / "docs/pulling.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ counterfoil (\S+ .*contoso.*|pulls show .*)$", PAGE, re.MULTILINE)


def test_whoever_follows_the_page_gets_to_its_end(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    [profile] = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    local = profile.replace("https://graph.microsoft.com", house.server.url)
    Path("counterfoil.toml").write_text(local, encoding="utf-8")
    [variable] = re.findall(r'client_secret_env = "(.*)"', profile)
    monkeypatch.setenv(variable, "any, at a server for development")
    for kind in Kind:
        house.invoice(kind=kind)
        house.month(kind=kind)
        house.month(kind=kind, last=True)
    assert len(COMMANDS) == 10
    for command in COMMANDS:
        done = run(*shlex.split(command.replace("2026-10", str(this_month().last))))
        assert done.exit_code == 0, f"{command}\n{done.stderr}"
    assert Path("pulls/usage", f"{this_month().last}-EUR", "usage.csv").is_file()
    assert Path("pulls/reconciliation/G016907411/reconciliation.csv").is_file()


def test_every_state_and_every_code_of_a_failed_sign_in_that_the_page_names_is_one() -> None:
    states = set(re.findall(r"^\| ([a-z, ]+) \| ", PAGE.partition("| State |")[2].partition("\n\n")[0], re.MULTILINE))
    assert states == set(State)
    assert set(re.findall(r"AADSTS(\d+)", PAGE)) <= set(BY_CODE[Answerer.SIGN_IN])
