"""kill -9 of the server: what it has acknowledged is kept, and nothing is done twice."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import httpx
import pytest

from counterfoil.client import Api
from counterfoil.client.protocol.retries import Patience
from counterfoil.storage.engines import open_store
from tests.crash.plans import INVOICE, PARTNER, WHOLE, Plans
from tests.crash.processes import Served, serving
from tests.crash.reading import Puller, Reading, tokens

SERVER_KILLS = 12
EXPORT = "/v1.0/reports/partners/billing/reconciliation/billed/export"


class Submitter:
    """Submits exports under keys of its own as fast as it can, until the server is gone."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}
        self.acknowledged: dict[str, str] = {}
        self.unanswered: list[str] = []
        self.begun = threading.Event()

    def submit(self, key: str) -> str:
        """Submit one export; return where its operation is."""
        body = {"invoiceId": INVOICE.scope.invoice}
        answer = httpx.post(self._url + EXPORT, json=body, headers=self._headers | {"Idempotency-Key": key}, timeout=60)
        assert answer.status_code == 202, answer.text
        return str(answer.headers["location"])

    def run(self) -> None:
        """Submit until there is no answer."""
        while True:
            key = str(uuid.uuid4())
            try:
                self.acknowledged[key] = self.submit(key)
            except httpx.TransportError:
                self.unanswered.append(key)
                return
            if len(self.acknowledged) == 3:
                self.begun.set()

    def check(self) -> None:
        """All that was acknowledged is there under its key; what was not answered is there at most once."""
        for key, location in self.acknowledged.items():
            answer = httpx.get(location, headers=self._headers, timeout=60)
            assert (answer.status_code, answer.json()["status"]) == (200, "succeeded")
            assert self.submit(key) == location
        for key in self.unanswered:
            assert self.submit(key) == self.submit(key)


def test_acknowledged_exports_and_their_keys_survive_a_killed_server(plans: Plans, tmp_path: Path) -> None:
    """202 means that it is on the disk; sending it again with its key gives the same operation."""
    survived(plans, tmp_path, Random(1))


def survived(plans: Plans, folder: Path, dice: Random) -> int:
    """Kill a server under submits and downloads, and start it again; tell how many exports it had acknowledged."""
    data = folder / "data"
    plans.several.prepare(data)
    plans.whole.prepare(data)
    with serving(data, folder / "log") as server:
        token = tokens(data, PARTNER, Api.GRAPH)()
        submitters = [Submitter(server.url, token) for _ in range(3)]
        with ThreadPoolExecutor(4) as threads:
            running = [threads.submit(each.run) for each in submitters]
            reading = threads.submit(read_on, server, data, folder)
            for each in submitters:
                assert each.begun.wait(60)
            threading.Event().wait(dice.uniform(0, 0.3))
            server.kill()
            for submitted in running:
                submitted.result()
            with serving(data, folder / "log", server.port):
                readings = reading.result()
                for each in submitters:
                    each.check()
                with Puller(server.url, data, PARTNER, folder) as puller:
                    assert readings <= {puller.read(WHOLE, api) for api in Api}
    with open_store(data, create=False).catalog as catalog:
        operations = catalog.operations(PARTNER, 10_000)
    keys = sum(len(each.acknowledged) + len(each.unanswered) for each in submitters)
    assert len([each for each in operations if each.dataset.scope == INVOICE.scope]) == keys
    return sum(len(each.acknowledged) for each in submitters)


def read_on(server: Served, data: Path, folder: Path) -> set[Reading]:
    """Read while the server dies and comes back: the client waits for it, and is given the whole."""
    patience = Patience(attempts_max=200, first_wait_s=0.1, wait_s_max=1)
    with Puller(server.url, data, PARTNER, folder, patience) as puller:
        readings = set()
        while server.process.poll() is None:
            readings |= {puller.read(WHOLE, api) for api in Api}
        return readings


@pytest.mark.chaos
def test_servers_killed_at_random_moments_keep_what_they_acknowledged(
    plans: Plans, dice: Random, tmp_path: Path, tried: Counter[str]
) -> None:
    """202 means that it is on the disk, and a key means one operation, however often the server dies."""
    for number in range(SERVER_KILLS):
        (tmp_path / str(number)).mkdir()
        tried["acknowledged exports, all kept"] += survived(plans, tmp_path / str(number), dice)
        tried["kills of a server"] += 1
