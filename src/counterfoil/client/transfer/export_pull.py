"""A pull of a Graph export into a folder: submit or resume, download and prove side by side, add up.

A run resumes from what an earlier one proved only if the data is still the same, by the manifest's eTag and list of
blobs. Where either changed, this pull is over, and `pull_to_folder` begins another.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from counterfoil.client.protocol.graph_answers import SourceBlob, SourceManifest
from counterfoil.client.protocol.promised_totals import ChangedError, GarbledError
from counterfoil.client.pull_folder.room import check_space
from counterfoil.client.pull_folder.unfinished import UnfinishedPull
from counterfoil.client.pull_folder.verified_blobs import VerifiedBlob, prove
from counterfoil.client.receipt import Receipt
from counterfoil.client.transfer.blob_downloads import BlobDownloads
from counterfoil.client.transfer.graph_exports import Export, Exporter
from counterfoil.client.transfer.pull_task import PullTask
from counterfoil.client.transfer.repeated_blobs import RepeatedBlobs
from counterfoil.errors import ProofError


@dataclass(frozen=True, slots=True)
class ExportPull:
    """One pull of an export."""

    task: PullTask
    exporter: Exporter

    def run(self, ticket: UnfinishedPull) -> Receipt:
        """Return the receipt of what was pulled, or the former one where the source has nothing new.

        `ticket` is of this run, or of the one that it resumes. Raises ChangedError where the source no longer has the
        data that the pull began with.
        """
        task, progress = self.task, self.task.progress
        export = self._exported(ticket)
        manifest = export.manifest
        if (held := task.held(manifest.etag, manifest.promise)) is not None:
            return held
        facts = self._verified()
        progress.remark(
            f"The export has {len(manifest.blobs)} blob{'s' * (len(manifest.blobs) != 1)}, eTag {manifest.etag}."
            + (f" {len(facts)} of them are here already." if facts else "")
        )
        sizes = [blob.size_bytes for blob in manifest.blobs]
        missing = [blob for blob in manifest.blobs if blob.name not in facts]
        check_space(task.folder.staging, missing, task.formats)
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
        downloads = BlobDownloads(task.calls, self.exporter, export, progress.received)
        task.calls.session.side_by_side(partial(self._pull_blob, downloads, blob, facts) for blob in missing)
        try:
            return self._receipt(ticket, export, [facts[blob.name] for blob in manifest.blobs])
        except ProofError:
            task.folder.clear()  # resuming from here would end here again
            raise

    def _exported(self, ticket: UnfinishedPull) -> Export:
        """Wait for the operation begun before, or for a new one; raises ChangedError where its data is not the same."""
        log, folder, progress = self.task.calls.log, self.task.folder, self.task.progress

        def accepted(url: str) -> None:
            if ticket.etag == "":  # whether the new operation has the data of the one before is unknown
                ticket.blobs = ()
            ticket.operation_url = url
            ticket.request_ids = log.ids
            ticket.keep(folder.staging)

        def waiting(so_far_s: float) -> None:
            progress.expect("waiting")
            so_far = f", {so_far_s:.0f} s so far" if so_far_s >= 1 else ""
            progress.remark(f"Waiting for the export{so_far}.")

        begun_url = ticket.operation_url
        try:
            export = self.exporter.export(self.task.ask, waiting, url=begun_url, accepted=accepted)
        except ProofError as error:
            if not begun_url or isinstance(error, GarbledError):  # another sign-in page, perhaps
                raise
            raise ChangedError(f"The operation of the unfinished pull is of no use: {error.message}") from error
        manifest = export.manifest
        if ticket.etag is not None and not _goes_on(ticket, manifest, begun_url, export.operation_url):
            raise ChangedError(_difference(ticket.etag, manifest.etag))
        partner = manifest.partner or log.tenant
        folder.check_partner(partner, ticket.partner)
        ticket.partner = partner
        ticket.operation_url, ticket.etag, ticket.blobs = export.operation_url, manifest.etag, manifest.blobs
        ticket.request_ids = log.ids
        ticket.keep(folder.staging)
        return export

    def _verified(self) -> dict[str, VerifiedBlob]:
        """Return the facts of the blobs that an earlier run verified, and whose files serve these formats."""
        folder = self.task.folder
        found = [VerifiedBlob.read(path) for path in folder.staging.glob("*.gz.json")]
        return {
            facts.blob.name: facts
            for facts in found
            if facts and facts.is_parquet == self.task.as_parquet and folder.find(facts.file) is not None
        }

    def _pull_blob(self, downloads: BlobDownloads, blob: SourceBlob, facts: dict[str, VerifiedBlob]) -> None:
        task = self.task
        part = task.folder.staging / f"{blob.name}.part"
        kept = task.folder.staging / blob.name  # as it came, by a run that wanted another format
        if kept.exists():
            kept.replace(part)
        proven = partial(
            prove, part, blob, task.ask.kind, as_parquet=task.as_parquet, on_line_items=task.progress.advance
        )
        facts[blob.name] = downloads.until_it_fits(blob, part, proven)
        task.progress.finished_blob()

    def _receipt(self, ticket: UnfinishedPull, export: Export, facts: list[VerifiedBlob]) -> Receipt:
        manifest = export.manifest
        repeated = RepeatedBlobs()
        for blob, each in zip(manifest.blobs, facts, strict=True):
            repeated.check(blob, each.blob.sha256)
            repeated.note(blob, each.blob.sha256, each.blob.line_items)
        return self.task.receipt(
            ticket,
            facts,
            manifest.promise,
            etag=manifest.etag,
            operation=export.operation,
            checked=("no blob is listed twice", "gzip integrity of every blob"),
            promised={
                "the number of blobs": manifest.counted,
                "the size of every blob": all(blob.size_bytes is not None for blob in manifest.blobs),
                "the SHA-256 of every blob": all(blob.sha256 is not None for blob in manifest.blobs),
                "the line items of every blob": all(blob.line_items is not None for blob in manifest.blobs),
            },
            blobs=[each.blob for each in facts],
        )


def _goes_on(ticket: UnfinishedPull, manifest: SourceManifest, begun_url: str, url: str) -> bool:
    same = ticket.etag == manifest.etag and ticket.blobs == manifest.blobs
    return same and bool(manifest.etag or begun_url == url)


def _difference(begun: str, found: str) -> str:
    if not begun and not found:
        return "The source gives no eTag, so whether it still has the data that this pull began with is unknown."
    return f"The data changed since this pull began: eTag {begun or 'none'} is eTag {found or 'none'}."
