"""Requests and answers as plain values; the pure half of the client works with nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from typing import Final

NOT_THE_SOURCE: Final = (
    "A sign-in or a proxy answers in the source's name: have the address let through. Trying again is safe."
)
PROXY_SIGN_IN: Final = "The proxy requires a sign-in: write it as HTTPS_PROXY=http://NAME:PASSWORD@HOST:PORT."
DIGITS_MAX: Final = 18
_OWN_ID_HEADERS: Final = ("client-request-id", "ms-requestid", "ms-correlationid", "x-ms-client-request-id")
_ID_HEADERS: Final = ("request-id", *_OWN_ID_HEADERS, "x-ms-request-id")


class Answerer(Enum):
    """Who is asked, and so answers, unless something between here and there does."""

    API = auto()
    SIGN_IN = auto()
    STORAGE = auto()
    BETWEEN = auto()  # a proxy, a gateway, the page of a network that wants a sign-in


@dataclass(frozen=True, slots=True)
class AnswerSize:
    """How large an answer may be, packed and unpacked, and how many values its JSON may have.

    Both are needed: two bytes of JSON can be a value, and a value in memory takes up to 200 bytes.
    """

    bytes_max: int
    values_max: int


SHORT: Final = AnswerSize(2 << 20, 200_000)  # of a sign-in, or a submit
MANIFEST: Final = AnswerSize(16 << 20, 1_000_000)  # of an operation too, which can hold its manifest
PAGE: Final = AnswerSize(64 << 20, 2_000_000)


@dataclass(frozen=True, slots=True)
class Request:
    """One call. It may be repeated as it is: every call of these APIs only reads."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    answer: AnswerSize = SHORT
    asked: Answerer = Answerer.API


@dataclass(frozen=True, slots=True)
class SourceAnswer:
    """A whole answer of a source. Header names are in lower case."""

    request: Request
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def request_ids(self) -> str:
        """The ids that name this call in the source's logs and ours."""
        return request_ids(self.request, self.headers)

    @property
    def is_for_people(self) -> bool:
        """Whether it is a page of HTML, which no source sends: it is a sign-in page, or a proxy's."""
        return self.headers.get("content-type", "").lower().startswith("text/html") or self.body.lstrip()[:1] == b"<"


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A call that got no whole answer, and why. `hopeless`: repeating the call cannot help. `remedy`: what would."""

    reason: str
    hopeless: bool = False
    remedy: str = "Trying again is safe."


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer that gave bytes of a blob, which are in its part file now. `size`: of that file."""

    status: int
    headers: Mapping[str, str]
    size: int


def request_ids(request: Request, headers: Mapping[str, str] | None = None) -> str:
    """Write the ids of a call: what we sent, and what the source answered."""
    found = {name.lower(): value for name, value in request.headers.items()} | dict(headers or {})
    return ", ".join(f"{name} {found[name][:80]}" for name in _ID_HEADERS if found.get(name))


def own_ids(request: Request) -> list[str]:
    """Return the ids that we gave a call."""
    found = {name.lower(): value for name, value in request.headers.items()}
    return [found[name] for name in _OWN_ID_HEADERS if found.get(name)]


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Read Retry-After: whole seconds, a fraction (Graph sends `2.128`) or a date; None where it says nothing.

    A date is of the source's clock, so it is held against the answer's own `Date`, and against `now` only where that
    is missing. The result is never negative, and always finite.
    """
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    if text.replace(".", "", 1).isdecimal() and text.isascii():
        return float(text[:12])
    until = http_date(text)
    return None if until is None else max(0.0, (until - (http_date(headers.get("date", "")) or now)).total_seconds())


def http_date(text: str) -> datetime | None:
    """Read a date of HTTP in any of its three forms; None for anything else."""
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):  # the last for a zone of many digits, or a time before year 1
        return None


def whole_number(text: str) -> int | None:
    """Read a count in a header or a body; None for anything else, and for more digits than any count has."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= DIGITS_MAX else None


def is_whole_text(text: str) -> bool:
    """Whether a text can be written: JSON can hold half a surrogate pair, and no file and no address can."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
