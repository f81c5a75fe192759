"""A Partner Center v1 walk, from the first page to the last."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec

from counterfoil.client import v1
from counterfoil.client.addresses import Base, shown
from counterfoil.client.http import Connection
from counterfoil.client.lines import Dialect, LineReader, tally_columns, tally_of
from counterfoil.client.proof import Tally
from counterfoil.client.receipt import ReceiptFile
from counterfoil.client.v1 import Annotations, SourcePage
from counterfoil.client.writing import LINES_PER_FILE_MAX, LakeFile, LinesFile
from counterfoil.errors import ProofError
from counterfoil.model import Kind
from counterfoil.wire.graph import ExportRequest

PAGES_MAX: Final = 10_000_000


class Walker:
    """Walks the pages of one request; afterwards it knows what the source said of the whole."""

    def __init__(self, connection: Connection, base: Base, page_size_items: int) -> None:
        self._connection = connection
        self._base = base
        self._page_size_items = page_size_items
        self.correlation_id = str(uuid.uuid4())
        self.annotations: Annotations | None = None
        self.pages = 0

    def pages_of(self, ask: ExportRequest) -> Iterator[SourcePage]:
        """Yield every page in order; raises ProofError where the walk turns in a circle or its data changes."""
        first = v1.first_step(self._base, ask, self._page_size_items)
        step: v1.Step | None = first
        taken: set[bytes] = set()
        while step is not None:
            if step.fingerprint in taken or self.pages >= PAGES_MAX:
                raise ProofError(
                    f"Page {self.pages + 1} leads back to a page that was had already (MS-CorrelationId "
                    f"{self.correlation_id}).",
                    remedy="Nothing was kept. Trying again is safe; if it stays so, the source's paging is broken.",
                )
            taken.add(step.fingerprint)
            request = v1.page_request(step, correlation_id=self.correlation_id, request_id=str(uuid.uuid4()))
            answer = self._connection.call(request)
            page = v1.read_page(self._base, first, answer)
            self.pages += 1
            self._check_constant(page.annotations)
            yield page
            step = page.following

    def _check_constant(self, annotations: Annotations) -> None:
        if self.annotations is None:
            self.annotations = annotations
        elif annotations != self.annotations:
            raise ProofError(
                f"Page {self.pages} is of other data than the pages before: its eTag is "
                f"{shown(str(annotations.etag))}, and was {shown(str(self.annotations.etag))}.",
                remedy="Nothing was kept. Trying again is safe.",
            )


class PageWriter:
    """Writes the items of a walk to files of at most 250,000, counting and summing them."""

    def __init__(self, folder: Path, kind: Kind, *, as_parquet: bool) -> None:
        self._folder = folder
        self._kind = kind
        self._as_parquet = as_parquet
        self._reader = LineReader(kind, Dialect.V1, only=() if as_parquet else tally_columns(kind))
        self._file: LakeFile | LinesFile | None = None
        self._open = ExitStack()
        self.tally = Tally()
        self.files: list[ReceiptFile] = []
        self.inexact: dict[str, int] = {}

    def __enter__(self) -> PageWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def add(self, page: SourcePage, number: int) -> None:
        """Add the items of one page; raises ProofError for an item that cannot be read."""
        if not page.items:
            return
        lines = [_one_line(item) for item in page.items]
        batch = self._reader.read(lines, f"Page {number}")
        tally_of(self._kind, batch, self.tally)
        file = self._room_for(len(lines))
        if isinstance(file, LakeFile):
            file.add(batch)
        else:
            file.add(lines)

    def finish(self) -> None:
        """Bring the last file to the disk."""
        if self._file is not None:
            self.files.append(self._file.finish())
            if isinstance(self._file, LakeFile):
                for column, count in self._file.inexact.items():
                    self.inexact[column] = self.inexact.get(column, 0) + count
        self._file = None

    def _room_for(self, lines: int) -> LakeFile | LinesFile:
        if self._file is not None and self._file.line_items + lines > LINES_PER_FILE_MAX:
            self.finish()
        if self._file is None:
            stem = self._folder / f"part-{len(self.files):05}"
            if self._as_parquet:
                self._file = self._open.enter_context(LakeFile(stem.with_suffix(".parquet"), self._kind))
            else:
                self._file = self._open.enter_context(LinesFile(stem.with_suffix(".json.gz")))
        return self._file


def _one_line(item: bytes) -> bytes:
    """Return an item verbatim, unless the source laid it out over several lines."""
    if b"\n" not in item and b"\r" not in item:
        return item
    return msgspec.json.format(item, indent=-1)
