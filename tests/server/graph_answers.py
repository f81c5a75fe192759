"""What tests of the Graph routes share: some line items, and a close look at a refusal."""

from __future__ import annotations

import re

import httpx

LINES = b'{"Total":1.10}\n{"Total":11.240}\n'
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def error_of(answer: httpx.Response, status: int) -> dict[str, str]:
    """Check that an answer is a Graph refusal of this status, and return it."""
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("application/json")
    error = answer.json()["error"]
    assert isinstance(error["code"], str)
    inner = error["innerError"]
    assert inner["request-id"] == answer.headers["request-id"]
    assert inner["client-request-id"] == answer.headers["client-request-id"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", inner["date"])
    return {"code": error["code"], "message": error["message"]}
