"""Blobs on their way to the disk: each fetched to its end, by ranges where a run before had begun it.

What a newcomer would get wrong: a blob request is not a call to the source. It goes to a storage host under a signed
link, so it bears no token and no cookie. A link that is no longer good is renewed by asking the operation again; the
data must be the same then. And the rest of a blob is the rest of *that* blob only under the same ETag: `If-Match`
goes with every range.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urljoin

from counterfoil.client.addresses import Base, check_blob_url
from counterfoil.client.calls import REDIRECTS, REDIRECTS_MAX, Ids, given_up, no_answer
from counterfoil.client.graph import SourceBlob, SourceManifest, blob_url, check_same_data
from counterfoil.client.messages import Answer, Request, retry_after_s
from counterfoil.client.proof import TRY_AGAIN
from counterfoil.client.refusals import RETRIED, refused
from counterfoil.client.retries import Patience
from counterfoil.client.steps import Alone, Do, Fetch, Fetched, Flow, Unanswered, Wait
from counterfoil.errors import CounterfoilError, LinkExpiredError, ProofError, RefusedError

_EXPIRED: Final = frozenset({401, 403, 404, 410, 412})
_MISFIT: Final = frozenset({206, 412, 416})  # 206: at another offset, or else it is a blob
_PROGRESS_BYTES: Final = 64 << 10


class Links:
    """The signed links of one export, renewed when they expire."""

    def __init__(self, base: Base, manifest: SourceManifest, renew: Callable[[], Flow[SourceManifest]]) -> None:
        self._base = base
        self._manifest = manifest
        self._renew = renew
        self._edition = 0

    def of(self, blob: SourceBlob) -> tuple[str, int]:
        """Return a blob's link, and the edition of the manifest it comes from."""
        edition = self._edition
        return blob_url(self._base, self._manifest, blob), edition

    def renew(self, edition: int) -> Flow[None]:
        """Ask for fresh links, unless another flow has done so since `edition`.

        Raises LinkExpiredError when the source has none, and ChangedError when they are of other data.
        """
        yield Alone(self, self._renewed(edition))

    def _renewed(self, edition: int) -> Flow[None]:
        if edition != self._edition:
            return
        try:
            renewed = yield from self._renew()
        except RefusedError as error:
            raise LinkExpiredError(
                f"The signed links expired, and the source gives no new ones: {error.message}",
                remedy="Pull again, which makes a new export.",
            ) from error
        check_same_data(self._manifest, renewed)
        self._manifest = renewed
        self._edition += 1


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Fetches blobs under signed links."""

    base: Base
    links: Links
    patience: Patience
    ids: Ids
    on_bytes: Callable[[int], None] = field(default=lambda _: None)

    def fetch(self, blob: SourceBlob, part: Path) -> Flow[None]:
        """Bring a blob to `part`, all of it; raises a SourceError. What is in it is for the caller to prove."""
        attempts, renewed = 0, False
        while True:
            attempts += 1
            offset, etag = yield Do(lambda: resume_point(part, blob))
            if offset and offset == blob.size_bytes:
                return
            link, edition = self.links.of(blob)
            request = self._request(link, offset, etag)
            outcome = yield from self._once(blob, request, part, offset)
            if isinstance(outcome, Fetched) and (_is_whole(outcome) or _says_all_is_there(outcome, offset)):
                return
            if outcome.received >= _PROGRESS_BYTES:
                attempts, renewed = 1, False
            failure, asked_s, again = self._judged(request, outcome)
            if isinstance(outcome, Fetched) and outcome.status in _MISFIT and not outcome.is_blob:
                yield Do(lambda: forget(part))  # a rest that does not fit, or a blob that is another one now
            if isinstance(outcome, Fetched) and outcome.status in _EXPIRED and not renewed:
                renewed = True
                yield from self.links.renew(edition)
                continue
            wait_s = self.patience.wait_s(attempts, asked_s) if again else None
            if wait_s is None:
                raise given_up(failure, attempts, asked_s) if again else failure
            yield Wait(wait_s)

    def _request(self, link: str, offset: int, etag: str) -> Request:
        # Identity: a proxy or server that compresses on the way would make size and hash mean something else.
        headers = {"Accept": "*/*", "Accept-Encoding": "identity", "x-ms-client-request-id": str(uuid.uuid4())}
        if offset:
            headers["Range"] = f"bytes={offset}-"
            if etag:
                headers["If-Match"] = etag
        request = Request("GET", link, headers)
        self.ids.note(request)
        return request

    def _once(self, blob: SourceBlob, request: Request, part: Path, offset: int) -> Flow[Fetched | Unanswered]:
        for _ in range(REDIRECTS_MAX + 1):
            outcome: Fetched | Unanswered = yield Fetch(
                request,
                part,
                offset,
                blob.size_bytes,
                self.on_bytes,
                lambda at, headers: None if at else remember(part, headers),
            )
            if isinstance(outcome, Unanswered) or outcome.status not in REDIRECTS:
                return outcome
            # Object stores answer with a link of their own.
            location = urljoin(request.url, outcome.headers.get("location", ""))
            request = Request("GET", check_blob_url(self.base, location), request.headers)
        raise ProofError(f"The link of {blob.name} redirects in a circle.")

    def _judged(self, request: Request, outcome: Fetched | Unanswered) -> tuple[CounterfoilError, float | None, bool]:
        """Return the error for what is not the whole blob, how long is asked to wait, and whether to try again."""
        if isinstance(outcome, Unanswered):
            return no_answer(request, outcome), None, not outcome.hopeless
        if outcome.is_blob:
            return no_answer(request, Unanswered("only a part of what was asked for")), None, True
        answer = Answer(request, outcome.status, outcome.headers, outcome.body)
        again = outcome.status in RETRIED or outcome.status in _MISFIT
        return refused(answer), retry_after_s(outcome.headers, self.patience.now()), again


def check_blob(blob: SourceBlob, size_bytes: int, sha256: str) -> None:
    """Hold a blob against what the manifest says of it; raises ProofError."""
    if blob.size_bytes is not None and size_bytes != blob.size_bytes:
        more = "more than" if size_bytes > blob.size_bytes else f"{size_bytes:,} of"
        raise ProofError(f"Of the blob {blob.name} arrived {more} {blob.size_bytes:,} bytes.", remedy=TRY_AGAIN)
    if blob.sha256 is not None and sha256 != blob.sha256:
        raise ProofError(
            f"The blob {blob.name} has the SHA-256 {sha256}, and {blob.sha256} was promised.", remedy=TRY_AGAIN
        )


def resume_point(part: Path, blob: SourceBlob) -> tuple[int, str]:
    """Return how much of a blob is there to go on from, and the ETag it had; (0, '') to begin anew.

    Without an ETag a rest may be of another blob: that is risked only where the SHA-256 will tell.
    """
    try:
        size = part.stat().st_size
    except FileNotFoundError:
        return 0, ""
    etag = _remembered(part)
    too_large = blob.size_bytes is not None and size > blob.size_bytes
    if not size or too_large or not (etag or blob.sha256):
        forget(part)
        return 0, ""
    return size, etag


def remember(part: Path, headers: Mapping[str, str]) -> None:
    """Keep the ETag of a blob that begins to arrive; a weak one is as good as none."""
    etag = headers.get("etag", "")
    note = _note_of(part)
    if etag.startswith('"') and etag.isascii():
        note.write_text(json.dumps({"etag": etag}), encoding="utf-8")
    else:
        note.unlink(missing_ok=True)


def forget(part: Path) -> None:
    """Throw away what is there of a blob."""
    part.unlink(missing_ok=True)
    _note_of(part).unlink(missing_ok=True)


def _remembered(part: Path) -> str:
    try:
        return str(json.loads(_note_of(part).read_text(encoding="utf-8"))["etag"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _note_of(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _is_whole(outcome: Fetched) -> bool:
    """Whether a partial answer went to the end of the blob, as far as it says where that is."""
    total = outcome.headers.get("content-range", "").rpartition("/")[2]
    if not outcome.is_blob:
        return False
    return outcome.status == 200 or not total.isdecimal() or int(total) <= outcome.size


def _says_all_is_there(outcome: Fetched, offset: int) -> bool:
    return outcome.status == 416 and outcome.headers.get("content-range", "").replace(" ", "") == f"bytes*/{offset}"
