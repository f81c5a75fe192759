"""What the bytes of a blob are where they should be gzip, told by how they begin.

Something on the way may unpack a blob, pack it once more, or answer in its place; the bytes themselves say which.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from counterfoil.client.protocol.messages import NOT_THE_SOURCE

BEGINNING_BYTES: Final = 512  # enough to tell
_GZIP: Final = b"\x1f\x8b"
_UNPACKED: Final = (
    "Something between here and the storage, such as a proxy, unpacks files that end in .gz: have it pass them on as "
    "they are, or have the storage's address let through."
)
_MEND: Final = "Whoever runs the source, or the proxy on the way, has to mend that: a blob is gzip of JSON lines."
_KINDS: Final[Mapping[bytes, str]] = {
    b"PK\x03\x04": "a zip file",
    b"PAR1": "a Parquet file",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x78\x01": "zlib without the head of gzip",
    b"\x78\x9c": "zlib without the head of gzip",
    b"\x78\xda": "zlib without the head of gzip",
    b"\xff\xfe": "text in UTF-16",
    b"\xfe\xff": "text in UTF-16",
}


def not_gzip(beginning: bytes) -> tuple[str, str] | None:
    """Return what a blob is that is not gzip, and what to do; None for one that is, or that says nothing."""
    if not beginning or beginning.startswith(_GZIP[: len(beginning)]):
        return None
    text = beginning.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"{"):
        return "was unpacked on the way: it is JSON, and its name ends in .gz", _UNPACKED
    if text.startswith(b"<"):
        return "is a page for people, or an error, in place of gzip", NOT_THE_SOURCE
    kind = next((name for mark, name in _KINDS.items() if beginning.startswith(mark)), "something else")
    return f"is no gzip, but {kind}", _MEND
