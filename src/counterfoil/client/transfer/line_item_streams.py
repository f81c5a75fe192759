"""Line items as a stream: fetched piece by piece, checked as they come, and against the promised totals at the end.

What a stream gave is proven only once it ended without an error. A blob is checked by size and SHA-256 before any of
its line items is given; counts and sums of the whole can be known only at the end.
"""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Generator, Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa

from counterfoil.client.network.session import Session
from counterfoil.client.output_files.pull_files import batches_of
from counterfoil.client.output_files.refusing import read_all
from counterfoil.client.protocol import v1_answers as v1
from counterfoil.client.protocol.asking import Api, word_of
from counterfoil.client.protocol.graph_answers import SourceBlob
from counterfoil.client.protocol.messages import Request, SourceAnswer
from counterfoil.client.protocol.promised_totals import ChangedError
from counterfoil.client.pull_folder.verified import check_blob, forget
from counterfoil.client.pull_folder.walk_journal import digest_of
from counterfoil.client.transfer.blob_downloads import BlobDownloads, Links
from counterfoil.client.transfer.client_settings import ClientSettings
from counterfoil.client.transfer.graph_exports import Exporter
from counterfoil.client.transfer.month_words import asked_now, check_means
from counterfoil.client.transfer.repeated_data import RepeatedBlobs, check_new
from counterfoil.client.transfer.source_calls import CallLog, SourceCalls
from counterfoil.disk.hashing import measured
from counterfoil.errors import ProofError
from counterfoil.line_items.lake import batch_to_lake
from counterfoil.line_items.line_reader import LineReader
from counterfoil.line_items.totals import Totals
from counterfoil.model import Kind
from counterfoil.wire.graph import ExportRequest

Batches = Generator[pa.RecordBatch]  # columns of text, one for each attribute


def streamed(session: Session, settings: ClientSettings, ask: ExportRequest, api: Api | str) -> Batches:
    """Yield all line items; raises a SourceError, and ProofError in place of ending where the whole is wrong."""
    calls = SourceCalls(session, settings.base, CallLog())
    if word_of(Api, api) is Api.V1:
        yield from _pages(calls, ask, settings.page_size_items)
        return
    with tempfile.TemporaryDirectory(prefix="counterfoil-stream-") as folder:
        yield from _blobs(calls, Exporter(calls, settings.version, settings.wait_s_max), ask, Path(folder))


def rows_of(batch: pa.RecordBatch) -> Iterator[tuple[str | None, ...]]:
    """Return the rows of a batch of text columns; the columns are converted at once."""
    return zip(*[column.to_pylist() for column in batch.columns], strict=True)


def lake_of(kind: Kind, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch of text columns with the lake's columns."""
    return batch_to_lake(kind, batch)[0]


def _blobs(calls: SourceCalls, exporter: Exporter, ask: ExportRequest, folder: Path) -> Batches:
    totals = Totals()
    reader = LineReader(ask.kind)
    had = RepeatedBlobs()
    export = exporter.export(ask)
    promise = export.manifest.promise
    links = Links(calls.base, export.manifest, lambda: exporter.manifest_again(export))
    downloads = BlobDownloads(calls.session, calls.base, links, calls.log)
    for blob in export.manifest.blobs:
        part = folder / f"{blob.name}.part"
        sha256 = downloads.until_it_fits(blob, part, partial(_checked, part, blob))
        had.check(blob, sha256)
        before = totals.line_items
        for batch in batches_of(part, blob.name, reader):
            totals.add_batch(ask.kind, batch)
            yield batch
        forget(part)
        count = totals.line_items - before
        if blob.line_items is not None and blob.line_items != count:
            raise ProofError(f"The blob {blob.name} has {count:,} line items, and {blob.line_items:,} were promised.")
        had.note(blob, sha256, count)
    promise.check(totals)


def _checked(part: Path, blob: SourceBlob) -> str:
    """Return the SHA-256 of a blob that has the promised size and SHA-256; raises ProofError, and then it is gone."""
    size, sha256 = measured(part)
    try:
        check_blob(blob, size, sha256)
    except ProofError:
        forget(part)
        raise
    return sha256


def _pages(calls: SourceCalls, ask: ExportRequest, page_size_items: int) -> Batches:
    totals = Totals()
    reader = LineReader(ask.kind)
    correlation_id = str(uuid.uuid4())
    taken: set[bytes] = set()
    digests: dict[str, int] = {}
    asked = asked_now(ask, calls.session)
    first = v1.first_link(calls.base, asked, page_size_items)

    def read(answer: SourceAnswer) -> v1.SourcePage:
        page = v1.read_page(calls.base, first, answer)
        check_new(page, len(taken), digests, answer)
        return page

    link: v1.PageLink | None = first
    annotations: v1.Annotations | None = None
    while link is not None:
        if link.fingerprint in taken:
            raise ProofError(f"Page {len(taken) + 1} leads back to a page that was had already.")
        taken.add(link.fingerprint)
        page = calls.read(partial(_page_request, link, correlation_id), read)
        check_means(asked, ask, calls.session.patience)
        if page.items:
            digests[digest_of(page)] = len(taken)
            batch = read_all(reader, page.items, f"Page {len(taken)}")
            totals.add_batch(ask.kind, batch)
            yield batch
        if annotations is not None and page.annotations != annotations:
            raise ChangedError(f"Page {len(taken)} is of other data than the pages before.")
        annotations, link = page.annotations, page.following
    if annotations is not None:
        annotations.promise.check(totals)


def _page_request(link: v1.PageLink, correlation_id: str) -> Request:
    return v1.page_request(link, correlation_id=correlation_id, request_id=str(uuid.uuid4()))
