"""The OpenAPI document, as data. A test holds it against the routes: each route is here, and nothing else is.

What many operations share is written once, under `components`. Nothing here is needed to serve a request.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any, Final

from counterfoil.lifetimes import OPERATION, PAGE_LINE_ITEMS_MAX
from counterfoil.model import GUID_PATTERN, AttributeSet, Kind
from counterfoil.wire import blob_storage, graph, oauth, v1
from counterfoil.wire.graph_paths import EXPORT_ACTIONS
from counterfoil.wire.tokens import CONTINUATION_HEADER, CONTINUATION_LENGTH_MAX, LINK_PARAMETERS

Json = dict[str, Any]

_ABOUT: Final = "Microsoft partner billing data in the APIs that everyone's tools speak. Not affiliated with Microsoft."
_JSON: Final = "application/json"
_TEXT: Final[Json] = {"type": "string"}
_NOT_EMPTY: Final[Json] = {"type": "string", "minLength": 1}
_WHOLE: Final[Json] = {"type": "integer", "minimum": 0, "maximum": 999_999_999}
_CURRENCY: Final[Json] = {"type": "string", "pattern": "^[A-Za-z]{3}$"}
_LATER: Final = "Not now; Retry-After says when"
_CALLER: Final = {
    401: "No bearer token, or one that is not valid here",
    403: "The token lacks PartnerBilling.Read.All, or its tenant is not a partner here",
}


def document() -> Json:
    """Return the OpenAPI document of everything that the server answers."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Counterfoil", "description": _ABOUT, "version": version("counterfoil")},
        "paths": {**_graph_paths(), **v1_paths(), **_blob_paths(), **_authority_paths(), **_health_paths()},
        "components": {
            "schemas": _SCHEMAS,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _object(properties: Json, *, required: Iterable[str] | None = None) -> Json:
    return {"type": "object", "required": [*(properties if required is None else required)], "properties": properties}


def _schema(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _content(schema: Json, media_type: str = _JSON) -> Json:
    return {"content": {media_type: {"schema": schema}}}


def _refusals(schema: str, reasons: Mapping[int, str]) -> Json:
    return {str(status): {"description": why, **_content(_schema(schema))} for status, why in sorted(reasons.items())}


def _parameter(name: str, where: str, schema: Json, *, required: bool = False, about: str = "") -> Json:
    parameter = {"name": name, "in": where, "required": required or where == "path", "schema": schema}
    return parameter | {"description": about} if about else parameter


_LINK: Final = _object(
    {
        "uri": _TEXT,
        "method": {"type": "string", "enum": ["GET"]},
        "headers": {"type": "array", "items": _object({"key": _TEXT, "value": _TEXT})},
    }
)
_ENTITY: Final = _object({"id": _TEXT})
_GRAPH_ERROR: Final = _object(
    {"code": _TEXT, "message": _TEXT, "innerError": {"type": "object"}}, required=["code", "message"]
)
_SCHEMAS: Final[Json] = {
    "GraphEntity": _ENTITY,
    "GraphCollection": _object({"value": {"type": "array", "items": _ENTITY}}),
    "GraphError": _object(
        {
            "error": _object(
                {"code": _TEXT, "message": _TEXT, "innerError": {"type": "object"}}, required=["code", "message"]
            )
        }
    ),
    "V1Page": _object(
        {
            "continuationToken": {"type": "string", "description": "Absent on the last page."},
            "totalCount": {"type": "integer", "minimum": 0, "description": "The number of items in this page."},
            "items": {"type": "array", "maxItems": PAGE_LINE_ITEMS_MAX, "items": {"type": "object"}},
            "links": _object({"self": _LINK, "next": _LINK}, required=["self"]),
            "attributes": {"type": "object", "properties": {"objectType": {"type": "string", "enum": ["Collection"]}}},
        },
        required=["totalCount", "items", "links", "attributes"],
    ),
    "V1Error": _object(
        {
            "code": {"type": "string", "pattern": "^[0-9]+$"},
            "description": {"type": "string", "minLength": 1, "maxLength": 1024},
            "data": {"type": "array"},
            "source": _TEXT,
        }
    ),
    "V1Throttled": _object({"statusCode": {"type": "integer"}, "message": _TEXT}),
    "Token": _object({"token_type": _TEXT, "expires_in": {}, "access_token": _TEXT}),
    "Error": _object({"error": {}}),
    "Status": {"type": "object", "properties": {"status": _TEXT}},
}


# --- Microsoft Graph ---------------------------------------------------------------------------------------------

_GRAPH_REFUSALS: Final = {
    **_CALLER,
    400: "A parameter, a header or the body is wrong; the message names it",
    404: "No such thing for this caller",
    405: "The route exists, with another method",
    413: "The body, address or headers are too long",
    503: _LATER,
}
_HOURS: Final = int(OPERATION.total_seconds()) // 3600
_GONE: Final = {410: f"It existed, and its {_HOURS} hours are over"}
_UNSUPPORTED: Final = {415: "The body is not application/json, or in an encoding that is not supported"}
_OPTIONS: Final = [
    _parameter("$top", "query", _WHOLE),
    _parameter("$skip", "query", _WHOLE),
    _parameter("$count", "query", {"type": "boolean"}),
]
_OBJECT_ID: Final = [_parameter("id", "path", _TEXT)]


def _graph_paths() -> Json:
    entities = ["reports/partners", graph.BILLING]
    entities += [f"{graph.BILLING}/{kind}{rest}" for kind in Kind for rest in ("", "/billed", "/unbilled")]
    operations, manifests = f"{graph.BILLING}/operations", f"{graph.BILLING}/manifests"
    count, entity = _content(_TEXT, "text/plain"), _content(_schema("GraphEntity"))
    collection = _content(_schema("GraphCollection"))
    reads = [
        (operations, f"List your exports of the last {_HOURS} hours, newest first", collection, _OPTIONS),
        (f"{operations}/$count", f"Count your exports of the last {_HOURS} hours", count, []),
        (f"{operations}/{{id}}", "Get the state of an export", entity, _OBJECT_ID),
        (manifests, "List the manifests of your exports, newest first", collection, _OPTIONS),
        (f"{manifests}/$count", "Count the manifests of your exports", count, []),
        (f"{manifests}/{{id}}", "Get a manifest with a fresh link to its blobs", entity, _OBJECT_ID),
        *((path, "Get the entity that leads to the exports", entity, []) for path in entities),
    ]
    paths: Json = {}
    for api_version in graph.VERSIONS:
        for kind in Kind:
            for scope in ("billed", "unbilled"):
                stem = f"/{api_version}/{graph.BILLING}/{kind}/{scope}"
                paths |= {f"{stem}/{action}": {"post": _export(stem, action, kind, scope)} for action in EXPORT_ACTIONS}
        for below, about, answer, parameters in reads:
            gone = _GONE if parameters is _OBJECT_ID else {}
            responses = {"200": {"description": "Found", **answer}, **_refusals("GraphError", _GRAPH_REFUSALS | gone)}
            path = f"/{api_version}/{below}"
            paths[path] = {"get": _graph_operation(path, about, parameters, responses)}
    return paths


def _graph_operation(path: str, about: str, parameters: list[Json], responses: Json) -> Json:
    words = path.replace("{", "").replace("}", "").replace("$", "").replace(".", "_").split("/")
    return {
        "tags": ["Microsoft Graph"],
        "summary": about,
        "operationId": "_".join(word for word in words if word not in {"", "reports", "partners"}),
        "security": [{"bearer": []}],
        "parameters": parameters,
        "responses": responses,
    }


def _export(stem: str, action: str, kind: Kind, scope: str) -> Json:
    if scope == "billed":
        asked: Json = {"invoiceId": {"type": "string", "pattern": "^[!-~]{1,64}$"}}
        about = f"Export the {kind} line items of an invoice"
    else:
        asked = {"currencyCode": _CURRENCY, "billingPeriod": {"type": "string", "enum": [*graph.Period]}}
        about = f"Export the unbilled {kind} line items of a month in one currency"
    attributes = {"attributeSet": {"type": "string", "enum": [*AttributeSet], "default": "full"}}
    key = _NOT_EMPTY | {"maxLength": graph.IDEMPOTENCY_KEY_LENGTH_MAX}
    accepted = {"202": {"description": "Accepted; Location leads to the operation"}}
    responses = accepted | _refusals("GraphError", _GRAPH_REFUSALS | _UNSUPPORTED)
    body = {"required": True, **_content(_object(asked | attributes, required=asked))}
    operation = _graph_operation(f"{stem}/{action}", about, [_parameter("Idempotency-Key", "header", key)], responses)
    return operation | {"requestBody": body}


# --- Partner Center v1 -------------------------------------------------------------------------------------------

_V1_REFUSALS: Final = {
    **_CALLER,
    400: "A parameter or token is wrong or missing; the description names it",
    404: "No such resource",
    405: "Line items can only be read",
    406: "The caller does not accept application/json",
    413: "The address or headers are too long",
    500: "The service failed; the request id leads its operator to the cause",
    501: "A v1 API that is not served yet",
    503: _LATER,
}
_PROOF_HEADERS: Final = {
    v1.ETAG_HEADER: {"schema": _TEXT, "description": "What the revision of this walk contains."},
    v1.LINE_ITEM_COUNT_HEADER: {"schema": _TEXT, "description": "The number of line items of the whole walk."},
    v1.TOTALS_HEADER: {"schema": _TEXT, "description": "Currency and exact totals of the walk, as JSON."},
}


def v1_paths() -> Json:
    """Return the path items of the v1 routes. Names and values are compared case-blind; each is shown once."""
    by_path = v1.LINE_ITEMS_PATH + "/{provider}/{invoicelineitemtype}"
    about = "Unbilled line items, page by page"
    return {
        v1.LINE_ITEMS_PATH: {"get": _v1_operation("v1_unbilled_line_items", about, "query")},
        by_path: {"get": _v1_operation("v1_unbilled_line_items_by_path", f"{about}; the older form", "path")},
    }


def _v1_operation(operation_id: str, about: str, where: str) -> Json:
    refusals = _refusals("V1Error", _V1_REFUSALS)
    throttled = {"description": "Too many requests; Retry-After says when to go on", **_content(_schema("V1Throttled"))}
    page = {"description": "A page, empty where nothing is published", **_content(_schema("V1Page"))}
    return {
        "tags": ["Partner Center v1"],
        "summary": about,
        "operationId": operation_id,
        "security": [{"bearer": []}],
        "parameters": _v1_parameters(where),
        "responses": {"200": page | {"headers": _PROOF_HEADERS}, "429": throttled, **refusals},
    }


def _v1_parameters(where: str) -> list[Json]:
    size = {"type": "integer", "minimum": 1, "default": PAGE_LINE_ITEMS_MAX}
    token = _NOT_EMPTY | {"maxLength": CONTINUATION_LENGTH_MAX, "pattern": "^[A-Za-z0-9_-]+$"}
    providers = {"type": "string", "enum": ["onetime", "all", "marketplace"]}
    types = {"type": "string", "enum": ["billinglineitems", "usagelineitems"]}
    seek, echoed = {"type": "string", "enum": ["Next"]}, "Comes back with the answer."
    return [
        _parameter("provider", where, providers, required=True),
        _parameter("invoicelineitemtype", where, types, required=True),
        _parameter("currencycode", "query", _CURRENCY, required=True),
        _parameter("period", "query", {"type": "string", "enum": ["current", "previous"]}, required=True),
        _parameter("size", "query", size, about=f"More than {PAGE_LINE_ITEMS_MAX} counts as {PAGE_LINE_ITEMS_MAX}."),
        _parameter("seekOperation", "query", seek, about=f"Needs {CONTINUATION_HEADER}."),
        _parameter("hasPartnerEarnedCredit", "query", {"type": "boolean"}, about="For onetime usage only."),
        _parameter(CONTINUATION_HEADER, "header", token, about="The token of the page before."),
        _parameter("MS-RequestId", "header", _TEXT, about=echoed),
        _parameter("MS-CorrelationId", "header", _TEXT, about=echoed),
        _parameter("MS-Contract-Version", "header", {"type": "string", "enum": ["v1"]}),
        _parameter("X-Locale", "header", _TEXT),
    ]


# --- blobs, tokens, health ---------------------------------------------------------------------------------------

_BLOB_ANSWERS: Final = {
    200: "The whole blob",
    206: "The range that was asked for",
    304: "The caller already has this blob",
    400: "The path cannot be that of a blob",
    403: "The link is not signed, not for this blob, or too old",
    404: "No such blob",
    405: "Only GET and HEAD are served",
    412: "The blob is not the one that If-Match names",
    413: "The address or the headers are too long",
    416: "The range is beyond the end",
}


def _blob_paths() -> Json:
    name = "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$"
    parameters = [
        _parameter("partner", "path", {"type": "string", "pattern": f"^{GUID_PATTERN}$"}),
        _parameter("revision", "path", {"type": "string", "pattern": "^[0-9a-f]{32}$"}),
        _parameter("attributes", "path", {"type": "string", "enum": [*AttributeSet]}),
        _parameter("name", "path", {"type": "string", "pattern": name}),
        *(_parameter(name, "query", _NOT_EMPTY, required=True) for name in LINK_PARAMETERS),
        *(_parameter(name, "header", _TEXT) for name in ("Range", "x-ms-range", "If-Match", "If-None-Match")),
    ]
    responses: Json = {}
    for status, about in _BLOB_ANSWERS.items():
        media_type = blob_storage.CONTENT_TYPE if status < 300 else blob_storage.XML_CONTENT_TYPE
        responses[str(status)] = {"description": about} | ({} if status == 304 else _content(_TEXT, media_type))
    operation = {"tags": ["Blobs"], "parameters": parameters, "responses": responses}
    about = "a gzip file of line items by its signed link, wholly or a range of it"
    return {
        "/blobs/{partner}/{revision}/{attributes}/{name}": {
            "get": operation | {"summary": f"Download {about}", "operationId": "blob_get"},
            "head": operation | {"summary": f"Describe {about}", "operationId": "blob_head"},
        }
    }


def _authority_paths() -> Json:
    tenant = _parameter("tenant", "path", {"type": "string", "format": "uuid"}, about="The partner's tenant id.")
    too_much = {413: "The body, address or headers are too long.", 503: f"{_LATER}."}
    wrong_form = {
        400: "The form, tenant or audience is wrong; `error` says which.",
        401: "`invalid_client`: no such client, or not this secret.",
        429: "Too many wrong secrets; see `Retry-After`.",
    }

    def operation(operation_id: str, about: str, answer: Json, refused: Mapping[int, str]) -> Json:
        found = {"200": {"description": "Found", **_content(answer)}}
        responses = found | _refusals("Error", {**refused, **too_much})
        shared = {"tags": ["tokens"], "parameters": [tenant], "responses": responses}
        return shared | {"summary": about, "operationId": operation_id}

    def token(operation_id: str, target: str, about: str) -> Json:
        summary = f"Get a token by client credentials; a {target} names the audience"
        grant = {"grant_type": {"type": "string", "enum": ["client_credentials"]}}
        secret = _NOT_EMPTY | {"description": "Or leave out id and secret, and send them in a Basic header."}
        form = grant | {"client_id": _NOT_EMPTY, "client_secret": secret, target: _NOT_EMPTY | {"description": about}}
        body = {"required": True, **_content(_object(form), oauth.FORM_TYPE)}
        return {"post": operation(operation_id, summary, _schema("Token"), wrong_form) | {"requestBody": body}}

    def read(operation_id: str, about: str) -> Json:
        return {"get": operation(operation_id, about, {}, {400: "The tenant is not a GUID."})}

    discovery, keys = "The discovery document of the authority", "The public keys of the authority"
    return {
        "/{tenant}/oauth2/v2.0/token": token("token_for_scope", "scope", "The audience, followed by `/.default`."),
        "/{tenant}/oauth2/token": token("token_for_resource", "resource", "The audience."),
        "/{tenant}/v2.0/.well-known/openid-configuration": read("discovery", discovery),
        "/{tenant}/.well-known/openid-configuration": read("discovery_v1", f"{discovery}, in the older form"),
        "/{tenant}/discovery/v2.0/keys": read("keys", keys),
        "/{tenant}/discovery/keys": read("keys_v1", f"{keys}, at the older address"),
    }


def _health_paths() -> Json:
    refused = {400: "The Host header names another host", 413: "The address or headers are too long"}

    def read(operation_id: str, about: str, more: Mapping[int, str]) -> Json:
        good = {"200": {"description": "Yes", **_content(_schema("Status"))}}
        responses = good | _refusals("Error", {**refused, **more})
        return {"get": {"tags": ["Health"], "summary": about, "operationId": operation_id, "responses": responses}}

    return {
        "/healthz": read("healthz", "Whether the process is up", {}),
        "/readyz": read("readyz", "Whether requests can be served", {503: "The catalog does not answer"}),
    }
