"""Bodies of answers, inflated here, so that their size has a bound.

httpx inflates whatever arrives before we can look at it, and a few thousand bytes can become gigabytes, all the more
where one coding is inside another. So one coding is accepted, gzip, and inflated no further than the bound.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping
from typing import Final

import httpx

from counterfoil.client.protocol.addresses import shown, without_query
from counterfoil.client.protocol.messages import Request
from counterfoil.errors import ProofError
from counterfoil.line_items.blocks import DAMAGED_GZIP, gunzip

ERROR_BYTES_MAX: Final = 65536
ACCEPTED: Final = "gzip"
_GZIP_NAMES: Final = (["gzip"], ["x-gzip"])


def whole_body(request: Request, response: httpx.Response) -> bytes:
    """Read the body of an answer to its end.

    Raises ProofError where it is more than the request allows or in a coding that was not asked for, DecodingError for
    gzip that is not.
    """
    size = request.answer
    where, codings = without_query(request.url), _codings(response.headers)
    is_gzip = codings in _GZIP_NAMES
    if codings and not is_gzip and response.is_success:
        named = shown(", ".join(codings))
        raise ProofError(f"{where} answers in the coding {named!r}, and only {ACCEPTED} was asked for.")
    if response.is_stream_consumed:  # as a test's transport gives it
        return response.content
    body = bytearray()
    for piece in response.iter_raw():
        body += piece
        _check(len(body), size.bytes_max, "bytes", where)
    whole = bytes(body)
    if is_gzip:
        try:
            whole = gunzip(io.BytesIO(body)).read(size.bytes_max + 1)
        except DAMAGED_GZIP as error:
            raise httpx.DecodingError(f"the body is not whole gzip: {error}") from None
        _check(len(whole), size.bytes_max, "bytes", where)
    if codings and not is_gzip:
        return b""  # the status of an error says enough
    # Every value of JSON stands behind one of these; whoever reads it makes an object of each.
    _check(sum(map(whole.count, (b",", b"[", b"{"))), size.values_max, "values", where)
    return whole


def beginning(response: httpx.Response) -> bytes:
    """Return the start of an answer, no more than an error message needs."""
    if response.is_stream_consumed:
        return response.content[:ERROR_BYTES_MAX]
    piece = next(response.iter_raw(ERROR_BYTES_MAX), b"")
    codings = _codings(response.headers)
    if not codings:
        return piece
    try:
        return zlib.decompressobj(wbits=31).decompress(piece, ERROR_BYTES_MAX) if codings in _GZIP_NAMES else b""
    except zlib.error:
        return b""


def _check(count: int, count_max: int, of_what: str, where: str) -> None:
    if count > count_max:
        raise ProofError(
            f"{where} answers with more than {count_max:,} {of_what}.",
            remedy="No source needs as much: check the address. Pages of v1 can be smaller (`page_size_items`).",
        )


def _codings(headers: Mapping[str, str]) -> list[str]:
    named = [each.strip().lower() for each in headers.get("content-encoding", "").split(",")]
    return [each for each in named if each not in ("", "identity")]
