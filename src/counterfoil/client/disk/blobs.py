"""Proving a blob that lies on the disk: its bytes, its line items, its sums; and keeping what was found beside it.

What a newcomer would get wrong: a blob is verified when its facts are written, not when its bytes are there. The
facts are written last, so after a crash a blob either has them, and is never fetched or read again, or has not.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from counterfoil.client.disk.syncing import write_json
from counterfoil.client.line_items.files import LakeFile, batches_of
from counterfoil.client.line_items.reading import Dialect, LineReader, tally_columns, tally_of
from counterfoil.client.protocol.graph_answers import SourceBlob
from counterfoil.client.protocol.promised_totals import TRY_AGAIN, Tally
from counterfoil.client.receipt import ReceiptBlob, ReceiptFile
from counterfoil.errors import ProofError
from counterfoil.model import Kind

_HASH_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a verified blob, or of a finished part of a walk, and the file it became."""

    blob: ReceiptBlob
    file: ReceiptFile
    totals: Mapping[str, Mapping[str, str]]
    inexact: Mapping[str, int] = field(default_factory=dict)

    @property
    def tally(self) -> Tally:
        """Its line items and sums."""
        return Tally.of(self.blob.line_items, self.totals)

    def keep(self, folder: Path) -> None:
        """Write the facts beside the blob: from now on it is verified."""
        body = {
            "blob": self.blob.to_json(),
            "file": self.file.to_json(),
            "totals": self.totals,
            "inexact": self.inexact,
        }
        write_json(_path(folder, self.blob.name), body)

    @classmethod
    def read(cls, folder: Path, name: str) -> Facts | None:
        """Return the facts of a blob, or None where it was not verified."""
        try:
            body: Any = json.loads(_path(folder, name).read_text(encoding="utf-8"))
            return cls(
                ReceiptBlob.from_json(body["blob"]),
                ReceiptFile.from_json(body["file"]),
                body["totals"],
                body["inexact"],
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"


def parquet_name(blob_name: str) -> str:
    """Return the name of the Parquet file that a blob becomes."""
    return f"{blob_name.removesuffix('.gz').removesuffix('.json')}.parquet"


def prove(part: Path, blob: SourceBlob, kind: Kind, *, as_parquet: bool, on_line_items: Callable[[int], None]) -> Facts:
    """Read a fetched blob to its end and keep it, as it is or as Parquet; raises ProofError, and then it is gone."""
    try:
        facts = _proven(part, blob, kind, as_parquet=as_parquet, on_line_items=on_line_items)
    except ProofError:
        forget(part)
        raise
    facts.keep(part.parent)
    forget(part)  # as Parquet; a blob that is kept has its own name by now
    return facts


def _proven(
    part: Path, blob: SourceBlob, kind: Kind, *, as_parquet: bool, on_line_items: Callable[[int], None]
) -> Facts:
    size, sha256 = measured(part)
    check_blob(blob, size, sha256)
    tally, inexact = Tally(), dict[str, int]()
    reader = LineReader(kind, Dialect.GRAPH, only=() if as_parquet else tally_columns(kind))
    if as_parquet:
        target = part.with_name(parquet_name(blob.name))
        target.unlink(missing_ok=True)
        with LakeFile(target, kind) as lake:
            for batch in batches_of(part, blob.name, reader, coded=True):
                tally_of(kind, batch, tally)
                lake.add(batch)
                on_line_items(batch.num_rows)
            file = lake.finish()
        inexact = lake.inexact
    else:
        for batch in batches_of(part, blob.name, reader, coded=True):
            tally_of(kind, batch, tally)
            on_line_items(batch.num_rows)
        file = ReceiptFile(blob.name, size, sha256, tally.line_items)
    if blob.line_items is not None and blob.line_items != tally.line_items:
        raise ProofError(
            f"The blob {blob.name} has {tally.line_items:,} line items, and {blob.line_items:,} were promised.",
            remedy=TRY_AGAIN,
        )
    if not as_parquet:
        settle(part, part.with_name(blob.name))
    return Facts(ReceiptBlob(blob.name, size, sha256, tally.line_items), file, tally.plain_totals(), inexact)


def measured(path: Path) -> tuple[int, str]:
    """Return the size and SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_HASH_BYTES):
            digest.update(piece)
        return file.tell(), digest.hexdigest()


def settle(part: Path, target: Path) -> None:
    """Bring a file to the disk and give it the name it keeps."""
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    part.replace(target)


def check_blob(blob: SourceBlob, size_bytes: int, sha256: str) -> None:
    """Hold a blob against what the manifest says of it; raises ProofError."""
    if blob.size_bytes is not None and size_bytes != blob.size_bytes:
        more = "more than" if size_bytes > blob.size_bytes else f"{size_bytes:,} of"
        raise ProofError(f"Of the blob {blob.name} arrived {more} {blob.size_bytes:,} bytes.", remedy=TRY_AGAIN)
    if blob.sha256 is not None and sha256 != blob.sha256:
        raise ProofError(
            f"The blob {blob.name} has the SHA-256 {sha256}, and {blob.sha256} was promised.", remedy=TRY_AGAIN
        )


def resume_point(part: Path, blob: SourceBlob) -> tuple[int, str]:
    """Return how much of a blob is there to go on from, and the ETag it had; (0, '') to begin anew.

    Without an ETag a rest may be of another blob: that is risked only where the SHA-256 will tell.
    """
    try:
        size = part.stat().st_size
    except FileNotFoundError:
        return 0, ""
    etag = _remembered(part)
    too_large = blob.size_bytes is not None and size > blob.size_bytes
    if not size or too_large or not (etag or blob.sha256):
        forget(part)
        return 0, ""
    return size, etag


def remember(part: Path, headers: Mapping[str, str]) -> None:
    """Keep the ETag of a blob that begins to arrive; a weak one is as good as none."""
    etag = headers.get("etag", "")
    note = _note_of(part)
    if etag.startswith('"') and etag.isascii():
        note.write_text(json.dumps({"etag": etag}), encoding="utf-8")
    else:
        note.unlink(missing_ok=True)


def forget(part: Path) -> None:
    """Throw away what is there of a blob."""
    part.unlink(missing_ok=True)
    _note_of(part).unlink(missing_ok=True)


def _remembered(part: Path) -> str:
    try:
        return str(json.loads(_note_of(part).read_text(encoding="utf-8"))["etag"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _note_of(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")
