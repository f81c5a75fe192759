"""Azure Blob Storage's way of reading one blob: its path, ranges, conditions, headers and XML errors.

As much of it as Microsoft's own storage clients use for a download: they send `=` in the path as `%3D`, ask with
`x-ms-range` rather than `Range`, want 206 even for a range that covers the whole blob, and pin every range after the
first with `If-Match`. No I/O and no signatures here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Final
from urllib.parse import unquote_to_bytes
from xml.sax.saxutils import escape

from counterfoil.errors import BadRequestError, NotFoundError
from counterfoil.model import GUID_PATTERN, AttributeSet

CONTENT_TYPE: Final = "application/octet-stream"
CACHE_CONTROL: Final = "private, no-transform"
XML_CONTENT_TYPE: Final = "application/xml"
VERSION: Final = "2021-08-06"  # answered to a caller that names none; a caller's own is echoed
PATH_LENGTH_MAX: Final = 512

_PATH: Final = re.compile(
    rf"/blobs/(?P<partner>{GUID_PATTERN})/(?P<revision>[0-9a-f]{{32}})"
    r"/(?P<attributes>full|basic)/(?P<name>[A-Za-z0-9_-][A-Za-z0-9._-]{0,127})",
    re.ASCII,
)
_RANGE: Final = re.compile(r"bytes=(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))", re.ASCII | re.IGNORECASE)
_VERSION_TEXT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_WHOLE: Final = re.compile(r"\d{1,9}", re.ASCII)
_OF_NO_EFFECT: Final = frozenset(("timeout", "api-version"))
_ID_TEXT: Final = re.compile(r"[!-~]{1,1024}", re.ASCII)


@dataclass(frozen=True, slots=True)
class BlobPath:
    """A path that could name a blob. Whether it does, and for whom, is another matter. `text` is the signed form."""

    text: str
    partner: str
    revision_id: str
    attributes: AttributeSet
    name: str

    @classmethod
    def parse(cls, raw_path: bytes) -> BlobPath:
        """Read a percent-encoded path; raises BadRequestError.

        It is decoded once, and then matched: some storage clients write the slashes of a blob's name as `%2F`, and
        Azure takes both spellings for the same blob. No other character is let through by an escape, nor is `..`.
        The answer depends on the spelling alone and betrays nothing about what exists.
        """
        match = _PATH.fullmatch(decoded_path(raw_path))
        if match is None:
            raise invalid_uri()
        return cls(match[0], match["partner"], match["revision"], AttributeSet(match["attributes"]), match["name"])


def decoded_path(raw_path: bytes) -> str:
    """Decode a path's escapes, once; raises BadRequestError if it is longer than any of ours."""
    if len(raw_path) > PATH_LENGTH_MAX:
        raise invalid_uri()
    return unquote_to_bytes(raw_path).decode("latin-1")


def invalid_uri() -> BadRequestError:
    """Return the error for a path that nothing here can have."""
    return BadRequestError("The requested URI does not represent any resource on the server.", code="InvalidUri")


def check_own_parameters(own: Mapping[str, str]) -> None:
    """Check what a client says of its own about a blob, beside the link: what changes nothing is taken.

    `timeout` bounds the server's work in Azure Storage; there is none here that could be bounded. Raises
    BadRequestError for values that no such parameter has and for operations that we do not have, and NotFoundError
    for snapshots and versions, of which no blob here has any.
    """
    for name in ("snapshot", "versionid"):
        if name in own:
            raise NotFoundError("The specified blob does not exist.")
    for name, pattern in (("timeout", _WHOLE), ("api-version", _VERSION_TEXT)):
        if name in own and pattern.fullmatch(own[name]) is None:
            raise bad_parameter(name)
    for name in own.keys() - _OF_NO_EFFECT:
        raise bad_parameter(name)


def bad_parameter(name: str) -> BadRequestError:
    """Return the error for a query parameter that cannot have its value here."""
    return BadRequestError(
        f"Value for one of the query parameters specified in the request URI is invalid: {name}.",
        code="InvalidQueryParameterValue",
        parameter=name,
    )


@dataclass(frozen=True, slots=True)
class ByteRange:
    """The bytes `start` to `end`, both included, of a blob of `size_bytes`."""

    start: int
    end: int
    size_bytes: int

    @property
    def length(self) -> int:
        """How many bytes these are."""
        return self.end - self.start + 1

    @property
    def content_range(self) -> str:
        """The header Content-Range."""
        return f"bytes {self.start}-{self.end}/{self.size_bytes}"


class UnsatisfiableRangeError(BadRequestError):
    """The range is beyond the blob's end."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__("The range specified is invalid for the current size of the resource.", code="InvalidRange")
        self.size_bytes = size_bytes


class ConditionNotMetError(BadRequestError):
    """The blob is not the one that the caller began to read."""

    def __init__(self) -> None:
        super().__init__("The condition specified using HTTP conditional header(s) is not met.", code="ConditionNotMet")


def byte_range(headers: Mapping[str, str], size_bytes: int, etag: str) -> ByteRange | None:
    """Return the range a caller wants, or None for the whole blob; raises UnsatisfiableRangeError.

    `x-ms-range` beats `Range`. What is not one range of bytes is ignored, as RFC 9110 allows, and as it demands for
    a range whose `If-Range` names other data.
    """
    asked = headers.get("x-ms-range")
    if asked is None:
        if_range = headers.get("if-range")
        if if_range is not None and if_range.strip() != etag:
            return None
        asked = headers.get("range", "")
    match = _RANGE.fullmatch(asked.strip())
    if match is None:
        return None
    if match[3] is not None:
        start, end = max(0, size_bytes - int(match[3])), size_bytes - 1
        if int(match[3]) == 0:
            raise UnsatisfiableRangeError(size_bytes)
    else:
        start = int(match[1])
        end = min(int(match[2]), size_bytes - 1) if match[2] else size_bytes - 1
        if match[2] and int(match[2]) < start:
            return None
    if start >= size_bytes:
        raise UnsatisfiableRangeError(size_bytes)
    return ByteRange(start, end, size_bytes)


def is_unmodified(headers: Mapping[str, str], etag: str, modified_at: datetime) -> bool:
    """Whether the caller already has this blob (304); raises ConditionNotMetError (412)."""
    if_match = headers.get("if-match")
    if if_match is not None:
        if not _names(if_match, etag, weakly=False):
            raise ConditionNotMetError
    else:
        limit = _date(headers.get("if-unmodified-since"))
        if limit is not None and modified_at.replace(microsecond=0) > limit:
            raise ConditionNotMetError
    if_none_match = headers.get("if-none-match")
    if if_none_match is not None:
        return _names(if_none_match, etag, weakly=True)
    since = _date(headers.get("if-modified-since"))
    return since is not None and modified_at.replace(microsecond=0) <= since


def _names(listed: str, etag: str, *, weakly: bool) -> bool:
    tags = [tag.strip() for tag in listed.split(",")]
    if weakly:
        tags = [tag.removeprefix("W/") for tag in tags]
    # Some storage clients send the tag back without its quotes.
    return "*" in tags or etag in tags or etag.strip('"') in tags


def _date(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # an hour or a zone of twenty digits
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def etag(sha256: str) -> str:
    """Return the ETag of a blob, quotes included."""
    return f'"{sha256}"'


def blob_headers(sha256: str, modified_at: datetime) -> dict[str, str]:
    """Return the headers that describe a blob, whatever part of it is sent.

    There is never a Content-Encoding: HTTP clients would unpack the gzip file that the caller wants to keep.
    """
    return {
        "content-type": CONTENT_TYPE,
        "etag": etag(sha256),
        "last-modified": format_datetime(modified_at.astimezone(UTC), usegmt=True),
        "accept-ranges": "bytes",
        "x-ms-blob-type": "BlockBlob",
        "cache-control": CACHE_CONTROL,
    }


def identity_headers(headers: Mapping[str, str], request_id: str) -> dict[str, str]:
    """Return the headers that every storage answer has."""
    version = headers.get("x-ms-version", "")
    answer = {
        "x-ms-request-id": request_id,
        "x-ms-version": version if _VERSION_TEXT.fullmatch(version) else VERSION,
    }
    client_request_id = headers.get("x-ms-client-request-id", "")
    if _ID_TEXT.fullmatch(client_request_id):
        answer["x-ms-client-request-id"] = client_request_id
    return answer


def error_body(code: str, message: str, *, request_id: str, now: datetime) -> bytes:
    """Write a refusal as Azure Storage does; there, request id and time are in the message."""
    moment = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")
    text = f"{message}\nRequestId:{request_id}\nTime:{moment}"
    return (
        f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{escape(code)}</Code>'
        f"<Message>{escape(text)}</Message></Error>"
    ).encode()
