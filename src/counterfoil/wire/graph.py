"""Microsoft Graph's billing exports as they are spelled: request bodies, operations, manifests, errors.

Everything here is bytes and dictionaries; no I/O, no HTTP status. Real clients differ: Microsoft's own sample writes
keys and enum values in PascalCase, the Go SDK gzips its bodies, and each of them breaks on a detail of the answers
(`@odata.type` with `#`, `schemaVersion` a string, `blobCount` a number).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, NamedTuple, NoReturn, TypeVar

from counterfoil.errors import BadRequestError, TooLargeError, UnsupportedMediaError, UsageError
from counterfoil.model import AttributeSet, Kind, Scope
from counterfoil.periods import timestamp

BODY_BYTES_MAX: Final = 64 * 1024
IDEMPOTENCY_KEY_LENGTH_MAX: Final = 255
CONTENT_TYPE: Final = (
    "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"
)
THROTTLED_CODE: Final = "TooManyRequests"
VERSIONS: Final = ("v1.0", "beta")
BILLING: Final = "reports/partners/billing"
NAMESPACE: Final = "microsoft.graph.partners.billing"
# Members that only a Counterfoil sends, and stock clients ignore: by these a client proves what it downloaded.
ANNOTATION_PREFIX: Final = "@counterfoil."
LINE_ITEM_COUNT: Final = f"{ANNOTATION_PREFIX}lineItemCount"
TOTALS: Final = f"{ANNOTATION_PREFIX}totals"
SIZE_BYTES: Final = f"{ANNOTATION_PREFIX}sizeBytes"
SHA256: Final = f"{ANNOTATION_PREFIX}sha256"
NO_DATA_CODE: Final = "5000"  # the only operation error that Microsoft documents, with the message below
NO_DATA_MESSAGE: Final = "No data available"

_CHARSETS: Final = frozenset(["utf-8", "utf8", "us-ascii", "ascii", "utf-16", "utf-16le", "utf-16be", "iso-8859-1"])

_Enum = TypeVar("_Enum", bound=StrEnum)


class Period(StrEnum):
    """The unbilled billing periods a caller can ask for; which month that is, the business clock decides."""

    CURRENT = "current"
    LAST = "last"


class OperationStatus(StrEnum):
    """The states of an operation, as the wire spells them."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


_TYPE_NAMES: Final = {
    OperationStatus.RUNNING: f"#{NAMESPACE}.runningOperation",
    OperationStatus.SUCCEEDED: f"#{NAMESPACE}.exportSuccessOperation",
    OperationStatus.FAILED: f"#{NAMESPACE}.failedOperation",
}


class OperationError(NamedTuple):
    """Why an operation failed."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What a caller asked to be exported: an invoice, or a period and a currency (then `period` is set)."""

    kind: Kind
    attributes: AttributeSet
    invoice: str = ""
    period: Period | None = None
    currency: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a finished export holds, and where it is.

    `blobs` come from `blob_body`; `totals` are exact texts by column, in `currency`.
    """

    id: str
    created_at: datetime
    etag: str
    partner: str
    root_directory: str
    sas_token: str
    blobs: Sequence[dict[str, object]]
    line_items: int
    currency: str
    totals: Mapping[str, str]


# --- requests ------------------------------------------------------------------------------------------------


def decode_body(raw: bytes, *, content_type: str, content_encoding: str) -> str:
    """Return a request body as text; raises UnsupportedMediaError, TooLargeError or BadRequestError.

    The Go SDK gzips every request body, so that has to be read; it is inflated no further than a body may go.
    """
    media_type, *parameters = (part.strip() for part in content_type.split(";"))
    if media_type.lower() != "application/json":
        raise UnsupportedMediaError("Send the body as application/json; the header Content-Type says otherwise.")
    named = dict(part.lower().replace(" ", "").partition("=")[::2] for part in parameters)
    charset = named.get("charset", "utf-8").strip("\"'")
    if charset not in _CHARSETS:
        raise UnsupportedMediaError("Send the body in the character set utf-8.")
    encoding = content_encoding.strip().lower()
    if encoding == "gzip":
        raw = _inflate(raw)
    elif encoding not in ("", "identity"):
        raise UnsupportedMediaError("Send the body as it is or with Content-Encoding: gzip.")
    try:
        return raw.decode(charset).removeprefix("\ufeff")
    except UnicodeDecodeError:
        raise BadRequestError(f"The request body is not {charset}.") from None


def _inflate(raw: bytes) -> bytes:
    decompressor = zlib.decompressobj(wbits=31)
    try:
        body = decompressor.decompress(raw, BODY_BYTES_MAX + 1)
    except zlib.error:
        raise BadRequestError("The request body is not gzip, although Content-Encoding says so.") from None
    if len(body) > BODY_BYTES_MAX:
        raise TooLargeError(f"A request body may have {BODY_BYTES_MAX} bytes.")
    if not decompressor.eof or decompressor.unused_data:
        raise BadRequestError("The request body is not one whole gzip member.")
    return body


def read_export_request(kind: Kind, body: str, *, billed: bool) -> ExportRequest:
    """Return what a body asks for; raises BadRequestError naming the parameter that is wrong."""
    parameters = _parameters(body)
    attributes = _choice(AttributeSet, parameters.get("attributeset"), "attributeSet")
    if billed:
        invoice = _text(parameters.get("invoiceid"), "invoiceId")
        try:
            scope = Scope.billed(invoice)
        except UsageError as error:
            raise BadRequestError(
                f"The parameter 'invoiceId' is not valid. {error.remedy}", parameter="invoiceId"
            ) from None
        return ExportRequest(kind, attributes or AttributeSet.FULL, invoice=scope.invoice)
    currency = _text(parameters.get("currencycode"), "currencyCode")
    if len(currency) != 3 or not (currency.isascii() and currency.isalpha()):
        raise BadRequestError(
            "The parameter 'currencyCode' is not valid. Use three letters, such as EUR.", parameter="currencyCode"
        )
    period = _choice(Period, parameters.get("billingperiod"), "billingPeriod")
    if period is None:
        raise _missing("billingPeriod")
    return ExportRequest(kind, attributes or AttributeSet.FULL, period=period, currency=currency.upper())


def _parameters(body: str) -> dict[str, object]:
    """Return a body's members by lower-case name; unknown ones are kept and never read."""
    try:
        pairs = json.loads(body, object_pairs_hook=_Pairs, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise BadRequestError("The request body is not JSON.") from None
    if not isinstance(pairs, _Pairs):
        raise BadRequestError("The request body is not a JSON object.")
    parameters: dict[str, object] = {}
    for name, value in pairs:
        if name.lower() in parameters:
            raise BadRequestError(f"The request body has the property '{name[:80]}' twice.")
        parameters[name.lower()] = value
    return parameters


class _Pairs(list[tuple[str, object]]):
    """A JSON object with every member it had, doubled ones too."""


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(text)


def _missing(parameter: str) -> BadRequestError:
    return BadRequestError(f"The parameter '{parameter}' is required.", parameter=parameter)


def _text(value: object, parameter: str) -> str:
    if value is None or value == "":
        raise _missing(parameter)
    if not isinstance(value, str):
        raise BadRequestError(f"The parameter '{parameter}' must be a string.", parameter=parameter)
    return value


def _choice(choices: type[_Enum], value: object, parameter: str) -> _Enum | None:
    """Return the member a caller named in any letter case; None if absent or null.

    `unknownFutureValue` is a member of Microsoft's enums that nobody may send; here it is simply not one.
    """
    if value is None:
        return None
    named = _text(value, parameter).lower()
    if named in list(choices):
        return choices(named)
    words = " or ".join(f"'{member.value}'" for member in choices)
    raise BadRequestError(f"The parameter '{parameter}' must be {words}.", parameter=parameter)


def check_idempotency_key(key: str) -> str:
    """Return a caller's key unchanged; raises BadRequestError if it cannot be one."""
    if not 1 <= len(key) <= IDEMPOTENCY_KEY_LENGTH_MAX or not all(" " <= char <= "~" for char in key):
        raise BadRequestError(
            f"The header Idempotency-Key must have 1 to {IDEMPOTENCY_KEY_LENGTH_MAX} printable characters."
        )
    return key


# --- answers: `root` is the base URL with the version, such as https://host/v1.0 ---------------------------------


def operation_url(root: str, operation_id: str) -> str:
    """Return the address of an operation, as the header Location gives it."""
    return f"{root}/{BILLING}/operations/{operation_id}"


def operation_body(
    root: str,
    operation_id: str,
    *,
    status: OperationStatus,
    created_at: datetime,
    last_action_at: datetime,
    manifest: Manifest | None = None,
    error: OperationError | None = None,
) -> dict[str, object]:
    """Write an operation. A succeeded one carries its manifest inline, as every known client expects."""
    body: dict[str, object] = {
        "@odata.context": f"{root}/$metadata#{BILLING}/operations/$entity",
        "@odata.type": _TYPE_NAMES[status],
        "id": operation_id,
        "createdDateTime": timestamp(created_at),
        "lastActionDateTime": timestamp(last_action_at),
        "status": status.value,
    }
    if manifest is not None:
        body["resourceLocation"] = manifest_body(root, manifest)
    if error is not None:
        body["error"] = error._asdict()
    return body


def manifest_body(root: str, manifest: Manifest) -> dict[str, object]:
    """Write a manifest; the members that begin with `@counterfoil.` let a client prove what it downloads."""
    return {
        "@odata.context": f"{root}/$metadata#{BILLING}/manifests/$entity",
        "id": manifest.id,
        "schemaVersion": "1",
        "dataFormat": "compressedJSONLines",
        "createdDateTime": timestamp(manifest.created_at),
        "eTag": manifest.etag,
        "partnerTenantId": manifest.partner,
        "rootDirectory": manifest.root_directory,
        "sasToken": manifest.sas_token,
        "partitionType": "default",
        "blobCount": len(manifest.blobs),
        "blobs": manifest.blobs,
        LINE_ITEM_COUNT: manifest.line_items,
        TOTALS: {"currency": manifest.currency, **manifest.totals},
    }


def blob_body(name: str, line_items: int, size_bytes: int, sha256: str) -> dict[str, object]:
    """Write a blob, one gzip file of line items, as a manifest lists it."""
    return {
        "name": name,
        "partitionValue": "default",
        LINE_ITEM_COUNT: line_items,
        SIZE_BYTES: size_bytes,
        SHA256: sha256,
    }


def collection_body(
    root: str, path: str, elements: Sequence[dict[str, object]], *, count: int | None = None, next_link: str = ""
) -> dict[str, object]:
    """Write a collection; its elements do not repeat the context."""
    body: dict[str, object] = {"@odata.context": f"{root}/$metadata#{path}"}
    if count is not None:
        body["@odata.count"] = count
    if next_link:
        body["@odata.nextLink"] = next_link
    body["value"] = [
        {name: value for name, value in element.items() if name != "@odata.context"} for element in elements
    ]
    return body


def entity_body(root: str, path: str) -> dict[str, object]:
    """Write one of the entities on the way to an action; an id is all they have."""
    return {"@odata.context": f"{root}/$metadata#{path}/$entity", "id": path.rpartition("/")[2]}


def error_body(code: str, message: str, *, now: datetime, request_id: str, client_request_id: str) -> dict[str, object]:
    """Write a refusal. Like Graph's, the date has no zone; one for asking too often is worded as Graph words it."""
    inner = {
        "date": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        "request-id": request_id,
        "client-request-id": client_request_id,
    }
    if code == THROTTLED_CODE:
        message, inner = (
            "Please retry again later.",
            {"code": "429", "message": "Please retry after", "status": "429"} | inner,
        )
    return {"error": {"code": code, "message": message, "innerError": inner}}
