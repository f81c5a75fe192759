"""Pulling a Graph export into a folder, as a flow: submit or go on, download and prove side by side, add up.

What a newcomer would get wrong: a run goes on from what an earlier one proved only if the data is still the same.
The manifest tells: its eTag and its list of blobs. Where either changed, this pull is over, and `plans` begins another.
"""

from __future__ import annotations

from dataclasses import dataclass

from counterfoil.client.disk.blobs import Facts, prove
from counterfoil.client.disk.folder import Folder, check_space
from counterfoil.client.disk.tickets import Ticket
from counterfoil.client.flows.calls import Caller
from counterfoil.client.flows.exports import Export, Exporter
from counterfoil.client.flows.fetching import Fetcher, Links
from counterfoil.client.flows.outcomes import Outcome, agrees, rounded, together, verdict, written
from counterfoil.client.flows.proving import Doubles, until_it_fits
from counterfoil.client.flows.steps import Do, Flow, Together
from counterfoil.client.flows.watching import Watching
from counterfoil.client.line_items.forms import Form, check_rows
from counterfoil.client.protocol.graph import SourceBlob, SourceManifest
from counterfoil.client.protocol.promises import ChangedError
from counterfoil.client.receipt import Receipt
from counterfoil.errors import ProofError
from counterfoil.wire.graph import ExportRequest


@dataclass(frozen=True, slots=True)
class ExportPull:
    """One pull by exports. `ticket` is of this run, or of the one that it goes on from."""

    caller: Caller
    exporter: Exporter
    ask: ExportRequest
    folder: Folder
    form: Form
    watching: Watching

    def run(self, ticket: Ticket) -> Flow[Outcome | Receipt]:
        """Return what was pulled, or the former receipt where the source has nothing new.

        Raises ChangedError where what an earlier run, or this one, began with is no longer what the source has.
        """
        watching = self.watching
        export = yield from self._exported(ticket)
        manifest = export.manifest
        held: Receipt | None = yield Do(lambda: self.folder.held(manifest.etag, self.form.value))
        if held is not None and agrees(held, manifest.promise):
            return held
        check_rows(self.form, manifest.promise.line_items)
        facts: dict[str, Facts] = yield Do(self._verified)
        watching.remark(
            f"The export has {len(manifest.blobs)} blob{'s' * (len(manifest.blobs) != 1)}, eTag {manifest.etag}."
            + (f" {len(facts)} of them are here already." if facts else "")
        )
        sizes = [blob.size_bytes for blob in manifest.blobs]
        missing = [blob for blob in manifest.blobs if blob.name not in facts]
        yield Do(lambda: check_space(self.folder.staging, missing, self.form))
        watching.expect(
            "fetching",
            blobs=len(sizes),
            size_bytes=None if None in sizes else sum(size or 0 for size in sizes),
            line_items=manifest.promise.line_items,
        )
        for each in facts.values():
            watching.received(each.blob.size_bytes)
            watching.advance(each.blob.line_items)
            watching.finished_blob()
        links = Links(self.caller.base, manifest, lambda: self.exporter.manifest_again(export))
        fetcher = Fetcher(self.caller.base, links, self.caller.patience, self.caller.log, watching.received)
        yield Together([self._blob(fetcher, blob, facts) for blob in missing])
        return (yield from self._sum(export, [facts[blob.name] for blob in manifest.blobs]))

    def _exported(self, ticket: Ticket) -> Flow[Export]:
        """Wait for the operation begun before, or for a new one; raises ChangedError where its data is not the same."""

        def accepted(url: str) -> None:
            if ticket.etag == "":  # nothing tells whether the new operation has the data of the one before
                ticket.blobs = ()
            ticket.operation_url = url
            ticket.request_ids = self.caller.log.ids
            ticket.keep(self.folder.staging)

        def waiting(so_far_s: float) -> None:
            self.watching.expect("waiting")
            so_far = f", {so_far_s:.0f} s so far" if so_far_s >= 1 else ""
            self.watching.remark(f"Waiting for the export{so_far}.")

        begun_url = ticket.operation_url
        export = yield from self.exporter.export(self.ask, waiting, url=begun_url, accepted=accepted)
        manifest = export.manifest
        if ticket.etag is not None and not _goes_on(ticket, manifest, begun_url, export.operation_url):
            raise ChangedError(_difference(ticket.etag, manifest.etag))
        ticket.partner = manifest.partner or self.caller.log.tenant
        self.folder.check_partner(ticket.partner)
        ticket.operation_url, ticket.etag, ticket.blobs = export.operation_url, manifest.etag, manifest.blobs
        ticket.request_ids = self.caller.log.ids
        yield Do(lambda: ticket.keep(self.folder.staging))
        return export

    def _verified(self) -> dict[str, Facts]:
        """Return the facts of the blobs that an earlier run verified, and whose files serve this form."""
        found: dict[str, Facts] = {}
        for path in self.folder.staging.glob("*.gz.json"):
            facts = Facts.read(self.folder.staging, path.name.removesuffix(".json"))
            if facts is None:
                continue
            is_parquet = facts.file.name != facts.blob.name
            if is_parquet == (self.form is Form.PARQUET) and self.folder.find(facts.file) is not None:
                found[facts.blob.name] = facts
        return found

    def _blob(self, fetcher: Fetcher, blob: SourceBlob, facts: dict[str, Facts]) -> Flow[None]:
        part = self.folder.staging / f"{blob.name}.part"
        kept = self.folder.staging / blob.name  # as it came, by a run that wanted another form

        def proven() -> Facts:
            as_parquet = self.form is Form.PARQUET
            return prove(part, blob, self.ask.kind, as_parquet=as_parquet, on_line_items=self.watching.advance)

        yield Do(lambda: kept.replace(part) if kept.exists() else None)
        facts[blob.name] = yield from until_it_fits(fetcher, blob, part, proven)
        self.watching.finished_blob()

    def _sum(self, export: Export, facts: list[Facts]) -> Flow[Outcome]:
        manifest = export.manifest
        tally = together(facts)
        try:
            manifest.promise.check(tally)
            _check_doubled(manifest, facts)
            files = yield from written(self.form, self.ask.kind, self.folder, facts, self.watching)
        except ProofError:
            yield Do(self.folder.clear)  # going on from here would end here again
            raise
        checked, unchecked = verdict(
            self.ask.kind,
            manifest.promise,
            {
                "the number of blobs": manifest.counted,
                "the size of every blob": all(blob.size_bytes is not None for blob in manifest.blobs),
                "the SHA-256 of every blob": all(blob.sha256 is not None for blob in manifest.blobs),
                "the line items of every blob": all(blob.line_items is not None for blob in manifest.blobs),
            },
        )
        return Outcome(
            operation=export.operation,
            partner=manifest.partner or self.caller.log.tenant,
            etag=manifest.etag,
            tally=tally,
            checked=("no blob is listed twice", "gzip integrity of every blob", *checked),
            unchecked=unchecked,
            blobs=tuple(sorted((each.blob for each in facts), key=lambda blob: blob.name)),
            files=tuple(sorted(files, key=lambda file: file.name)),
            inexact=rounded(facts),
        )


def _goes_on(ticket: Ticket, manifest: SourceManifest, begun_url: str, url: str) -> bool:
    same = ticket.etag == manifest.etag and ticket.blobs == manifest.blobs
    return same and bool(manifest.etag or begun_url == url)


def _difference(begun: str, found: str) -> str:
    if not begun and not found:
        return "The source gives no eTag, and nothing tells whether it has the data that this pull began with."
    return f"The data changed since this pull began: eTag {begun or 'none'} is eTag {found or 'none'}."


def _check_doubled(manifest: SourceManifest, facts: list[Facts]) -> None:
    doubles = Doubles()
    for blob, each in zip(manifest.blobs, facts, strict=True):
        doubles.check(blob, each.blob.sha256)
        doubles.note(blob, each.blob.sha256, each.blob.line_items)
