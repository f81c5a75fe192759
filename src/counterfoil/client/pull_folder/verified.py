"""Verifying a blob that was fetched: its bytes, its line items, its sums; and storing what was found beside it.

A blob is verified when its facts are stored, not when its bytes are there. The facts are written last, so after a
crash a blob either has facts, and is never fetched again, or has none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from counterfoil.client.output_files.pull_files import LakeFile, batches_of
from counterfoil.client.protocol.graph_answers import SourceBlob
from counterfoil.client.protocol.promised_totals import TRY_AGAIN
from counterfoil.client.receipt import VERSION, Count, ReceiptFile, TotalTexts
from counterfoil.disk import documents
from counterfoil.disk.durability import sync_file, write_durably
from counterfoil.disk.hashing import measured
from counterfoil.errors import ProofError
from counterfoil.line_items.line_reader import LineReader
from counterfoil.line_items.totals import Totals
from counterfoil.model import Kind


class VerifiedBlob(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A verified blob, or a finished part of a walk: what it was, the file it became, and its exact sums."""

    blob: ReceiptFile
    file: ReceiptFile
    totals: TotalTexts
    inexact: Mapping[str, Count] = {}

    @property
    def tally(self) -> Totals:
        """Its line items and sums."""
        return Totals.of(self.blob.line_items, self.totals)

    @property
    def is_parquet(self) -> bool:
        """Whether the blob became Parquet, and is not kept as it came."""
        return self.file.name != self.blob.name

    def keep(self, staging: Path) -> None:
        """Store the facts beside the blob: from now on it is verified."""
        write_durably(facts_path(staging, self.blob.name), documents.encode(self, VERSION))

    @classmethod
    def read(cls, staging: Path, name: str) -> VerifiedBlob | None:
        """Return the facts of a blob, or None if it is not verified."""
        try:
            return documents.decode(facts_path(staging, name).read_bytes(), VERSION, cls)
        except (OSError, ValueError):
            return None


def facts_path(staging: Path, blob_name: str) -> Path:
    """Return where the facts of a blob are stored."""
    return staging / f"{blob_name}.json"


def parquet_name(blob_name: str) -> str:
    """Return the name of the Parquet file that a blob becomes."""
    return f"{blob_name.removesuffix('.gz').removesuffix('.json')}.parquet"


def prove(
    part: Path, blob: SourceBlob, kind: Kind, *, as_parquet: bool, on_line_items: Callable[[int], None]
) -> VerifiedBlob:
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
) -> VerifiedBlob:
    size, sha256 = measured(part)
    check_blob(blob, size, sha256)
    tally, inexact = Totals(), dict[str, int]()
    reader = LineReader(kind)
    if as_parquet:
        target = part.with_name(parquet_name(blob.name))
        target.unlink(missing_ok=True)
        with LakeFile(target, kind) as lake:
            for batch in batches_of(part, blob.name, reader, coded=True):
                tally.add_batch(kind, batch)
                lake.add(batch)
                on_line_items(batch.num_rows)
            file = lake.finish()
        inexact = lake.inexact
    else:
        for batch in batches_of(part, blob.name, reader, coded=True):
            tally.add_batch(kind, batch)
            on_line_items(batch.num_rows)
        file = ReceiptFile(blob.name, size, sha256, tally.line_items)
    if blob.line_items is not None and blob.line_items != tally.line_items:
        raise ProofError(
            f"The blob {blob.name} has {tally.line_items:,} line items, and {blob.line_items:,} were promised.",
            remedy=TRY_AGAIN,
        )
    if not as_parquet:
        settle(part, part.with_name(blob.name))
    return VerifiedBlob(ReceiptFile(blob.name, size, sha256, tally.line_items), file, tally.plain_totals(), inexact)


def settle(part: Path, target: Path) -> None:
    """Bring a file to the disk and give it the name it keeps."""
    sync_file(part)
    part.replace(target)


def check_blob(blob: SourceBlob, size_bytes: int, sha256: str) -> None:
    """Compare a blob with what the manifest says of it; raises ProofError."""
    if blob.size_bytes is not None and size_bytes != blob.size_bytes:
        more = "more than" if size_bytes > blob.size_bytes else f"{size_bytes:,} of"
        raise ProofError(f"Of the blob {blob.name} arrived {more} {blob.size_bytes:,} bytes.", remedy=TRY_AGAIN)
    if blob.sha256 is not None and sha256 != blob.sha256:
        raise ProofError(
            f"The blob {blob.name} has the SHA-256 {sha256}, and {blob.sha256} was promised.", remedy=TRY_AGAIN
        )


def resume_point(part: Path, blob: SourceBlob) -> tuple[int, str]:
    """Return how much of a blob is there to go on from, and the ETag it had; (0, '') to start again.

    Without an ETag a rest may be of another blob: that is risked only where the SHA-256 will show it.
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
