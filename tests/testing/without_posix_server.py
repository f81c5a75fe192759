"""A server for tests as on Windows: `python -m tests.testing.without_posix_server FOLDER`.

No module that only POSIX has can be imported, no call that only POSIX has is there, the event loop takes no signal
handlers, and a file that is open cannot be renamed. What Windows has for locking has a stand-in. A whole export is
served here, blobs and pages, and reset, snapshots and faults are used.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.client.without_posix import POSIX_ONLY, become_windows

CALLS = ("pread", "preadv", "pwrite", "chown", "fchmod", "sched_setaffinity", "statvfs", "getpgid", "setsid")
FLAGS = ("O_CLOEXEC", "O_NOFOLLOW", "O_DIRECTORY", "RWF_NOWAIT")


def take_away() -> None:
    """Take away what Windows has not, beyond what a client could use."""
    become_windows({"uvloop"})
    for name in (*CALLS, *FLAGS):
        if hasattr(os, name):
            delattr(os, name)

    def no_handlers(*_: object) -> None:
        raise NotImplementedError

    asyncio.SelectorEventLoop.add_signal_handler = no_handlers  # type: ignore[method-assign, assignment]


def exported(server: Any, httpx: Any) -> int:
    """Export an invoice over HTTP, download its blobs, and return how many line items they hold."""
    path = "/v1.0/reports/partners/billing/reconciliation/billed/export"
    headers = server.headers()
    accepted = httpx.post(server.url + path, json={"invoiceId": "G016907411"}, headers=headers)
    manifest = httpx.get(accepted.headers["location"], headers=headers).json()["resourceLocation"]
    links = [f"{manifest['rootDirectory']}/{blob['name']}?{manifest['sasToken']}" for blob in manifest["blobs"]]
    return sum(len(gzip.decompress(httpx.get(link).content).splitlines()) for link in links)


def library() -> list[object]:
    """Use `counterfoil.testing.Server`; return what came."""
    httpx, testing, model = (import_module(name) for name in ("httpx", "counterfoil.testing", "counterfoil.model"))
    query = "provider=onetime&invoicelineitemtype=usagelineitems&currencycode=EUR&period=current"
    with testing.Server(now="2026-10-20", https=True) as server:
        month = server.billing_month("2026-10", customers=2)
        server.publish_unbilled(month)
        server.publish_invoice(month)
        server.save_snapshot("all")
        found: list[object] = [exported(server, httpx), sum(1 for _ in month.invoiced(model.Kind.RECONCILIATION))]
        server.reset()
        server.load_snapshot("all")
        headers = server.headers("partner-center")
        page = httpx.get(f"{server.url}/v1/invoices/unbilled/lineitems?{query}", headers=headers).json()
        return [*found, len(page["items"]) > 0, len(server.requests)]


def command(folder: Path) -> list[object]:
    """Run `serve --dev` in this process until a signal ends it; return its exit code and what was answered."""
    httpx, main = import_module("httpx"), import_module("counterfoil.cli").main
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    answers: list[int] = []

    def ask() -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end and not answers:
            try:
                answers.append(httpx.get(f"http://127.0.0.1:{port}/_counterfoil/", timeout=60).status_code)
            except httpx.TransportError:
                time.sleep(0.05)
        signal.raise_signal(signal.SIGINT) if os.name == "nt" else os.kill(os.getpid(), signal.SIGINT)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        main(["serve", "--dev", "--port", str(port), "--data", str(folder / "data"), "--output", "json"])
    except SystemExit as ended:
        return [ended.code, answers]
    finally:
        asking.join()
    return ["no exit"]


def tried(folder: Path) -> None:
    """Do all of it, and print what came."""
    # The stand-in's locks and those of other processes do not see one another, and abandoned folders are deleted.
    tempfile.tempdir = str(folder)
    take_away()
    found = {
        "library": library(),
        "command": command(folder),
        "modules": sorted(POSIX_ONLY & sys.modules.keys()),
    }
    sys.stdout.write(f"\n{json.dumps(found)}\n")


if __name__ == "__main__":
    tried(Path(sys.argv[1]))
