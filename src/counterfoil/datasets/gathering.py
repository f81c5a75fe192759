"""Gathering the line items of a publication: its inputs are read into segments, here or by worker processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from counterfoil.columns import LineItemTable, table_of
from counterfoil.datasets import check, digest
from counterfoil.datasets.blob_parts import SortedItems
from counterfoil.datasets.charge_dates import DateCheck
from counterfoil.datasets.check import Assertions, Identity
from counterfoil.datasets.copies import repeated
from counterfoil.datasets.csv_values import LocalForms
from counterfoil.datasets.data_folder import DataFolder
from counterfoil.datasets.input_formats import recognise
from counterfoil.datasets.intake import Intake
from counterfoil.datasets.jobs import Workers
from counterfoil.datasets.rejects import Rejects
from counterfoil.datasets.runs import RunFolder
from counterfoil.datasets.safeguards import Safeguards
from counterfoil.datasets.scan import Scanner
from counterfoil.datasets.source import STANDARD_INPUT, Source, real_path_of, size_bytes_of, skipped_in
from counterfoil.datasets.splits import Split, read_split
from counterfoil.errors import DamagedInputError, InputError, UsageError
from counterfoil.line_items.line_digests import LineDigests
from counterfoil.model import WHOLE, Contents, Dataset, Kind
from counterfoil.storage.catalog_rows import Revision
from counterfoil.storage.locks import Held
from counterfoil.storage.store import Publication

STAYING_MAX: Final = 32  # segments in memory at once; each takes some hundred kilobytes at least
_STAYS_BYTES: Final = 2 << 20


@dataclass(frozen=True, slots=True)
class Input:
    """One file to publish ('-' is standard input), with what is known about it beforehand.

    One that `may_be_stray` was found, not named: if it holds no line items at all it is passed over.
    `as_written`: no spreadsheet or shell had it in its hands, so white space around an id belongs to the id.
    """

    name: str
    asserted: Assertions = field(default_factory=Assertions)
    segment: str = WHOLE
    may_be_stray: bool = False
    as_written: bool = False


@dataclass(slots=True)
class GatheredSegment:
    """A segment that is about to be published."""

    name: str
    base: Revision | None  # in force when its dataset was locked
    intake: Intake
    items: SortedItems = ()
    contents: Contents = field(default_factory=Contents)  # once everything was read
    repeated: dict[str, int] = field(default_factory=dict)  # line items that another segment, by name, holds too
    _files: list[str] = field(default_factory=list)
    _cuts: list[LineDigests] = field(default_factory=list)  # the digests of each file but the last

    @property
    def dataset(self) -> Dataset:
        """Its dataset."""
        return self.intake.identity.dataset

    @property
    def table(self) -> LineItemTable:
        """The columns of its line items."""
        return table_of(self.dataset.kind)

    @property
    def files(self) -> list[str]:
        """The files that its line items came from."""
        return self._files

    def turn_to(self, file: str) -> None:
        """Say which file the line items come from that follow."""
        if not self._files or self._files[-1] != file:
            if self._files:
                self._cuts.append(self.intake.digests.cut())
            self._files.append(file)

    def refuse_copies(self) -> None:
        """Raise InputError if one of its files repeats another."""
        if len(self._files) > 1:
            self._cuts.append(self.intake.digests.cut())
            if found := repeated(list(zip(self._files, self._cuts, strict=True)), self.intake.digests):
                raise copied(*found)

    def settle(self) -> None:
        """Put in order what was read."""
        self.contents = self.intake.contents
        self.items = self.intake.sorter.in_memory() or self.intake.sorter.runs()

    def warnings_with(self, inexact: Mapping[str, int]) -> dict[str, int]:
        """Return what deserves a look, given how many decimals of each number were rounded."""
        rounded = Counter({f"inexact {name}": count for name, count in inexact.items()})
        repeats = Counter({f"repeated {name}": count for name, count in self.repeated.items()})
        return dict(self.intake.warnings + Counter(self.intake.dates.warnings()) + rounded + repeats)


def copied(file: str, other: str, line_items: int) -> InputError:
    """Return the error for a file that repeats another."""
    holds = "one line item that" if line_items == 1 else f"{line_items:,} line items that"
    return InputError(
        f"holds {holds} {other} holds too, and they would count twice",
        file=file,
        remedy="Publish one of the two. If these are different charges that look alike, allow it.",
        parameter="allow_copies",
    )


@dataclass(slots=True)
class Gathering:
    """Reads inputs into segments: here, or by splits that workers read."""

    _data_folder: DataFolder
    _publication: Publication
    _rejects: Rejects
    _stack: ExitStack
    _forms: LocalForms
    _workers: Workers
    _safeguards: Safeguards
    _skipped: Callable[[str, str], None]  # is told which file was passed over, and why
    held: list[Held] = field(default_factory=list)
    segments: dict[tuple[Dataset, str], GatheredSegment] = field(default_factory=dict)  # in the order they were met
    _scanners: dict[Kind, Scanner] = field(default_factory=dict)
    _read_items: int = 0
    _last: GatheredSegment | None = None  # the only one that may hold many line items in memory

    def read_all(self, inputs: Sequence[Input]) -> None:
        """Read the inputs to their ends."""
        self._refuse_named_twice(inputs)
        size_bytes = sum(size_bytes_of(given.name) for given in inputs)
        are_divided = self._workers.jobs > 1 and size_bytes > self._data_folder.sizes.divided_bytes
        waiting: list[Split] = []
        for given in inputs:
            splits = self._splits(given) if are_divided else []
            waiting += splits
            if not splits:
                self._read_splits(waiting)
                waiting.clear()
                self._read(given)
        self._read_splits(waiting)

    def _refuse_named_twice(self, inputs: Sequence[Input]) -> None:
        seen: dict[tuple[str, Assertions, str], str] = {}
        for given in inputs:
            if given.name != STANDARD_INPUT and not self._safeguards.allow_copies:
                key = (real_path_of(given.name), given.asserted, given.segment)
                if key in seen:
                    raise InputError(
                        f"is the same file as {seen[key]}, and its line items would count twice",
                        file=given.name,
                        remedy="Name each file once.",
                    )
                seen[key] = given.name

    def _forms_of(self, given: Input) -> LocalForms:
        return replace(self._forms, as_written=given.as_written)

    def _read(self, given: Input) -> None:
        with ExitStack() as stack:
            try:
                source = stack.enter_context(Source(given.name))
                file = recognise(source, given.asserted.kind)
            except InputError as error:
                if not given.may_be_stray or isinstance(error, DamagedInputError):
                    raise
                self._skipped(given.name, error.reason)
                return
            on_refused = partial(self._rejects.add, source.name)
            segment: GatheredSegment | None = None
            refused_before = self._rejects.count
            for batch in file.batches(on_refused, self._forms_of(given), scanners=self._scanners):
                if not len(batch):
                    continue
                if segment is None:
                    identity = check.identify(batch.table, batch, given.asserted, source.name)
                    segment = self._segment(identity, given.segment)
                    segment.turn_to(source.name)
                segment.intake.take(batch, source.name, on_refused)
                self._tell(len(batch))
            if segment is not None:
                segment.intake.warnings += Counter({"refused": self._rejects.count - refused_before})
                segment.intake.warnings += skipped_in(source)

    def _splits(self, given: Input) -> list[Split]:
        """Divide an input; returns nothing for one that is to be read here: a pipe, or one that is refused at once."""
        if not size_bytes_of(given.name):
            return []
        forms = self._forms_of(given)
        with ExitStack() as stack:
            try:
                source = stack.enter_context(Source(given.name))
                file = recognise(source, given.asserted.kind)
                batches = file.batches(lambda *_: None, forms)
                first = next((batch for batch in batches if len(batch)), None)
                if first is None:
                    return []
                identity = check.identify(first.table, first, given.asserted, source.name)
            except InputError:
                return []
            self._segment(identity, given.segment)
            split = Split(
                given.name,
                None,
                identity,
                given.segment,
                forms,
                self._rejects.most,
                self._run_folder,
                self._data_folder.sizes,
            )
            return [replace(split, span=span) for span in file.spans(split.sizes.split_bytes)]

    def _read_splits(self, splits: Sequence[Split]) -> None:
        line, name = 0, ""
        for split, result in zip(splits, self._workers.map(read_split, splits, self._tell), strict=True):
            line, name = line if split.name == name else 0, split.name
            for number, why in result.refusals:
                self._rejects.add(name, line + number, why)
            self._rejects.count += result.refused - len(result.refusals)
            if result.error is not None:
                raise result.error.further(line)
            segment = self.segments[split.identity.dataset, split.segment]
            segment.turn_to(split.name)
            intake = segment.intake
            assert result.taken is not None
            intake.adopt(result.taken, split.name)
            intake.warnings += Counter({"refused": result.refused})
            line += result.lines

    @property
    def _run_folder(self) -> RunFolder:
        return RunFolder(self._data_folder.store.runs, self._publication.id)

    def _tell(self, count: int) -> None:
        self._read_items += count
        self._data_folder.progress("reading", self._read_items)

    def _may_stay(self, segment: GatheredSegment) -> bool:
        """Whether a segment is so small that writing it down and reading it again would be most of the work."""
        return len(self.segments) <= STAYING_MAX and segment.intake.sorter.coder.size_bytes <= _STAYS_BYTES

    def _segment(self, identity: Identity, name: str) -> GatheredSegment:
        key = (identity.dataset, name)
        known = self.segments.get(key)
        if self._last is not None and self._last is not known and not self._may_stay(self._last):
            self._last.intake.sorter.rest()
        if known is not None:
            self._last = known
            if known.intake.identity != identity:
                raise UsageError(f"Two inputs for {identity.dataset} have different issuers or currencies.")
            return known
        beside = {other for dataset, other in self.segments if dataset == identity.dataset}
        if beside and WHOLE in beside | {name}:
            raise UsageError(f"{identity.dataset} cannot be published whole and in segments at once.")
        if not beside:
            self.held += self._stack.enter_context(self._data_folder.store.hold([identity.dataset]))
            self._data_folder.at_point("locked")
        base = self._data_folder.catalog.in_force(identity.dataset)
        digests = self._stack.enter_context(LineDigests(self._publication.scratch, sort=digest.in_order))
        dates = DateCheck(identity.dataset, name)
        intake = Intake(identity, dates, self._run_folder, digests, self._data_folder.sizes)
        segment = GatheredSegment(name, base, intake)
        self._last = self.segments[key] = segment
        return segment
