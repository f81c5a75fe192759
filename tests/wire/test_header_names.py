"""Every header that the server sends goes out as Microsoft writes it, and none is missing from the table."""

from __future__ import annotations

import re

import pytest

from counterfoil.testing import PARTNER, Server
from counterfoil.wire.header_names import spelled
from tests.server.raw_callers import connected

EXPORT = "/v1.0/reports/partners/billing/usage/billed/export"
PAGE = "/v1/invoices/unbilled/lineitems?provider=onetime&invoicelineitemtype=usagelineitems&currencycode=EUR"
SECRET = "grant_type=client_credentials&client_id=a&client_secret=b&scope=api://counterfoil/.default"


def heads(server: Server) -> dict[str, bytes]:
    """The heads of answers of every kind, as they are on the wire."""
    graph, v1 = server.headers()["Authorization"], server.headers("partner-center")["Authorization"]
    asked = {
        "export": ("POST", EXPORT, f"Authorization: {graph}\r\nContent-Type: application/json", '{"invoiceId":"G1"}'),
        "refused": ("GET", EXPORT, f"Authorization: {graph}", ""),
        "no token": ("GET", "/v1.0/reports/partners", "X: y", ""),
        "page": ("GET", PAGE, f"Authorization: {v1}\r\nAccept-Encoding: gzip", ""),
        "blob": (
            "GET",
            f"/blobs/{PARTNER}/{'0' * 32}/full/part-00000-{'0' * 32}.json.gz",
            "x-ms-version: 2021-08-06",
            "",
        ),
        "token": ("POST", f"/{PARTNER}/oauth2/v2.0/token", "Content-Type: application/x-www-form-urlencoded", SECRET),
        "openapi": ("GET", "/openapi.json", "Accept-Encoding: gzip", ""),
        "docs": ("GET", "/docs", "X: y", ""),
        "nothing": ("GET", "/nothing", "X: y", ""),
    }
    found = {}
    for name, (method, path, headers, body) in asked.items():
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n"
        with connected(server.url) as caller:
            caller.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
            read = b""
            while piece := caller.recv(65_536):
                read += piece
        found[name] = read.partition(b"\r\n\r\n")[0]
    return found


def test_names_go_out_as_microsoft_writes_them() -> None:
    with Server() as server:
        found = heads(server)
    assert re.search(rb"^Location: http", found["export"], re.MULTILINE)
    assert re.search(rb"^Retry-After: \d", found["export"], re.MULTILINE)
    assert re.search(rb"^request-id: ", found["export"], re.MULTILINE)
    assert re.search(rb"^x-ms-error-code: AuthenticationFailed", found["blob"], re.MULTILINE)
    assert re.search(rb"^Allow: POST", found["refused"], re.MULTILINE)
    assert re.search(rb"^WWW-Authenticate: Bearer", found["no token"], re.MULTILINE)
    assert re.search(rb"^MS-CorrelationId: ", found["page"], re.MULTILINE)
    assert re.search(rb"^Content-Encoding: gzip", found["openapi"], re.MULTILINE)
    for name, head in found.items():
        for line in head.split(b"\r\n")[1:]:
            sent = line.partition(b":")[0]
            assert spelled(sent.lower()) == sent, f"{name}: {sent!r}"
            assert sent.startswith((b"x-ms-", b"request-id", b"client-request-id")) or sent[:1].isupper(), sent


@pytest.mark.parametrize("name", [b"x-of-somebody-else", b"X-Own", b""])
def test_a_name_that_is_not_ours_goes_out_as_it_came(name: bytes) -> None:
    assert spelled(name) == name
