"""The client: one source, asked for line items, which end up on disk with a receipt or not at all."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

import httpx

from counterfoil.client.addresses import Base
from counterfoil.client.download import Downloader, Links
from counterfoil.client.exports import BlobReader, Export, Exporter
from counterfoil.client.folder import Folder
from counterfoil.client.http import Connection, TokenSource, open_client
from counterfoil.client.proof import Promise
from counterfoil.client.receipt import Proof, Receipt, ReceiptBlob, ReceiptFile, request_facts
from counterfoil.client.retries import Patience
from counterfoil.client.v1 import PAGE_SIZE_ITEMS_MAX
from counterfoil.client.walks import PageWriter, Walker
from counterfoil.columns import table_of
from counterfoil.errors import UsageError
from counterfoil.periods import timestamp
from counterfoil.wire.graph import ExportRequest

WAIT_S_DEFAULT: Final = 3600.0


class Api(StrEnum):
    """The two APIs that a source may speak."""

    GRAPH = "graph"
    V1 = "v1"


class Form(StrEnum):
    """What a pull leaves on disk: the line items as they came, or exact Parquet with the lake's columns."""

    BLOBS = "blobs"
    PARQUET = "parquet"


class Watcher(Protocol):
    """Somebody who is told how a pull comes along."""

    def remark(self, message: str) -> None:
        """Something worth saying happened."""

    def advance(self, line_items: int) -> None:
        """So many more line items were read and counted."""


class _NobodyWatching:
    def remark(self, message: str) -> None: ...

    def advance(self, line_items: int) -> None: ...


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What one way of pulling found, before the receipt is written."""

    operation: str
    etag: str
    line_items: int
    totals: dict[str, dict[str, str]]
    blobs: tuple[ReceiptBlob, ...]
    files: tuple[ReceiptFile, ...]
    request_ids: tuple[str, ...]
    inexact: dict[str, int]
    checked: tuple[str, ...]
    unchecked: tuple[str, ...]


class Client:
    """Pulls line items from Microsoft or any Counterfoil, and proves what can be proven.

    `token` is a bearer token or a function that returns one; it is sent to the base URL's own scheme, host and port
    only. `wait_s_max` bounds how long an export may take. Close it, or use it as a context manager.
    """

    def __init__(
        self,
        url: str,
        token: str | TokenSource,
        *,
        version: str = "v1.0",
        wait_s_max: float = WAIT_S_DEFAULT,
        page_size_items: int = PAGE_SIZE_ITEMS_MAX,
        patience: Patience | None = None,
        verify: ssl.SSLContext | bool = True,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._base = Base.parse(url)
        if not 1 <= page_size_items <= PAGE_SIZE_ITEMS_MAX:
            raise UsageError(f"A page has 1 to {PAGE_SIZE_ITEMS_MAX} line items, not {page_size_items}.")
        self._patience = patience or Patience()
        self._version = version
        self._wait_s_max = wait_s_max
        self._page_size_items = page_size_items
        self._source_http = open_client(verify=verify, transport=transport)
        self._blob_http = open_client(verify=verify, transport=transport)
        source: TokenSource = token if callable(token) else _constant(token)
        self._connection = Connection(self._source_http, self._base, source, self._patience)

    def close(self) -> None:
        """Let go of all connections."""
        self._source_http.close()
        self._blob_http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def pull(
        self,
        ask: ExportRequest,
        to: Path,
        *,
        api: Api = Api.GRAPH,
        form: Form = Form.BLOBS,
        watcher: Watcher | None = None,
    ) -> Receipt:
        """Fetch, prove and write the line items asked for; returns the receipt, which also lies beside them.

        Raises a SourceError if anything that could be checked does not agree: then nothing was kept, and what a
        former pull left in the folder is untouched.
        """
        watching = watcher or _NobodyWatching()
        facts = request_facts(ask, api)
        started_at = timestamp(self._patience.now())
        with Folder(to, {"source": str(self._base), "api": api.value, **facts}) as folder:
            pull = self._pull_graph if api is Api.GRAPH else self._pull_v1
            outcome = pull(ask, folder.staging, form, watching)
            receipt = Receipt(
                source=str(self._base),
                api=api.value,
                request=facts,
                operation=outcome.operation,
                etag=outcome.etag,
                started_at=started_at,
                finished_at=timestamp(self._patience.now()),
                format=form.value,
                line_items=outcome.line_items,
                totals=outcome.totals,
                proof=Proof.TRANSPORT_CHECKED if outcome.unchecked else Proof.PROVEN,
                checked=outcome.checked,
                unchecked=outcome.unchecked,
                blobs=outcome.blobs,
                files=outcome.files,
                request_ids=outcome.request_ids,
                inexact=outcome.inexact,
            )
            folder.keep(receipt)
        return receipt

    def export(self, ask: ExportRequest, on_wait: Callable[[float], None] = lambda _: None) -> Export:
        """Submit a Graph export and wait for it; returns its manifest, with nothing downloaded."""
        return self._exporter().export(ask, on_wait)

    def _exporter(self) -> Exporter:
        return Exporter(self._connection, self._base, self._version, self._patience, self._wait_s_max)

    def _pull_graph(self, ask: ExportRequest, folder: Path, form: Form, watching: Watcher) -> _Outcome:
        exporter = self._exporter()
        export = exporter.export(ask, lambda so_far_s: watching.remark(f"Waiting for the export, {so_far_s:.0f} s."))
        manifest = export.manifest
        watching.remark(
            f"The export has {len(manifest.blobs)} blob{'s' * (len(manifest.blobs) != 1)}, eTag {manifest.etag}."
        )
        links = Links(self._base, manifest, lambda: exporter.manifest_again(export))
        downloader = Downloader(self._blob_http, self._base, links, folder, self._patience)
        reader = BlobReader(ask.kind, as_parquet=form is Form.PARQUET, on_line_items=watching.advance)
        reader.read_all(downloader.fetch_all(manifest.blobs))
        manifest.promise.check(reader.tally)
        checked, unchecked = _verdict(
            ask,
            manifest.promise,
            {
                "the number of blobs": manifest.counted,
                "the size of every blob": all(blob.size_bytes is not None for blob in manifest.blobs),
                "the SHA-256 of every blob": all(blob.sha256 is not None for blob in manifest.blobs),
                "the line items of every blob": all(blob.line_items is not None for blob in manifest.blobs),
            },
        )
        return _Outcome(
            operation=export.operation,
            etag=manifest.etag,
            line_items=reader.tally.line_items,
            totals=reader.tally.plain_totals(),
            blobs=tuple(reader.blobs),
            files=tuple(reader.files),
            request_ids=tuple(export.request_ids),
            inexact=reader.inexact,
            checked=("no blob is listed twice", "gzip integrity of every blob", *checked),
            unchecked=unchecked,
        )

    def _pull_v1(self, ask: ExportRequest, folder: Path, form: Form, watching: Watcher) -> _Outcome:
        walker = Walker(self._connection, self._base, self._page_size_items)
        with PageWriter(folder, ask.kind, as_parquet=form is Form.PARQUET) as writer:
            for page in walker.pages_of(ask):
                writer.add(page, walker.pages)
                watching.advance(len(page.items))
            writer.finish()
        annotations = walker.annotations
        promise = annotations.promise if annotations else Promise()
        promise.check(writer.tally)
        etag = (annotations.etag if annotations else None) or ""
        checked, unchecked = _verdict(ask, promise, {"one eTag over the whole walk": bool(etag)})
        return _Outcome(
            operation="",
            etag=etag,
            line_items=writer.tally.line_items,
            totals=writer.tally.plain_totals(),
            blobs=(),
            files=tuple(writer.files),
            request_ids=(walker.correlation_id,),
            inexact=writer.inexact,
            checked=("the walk ended, and no page was had twice", *checked),
            unchecked=unchecked,
        )


def _verdict(ask: ExportRequest, promise: Promise, vouched: dict[str, bool]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what was checked, and what could not be because the source says nothing of it."""
    vouched = {
        **vouched,
        "the number of line items": promise.line_items is not None,
        "the exact totals": promise.covers(table_of(ask.kind).totals),
    }
    return (
        tuple(name for name, known in vouched.items() if known),
        tuple(name for name, known in vouched.items() if not known),
    )


def _constant(token: str) -> TokenSource:
    if not token:
        raise UsageError(
            "There is no token to send.", remedy="Give --token, COUNTERFOIL_TOKEN, or a profile that signs in."
        )
    if not all("!" <= char <= "~" for char in token):
        raise UsageError("The token holds characters that none has.", remedy="Copy it again, without line ends.")
    return lambda: token
