"""What the OpenAPI document says about the v1 routes. Nothing here is needed to serve one."""

from __future__ import annotations

from typing import Any, Final

from counterfoil.wire.tokens import CONTINUATION_HEADER, CONTINUATION_LENGTH_MAX
from counterfoil.wire.v1 import LINE_ITEMS_PATH, PAGE_SIZE_ITEMS_MAX

_ERROR: Final = {
    "type": "object",
    "required": ["code", "description", "data", "source"],
    "properties": {
        "code": {"type": "string", "pattern": "^[0-9]+$"},
        "description": {"type": "string", "minLength": 1, "maxLength": 1024},
        "data": {"type": "array"},
        "source": {"type": "string"},
    },
}
_THROTTLED: Final = {
    "type": "object",
    "required": ["statusCode", "message"],
    "properties": {"statusCode": {"type": "integer"}, "message": {"type": "string"}},
}
_LINK: Final = {
    "type": "object",
    "required": ["uri", "method", "headers"],
    "properties": {
        "uri": {"type": "string"},
        "method": {"type": "string", "enum": ["GET"]},
        "headers": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["key", "value"],
                "properties": {"key": {"type": "string"}, "value": {"type": "string"}},
            },
        },
    },
}
_PAGE: Final = {
    "type": "object",
    "required": ["totalCount", "items", "links", "attributes"],
    "properties": {
        "continuationToken": {"type": "string", "description": "Absent on the last page."},
        "totalCount": {"type": "integer", "minimum": 0, "description": "The number of items in this page."},
        "items": {"type": "array", "maxItems": PAGE_SIZE_ITEMS_MAX, "items": {"type": "object"}},
        "links": {"type": "object", "required": ["self"], "properties": {"self": _LINK, "next": _LINK}},
        "attributes": {"type": "object", "properties": {"objectType": {"type": "string", "enum": ["Collection"]}}},
    },
}
_REFUSED: Final = {
    400: "A parameter or token is wrong or missing; the description names it",
    401: "No bearer token, or none that is good here",
    403: "The token lacks PartnerBilling.Read.All, or its tenant is no partner here",
    404: "No such resource",
    405: "Line items can only be read",
    406: "The caller does not accept application/json",
    413: "The address or headers are too long",
    500: "The service failed; the request id leads its operator to the cause",
    501: "A v1 API that is not served yet",
    503: "Not now; Retry-After says when",
}
_PROVIDERS: Final = ["onetime", "all", "marketplace"]
_TYPES: Final = ["billinglineitems", "usagelineitems"]
_PATH_FORM: Final = LINE_ITEMS_PATH + "/{provider}/{invoicelineitemtype}"


def openapi_paths() -> dict[str, Any]:
    """Return the path items of the v1 routes. Names and values are compared case-blind; each is shown once."""
    return {
        LINE_ITEMS_PATH: {
            "get": _operation("v1_unbilled_line_items", "Unbilled line items, page by page", where="query")
        },
        _PATH_FORM: {"get": _operation("v1_unbilled_line_items_by_path", "The same, in its older form", where="path")},
    }


def _operation(operation_id: str, about: str, *, where: str) -> dict[str, Any]:
    return {
        "operationId": operation_id,
        "summary": about,
        "tags": ["Partner Center v1"],
        "security": [{"bearer": []}],
        "parameters": _parameters(where),
        "responses": {
            "200": {
                "description": "A page, empty where nothing is published",
                "headers": _proof_headers(),
                "content": {"application/json": {"schema": _PAGE}},
            },
            "429": {
                "description": "Too many requests; Retry-After says when to go on",
                "content": {"application/json": {"schema": _THROTTLED}},
            },
            **{
                str(status): {"description": why, "content": {"application/json": {"schema": _ERROR}}}
                for status, why in _REFUSED.items()
            },
        },
    }


def _parameters(where: str) -> list[dict[str, Any]]:
    size = {"type": "integer", "minimum": 1, "default": PAGE_SIZE_ITEMS_MAX}
    token = {"type": "string", "minLength": 1, "maxLength": CONTINUATION_LENGTH_MAX, "pattern": "^[A-Za-z0-9_-]+$"}
    return [
        _parameter("provider", where, {"type": "string", "enum": _PROVIDERS}, required=True),
        _parameter("invoicelineitemtype", where, {"type": "string", "enum": _TYPES}, required=True),
        _parameter("currencycode", "query", {"type": "string", "pattern": "^[A-Za-z]{3}$"}, required=True),
        _parameter("period", "query", {"type": "string", "enum": ["current", "previous"]}, required=True),
        _parameter("size", "query", size, about=f"More than {PAGE_SIZE_ITEMS_MAX} counts as {PAGE_SIZE_ITEMS_MAX}."),
        _parameter(
            "seekOperation", "query", {"type": "string", "enum": ["Next"]}, about=f"Needs {CONTINUATION_HEADER}."
        ),
        _parameter("hasPartnerEarnedCredit", "query", {"type": "boolean"}, about="For onetime usage only."),
        _parameter(CONTINUATION_HEADER, "header", token, about="The token of the page before."),
        _parameter("MS-RequestId", "header", {"type": "string"}, about="Comes back with the answer."),
        _parameter("MS-CorrelationId", "header", {"type": "string"}, about="Comes back with the answer."),
        _parameter("MS-Contract-Version", "header", {"type": "string", "enum": ["v1"]}),
        _parameter("X-Locale", "header", {"type": "string"}),
    ]


def _parameter(
    name: str, where: str, schema: dict[str, Any], *, required: bool = False, about: str = ""
) -> dict[str, Any]:
    parameter = {"name": name, "in": where, "required": required, "schema": schema}
    return parameter | {"description": about} if about else parameter


def _proof_headers() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "Counterfoil-ETag": {"schema": text, "description": "What the revision that is walked contains."},
        "Counterfoil-Line-Item-Count": {"schema": text, "description": "The number of line items of the whole walk."},
        "Counterfoil-Totals": {"schema": text, "description": "Currency and exact totals of the walk, as JSON."},
    }
