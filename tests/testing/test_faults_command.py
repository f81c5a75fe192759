"""`counterfoil serve --dev --faults`: a hostile server for anybody's client, by a file or a seed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from counterfoil import cli
from counterfoil.testing.faults.fault_plan import drawn, read_plan

TENANT = "0e195b37-4574-4539-bc42-0e539b9684c0"


@contextmanager
def serving(folder: Path, faults: str, said: list[str]) -> Iterator[str]:
    """Run the command; yields its URL. Afterwards `said` holds what it wrote to stderr, and how it ended."""
    command = [sys.executable, "-m", "counterfoil", "serve", "--dev", "--port", "0", "--faults", faults]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[-1]
        finally:
            process.send_signal(signal.SIGTERM)
            said += [process.communicate()[1], str(process.returncode)]


def test_a_plan_file_makes_the_server_hostile_and_leaves_no_trace_in_its_logs(tmp_path: Path) -> None:
    plan = {"rules": [{"fault": "gateway-html", "on": ["token"], "times": 1}, {"fault": "cut", "on": ["token"]}]}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    form = {"grant_type": "client_credentials", "client_id": "a", "client_secret": "b", "scope": "x/.default"}
    said: list[str] = []
    with serving(tmp_path, "plan.json", said) as url:
        asked = f"{url}/{TENANT}/oauth2/v2.0/token"
        first = httpx.post(asked, data=form)
        assert (first.status_code, first.text[:33]) == (502, "<html><head><title>502 Bad Gatewa")
        for _ in range(2):
            with pytest.raises(httpx.RemoteProtocolError):
                httpx.post(asked, data=form)
        assert httpx.post(asked, data=form).json()["error"] == "invalid_request"
    assert said[1] == "0"
    assert said[0].endswith("Stopped.\n")
    assert "ERROR" not in said[0]


def test_a_seed_draws_a_mixture_that_is_printed_as_a_plan(tmp_path: Path) -> None:
    said: list[str] = []
    with serving(tmp_path, "20261121", said) as url:
        assert httpx.get(f"{url}/healthz").status_code == 200
    text = said[0]
    assert "answers wrongly on purpose" in text
    printed = text[text.index("{\n") : text.index("\n}\n") + 2]
    assert read_plan(printed, "") == drawn(20261121)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["serve", "--faults", "7"], "go with --dev"),
        (["serve", "--dev", "--faults", "none.json"], "The plan of faults none.json cannot be read"),
        (
            ["serve", "--dev", "--faults", "bad.json"],
            "bad.json, rule 1: 'throtled' is not a fault. Did you mean throttled",
        ),
        (["serve", "--dev", "--faults", ""], "cannot be read"),
    ],
)
def test_a_plan_that_cannot_be_right_is_wrong_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.json").write_text('[{"fault": "throtled"}]')
    done = CliRunner().invoke(cli.main, arguments, prog_name="counterfoil")
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
