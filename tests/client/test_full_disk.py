"""Files that a pull writes onto a disk that fills up: one error, and every file is closed."""

from __future__ import annotations

import errno
import gc
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from counterfoil.client import Client, Format, ask_billed
from counterfoil.client.output_files.csv_file import write_csv
from counterfoil.client.output_files.pull_files import LakeFile, LinesFile
from counterfoil.client.output_files.workbook import write_workbook
from counterfoil.disk.hashing import measured
from counterfoil.errors import FullDiskError
from counterfoil.line_items.lake import text_schema
from counterfoil.model import Kind
from tests.client.hostile_source import HostileSource
from tests.crash.disks import Disk, mounted

LINES = 20_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with mounted(tmp_path / "disk") as made:
        yield made


def batch() -> pa.RecordBatch:
    dice = random.Random(7)
    schema = text_schema(Kind.USAGE)
    random_ids = pa.array([dice.randbytes(16).hex() for _ in range(LINES)])
    nothing = pa.nulls(LINES, pa.string())
    ids = ("CustomerId", "SubscriptionId", "ResourceURI")
    return pa.RecordBatch.from_arrays([random_ids if name in ids else nothing for name in schema.names], schema=schema)


def lake(path: Path) -> tuple[int, str]:
    with LakeFile(path, Kind.USAGE) as file:
        file.add(batch())
        made = file.finish()
    return made.size_bytes, made.sha256


def lines(path: Path) -> tuple[int, str]:
    with LinesFile(path) as file:
        for identity in batch().column("CustomerId").to_pylist():
            file.add([b'{"CustomerId":"%s"}' % identity.encode()])
        made = file.finish()
    return made.size_bytes, made.sha256


def csv(path: Path) -> tuple[int, str]:
    made = write_csv(path, Kind.USAGE, [batch()])
    return made.size_bytes, made.sha256


def workbook(path: Path) -> tuple[int, str]:
    made = write_workbook(path, Kind.USAGE, [batch().slice(0, 3_000)])
    return made.size_bytes, made.sha256


@pytest.mark.parametrize("write", [lake, lines, csv, workbook])
def test_a_disk_that_fills_up_gives_one_error_and_leaves_no_file_open(
    disk: Disk, write: Callable[[Path], tuple[int, str]]
) -> None:
    path = disk.root / "file"
    assert write(path) == measured(path)
    needed_kib = disk.used_kib()
    path.unlink()
    for free_kib in (0, 4, needed_kib // 3, needed_kib - 8):
        disk.leave_kib(max(free_kib, 4))
        if not free_kib:
            disk.fill()
        gc.collect()
        before = sorted(path.name for path in Path("/proc/self/fd").iterdir())
        with pytest.raises(OSError, match="No space left") as caught:
            write(path)
        assert caught.value.errno == errno.ENOSPC
        del caught
        gc.collect()
        assert sorted(path.name for path in Path("/proc/self/fd").iterdir()) == before
        path.unlink(missing_ok=True)
        disk.make_room()
    assert write(path) == measured(path)


@pytest.mark.parametrize("form", list(Format))
def test_a_pull_onto_a_full_disk_is_told_in_one_sentence_and_goes_on_with_more_room(
    source: HostileSource, client: Client, disk: Disk, monkeypatch: pytest.MonkeyPatch, form: Format
) -> None:
    monkeypatch.setattr("counterfoil.client.pull_folder.room.SPARE_BYTES", 0)
    ask = ask_billed(Kind.USAGE, "G016907411")
    refused = 0
    for free_kib in range(8, 60, 8):
        disk.leave_kib(free_kib)
        try:
            client.pull(ask, disk.root / str(free_kib), format=form)
        except FullDiskError:
            refused += 1
        gc.collect()
        disk.make_room()
        assert client.pull(ask, disk.root / str(free_kib), format=form).line_items == 5
    assert refused, "it had room enough"
