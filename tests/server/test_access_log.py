"""The log of requests: who asked for what, as text or as JSON, and nothing that opens a door."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import time
from functools import partial
from typing import Any

import httpx
import pytest

from counterfoil.errors import DamagedError
from counterfoil.server import blob_routes, log_lines
from counterfoil.server.log_lines import JsonLines, LogLine, TextLines, logging_to
from counterfoil.server.request_record import route_of
from tests.server.linked_blob import Link
from tests.server.serving import PARTNER

LINES = "/v1/invoices/unbilled/lineitems"
LOG = logging.getLogger("counterfoil.tried")


def logged(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """Return the access lines as JSON says them."""
    records = [record for record in caplog.records if record.name == "counterfoil.access"]
    caplog.clear()
    return [json.loads(JsonLines().format(record)) for record in records]


def test_each_request_leaves_one_line_with_who_asked_and_what_was_sent(
    link: Link, caplog: pytest.LogCaptureFixture
) -> None:
    place, client = link.place, link.place.client
    blob = f"{link.root}/{link.name}?{link.token}"
    with caplog.at_level(logging.INFO, "counterfoil.access"):
        whole = client.get(blob, headers={"Accept-Encoding": "identity"})
        part = client.get(blob, headers={"Range": "bytes=0-9"})
        client.head(blob)
        bad = client.get(blob[:-3])
        exported = place.export()
        lost = client.get(f"{place.url}/a%0Ab%20status=200?sig=secret", headers={"client-request-id": "mine"})
    found = logged(caplog)
    assert [(each["status"], each["bytes"], each["partner"]) for each in found] == [
        (200, len(whole.content), PARTNER),
        (206, 10, PARTNER),
        (200, 0, PARTNER),
        (403, len(bad.content), ""),
        (202, len(exported.content), PARTNER),
        (404, len(lost.content), ""),
    ]
    assert [each["event"] for each in found] == ["request"] * 6
    assert (part.status_code, found[5]["path"]) == (206, "/a%0Ab%20status=200")
    assert found[5]["request"] == lost.headers["request-id"]
    assert all(0 <= each["ms"] < 60_000 and each["peer"] == "127.0.0.1" for each in found)
    assert link.token.partition("sig=")[2][:20] not in json.dumps(found)


def test_an_answer_that_broke_off_leaves_a_line_too(
    link: Link, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cut(*_: object) -> None:
        raise DamagedError("gone")

    monkeypatch.setattr(blob_routes, "_send_bytes", cut)
    with caplog.at_level(logging.INFO, "counterfoil.access"), pytest.raises(httpx.RemoteProtocolError):
        link.place.client.get(f"{link.root}/{link.name}?{link.token}")
    [found] = logged(caplog)
    assert (found["event"], found["status"], found["bytes"]) == ("request broke off", 200, 0)


@pytest.mark.parametrize(
    ("fact", "written"),
    [
        ("plain", "plain"),
        ("", "-"),
        (None, "-"),
        (12, "12"),
        ("two words", '"two words"'),
        ("x status=200", '"x status=200"'),
        ("a\nb", r'"a\nb"'),
        ('say "no"', r'"say \"no\""'),
        ("\x1b[31m\u2028", r'"\u001b[31m\u2028"'),
    ],
)
def test_no_fact_can_look_like_another_or_end_the_line(fact: str | int | None, written: str) -> None:
    line = LogLine("event", {"fact": fact, "next": 1})
    assert str(line) == f"event: fact={written} next=1"
    record = logging.makeLogRecord({"msg": line, "name": "x"})
    as_json = JsonLines().format(record)
    assert "\n" not in as_json
    assert json.loads(as_json)["fact"] == fact


def test_both_forms_tell_the_time_in_utc_and_json_tells_what_went_wrong() -> None:
    record = logging.makeLogRecord({"name": "x", "levelname": "ERROR", "msg": "%s went", "args": ("it",)})
    record.created = 1_764_340_867.123
    assert TextLines().format(record) == "2025-11-28T14:41:07.123Z ERROR x: it went"
    record.exc_info = (ValueError, ValueError("why"), None)
    told = json.loads(JsonLines().format(record))
    assert (told["time"], told["level"], told["message"]) == ("2025-11-28T14:41:07.123Z", "error", "it went")
    assert "ValueError: why" in told["exception"]


def test_a_line_that_is_logged_often_is_as_any_other() -> None:
    line, written = LogLine("request", {"path": "/a b", "status": 200, "ms": 0.5, "again": True}), []
    for log in (partial(LOG.info, line), partial(log_lines.log_often, LOG, logging.INFO, line)):
        stream = io.StringIO()
        for form in ("text", "json"):
            with logging_to(stream, level="info", form=form):
                log()
                log_lines.log_often(LOG, logging.DEBUG, line)
        written.append(re.sub(r"[0-9-]{10}T[0-9:.]{12}Z", "now", stream.getvalue()))
    assert written[0] == written[1]
    assert written[0].count("now") == 2


def test_a_record_with_the_wrong_arguments_does_not_end_the_log() -> None:
    stream = io.StringIO()
    with logging_to(stream, level="info", form="json"):
        LOG.info("%d of %d", "one")  # noqa: PLE1206 - that is what is tried
        LOG.info("and then")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first["message"] == "'%d of %d' ('one',)"
    assert second["message"] == "and then"


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_the_level_is_ours_and_others_are_heard_from_warnings_on(level: str) -> None:
    stream, foreign = io.StringIO(), logging.getLogger("foreign")
    with logging_to(stream, level=level, form="text"):
        for logger in (LOG, foreign):
            for each in ("debug", "info", "warning", "error"):
                getattr(logger, each)(f"{logger.name} {each}")
    levels = ["debug", "info", "warning", "error"]
    expected = [f"{LOG.name} {each}" for each in levels[levels.index(level) :]] + ["foreign warning", "foreign error"]
    assert [line.partition(": ")[2] for line in stream.getvalue().splitlines()] == expected


def test_a_log_that_nobody_reads_holds_nobody_up_and_says_what_it_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_lines, "LINES_WAITING_MAX", 10)
    monkeypatch.setattr(log_lines, "_END_S", 0.2)
    reading, writing = os.pipe()
    began = time.monotonic()
    with open(writing, "w") as stream:  # noqa: PTH123 - a pipe
        with logging_to(stream, level="info", form="text"):
            for _ in range(3_000):
                LOG.info("x" * 100)
            assert time.monotonic() - began < 5
            read = os.read(reading, 1 << 16)
            while b"left out" not in read:
                LOG.info("y")
                read += os.read(reading, 1 << 16)
        assert time.monotonic() - began < 20
    os.close(reading)
    assert 1_000 < sum(map(int, re.findall(rb"log lines left out: count=(\d+)", read))) < 3_000


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/v1.0/reports/partners/billing/usage/billed/export", "graph export"),
        ("/beta/reports/partners/billing/operations/0e195b37-4574-4539-bc42-0e539b9684c0", "graph operations"),
        ("/v1.0/reports/partners/billing/manifests", "graph manifests"),
        ("/v1.0/reports/partners", "graph entities"),
        (LINES, "partner-center lineitems"),
        ("/blobs/a/b/full/c", "blobs"),
        (f"/{PARTNER}/oauth2/v2.0/token", "oauth token"),
        (f"/{PARTNER}/v2.0/.well-known/openid-configuration", "oauth discovery"),
        ("/healthz", "/healthz"),
        ("/anything/else", "other"),
    ],
)
def test_routes_are_few(path: str, route: str) -> None:
    assert route_of({"path": path}) == route
