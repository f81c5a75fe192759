"""`make load`: hundreds of hostile callers at once, while another partner calls as if there were none.

The figures are printed: the memory of the server, and how long the other partner waited. `FOR=60 make load` takes a
minute for the attack instead of five.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest

from counterfoil.datasets.check import Assertions
from counterfoil.datasets.data_folder import DataFolder
from counterfoil.datasets.gathering import Input
from counterfoil.datasets.publishing import publish
from counterfoil.generator import generate
from counterfoil.model import Kind, Scope
from counterfoil.periods import BillingPeriod, utc_now
from counterfoil.storage.engines import open_store

ATTACKED_S = float(os.environ.get("FOR", "300"))
CALM_S = 60
EVERY_S = 0.1
MEMORY_MB_MAX = 400
P99_MS_MAX = 250
WITHIN = 1.2
HOSTILE, OTHER = "0e195b37-4574-4539-bc42-0e539b9684c0", "11111111-2222-3333-4444-555555555555"
LINE_ITEMS = 4_000
EXPORT = "/v1.0/reports/partners/billing/usage/billed/export"
PAGE = "/v1/invoices/unbilled/lineitems?provider=onetime&invoicelineitemtype=usagelineitems&currencycode=EUR"
PAGE += "&period=current"


@dataclass(frozen=True)
class Usage:
    """What a process uses."""

    memory_mb: float
    sockets: int
    threads: int

    @classmethod
    def of(cls, process: int) -> Usage:
        folder = Path(f"/proc/{process}")
        status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
        sockets = 0
        for each in (folder / "fd").iterdir():
            with suppress(FileNotFoundError):
                sockets += str(each.readlink()).startswith("socket:")
        return cls(int(status["VmRSS"].split()[0]) / 1024, sockets, int(status["Threads"]))


def prepared(data: Path) -> dict[str, tuple[str, str]]:
    """Publish for both partners, to one of them 8 MB a page; return a client's id and secret of each."""
    now = utc_now()
    scope = Scope.unbilled(BillingPeriod.containing(now), "EUR")
    clients = {}
    with open_store(data) as store:
        for partner, wide in ((HOSTILE, True), (OTHER, False)):
            lines = data.parent / f"{partner}.jsonl"
            with lines.open("wb") as file:
                for chunk in generate(Kind.USAGE, LINE_ITEMS, special=True, partner=partner, scope=scope):
                    for line in chunk.splitlines():
                        item = msgspec.json.decode(line)
                        if wide:
                            item["Tags"] = "x" * 2_600
                        file.write(msgspec.json.encode(item) + b"\n")
            asserted = Assertions.read(partner=partner, kind="usage", period=scope.period, currency="EUR")
            publish(DataFolder(store, utc_now), [Input(str(lines), asserted, "whole")])
            client, secret = store.catalog.add_client(partner, "load", now)
            clients[partner] = (client.id, secret)
    return clients


@contextmanager
def served(data: Path) -> Iterator[tuple[str, int]]:
    """Serve as in production: the URL, and the process."""
    command = [sys.executable, "-m", "counterfoil", "serve", "--port", "0", "--data", str(data)]
    environ = {**os.environ, "COUNTERFOIL_AUDIENCE": "api://load"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().rpartition(" ")[2].strip(), process.pid
        finally:
            process.terminate()


def token(url: str, partner: str, client: tuple[str, str]) -> str:
    form = {"grant_type": "client_credentials", "client_id": client[0], "client_secret": client[1]}
    answer = httpx.post(f"{url}/{partner}/oauth2/v2.0/token", data=form | {"scope": "api://load/.default"}, timeout=30)
    return str(answer.json()["access_token"])


@dataclass
class Calls:
    """What the other partner met: how long each page took, and whatever was no page."""

    waited_ms: list[float]
    refused: list[str]

    def at(self, share: float) -> float:
        return sorted(self.waited_ms)[min(len(self.waited_ms) - 1, int(len(self.waited_ms) * share))]


def call(url: str, bearer: str, process: int, until: float, usages: list[Usage]) -> Calls:
    """Ask for page after page from an address of its own, and look at the server's memory in between."""
    calls = Calls([], [])
    transport = httpx.HTTPTransport(local_address="127.0.0.2")
    with httpx.Client(transport=transport, headers={"Authorization": f"Bearer {bearer}"}, timeout=60) as client:
        while time.monotonic() < until:
            began = time.perf_counter()
            answer = client.get(url + PAGE)
            calls.waited_ms.append((time.perf_counter() - began) * 1000)
            if answer.status_code != 200 or len(answer.json()["items"]) != 2_000:
                calls.refused.append(f"{answer.status_code} {answer.text[:100]}")
            usages.append(Usage.of(process))
            time.sleep(EVERY_S)
    return calls


def warm_up(url: str, bearer: str) -> None:
    """Use a server as a busy one is used, over 200 connections: it starts the threads and takes the memory for that."""
    headers = {"Authorization": f"Bearer {bearer}"}

    def export(number: int) -> int:
        body = {"invoiceId": f"G{number}"}
        with httpx.Client(headers=headers, timeout=60) as client:
            client.get(f"{url}/readyz")
            client.get(url + PAGE)
            return client.post(url + EXPORT, json=body).status_code

    with ThreadPoolExecutor(200) as threads:
        assert set(threads.map(export, range(300))) == {202}


@contextmanager
def attacked(given: dict[str, Any], told: dict[str, int]) -> Iterator[None]:
    command = [sys.executable, str(Path(__file__).with_name("hostile_callers.py")), json.dumps(given)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield
        finally:
            told.update(json.loads(process.communicate("\n", timeout=60)[0]))


@pytest.mark.load
def test_hostile_callers_cost_the_others_nothing(tmp_path: Path, record_property: Any) -> None:
    data = tmp_path / "data"
    clients = prepared(data)
    with served(data) as (url, process):
        tokens = {partner: token(url, partner, client) for partner, client in clients.items()}
        given = {"port": urlsplit(url).port, "page": PAGE, "export": EXPORT}
        given |= {"page_token": tokens[HOSTILE], "export_token": tokens[HOSTILE]}
        for bearer in tokens.values():
            warm_up(url, bearer)
        alone = call(url, tokens[OTHER], process, time.monotonic() + 5, [])
        before, usages, told = Usage.of(process), list[Usage](), dict[str, int]()
        with attacked(given, told):
            calls = call(url, tokens[OTHER], process, time.monotonic() + ATTACKED_S, usages)
        time.sleep(CALM_S)
        after = Usage.of(process)
        peak = max(usage.memory_mb for usage in usages)
        record_property("told", f"{timedelta(seconds=ATTACKED_S)}: before {before}, after {after}, most {peak:.0f} MB")
        record_property("told", f"page p50, p99: {alone.at(0.5):.0f}, {alone.at(0.99):.0f} ms alone")
        record_property("told", f"{calls.at(0.5):.0f}, {calls.at(0.99):.0f} ms attacked, {len(calls.waited_ms)} pages")
        record_property("told", f"the hostile: {told}")
        assert calls.refused == []
        assert calls.at(0.99) < P99_MS_MAX
        assert peak < MEMORY_MB_MAX
        assert {"page refused", "idler cut off", "non_reader cut off", "export 202"} <= told.keys()
        for name in ("memory_mb", "sockets", "threads"):
            assert getattr(after, name) < getattr(before, name) * WITHIN, name
        token(url, OTHER, clients[OTHER])
