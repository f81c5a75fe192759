"""Thousands of generated line items, from the input through the lake and HTTP: no text changes, no cent goes.

`make test` takes 3,000 of each kind, `make soak` 200,000; LINE_ITEMS sets another number.
"""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from counterfoil.datasets.publication_receipt import PublicationReceipt
from counterfoil.datasets.verify import verify
from counterfoil.generator import generate
from counterfoil.model import Kind, Rendering, Scope
from counterfoil.periods import BillingPeriod
from counterfoil.testing import PARTNER, Server
from tests.end_to_end.documented import EXACT, TOTALS, Expected, Number, etag, strict
from tests.end_to_end.fetching import Fetcher

LINE_ITEMS = int(os.environ.get("LINE_ITEMS", "3000"))
SOAKED = 200_000
UNKNOWN = b',"CarbonKg":1.230E-3,"Future\xc3\xa9":"say \\"\\u00e9\\"","Nested":{"a":[1,2.50,null],"b":"\\n"}}\n'
UNKNOWN_EVERY = 97
SIZES = [
    *(pytest.param((kind, LINE_ITEMS), id=kind) for kind in Kind),
    *(pytest.param((kind, SOAKED), id=f"{kind}-soak", marks=pytest.mark.soak) for kind in Kind),
]


@dataclass(frozen=True)
class Published:
    """One dataset, its input, and in which order its line items must come back."""

    server: Server
    fetch: Fetcher
    expected: Expected
    receipt: PublicationReceipt
    path: Path
    keys: list[tuple[bytes, bytes, bytes, bytes, int, int]]  # the sort key, and where the line lies in the input

    @property
    def kind(self) -> str:
        return self.expected.kind

    def lines(self) -> Iterator[dict[str, Any]]:
        """The input's line items, in the order they must come back in."""
        with self.path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            for *_, begin, end in self.keys:
                yield strict(content[begin:end])

    def totals(self) -> dict[str, Decimal]:
        """Exact totals, added up from the input."""
        return totals_of(self.kind, (dict(line) for line in self.lines()))


def totals_of(kind: str, items: Iterator[dict[str, Any]]) -> dict[str, Decimal]:
    names = TOTALS[kind]
    totals = dict.fromkeys(names, Decimal(0))
    for item in items:
        for name in names:
            assert isinstance(item[name], Number)
            totals[name] = EXACT.add(totals[name], Decimal(item[name]))
    return totals


def said(totals: dict[str, Any]) -> dict[str, Decimal]:
    """Totals as a receipt, manifest or header says them."""
    assert all(type(text) is str for text in totals.values())
    return {name: Decimal(text) for name, text in totals.items() if name != "currency"}


def extra_of(line: dict[str, Any]) -> str | None:
    """What the lake's Extra must hold: the unknown attributes as they were written, escapes and all."""
    return None if "CarbonKg" not in line else "{" + UNKNOWN.decode().strip()[1:]


@pytest.fixture(scope="module", params=SIZES)
def published(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    kind, count = request.param
    path = tmp_path_factory.mktemp("input") / "line-items.jsonl"
    scope = Scope.unbilled(BillingPeriod(2026, 11), "EUR")
    expected, keys = Expected(kind), []
    with path.open("wb") as file:
        number = position = 0
        for chunk in generate(Kind(kind), count, seed=4, special=True, partner=PARTNER, scope=scope):
            for line in chunk.splitlines(keepends=True):
                number += 1
                text = line.replace(b"}\n", UNKNOWN) if number % UNKNOWN_EVERY == 0 else line
                item = strict(text)
                keys.append((*expected.sort_key(item, extra_of(item)), position, position + len(text)))
                position += file.write(text)
    keys.sort()
    with Server(now="2026-11-21") as server:
        [receipt] = server.publish(path, period="2026-11")
        fetch = Fetcher(server)
        with fetch.client:
            yield Published(server, fetch, expected, receipt, path, keys)


def test_the_receipt_says_what_the_input_holds(published: Published) -> None:
    contents = published.receipt.contents
    digests = [key[3] for key in published.keys]
    assert contents.line_items == len(digests)
    assert said(contents.plain_totals()) == published.totals()
    assert published.receipt.etag == etag(published.kind, PARTNER, ("", "2026-11", "EUR"), digests)
    assert published.receipt.warnings["unknown CarbonKg"] == len(digests) // UNKNOWN_EVERY


def test_the_lake_holds_every_text_and_the_nearest_decimal(published: Published) -> None:
    service = published.server.service
    revision = published.receipt.revision
    assert revision is not None
    lake = [service.settings.data / "files" / file.path for file in service.catalog.files(revision.id, Rendering.LAKE)]
    batches = (
        batch for path in lake for batch in pq.ParquetFile(path).iter_batches(batch_size=2_000, use_threads=False)
    )
    rows = chain.from_iterable(batch.to_pylist() for batch in batches)
    for line, row in zip(published.lines(), rows, strict=True):
        assert row == published.expected.lake(line, extra_of(line))


@pytest.mark.parametrize("attributes", ["full", "basic"])
def test_the_blobs_hold_every_text_in_order(published: Published, attributes: str) -> None:
    operation = published.fetch.export(published.kind, attributes=attributes)
    manifest = operation["resourceLocation"]
    expect = published.expected.full if attributes == "full" else published.expected.basic
    found: list[dict[str, Any]] = []
    for line, text in zip(published.lines(), published.fetch.lines(manifest), strict=True):
        item = strict(text)
        assert list(item.items()) == expect(line)
        found.append({name: item[name] for name in TOTALS[published.kind]})
    totals = totals_of(published.kind, iter(found))
    assert manifest["@counterfoil.lineItemCount"] == Number(len(found))
    assert said(manifest["@counterfoil.totals"]) == totals == published.totals()
    assert manifest["eTag"] == published.receipt.etag
    counts = [int(blob["@counterfoil.lineItemCount"]) for blob in manifest["blobs"]]
    assert sum(counts) == len(found)


@pytest.mark.parametrize(("gzip", "size"), [(True, 2_000), (False, 2_000), (True, 777)])
def test_the_pages_hold_every_text_in_order(published: Published, gzip: bool, size: int) -> None:
    names = {"Total": "totalForCustomer"}
    totals = dict.fromkeys(TOTALS[published.kind], Decimal(0))
    lines = published.lines()
    proofs = set()
    for items, headers in published.fetch.pages(published.kind, size=size, gzip=gzip):
        proofs.add(tuple(headers[f"Counterfoil-{name}"] for name in ("ETag", "Line-Item-Count", "Totals")))
        for item in items:
            assert item == published.expected.v1(next(lines))
            for name in totals:
                number = item[names.get(name, name[0].lower() + name[1:])]
                totals[name] = EXACT.add(totals[name], Decimal(number))
    assert next(lines, None) is None
    [(its_etag, count, said_totals)] = proofs
    assert (its_etag, int(count)) == (published.receipt.etag, len(published.keys))
    assert said(json.loads(said_totals)) == totals == published.totals()


def test_what_is_stored_verifies(published: Published) -> None:
    service = published.server.service
    seen, faults = verify(service.store)
    assert faults == []
    assert seen.line_items == len(published.keys)
