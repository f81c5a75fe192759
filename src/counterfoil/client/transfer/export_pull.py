"""A pull of a Graph export into a folder: submit or resume, download and prove side by side, add up.

A run resumes from what an earlier one proved only if the data is still the same, by the manifest's eTag and list of
blobs. Where either changed, this pull is over, and `pull_to_folder` begins another.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from counterfoil.client.output_files.output_formats import Form, check_rows
from counterfoil.client.protocol.graph_answers import SourceBlob, SourceManifest
from counterfoil.client.protocol.promised_totals import ChangedError
from counterfoil.client.pull_folder.target import PullFolder, check_space
from counterfoil.client.pull_folder.unfinished import UnfinishedPull
from counterfoil.client.pull_folder.verified import VerifiedBlob, prove
from counterfoil.client.receipt import Receipt
from counterfoil.client.transfer.blob_downloads import BlobDownloads, Links
from counterfoil.client.transfer.graph_exports import Export, Exporter
from counterfoil.client.transfer.progress import ProgressReport
from counterfoil.client.transfer.pull_results import PullResult, agrees, rounded, together, verdict, written
from counterfoil.client.transfer.repeated_data import RepeatedBlobs
from counterfoil.client.transfer.source_calls import SourceCalls
from counterfoil.errors import ProofError
from counterfoil.wire.graph import ExportRequest


@dataclass(frozen=True, slots=True)
class ExportPull:
    """One pull of an export."""

    calls: SourceCalls
    exporter: Exporter
    ask: ExportRequest
    folder: PullFolder
    form: Form
    progress: ProgressReport

    def run(self, ticket: UnfinishedPull) -> PullResult | Receipt:
        """Return what was pulled, or the former receipt where the source has nothing new.

        `ticket` is of this run, or of the one that it resumes. Raises ChangedError where the source no longer has the
        data that the pull began with.
        """
        progress = self.progress
        export = self._exported(ticket)
        manifest = export.manifest
        held = self.folder.held(manifest.etag, self.form.value)
        if held is not None and agrees(held, manifest.promise):
            return held
        check_rows(self.form, manifest.promise.line_items)
        facts = self._verified()
        progress.remark(
            f"The export has {len(manifest.blobs)} blob{'s' * (len(manifest.blobs) != 1)}, eTag {manifest.etag}."
            + (f" {len(facts)} of them are here already." if facts else "")
        )
        sizes = [blob.size_bytes for blob in manifest.blobs]
        missing = [blob for blob in manifest.blobs if blob.name not in facts]
        check_space(self.folder.staging, missing, self.form)
        progress.expect(
            "fetching",
            blobs=len(sizes),
            size_bytes=None if None in sizes else sum(size or 0 for size in sizes),
            line_items=manifest.promise.line_items,
        )
        for each in facts.values():
            progress.received(each.blob.size_bytes)
            progress.advance(each.blob.line_items)
            progress.finished_blob()
        calls, session = self.calls, self.calls.session
        links = Links(calls.base, manifest, lambda: self.exporter.manifest_again(export))
        downloads = BlobDownloads(session, calls.base, links, calls.log, progress.received)
        session.side_by_side(partial(self._pull_blob, downloads, blob, facts) for blob in missing)
        return self._sum(export, [facts[blob.name] for blob in manifest.blobs])

    def _exported(self, ticket: UnfinishedPull) -> Export:
        """Wait for the operation begun before, or for a new one; raises ChangedError where its data is not the same."""

        def accepted(url: str) -> None:
            if ticket.etag == "":  # whether the new operation has the data of the one before is unknown
                ticket.blobs = ()
            ticket.operation_url = url
            ticket.request_ids = self.calls.log.ids
            ticket.keep(self.folder.staging)

        def waiting(so_far_s: float) -> None:
            self.progress.expect("waiting")
            so_far = f", {so_far_s:.0f} s so far" if so_far_s >= 1 else ""
            self.progress.remark(f"Waiting for the export{so_far}.")

        begun_url = ticket.operation_url
        export = self.exporter.export(self.ask, waiting, url=begun_url, accepted=accepted)
        manifest = export.manifest
        if ticket.etag is not None and not _goes_on(ticket, manifest, begun_url, export.operation_url):
            raise ChangedError(_difference(ticket.etag, manifest.etag))
        ticket.partner = manifest.partner or self.calls.log.tenant
        self.folder.check_partner(ticket.partner)
        ticket.operation_url, ticket.etag, ticket.blobs = export.operation_url, manifest.etag, manifest.blobs
        ticket.request_ids = self.calls.log.ids
        ticket.keep(self.folder.staging)
        return export

    def _verified(self) -> dict[str, VerifiedBlob]:
        """Return the facts of the blobs that an earlier run verified, and whose files serve this form."""
        found: dict[str, VerifiedBlob] = {}
        for path in self.folder.staging.glob("*.gz.json"):
            facts = VerifiedBlob.read(self.folder.staging, path.name.removesuffix(".json"))
            if facts is None:
                continue
            is_parquet = facts.file.name != facts.blob.name
            if is_parquet == (self.form is Form.PARQUET) and self.folder.find(facts.file) is not None:
                found[facts.blob.name] = facts
        return found

    def _pull_blob(self, downloads: BlobDownloads, blob: SourceBlob, facts: dict[str, VerifiedBlob]) -> None:
        part = self.folder.staging / f"{blob.name}.part"
        kept = self.folder.staging / blob.name  # as it came, by a run that wanted another form

        def proven() -> VerifiedBlob:
            as_parquet = self.form is Form.PARQUET
            return prove(part, blob, self.ask.kind, as_parquet=as_parquet, on_line_items=self.progress.advance)

        if kept.exists():
            kept.replace(part)
        facts[blob.name] = downloads.until_it_fits(blob, part, proven)
        self.progress.finished_blob()

    def _sum(self, export: Export, facts: list[VerifiedBlob]) -> PullResult:
        manifest = export.manifest
        tally = together(facts)
        try:
            manifest.promise.check(tally)
            _check_repeated(manifest, facts)
            files = written(self.calls.session, self.form, self.ask.kind, self.folder, facts, self.progress)
        except ProofError:
            self.folder.clear()  # resuming from here would end here again
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
        return PullResult(
            operation=export.operation,
            partner=manifest.partner or self.calls.log.tenant,
            etag=manifest.etag,
            tally=tally,
            checked=("no blob is listed twice", "gzip integrity of every blob", *checked),
            unchecked=unchecked,
            blobs=tuple(sorted((each.blob for each in facts), key=lambda blob: blob.name)),
            files=tuple(sorted(files, key=lambda file: file.name)),
            inexact=rounded(facts),
        )


def _goes_on(ticket: UnfinishedPull, manifest: SourceManifest, begun_url: str, url: str) -> bool:
    same = ticket.etag == manifest.etag and ticket.blobs == manifest.blobs
    return same and bool(manifest.etag or begun_url == url)


def _difference(begun: str, found: str) -> str:
    if not begun and not found:
        return "The source gives no eTag, so whether it still has the data that this pull began with is unknown."
    return f"The data changed since this pull began: eTag {begun or 'none'} is eTag {found or 'none'}."


def _check_repeated(manifest: SourceManifest, facts: list[VerifiedBlob]) -> None:
    blobs = RepeatedBlobs()
    for blob, each in zip(manifest.blobs, facts, strict=True):
        blobs.check(blob, each.blob.sha256)
        blobs.note(blob, each.blob.sha256, each.blob.line_items)
