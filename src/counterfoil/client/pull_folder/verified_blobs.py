"""Verifying a blob that was fetched: its bytes, its line items, its sums; and storing what was found beside it.

A blob is verified when its facts are stored, not when its bytes are there. The facts are written last, so after a
crash a blob either has facts, and is never fetched again, or has none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing, nullcontext
from pathlib import Path

import msgspec

from counterfoil.client.output_files.pull_files import LakeFile, batches_of, made_ahead
from counterfoil.client.protocol.blob_bytes import BEGINNING_BYTES, not_gzip
from counterfoil.client.protocol.graph_answers import SourceBlob
from counterfoil.client.protocol.promised_totals import TRY_AGAIN
from counterfoil.client.pull_folder.room import check_spare
from counterfoil.client.pull_folder.unfinished import forget
from counterfoil.client.receipt import VERSION, Count, ReceiptFile, TotalTexts
from counterfoil.disk import documents
from counterfoil.disk.durability import sync_file, write_durably
from counterfoil.disk.hashing import Measured, measured
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
    without: Mapping[str, Count] = {}  # how many line items have no amount in a column that is summed

    @property
    def is_parquet(self) -> bool:
        """Whether the blob became Parquet, and is not kept as it came."""
        return self.file.name != self.blob.name

    def keep(self, staging: Path) -> None:
        """Store the facts beside the blob: from now on it is verified."""
        write_durably(staging / f"{self.blob.name}.json", documents.encode(self, VERSION))

    @classmethod
    def read(cls, path: Path) -> VerifiedBlob | None:
        """Return the facts in the file beside a blob, or None if it is not verified."""
        try:
            return cls.decoded(path)
        except (OSError, ValueError):
            return None

    @classmethod
    def decoded(cls, path: Path) -> VerifiedBlob:
        """Return the facts in the file beside a blob; raises OSError, and ValueError for what is not about it."""
        facts = documents.decode(path.read_bytes(), VERSION, cls)
        name = facts.blob.name
        if path.name != f"{name}.json" or facts.file.name not in (name, parquet_name(name)):
            raise documents.DocumentError(f"it is about {name}")  # its names are of files that are moved and deleted
        return facts


def parquet_name(blob_name: str) -> str:
    """Return the name of the Parquet file that a blob becomes."""
    return f"{blob_name.removesuffix('.gz').removesuffix('.json')}.parquet"


def prove(
    part: Path, blob: SourceBlob, kind: Kind, *, as_parquet: bool, on_line_items: Callable[[int], None]
) -> VerifiedBlob:
    """Read a fetched blob to its end and keep it, as it is or as Parquet; raises ProofError."""
    size, sha256 = check_blob(part, blob)
    tally = Totals()
    target = part.with_name(parquet_name(blob.name))
    target.unlink(missing_ok=True)
    batches = made_ahead(batches_of(part, blob.name, LineReader(kind), coded=True))
    with LakeFile(target, kind) if as_parquet else nullcontext() as lake, closing(batches):
        for batch in batches:
            tally.add_batch(kind, batch)
            if blob.line_items is not None and tally.line_items > blob.line_items:
                break  # `check_count` says so, and what is still to come may be endless
            if lake is not None:
                check_spare(part.parent)
                lake.add(batch)
            on_line_items(batch.num_rows)
        its_own = ReceiptFile(blob.name, size, sha256, tally.line_items)
        file = its_own if lake is None else lake.finish()
    check_count(blob, tally.line_items)
    facts = VerifiedBlob(its_own, file, tally.plain_totals(), {} if lake is None else lake.inexact, tally.without)
    if not as_parquet:
        sync_file(part)
        part.replace(part.with_name(blob.name))
    facts.keep(part.parent)
    forget(part)  # as Parquet; a blob that is kept has its own name by now
    return facts


def check_blob(part: Path, blob: SourceBlob) -> Measured:
    """Compare a fetched blob with what the manifest says of it; raises ProofError."""
    with part.open("rb") as file:
        flaw = not_gzip(file.read(BEGINNING_BYTES))
    if flaw is not None:  # which is also why its size or hash is another
        what, remedy = flaw
        raise ProofError(f"The blob {blob.name} {what}.", remedy=remedy)
    size_bytes, sha256 = found = measured(part)
    if blob.size_bytes is not None and size_bytes != blob.size_bytes:
        more = "more than" if size_bytes > blob.size_bytes else f"{size_bytes:,} of"
        raise ProofError(f"Of the blob {blob.name} arrived {more} {blob.size_bytes:,} bytes.", remedy=TRY_AGAIN)
    if blob.sha256 is not None and sha256 != blob.sha256:
        raise ProofError(
            f"The blob {blob.name} has the SHA-256 {sha256}, and {blob.sha256} was promised.", remedy=TRY_AGAIN
        )
    return found


def check_count(blob: SourceBlob, line_items: int) -> None:
    """Compare the number of a blob's line items with what the manifest says of it; raises ProofError."""
    if blob.line_items is not None and blob.line_items != line_items:
        raise ProofError(
            f"The blob {blob.name} has {line_items:,} line items, and {blob.line_items:,} were promised.",
            remedy=TRY_AGAIN,
        )
