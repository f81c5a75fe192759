"""The access log: one line for each request."""

from __future__ import annotations

import logging
from typing import Final

from counterfoil.server.error_responses import dialect_of, request_id_of
from counterfoil.server.log_lines import LogLine, log_often
from counterfoil.server.request_record import RequestRecord
from counterfoil.server.security_log import peer_of

ACCESS_LOG: Final = logging.getLogger("counterfoil.access")


def write_access_line(record: RequestRecord) -> None:
    """Write the line of a request that was answered, or broke off."""
    if not ACCESS_LOG.isEnabledFor(logging.INFO):
        return
    scope = record.scope
    facts = {
        "method": scope["method"],
        "path": scope["raw_path"].decode("ascii"),  # as it was sent: several spellings lead to one operation
        "status": record.status,
        "bytes": record.sent_bytes,
        "ms": round(record.seconds * 1000, 1),
        "partner": record.partner,
        "client": record.client,
        "request": request_id_of(dialect_of(scope["path"]), scope),
        "peer": peer_of(scope),
    }
    log_often(ACCESS_LOG, logging.INFO, LogLine("request" if not record.broke_off else "request broke off", facts))
