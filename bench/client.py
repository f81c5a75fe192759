"""Rows of the client: from a running server to proven exact Parquet, against DuckDB reading local files inexactly.

    python -m bench.client pull '{"url": ..., "token": ...}'      one timed pull, in a process of its own

DuckDB has one thread. The client has one core, where the server has another, or both cores, which it shares with the
server. DuckDB downloads nothing, checks nothing and rounds; its files are the very blobs.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Context, Decimal, Inexact
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from bench.data import Sample, columns_for_duckdb
from bench.measure import LOAD_CORE, Row, in_turns, pinned
from bench.serving import bearer_of, serving, submit

TIMES = 10
EXACT = Context(prec=100, traps=[Inexact])
BILLING = "/v1.0/reports/partners/billing"


def client(sample: Sample, rounds: int) -> Iterator[Row]:
    """Blobs to proven exact Parquet, on one core and on all."""
    with serving(sample) as url:
        bearer = bearer_of(sample, "graph")
        blobs = _blobs(sample, url, bearer)
        token = bearer["Authorization"].removeprefix("Bearer ")
        for cores, parallel, floor in (("one core", 1, 0.75), ("all cores", 4, 1.0)):

            def ours(parallel: int = parallel) -> float:
                core = LOAD_CORE if parallel == 1 else None
                return sample.line_items / _pulled(sample, url, token, parallel, core)["seconds"]

            def peer() -> float:
                target = sample.scratch / "peer.parquet"
                given = {"files": [str(path) for path in blobs], "target": str(target)}
                return sample.line_items / _run("duckdb_parquet", LOAD_CORE, **given)["seconds"]

            mine, theirs = in_turns(rounds, ours, peer)
            yield Row(f"client: blobs to proven Parquet, {cores}, rows/s", mine, theirs, "", floor)


def client_memory(sample: Sample, rounds: int) -> Iterator[Row]:
    """Peak memory of pulling ten times as many line items: the sample's blobs, each under ten names."""
    del rounds
    with serving(sample) as url:
        blobs = _blobs(sample, url, bearer_of(sample, "graph"))
    peaks = []
    for times in (TIMES, 1):
        with _standing_in(blobs, times) as source:
            peaks.append(_pulled(sample, source, "token", 4)["peak_bytes"] / 1e6)
    yield Row(f"client: peak memory, {TIMES} times the line items, MB", peaks[0], peaks[1], "", 1.3, lower=True)


def _blobs(sample: Sample, url: str, bearer: dict[str, str]) -> list[Path]:
    """Download the blobs once, for whoever reads them from the disk."""
    folder = sample.scratch / "client-blobs"
    folder.mkdir(exist_ok=True)
    with httpx.Client(base_url=url, headers=bearer, timeout=60) as http:
        manifest: Any = submit(http, "EUR")["resourceLocation"]
    for each in manifest["blobs"]:
        link = f"{manifest['rootDirectory']}/{each['name']}?{manifest['sasToken']}"
        (folder / each["name"]).write_bytes(httpx.get(link, timeout=60).content)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return sorted(folder.glob("*.gz"))


def _pulled(sample: Sample, url: str, token: str, parallel: int, core: int | None = None) -> dict[str, float]:
    to = sample.scratch / "pulled"
    try:
        return _run("pull", core, url=url, token=token, to=str(to), parallel=parallel)
    finally:
        shutil.rmtree(to, ignore_errors=True)


def _run(task: str, core: int | None, **arguments: Any) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.client", task, json.dumps(arguments)]
    done = subprocess.run(
        command if core is None else pinned(command, core), check=True, stdout=subprocess.PIPE, text=True
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


@contextmanager
def _standing_in(blobs: list[Path], times: int) -> Iterator[str]:
    """Stand in for a source with the same blobs so many times over: nobody has to publish as much."""
    manifest = json.loads((blobs[0].parent / "manifest.json").read_text())
    found = {path.name: path for path in blobs}
    listed = [{**each, "name": f"{n}-{each['name']}"} for n in range(times) for each in manifest["blobs"]]
    totals = {
        name: text if name == "currency" else format(EXACT.multiply(Decimal(text), times), "f")
        for name, text in manifest["@counterfoil.totals"].items()
    }

    class Source(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._say(202, b"", Location=f"{BILLING}/operations/1")

        def do_GET(self) -> None:
            path = found.get(self.path.partition("?")[0].rpartition("/")[2].partition("-")[2])
            if path is not None:
                self._say(200, None, **{"Content-Length": str(path.stat().st_size)})
                with path.open("rb") as file:
                    shutil.copyfileobj(file, self.wfile, 1 << 20)
                return
            body = {**manifest, "eTag": f"times-{times}", "rootDirectory": f"{root}/blobs", "blobs": listed}
            body |= {"blobCount": len(listed), "@counterfoil.totals": totals}
            body["@counterfoil.lineItemCount"] = manifest["@counterfoil.lineItemCount"] * times
            self._say(200, json.dumps({"id": "1", "status": "succeeded", "resourceLocation": body}).encode())

        def _say(self, status: int, body: bytes | None, **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if body is not None:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Source) as server:
        root = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield root
        finally:
            server.shutdown()
            thread.join()


# --- in a process of its own -----------------------------------------------------------------------------------


def pull(url: str, token: str, to: str, parallel: int) -> float:
    """Ours: export, download, prove, exact Parquet, receipt."""
    from counterfoil.client import Client, Format, Proof, ask_unbilled
    from counterfoil.model import Kind
    from counterfoil.periods import utc_now

    with Client(url, token, parallel=parallel) as client:
        began = time.perf_counter()
        receipt = client.pull(
            ask_unbilled(Kind.USAGE, "current", "EUR", now=utc_now()), Path(to), format=Format.PARQUET
        )
        took = time.perf_counter() - began
    assert receipt.proof is Proof.PROVEN, receipt.unchecked
    return took


def duckdb_parquet(files: list[str], target: str) -> float:
    """The peer: read_json of the same blobs to Parquet; inexact, and nothing checked."""
    import duckdb

    connection = duckdb.connect(config={"threads": 1})
    source = f"read_json({files}, format = 'newline_delimited', columns = {columns_for_duckdb()})"
    began = time.perf_counter()
    connection.execute(f"COPY (SELECT * FROM {source}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)")
    return time.perf_counter() - began


def main() -> None:
    """Run the task named and print what it took."""
    tasks: dict[str, Callable[..., float]] = {"pull": pull, "duckdb_parquet": duckdb_parquet}
    seconds = tasks[sys.argv[1]](**json.loads(sys.argv[2]))
    [peak] = re.findall(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    print(json.dumps({"seconds": seconds, "peak_bytes": int(peak) * 1024}))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
