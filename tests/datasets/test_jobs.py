"""What is stored, and what is refused, is the same with any number of jobs: files of awkward lines, in every form.

`make test` publishes 6 files, `make soak` 200; FILES sets another number, and SEED other files.
"""

from __future__ import annotations

import gzip
import json
import os
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from counterfoil.columns import LineItemTable, table_of
from counterfoil.datasets.check import Assertions
from counterfoil.datasets.data_folder import DataFolder
from counterfoil.datasets.gathering import Input
from counterfoil.datasets.publishing import publish
from counterfoil.datasets.safeguards import Safeguards
from counterfoil.datasets.sizes import Sizes
from counterfoil.errors import InputError
from counterfoil.generator import generate
from counterfoil.model import Kind, Rendering, Scope
from counterfoil.periods import BillingPeriod
from counterfoil.storage.engines import open_store
from counterfoil.storage.v1_blocks import BlockFile
from tests.datasets.conftest import NOW
from tests.datasets.mutations import PARTNER, mutated

SEED: Final = int(os.environ.get("SEED", "10"))
SIZES: Final = Sizes(
    part_line_items=97,
    row_group_line_items=30,
    run_bytes=200_000,
    piece_bytes=20_000,
    split_bytes=150_000,
    divided_bytes=0,
)
FEW: Final = 3  # refused lines
PERIOD: Final = BillingPeriod(2026, 11)
tried = Counter[str]()


def awkward(chance: random.Random, table: LineItemTable, line: bytes) -> Iterator[bytes]:
    """The line, perhaps in other spellings, and others that tie with it or come close."""
    item = json.loads(line, parse_int=str, parse_float=str)
    match chance.randrange(12):
        case 0:
            yield from [line] * chance.randrange(2, 60)
        case 1:  # one digest, other stored bytes
            extra = {f"Unknown{n}": ["\u00e9" * n] for n in range(chance.randrange(1, 40))}
            for escaped in (True, False):
                yield json.dumps(item | extra, ensure_ascii=escaped).encode()
                yield json.dumps(dict(reversed((item | extra).items())), ensure_ascii=escaped).encode()
        case 2:  # absent, null and empty
            name = chance.choice(["Tags", "MeterId", "SkuName", "ProductName"])
            yield from (json.dumps(item | {name: value}).encode() for value in (None, "", " "))
        case 3:  # v1's names
            names = {column.name: column.v1 for column in table.columns}
            yield json.dumps({names.get(name, name): value for name, value in item.items()}).encode()
        case 4:
            yield json.dumps(item | {"ProductName": "x" * 20_000}).encode()
        case 5:
            yield b"" if chance.random() < 0.5 else b"  \r"
        case 6:
            yield mutated(chance, line)
        case _:
            yield line


def lines_of(chance: random.Random, kind: Kind) -> list[bytes]:
    scope = Scope.unbilled(PERIOD, "EUR")
    whole = b"".join(
        generate(kind, chance.choice([1, 30, 150]), special=True, partner=PARTNER, scope=scope)
    ).splitlines()
    lines = [each for line in whole for each in awkward(chance, table_of(kind), line)]
    chance.shuffle(lines)
    return [whole[0], *lines]


def written(chance: random.Random, lines: list[bytes], folder: Path) -> list[str]:
    """The lines in some files, each in one of three forms."""
    folder.mkdir()
    count = min(chance.choice([1, 3, 50]), len(lines))
    form = chance.choice(["plain", "gzip", "parquet"])
    tried.update([form, f"{count} files"])
    names = []
    for number in range(count):
        path = folder / f"{number:02}"
        its = lines[number * len(lines) // count : (number + 1) * len(lines) // count]
        if form == "parquet":
            write_parquet(path, its)
        else:
            data = b"\n".join(its) + b"\n" * chance.randrange(2)
            path.write_bytes(gzip.compress(data) if form == "gzip" else data)
        names.append(str(path))
    return names


def write_parquet(path: Path, lines: list[bytes]) -> None:
    """The lines that are line items of texts, as columns of text."""
    items = []
    for line in lines:
        try:
            item = json.loads(line, parse_int=str, parse_float=str)
        except ValueError:
            continue
        if isinstance(item, dict):
            items.append({name.lower(): text for name, text in item.items() if isinstance(text, str) and name})
    names = sorted({name for item in items for name in item})
    columns = [pa.array([item.get(name) for item in items], pa.string()) for name in names]
    pq.write_table(pa.table(columns, names), path, row_group_size=40)


def outcome(names: list[str], kind: Kind, data: Path, jobs: int, allowed: int) -> Any:
    """All that a publication says and stores. With a few refused lines allowed there is no file for them."""
    data.mkdir()
    rejects = data / "rejects.jsonl"
    inputs = [Input(name, Assertions(kind=kind, period=PERIOD, currency="EUR", partner=PARTNER)) for name in names]
    with open_store(data) as store:
        data_folder = DataFolder(store, lambda: NOW, sizes=SIZES, jobs=jobs)
        try:
            given = rejects if allowed > FEW else None
            [receipt] = publish(
                data_folder, inputs, rejects=given, allow_rejects=allowed, safeguards=Safeguards(allow_copies=True)
            )
        except InputError as error:
            # What was refused before an error that ends the reading depends on how much is read at once.
            return (str(error),)
        assert receipt.revision is not None
        stored = {
            (file.rendering, file.part): unpacked(data / "files" / file.path, file.rendering)
            for file in store.catalog.files(receipt.revision.id)
        }
        left = [path for path in (data / "scratch").rglob("*") if path.is_file()]
    assert left == []
    return receipt.etag, receipt.contents, receipt.warnings, given and rejects.read_text(), stored


def unpacked(path: Path, rendering: Rendering) -> Any:
    data = path.read_bytes()
    if rendering is Rendering.LAKE:
        found = pq.ParquetFile(path)
        return found.read(), [found.metadata.row_group(number).num_rows for number in range(found.num_row_groups)]
    if rendering is Rendering.V1:
        blocks = BlockFile(str(path), len(data), lambda offset, length: data[offset : offset + length])
        return [(blocks.json(block), bytes(blocks.item_lengths(block)), block.credit) for block in blocks.blocks]
    return gzip.decompress(data)


@pytest.mark.parametrize("files", [6, pytest.param(int(os.environ.get("FILES", "200")), marks=pytest.mark.soak)])
def test_any_number_of_jobs_stores_and_refuses_the_same(files: int, tmp_path: Path) -> None:
    for number in range(files):
        chance = random.Random(f"{SEED} {number}")
        kind = list(Kind)[number % 2]
        names = written(chance, lines_of(chance, kind), tmp_path / f"files-{number}")
        allowed = chance.choice([FEW, 10_000, 10_000])
        expected = outcome(names, kind, tmp_path / f"{number}-1", 1, allowed)
        tried["published" if len(expected) > 2 else "refused"] += 1
        for jobs in (2, 3, 5) if files > 6 else ((2, 3, 5)[number % 3],):
            assert outcome(names, kind, tmp_path / f"{number}-{jobs}", jobs, allowed) == expected, (
                f"SEED={SEED}, file {number}"
            )
    assert tried["published"] >= files // 2
    print(f"seed {SEED}: {dict(tried)}")  # noqa: T201
