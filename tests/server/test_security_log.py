"""The log has a line for each sign-in and each refusal, a count of what it leaves out, and no secret ever."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import secrets
import time
from pathlib import Path

import jwt
import pytest

from counterfoil.server import security_log
from counterfoil.server.listening import Endpoint
from counterfoil.server.security_log import LINES_OF_ONE_ADDRESS_MAX, SECURITY_LOG, MalformedRequests
from counterfoil.server.web_server import running
from tests.server.asserting import Certified, asserted, post, registered
from tests.server.authority_house import OTHER, OWN, PARTNER, STRANGER, House, Http
from tests.server.linked_blob import Link
from tests.server.raw_callers import connected

FORM = {"grant_type": "client_credentials", "scope": f"{OWN}/.default"}
FACTS = re.compile(r'(\w+)=(".*"$|\S+)')


@pytest.fixture(autouse=True)
def _readable(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, SECURITY_LOG.name)


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, dict[str, str]]]:
    """Return what each line is about, and its facts."""
    lines = [record.getMessage() for record in caplog.records if record.name == SECURITY_LOG.name]
    caplog.clear()
    assert all(line.isprintable() for line in lines)
    return [(line.partition(":")[0], dict(FACTS.findall(line))) for line in lines]


def test_each_sign_in_leaves_a_line(real: House, caplog: pytest.LogCaptureFixture) -> None:
    client_id, secret = real.client_of()
    robot = registered(real, Certified.made("first"))
    Http(real.app, "192.0.2.7").post(
        f"/{PARTNER}/oauth2/v2.0/token",
        data=FORM | {"client_id": client_id, "client_secret": secret},
        headers={"client-request-id": "mine"},
    )
    post(real, asserted(Certified.made("first"), robot), tenant=PARTNER.upper(), peer="192.0.2.8")
    (what, first), (also, second) = told(caplog)
    assert what == also == "sign-in"
    assert first.items() >= {"peer": "192.0.2.7", "client": client_id, "tenant": PARTNER, "by": "secret"}.items()
    assert second.items() >= {"peer": "192.0.2.8", "client": robot, "tenant": PARTNER, "by": "assertion"}.items()


def test_each_refused_sign_in_leaves_a_line_under_the_id_that_the_caller_sees(
    real: House, caplog: pytest.LogCaptureFixture
) -> None:
    client_id, _ = real.client_of()
    for number in range(12):
        answer = real.post(client_id=client_id, client_secret=f"guess-{number}")
        [(what, facts)] = told(caplog)
        assert what == f"refused {401 if number < 10 else 429}"
        assert facts["request"] == answer.json()["trace_id"]
        assert facts.items() >= {"client": client_id, "tenant": PARTNER, "api": "oauth"}.items()
        assert facts["reason"][1:-1] in answer.json()["error_description"]
    real.post(client_id="tool", path="oauth2/token", tenant=STRANGER)
    [(what, facts)] = told(caplog)
    assert (facts["client"], facts["tenant"]) == ("-", STRANGER)


def test_each_refused_call_leaves_a_line_with_what_it_claims(real: House, caplog: pytest.LogCaptureFixture) -> None:
    client_id, secret = real.client_of()
    token = real.post(client_id=client_id, client_secret=secret).json()["access_token"]
    told(caplog)
    forged = jwt.encode({"tid": OTHER, "azp": client_id, "exp": 1}, "k" * 32, "HS256", headers={"kid": "k"})
    billing, lines = "/v1.0/reports/partners/billing", "/v1/invoices/unbilled/lineitems"
    for path, authorization, claimed in (
        (billing, "", ("-", "-")),
        (billing, "Bearer nonsense", ("-", "-")),
        (billing, f"Bearer {forged}", (client_id, OTHER)),
        (billing, f"Bearer {token[:-4]}AAAA", (client_id, PARTNER)),
        (lines, f"Bearer {token[:-4]}AAAA", (client_id, PARTNER)),
        (billing, "Bearer a.W10.b", ("-", "-")),
        (billing, "Bearer a.!.b", ("-", "-")),
    ):
        answer = real.http.request("GET", path, headers={"Authorization": authorization} if authorization else {})
        [(what, facts)] = told(caplog)
        assert (what, facts["client"], facts["tenant"]) == ("refused 401", *claimed)
        assert facts["request"] in (answer.headers.get("request-id"), answer.headers.get("ms-requestid"))
    real.catalog.remove_partner(PARTNER)
    gone = real.http.request("GET", lines, headers={"Authorization": f"Bearer {token}", "MS-RequestId": "mine"})
    [(what, facts)] = told(caplog)
    assert (gone.status_code, what, facts["request"], facts["tenant"]) == (403, "refused 403", "mine", PARTNER)


def test_each_refused_link_leaves_a_line(link: Link, caplog: pytest.LogCaptureFixture) -> None:
    for query in ("", link.token[:-1], f"{link.token}&x=1", link.token.replace("sp=rl", "sp=rw")):
        answer = link.place.client.get(f"{link.root}/{link.name}?{query}")
        [(what, facts)] = told(caplog)
        assert (what, facts["api"], facts["tenant"]) == ("refused 403", "storage", PARTNER)
        assert facts["request"] == answer.headers["x-ms-request-id"]
    named = link.token[:-1].replace("&sig", ".6f1c5b0e-4a57-4c6e-9a1d-0c1b2a3d4e5f&sig")
    link.place.client.get(f"{link.root}/{link.name}?{named}")
    assert told(caplog)[0][1]["client"] == "6f1c5b0e-4a57-4c6e-9a1d-0c1b2a3d4e5f"
    for fine in (f"{link.root}/{link.name}?{link.token}", f"{link.root}/absent.gz?{link.token}"):
        link.place.client.head(fine)
    assert told(caplog) == []


def test_what_is_refused_for_other_reasons_leaves_no_line(real: House, caplog: pytest.LogCaptureFixture) -> None:
    for path in ("/nowhere", f"/{PARTNER}/oauth2/v2.0/devicecode", "/v1/nothing", "/healthz/"):
        real.http.get(path)
    real.post(grant_type="password")
    assert told(caplog) == []


def test_a_flood_of_one_address_is_counted_and_hides_nobody_elses_line(
    real: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(security_log, "WINDOW_S", 3_600.0)
    client_id, secret = real.client_of()
    for _ in range(LINES_OF_ONE_ADDRESS_MAX + 30):
        Http(real.app, "192.0.2.1").get("/v1.0/reports/partners/billing")
    Http(real.app, "192.0.2.2").get("/v1.0/reports/partners/billing")
    assert real.post(client_id=client_id, client_secret=secret).status_code == 200
    lines = told(caplog)
    assert [facts["peer"] for _, facts in lines] == [
        *["192.0.2.1"] * LINES_OF_ONE_ADDRESS_MAX,
        "192.0.2.2",
        "127.0.0.1",
    ]
    monkeypatch.setattr(security_log, "WINDOW_S", 0.0)
    Http(real.app, "192.0.2.1").get("/v1.0/reports/partners/billing")
    counted, line = told(caplog)
    assert counted == ("refusals left out", {"count": "30"})
    assert line[0] == "refused 401"


def test_a_flood_of_many_addresses_is_bounded_and_the_count_comes_though_nobody_else_does(
    link: Link, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(security_log, "LINES_MAX", 5)
    monkeypatch.setattr(security_log, "WINDOW_S", 0.2)
    for _ in range(20):
        link.place.client.get(f"{link.root}/{link.name}")
    counted, deadline = 0, time.monotonic() + 10
    while not counted and time.monotonic() < deadline:
        counted = sum(int(facts["count"]) for what, facts in told(caplog) if what.endswith("left out"))
        link.place.client.get(f"{link.place.url}/healthz")
    assert counted > 0


def test_no_secret_token_or_signature_is_ever_in_a_log(
    real: House, link: Link, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    client_id, secret = real.client_of()
    guess = secrets.token_urlsafe(24)
    token = real.post(client_id=client_id, client_secret=secret).json()["access_token"]
    assertion = asserted(Certified.made("first"), client_id)
    real.post(client_id=client_id, client_secret=guess)
    real.post(client_id=secret, client_secret=client_id)  # the two were mixed up
    real.post(client_id=f"{guess}\r\nrefused", client_secret="x")
    post(real, assertion, client_id=client_id)
    post(real, assertion[:-3], client_id=secret)
    for path in ("/v1.0/reports/partners/billing", "/v1/invoices/unbilled/lineitems"):
        for authorization in (f"Bearer {token[:-3]}xyz", token, f"Basic {guess}", f"Bearer {token}, Bearer {token}"):
            real.http.request("GET", path, headers={"Authorization": authorization})
        real.http.request("GET", f"{path}?access_token={token}")
    signature = link.token.partition("sig=")[2]
    for query in (f"{link.token}&x=1", link.token.replace("sp=rl", "sp=rw"), f"{link.token[:-1]}"):
        link.place.client.get(f"{link.root}/{link.name}?{query}")
    # httpx logs what the test itself asks for.
    ours = [record for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    written = json.dumps([f"{record.getMessage()} {record.args} {record.exc_text}" for record in ours])
    assert "refused 401" in written
    assert "refused 403" in written
    assert "counterfoil.access" in {record.name for record in ours}
    for hidden in (secret, guess, token, assertion, signature, signature[:-2]):
        assert hidden not in written
        assert hidden.rpartition(".")[2][:-4] not in written


def test_malformed_requests_are_counted_and_told_together(caplog: pytest.LogCaptureFixture) -> None:
    async def count() -> None:
        counting = MalformedRequests(every_s=0.02)
        for many in (1_000, 1):
            for _ in range(many):
                counting.count()
            while len(caplog.records) < (1 if many > 1 else 2):  # noqa: ASYNC110 - no event tells of a line
                await asyncio.sleep(0.01)

    asyncio.run(count())
    lines = [each.getMessage() for each in caplog.records if each.name == SECURITY_LOG.name]
    assert lines == ["malformed requests: count=1000", "malformed requests: count=1"]


def test_a_request_that_is_no_http_is_counted(real: House, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[str] = []
    monkeypatch.setattr(MalformedRequests, "count", lambda _: counted.append("one"))
    with running(real.app, [Endpoint("127.0.0.1", 0)]) as [url], connected(url) as connection:
        connection.sendall(b"hello\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 400 ")
    assert counted == ["one"]
