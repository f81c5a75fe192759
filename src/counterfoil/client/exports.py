"""A Graph export, from the submit to the last verified blob."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from counterfoil.client import graph
from counterfoil.client.addresses import Base
from counterfoil.client.download import FetchedBlob
from counterfoil.client.folder import sync
from counterfoil.client.graph import SourceManifest, Status
from counterfoil.client.http import Connection
from counterfoil.client.lines import Dialect, LineReader, tally_columns, tally_of
from counterfoil.client.messages import Answer, Request, retry_after_s
from counterfoil.client.proof import TRY_AGAIN, Tally
from counterfoil.client.receipt import ReceiptBlob, ReceiptFile
from counterfoil.client.retries import Patience
from counterfoil.client.writing import LakeFile, read_lines
from counterfoil.errors import OperationTimeoutError, ProofError
from counterfoil.model import Kind
from counterfoil.wire.graph import ExportRequest

POLL_DEFAULT_S = 10.0
POLL_MAX_S = 300.0


@dataclass(slots=True)
class Export:
    """A finished export: its operation, its manifest, and the ids of the calls so far."""

    operation: str
    operation_url: str
    manifest: SourceManifest
    request_ids: list[str] = field(default_factory=list)


class Exporter:
    """Submits an export and waits for it."""

    def __init__(self, connection: Connection, base: Base, version: str, patience: Patience, wait_s_max: float) -> None:
        self._connection = connection
        self._base = base
        self._root = graph.root_of(base, version)
        self._patience = patience
        self._wait_s_max = wait_s_max

    def export(self, ask: ExportRequest, on_wait: Callable[[float], None]) -> Export:
        """Return the finished export; raises OperationFailedError, OperationTimeoutError and other SourceErrors.

        `on_wait` is told before each wait how long the export has taken so far.
        """
        ids: list[str] = []
        client_request_id = _new_id(ids)
        request = graph.submit_request(
            self._root, ask, client_request_id=client_request_id, idempotency_key=str(uuid.uuid4())
        )
        accepted = self._connection.call(request)
        url = graph.read_location(self._base, accepted)
        started_s = self._patience.monotonic()
        while True:
            answer = self._get(url, ids)
            operation = graph.read_operation(self._base, self._root, answer)
            if operation.status is Status.SUCCEEDED:
                manifest = operation.manifest or self._manifest_at(operation.manifest_url, ids)
                return Export(operation.id, url, manifest, ids)
            so_far_s = self._patience.monotonic() - started_s
            wait_s = self._wait_s(answer, so_far_s)
            on_wait(so_far_s)
            self._patience.sleep(wait_s)

    def manifest_again(self, export: Export) -> SourceManifest:
        """Ask the operation again: that renews the links of the same data."""
        answer = self._get(export.operation_url, export.request_ids)
        operation = graph.read_operation(self._base, self._root, answer)
        if operation.status is not Status.SUCCEEDED:
            raise ProofError(f"The operation {export.operation} had succeeded, and is {operation.status.value} again.")
        return operation.manifest or self._manifest_at(operation.manifest_url, export.request_ids)

    def _wait_s(self, answer: Answer, so_far_s: float) -> float:
        asked_s = retry_after_s(answer.headers, self._patience.now())
        wait_s = min(POLL_DEFAULT_S if asked_s is None else asked_s, POLL_MAX_S)
        if asked_s is None or asked_s == 0:
            wait_s = max(wait_s, 0.2)  # never a hot loop
        left_s = self._wait_s_max - so_far_s
        if left_s <= 0:
            raise OperationTimeoutError(
                f"The export did not end within {self._wait_s_max:.0f} s (operation {answer.request.url}, "
                f"{answer.request_ids}).",
                remedy="It may still end. Trying again is safe; --wait sets a longer bound.",
            )
        return min(wait_s, left_s)

    def _manifest_at(self, url: str, ids: list[str]) -> SourceManifest:
        return graph.read_manifest(self._get(url, ids))

    def _get(self, url: str, ids: list[str]) -> Answer:
        request: Request = graph.get_request(url, client_request_id=_new_id(ids))
        return self._connection.call(request)


class BlobReader:
    """Reads fetched blobs to their end: counts, sums, and keeps them as they are or as Parquet."""

    def __init__(self, kind: Kind, *, as_parquet: bool, on_line_items: Callable[[int], None]) -> None:
        self._kind = kind
        self._as_parquet = as_parquet
        self._on_line_items = on_line_items
        only = () if as_parquet else tally_columns(kind)
        self._reader = LineReader(kind, Dialect.GRAPH, only=only)
        self.tally = Tally()
        self.blobs: list[ReceiptBlob] = []
        self.files: list[ReceiptFile] = []
        self.inexact: dict[str, int] = {}

    def read_all(self, fetched: Iterator[FetchedBlob]) -> None:
        """Read every blob as it comes; raises ProofError at the first that is not what was promised."""
        with closing(fetched):  # type: ignore[type-var]  # a generator: closing it ends the downloads
            for each in fetched:
                self._read(each)
        self.blobs.sort(key=lambda blob: blob.name)
        self.files.sort(key=lambda file: file.name)

    def _read(self, fetched: FetchedBlob) -> None:
        before = self.tally.line_items
        name = fetched.blob.name
        if self._as_parquet:
            target = fetched.path.with_name(f"{name.removesuffix('.gz').removesuffix('.json')}.parquet")
            with LakeFile(target, self._kind) as lake:
                self._lines(fetched, lake)
                self.files.append(lake.finish())
            for column, count in lake.inexact.items():
                self.inexact[column] = self.inexact.get(column, 0) + count
            fetched.path.unlink()
        else:
            self._lines(fetched, None)
            _settle(fetched.path, fetched.path.with_name(name))
        line_items = self.tally.line_items - before
        if not self._as_parquet:
            self.files.append(ReceiptFile(name, fetched.size_bytes, fetched.sha256, line_items))
        promised = fetched.blob.line_items
        if promised is not None and promised != line_items:
            raise ProofError(
                f"The blob {name} has {line_items:,} line items, and {promised:,} were promised.", remedy=TRY_AGAIN
            )
        self.blobs.append(ReceiptBlob(name, fetched.size_bytes, fetched.sha256, line_items))

    def _lines(self, fetched: FetchedBlob, lake: LakeFile | None) -> None:
        for lines in read_lines(fetched.path, fetched.blob.name):
            batch = self._reader.read(lines, f"The blob {fetched.blob.name}")
            tally_of(self._kind, batch, self.tally)
            if lake is not None:
                lake.add(batch)
            self._on_line_items(batch.num_rows)


def _settle(part: Path, target: Path) -> None:
    with part.open("rb+") as file:
        sync(file.fileno())
    part.replace(target)


def _new_id(ids: list[str]) -> str:
    ids.append(str(uuid.uuid4()))
    return ids[-1]
