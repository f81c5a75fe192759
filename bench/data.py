"""The line items that are measured on: files of several sorts, and a published data folder.

Each is made when a row first asks for it, and kept under .cache/bench/ for the next run.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from tempfile import mkdtemp

import msgspec

from bench.changed_side import write_changed
from counterfoil.columns import USAGE, LineItemTable, Type
from counterfoil.datasets.check import Assertions
from counterfoil.datasets.data_folder import DataFolder
from counterfoil.datasets.gathering import Input
from counterfoil.datasets.publishing import publish
from counterfoil.generator import generate, write
from counterfoil.model import Kind, Scope
from counterfoil.periods import BillingPeriod, utc_now
from counterfoil.storage.engines import open_store

PARTNER = "0e195b37-4574-4539-bc42-0e539b9684c0"
CACHE = Path(__file__).parent.parent / ".cache" / "bench"
CURRENCY = "EUR"
FEW = 1_000
FEW_CURRENCY = "USD"

Line = dict[str, msgspec.Raw]  # attribute name to JSON
_LINE = msgspec.json.Decoder(Line)
_CUSTOMERS = 1_000_000
_LONG_BYTES = 60_000
_SAME = {"PartnerId", "InvoiceNumber", USAGE.currency}  # for all line items of a publication


def _nothing_repeats(number: int, line: Line) -> None:
    # One to one, and in no order: an input in order would be merged too easily.
    token = number * 0x9E3779B1 & 0xFFFFFFFF
    date = datetime.fromtimestamp(token, UTC).strftime('"%Y-%m-%dT%H:%M:%SZ"').encode()
    for name, value in line.items():
        match USAGE.by_name[name].type:
            case _ if name in _SAME:
                continue
            case Type.NUMBER:
                line[name] = msgspec.Raw(b"%d.%010d" % (number & 1023, token))
            case Type.DATE:
                line[name] = msgspec.Raw(date)
            case _:
                line[name] = msgspec.Raw(bytes(value)[:-1] + b'%08x"' % token)


def _million_customers(number: int, line: Line) -> None:
    customer = number * 618_033_989 % _CUSTOMERS
    line["CustomerId"] = msgspec.Raw(b'"%08x-0000-4000-8000-000000000000"' % customer)
    line["CustomerName"] = msgspec.Raw(b'"Customer %d"' % customer)
    line["CustomerDomainName"] = msgspec.Raw(b'"customer-%d.example"' % customer)


def _long_lines(number: int, line: Line) -> None:
    token = b"%09d " % number
    line["Tags"] = msgspec.Raw(b'"' + token * (_LONG_BYTES // len(token)) + b'"')


@dataclass(frozen=True)
class Variant:
    """What a file of line items holds: those of the generator, each changed."""

    kind: Kind = Kind.USAGE
    change: Callable[[int, Line], None] | None = None
    times_fewer: int = 1  # because each line item is larger

    def write(self, file: Path, line_items: int, period: BillingPeriod, currency: str = CURRENCY) -> None:
        """Write so many line items, or so many times fewer, with a memory that does not grow with their number."""
        scope = Scope.unbilled(period, currency)
        chunks = generate(self.kind, max(1, line_items // self.times_fewer), special=True, partner=PARTNER, scope=scope)
        write(self._changed(chunks) if self.change else chunks, file)

    def _changed(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        assert self.change is not None
        number = 0
        for chunk in chunks:
            lines = []
            for spelled in chunk.splitlines():
                line = _LINE.decode(spelled)
                self.change(number, line)
                lines.append(msgspec.json.encode(line))
                number += 1
            yield b"\n".join([*lines, b""])


VARIANTS = {
    "usage": Variant(),
    "reconciliation": Variant(Kind.RECONCILIATION),
    "nothing repeats": Variant(change=_nothing_repeats),
    "a million customers": Variant(change=_million_customers),
    "lines of 60 kB": Variant(change=_long_lines, times_fewer=100),
}


@dataclass(frozen=True)
class Sample:
    """Line items as shuffled files and as a published data folder; `scratch` is emptied after the run."""

    line_items: int
    period: BillingPeriod
    folder: Path
    scratch: Path

    def file(self, variant: str) -> Path:
        """Return the file of a variant."""
        path = self.folder / f"{variant.replace(' ', '-')}.jsonl"
        if not path.exists():
            half = self.scratch / "half.jsonl"
            VARIANTS[variant].write(half, self.line_items, self.period)
            _shuffle(half)
            half.rename(path)
        return path

    @cached_property
    def data(self) -> Path:
        """A data folder with the usage line items, and a few others in another currency."""
        path = self.folder / "data"
        if not path.exists():
            half, few = self.scratch / "half", self.scratch / "few.jsonl"
            VARIANTS["usage"].write(few, FEW, self.period, FEW_CURRENCY)
            for file in (self.file("usage"), few):
                publish_into(half, file, self.period)
            half.rename(path)
        return path

    @cached_property
    def changed_data(self) -> Path:
        """A data folder with the usage line items after some of them changed."""
        path = self.folder / "changed-data"
        if not path.exists():
            half, changed = self.scratch / "half", self.scratch / "changed.jsonl"
            write_changed(self.file("usage"), changed)
            publish_into(half, changed, self.period)
            changed.unlink()
            half.rename(path)
        return path

    @property
    def lake(self) -> list[Path]:
        """The lake files of the usage line items."""
        return _largest_lake(self.data)

    @property
    def changed_lake(self) -> list[Path]:
        """The lake files of those that changed."""
        return _largest_lake(self.changed_data)


def _largest_lake(data: Path) -> list[Path]:
    with open_store(data).catalog as catalog:
        files = [data / "files" / file.path for file in catalog.all_files() if file.rendering == "lake"]
    largest = max(files, key=lambda path: path.stat().st_size)
    return sorted(path for path in files if path.parent == largest.parent)


@contextmanager
def prepared(line_items: int) -> Iterator[Sample]:
    """Make the folders of a sample."""
    period = BillingPeriod.containing(utc_now())
    folder = CACHE / f"{line_items}-{period}-form-3"
    folder.mkdir(parents=True, exist_ok=True)
    scratch = Path(mkdtemp(prefix="scratch-", dir=folder))
    try:
        yield Sample(line_items, period, folder, scratch)
    finally:
        shutil.rmtree(scratch)


def publish_into(data: Path, file: Path, period: BillingPeriod, jobs: int = 1) -> None:
    """Publish one file as unbilled data."""
    with open_store(data) as store:
        publish(DataFolder(store, utc_now, jobs=jobs), [Input(str(file), Assertions(period=period))])


def columns_for_duckdb(table: LineItemTable = USAGE) -> str:
    """Return the types that `read_json` is told, as a struct: what an engine's user would write."""
    types = {column.name: "DECIMAL(28,15)" if column.type is Type.NUMBER else "VARCHAR" for column in table.graph_full}
    return json.dumps(types).replace('"', "'")


def _shuffle(file: Path) -> None:
    """Shuffle by a fixed seed, so that the input is in no order at all."""
    lines = file.read_bytes().splitlines(keepends=True)
    random.Random(7).shuffle(lines)
    with file.open("wb") as out:
        out.writelines(lines)
