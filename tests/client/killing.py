"""Pulls that are killed with -9 at random points of their way, and go on: what every such test needs."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from counterfoil.client import Api, Format
from counterfoil.client.pull_folder.contents import STAGING
from counterfoil.testing import Server

ROOT = Path(__file__).parent.parent.parent
NOW = "2026-11-21T12:00:00Z"
BETWEEN_EVENTS_S = 0.2


class CountingServer(Server):
    """A server that notes which blobs and how many pages it was asked for."""

    def __init__(self) -> None:
        super().__init__(now=NOW)

    @property
    def blobs(self) -> list[str]:
        """The names of the blobs, as they were asked for."""
        return [request.path.rpartition("/")[2] for request in self.requests.of("blob")]

    @property
    def pages(self) -> int:
        """How many pages were asked for."""
        return len(self.requests.of("page"))


@dataclass
class Victim:
    """A pull into a folder, made by one process after another."""

    server: CountingServer
    to: Path
    api: Api
    form: Format
    page_size: int = 2000
    kills: int = 0
    kept: int = 0  # blobs that killed runs had verified

    def run(self, dice: random.Random, events_max: int) -> bool:
        """Pull until a random event, then kill; returns whether it ended before."""
        process = subprocess.Popen(self._command(), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout is not None
        with process:
            left = dice.randrange(events_max)
            for _ in process.stdout:
                left -= 1
                if left < 0:
                    with suppress(subprocess.TimeoutExpired):  # not always in the moment in which something is told
                        process.wait(dice.random() * BETWEEN_EVENTS_S)
                    process.kill()
                    break
            else:
                assert process.wait() == 0, process.stderr.read() if process.stderr else ""
                return True
        if process.returncode == 0:
            return True  # it was done before it could be killed
        self.kills += 1
        return False

    def verified(self) -> set[str]:
        """Which blobs a killed run had verified."""
        return {path.name.removesuffix(".json") for path in (self.to / STAGING).glob("*.gz.json")}

    def fetched_since(self, count: int) -> set[str]:
        """Which blobs were asked for since there had been so many requests."""
        return set(self.server.blobs[count:])

    def files(self) -> dict[str, bytes]:
        """What lies in the folder, but for the receipt, which bears times and ids."""
        return {path.name: path.read_bytes() for path in self.to.iterdir() if path.name != "receipt.json"}

    def _command(self) -> list[str]:
        audience = "graph" if self.api is Api.GRAPH else "partner-center"
        given = {
            "url": self.server.url,
            "token": self.server.token(audience),
            "to": str(self.to),
            "api": self.api.value,
            "form": self.form.value,
            "now": NOW,
            "page_size": self.page_size,
        }
        return [sys.executable, "-m", "tests.client.pulling", json.dumps(given)]


def killed_often(victims: Iterator[Victim], kills: int, seed: int, events_max: int) -> Iterator[Victim]:
    """Kill one pull after another until there were so many kills; yields each when it is done at last."""
    dice = random.Random(seed)
    done = 0
    while done < kills:
        victim = next(victims)
        ended, ever = False, set[str]()
        while not ended:
            had, count = victim.verified(), len(victim.server.blobs)
            ever |= had
            # The last kills of the last pull: it has to come to its end.
            ended = victim.run(dice, events_max if done + victim.kills < kills else sys.maxsize)
            victim.kept += len(had)
            again = ever & victim.fetched_since(count)
            assert not again, f"verified blobs were fetched again: {sorted(again)}"
        done += victim.kills
        yield victim
