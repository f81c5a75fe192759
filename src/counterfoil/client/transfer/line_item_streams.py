"""Line items as a stream: fetched piece by piece, checked as they come, and against the promised totals at the end.

What a stream gave is proven only once it ended without an error. A blob is checked by size and SHA-256 before any of
its line items is given; counts and sums of the whole can be known only at the end.
"""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa

from counterfoil.client.network.session import Session
from counterfoil.client.output_files.pull_files import batches_of, read_all
from counterfoil.client.protocol.asking import Api, word_of
from counterfoil.client.protocol.walk_state import WalkState, digest_of, lines_of
from counterfoil.client.pull_folder.unfinished import forget
from counterfoil.client.pull_folder.verified_blobs import check_blob, check_count
from counterfoil.client.transfer.blob_downloads import BlobDownloads
from counterfoil.client.transfer.client_settings import ClientSettings
from counterfoil.client.transfer.graph_exports import Exporter
from counterfoil.client.transfer.page_walk import PageWalk
from counterfoil.client.transfer.repeated_blobs import RepeatedBlobs
from counterfoil.client.transfer.source_calls import CallLog, SourceCalls
from counterfoil.line_items.line_reader import LineReader
from counterfoil.line_items.totals import Totals
from counterfoil.wire.graph import ExportRequest

Batches = Generator[pa.RecordBatch]  # columns of text, one for each attribute


def streamed(session: Session, settings: ClientSettings, ask: ExportRequest, api: Api | str) -> Batches:
    """Yield all line items; raises a SourceError, and ProofError in place of ending where the whole is wrong."""
    calls = SourceCalls(session, settings.base, CallLog())
    if word_of(Api, api) is Api.V1:
        yield from _pages(calls, ask, settings.page_size_items)
        return
    with tempfile.TemporaryDirectory(prefix="counterfoil-stream-") as folder:
        yield from _blobs(calls, Exporter(calls, settings), ask, Path(folder))


def rows_of(batch: pa.RecordBatch) -> Iterator[dict[str, str | None]]:
    """Return the rows of a batch of text columns; the columns are converted at once."""
    names = batch.schema.names
    rows = zip(*[column.to_pylist() for column in batch.columns], strict=True)
    return (dict(zip(names, row, strict=True)) for row in rows)


def _blobs(calls: SourceCalls, exporter: Exporter, ask: ExportRequest, folder: Path) -> Batches:
    totals = Totals()
    reader = LineReader(ask.kind)
    repeated = RepeatedBlobs()
    export = exporter.export(ask)
    downloads = BlobDownloads(calls, exporter, export)
    for blob in export.manifest.blobs:
        part = folder / f"{blob.name}.part"
        sha256 = downloads.until_it_fits(blob, part, partial(check_blob, part, blob)).sha256
        repeated.check(blob, sha256)
        before = totals.line_items
        for batch in batches_of(part, blob.name, reader):
            totals.add_batch(ask.kind, batch)
            yield batch
        forget(part)
        count = totals.line_items - before
        check_count(blob, count)
        repeated.note(blob, sha256, count)
    export.manifest.promise.check(totals)


def _pages(calls: SourceCalls, ask: ExportRequest, page_size_items: int) -> Batches:
    walk = WalkState()
    pages = PageWalk(calls, ask, page_size_items, walk)
    reader = LineReader(ask.kind)
    while not walk.is_over:
        link, page = pages.next_page()
        tally = Totals()
        if page.items:
            batch = read_all(reader, page.items, f"Page {walk.pages + 1}")
            tally.add_batch(ask.kind, batch)
            yield batch
        walk.add(link.fingerprint, page.following, page.annotations, digest_of(lines_of(page)), tally)
    walk.annotations.promise.check(walk.tally)
