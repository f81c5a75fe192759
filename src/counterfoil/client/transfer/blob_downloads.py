"""Downloads of blobs to the disk: each to its end, and by ranges where an earlier run had begun it.

A blob request is not a call to the source: it goes to a storage host under a signed link, without token or cookie. An
expired link is renewed by asking the operation again, and the data must be the same then. The rest of a blob is the
rest of *that* blob only under the same ETag, so `If-Match` goes with every range.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from counterfoil.client.network.http_calls import BlobRequest
from counterfoil.client.protocol.addresses import check_blob_url, redirected
from counterfoil.client.protocol.error_answers import RETRIED
from counterfoil.client.protocol.graph_answers import SourceBlob, SourceManifest, blob_url, check_same_data
from counterfoil.client.protocol.messages import Answerer, Fetched, Request, SourceAnswer, Unanswered, whole_number
from counterfoil.client.pull_folder.room import SPARE_BYTES, check_spare
from counterfoil.client.pull_folder.unfinished import forget, part_size, remember, resume_point
from counterfoil.client.transfer.graph_exports import Export, Exporter
from counterfoil.client.transfer.source_calls import REDIRECTS, REDIRECTS_MAX, Attempts, SourceCalls, until_right
from counterfoil.errors import LinkExpiredError, ProofError, RefusedError

_EXPIRED: Final = frozenset({401, 403, 404, 410, 412})
_MISFIT: Final = frozenset({206, 412, 416})  # 206: at another offset, or else it is a blob
_PROGRESS_BYTES: Final = 64 << 10

Result = TypeVar("Result")


class BlobDownloads:
    """Downloads the blobs of one export under signed links, renewed when they expire; threads may share it.

    `on_bytes` is given the number of bytes of each piece that arrives.
    """

    def __init__(
        self, calls: SourceCalls, exporter: Exporter, export: Export, on_bytes: Callable[[int], None] = lambda _: None
    ) -> None:
        self._calls = calls
        self._exporter = exporter
        self._export = export
        self._on_bytes = on_bytes
        self._manifest = export.manifest  # of the links by now
        self._renewing = threading.Lock()

    def until_it_fits(self, blob: SourceBlob, part: Path, check: Callable[[], Result]) -> Result:
        """Download a blob until it passes `check`, which is heavy work, and return what that gives.

        A blob that does not fit is deleted. Raises the ProofError once that was often enough.
        """
        session = self._calls.session

        def checked(_: None) -> Result:
            try:
                return session.work(check)
            except ProofError:
                forget(part)
                raise

        return until_right(session, lambda: self.fetch(blob, part), checked, ProofError)

    def fetch(self, blob: SourceBlob, part: Path) -> None:
        """Download a whole blob to `part`; raises a SourceError. What is in it is for the caller to prove."""
        attempts = Attempts(self._calls.session, RETRIED | _MISFIT)
        renewed, longest = False, -1
        while True:
            attempts.made += 1
            offset, etag = resume_point(part, blob)
            longest = max(longest, offset)
            if offset and offset == blob.size_bytes:
                return
            manifest = self._manifest
            request = self._request(blob_url(self._calls.base, manifest, blob), offset, etag)
            answer = self._follow(blob, request, part, offset)
            if isinstance(answer, Fetched):
                if _is_whole(answer):
                    return
                answer = Unanswered("only a part of what was asked for")
            # More than ever was there: a source without ranges may send the same beginning for ever.
            size = part_size(part)
            if size >= longest + _PROGRESS_BYTES:
                attempts.made, renewed, longest = 1, False, size
            if isinstance(answer, SourceAnswer):
                if _says_all_is_there(answer, offset):
                    return
                if answer.status in _MISFIT:
                    forget(part)  # a rest that does not fit, or a blob that is another one now
                if answer.status in _EXPIRED and not renewed:
                    renewed = True
                    self._renew_links(manifest)
                    continue
            attempts.failed(request, answer)

    def _request(self, link: str, offset: int, etag: str) -> Request:
        # Identity: a proxy or server that compresses on the way would make size and hash mean something else.
        headers = {"Accept": "*/*", "Accept-Encoding": "identity", "x-ms-client-request-id": str(uuid.uuid4())}
        if offset:
            headers["Range"] = f"bytes={offset}-"
            if etag:
                headers["If-Match"] = etag
        request = Request("GET", link, headers, asked=Answerer.STORAGE)
        self._calls.log.note(request)
        return request

    def _renew_links(self, expired: SourceManifest) -> None:
        """Ask for fresh links, unless another thread has done so since.

        Raises LinkExpiredError when the source has none, and ChangedError when they are of other data.
        """
        with self._renewing:
            if self._manifest is not expired:
                return
            try:
                renewed = self._exporter.manifest_again(self._export)
            except RefusedError as error:
                raise LinkExpiredError(
                    f"The signed links expired, and the source gives no new ones: {error.message}",
                    remedy="Pull again, which makes a new export.",
                ) from error
            check_same_data(expired, renewed)
            self._manifest = renewed

    def _follow(
        self, blob: SourceBlob, request: Request, part: Path, offset: int
    ) -> Fetched | SourceAnswer | Unanswered:
        unlooked = 0

        def received(size_bytes: int) -> None:
            nonlocal unlooked
            self._on_bytes(size_bytes)
            unlooked += size_bytes
            if unlooked >= SPARE_BYTES:
                unlooked = 0
                check_spare(part.parent)

        for _ in range(REDIRECTS_MAX + 1):
            answer = self._calls.session.fetch(
                BlobRequest(request, part, offset, blob.size_bytes, received, partial(remember, part))
            )
            if not isinstance(answer, SourceAnswer) or answer.status not in REDIRECTS:
                return answer
            # Object stores answer with a link of their own.
            location = redirected(request.url, answer.headers.get("location", ""))
            request = replace(request, url=check_blob_url(self._calls.base, location))
        raise ProofError(f"The link of {blob.name} redirects in a circle.")


def _is_whole(fetched: Fetched) -> bool:
    """Whether a partial answer went to the end of the blob, as far as it says where that is."""
    total = whole_number(fetched.headers.get("content-range", "").rpartition("/")[2])
    return fetched.status == 200 or total is None or total <= fetched.size


def _says_all_is_there(answer: SourceAnswer, offset: int) -> bool:
    return answer.status == 416 and answer.headers.get("content-range", "").replace(" ", "") == f"bytes*/{offset}"
