"""A source for tests, on a real socket: it speaks both APIs, notes every call, and misbehaves when it is told to."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import socket
import threading
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

BILLING = "/v1.0/reports/partners/billing"
TOKEN = "the-token-of-this-test"
ETAG = "0123456789abcdef0123456789abcdef"


@dataclass(frozen=True)
class Call:
    """One request as it arrived."""

    what: str
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Canned:
    """An answer given once, in place of the right one."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


def usage_line(number: int, **more: object) -> dict[str, Any]:
    return {
        "PartnerId": "0e195b37-4574-4539-bc42-0e539b9684c0",
        "CustomerId": f"customer-{number}",
        "UsageDate": "2026-11-05T00:00:00Z",
        "Quantity": _Number("24.0"),
        "BillingPreTaxTotal": _Number("0.1999968000511991808131"),
        "BillingCurrency": "EUR",
        **more,
    }


class _Number(float):
    """A number written with all its digits."""

    def __new__(cls, text: str) -> _Number:
        made = super().__new__(cls, text)
        made.text = text
        return made

    text: str

    def __repr__(self) -> str:
        return self.text


def number(text: str) -> float:
    return _Number(text)


def written(line: dict[str, Any]) -> bytes:
    parts = [
        f"{json.dumps(name)}:{value.text if isinstance(value, _Number) else json.dumps(value)}"
        for name, value in line.items()
    ]
    return ("{" + ",".join(parts) + "}").encode()


class HostileSource:
    """The state of one source. A test sets what it wants before it pulls."""

    def __init__(self) -> None:
        self.url = ""
        self.calls: list[Call] = []
        self.canned: dict[str, deque[Canned]] = defaultdict(deque)
        self.parts = [[written(usage_line(n)) for n in range(3)], [written(usage_line(n)) for n in range(3, 5)]]
        self.annotated = True
        self.manifest_form = "inline"
        self.statuses: list[str] = ["succeeded"]
        self.retry_after = "0"
        self.etag = ETAG
        self.expired: set[str] = set()  # blob names whose links are refused until they were renewed
        self.sas = 1
        self.manifest_changes: dict[str, Any] = {}
        self.blob_changes: dict[int, dict[str, Any]] = defaultdict(dict)
        self.blob_etag = ""  # with one, ranges are known
        self.cut_at: dict[str, int] = {}  # blob names whose next answer ends too early
        self.bodies: dict[str, bytes] = {}  # blob name -> what is sent in place of the right bytes
        self.failure = {"code": "5000", "message": "No data available"}
        self.page_items = 2
        self.page_changes: dict[int, dict[str, Any]] = defaultdict(dict)
        self.page_headers: dict[int, dict[str, str]] = defaultdict(dict)
        self.location = ""

    def calls_of(self, what: str) -> list[Call]:
        return [call for call in self.calls if call.what == what]

    @property
    def lines(self) -> list[bytes]:
        return [line for part in self.parts for line in part]

    def blob(self, index: int) -> tuple[str, bytes]:
        body = gzip.compress(b"".join(line + b"\n" for line in self.parts[index]), 1, mtime=0)
        return f"part-{index:05}-{hashlib.sha256(body).hexdigest()[:32]}.json.gz", body

    def totals(self) -> dict[str, str]:
        with localcontext(prec=60):
            values = [json.loads(line, parse_float=Decimal, parse_int=Decimal) for line in self.lines]
            amounts = [{name.lower(): amount for name, amount in each.items()} for each in values]
            total = sum((Decimal(each["billingpretaxtotal"]) for each in amounts), Decimal(0))
        return {"currency": "EUR", "BillingPreTaxTotal": format(total, "f")}

    def manifest(self) -> dict[str, Any]:
        blobs = []
        for index in range(len(self.parts)):
            name, body = self.blob(index)
            listed: dict[str, Any] = {"name": name, "partitionValue": "default"}
            if self.annotated:
                listed |= {
                    "@counterfoil.lineItemCount": len(self.parts[index]),
                    "@counterfoil.sizeBytes": len(body),
                    "@counterfoil.sha256": hashlib.sha256(body).hexdigest(),
                }
            blobs.append(listed | self.blob_changes[index])
        manifest: dict[str, Any] = {
            "id": "the-manifest",
            "eTag": self.etag,
            "partnerTenantId": "0e195b37-4574-4539-bc42-0e539b9684c0",
            "rootDirectory": f"{self.url}/blobs/root",
            "sasToken": f"sv=1&sig=secret{self.sas}",
            "blobCount": len(blobs),
            "blobs": blobs,
        }
        if self.annotated:
            manifest |= {"@counterfoil.lineItemCount": len(self.lines), "@counterfoil.totals": self.totals()}
        return manifest | self.manifest_changes

    def operation(self) -> dict[str, Any]:
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        body: dict[str, Any] = {"id": "the-operation", "status": status}
        if status == "failed":
            body["error"] = self.failure
        if status in ("succeeded", "completed"):
            link = f"{self.url}{BILLING}/manifests/the-manifest"
            places: dict[str, dict[str, Any]] = {
                "inline": {"resourceLocation": self.manifest()},
                "text": {"resourceLocation": link},
                "annotation": {"resourceLocation@odata.navigationLink": link},
                "id": {"resourceLocation": {"id": "the-manifest"}},
            }
            body |= places[self.manifest_form]
        return body

    def page(self, call: Call) -> Canned:
        token = call.headers.get("ms-continuationtoken", "")
        index = int(token.removeprefix("token-") or 0)
        start = index * self.page_items
        items = self.lines[start : start + self.page_items]
        body: dict[str, Any] = {"totalCount": len(items), "attributes": {"objectType": "Collection"}}
        links: dict[str, Any] = {"self": {"uri": "/invoices/unbilled/lineitems?x=1", "method": "GET", "headers": []}}
        if start + self.page_items < len(self.lines):
            token = f"token-{index + 1}"
            query = call.query.removesuffix("&seekOperation=Next")
            links["next"] = {
                "uri": f"/invoices/unbilled/lineitems?{query}&seekOperation=Next",
                "method": "GET",
                "headers": [{"key": "MS-ContinuationToken", "value": token}],
            }
            body["continuationToken"] = token
        body["links"] = links
        changes = self.page_changes[index]
        body |= changes
        body = {name: value for name, value in body.items() if value is not None}
        text = json.dumps(body)[:-1].encode() + b',"items":[' + b",".join(items) + b"]}"
        headers = {}
        if self.annotated:
            headers = {
                "Counterfoil-ETag": self.etag,
                "Counterfoil-Line-Item-Count": str(len(self.lines)),
                "Counterfoil-Totals": json.dumps(self.totals()),
            }
        return Canned(200, {"Content-Type": "application/json"} | headers | self.page_headers[index], text)

    def answer(self, call: Call) -> Canned:
        if self.canned[call.what]:
            return self.canned[call.what].popleft()
        match call.what:
            case "export":
                location = self.location or f"{self.url}{BILLING}/operations/the-operation"
                return Canned(202, {"Location": location})
            case "operation":
                body = self.operation()
                headers = {"Retry-After": self.retry_after} if body["status"] in ("running", "notStarted") else {}
                return Canned(200, headers | {"request-id": "request-7"}, json.dumps(body).encode())
            case "manifest":
                return Canned(200, {}, json.dumps(self.manifest()).encode())
            case "blob":
                return self._blob_answer(call)
            case "page":
                return self.page(call)
        return Canned(404, {}, b'{"error":{"code":"NotFound","message":"no such route"}}')

    def _blob_answer(self, call: Call) -> Canned:
        name = call.path.rpartition("/")[2]
        if name in self.expired and "sig=secret1" in call.query:
            self.sas = 2
            return Canned(403, {}, b"<Error><Code>AuthenticationFailed</Code><Message>expired</Message></Error>")
        right = dict(self.blob(index) for index in range(len(self.parts)))
        body = self.bodies.get(name, right.get(name, b""))
        headers = {"Set-Cookie": "crumb=1"} | ({"ETag": self.blob_etag} if self.blob_etag else {})
        if self.blob_etag and call.headers.get("if-match", self.blob_etag) != self.blob_etag:
            return Canned(412, headers, b"<Error><Code>ConditionNotMet</Code></Error>")
        if name in self.cut_at:
            length = {"Content-Length": str(len(body))}
            return Canned(200, headers | length, body[: self.cut_at.pop(name)])
        start = call.headers.get("range", "").removeprefix("bytes=").removesuffix("-")
        if start and self.blob_etag:
            span = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}
            return Canned(206, headers | span, body[int(start) :])
        return Canned(200, headers, body)


def _kind_of(path: str) -> str:
    if path.endswith("/export"):
        return "export"
    for what, mark in {"operation": "/operations/", "manifest": "/manifests/", "blob": "/blobs/"}.items():
        if mark in path:
            return what
    return "page" if path.endswith("/lineitems") else "other"


@contextmanager
def serving(source: HostileSource) -> Iterator[HostileSource]:
    """Serve a source on a free port of the loopback."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        call = Call(
            _kind_of(scope["path"]), scope["method"], scope["path"], scope["query_string"].decode(), headers, body
        )
        source.calls.append(call)
        answer = source.answer(call)
        sent = [(name.lower().encode(), value.encode()) for name, value in answer.headers.items()]
        sent += [(b"content-length", str(len(answer.body)).encode())] if "Content-Length" not in answer.headers else []
        await send({"type": "http.response.start", "status": answer.status, "headers": sent})
        await send({"type": "http.response.body", "body": answer.body})

    config = uvicorn.Config(
        app, lifespan="off", ws="none", http="h11", loop="asyncio", log_config=None, access_log=False
    )
    config.load()
    state = ServerState()
    loop, stop = asyncio.new_event_loop(), asyncio.Event()

    async def serve(listening: socket.socket) -> None:
        # Without uvicorn's own server, which naps a few tenths of a second before it stops.
        server = await loop.create_server(lambda: H11Protocol(config, state, {}), sock=listening)
        await stop.wait()
        server.close()
        for connection in list(state.connections):
            connection.transport.abort()

    def run(listening: socket.socket) -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve(listening))

    with socket.create_server(("127.0.0.1", 0)) as listening:
        # Else the end of an answer waits until the client has confirmed its beginning, which takes 40 ms.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        source.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread = threading.Thread(target=run, args=[listening])
        thread.start()
        try:
            yield source
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join()
