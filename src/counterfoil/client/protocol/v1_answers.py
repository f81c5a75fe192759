"""The pages of a Partner Center v1 walk as a client sees them: what to send, and how to read the answers. No I/O.

Each page says how to ask for the next one. `totalCount` is the number of items in this page and does not end the
walk; the continuation token is in the link's headers, not in its uri; an empty page with a next link is not the end.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode

import msgspec

from counterfoil.client.protocol.addresses import Base, shown
from counterfoil.client.protocol.messages import PAGE, Request, SourceAnswer, whole_number
from counterfoil.client.protocol.promised_totals import Promise, garbled, read_totals
from counterfoil.errors import ProofError, UsageError
from counterfoil.lifetimes_and_sizes import PAGE_LINE_ITEMS_MAX
from counterfoil.model import AttributeSet
from counterfoil.wire import v1
from counterfoil.wire.graph import ExportRequest, Period
from counterfoil.wire.tokens import CONTINUATION_HEADER

LINE_ITEMS_HEADER: Final = v1.LINE_ITEM_COUNT_HEADER.lower()
TOTALS_HEADER: Final = v1.TOTALS_HEADER.lower()
ETAG_HEADER: Final = v1.ETAG_HEADER.lower()
ITEMS_MAX: Final = 10 * PAGE_LINE_ITEMS_MAX  # of one page: a source may ignore the size that is asked for
_LINK_HEADERS_MAX: Final = 20
# A link may set headers of the next call, but none of these.
_NOT_BY_LINK: Final = frozenset(
    {"authorization", "cookie", "host", "content-length", "transfer-encoding", "connection", "proxy-authorization"}
)
_PERIODS: Final = {Period.CURRENT: "current", Period.LAST: "previous"}


@dataclass(frozen=True, slots=True)
class PageLink:
    """The request for a page: a URL of the source's own, and headers."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def fingerprint(self) -> bytes:
        """A digest of the page it leads to: of its continuation token, or else of its URL."""
        tokens = [value for name, value in self.headers.items() if name.lower() == CONTINUATION_HEADER.lower()]
        return hashlib.sha256("\0".join(tokens or [self.url]).encode(errors="replace")).digest()[:16]


@dataclass(frozen=True, slots=True)
class Annotations:
    """The eTag, count and totals of the whole walk, which a Counterfoil gives on each page; other sources give none."""

    etag: str | None = None
    promise: Promise = field(default_factory=Promise)


@dataclass(frozen=True, slots=True)
class SourcePage:
    """One page: its items as the bytes they came in, and the link to the next page, if any."""

    items: tuple[bytes, ...]
    following: PageLink | None
    annotations: Annotations


class _LinkHeader(msgspec.Struct):
    key: str
    value: str


class _NextLink(msgspec.Struct):
    uri: str
    headers: list[_LinkHeader] | None = None
    method: str | None = None


class _Links(msgspec.Struct):
    next: _NextLink | None = None


class _Envelope(msgspec.Struct):
    items: list[msgspec.Raw]
    links: _Links | None = None
    continuation_token: str | None = msgspec.field(default=None, name="continuationToken")


def first_link(base: Base, ask: ExportRequest, page_size_items: int = PAGE_LINE_ITEMS_MAX) -> PageLink:
    """Return the link of page 1; raises UsageError for what v1 does not offer."""
    if ask.invoice:
        raise UsageError(
            "Partner Center v1 has unbilled line items only.",
            remedy="Pull an invoice over Graph.",
            parameter="api=graph",
        )
    if ask.attributes is not AttributeSet.FULL:
        raise UsageError(
            "Partner Center v1 has no attribute sets.", remedy="Ask for all attributes.", parameter="attributes=full"
        )
    assert ask.period is not None
    query = {
        "provider": "onetime",
        "invoicelineitemtype": v1.LINE_ITEM_TYPES[ask.kind],
        "currencycode": ask.currency.lower(),
        "period": _PERIODS[ask.period],
        "size": str(page_size_items),
    }
    return PageLink(_below_v1(base, f"/invoices/unbilled/lineitems?{urlencode(query)}"))


def page_request(link: PageLink, *, correlation_id: str, request_id: str) -> Request:
    """Return the call for one page. The correlation id is the same for the whole walk, the request id for one page."""
    return Request(
        "GET",
        link.url,
        {
            **link.headers,
            "Accept": "application/json",
            "MS-Contract-Version": "v1",
            "MS-CorrelationId": correlation_id,
            "MS-RequestId": request_id,
        },
        answer=PAGE,
    )


def read_page(base: Base, first: PageLink, answer: SourceAnswer) -> SourcePage:
    """Read a page; raises GarbledError if it is not one, ProofError if its next link leads away from the source."""
    body = answer.body.removeprefix(b"\xef\xbb\xbf")
    try:
        envelope = msgspec.json.decode(body, type=_Envelope)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise garbled(answer, "a page of line items", f": {shown(str(error))}") from error
    if len(envelope.items) > ITEMS_MAX:
        raise garbled(answer, "a page of line items", f": it has {len(envelope.items):,} items")
    items = tuple(bytes(item) for item in envelope.items)
    return SourcePage(items, _following(base, first, envelope), _annotations(answer))


def _following(base: Base, first: PageLink, envelope: _Envelope) -> PageLink | None:
    link = envelope.links.next if envelope.links else None
    if link is None:
        if not envelope.continuation_token:
            return None
        return PageLink(f"{first.url}&seekOperation=Next", {CONTINUATION_HEADER: _header(envelope.continuation_token)})
    if (link.method or "GET").upper() != "GET":
        raise ProofError(f"The next page is to be asked for with {shown(link.method or '')!r}, and not with GET.")
    given = link.headers or []
    if len(given) > _LINK_HEADERS_MAX:
        raise ProofError(f"The link to the next page has {len(given)} headers.")
    headers = {_header(each.key): _header(each.value) for each in given if each.key.lower() not in _NOT_BY_LINK}
    named = {name.lower() for name in headers}
    if envelope.continuation_token and CONTINUATION_HEADER.lower() not in named:
        headers[CONTINUATION_HEADER] = _header(envelope.continuation_token)
    return PageLink(_below_v1(base, link.uri), headers)


def _below_v1(base: Base, uri: str) -> str:
    """Join a link: relative ones are below `/v1`, with or without saying so; absolute ones must be the source's."""
    if "://" in uri or uri.startswith("//"):
        return base.own(uri, "The link to the next page")
    path = uri.lstrip("/")
    return base.join(path if path.lower().startswith("v1/") else f"v1/{path}")


def _header(text: str) -> str:
    if not text or len(text) > 8192 or not all(" " <= char <= "~" for char in text):
        raise ProofError("The link to the next page has a header that cannot be sent.")
    return text


def _annotations(answer: SourceAnswer) -> Annotations:
    count = answer.headers.get(LINE_ITEMS_HEADER)
    line_items = None if count is None else whole_number(count)
    if count is not None and line_items is None:
        raise ProofError(f"The header {LINE_ITEMS_HEADER} is {shown(count)!r}, and not a count.")
    text = answer.headers.get(TOTALS_HEADER)
    try:
        totals, currency = read_totals(None if text is None else json.loads(text))
    except (ValueError, RecursionError):
        raise ProofError(f"The header {TOTALS_HEADER} is not JSON.") from None
    return Annotations(answer.headers.get(ETAG_HEADER), Promise(line_items, currency, totals))
