"""One pull: what its steps need, and its end, when the totals are checked, the files written and the receipt made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec

from counterfoil.client.output_files.output_formats import Form, write_form
from counterfoil.client.output_files.pull_files import batches_of
from counterfoil.client.protocol.asking import Api
from counterfoil.client.protocol.promised_totals import Promise
from counterfoil.client.pull_folder.room import within_room
from counterfoil.client.pull_folder.target import PullFolder
from counterfoil.client.pull_folder.unfinished import UnfinishedPull
from counterfoil.client.pull_folder.verified_blobs import VerifiedBlob
from counterfoil.client.receipt import Proof, Receipt, ReceiptFile
from counterfoil.client.transfer.client_settings import ClientSettings
from counterfoil.client.transfer.progress import ProgressReport
from counterfoil.client.transfer.source_calls import SourceCalls
from counterfoil.columns import table_of
from counterfoil.errors import ProofError
from counterfoil.line_items.line_reader import LineReader
from counterfoil.line_items.totals import Totals
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
    form: Form
    folder: PullFolder
    progress: ProgressReport

    def held(self, etag: str, promise: Promise) -> Receipt | None:
        """Return the former receipt where its files are as it says, and are the data of the source, in this form."""
        held = self.folder.receipt
        if held is None or not etag or (held.etag, held.format) != (etag, self.form.value):
            return None
        if held.line_items != sum(each.line_items for each in held.files):
            return None
        if any(file.difference(self.folder.path) for file in held.files):
            return None
        try:
            promise.check(Totals.of(held.line_items, held.totals))
        except ProofError:
            return None
        return msgspec.structs.replace(held, already_held=True)

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
        files = self._written(facts, tally.line_items)
        return Receipt(
            source=str(self.settings.base),
            api=self.api.value,
            request=self.facts,
            partner=ticket.partner,
            operation=operation,
            etag=etag,
            started_at=ticket.started_at,
            finished_at=timestamp(self.settings.patience.now()),
            format=self.form.value,
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

    def _written(self, facts: Sequence[VerifiedBlob], line_items: int) -> list[ReceiptFile]:
        """Return the staged files; a form that is one file of everything is written now."""
        if not self.form.is_one_file:
            return [each.file for each in facts]
        self.progress.expect("writing", line_items=line_items)
        folder, kind = self.folder.staging, self.ask.kind
        reader = LineReader(kind)
        staged = (self.folder.proven(each.file) for each in facts)
        batches = (batch for path in staged for batch in batches_of(path, path.name, reader))
        write = partial(
            write_form, self.form, folder, kind, within_room(folder, batches), line_items, self.progress.note
        )
        file = self.calls.session.work(write)
        if file.line_items != line_items:
            raise ProofError(f"{line_items:,} line items were proven, and {file.line_items:,} were written.")
        return [file]


def tally_of(facts: Sequence[VerifiedBlob]) -> Totals:
    """Return the tally of all."""
    tally = Totals()
    for each in facts:
        tally.merge(Totals.of(each.blob.line_items, each.totals))
        tally.without.update(each.without)
    return tally
