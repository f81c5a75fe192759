"""Opening a data folder for a command."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from counterfoil.cli.output import Output
from counterfoil.datasets.publish import Workshop
from counterfoil.periods import utc_now
from counterfoil.settings import Settings
from counterfoil.storage.catalog import Catalog
from counterfoil.storage.files import Files
from counterfoil.storage.locks import DatasetLocks


@contextmanager
def opened(
    settings: Settings, *, create: bool = False, progress: Callable[[str, int], None] = lambda _what, _count: None
) -> Iterator[Workshop]:
    """Open the data folder of `settings`; raises DataFolderError where there is none, unless it may be made."""
    with Catalog.open(settings.data, settings.database_url or None, create=create) as catalog:
        files, locks = Files(settings.data / "files"), DatasetLocks(settings.data / "locks")
        yield Workshop(catalog, files, locks, utc_now, progress)


@contextmanager
def progress_of(output: Output, what: str) -> Iterator[Callable[[str, int], None]]:
    """Show how many line items have come along; each stage counts from zero."""
    with output.progress(what) as bar:
        last: dict[str, int] = {}

        def report(stage: str, count: int) -> None:
            bar.advance(max(0, count - last.get(stage, 0)))
            last[stage] = count

        yield report
