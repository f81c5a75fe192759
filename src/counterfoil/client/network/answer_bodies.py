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


def whole_body(request: Request, response: httpx.Response) -> bytes:
    """Read the body of an answer to its end.

    Raises ProofError where it is too much or in a coding that was not asked for, DecodingError for gzip that is not.
    """
    where, codings = without_query(request.url), _codings(response.headers)
    is_gzip = codings in _GZIP_NAMES
    if codings and not is_gzip and response.is_success:
        named = shown(", ".join(codings))
        raise ProofError(f"{where} answers in the coding {named!r}, and only {ACCEPTED} was asked for.")
    if response.is_stream_consumed:  # as a test's transport gives it
        return response.content
    gzip = _Gzip()
    pieces: list[bytes] = []
    arrived = size = 0
    for piece in response.iter_raw():
        pieces.append(gzip.inflated(piece, ANSWER_BYTES_MAX + 1 - size) if is_gzip else piece)
        arrived, size = arrived + len(piece), size + len(pieces[-1])
        if max(arrived, size) > ANSWER_BYTES_MAX:
            raise ProofError(f"{where} answers with more than {ANSWER_BYTES_MAX >> 20} MiB.")
    gzip.check_ended()
    return b"" if codings and not is_gzip else b"".join(pieces)  # the status of an error says enough


def beginning(response: httpx.Response) -> bytes:
    """Return the start of an answer, no more than an error message needs."""
    if response.is_stream_consumed:
        return response.content[:ERROR_BYTES_MAX]
    piece = next(response.iter_raw(ERROR_BYTES_MAX), b"")
    codings = _codings(response.headers)
    if not codings:
        return piece
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
