"""Schemathesis on the server's own OpenAPI document: whatever is asked, the answer is one that is documented.

Documented are status, content type and shape; never a 5xx. Half of what it asks about is real: ids, paths and links
of things that exist are mixed into what it makes up. Always the same requests; `make soak` asks many more.
"""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit
from urllib.request import urlopen

import pytest

from counterfoil.generator import generate
from counterfoil.model import Kind, Scope
from counterfoil.periods import BillingPeriod
from counterfoil.server.log_lines import LogLine
from counterfoil.testing import PARTNER, Server
from tests.end_to_end.fetching import LINE_ITEMS, Fetcher

CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
]
INVOICE = "G016907411"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    month = Scope.unbilled(BillingPeriod(2026, 11), "EUR")
    with Server(now="2026-11-21") as server:
        for kind in Kind:
            server.publish(generate(kind, 100, special=True, partner=PARTNER, scope=month), period="2026-11")
            server.publish(generate(kind, 100, special=True, partner=PARTNER, scope=Scope.billed(INVOICE)))
        yield server


def real_values(server: Server) -> dict[str, list[str]]:
    """Values of parameters that lead to something, by the parameter's place and name."""
    fetch = Fetcher(server)
    with fetch.client as client:
        succeeded, failed = fetch.export("usage"), fetch.export("usage", invoice="GNODATA")
        query = "provider=onetime&invoicelineitemtype=usagelineitems&currencycode=EUR&period=current&size=30"
        page = client.get(f"{LINE_ITEMS}?{query}", headers=fetch.center).json()
    manifest = succeeded["resourceLocation"]
    _, _, partner, revision, attributes = urlsplit(manifest["rootDirectory"]).path.split("/")
    [name] = [blob["name"] for blob in manifest["blobs"]]
    return {
        "path.id": [succeeded["id"], failed["id"], manifest["id"]],
        "path.tenant": [PARTNER],
        "path.partner": [partner],
        "path.revision": [revision],
        "path.attributes": [attributes],
        "path.name": [name],
        "header.Range": ["bytes=0-99", "bytes=-1", "bytes=99999999-", "bytes=5-1", "bytes=0-1,3-4"],
        "header.x-ms-range": ["bytes=0-99", "bytes=99999999-"],
        "header.MS-ContinuationToken": [page["continuationToken"]],
        "query.currencycode": ["EUR"],
        "body.scope": ["https://graph.microsoft.com/.default", "api://counterfoil/.default"],
        "body.resource": ["https://graph.microsoft.com", "api://counterfoil"],
        "body.client_id": ["some-tool"],
        "body.client_secret": ["any"],
        "body.invoiceId": [INVOICE],
        "body.currencyCode": ["EUR"],
    } | {f"query.{name}": [value] for name, value in parse_qsl(manifest["sasToken"])}


def configured(server: Server, folder: Path) -> Path:
    """Write schemathesis' configuration."""
    settings = ['[generation]\ndeterministic = true\ndatabase = "none"\n']
    bound: list[str] = []
    for number, (parameter, values) in enumerate(real_values(server).items()):
        settings.append(f"[dictionaries.real{number}]\nvalues = {json.dumps(values)}\n")
        likely = 0.95 if parameter.startswith(("path.", "query.s", "body.")) else 0.5
        bound.append(f'"{parameter}" = {{ dictionary = "real{number}", probability = {likely} }}')
    settings.append("[parameters]\n" + "\n".join(bound) + "\n")
    tokens = {
        "/(v1[.]0|beta)/": f"Bearer {server.token()}",
        "/v1/": f"Bearer {server.token('partner-center')}",
        "/(blobs|healthz|readyz|[{])": "",  # said, because schemathesis would carry the last one over
    }
    for prefix, token in tokens.items():
        settings.append(
            f'[[operations]]\ninclude-path-regex = "^{prefix}"\nheaders = {{ Authorization = "{token}" }}\n'
        )
    path = folder / "schemathesis.toml"
    path.write_text("\n".join(settings), encoding="utf-8")
    return path


@pytest.mark.parametrize("examples", [5, pytest.param(150, marks=pytest.mark.soak)])
def test_every_answer_is_one_that_is_documented(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture, examples: int
) -> None:
    caplog.set_level(logging.INFO, "counterfoil.access")
    report = tmp_path / "report.json"
    command: list[Any] = [Path(sys.executable).parent / "schemathesis", "--config-file", configured(server, tmp_path)]
    command += ["run", f"{server.url}/openapi.json", "--checks", ",".join(CHECKS), "--max-examples", examples]
    command += ["--phases", "coverage,fuzzing,stateful", "--continue-on-failure", "--no-shrink"]
    command += ["--report", "json", "--report-json-path", report]
    done = subprocess.run([str(word) for word in command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
    told = json.loads(report.read_bytes())
    assert told["operations"]["tested"] == told["operations"]["total"] > 60
    # Refusals alone would prove little: every route was also asked for what it grants.
    logged = [cast("LogLine", record.msg).facts for record in caplog.records if record.name == "counterfoil.access"]
    granted = {f"{each['method']} {each['path']}" for each in logged if str(each["status"]).startswith("2")}
    document = json.loads(urlopen(f"{server.url}/openapi.json").read())
    for path, item in document["paths"].items():
        pattern = re.compile("[^/]+".join(map(re.escape, re.split(r"\{\w+\}", path))))
        for method, operation in item.items():
            if not any(status.startswith("2") for status in operation["responses"]):
                continue  # it grants nothing, and says so
            called = (line.removeprefix(f"{method.upper()} ") for line in granted)
            assert any(pattern.fullmatch(each) for each in called), f"{method} {path} was never granted"
