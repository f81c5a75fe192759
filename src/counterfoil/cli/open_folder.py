"""Opening a data folder for a command: what stores and reads is imported when one is opened, and not before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from counterfoil.cli.output import Output
from counterfoil.errors import CounterfoilError
from counterfoil.periods import utc_now
from counterfoil.settings import Settings

if TYPE_CHECKING:
    from counterfoil.datasets.data_folder import DataFolder


@contextmanager
def open_data_folder(
    settings: Settings,
    *,
    create: bool = False,
    progress: Callable[[str, int], None] = lambda _what, _count: None,
    jobs: int | None = 1,
) -> Iterator[DataFolder]:
    """Open the data folder of `settings`; raises DataFolderError if there is none, unless `create`.

    None stands for as many `jobs` as processors and memory allow.
    """
    from counterfoil.datasets.data_folder import DataFolder
    from counterfoil.storage.engines import open_store

    if jobs is None:
        from counterfoil.datasets.jobs import jobs_by_default

        jobs = jobs_by_default()
    with open_store(settings.data, settings.database_url or None, create=create) as store:
        store.catalog.activity_kept = timedelta(days=settings.activity_days)
        yield DataFolder(store, utc_now, progress, jobs=jobs)


def believed_now(data_folder: DataFolder) -> datetime:
    """Return the time up to which a sweep may believe the clock. Ask before a publication writes that time itself."""
    from counterfoil.datasets.sweep import credible

    return credible(data_folder.catalog, data_folder.now())


def sweep_after_publishing(data_folder: DataFolder, now: datetime, output: Output) -> None:
    """Delete what a publication made unreachable. The publication is in force by now, whether this fails or not."""
    from counterfoil.datasets.sweep import sweep

    try:
        sweep(data_folder.store, now, trust_clock=True)
    except CounterfoilError as error:
        output.warning(f"Old files were not swept: {error} `counterfoil sweep` does it later.")


@contextmanager
def progress_of(output: Output) -> Iterator[Callable[[str, int], None]]:
    """Show how many line items are done; each stage, such as reading, has its own count."""
    with ExitStack() as shown:
        current, last = "", 0
        advance: Callable[[int], None]

        def report(stage: str, count: int) -> None:
            nonlocal current, last, advance
            if stage != current:
                shown.close()
                current, last = stage, 0
                advance = shown.enter_context(output.progress(f"{stage.capitalize()} line items"))
            advance(max(0, count - last))
            last = count

        yield report
