"""Rows over HTTP: our server on one core, the load on the other, nginx in our place for the peer's turn."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import httpx

from bench.data import FEW_CURRENCY, PARTNER, Sample
from bench.measure import SERVER_CORE, Row, in_turns, pinned
from bench.peers import download_mb_per_s, latency_p50_ms, nginx, requests_per_s, take_turns_script
from counterfoil.periods import utc_now
from counterfoil.server.identity.signing_keys import mint_development_token

TURN_S = 3.0
EXPORTS = 60
EXPORT_PATH = "/v1.0/reports/partners/billing/usage/unbilled/export"
PAGE = "/v1/invoices/unbilled/lineitems?provider=onetime&invoicelineitemtype=usagelineitems&currencycode=EUR"


def export(sample: Sample, rounds: int) -> Iterator[Row]:
    """From POST to succeeded: a million line items against a thousand."""
    with serving(sample) as url, httpx.Client(base_url=url, headers=bearer_of(sample, "graph")) as client:

        def p50_ms(currency: str) -> float:
            return statistics.median(_export_ms(client, currency) for _ in range(EXPORTS))

        p50_ms(FEW_CURRENCY)
        ours, peer = in_turns(rounds, lambda: p50_ms("EUR"), lambda: p50_ms(FEW_CURRENCY))
    yield Row("export: POST to succeeded, all lines against 1,000, p50 ms", ours, peer, "", 1.5, lower=True)


def pages(sample: Sample, rounds: int) -> Iterator[Row]:
    """Pages of 2,000 from all over the walk, plain and gzip, at 1 and 16 connections; and the depth of the walk.

    nginx serves one of those pages as a file: always the same, so its caches are warmer than ours.
    """
    bearer = bearer_of(sample, "partner-center")
    with serving(sample) as url:
        first, onwards = (
            f"{url}{PAGE}&period=current&size=2000",
            f"{url}{PAGE}&period=current&size=2000&seekOperation=Next",
        )
        tokens = _tokens(first, onwards, bearer)
        script = take_turns_script(sample.scratch / "pages.lua", "MS-ContinuationToken", tokens)
        root = sample.scratch / "pages"
        root.mkdir()
        with nginx(root, sample.scratch / "nginx") as peer_url:
            for encoding, floor in (("identity", 0.5), ("gzip", 0.3)):
                headers = {**bearer, "Accept-Encoding": encoding}
                middle = {**headers, "MS-ContinuationToken": tokens[len(tokens) // 2]}
                (root / encoding).write_bytes(_raw_body(onwards, middle))
                for connections in (1, 16):
                    ours, peer = in_turns(
                        rounds,
                        partial(requests_per_s, onwards, connections, TURN_S, headers, script),
                        partial(requests_per_s, f"{peer_url}/{encoding}", connections, TURN_S, {}),
                    )
                    yield Row(f"v1 page of 2,000, {encoding}, {connections} connections, req/s", ours, peer, "", floor)
        plain = {**bearer, "Accept-Encoding": "identity"}
        near, far = ({**plain, "MS-ContinuationToken": tokens[at]} for at in (0, int(len(tokens) * 0.99)))
        ours, peer = in_turns(
            rounds,
            partial(latency_p50_ms, onwards, TURN_S, far),
            partial(latency_p50_ms, onwards, TURN_S, near),
        )
    yield Row("v1 page at 99 % depth, against the start, p50 ms", ours, peer, "", 1.1, lower=True)


def blob(sample: Sample, rounds: int) -> Iterator[Row]:
    """A whole blob, against nginx with the same file."""
    with serving(sample) as url, httpx.Client(base_url=url, headers=bearer_of(sample, "graph")) as client:
        operation = submit(client, "EUR")
        manifest = operation["resourceLocation"]
        largest = max(manifest["blobs"], key=lambda each: int(each["@counterfoil.sizeBytes"]))
        link = f"{manifest['rootDirectory']}/{largest['name']}?{manifest['sasToken']}"
        root = sample.scratch / "blobs"
        root.mkdir()
        (root / "blob").write_bytes(httpx.get(link).content)
        with nginx(root, sample.scratch / "nginx") as peer_url:
            ours, peer = in_turns(
                rounds * 3, lambda: download_mb_per_s(link), lambda: download_mb_per_s(f"{peer_url}/blob")
            )
    yield Row("blob download, MB/s", ours, peer, "", 0.8)


@contextmanager
def serving(sample: Sample) -> Iterator[str]:
    command = [sys.executable, "-m", "counterfoil", "serve", "--dev", "-q", "--port", "0", "--data", str(sample.data)]
    process = subprocess.Popen(
        pinned(command, SERVER_CORE), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        yield line.rpartition(" ")[2].strip()
    finally:
        process.terminate()
        process.wait(20)


def bearer_of(sample: Sample, audience: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {mint_development_token(sample.data, PARTNER, audience, utc_now())}"}


def _export_ms(client: httpx.Client, currency: str) -> float:
    began = time.perf_counter()
    submit(client, currency)
    return (time.perf_counter() - began) * 1000


def submit(client: httpx.Client, currency: str) -> dict[str, Any]:
    accepted = client.post(EXPORT_PATH, json={"currencyCode": currency, "billingPeriod": "current"})
    operation = client.get(accepted.headers["location"]).json()
    assert operation["status"] == "succeeded", operation
    return operation  # type: ignore[no-any-return]


def _raw_body(url: str, headers: dict[str, str]) -> bytes:
    with httpx.stream("GET", url, headers=headers) as answer:
        answer.raise_for_status()
        return b"".join(answer.iter_raw())


def _tokens(first: str, onwards: str, bearer: dict[str, str]) -> list[str]:
    """Walk once; returns the token of every page but the first."""
    tokens: list[str] = []
    with httpx.Client(headers=bearer, timeout=60) as client:
        body = client.get(first).json()
        while token := body.get("continuationToken"):
            tokens.append(token)
            body = client.get(onwards, headers={"MS-ContinuationToken": token}).json()
    return tokens
