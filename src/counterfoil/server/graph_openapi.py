"""What the OpenAPI document says about the Graph routes. Nothing here is needed to serve one."""

from __future__ import annotations

from typing import Any, Final

from fastapi import Response

from counterfoil.model import AttributeSet, Kind
from counterfoil.wire import graph
from counterfoil.wire.graph_paths import EXPORT_ACTIONS

_ERROR: Final = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "innerError": {"type": "object"},
            },
        }
    },
}
_ENTITY: Final = {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}
_COLLECTION: Final = {
    "type": "object",
    "required": ["value"],
    "properties": {"value": {"type": "array", "items": _ENTITY}},
}
_WHOLE: Final[dict[str, Any]] = {"type": "integer", "minimum": 0, "maximum": 999_999_999}
_REFUSED: Final = {
    400: "A parameter, header or the body is wrong; the message names it",
    401: "No bearer token, or none that is good here",
    403: "The token lacks PartnerBilling.Read.All, or its tenant is no partner here",
    404: "No such thing for this caller",
    405: "The route exists, with another method",
    413: "The body, address or headers are too long",
    503: "Not now; Retry-After says when",
}
_GONE: Final = {410: "It existed and its 24 hours are over"}
_UNSUPPORTED: Final = {415: "The body is not application/json, or in an encoding that is not read"}
SECURITY: Final[list[dict[str, list[str]]]] = [{"bearer": []}]


def _refusals(more: dict[int, str] | None = None) -> dict[int | str, dict[str, Any]]:
    return {
        status: {"description": about, "content": {"application/json": {"schema": _ERROR}}}
        for status, about in sorted((_REFUSED | (more or {})).items())
    }


def _operation_id(path: str) -> str:
    words = path.replace("{", "").replace("}", "").replace("$", "").split("/")
    return "_".join(word.replace(".", "_") for word in words if word not in {"", "reports", "partners"})


def describe(path: str, about: str) -> dict[str, Any]:
    """Return the arguments of a GET route that tell what it does."""
    is_count = path.endswith("/$count")
    is_collection = path.endswith(("/operations", "/manifests"))
    answer = _COLLECTION if is_collection else _ENTITY
    content = {"text/plain": {"schema": {"type": "string"}}} if is_count else {"application/json": {"schema": answer}}
    options = [("$top", _WHOLE), ("$skip", _WHOLE), ("$count", {"type": "boolean"})] if is_collection else []
    parameters = [{"name": name, "in": "query", "schema": schema} for name, schema in options]
    return {
        "summary": about,
        "operation_id": _operation_id(path),
        "tags": ["Microsoft Graph"],
        "responses": {
            200: {"description": "Found", "content": content},
            **_refusals(_GONE if "{id}" in path else None),
        },
        "openapi_extra": {"security": SECURITY} | ({"parameters": parameters} if parameters else {}),
    }


def describe_export(path: str, kind: Kind, *, billed: bool) -> dict[str, Any]:
    """Return the arguments of an export route that tell what it does and takes."""
    attributes = {"attributeSet": {"type": "string", "enum": list(AttributeSet), "default": "full"}}
    if billed:
        scope: dict[str, Any] = {"invoiceId": {"type": "string", "pattern": "^[!-~]{1,64}$"}}
        about = f"Export the {kind} line items of an invoice"
    else:
        scope = {
            "currencyCode": {"type": "string", "pattern": "^[A-Za-z]{3}$"},
            "billingPeriod": {"type": "string", "enum": list(graph.Period)},
        }
        about = f"Export the unbilled {kind} line items of a month in one currency"
    schema = {"type": "object", "required": list(scope), "properties": scope | attributes}
    header = {"schema": {"type": "string", "minLength": 1, "maxLength": graph.IDEMPOTENCY_KEY_LENGTH_MAX}}
    return {
        "summary": about,
        "operation_id": _operation_id(path),
        "tags": ["Microsoft Graph"],
        "status_code": 202,
        "response_class": Response,
        "responses": {202: {"description": "Accepted; Location leads to the operation"}, **_refusals(_UNSUPPORTED)},
        "openapi_extra": {
            "security": SECURITY,
            "parameters": [{"name": "Idempotency-Key", "in": "header", "required": False, **header}],
            "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        },
    }


def with_every_spelling(paths: dict[str, Any]) -> dict[str, Any]:
    """Return the paths with the export action under each of its names, as the SDKs say them."""
    spelled: dict[str, Any] = {}
    for path, item in paths.items():
        spelled[path] = item
        if path.endswith("/export") and "post" in item:
            stem = path.removesuffix("export")
            for action in EXPORT_ACTIONS[1:]:
                operation_id = f"{item['post']['operationId']}_{action.replace('.', '_')}"
                spelled[stem + action] = {"post": item["post"] | {"operationId": operation_id}}
    return spelled
