"""Bodies of answers, inflated here, so that their size has a bound.

httpx inflates whatever arrives before we can look at it, and a few thousand bytes can become gigabytes, all the more
where one coding is inside another. So one coding is accepted, gzip, and inflated no further than the bound.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Final

import httpx

from counterfoil.client.protocol.addresses import shown, without_query
from counterfoil.client.protocol.messages import Request
from counterfoil.errors import ProofError

ANSWER_BYTES_MAX: Final = 256 << 20
ERROR_BYTES_MAX: Final = 65536
ACCEPTED: Final = "gzip"
_GZIP_NAMES: Final = (["gzip"], ["x-gzip"])


class Body:
    """An answer's body as it arrives, of a bounded size; raises ProofError for a coding that was not asked for."""

    def __init__(self, request: Request, response: httpx.Response) -> None:
        self._where = without_query(request.url)
        self._codings = _codings(response.headers)
        self._is_wanted = self._codings in _GZIP_NAMES or not self._codings
        if not self._is_wanted and response.is_success:
            codings = shown(", ".join(self._codings))
            raise ProofError(f"{self._where} answers in the coding {codings!r}, and only {ACCEPTED} was asked for.")
        self._gzip = _Gzip() if self._codings in _GZIP_NAMES else None
        self._arrived = self._size = 0
        self._pieces: list[bytes] = []
        self.is_whole = response.is_stream_consumed  # as a test's transport gives it
        if self.is_whole:
            self._pieces.append(response.content)

    def add(self, piece: bytes) -> None:
        """Take some more; raises ProofError where it is too much, DecodingError for gzip that is not."""
        self._arrived += len(piece)
        if self._gzip is not None:
            piece = self._gzip.inflated(piece, ANSWER_BYTES_MAX + 1 - self._size)
        self._size += len(piece)
        if max(self._size, self._arrived) > ANSWER_BYTES_MAX:
            raise ProofError(f"{self._where} answers with more than {ANSWER_BYTES_MAX >> 20} MiB.")
        if self._is_wanted:  # otherwise it is an error's, and the status says enough
            self._pieces.append(piece)

    def whole(self) -> bytes:
        """Return the whole body; raises DecodingError where the end of the gzip is missing."""
        if self._gzip is not None and not self.is_whole:
            self._gzip.check_ended()
        return b"".join(self._pieces)


def beginning(headers: Mapping[str, str], piece: bytes) -> bytes:
    """Return the start of an answer, no more than an error message needs."""
    codings = _codings(headers)
    if not codings:
        return piece[:ERROR_BYTES_MAX]
    try:
        return _Gzip().inflated(piece, ERROR_BYTES_MAX) if codings in _GZIP_NAMES else b""
    except httpx.DecodingError:
        return b""


def _codings(headers: Mapping[str, str]) -> list[str]:
    named = [each.strip().lower() for each in headers.get("content-encoding", "").split(",")]
    return [each for each in named if each not in ("", "identity")]


class _Gzip:
    """The members of a gzip stream, one after the other."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)
        self._has_begun = False

    def inflated(self, piece: bytes, size_max: int) -> bytes:
        """Inflate some more of the stream: at most `size_max` bytes, which is positive."""
        had: list[bytes] = []
        try:
            while piece and size_max > 0:
                if self._member.eof:
                    self._member = zlib.decompressobj(wbits=31)
                self._has_begun = True
                had.append(self._member.decompress(piece, size_max))
                size_max -= len(had[-1])
                piece = self._member.unused_data
        except zlib.error:
            raise httpx.DecodingError("the body is not gzip, as its header says") from None
        return b"".join(had)

    def check_ended(self) -> None:
        if self._has_begun and not self._member.eof:
            raise httpx.DecodingError("the gzip body ends too early")
