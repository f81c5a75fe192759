"""Partner Center REST v1 on the wire: its query, its envelope of a page, its errors.

A page says in *two* places that there is more: the root `continuationToken`, which the .NET SDK reads, and
`links.next`, which Java and PowerShell read. They go together or not at all: a client that finds only the other one
loses line items in silence. `totalCount` counts the items of this page, not of the whole walk.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_plus

from counterfoil.errors import (
    BadRequestError,
    MethodNotAllowedError,
    NotFoundError,
    NotServedError,
    RequestError,
    UnauthenticatedError,
    UnavailableError,
    shortened,
)
from counterfoil.lifetimes_and_sizes import PAGE_LINE_ITEMS_MAX
from counterfoil.model import Contents, Kind
from counterfoil.wire.tokens import CONTINUATION_HEADER

QUERY_LENGTH_MAX: Final = 4_096
SOURCE: Final = "Counterfoil"
DESCRIPTION_LENGTH_MAX: Final = 1_024

# What only a Counterfoil sends: by these a client proves what a walk brought.
ETAG_HEADER: Final = "Counterfoil-ETag"
LINE_ITEM_COUNT_HEADER: Final = "Counterfoil-Line-Item-Count"
TOTALS_HEADER: Final = "Counterfoil-Totals"

LINE_ITEM_TYPES: Final = {Kind.RECONCILIATION: "billinglineitems", Kind.USAGE: "usagelineitems"}
_KINDS: Final = {
    "billinglineitems": Kind.RECONCILIATION,
    "billing_line_items": Kind.RECONCILIATION,
    "usagelineitems": Kind.USAGE,
    "usage_line_items": Kind.USAGE,
}
# `one_time` is what answers say; the live service refused it in a query and people kept falling over that.
_PROVIDERS: Final = {
    Kind.RECONCILIATION: frozenset({"onetime", "one_time", "all"}),
    Kind.USAGE: frozenset({"onetime", "one_time", "all", "marketplace"}),
}
_FLAGS: Final = {"true": True, "false": False}
_NAMES: Final = frozenset(
    {"provider", "invoicelineitemtype", "currencycode", "period", "size", "seekoperation", "haspartnerearnedcredit"}
)
_INVOICE_PREFIXES: Final = ("onetime-", "recurring-")  # as the links inside Invoice resources have them
_SANE: Final = re.compile(rb"[A-Za-z0-9{][A-Za-z0-9._:{}-]{0,127}")
_CODES: Final = {400: "3000", 401: "400", 403: "2032", 404: "1000", 500: "0", 501: "0", 503: "0"}


@dataclass(frozen=True, slots=True)
class Path:
    """The route of the line items: `provider` and `line_item_type` are empty in its query form."""

    provider: str = ""
    line_item_type: str = ""


@dataclass(frozen=True, slots=True)
class Query:
    """A checked query for unbilled line items.

    `credit` is None unless the filter applies. `digest` names what a continuation token is bound to: not the size,
    which may change from page to page, and the period as it was asked for, because the revision beside it in the token
    already settles which month that was.
    """

    kind: Kind
    currency: str
    is_previous: bool
    size_items: int
    credit: bool | None
    seek: bool
    digest: bytes
    self_uri: str


def read_path(path: str) -> Path:
    """Return what a path under /v1 asks for; raises NotFoundError and NotServedError.

    Segments are compared case-blind, and empty ones do not count: the Java SDK and the PowerShell module form the
    next address as `/v1/` + `/invoices/...`.
    """
    segments = [segment for segment in path.split("/") if segment]
    lowered = [segment.lower() for segment in segments[1:]]
    if len(lowered) < 3 or lowered[0] != "invoices" or lowered[2] != "lineitems":
        raise NotServedError("Counterfoil does not serve this Partner Center API yet.")
    prefix, hyphen, invoice = lowered[1].rpartition("-")
    if invoice != "unbilled":
        raise NotServedError("Counterfoil serves unbilled line items only in this API: /invoices/unbilled/lineitems.")
    if hyphen and prefix + hyphen not in _INVOICE_PREFIXES:
        raise NotFoundError("There is no such invoice.")
    if len(segments) == 4:
        return Path()
    if len(segments) == 6:
        return Path(segments[4], segments[5])
    raise NotFoundError("There is no such resource below the line items of an invoice.")


def check_method(method: str) -> None:
    """Raise MethodNotAllowedError for anything but GET."""
    if method != "GET":
        raise MethodNotAllowedError("Line items can only be read: use GET.", allow="GET")


def check_contract_version(version: bytes) -> None:
    """Raise BadRequestError for any other than v1. Documented as required; of the SDKs only Java's sends it."""
    if version and version.strip().lower() not in {b"", b"v1"}:
        raise BadRequestError(
            "The header MS-Contract-Version must be v1.", code="3000", parameter="MS-Contract-Version"
        )


def token_missing() -> BadRequestError:
    """The refusal of a seekOperation that does not say where to go on."""
    return BadRequestError(
        f"seekOperation=Next needs the header {CONTINUATION_HEADER} with the token of the page before.",
        code="3000",
        parameter=CONTINUATION_HEADER,
    )


def read_query(path: Path, query_string: bytes) -> Query:
    """Return the checked query; raises BadRequestError naming the parameter and what it may be.

    The same arguments give equal results, so a caller may keep them.
    """
    if len(query_string) > QUERY_LENGTH_MAX:
        raise BadRequestError(f"The query is longer than {QUERY_LENGTH_MAX} characters.", code="3000")
    given = _parameters(query_string)
    if path.provider:
        given["provider"], given["invoicelineitemtype"] = path.provider, path.line_item_type
    kind = _kind(given)
    provider = given.get("provider", "")
    if _folded(provider) not in _PROVIDERS[kind]:
        # Lists the plain names only: `one_time` is taken, and not recommended.
        known = "onetime or all" if kind is Kind.RECONCILIATION else "onetime, all or marketplace"
        raise _bad("provider", f"must be {known} for {LINE_ITEM_TYPES[kind]}", provider)
    currency = given.get("currencycode", "")
    if not (len(currency) == 3 and currency.isascii() and currency.isalpha()):
        raise _bad("currencycode", "must be three letters of ISO 4217, such as USD", currency)
    period = given.get("period", "")
    if _folded(period) not in {"current", "previous"}:
        raise _bad("period", "must be current or previous", period)
    flag_text = given.get("haspartnerearnedcredit", "")
    if flag_text and _folded(flag_text) not in _FLAGS:
        raise _bad("hasPartnerEarnedCredit", "must be true or false", flag_text)
    seek = given.get("seekoperation", "")
    if seek and _folded(seek) != "next":
        raise _bad("seekOperation", "must be Next", seek)
    size = _size(given.get("size", ""))
    # Documented as having effect for onetime and usage only; otherwise it is carried along and does nothing.
    applies = bool(flag_text) and kind is Kind.USAGE and _folded(provider) in {"onetime", "one_time"}
    credit = _FLAGS[_folded(flag_text)] if applies else None
    canonical = "\0".join(("v1", kind.value, currency.upper(), _folded(period), str(credit)))
    # Every value was found to be plain ASCII letters, digits and `_`: nothing needs escaping in a URI or in JSON.
    pairs = {
        "provider": provider,
        "invoicelineitemtype": given["invoicelineitemtype"],
        "currencycode": currency,
        "period": period,
        "size": str(size),
        "hasPartnerEarnedCredit": flag_text,
    }
    return Query(
        kind=kind,
        currency=currency.upper(),
        is_previous=_folded(period) == "previous",
        size_items=size,
        credit=credit,
        seek=bool(seek),
        digest=hashlib.sha256(canonical.encode()).digest()[:16],
        self_uri="/invoices/unbilled/lineitems?"
        + "&".join(f"{name}={value}" for name, value in pairs.items() if value),
    )


def page_head(items: int, token: str) -> bytes:
    """Return the JSON of a page up to its first item. `token` is empty on the last page."""
    more = f'"continuationToken":"{token}",' if token else ""
    return f'{{{more}"totalCount":{items},"items":['.encode("ascii")


def page_tail(query: Query, token: str) -> bytes:
    """Return the JSON of a page behind its last item."""
    uri = query.self_uri
    more = (
        f',"next":{{"uri":"{uri}&seekOperation=Next","method":"GET",'
        f'"headers":[{{"key":"{CONTINUATION_HEADER}","value":"{token}"}}]}}'
        if token
        else ""
    )
    links = f'"links":{{"self":{{"uri":"{uri}","method":"GET","headers":[]}}{more}}}'
    return f'],{links},"attributes":{{"objectType":"Collection"}}}}'.encode("ascii")


def proof_headers(etag: str, line_items: int, contents: Contents | None) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers by which a client proves that its walk saw one revision, whole.

    Each page carries them, all of the walk and not of the page: the eTag (the same on every page: one revision),
    the number of line items, and, with `contents`, the exact totals under the lake's names. No hash of the page
    is among them: a gzip page has its CRC, and count and totals over the walk say more than a hash of each page.
    """
    headers = {ETAG_HEADER: etag} if etag else {}
    headers[LINE_ITEM_COUNT_HEADER] = str(line_items)
    if contents is not None:
        totals = {"currency": contents.currency, **contents.plain_totals()}  # as in a manifest
        headers[TOTALS_HEADER] = json.dumps(totals, separators=(",", ":"))
    return tuple((name.lower().encode("ascii"), text.encode("ascii")) for name, text in headers.items())


def error_body(code: str, description: str) -> bytes:
    """Return an error as Partner Center writes it. The description is never empty and at most 1,024 characters."""
    text = shortened(description, DESCRIPTION_LENGTH_MAX)
    body = {"code": code, "description": text or "The request failed.", "data": [], "source": SOURCE}
    return json.dumps(body, separators=(",", ":")).encode("ascii")


def error_answer(error: RequestError) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Return status, headers of its own, and body of a refusal."""
    headers: list[tuple[bytes, bytes]] = []
    if isinstance(error, MethodNotAllowedError):
        headers.append((b"allow", error.allow.encode("ascii")))
    if isinstance(error, UnauthenticatedError):
        headers.append((b"www-authenticate", b"Bearer"))
    if isinstance(error, UnavailableError) or error.status == 429:
        retry_after_s = max(1, getattr(error, "retry_after_s", 1))
        headers.append((b"retry-after", b"%d" % retry_after_s))
        if error.status == 429:
            # The form of the gateway in front, and not of the API behind it: the .NET SDK reads Retry-After only when
            # `code` and `description` are both absent, and fails without the header.
            body = {"statusCode": 429, "message": f"Rate limit is exceeded. Try again in {retry_after_s} seconds."}
            return 429, headers, json.dumps(body, separators=(",", ":")).encode("ascii")
    # Codes here are digits (900421 among them); an error that was born in another dialect gets the status' own.
    code = error.code if error.code.isascii() and error.code.isdigit() else _CODES.get(error.status, "3000")
    return error.status, headers, error_body(code, error.message)


def accepts_json(accept: bytes) -> bool:
    """Whether an Accept header lets us answer with JSON; an empty one does."""
    if not accept.strip():
        return True
    weights = _weights(accept.decode("latin-1"))
    return next((weights[name] for name in ("application/json", "application/*", "*/*") if name in weights), 0) > 0


def accepts_gzip(accept_encoding: bytes) -> bool:
    """Whether an Accept-Encoding header asks for gzip."""
    weights = _weights(accept_encoding.decode("latin-1"))
    return next((weights[name] for name in ("gzip", "x-gzip", "*") if name in weights), 0) > 0


def echo(sent: bytes) -> bytes:
    """Return an id of the caller's as it came, or nothing if it is not one that is safe to repeat."""
    return sent if _SANE.fullmatch(sent) is not None else b""


def _weights(header: str) -> dict[str, float]:
    """Read `a;q=0.5, b`: what may be sent, and its weight. A q that is not a number counts as 1."""
    found: dict[str, float] = {}
    for part in header.split(","):
        name, *parameters = (text.strip().lower() for text in part.split(";"))
        weight = 1.0
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip() == "q" and re.fullmatch(r"[01](?:\.[0-9]{0,3})?", value.strip(), re.ASCII):
                weight = float(value)
        if name:
            found[name] = max(weight, found.get(name, 0.0))
    return found


def _parameters(query_string: bytes) -> dict[str, str]:
    """Return our parameters by lower-cased name: the first of each, empty ones left out.

    A second `?` counts as `&`: a published next link reads `...&size=2000?seekOperation=Next`.
    """
    given: dict[str, str] = {}
    for pair in query_string.decode("latin-1").replace("?", "&").split("&"):
        name, _, value = pair.partition("=")
        name = unquote_plus(name).lower()
        if name in _NAMES:
            given.setdefault(name, unquote_plus(value, errors="replace"))
    return {name: value for name, value in given.items() if value}


def _kind(given: dict[str, str]) -> Kind:
    text = given.get("invoicelineitemtype", "")
    kind = _KINDS.get(_folded(text))
    if kind is None:
        raise _bad("invoicelineitemtype", "must be billinglineitems or usagelineitems", text)
    return kind


def _size(text: str) -> int:
    if not text:
        return PAGE_LINE_ITEMS_MAX
    digits = text.lstrip("0")
    if not (text.isascii() and text.isdigit() and digits):
        raise _bad("size", f"must be a number from 1 to {PAGE_LINE_ITEMS_MAX}", text)
    # More than 2,000 is clamped: clients go by the token and not by the number of items they get.
    return int(digits) if len(digits) <= 4 and int(digits) < PAGE_LINE_ITEMS_MAX else PAGE_LINE_ITEMS_MAX


def _folded(text: str) -> str:
    """Lower-case ASCII only: `str.lower` would make a plain k of the Kelvin sign and let that into a link."""
    return text.lower() if text.isascii() else text


def _bad(parameter: str, must: str, value: str) -> BadRequestError:
    shown = shortened(value)
    found = f"; it is {shown!r}" if value else " and is missing"
    return BadRequestError(f"The parameter {parameter} {must}{found}.", code="3000", parameter=parameter)
