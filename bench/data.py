"""The sample: generated once for each size, shuffled, published, and kept under .cache/bench/ for the next run."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from counterfoil.columns import USAGE, Type
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
FEW = 1_000
FEW_CURRENCY = "USD"


@dataclass(frozen=True)
class Sample:
    """The line items as a shuffled file and as a published data folder; `scratch` is emptied after the run."""

    line_items: int
    period: BillingPeriod
    shuffled: Path
    data: Path
    lake: tuple[Path, ...]
    scratch: Path


@contextmanager
def prepared(line_items: int) -> Iterator[Sample]:
    """Make the sample where it is not there yet."""
    period = BillingPeriod.containing(utc_now())
    folder = CACHE / f"{line_items}-{period}-form-2"
    shuffled, data = folder / "shuffled.jsonl", folder / "data"
    if not (folder / "ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        plain = folder / "plain.jsonl"
        write(generate(Kind.USAGE, line_items, partner=PARTNER, scope=Scope.unbilled(period, "EUR")), plain)
        _shuffle(plain, shuffled)
        plain.unlink()
        few = folder / "few.jsonl"
        write(generate(Kind.USAGE, FEW, partner=PARTNER, scope=Scope.unbilled(period, FEW_CURRENCY)), few)
        publish_into(data, shuffled, period)
        publish_into(data, few, period)
        (folder / "ready").touch()
    with open_store(data).catalog as catalog:
        lake = [data / "files" / file.path for file in catalog.all_files() if file.rendering == "lake"]
    scratch = Path(mkdtemp(prefix="scratch-", dir=folder))
    largest = sorted(lake, key=lambda path: path.stat().st_size, reverse=True)
    many = tuple(path for path in largest if path.parent == largest[0].parent)
    try:
        yield Sample(line_items, period, shuffled, data, many, scratch)
    finally:
        shutil.rmtree(scratch)


def publish_into(data: Path, file: Path, period: BillingPeriod) -> None:
    """Publish one file as unbilled data."""
    with open_store(data) as store:
        publish(DataFolder(store, utc_now), [Input(str(file), Assertions(period=period))])


def columns_for_duckdb() -> str:
    """Return the types that `read_json` is told, as a struct: what an engine's user would write."""
    types = {column.name: "DECIMAL(28,15)" if column.type is Type.NUMBER else "VARCHAR" for column in USAGE.graph_full}
    return json.dumps(types).replace('"', "'")


def _shuffle(plain: Path, shuffled: Path) -> None:
    """Shuffle by a fixed seed, so that the input is in no order at all."""
    lines = plain.read_bytes().splitlines(keepends=True)
    random.Random(7).shuffle(lines)
    with shuffled.open("wb") as out:
        out.writelines(lines)
