"""Publishing thousands of datasets in one go: some at a time in one transaction each, and each on its own merits.

All files of a dataset are published together, wherever they were named. One that is refused leaves the others alone:
its dataset keeps what is in force, and the refusal is told. Running the same again goes on where a killed run ended,
because what is in force already costs a look and changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final

from counterfoil.datasets import check
from counterfoil.datasets.csv_values import LocalForms
from counterfoil.datasets.data_folder import DataFolder
from counterfoil.datasets.gathering import STAYING_MAX, Input
from counterfoil.datasets.input_formats import recognise
from counterfoil.datasets.jobs import Tell, Workers
from counterfoil.datasets.publication_receipt import PublicationReceipt
from counterfoil.datasets.publishing import publish
from counterfoil.datasets.scan import Scanner
from counterfoil.datasets.source import Source
from counterfoil.errors import CounterfoilError, DamagedInputError, DataFolderError, InputError, LockedError
from counterfoil.model import Dataset, Kind, Scope
from counterfoil.periods import utc_now
from counterfoil.storage.engines import StorePlace

DATASETS_AT_ONCE: Final = STAYING_MAX  # in one transaction; each holds a lock, and so an open file


@dataclass(slots=True)
class Outcome:
    """What became of many inputs: a receipt for each segment, and why others were not published."""

    receipts: list[PublicationReceipt] = field(default_factory=list)
    refused: list[CounterfoilError] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)  # files that are no line items, and why

    def add(self, more: Outcome) -> None:
        """Add what became of others."""
        self.receipts += more.receipts
        self.refused += more.refused
        self.skipped += more.skipped


@dataclass(frozen=True, slots=True)
class Share:
    """Some datasets, each with its files, that a process publishes for itself."""

    place: StorePlace
    datasets: list[list[Input]]
    options: dict[str, Any]


def publish_many(
    data_folder: DataFolder, inputs: Sequence[Input], *, place: StorePlace | None = None, **options: Any
) -> Outcome:
    """Publish inputs of many datasets, some datasets at a time; `options` are those of `publish`.

    Where the place of the store is known, other processes share the work, as many as the data folder has jobs. Raises
    DataFolderError where nothing more can be published at all.
    """
    outcome = Outcome()
    datasets: dict[Dataset | str, list[Input]] = {}
    scanners: dict[Kind, Scanner] = {}
    forms = LocalForms(options.get("date_order"), options.get("decimal"))
    for given in inputs:
        dataset = _declared(given) or _identified(given, outcome, forms, scanners)
        if dataset is not None:
            datasets.setdefault(dataset, []).append(given)
    groups = list(datasets.values())
    shares = [groups[begin : begin + DATASETS_AT_ONCE] for begin in range(0, len(groups), DATASETS_AT_ONCE)]
    if place is None or data_folder.jobs == 1 or len(shares) < 2:
        for some in shares:
            _publish_some(data_folder, some, outcome, options)
        return outcome
    done = 0

    def tell(count: int) -> None:
        nonlocal done
        done += count
        data_folder.progress("publishing", done)

    with Workers(data_folder.jobs) as workers:
        for its in workers.map(publish_share, [Share(place, some, options) for some in shares], tell):
            outcome.add(its)
    return outcome


def publish_share(share: Share, tell: Tell) -> Outcome:
    """Publish a share; `tell` is given how many line items were."""
    outcome = Outcome()
    with share.place.open() as store:
        _publish_some(DataFolder(store, utc_now), share.datasets, outcome, share.options)
    tell(sum(receipt.segment_contents.line_items for receipt in outcome.receipts))
    return outcome


def _publish_some(
    data_folder: DataFolder, datasets: Sequence[list[Input]], outcome: Outcome, options: dict[str, Any]
) -> None:
    """Publish some datasets together, or, where one is refused, in halves."""
    try:
        inputs = [given for its in datasets for given in its]
        outcome.receipts += publish(data_folder, inputs, **options)
    except LockedError as error:
        refused: CounterfoilError = error
    except DataFolderError:
        raise
    except CounterfoilError as error:
        refused = error
    else:
        return
    if len(datasets) == 1:
        outcome.refused.append(refused)
        return
    half = len(datasets) // 2
    for some in (datasets[:half], datasets[half:]):
        _publish_some(data_folder, some, outcome, options)


def _declared(given: Input) -> Dataset | None:
    """Return the dataset of a file about which everything was said, so that it need not be opened for that."""
    said = given.asserted
    if not said.partner or said.kind is None or not (said.invoice or (said.period and said.currency)):
        return None
    if said.period is not None:
        return Dataset(said.kind, said.partner, Scope.unbilled(said.period, said.currency))
    return Dataset(said.kind, said.partner, Scope.billed(said.invoice))


def _identified(
    given: Input, outcome: Outcome, forms: LocalForms, scanners: dict[Kind, Scanner]
) -> Dataset | str | None:
    """Return the dataset that a file belongs to, or its own name where publishing it will tell what is wrong with it.

    None stands for one that is skipped or refused, which is noted.
    """
    with ExitStack() as stack:
        try:
            source = stack.enter_context(Source(given.name))
            file = recognise(source, given.asserted.kind)
        except InputError as error:
            if given.may_be_stray and not isinstance(error, DamagedInputError):
                outcome.skipped.append((given.name, error.reason))
            else:
                outcome.refused.append(error)
            return None
        try:
            for batch in file.batches(lambda *_: None, forms, scanners=scanners):
                if len(batch):
                    return check.identify(batch.table, batch, given.asserted, source.name).dataset
        except InputError as error:
            outcome.refused.append(error)
            return None
    return given.name
