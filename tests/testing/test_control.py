"""Control of a development server over HTTP: reset, publish, travel, fail, snapshots and the journal of requests."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from starlette.types import Scope

from counterfoil.errors import ForbiddenError, MissingError, UsageError
from counterfoil.testing import PARTNER, Server
from counterfoil.testing.control_requests import refuse_strangers
from counterfoil.testing.request_journal import BODY_BYTES_MAX, RequestJournal
from counterfoil.testing.snapshots import SNAPSHOTS_MAX

CONTROL = "/_counterfoil"
PAGE = "/v1/invoices/unbilled/lineitems?provider=onetime&invoicelineitemtype=usagelineitems&currencycode=EUR&period="
USAGE = {
    "PartnerId": PARTNER,
    "CustomerId": "c1",
    "UsageDate": "2026-11-01T00:00:00Z",
    "BillingPreTaxTotal": "0.1999968000511991808131",
    "BillingCurrency": "EUR",
}


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with Server(now="2026-11-21T12:00Z") as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    running.reset()
    return running


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as client:
        yield client


def published(server: Server, http: httpx.Client, period: str = "current") -> int:
    return len(http.get(PAGE + period, headers=server.headers("partner-center")).json()["items"])


def put(http: httpx.Client, name: str) -> httpx.Response:
    return http.put(f"{CONTROL}/snapshots/{name}")


def test_a_file_is_published_and_forgotten_again(server: Server, http: httpx.Client) -> None:
    line = json.dumps(USAGE).encode()
    for number, body in enumerate((line, gzip.compress(line + b"\n" + line), b"[" + line + b"," + line + b"]"), 1):
        answer = http.post(f"{CONTROL}/publish", params={"period": "2026-11", "segment": f"s{number}"}, content=body)
        assert answer.status_code == 201, answer.text
    [receipt] = answer.json()["published"]
    assert (receipt["lineItems"], receipt["partner"], receipt["period"]) == (5, PARTNER, "2026-11")
    assert receipt["totals"] == {"BillingPreTaxTotal": "0.9999840002559959040655"}
    assert published(server, http)
    [dataset] = http.get(f"{CONTROL}/").json()["datasets"]
    assert (dataset["kind"], dataset["lineItems"], dataset["eTag"]) == ("usage", 5, receipt["eTag"])
    assert http.post(f"{CONTROL}/reset").json()["datasets"] == []
    assert published(server, http) == 0


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("POST", "/publish?period=2026-11", b"", 400, "body is empty"),
        ("POST", "/publish?period=2026-11", b'{"PartnerId": 1', 400, "the body, line 1"),
        ("POST", "/publish?month=2026-11", b"x", 400, "no parameter 'month'"),
        ("POST", "/publish?period=2026-11&period=2026-12", b"x", 400, "given twice"),
        ("POST", "/publish?period=2026-13", b"x", 400, "not a billing period"),
        ("POST", "/publish?kind=bills", b"x", 400, "bills"),
        ("POST", "/publish?partner=contoso", b"x", 400, "not a tenant id"),
        ("POST", "/travel", b"{}", 400, "no member 'to'"),
        ("POST", "/travel", b'{"to": "next month"}', 400, "is not a time. Write it as"),
        ("POST", "/travel", b'{"to": 5}', 400, "is not a time"),
        ("POST", "/travel", b'{"to": null, "zone": "UTC"}', 400, "unknown here. There is to"),
        ("POST", "/travel", b"to=now", 400, "not JSON"),
        ("POST", "/delay", b'{"seconds": true}', 400, "must be a number"),
        ("POST", "/delay", b'{"seconds": NaN}', 400, "delay"),
        ("POST", "/faults", b'{"fault": "throtled"}', 400, "Did you mean throttled"),
        ("POST", "/faults", b'{"times": 2}', 400, "is not a fault"),
        ("POST", "/faults", b"[1]", 400, "no JSON object"),
        ("PUT", "/snapshots/a%2Fb", b"", 404, "no such control"),
        ("PUT", "/snapshots/.x", b"", 400, "cannot name a snapshot"),
        ("POST", "/snapshots/never/load", b"", 404, "no snapshot 'never'"),
        ("DELETE", "/snapshots/never", b"", 404, "no snapshot 'never'"),
        ("GET", "/requests?kind=blobs", b"", 400, "not a kind of request. Choose from token"),
        ("GET", "/requests?after=-1", b"", 400, "whole number"),
        ("GET", "/elsewhere", b"", 404, "GET /_counterfoil/ lists all"),
        ("GET", "/reset", b"", 405, "Use POST"),
        ("PATCH", "/faults", b"", 405, "Use"),
    ],
)
def test_what_cannot_be_done_is_told(
    http: httpx.Client, method: str, path: str, body: bytes, status: int, said: str
) -> None:
    answer = http.request(method, CONTROL + path, content=body)
    assert (answer.status_code, said in answer.json()["error"]["message"]) == (status, True), answer.text
    assert "counterfoil-body" not in answer.text
    assert "/tmp" not in answer.text


def test_time_and_delay_are_set_and_the_present_comes_back(server: Server, http: httpx.Client) -> None:
    server.publish(USAGE, period="2026-11")
    assert http.post(f"{CONTROL}/travel", json={"to": "2026-12-02"}).json()["now"].startswith("2026-12-02T00:00")
    assert [published(server, http), published(server, http, "previous")] == [0, 1]
    http.post(f"{CONTROL}/travel", json={"to": None}).raise_for_status()
    assert abs((server.control.now - server.control.service.clocks.wall()).total_seconds()) < 60
    http.post(f"{CONTROL}/delay", json={"seconds": 600}).raise_for_status()
    body = {"currencyCode": "EUR", "billingPeriod": "current"}
    path = "/v1.0/reports/partners/billing/usage/unbilled/export"
    accepted = http.post(path, json=body, headers=server.headers())
    assert http.get(accepted.headers["location"], headers=server.headers()).json()["status"] == "running"


def test_faults_strike_are_counted_and_healed(server: Server, http: httpx.Client) -> None:
    server.publish(USAGE, period="2026-11")
    assert http.post(f"{CONTROL}/faults", json={"fault": "throttled", "on": "page", "times": 1}).status_code == 201
    plan = {"rules": [{"fault": "throttled", "on": ["token"], "times": 1}]}
    http.post(f"{CONTROL}/faults", json=plan).raise_for_status()
    statuses = [http.get(PAGE + "current", headers=server.headers("partner-center")).status_code for _ in range(2)]
    assert statuses == [429, 200]
    assert http.get(f"{CONTROL}/faults").json() == {"struck": {"throttled": 1}}
    struck, served = server.requests
    assert ([struck.status, struck.faults], [served.status, served.faults]) == ([429, ["throttled"]], [200, []])
    assert http.delete(f"{CONTROL}/faults").status_code == 204
    assert http.get(f"{CONTROL}/faults").json() == {"struck": {}}


def test_a_snapshot_brings_data_operations_and_time_back(server: Server, http: httpx.Client) -> None:
    server.publish(USAGE, period="2026-11")
    body = {"currencyCode": "EUR", "billingPeriod": "current"}
    path = "/v1.0/reports/partners/billing/usage/unbilled/export"
    operation = http.post(path, json=body, headers=server.headers()).headers["location"]
    token = server.headers()
    assert put(http, "november").status_code == 201
    server.travel("2027-01-01")
    server.publish(USAGE, USAGE, period="2026-11")
    for _ in range(2):  # as often as you like
        http.post(f"{CONTROL}/reset").raise_for_status()
        assert published(server, http) == 0
        assert http.post(f"{CONTROL}/snapshots/november/load").status_code == 200
        assert published(server, http) == 1
        manifest = http.get(operation, headers=token).json()["resourceLocation"]
        link = f"{manifest['rootDirectory']}/{manifest['blobs'][0]['name']}?{manifest['sasToken']}"
        [line] = gzip.decompress(http.get(link).content).splitlines()
        assert json.loads(line)["CustomerId"] == "c1"
    assert [each["name"] for each in http.get(f"{CONTROL}/snapshots").json()["snapshots"]] == ["november"]
    server.save_snapshot("november")  # one of that name takes its place
    assert http.delete(f"{CONTROL}/snapshots/november").status_code == 204
    with pytest.raises(MissingError):
        server.load_snapshot("november")


def test_there_is_a_bound_on_snapshots(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("counterfoil.testing.control.SNAPSHOTS_MAX", 1)
    assert SNAPSHOTS_MAX > 1
    server.save_snapshot("one")
    with pytest.raises(UsageError, match="already"):
        server.save_snapshot("two")
    server.control.forget_snapshot("one")


def test_a_download_in_progress_outlives_a_reset(server: Server) -> None:
    """Whoever is being answered is answered from the folder that it began with."""
    server.publish([USAGE | {"Tags": "x" * 1000} for _ in range(50)], period="2026-11")
    epoch = server.control._epoch
    assert epoch is not None
    assert epoch.enter()
    before = server.data
    server.reset()
    assert before.exists()
    epoch.leave()
    assert not before.exists()


def test_the_journal_tells_what_was_asked_and_answered_without_secrets(server: Server, http: httpx.Client) -> None:
    form = {"grant_type": "client_credentials", "client_id": "importer", "client_secret": "s3cret&=%"}
    token_path = f"/{PARTNER}/oauth2/v2.0/token"
    scope = {"scope": "https://graph.microsoft.com/.default"}
    token = http.post(token_path, data=form | scope).json()["access_token"]
    server.publish(USAGE, period="2026-11")
    headers = {"Authorization": f"Bearer {token}", "Cookie": "session=s3cret", "X-Mine": "yes"}
    path = "/v1.0/reports/partners/billing/usage/unbilled/export"
    location = http.post(path, json={"currencyCode": "EUR", "billingPeriod": "current"}, headers=headers).headers
    manifest = http.get(location["location"], headers=headers).json()["resourceLocation"]
    link = f"{manifest['rootDirectory']}/{manifest['blobs'][0]['name']}?{manifest['sasToken']}"
    size = len(http.get(link).content)
    kinds = [entry.kind for entry in server.requests]
    assert kinds == ["token", "submit", "operation", "blob"]
    _, submit, operation, blob = server.requests
    assert (submit.method, submit.path, submit.status, submit.sent_token) == ("POST", path, 202, True)
    assert json.loads(submit.body) == {"currencyCode": "EUR", "billingPeriod": "current"}
    assert submit.headers["x-mine"] == "yes"
    assert operation.sent_token
    assert (blob.sent_token, blob.size_bytes, blob.query["sig"]) == (False, size, "***")
    shown = http.get(f"{CONTROL}/requests").text
    signature = dict(pair.split("=", 1) for pair in manifest["sasToken"].split("&"))["sig"]
    for secret in (token, "s3cret", signature, httpx.QueryParams({"a": signature})["a"]):
        assert secret not in shown
        assert all(secret not in entry.line() for entry in server.requests)
    found: Any = http.get(f"{CONTROL}/requests", params={"kind": "blob,submit", "after": 1, "limit": 1}).json()
    assert ([each["number"] for each in found["requests"]], found["more"], found["seen"]) == ([2], True, 4)
    assert http.delete(f"{CONTROL}/requests").status_code == 204
    assert (len(server.requests), server.requests.seen) == (0, 0)


@pytest.mark.parametrize(
    "body",
    ['{"client_secret": "s3cret"}', '{"client_secret" : "s3cret", "x": 1}', "a=1&client_secret=s3cret", "sig=s3cret"],
)
def test_no_form_of_a_secret_gets_into_the_journal(server: Server, http: httpx.Client, body: str) -> None:
    http.post(f"/{PARTNER}/oauth2/v2.0/token", content=body + " " * BODY_BYTES_MAX)
    assert "s3cret" not in json.dumps(server.requests[-1].to_json())


def test_the_journal_is_bounded() -> None:
    journal = RequestJournal(entries_max=3)
    for number in range(5):
        journal.opened(scope_of(path=f"/{number}"))
    assert [(entry.number, entry.path) for entry in journal] == [(3, "/2"), (4, "/3"), (5, "/4")]
    assert (len(journal), journal.seen, journal[-1].path, [each.path for each in journal[:1]]) == (3, 5, "/4", ["/2"])


def scope_of(path: str = "/_counterfoil/", client: str = "127.0.0.1", **headers: str) -> Scope:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "client": (client, 5),
        "headers": pairs,
    }


@pytest.mark.parametrize(
    ("client", "headers", "is_open"),
    [
        ("127.0.0.1", {"host": "localhost:8080"}, True),
        ("127.0.0.1", {"host": "127.0.0.1"}, True),
        ("::1", {"host": "[::1]:80"}, True),
        ("::ffff:127.0.0.1", {"host": "LOCALHOST"}, True),
        ("127.0.0.1", {"host": "localhost", "sec_fetch_site": "none"}, True),
        ("172.17.0.1", {"host": "billing:8080"}, True),  # a name it is opened to
        ("172.17.0.1", {"host": "localhost:8080"}, False),
        ("10.0.0.7", {"host": "127.0.0.1"}, False),
        ("127.0.0.1", {"host": "attacker.example"}, False),
        ("127.0.0.1", {"host": "127.0.0.1.attacker.example"}, False),
        ("127.0.0.1", {"host": "localhost:x"}, False),
        ("127.0.0.1", {}, False),
        ("127.0.0.1", {"host": "localhost", "origin": "http://localhost:8080"}, False),
        ("127.0.0.1", {"host": "localhost", "origin": "null"}, False),
        ("127.0.0.1", {"host": "localhost", "origin": ""}, False),
        ("172.17.0.1", {"host": "billing", "origin": "https://attacker.example"}, False),
        ("127.0.0.1", {"host": "localhost", "sec_fetch_site": "cross-site"}, False),
        ("127.0.0.1", {"host": "localhost", "sec_fetch_site": "same-origin"}, False),
    ],
)
def test_control_is_for_programs_on_this_machine_or_by_a_name_it_is_opened_to(
    client: str, headers: dict[str, str], is_open: bool
) -> None:
    scope = scope_of(client=client, **headers)
    if is_open:
        refuse_strangers(scope, frozenset({"billing"}))
    else:
        with pytest.raises(ForbiddenError):
            refuse_strangers(scope, frozenset({"billing"}))


def test_a_web_page_controls_nothing(server: Server, http: httpx.Client) -> None:
    server.publish(USAGE, period="2026-11")
    for method, path in (("POST", "/reset"), ("GET", "/"), ("DELETE", "/requests"), ("PUT", "/snapshots/x")):
        answer = http.request(method, CONTROL + path, headers={"Origin": "http://evil.example"})
        assert answer.status_code == 403, answer.text
    assert published(server, http) == 1
