"""`counterfoil pull --publish`: what was pulled becomes a revision in a local data folder.

Whether that can be done at all is found out before anything is pulled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from counterfoil.cli.options import invocation
from counterfoil.cli.output import Output
from counterfoil.cli.publication_output import warn_of, with_care
from counterfoil.errors import UsageError
from counterfoil.printable_text import counted
from counterfoil.settings import Settings

if TYPE_CHECKING:
    from counterfoil.client import Receipt
    from counterfoil.datasets.publication_receipt import PublicationReceipt


@dataclass(frozen=True, slots=True)
class PullPublisher:
    """Publishes pulls in the data folder of the settings, and reports the outcome."""

    settings: Settings
    output: Output

    def publish(self, receipt: Receipt, folder: Path) -> dict[str, object] | None:
        """Make what was pulled a revision, and return what there is to say of it; doing so again changes nothing.

        None: the source has no such line items.
        """
        from counterfoil.cli.open_folder import believed_now, open_data_folder, progress_of, sweep_after_publishing
        from counterfoil.mirror import note_published, publish_pull

        with (
            progress_of(self.output) as report,
            open_data_folder(self.settings, create=True, progress=report, jobs=None) as data_folder,
        ):
            now = believed_now(data_folder)
            published = publish_pull(data_folder, receipt, folder)
            if published is not None and published.changed:
                with_care(
                    self.output,
                    "old files were not swept",
                    lambda: sweep_after_publishing(data_folder, now, self.output),
                )
        if published is None:
            self.output.note("The source has no such line items, so there is nothing to publish.")
        else:
            self._tell(receipt, published)
        note_published(receipt, folder, self.settings.data)
        if published is None or published.revision is None:
            return None
        return {"dataset": str(published.dataset), "revision": published.revision.id, "changed": published.changed}

    def publish_once(self, receipt: Receipt, folder: Path) -> None:
        """Make what was pulled a revision, unless that was done before."""
        from counterfoil.mirror import was_published

        if not was_published(receipt, folder, self.settings.data):
            self.publish(receipt, folder)

    def _tell(self, receipt: Receipt, published: PublicationReceipt) -> None:
        from counterfoil.datasets.safeguards import described
        from counterfoil.mirror import lacks_attributes

        assert published.revision is not None
        what = f"{published.dataset}: {counted(published.contents.line_items, 'line item')}"
        if published.changed:
            self.output.note(f"Published {what}, revision {published.revision.id}, eTag {published.etag}.")
        else:
            self.output.note(f"{what} were in force already; nothing was changed. eTag {published.etag}.")
        if published.changed and published.before is not None:
            self.output.note(f"The source has changed: {described(published.before, published.contents)}.")
        warn_of(self.output, published)
        if lacks_attributes(receipt, published):
            self.output.warning(
                f"The source's eTag is {receipt.etag}: it holds attributes that this pull did not bring. --api graph "
                "with --attribute-set full brings the most."
            )


def publisher_in(settings: Settings, formats: Sequence[str], output: Output) -> PullPublisher:
    """Return what publishes in the data folder of the settings; raises UsageError where that cannot be done."""
    invocation().command = "pull --publish"
    import counterfoil.mirror  # noqa: F401 - whether it can be imported is what is found out

    if set(formats) == {"xlsx"}:
        raise UsageError("A workbook cannot be published.", remedy="Pull as blobs or parquet.", parameter="format")
    output.note(f"Data folder: {settings.data.absolute()}")
    return PullPublisher(settings, output)
