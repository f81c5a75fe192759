"""Graph's operations and manifests as a client sees them: what to send, and how to read the answers. No I/O.

The manifest comes in four ways: inside the operation, as a link in text, as an OData annotation, or by its id.
Success has two names. Names, counts and addresses are checked here before they are used: a blob's name becomes a
file's name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from counterfoil.client.protocol.addresses import Base, check_blob_url, shown
from counterfoil.client.protocol.blob_names import is_blob_name, stem_of
from counterfoil.client.protocol.jwt_claims import as_tenant
from counterfoil.client.protocol.messages import (
    DIGITS_MAX,
    MANIFEST,
    NOT_THE_SOURCE,
    Request,
    SourceAnswer,
    is_whole_text,
    whole_number,
)
from counterfoil.client.protocol.promised_totals import ChangedError, GarbledError, Promise, garbled, read_totals
from counterfoil.errors import OperationFailedError, ProofError
from counterfoil.wire import graph as wire
from counterfoil.wire.graph import BILLING, NO_DATA_CODE, ExportRequest

BLOBS_MAX: Final = 100_000
_SHA256: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_SUCCEEDED: Final = frozenset({"succeeded", "completed"})
_UNDER_WAY: Final = frozenset({"notstarted", "running"})


@dataclass(frozen=True, slots=True)
class SourceBlob:
    """One gzip file of line items as a manifest lists it; None for what the source does not say."""

    name: str
    line_items: int | None = None
    size_bytes: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class SourceManifest:
    """The content of an export, and where its blobs are.

    - `etag`: the source's name of this state of the data; `partner`: the tenant whose data it is.
    - `root_directory`, `sas_token`: where the blobs are, and the secret that opens them for a while.
    - `blobs`: the files; `promise`: the count and totals that the source gives for all of them together.
    - `counted`: whether the manifest said how many blobs there are.
    """

    etag: str
    partner: str
    root_directory: str
    sas_token: str
    blobs: tuple[SourceBlob, ...]
    counted: bool
    promise: Promise


@dataclass(frozen=True, slots=True)
class SourceOperation:
    """An operation, with its manifest or the URL of that once it succeeded; one that failed is an error."""

    id: str
    manifest: SourceManifest | str = ""


def submit_request(root: str, ask: ExportRequest, *, client_request_id: str, idempotency_key: str) -> Request:
    """Return the call that starts an export. Repeated with the same key, it starts none a second time."""
    body: dict[str, str] = {"attributeSet": ask.attributes.value}
    if ask.invoice:
        scope = "billed"
        body["invoiceId"] = ask.invoice
    else:
        assert ask.period is not None
        scope = "unbilled"
        body |= {"currencyCode": ask.currency, "billingPeriod": ask.period.value}
    return Request(
        "POST",
        f"{root}/{BILLING}/{ask.kind.value}/{scope}/export",
        {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "client-request-id": client_request_id,
            "Idempotency-Key": idempotency_key,
        },
        json.dumps(body).encode(),
    )


def get_request(url: str, *, client_request_id: str) -> Request:
    """Return the call that asks for an operation or a manifest."""
    headers = {"Accept": "application/json", "client-request-id": client_request_id}
    return Request("GET", url, headers, answer=MANIFEST)


def read_location(base: Base, answer: SourceAnswer) -> str:
    """Return the URL of the operation; raises ProofError if there is none, or if it is at another host."""
    location = answer.headers.get("location", "")
    if not location:
        if answer.is_for_people:
            text = f"The export was answered with {answer.status} and a page for people ({answer.request_ids})."
            raise ProofError(text, remedy=NOT_THE_SOURCE)
        raise ProofError(
            f"The export was accepted without a Location, so its operation cannot be found ({answer.request_ids}).",
            remedy="Trying again is safe; if it stays so, the source does not speak this API.",
        )
    return base.own(location, "The operation's address")


def read_operation(base: Base, root: str, answer: SourceAnswer) -> SourceOperation:
    """Read an operation; raises OperationFailedError if the export failed, ProofError if the answer makes no sense."""
    body = read_object(answer, "operation")
    status = str(body.get("status") or "").lower()
    operation_id = _text(body.get("id")) or answer.request.url.rstrip("/").rpartition("/")[2]
    if status == "failed":
        raise _failure(body, operation_id, answer)
    if status in _UNDER_WAY:
        return SourceOperation(operation_id)
    if status not in _SUCCEEDED:
        raise ProofError(f"The operation has the unknown status {shown(status)!r} ({answer.request_ids}).")
    place = body.get("resourceLocation")
    if isinstance(place, dict) and "blobs" in place:
        return SourceOperation(operation_id, _read_manifest(place, answer))
    if isinstance(place, dict) and _text(place.get("id")):
        return SourceOperation(operation_id, f"{root}/{BILLING}/manifests/{_path_part(_text(place['id']))}")
    link = _text(place) or _text(body.get("resourceLocation@odata.navigationLink"))
    if not link:
        raise ProofError(f"The export succeeded, and its operation names no manifest ({answer.request_ids}).")
    return SourceOperation(operation_id, base.own(link, "The manifest's address"))


def read_manifest(answer: SourceAnswer) -> SourceManifest:
    """Read a manifest; raises ProofError for anything in it that cannot be right."""
    return _read_manifest(read_object(answer, "manifest"), answer)


def blob_url(base: Base, manifest: SourceManifest, blob: SourceBlob) -> str:
    """Return the signed link of a blob; raises ProofError if it leads where it must not."""
    url = f"{manifest.root_directory.rstrip('/')}/{blob.name}"
    token = manifest.sas_token.removeprefix("?")
    return check_blob_url(base, f"{url}?{token}" if token else url)


def read_object(answer: SourceAnswer, what: str) -> dict[str, Any]:
    """Return the JSON object of an answer; raises ProofError."""
    try:
        body = json.loads(answer.body)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise garbled(answer, f"the {what}", " a JSON object")
    return body


def check_same_data(first: SourceManifest, renewed: SourceManifest) -> None:
    """Check that a manifest asked for again is of the same data; raises ProofError."""
    if (renewed.etag, renewed.blobs) != (first.etag, first.blobs):
        raise ChangedError(
            f"The export changed while it was downloaded: its eTag was {shown(first.etag)} and is "
            f"{shown(renewed.etag)}.",
            remedy="Pull again.",
        )


def _failure(body: Mapping[str, Any], operation_id: str, answer: SourceAnswer) -> OperationFailedError:
    error = body.get("error")
    error = error if isinstance(error, dict) else {}
    code, message = (shown(text) if isinstance(text := error.get(name), str) else "" for name in ("code", "message"))
    reason = ": ".join(part for part in (code, message) if part) or "no reason given"
    remedy = "Trying again is safe."
    if code == NO_DATA_CODE:
        remedy = "The source has no line items for this: check invoice, period and currency, or wait until it has."
    text = f"The export ran and failed with {reason} (operation {shown(operation_id)}, {answer.request_ids})."
    return OperationFailedError(text, code=code, remedy=remedy)


def _read_manifest(body: Mapping[str, Any], answer: SourceAnswer) -> SourceManifest:
    listed = body.get("blobs")
    if not isinstance(listed, list) or len(listed) > BLOBS_MAX:
        raise GarbledError(f"The manifest has no list of blobs that can be right ({answer.request_ids}).")
    blobs = tuple(_read_blob(each) for each in listed)
    count = _count(body, "blobCount")
    if count is not None and count != len(blobs):
        raise GarbledError(f"The manifest lists {len(blobs)} blobs and says that there are {count}.")
    seen: set[str] = set()
    for blob in blobs:
        if stem_of(blob.name) in seen:
            raise GarbledError(f"The manifest lists the blob {blob.name} twice, as names of files go.")
        seen.add(stem_of(blob.name))
    totals, currency = read_totals(body.get(wire.TOTALS))
    line_items = _count(body, wire.LINE_ITEM_COUNT)
    by_blob = [blob.line_items for blob in blobs if blob.line_items is not None]
    if line_items is not None and len(by_blob) == len(blobs) and sum(by_blob) != line_items:
        raise GarbledError(f"The manifest says {line_items} line items, and {sum(by_blob)} over its blobs.")
    root = _text(body.get("rootDirectory"))
    if not root and blobs:
        raise ProofError(f"The manifest has no rootDirectory ({answer.request_ids}).")
    return SourceManifest(
        etag=_text(body.get("eTag")),
        partner=as_tenant(body.get("partnerTenantId")),
        root_directory=root,
        sas_token=_text(body.get("sasToken")),
        blobs=blobs,
        counted=count is not None,
        promise=Promise(line_items, currency, totals),
    )


def _read_blob(listed: object) -> SourceBlob:
    if not isinstance(listed, dict):
        raise ProofError("The manifest lists a blob that is not a JSON object.")
    name = listed.get("name")
    if not isinstance(name, str) or not is_blob_name(name):
        raise ProofError(
            f"The manifest lists a blob named {shown(str(name))!r}, which is not a safe file name.",
            remedy="Names are of A-Z a-z 0-9 . _ -, do not begin with . or -, end in .gz and are not a Windows device.",
        )
    sha256 = listed.get(wire.SHA256)
    if sha256 is not None and (not isinstance(sha256, str) or _SHA256.fullmatch(sha256.lower()) is None):
        raise ProofError(f"The manifest gives {name} a SHA-256 that is not one.")
    return SourceBlob(
        name,
        line_items=_count(listed, wire.LINE_ITEM_COUNT),
        size_bytes=_count(listed, wire.SIZE_BYTES),
        sha256=None if sha256 is None else sha256.lower(),
    )


def _count(body: Mapping[str, Any], name: str) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    count = whole_number(value) if isinstance(value, str) else value
    if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count < 10**DIGITS_MAX:
        raise ProofError(f"The manifest's {name} is {shown(str(value))!r}, and not a count.")
    return count


def _text(value: object) -> str:
    if isinstance(value, str) and not is_whole_text(value):
        raise ProofError(f"The source answers with {shown(value)!r}, which holds half a surrogate pair.")
    return value if isinstance(value, str) else ""


def _path_part(identifier: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9._~-]{1,100}", identifier) is None or not identifier.strip("."):
        raise ProofError(f"The manifest's id {shown(identifier)!r} cannot be part of an address.")
    return identifier
