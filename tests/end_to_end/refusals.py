"""What a refusal looks like in each of the three dialects, exactly."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET

import httpx

GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def assert_graph(answer: httpx.Response, status: int, code: str) -> str:
    """A refusal as Microsoft Graph tells it; return its message."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/json;odata.metadata=minimal")
    body = answer.json()
    assert body.keys() == {"error"}
    assert list(body["error"]) == ["code", "message", "innerError"]
    inner = body["error"]["innerError"]
    assert inner.keys() == {"date", "request-id", "client-request-id"}
    assert (inner["request-id"], inner["client-request-id"]) == (
        answer.headers["request-id"],
        answer.headers["client-request-id"],
    )
    assert GUID.fullmatch(inner["request-id"])
    assert ("www-authenticate" in answer.headers) == (status == 401)
    assert ("allow" in answer.headers) == (status == 405)
    assert body["error"]["code"] == code
    return _sane(body["error"]["message"])


def assert_partner_center(answer: httpx.Response, status: int, code: str) -> str:
    """A refusal as Partner Center tells it; return its description."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    body = answer.json()
    assert list(body) == ["code", "description", "data", "source"]
    assert body["data"] == []
    assert answer.headers["ms-requestid"]
    assert answer.headers["ms-correlationid"]
    assert ("www-authenticate" in answer.headers) == (status == 401)
    assert ("allow" in answer.headers) == (status == 405)
    assert body["code"] == code
    return _sane(body["description"])


def assert_storage(answer: httpx.Response, status: int, code: str) -> str:
    """A refusal as Azure Storage tells it; return its message."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/xml"
    assert answer.text.startswith('<?xml version="1.0" encoding="utf-8"?><Error>')
    error = ET.fromstring(answer.content)
    assert [child.tag for child in error] == ["Code", "Message"]
    message = error.findtext("Message") or ""
    assert re.fullmatch(r"[^\n]+\nRequestId:\S+\nTime:\S+Z", message)
    assert f"RequestId:{answer.headers['x-ms-request-id']}\n" in message
    assert error.findtext("Code") == answer.headers["x-ms-error-code"] == code
    return _sane(message.partition("\n")[0])


def assert_plain(answer: httpx.Response, status: int) -> str:
    """A refusal of anything else; return its message."""
    assert answer.status_code == status, answer.text
    body = json.loads(answer.content)
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"message", "requestId"}
    assert body["error"]["requestId"] == answer.headers["request-id"]
    return _sane(body["error"]["message"])


def _sane(message: str) -> str:
    """One or two sentences that tell nothing of how we are made."""
    assert 5 < len(message) <= 1_024
    assert message.endswith(".")
    assert not re.search(r"Traceback|counterfoil\.\w|\.py\b|sqlite|/tmp/|Error\(", message), message
    return message
