"""Splits: pieces of an input that are read apart from each other, by other processes.

Line numbers are the trap. A split of JSON lines counts its own from 1, and where it begins is known only when all that
comes before it was read: whoever puts the results together adds it. So a refused line has one number, and the first of
them one place, whatever the number of splits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from counterfoil.datasets import digest
from counterfoil.datasets.charge_dates import DateCheck
from counterfoil.datasets.check import Identity
from counterfoil.datasets.csv_values import LocalForms
from counterfoil.datasets.input_file import Span
from counterfoil.datasets.input_formats import recognise
from counterfoil.datasets.intake import Intake, TakenIn
from counterfoil.datasets.rejects import WRITTEN_MAX
from counterfoil.datasets.runs import RunFolder
from counterfoil.datasets.sizes import Sizes
from counterfoil.datasets.source import Source, skipped_in
from counterfoil.errors import InputError
from counterfoil.line_items.line_digests import LineDigests
from counterfoil.line_items.values import Refused


@dataclass(frozen=True, slots=True)
class Split:
    """A piece of an input, and all that is needed to take in its line items."""

    name: str
    span: Span | None
    identity: Identity
    segment: str
    forms: LocalForms
    refused_max: int | None  # with more than that nothing is published, so the rest need not be read; None: read it all
    folder: RunFolder
    sizes: Sizes


@dataclass(slots=True)
class SplitResult:
    """What a split held: the refused lines, or the first of many, and what was taken in unless `error` ended it."""

    lines: int = 0  # counted in a split of JSON lines; elsewhere 0, where numbers are those of the file
    refused: int = 0
    refusals: list[tuple[int, Refused]] = field(default_factory=list)
    error: InputError | None = None
    taken: TakenIn | None = None


class _TooMany(Exception):  # noqa: N818 - a way out of the loop
    pass


def read_split(split: Split, tell: Callable[[int], None]) -> SplitResult:
    """Take in the line items of a split; `tell` is given how many more were."""
    result = SplitResult()

    def on_refused(line: int, why: Refused) -> None:
        result.refused += 1
        if result.refused <= WRITTEN_MAX:
            result.refusals.append((line, why))
        if split.refused_max is not None and result.refused > split.refused_max:
            raise _TooMany

    with Source(split.name) as source, LineDigests(sort=digest.in_order) as digests:
        dates = DateCheck(split.identity.dataset, split.segment)
        intake = Intake(split.identity, dates, split.folder, digests, split.sizes)
        try:
            file = recognise(source, split.identity.dataset.kind)
            for batch in file.batches(on_refused, split.forms, split.span):
                if len(batch):
                    intake.take(batch, source.name, on_refused)
                    tell(len(batch))
        except InputError as error:
            result.error = error
        except _TooMany:
            pass
        else:
            intake.warnings += skipped_in(source)
            result.taken = intake.taken_in()
        result.lines = source.lines if split.span is not None and not split.span.first_row else 0
    return result
