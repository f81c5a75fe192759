"""One pull: what its steps need, and its end, when the totals are checked, the files written and the receipt made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec
import pyarrow as pa

from counterfoil.client.output_files.output_formats import Format, write_format
from counterfoil.client.output_files.pull_files import LakeFile, batches_of
from counterfoil.client.protocol.asking import Api
from counterfoil.client.protocol.promised_totals import Promise
from counterfoil.client.pull_folder.room import within_room
from counterfoil.client.pull_folder.target import PullFolder
from counterfoil.client.pull_folder.unfinished import UnfinishedPull
from counterfoil.client.pull_folder.verified_blobs import VerifiedBlob, parquet_name
from counterfoil.client.receipt import Proof, Receipt, ReceiptFile, line_items_by_format
from counterfoil.client.transfer.client_settings import ClientSettings
from counterfoil.client.transfer.progress import ProgressReport
from counterfoil.client.transfer.source_calls import SourceCalls
from counterfoil.columns import table_of
from counterfoil.errors import ProofError
from counterfoil.line_items.line_reader import LineReader
from counterfoil.line_items.totals import Totals
from counterfoil.model import Kind
from counterfoil.periods import timestamp
from counterfoil.wire.graph import ExportRequest


@dataclass(frozen=True, slots=True)
class PullTask:
    """What is pulled, from where and to where. `facts` are those of the request, as the receipt has them."""

    calls: SourceCalls
    settings: ClientSettings
    ask: ExportRequest
    facts: Mapping[str, str]
    api: Api
    wanted: tuple[Format, ...]
    folder: PullFolder
    progress: ProgressReport

    @property
    def formats(self) -> tuple[Format, ...]:
        """The formats wanted, and those that are there already: asking for one removes no other."""
        here = self.folder.formats_here
        return tuple(each for each in Format if each in here or each in self.wanted)

    @property
    def as_parquet(self) -> bool:
        """Whether each blob becomes Parquet when it came; if anything else is made of it, it is kept until then."""
        return self.formats == (Format.PARQUET,)

    def held(self, etag: str, promise: Promise) -> Receipt | None:
        """Return the former receipt if its files are as it says, in the formats wanted, and nothing is newer."""
        held = self.folder.receipt
        if held is None or not etag or held.etag != etag or not {*self.wanted} <= {*held.formats}:
            return None
        if any(held.line_items != counted for counted in held.line_items_by_format().values()):
            return None
        if any(file.difference(self.folder.path) for file in held.files):
            return None
        try:
            promise.check(Totals.of(held.line_items, held.totals))
        except ProofError:
            return None
        return msgspec.structs.replace(held, already_held=True, set_aside=())

    def receipt(
        self,
        ticket: UnfinishedPull,
        facts: Sequence[VerifiedBlob],
        promise: Promise,
        *,
        etag: str,
        checked: Sequence[str],
        promised: Mapping[str, bool],
        operation: str = "",
        blobs: Sequence[ReceiptFile] = (),
    ) -> Receipt:
        """Compare what was pulled with the promise, write the files, and return the receipt; raises ProofError.

        `checked` is what was checked whatever the source says, `promised` what it could say, and whether it does.
        """
        tally, inexact = tally_of(facts), Counter[str]()
        promise.check(tally)
        for each in facts:
            inexact.update(each.inexact)
        for name, count in sorted(tally.without.items()):
            have, them = ("1 line item has", "it") if count == 1 else (f"{count:,} line items have", "them")
            self.progress.note(f"{have} no {name}, so its total is without {them}.")
        promised = {
            **promised,
            "the number of line items": promise.line_items is not None,
            "the exact totals": promise.covers(table_of(self.ask.kind).totals),
        }
        unchecked = tuple(name for name, known in promised.items() if not known)
        files = self._written(facts, tally.line_items, inexact)
        formats = tuple(each.value for each in self.formats)
        return Receipt(
            source=str(self.settings.base),
            api=self.api.value,
            request=self.facts,
            partner=ticket.partner,
            operation=operation,
            etag=etag,
            started_at=ticket.started_at,
            finished_at=timestamp(self.settings.patience.now()),
            format=formats if len(formats) > 1 else formats[0],
            line_items=tally.line_items,
            totals=tally.plain_totals(),
            proof=Proof.TRANSPORT_CHECKED if unchecked else Proof.PROVEN,
            checked=(*checked, *(name for name, known in promised.items() if known)),
            unchecked=unchecked,
            blobs=tuple(sorted(blobs, key=lambda blob: blob.name)),
            files=tuple(sorted(files, key=lambda file: file.name)),
            request_ids=self.calls.log.ids,
            inexact=inexact,
            notes=tuple(self.progress.notes),
        )

    def _written(self, facts: Sequence[VerifiedBlob], line_items: int, inexact: Counter[str]) -> list[ReceiptFile]:
        """Return the staged files; what is made of all blobs, or besides them, is written now."""
        formats = self.formats
        if self.as_parquet or formats == (Format.BLOBS,):
            return [each.file for each in facts]
        self.progress.expect("writing", line_items=line_items)
        folder, kind = self.folder.staging, self.ask.kind
        files = [each.file for each in facts] if Format.BLOBS in formats else []
        for each in formats:
            if each.is_one_file:
                lines = _StagedLines(self.folder, kind, facts)
                write = partial(write_format, each, folder, kind, lines, self.progress.note)
                files.append(self.calls.session.work(write))
        if Format.PARQUET in formats:
            for blob in facts:
                write = partial(self._parquet_of, blob, inexact)
                files.append(self.calls.session.work(write))
        for written, count in line_items_by_format(files).items():
            if count != line_items:
                raise ProofError(f"{line_items:,} line items were proven, and {count:,} were written as {written}.")
        return files

    def _parquet_of(self, facts: VerifiedBlob, inexact: Counter[str]) -> ReceiptFile:
        path = self.folder.staging / parquet_name(facts.blob.name)
        path.unlink(missing_ok=True)
        with LakeFile(path, self.ask.kind) as lake:
            for batch in _StagedLines(self.folder, self.ask.kind, [facts]):
                lake.add(batch)
            written = lake.finish()
        inexact.update(lake.inexact)
        return written


@dataclass(frozen=True, slots=True)
class _StagedLines:
    """The line items of all verified blobs, which can be read more than once: a workbook needs that."""

    folder: PullFolder
    kind: Kind
    facts: Sequence[VerifiedBlob]

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Yield them as columns of text; raises ProofError for a file that is damaged, FullDiskError for no room."""
        reader = LineReader(self.kind)
        staged = (self.folder.proven(each.file) for each in self.facts)
        batches = (batch for path in staged for batch in batches_of(path, path.name, reader))
        return within_room(self.folder.staging, batches)


def tally_of(facts: Sequence[VerifiedBlob]) -> Totals:
    """Return the tally of all."""
    tally = Totals()
    for each in facts:
        tally.merge(Totals.of(each.blob.line_items, each.totals))
        tally.without.update(each.without)
    return tally
