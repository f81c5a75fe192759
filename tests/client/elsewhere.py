"""The package in some folder, used as it would be on Windows with the plain install: the side that watches."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from counterfoil.cli import SERVER_LIBRARIES
from counterfoil.client import Api, Format
from counterfoil.generator import generate
from counterfoil.model import Kind, Scope
from counterfoil.periods import BillingPeriod, utc_now
from counterfoil.testing import PARTNER, Server

SCRIPT = Path(__file__).with_name("without_posix.py")
LINE_ITEMS = 50


def tried(to: Path, package: Path) -> None:
    """Pull from a running server with the package in a folder, without POSIX and without the server's libraries."""
    now = utc_now()  # the command line asks this machine's clock which month is the current one
    month = BillingPeriod.containing(now)
    with Server(now=now.isoformat()) as server:
        lines = generate(Kind.USAGE, LINE_ITEMS, special=True, partner=PARTNER, scope=Scope.unbilled(month, "EUR"))
        server.publish(lines, period=str(month))
        given = {
            "url": server.url,
            "tokens": {Api.GRAPH: server.token("graph"), Api.V1: server.token("partner-center")},
            "to": str(to),
            "now": now.isoformat(),
            "blocked": sorted(SERVER_LIBRARIES),
        }
        environ = {**os.environ, "PYTHONPATH": str(package), "PYTHONUTF8": "1"}
        command = [sys.executable, str(SCRIPT), json.dumps(given)]
        done = subprocess.run(command, env=environ, cwd=to, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert Path(found["package"]).is_relative_to(package)
    ways = [*((form, "proven") for form in Format), ("stream", ""), ("async", "proven")]
    assert found["pulls"] == [[api, form, proof, LINE_ITEMS] for api in Api for form, proof in ways]
    assert (found["codes"], found["modules"]) == ([0, 0], [])
