"""How header names are written on the wire. Inside, and to HTTP, letter case means nothing, so all are in lower case.

It means something to scripts that look for `^Location:` and to clients that keep headers in a plain dictionary. So each
name goes out as Microsoft's services and pages write it: Graph and Azure Storage have ids of their own in lower case.
"""

from __future__ import annotations

from typing import Final

_NAMES: Final = (
    "Accept-Ranges",
    "Allow",
    "Cache-Control",
    "Connection",
    "Content-Encoding",
    "Content-Length",
    "Content-MD5",
    "Content-Range",
    "Content-Security-Policy",
    "Content-Type",
    "Counterfoil-ETag",
    "Counterfoil-Line-Item-Count",
    "Counterfoil-Totals",
    "Date",
    "ETag",
    "Last-Modified",
    "Location",
    "MS-CV",
    "MS-CorrelationId",
    "MS-RequestId",
    "MS-ServerId",
    "OData-Version",
    "Pragma",
    "Retry-After",
    "Transfer-Encoding",
    "Vary",
    "WWW-Authenticate",
    "X-Locale",
    "client-request-id",
    "request-id",
    "x-ms-blob-type",
    "x-ms-client-request-id",
    "x-ms-error-code",
    "x-ms-request-id",
    "x-ms-server-encrypted",
    "x-ms-version",
)
_SPELLED: Final = {name.lower().encode(): name.encode() for name in _NAMES}


def spelled(name: bytes) -> bytes:
    """Return a header's name, given in lower case, as it is written on the wire; one that is not ours as it came."""
    return _SPELLED.get(name, name)
