"""Opening a data folder for a command."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from counterfoil.cli.output import Output, ProgressCounter
from counterfoil.datasets.publish import Workshop
from counterfoil.datasets.sweep import sweep
from counterfoil.errors import CounterfoilError
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
        yield _workshop(settings, catalog, progress)


@contextmanager
def opened_to_publish(settings: Settings, progress: Callable[[str, int], None]) -> Iterator[Workshop]:
    """Open the data folder of `settings`, which comes into being with what is published, and not without."""
    data = settings.data.absolute()
    with Catalog.open_or_await(settings.data, settings.database_url or None) as catalog:
        missing = [place for place in (data / "files", data / "locks", data, *data.parents) if not place.exists()]
        workshop = _workshop(settings, catalog, progress)
        try:
            yield workshop
        finally:
            if catalog.is_awaited:
                with suppress(CounterfoilError):  # what went wrong before is what to tell
                    workshop.locks.remove_free()
                for place in missing:
                    with suppress(OSError):  # somebody else is using it by now
                        place.rmdir()


def _workshop(settings: Settings, catalog: Catalog, progress: Callable[[str, int], None]) -> Workshop:
    files, locks = Files(settings.data / "files"), DatasetLocks(settings.data / "locks")
    return Workshop(catalog, files, locks, utc_now, progress)


def swept(workshop: Workshop, output: Output) -> None:
    """Delete what a publication made unreachable. The publication is in force by now, whether this fails or not."""
    try:
        sweep(workshop.catalog, workshop.files, workshop.now())
    except CounterfoilError as error:
        output.warning(f"Old files were not swept: {error} `counterfoil sweep` does it later.")


@contextmanager
def progress_of(output: Output) -> Iterator[Callable[[str, int], None]]:
    """Show how many line items have come along; each stage, such as reading, has a count of its own."""
    with ExitStack() as shown:
        bars: dict[str, ProgressCounter] = {}
        last: dict[str, int] = {}

        def report(stage: str, count: int) -> None:
            if stage not in bars:
                shown.close()
                bars.clear()
                last.clear()
                bars[stage] = shown.enter_context(output.progress(f"{stage.capitalize()} line items"))
            bars[stage].advance(max(0, count - last.get(stage, 0)))
            last[stage] = count

        yield report
