"""Faults that strike any request: throttling, outages, bad bodies, every error body; each as its entry describes it."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from xml.etree import ElementTree as ET

import httpx
import pytest

from counterfoil.testing.faults.connection_faults import DELIVERY_FAULTS
from counterfoil.testing.faults.error_faults import ERRORS, OUTAGES
from counterfoil.testing.faults.fault import Route, ServerFault
from counterfoil.testing.faults.fault_plan import BY_NAME, FAULTS
from tests.testing.fault_calls import Calls

NO_ANSWER = (httpx.RemoteProtocolError, httpx.ReadError)


def on_each_route(faults: tuple[ServerFault, ...]) -> pytest.MarkDecorator:
    cases = [pytest.param(fault, route, id=f"{fault.name}-{route}") for fault in faults for route in fault.routes]
    return pytest.mark.parametrize(("fault", "route"), cases)


@on_each_route(ERRORS)
def test_every_error_body_comes_as_the_catalogue_describes_it(calls: Calls, fault: ServerFault, route: Route) -> None:
    calls.server.fail(fault.name, on=route, times=1)
    answer = calls.of(route)
    described = re.fullmatch(r"(\d{3})(?: `(.*?)`)?(?:: (.*)| with the body `(.*)`| without a body)", fault.about)
    assert described is not None
    status, code, text, body = described.groups()
    assert answer.status_code == int(status)
    if code is None:
        assert answer.text.startswith((body or "").removesuffix("..."))
        assert bool(answer.text) == bool(body)
    elif route is Route.BLOB:
        told = ET.fromstring(answer.text)
        assert (told.findtext("Code"), answer.headers["x-ms-error-code"]) == (code, code)
        assert (told.findtext("Message") or "").startswith(text)
    elif route is Route.PAGE:
        assert answer.json() | {"data": [], "source": ""} == {"code": code, "description": text} | {
            "data": [],
            "source": "",
        }
    else:
        error = answer.json()["error"]
        assert (error["code"], error["message"]) == (code, text)
        assert error["innerError"]["request-id"] == answer.headers["request-id"]
    assert calls.of(route).is_success, "it was to strike once"


@on_each_route(OUTAGES)
def test_an_outage_is_told_in_the_callers_dialect(calls: Calls, fault: ServerFault, route: Route) -> None:
    calls.server.fail(fault.name, on=route)
    answers = [calls.of(route) for _ in range(3)]
    status = 429 if "429" in fault.about else 503
    assert [answer.status_code for answer in answers[:2]] == [status, status]
    assert answers[2].is_success
    after = answers[0].headers.get("retry-after")
    if "without" in fault.about:
        assert after is None
    elif "date" in fault.about:
        ahead = parsedate_to_datetime(after) - datetime.now(UTC)
        assert -2 < ahead.total_seconds() <= 1
    else:
        assert after == ("0.128" if "fraction" in fault.about else "1")
    body = answers[0].text
    if route is Route.BLOB:
        assert "<Code>ServerBusy</Code>" in body
    elif route is Route.PAGE:
        # The .NET SDK reads Retry-After only where `code` and `description` are both absent.
        assert set(answers[0].json()) == ({"statusCode", "message"} if status == 429 else {*_V1})
    elif route is Route.TOKEN:
        assert answers[0].json()["error"] == "temporarily_unavailable"
    else:
        assert answers[0].json()["error"]["code"] == ("TooManyRequests" if status == 429 else "ServiceUnavailable")


_V1 = ("code", "description", "data", "source")


@on_each_route((BY_NAME["late"], BY_NAME["slow"]))
def test_late_and_slow_answers_are_right_in_the_end(calls: Calls, fault: ServerFault, route: Route) -> None:
    calls.server.fail(fault.name, on=route, seconds=0.2)
    began = time.monotonic()
    assert calls.of(route).is_success
    took_s = time.monotonic() - began
    if fault.name == "late" or route is not Route.SUBMIT:  # which has no body to be slow with
        assert took_s >= 0.15


def test_late_is_before_the_first_byte_and_slow_is_after_it(calls: Calls) -> None:
    for name, least_s, most_s in (("late", 0.3, 9.0), ("slow", 0.0, 0.2)):
        calls.server.fail(name, on="blob", seconds=0.4)
        began = time.monotonic()
        with calls.client.stream("GET", calls.blob_url()) as answer:
            assert least_s <= time.monotonic() - began < most_s
            pieces = list(answer.iter_raw())
        assert b"".join(pieces) == calls.blob().content
        assert (len(pieces) > 4) == (name == "slow")


@on_each_route((BY_NAME["cut"], BY_NAME["stalled"], BY_NAME["dropped"]))
def test_connections_end_in_the_middle_or_before_the_answer(calls: Calls, fault: ServerFault, route: Route) -> None:
    given = {"seconds": 0.1} if fault.name == "stalled" else {}
    calls.server.fail(fault.name, on=route, times=1, **given)
    with pytest.raises(NO_ANSWER) as raised:
        calls.of(route)
    assert ("without sending a response" in str(raised.value)) == (fault.name == "dropped")
    assert calls.of(route).is_success


def test_a_dropped_request_was_carried_out(calls: Calls) -> None:
    count = f"{calls.server.url}/v1.0/reports/partners/billing/operations/$count"
    before = int(calls.client.get(count, headers=calls.graph).text)
    calls.server.fail("dropped", on="submit", times=1)
    with pytest.raises(NO_ANSWER):
        calls.submit(currency="USD")
    assert int(calls.client.get(count, headers=calls.graph).text) == before + 1


@on_each_route((BY_NAME["shortened"],))
def test_a_shortened_body_looks_whole_to_http(calls: Calls, fault: ServerFault, route: Route) -> None:
    right = len(raw(calls, route))
    calls.server.fail(fault.name, on=route)
    assert 0 < len(raw(calls, route)) < 0.6 * right


@on_each_route((BY_NAME["flipped"], BY_NAME["flipped-json"]))
def test_exactly_one_bit_is_flipped(calls: Calls, fault: ServerFault, route: Route) -> None:
    calls.server.fail(fault.name, on=route)
    bad, good = raw(calls, route), raw(calls, route)
    if route in (Route.BLOB, Route.MANIFEST):  # whose bytes are the same each time, but for a fresh link
        assert len(bad) == len(good)
    if route is Route.BLOB:
        assert sum((a ^ b).bit_count() for a, b in zip(bad, good, strict=True)) == 1


def raw(calls: Calls, route: Route) -> bytes:
    """The body as it came over the wire."""
    request = {Route.BLOB: calls.blob_url(), Route.OPERATION: calls.location}.get(route)
    if request is not None:
        headers = calls.graph if route is Route.OPERATION else {}
        with calls.client.stream("GET", request, headers=headers) as answer:
            return b"".join(answer.iter_raw())
    if route is Route.PAGE:
        return calls.page(encoding="identity").content
    return calls.of(route).content


def test_the_whole_catalogue_is_under_test() -> None:
    """The groups of this file are here whole; the others are in the files beside it, which check their own."""
    groups = {fault.group for fault in (*ERRORS, *OUTAGES, *DELIVERY_FAULTS)}
    assert {fault.name for fault in FAULTS if fault.group in groups} == {
        f.name for f in (*ERRORS, *OUTAGES, *DELIVERY_FAULTS)
    }
    tested = {"late", "slow", "cut", "stalled", "dropped", "shortened", "flipped", "flipped-json"}
    assert tested == {fault.name for fault in DELIVERY_FAULTS}
    assert all(fault.about and fault.routes for fault in FAULTS)
