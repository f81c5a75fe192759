"""Line items as a stream: fetched piece by piece, proven as they come, and held against the promise at the end.

What a newcomer would get wrong: what a stream gave is proven only when it ended without an error. A blob is checked
by size and SHA-256 before anything of it is given; counts and sums of the whole can be known only at the end.
"""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from counterfoil.client.disk.blobs import check_blob, forget, measured
from counterfoil.client.disk.journal import digest_of
from counterfoil.client.flows.calls import Caller, CallLog
from counterfoil.client.flows.fetching import Fetcher, Links
from counterfoil.client.flows.months import asked_now, check_means
from counterfoil.client.flows.plans import Plan
from counterfoil.client.flows.proving import Doubles, check_new, until_it_fits
from counterfoil.client.flows.steps import Flow
from counterfoil.client.line_items.files import batches_of
from counterfoil.client.line_items.refusing import read_all
from counterfoil.client.protocol import v1
from counterfoil.client.protocol.asking import Api, word_of
from counterfoil.client.protocol.graph import SourceBlob
from counterfoil.client.protocol.messages import Answer
from counterfoil.client.protocol.promises import ChangedError, Promise
from counterfoil.errors import ProofError
from counterfoil.lake import batch_to_lake
from counterfoil.line_items.line_reader import LineReader
from counterfoil.line_items.totals import Totals
from counterfoil.model import Kind
from counterfoil.wire.graph import ExportRequest

Batches = Iterator[pa.RecordBatch]  # columns of text


@contextmanager
def streamed(plan: Plan, ask: ExportRequest, api: Api | str) -> Iterator[Iterator[Flow[Batches]]]:
    """Give flows, each of which gives some of the line items; raises ProofError after the last where they are wrong."""
    caller = plan.caller(CallLog())
    if word_of(Api, api) is Api.V1:
        yield _pages(plan, ask, caller)
        return
    with tempfile.TemporaryDirectory(prefix="counterfoil-stream-") as folder:
        yield _blobs(plan, ask, caller, Path(folder))


def items_of(batch: pa.RecordBatch) -> Iterator[dict[str, str | None]]:
    """Yield the rows of a batch of text columns."""
    names = batch.schema.names
    for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
        yield dict(zip(names, values, strict=True))


def lake_of(kind: Kind, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch of text columns with the lake's columns."""
    return batch_to_lake(kind, batch)[0]


def _blobs(plan: Plan, ask: ExportRequest, caller: Caller, folder: Path) -> Iterator[Flow[Batches]]:
    totals = Totals()
    reader = LineReader(ask.kind)
    exporter = plan.exporter(caller)
    doubles = Doubles()
    found: list[tuple[Fetcher, tuple[SourceBlob, ...], Promise]] = []

    def begin() -> Flow[Batches]:
        export = yield from exporter.export(ask)
        links = Links(plan.base, export.manifest, lambda: exporter.manifest_again(export))
        fetcher = Fetcher(plan.base, links, plan.patience, caller.log)
        found.append((fetcher, export.manifest.blobs, export.manifest.promise))
        return iter(())

    def one(fetcher: Fetcher, blob: SourceBlob) -> Flow[Batches]:
        part = folder / f"{blob.name}.part"
        sha256 = yield from until_it_fits(fetcher, blob, part, lambda: _checked(part, blob))
        doubles.check(blob, sha256)
        return read(part, blob, sha256)

    def read(part: Path, blob: SourceBlob, sha256: str) -> Generator[pa.RecordBatch]:
        before = totals.line_items
        for batch in batches_of(part, blob.name, reader):
            totals.add_batch(ask.kind, batch)
            yield batch
        forget(part)
        had = totals.line_items - before
        if blob.line_items is not None and blob.line_items != had:
            raise ProofError(f"The blob {blob.name} has {had:,} line items, and {blob.line_items:,} were promised.")
        doubles.note(blob, sha256, had)

    yield begin()
    [(fetcher, blobs, promise)] = found
    for blob in blobs:
        yield one(fetcher, blob)
    promise.check(totals)


def _checked(part: Path, blob: SourceBlob) -> str:
    """Return the SHA-256 of a blob that has the size and SHA-256 that were promised; one that has not is gone."""
    size, sha256 = measured(part)
    try:
        check_blob(blob, size, sha256)
    except ProofError:
        forget(part)
        raise
    return sha256


def _pages(plan: Plan, ask: ExportRequest, caller: Caller) -> Iterator[Flow[Batches]]:
    totals = Totals()
    reader = LineReader(ask.kind)
    correlation_id = str(uuid.uuid4())
    taken: set[bytes] = set()
    digests: dict[str, int] = {}
    begun: list[tuple[ExportRequest, v1.PageLink]] = []
    page: v1.SourcePage | None = None
    said: v1.Annotations | None = None

    def begin() -> Flow[Batches]:
        asked = yield from asked_now(ask, plan.patience)
        begun.append((asked, v1.first_link(plan.base, asked, plan.page_size_items)))
        return iter(())

    def one(link: v1.PageLink) -> Flow[Batches]:
        nonlocal page

        def read(answer: Answer) -> v1.SourcePage:
            page = v1.read_page(plan.base, first, answer)
            check_new(page, len(taken), digests, answer)
            return page

        page = yield from caller.read(
            lambda: v1.page_request(link, correlation_id=correlation_id, request_id=str(uuid.uuid4())), read
        )
        check_means(asked, ask, plan.patience)
        if not page.items:
            return iter(())
        digests[digest_of(page)] = len(taken)
        batch = read_all(reader, page.items, f"Page {len(taken)}")
        totals.add_batch(ask.kind, batch)
        return iter((batch,))

    yield begin()
    [(asked, first)] = begun
    link: v1.PageLink | None = first
    while link is not None:
        if link.fingerprint in taken:
            raise ProofError(f"Page {len(taken) + 1} leads back to a page that was had already.")
        taken.add(link.fingerprint)
        yield one(link)
        assert page is not None
        if said is not None and page.annotations != said:
            raise ChangedError(f"Page {len(taken)} is of other data than the pages before.")
        said, link = page.annotations, page.following
    if said is not None:
        said.promise.check(totals)
