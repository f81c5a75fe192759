"""The access log: one line for each request, with method, path, status, duration and request id.

Query strings are never logged: whoever has the query of a blob's link can read the blob.
"""

from __future__ import annotations

import logging
import time
from typing import Final

from starlette.types import Message, Scope, Send

from counterfoil.server.error_responses import dialect_of, request_id_of

ACCESS_LOG: Final = logging.getLogger("counterfoil.access")


def logged(scope: Scope, send: Send) -> Send:
    """Return a `send` that writes the line with the last piece of the answer; `send` itself if nobody reads the log."""
    if not ACCESS_LOG.isEnabledFor(logging.INFO):
        return send
    began = time.perf_counter()
    method, path = scope["method"], scope["path"]
    status = 0

    async def logging_send(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        elif not message.get("more_body", False):  # before the caller has it all, so that its next line comes after
            ms = (time.perf_counter() - began) * 1000
            request_id = request_id_of(dialect_of(path), scope)
            ACCESS_LOG.info("%s %s %d %.1f ms %s", method, ascii(path)[1:-1], status, ms, request_id)
        await send(message)

    return logging_send
