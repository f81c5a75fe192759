"""Reading a server as its callers do, with the product's own client, and telling which whole state was seen."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import shutil
import threading
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final, Self

import httpx

from counterfoil.client import Api, Client, Proof, ask_billed, ask_unbilled
from counterfoil.client.network.bearer_tokens import BearerTokens, TokenSource
from counterfoil.client.network.http_client import open_client
from counterfoil.client.network.session import Session
from counterfoil.client.protocol import graph_answers as graph
from counterfoil.client.protocol import v1_answers as v1
from counterfoil.client.protocol.addresses import Base
from counterfoil.client.protocol.messages import Request, SourceAnswer
from counterfoil.client.protocol.promised_totals import Promise
from counterfoil.client.protocol.retries import Patience
from counterfoil.client.transfer.graph_exports import Export
from counterfoil.client.transfer.source_calls import CallLog, SourceCalls
from counterfoil.model import Dataset
from counterfoil.periods import utc_now
from counterfoil.server.identity.signing_keys import mint_development_token
from counterfoil.wire.graph import ExportRequest
from tests.crash.processes import NOW

PAGE_SIZE_ITEMS: Final = 300
_AUDIENCES: Final = {Api.GRAPH: "graph", Api.V1: "partner-center"}


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader got: what the source says of it, and a hash of every line in its order."""

    etag: str
    line_items: int
    totals: tuple[tuple[str, str], ...]
    sha256: str


def ask_for(dataset: Dataset) -> ExportRequest:
    """Return what to ask for a dataset."""
    scope = dataset.scope
    if scope.is_billed:
        return ask_billed(dataset.kind, scope.invoice)
    return ask_unbilled(dataset.kind, scope.period, scope.currency, now=datetime.fromisoformat(NOW))


def apis_of(dataset: Dataset) -> Sequence[Api]:
    """Return the APIs that serve a dataset."""
    return (Api.GRAPH,) if dataset.scope.is_billed else (Api.GRAPH, Api.V1)


def tokens(data: Path, partner: str, api: Api) -> TokenSource:
    """Return a source of development tokens."""
    return lambda: mint_development_token(data, partner, _AUDIENCES[api], utc_now())


class Puller:
    """Pulls whole datasets, proven by the client."""

    def __init__(self, url: str, data: Path, partner: str, scratch: Path, patience: Patience | None = None) -> None:
        self._scratch = scratch
        self._stack = ExitStack()
        self._clients = {
            api: self._stack.enter_context(
                Client(url, tokens(data, partner, api), page_size_items=PAGE_SIZE_ITEMS, patience=patience)
            )
            for api in Api
        }

    def read(self, dataset: Dataset, api: Api) -> Reading:
        """Return what is served now; raises a SourceError if the client cannot prove it."""
        to = self._scratch / uuid.uuid4().hex
        try:
            receipt = self._clients[api].pull(ask_for(dataset), to, api=api)
            assert receipt.proof is Proof.PROVEN, receipt.unchecked
            lines = hashlib.sha256()
            for file in receipt.files:
                lines.update(gzip.decompress((to / file.name).read_bytes()))
        finally:
            shutil.rmtree(to, ignore_errors=True)
        [totals] = receipt.totals.values()
        return Reading(receipt.etag, receipt.line_items, tuple(sorted(totals.items())), lines.hexdigest())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


class Begun:
    """A walk after its first page, and an export whose links are known; both are ended later, perhaps elsewhere."""

    def __init__(self, url: str, data: Path, partner: str, dataset: Dataset) -> None:
        self._dataset = dataset
        self._ask = ask_for(dataset)
        self._stack = ExitStack()
        self._http = self._stack.enter_context(open_client())
        sources = {api: tokens(data, partner, api) for api in Api}
        self._sessions = {
            api: Session(self._http, self._http, BearerTokens(source, "")) for api, source in sources.items()
        }
        self._at(url)
        self._client = self._stack.enter_context(Client(url, sources[Api.GRAPH]))
        self.export: Export = self._client.export(self._ask)
        self._first: v1.PageLink | None = None
        if not dataset.scope.is_billed:
            self._first = v1.first_link(self._base, self._ask, PAGE_SIZE_ITEMS)
            self._page = self._next_page(self._first)
            assert self._page.following is not None, "one page is no walk"

    def _at(self, url: str) -> None:
        self._url = url
        self._base = Base.parse(url)

    def _call(self, api: Api, request: Request) -> SourceAnswer:
        return SourceCalls(self._sessions[api], self._base, CallLog()).call(request)

    def move(self, url: str) -> None:
        """Go on at another server of the same data."""
        was = self._url
        self._at(url)
        if self._first is not None:
            self._first = replace(self._first, url=self._first.url.replace(was, url))
            step = self._page.following
            assert step is not None
            self._page = replace(self._page, following=replace(step, url=step.url.replace(was, url)))
        self.export.operation_url = self.export.operation_url.replace(was, url)
        root = self.export.manifest.root_directory.replace(was, url)
        self.export.manifest = replace(self.export.manifest, root_directory=root)

    def end(self) -> dict[Api, Reading]:
        """Walk to the last page, download under the links of before, and under renewed ones."""
        readings = {Api.GRAPH: self._download(self.export.manifest)}
        answer = self._call(Api.GRAPH, graph.get_request(self.export.operation_url, client_request_id="0"))
        again = graph.read_operation(self._base, self._base.join("v1.0"), answer).manifest
        assert isinstance(again, graph.SourceManifest)
        assert self._download(again) == readings[Api.GRAPH]
        if self._first is not None:
            readings[Api.V1] = self._walk()
        return readings

    def _download(self, manifest: graph.SourceManifest) -> Reading:
        lines, count = hashlib.sha256(), 0
        for blob in manifest.blobs:
            answer = self._http.get(graph.blob_url(self._base, manifest, blob))
            assert answer.status_code == 200, answer.text
            assert (blob.size_bytes, blob.sha256) == (len(answer.content), hashlib.sha256(answer.content).hexdigest())
            text = gzip.decompress(answer.content)
            lines.update(text)
            count += text.count(b"\n")
        assert count == manifest.promise.line_items
        return _reading(manifest.etag, manifest.promise, count, lines.hexdigest())

    def _walk(self) -> Reading:
        lines, count = hashlib.sha256(), 0
        said = self._page.annotations
        while True:
            assert self._page.annotations == said, "a page is of another revision"
            for item in self._page.items:
                lines.update(item + b"\n")
            count += len(self._page.items)
            if self._page.following is None:
                break
            self._page = self._next_page(self._page.following)
        assert count == said.promise.line_items
        return _reading(said.etag or "", said.promise, count, lines.hexdigest())

    def _next_page(self, step: v1.PageLink) -> v1.SourcePage:
        assert self._first is not None
        request = v1.page_request(step, correlation_id=str(uuid.uuid4()), request_id=str(uuid.uuid4()))
        return v1.read_page(self._base, self._first, self._call(Api.V1, request))

    def close(self) -> None:
        """Let go of all connections."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _reading(etag: str, promise: Promise, line_items: int, sha256: str) -> Reading:
    assert promise.totals is not None
    return Reading(etag, line_items, tuple(sorted(promise.totals.items())), sha256)


class Truth:
    """What may be read, as time goes on: for each dataset the states that are, or may be, in force."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._past: dict[Dataset, list[frozenset[str]]] = {}

    def tell(self, states: Mapping[Dataset, Iterable[str]]) -> None:
        """From now on each of these datasets has one of these eTags."""
        with self._lock:
            for dataset, etags in states.items():
                self._past.setdefault(dataset, []).append(frozenset(etags))

    def moment(self, dataset: Dataset) -> int:
        """Name this moment, for `since`."""
        with self._lock:
            return len(self._past[dataset]) - 1

    def since(self, dataset: Dataset, moment: int) -> frozenset[str]:
        """Return the eTags a reader may have seen that began at this moment and is done now."""
        with self._lock:
            return frozenset().union(*self._past[dataset][moment:])


class Readers:
    """A thread that exports and walks all the time, and holds what it gets against the truth and the known states."""

    def __init__(
        self, puller: Puller, datasets: Sequence[Dataset], truth: Truth, known: Mapping[tuple[str, Api], Reading]
    ) -> None:
        self._puller, self._datasets, self._truth, self._known = puller, datasets, truth, known
        self._ended = threading.Event()
        self._failed: list[BaseException] = []
        self.readings = dict.fromkeys(Api, 0)
        self._thread = threading.Thread(target=self._read, name="reader")

    def _read(self) -> None:
        asked = [(dataset, api) for dataset in self._datasets for api in apis_of(dataset)]
        try:
            for dataset, api in itertools.cycle(asked):
                if self._ended.is_set():
                    return
                moment = self._truth.moment(dataset)
                reading = self._puller.read(dataset, api)
                assert reading == self._known.get((reading.etag, api)), f"{api} gave of {dataset} what nobody published"
                assert reading.etag in self._truth.since(dataset, moment), f"{api} gave an old state of {dataset}"
                self.readings[api] += 1
        except BaseException as error:  # noqa: BLE001 - it is raised again where the test sees it
            self._failed.append(error)

    def check(self) -> None:
        """Raise what a reader has found wrong so far."""
        if self._failed:
            raise self._failed[0]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


def get(url: str, token: str) -> httpx.Response:
    """Ask once, without the client's patience."""
    return httpx.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=60)
