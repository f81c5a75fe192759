"""The pages for people: `/` says what this is and how to sign in, `/docs` what is answered, with forms to try it.

Everything a page loads comes from here. The trap: who reads `/` may be anybody, so only a development server says there
what is published, and for whom.
"""

from __future__ import annotations

import html
from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

from counterfoil.model import Dataset
from counterfoil.server.openapi import Json, resolved
from counterfoil.server.sample_calls import export_call, page_call, token_call
from counterfoil.storage.catalog_rows import Revision
from counterfoil.wire.graph_paths import EXPORT_ACTIONS

POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'"
_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1b1b}"
    "code,pre,output{font:14px/1.5 ui-monospace,monospace;overflow-wrap:anywhere}"
    "output[hidden]{display:none!important}td code{white-space:nowrap}"
    "pre,output{display:block;background:#f4f4f2;padding:.7rem;white-space:pre-wrap;border-radius:4px}"
    "h2{margin-top:2.2rem;border-bottom:1px solid #ccc}details{margin:.5rem 0}summary{cursor:pointer}"
    "summary b{display:inline-block;width:4rem}table{border-collapse:collapse}td,th{padding:.2rem .8rem .2rem 0;"
    "text-align:left;vertical-align:top}td.n{text-align:right}label{display:block;margin:.3rem 0}"
    "label code{display:inline-block;min-width:14rem}input,textarea{font:14px ui-monospace,monospace;width:22rem}"
    "textarea{height:4rem}small{color:#555}"
)
_CENT: Final = Decimal("0.01")
_TITLES: Final = {"tokens": "Sign in"}
_ORDER: Final = ("tokens", "Microsoft Graph", "Partner Center v1", "Blobs", "Health")
_VALUES: Final = {
    "provider": "onetime",
    "invoicelineitemtype": "usagelineitems",
    "currencycode": "EUR",
    "currencyCode": "EUR",
    "period": "current",
    "billingPeriod": "current",
    "size": "2",
    "invoiceId": "G016907411",
    "attributeSet": "full",
    "grant_type": "client_credentials",
    "client_id": "my-importer",
    "client_secret": "...",
    "scope": "https://graph.microsoft.com/.default",
    "resource": "https://graph.microsoft.com",
}


def first_page(url: str, published: Iterable[tuple[Dataset, Revision]], *, development: bool) -> str:
    """Return the page at `/`. What is `published` is shown by a development server only."""
    about = (
        "<h1>Counterfoil</h1><p>This server gives out partner billing data in the APIs that Microsoft Graph and "
        f"Partner Center speak. It is at <code>{html.escape(url)}</code>.</p><ul>"
        '<li><a href="/docs">What is answered, with forms to try it</a></li>'
        '<li><a href="/openapi.json">The same as an OpenAPI document</a></li>'
        '<li><a href="/healthz">Whether it is up</a>, <a href="/readyz">and ready</a></li></ul>'
        "<h2>Sign in</h2><p>Ask for a token with the client id and secret that the operator of this server gave you; "
        "the tenant is your own.</p>"
    )
    call = token_call(url, "TENANT", "graph").replace("anyone", "CLIENT_ID").replace("anything", "SECRET")
    parts = [about, _block(call)]
    if development:
        parts.append(
            "<h2>Development</h2><p>This is a development server: any client id and secret get a token. It can be "
            "controlled: <code>/_counterfoil/</code>, for programs on this machine.</p>"
        )
        parts += _published(url, list(published))
    return _page("Counterfoil", "".join(parts))


def _published(url: str, published: list[tuple[Dataset, Revision]]) -> Iterable[str]:
    if not published:
        yield "<p>Nothing is published yet.</p>"
        return
    yield "<table><tr><th>Partner<th>Line items of<th>Count<th>Total<th></tr>"
    for dataset, revision in published:
        name, total = list(revision.contents.plain_totals().items())[-1]
        shown_total = f"{Decimal(total).quantize(_CENT, ROUND_HALF_EVEN):,}"
        yield (
            f"<tr><td><code>{html.escape(dataset.partner)}</code><td>{html.escape(f'{dataset.kind}, {dataset.scope}')}"
            f'<td class="n">{revision.contents.line_items:,}<td class="n" title="{html.escape(total)}">{shown_total} '
            f"{html.escape(revision.contents.currency)}<td><small>{name}</small></tr>"
        )
    yield "</table><h2>Paste these</h2>"
    datasets = [dataset for dataset, _ in published]
    unbilled = [dataset for dataset in datasets if not dataset.scope.is_billed]
    shown = (unbilled or datasets)[0]
    calls = [f"TOKEN=$({token_call(url, shown.partner, 'graph')})", export_call(url, shown)]
    if unbilled:
        calls.append(page_call(url, shown, f"$({token_call(url, shown.partner, 'partner-center')})"))
    yield from map(_block, calls)


def docs_page(described: Json) -> str:
    """Return the page at `/docs`: one entry for each operation, whatever its spellings, with an example and a form."""
    groups: dict[str, dict[tuple[str, str], list[str]]] = defaultdict(lambda: defaultdict(list))
    operations: dict[tuple[str, str], Json] = {}
    for path, item in described["paths"].items():
        for method, operation in item.items():
            key = method, _canonical(path)
            operations.setdefault(key, operation)
            groups[operation["tags"][0]][key].append(path)
    head = (
        "<h1>Counterfoil</h1><p>What this server answers, by API; "
        '<a href="/openapi.json">the same as an OpenAPI document</a>, and <a href="/">how to sign in</a>.</p>'
        '<form id="sign-in"><p>To try it, sign in:</p>'
        '<label><code>tenant</code> <input name="tenant" required></label>'
        '<label><code>client id</code> <input name="client" required></label>'
        '<label><code>secret</code> <input name="secret" type="password" required></label>'
        "<button>Sign in</button><output hidden></output></form>"
    )
    parts = [head]
    for tag in sorted(groups, key=lambda tag: _ORDER.index(tag) if tag in _ORDER else len(_ORDER)):
        parts.append(f"<h2>{html.escape(_TITLES.get(tag, tag))}</h2>")
        parts += [_entry(described, *key, paths, operations[key]) for key, paths in groups[tag].items()]
    return _page("Counterfoil: what is answered", "".join(parts) + '<script src="/docs.js"></script>')


def _canonical(path: str) -> str:
    """Return the one path by which an operation goes, of all spellings that have it."""
    stem, _, last = path.replace("/beta/", "/v1.0/", 1).rpartition("/")
    return f"{stem}/export" if last in EXPORT_ACTIONS else f"{stem}/{last}"


def _entry(described: Json, method: str, path: str, paths: list[str], operation: Json) -> str:
    shown = path if path in paths else paths[0]
    others = "".join(f"<br><code>{html.escape(other)}</code>" for other in paths if other != shown)
    also = f"<p><small>Answers at these too:{others}</small></p>" if others else ""
    answers = "".join(
        f"<tr><td>{status}<td>{html.escape(resolved(described, answer).get('description', ''))}</tr>"
        for status, answer in operation["responses"].items()
    )
    fields = [_field(resolved(described, each)) for each in operation.get("parameters", [])]
    body = resolved(described, operation.get("requestBody", {})).get("content", {})
    for media_type, content in body.items():
        text = html.escape(_example(media_type, content["schema"]))
        fields.append(
            f'<label><code>body</code> <small>{html.escape(media_type)}</small><br><textarea name="body" '
            f'data-in="body" data-type="{html.escape(media_type)}">{text}</textarea></label>'
        )
    signed = ' data-signed="yes"' if operation.get("security") else ""
    form = "" if method == "head" else (
        f'<form class="try" data-method="{method.upper()}" data-path="{html.escape(shown)}"{signed}>'
        f"{''.join(fields)}<button>Try it</button><output hidden></output></form>"
    )  # fmt: skip
    return (
        f"<details><summary><b>{method.upper()}</b> <code>{html.escape(shown)}</code><br>"
        f"{html.escape(operation['summary'])}</summary>{form}<table>{answers}</table>{also}</details>"
    )


def _field(parameter: Json) -> str:
    name, required = html.escape(parameter["name"]), parameter.get("required")
    about = html.escape(parameter.get("description", ""))
    choices = ", ".join(map(str, parameter["schema"].get("enum", ())))
    told = " ".join(filter(None, ["required" if required else "", html.escape(choices), about]))
    value = html.escape(_VALUES.get(parameter["name"], "")) if required or parameter["name"] == "size" else ""
    must = " required" if required else ""
    return (
        f'<label><code>{name}</code> <input name="{name}" data-in="{parameter["in"]}" value="{value}"{must}> '
        f"<small>{told}</small></label>"
    )


def _example(media_type: str, schema: Mapping[str, Any]) -> str:
    """Return a body that is good, made of what is required."""
    names = schema.get("required", schema["properties"])
    values = {name: _VALUES.get(name, "") for name in names}
    if media_type.endswith("json"):
        return "{" + ", ".join(f'"{name}": "{value}"' for name, value in values.items()) + "}"
    return "&".join(f"{name}={value}" for name, value in values.items())


def _block(text: str) -> str:
    return f"<pre>{html.escape(text)}</pre>"


def _page(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>{body}'
    )
