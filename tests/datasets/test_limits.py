"""What would fill the memory or the disk is refused in time, in a sentence, and nothing is left of it."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from counterfoil.datasets.data_folder import DataFolder
from counterfoil.datasets.sizes import Sizes
from counterfoil.errors import FullDiskError
from counterfoil.model import Kind
from counterfoil.storage.engines import open_store
from tests.datasets.conftest import NOW
from tests.datasets.line_items import (
    amounts,
    folder_of,
    listed,
    publish_bytes,
    raw_lines,
    write,
)

GOOD = amounts(Kind.USAGE, "1", "2", "3")
# The peak as /proc tells it: what getrusage says begins with the memory of the process that started this one.
PROGRAM = """
import re, sys
from pathlib import Path
from counterfoil.cli import main
try:
    main(sys.argv[1:])
finally:
    peak = re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())
    sys.stderr.write(f"\\nPEAK {int(peak[1]) // 1024}\\n")
"""


def counterfoil(*arguments: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, check=False, **options)  # type: ignore[call-overload,no-any-return]


def bomb(path: Path, start: bytes, filler: bytes, megabytes: int = 1024) -> str:
    """A small gzip of one gigabyte: `start`, then `filler` again and again."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    head = packer.compress(start) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(filler * ((1 << 20) // len(filler))) + packer.flush(zlib.Z_FULL_FLUSH)
    path.write_bytes(head + block * megabytes)  # nobody reads so far that the missing end would be seen
    return str(path)


@pytest.mark.parametrize(
    ("start", "filler", "reason"),
    [
        (b'{"PartnerId":"', b"a", "line 1: a line of more than 4 MiB"),
        (GOOD + b'{"PartnerId":"', b"a", "line 4: a line of more than 4 MiB"),
        (b"", b"\0", "is neither JSON lines nor a CSV"),
        (GOOD, b" ", "line 4: a line of more than 4 MiB"),
        (GOOD, b"\n", "more than 100,000 blank lines"),
        (b"[", b"1,", "a JSON document of more than 64 MiB"),
        (b"PartnerId,UsageDate,BillingPreTaxTotal\n", b"a", "line 2: a line of more than 4 MiB"),
        (b'PartnerId,UsageDate,BillingPreTaxTotal\n"', b"a\n", "field larger than field limit"),
    ],
    ids=["line", "later line", "zeros", "blanks", "blank lines", "array", "CSV line", "CSV field"],
)
def test_a_gigabyte_out_of_a_small_archive_is_refused_in_bounded_memory(
    tmp_path: Path, start: bytes, filler: bytes, reason: str
) -> None:
    name = bomb(tmp_path / "bomb.gz", start, filler)
    done = counterfoil("publish", name, "--period", "2026-11", "--data", str(tmp_path / "data"))
    said = done.stderr.decode()
    assert (done.returncode, reason in said, "Traceback" in said) == (1, True, False), said
    assert int(said.rpartition("PEAK ")[2]) < 500
    assert folder_of(tmp_path / "data") == {}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A data folder on a disk of 3 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    if subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder], capture_output=True, check=False
    ).returncode:
        pytest.skip("this system lets nobody mount")
    try:
        yield folder
    finally:
        # Lazily: a traceback may hold a file open, and a disk left mounted would spoil the runs of others.
        subprocess.run(["umount", "-l", folder], check=True)


def hard_to_pack(count: int) -> bytes:
    return raw_lines(Kind.USAGE, *({"SkuName": f'"{os.urandom(300).hex()}"'} for _ in range(count)))


@pytest.mark.parametrize("run_bytes", [1 << 30, 1 << 20])
def test_a_full_disk_publishes_nothing_and_says_so(small_disk: Path, tmp_path: Path, run_bytes: int) -> None:
    data = small_disk / "data"
    with open_store(data) as store:
        data_folder = DataFolder(store, lambda: NOW, sizes=Sizes(run_bytes=run_bytes))
        first = publish_bytes(data_folder, tmp_path / "a", GOOD)
        before = folder_of(data)
        content = hard_to_pack(6000)
        with pytest.raises(FullDiskError) as refused:
            publish_bytes(data_folder, tmp_path / "b", content)
        assert refused.value.remedy
        assert folder_of(data) == before
        assert set(before) == listed(data_folder)
        assert publish_bytes(data_folder, tmp_path / "a", GOOD).etag == first.etag


def test_a_file_size_limit_is_told_without_a_traceback(tmp_path: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    name = write(tmp_path / "a", hard_to_pack(6000))
    done = counterfoil("publish", name, "--period", "2026-11", "--data", str(tmp_path / "data"), preexec_fn=limit)
    assert (done.returncode, b"Traceback" in done.stderr) == (1, False), done.stderr
    assert b"File too large" in done.stderr
    assert folder_of(tmp_path / "data") == {}
