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
from counterfoil.datasets.csv_input import DateOrder
from counterfoil.datasets.data_folder import DataFolder
from counterfoil.datasets.gathering import Input
from counterfoil.datasets.input_formats import recognise
from counterfoil.datasets.publication_receipt import PublicationReceipt
from counterfoil.datasets.publishing import publish
from counterfoil.datasets.source import Source
from counterfoil.errors import CounterfoilError, DamagedInputError, DataFolderError, InputError, LockedError
from counterfoil.model import Dataset

DATASETS_AT_ONCE: Final = 100  # in one transaction; each holds a lock, and so an open file


@dataclass(slots=True)
class Outcome:
    """What became of many inputs: a receipt for each segment, and why others were not published."""

    receipts: list[PublicationReceipt] = field(default_factory=list)
    refused: list[CounterfoilError] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)  # files that are no line items, and why


def publish_many(
    data_folder: DataFolder, inputs: Sequence[Input], *, at_once: int = DATASETS_AT_ONCE, **options: Any
) -> Outcome:
    """Publish inputs of many datasets, some datasets at a time; `options` are those of `publish`.

    Raises DataFolderError where nothing more can be published at all.
    """
    outcome = Outcome()
    datasets: dict[Dataset | str, list[Input]] = {}
    for given in inputs:
        dataset = _identified(given, outcome, options.get("date_order"))
        if dataset is not None:
            datasets.setdefault(dataset, []).append(given)
    groups = list(datasets.values())
    for begin in range(0, len(groups), at_once):
        _publish_some(data_folder, groups[begin : begin + at_once], outcome, options)
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


def _identified(given: Input, outcome: Outcome, date_order: DateOrder | None) -> Dataset | str | None:
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
            for batch in file.batches(lambda *_: None, date_order):
                if len(batch):
                    return check.identify(batch.table, batch, given.asserted, source.name).dataset
        except InputError as error:
            outcome.refused.append(error)
            return None
    return given.name
