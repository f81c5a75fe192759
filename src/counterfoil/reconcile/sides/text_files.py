"""Opening files of lines, plain or gzip: gzip is recognised by its first two bytes, never by its name."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from counterfoil.line_items.blocks import gunzip

_GZIP: Final = b"\x1f\x8b"


@contextmanager
def opened_bytes(path: Path) -> Iterator[BinaryIO]:
    """Open a file, unpacked if it is gzip; raises OSError, and reading it `blocks.DAMAGED_GZIP`."""
    with ExitStack() as stack:
        file = stack.enter_context(path.open("rb"))
        packed = file.read(2) == _GZIP
        file.seek(0)
        yield stack.enter_context(gunzip(file)) if packed else file


@contextmanager
def opened_text(path: Path) -> Iterator[io.TextIOWrapper]:
    """Open a file as UTF-8 text with its line ends as they are, without the byte order mark."""
    with opened_bytes(path) as file, io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
        yield text
