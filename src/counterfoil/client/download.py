"""Blobs: fetched in parallel to temporary files, each held against what the manifest says of it.

What a newcomer would get wrong: a blob request is not a call to the source. It goes to a storage host under a signed
link, so it bears no token, no cookie and no header of ours that could name one. A link that is no longer good (403)
is renewed by asking the operation again; the data must be the same then, or the pull fails.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urljoin

import httpx

from counterfoil.client.addresses import Base, check_blob_url
from counterfoil.client.graph import SourceBlob, SourceManifest, blob_url, check_same_data
from counterfoil.client.http import REDIRECTS, REDIRECTS_MAX, lower, no_answer
from counterfoil.client.messages import Answer, Request, retry_after_s
from counterfoil.client.proof import TRY_AGAIN
from counterfoil.client.refusals import RETRIED, refused
from counterfoil.client.retries import Patience
from counterfoil.errors import CounterfoilError, LinkExpiredError, NoAnswerError, ProofError, RefusedError

PARALLEL: Final = 4
_CHUNK_BYTES: Final = 1 << 20
_ERROR_BYTES_MAX: Final = 65536


@dataclass(frozen=True, slots=True)
class FetchedBlob:
    """A blob that lies on the disk with the size and SHA-256 it has."""

    blob: SourceBlob
    path: Path
    size_bytes: int
    sha256: str


class Links:
    """The signed links of one export, renewed when they expire; safe to share between threads."""

    def __init__(self, base: Base, manifest: SourceManifest, renew: Callable[[], SourceManifest]) -> None:
        self._base = base
        self._manifest = manifest
        self._renew = renew
        self._edition = 0
        self._lock = threading.Lock()

    def of(self, blob: SourceBlob) -> tuple[str, int]:
        """Return a blob's link, and the edition of the manifest it comes from."""
        with self._lock:
            return blob_url(self._base, self._manifest, blob), self._edition

    def renew(self, edition: int) -> None:
        """Ask for fresh links, unless another thread has done so since `edition`.

        Raises LinkExpiredError when the source has none, and ProofError when they are of other data.
        """
        with self._lock:
            if edition != self._edition:
                return
            try:
                renewed = self._renew()
            except RefusedError as error:
                raise LinkExpiredError(
                    f"The signed links expired, and the source gives no new ones: {error.message}",
                    remedy="Pull again, which makes a new export.",
                ) from error
            check_same_data(self._manifest, renewed)
            self._manifest = renewed
            self._edition += 1


class Downloader:
    """Fetches the blobs of an export into a folder."""

    def __init__(self, client: httpx.Client, base: Base, links: Links, folder: Path, patience: Patience) -> None:
        self._client = client
        self._base = base
        self._links = links
        self._folder = folder
        self._patience = patience
        self._stop = threading.Event()

    def fetch_all(self, blobs: tuple[SourceBlob, ...]) -> Iterator[FetchedBlob]:
        """Yield each blob as it is complete, in any order; the first failure ends the others.

        Only a few blobs wait on the disk unread: the next download begins when one was taken.
        """
        waiting = iter(blobs)
        pool = ThreadPoolExecutor(PARALLEL, thread_name_prefix="counterfoil-blob")
        running: set[Future[FetchedBlob]] = set()
        try:
            while True:
                while len(running) < PARALLEL and (blob := next(waiting, None)) is not None:
                    running.add(pool.submit(self.fetch, blob))
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            self._stop.set()
            pool.shutdown(wait=True, cancel_futures=True)

    def fetch(self, blob: SourceBlob) -> FetchedBlob:
        """Fetch one blob and hold it against the manifest; raises a SourceError.

        What arrived wrong is fetched once more: a bit may flip on the way. If it is wrong again, it is wrong there.
        """
        attempts, renewed, mismatched = 0, False, False
        while True:
            attempts += 1
            link, edition = self._links.of(blob)
            asked_s: float | None = None
            failure: CounterfoilError
            try:
                return self._once(blob, link)
            except ProofError as error:
                if mismatched:
                    raise
                mismatched, failure = True, error
            except _NotGivenError as no:
                failure = refused(no.answer)
                if no.answer.status == 403 and not renewed:
                    self._links.renew(edition)
                    renewed = True
                    continue
                if no.answer.status not in RETRIED:
                    raise failure from None
                asked_s = retry_after_s(no.answer.headers, self._patience.now())
            except NoAnswerError as error:
                failure = error
            wait_s = self._patience.wait_s(attempts, asked_s)
            if wait_s is None or self._stop.is_set():
                raise failure
            self._sleep(wait_s)

    def _sleep(self, wait_s: float) -> None:
        while wait_s > 0 and not self._stop.is_set():  # in short naps: another thread's failure ends the wait
            self._patience.sleep(min(wait_s, 1.0))
            wait_s -= 1.0

    def _once(self, blob: SourceBlob, link: str) -> FetchedBlob:
        # Identity: a proxy or server that compresses on the way would make size and hash mean something else.
        request = Request("GET", link, {"Accept": "*/*", "Accept-Encoding": "identity"})
        try:
            for _ in range(REDIRECTS_MAX + 1):
                with self._client.stream("GET", request.url, headers=dict(request.headers)) as response:
                    if response.status_code in REDIRECTS:  # object stores answer with a link of their own
                        location = urljoin(request.url, response.headers.get("location", ""))
                        request = Request("GET", check_blob_url(self._base, location), request.headers)
                        continue
                    if response.status_code != 200:
                        raise _NotGivenError(_short_answer(request, response))
                    return self._receive(blob, response)
            raise ProofError(f"The link of {blob.name} redirects in a circle.")
        except httpx.InvalidURL:
            raise ProofError(f"The link of {blob.name} is no address that can be asked.") from None
        except httpx.RequestError as error:
            raise no_answer(request, error) from error

    def _receive(self, blob: SourceBlob, response: httpx.Response) -> FetchedBlob:
        path = self._folder / f"{blob.name}.part"
        digest = hashlib.sha256()
        size = 0
        with path.open("wb") as file:
            for chunk in response.iter_raw(_CHUNK_BYTES):
                if self._stop.is_set():
                    raise NoAnswerError(f"The download of {blob.name} was given up.")
                size += len(chunk)
                if blob.size_bytes is not None and size > blob.size_bytes:
                    break
                digest.update(chunk)
                file.write(chunk)
        check_blob(blob, size, digest.hexdigest())
        return FetchedBlob(blob, path, size, digest.hexdigest())


class _NotGivenError(Exception):
    """The storage answered, and not with the blob."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def _short_answer(request: Request, response: httpx.Response) -> Answer:
    body = next(response.iter_bytes(_ERROR_BYTES_MAX), b"")
    return Answer(request, response.status_code, lower(response.headers), body)


def check_blob(blob: SourceBlob, size_bytes: int, sha256: str) -> None:
    """Hold a blob against what the manifest says of it; raises ProofError."""
    if blob.size_bytes is not None and size_bytes != blob.size_bytes:
        more = "more than" if size_bytes > blob.size_bytes else f"{size_bytes:,} of"
        raise ProofError(f"Of the blob {blob.name} arrived {more} {blob.size_bytes:,} bytes.", remedy=TRY_AGAIN)
    if blob.sha256 is not None and sha256 != blob.sha256:
        raise ProofError(
            f"The blob {blob.name} has the SHA-256 {sha256}, and {blob.sha256} was promised.", remedy=TRY_AGAIN
        )
