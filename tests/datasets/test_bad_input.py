"""Every bad input gets one clear refusal: file, line, attribute, value and remedy. And nothing is published."""

from __future__ import annotations

import gzip
import json
import os
import resource
import shutil
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from counterfoil.datasets.check import Assertions
from counterfoil.datasets.publish import Input, Workshop, publish
from counterfoil.errors import DamagedInputError, FullDiskError, InputError, UsageError
from counterfoil.model import Kind
from counterfoil.storage.catalog import Catalog
from counterfoil.storage.files import Files
from counterfoil.storage.locks import DatasetLocks
from tests.datasets.conftest import NOW
from tests.datasets.line_items import (
    OTHER,
    UNBILLED,
    amounts,
    billed,
    blob_items,
    folder_of,
    in_force,
    listed,
    publish_bytes,
    raw_line,
    raw_lines,
    write,
)

GOOD = amounts(Kind.USAGE, "1", "2", "3")
AMOUNT = "BillingPreTaxTotal"


def refusal(workshop: Workshop, path: Path, content: bytes, asserted: Assertions = UNBILLED) -> InputError:
    """Publish what must be refused; nothing may have changed or been left behind."""
    with pytest.raises(InputError) as refused:
        publish_bytes(workshop, path, content, asserted)
    assert refused.value.file == str(path)
    assert workshop.catalog.datasets() == []
    assert list((path.parent / "data" / "files").iterdir()) == []
    return refused.value


@pytest.mark.parametrize(
    ("attribute", "raw", "reason"),
    [
        (AMOUNT, "NaN", "not a JSON number"),
        (AMOUNT, "Infinity", "not a JSON number"),
        (AMOUNT, '"NaN"', "not a JSON number"),
        (AMOUNT, '"-Infinity"', "not a JSON number"),
        (AMOUNT, '"0x1F"', "not a JSON number"),
        (AMOUNT, '"1_000"', "not a JSON number"),
        (AMOUNT, '"007"', "not a JSON number"),
        (AMOUNT, '"1,5"', "not a JSON number"),
        (AMOUNT, '"ten"', "not a JSON number"),
        (AMOUNT, "1e400", "a number of 10,000,000,000,000 or more"),
        (AMOUNT, "1e-400", "a number of more than 100 decimals"),
        (AMOUNT, "1E-99999999999", "a number with an exponent out of range"),
        (AMOUNT, "10000000000000", "a number of 10,000,000,000,000 or more"),
        (AMOUNT, "1" * 65, "a number of more than 64 characters"),
        (AMOUNT, "true", "not a number"),
        (AMOUNT, "[1]", "not a number"),
        (AMOUNT, "null", "is missing"),
        (AMOUNT, '""', "is missing"),
        (AMOUNT, None, "is missing"),
        ("UsageDate", None, "is missing"),
        ("BillingCurrency", '""', "is missing"),
        ("PartnerId", None, "is missing"),
        ("UsageDate", '"2026-02-30"', "not a date of the calendar"),
        ("UsageDate", '"2026-11-20T24:00:00Z"', "not a date of the calendar"),
        ("UsageDate", '"20/11/2026"', "not an ISO 8601 date"),
        ("ChargeEndDate", "20261120", "not a date"),
        ("SkuName", "1", "a number where a text belongs"),
        ("SkuName", "true", "not a text"),
        ("SkuName", r'"a\u0000b"', "holds the character U+0000"),
        ("SkuName", r'"\ud800"', "holds half a surrogate pair"),
        ("Novel", r'{"a":["\udfff"]}', "holds half a surrogate pair"),
        ("Novel", r'{"a\u0000":1}', "holds the character U+0000"),
        ("Novel", "[" * 65 + "]" * 65, "nested more than 64 deep"),
        ("HasPartnerEarnedCredit", '"perhaps"', "neither true nor false"),
    ],
)
@pytest.mark.parametrize("place", [1, 2])
def test_a_bad_value_names_its_line_and_attribute(
    workshop: Workshop, tmp_path: Path, attribute: str, raw: str | None, reason: str, place: int
) -> None:
    bad = raw_line(Kind.USAGE, {attribute: raw}).encode() + b"\n"
    lines = bad + GOOD if place == 1 else GOOD[: GOOD.index(b"\n") + 1] + bad + GOOD
    found = refusal(workshop, tmp_path / "a.jsonl", lines)
    assert (found.line, found.reason) == (place, reason)
    assert raw in {"NaN", "Infinity"} or found.attribute == attribute
    assert found.remedy


def test_numbers_as_large_and_as_fine_as_allowed_are_taken(workshop: Workshop, tmp_path: Path) -> None:
    texts = ["9999999999999.99", "-9999999999999.99", "1e12", "0." + "0" * 61 + "1", "1E-100"]
    receipt = publish_bytes(workshop, tmp_path / "a", amounts(Kind.USAGE, *texts))
    assert sorted(str(item[AMOUNT]) for item in blob_items(workshop, in_force(receipt))) == sorted(texts)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"PartnerId":', "not JSON: Expecting value at character 14"),
        (b"{]", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'{"a":1}{"b":2}', "not JSON: Extra data"),
        (b'{"SkuName":"\xff"}', "not UTF-8 at byte 13"),
        (raw_line(Kind.USAGE, {"usageDate": "null"}).encode(), "given twice"),
        (raw_line(Kind.USAGE, {"resellerMpnId": '"1"', "Tier2MpnId": '"1"'}).encode(), "given twice"),
        (raw_line(Kind.USAGE, {"novel": "1", "NOVEL": "2"}).encode(), "given twice"),
        (b'{"a":' * 100_000, "nested more than 64 deep"),
    ],
)
@pytest.mark.parametrize("place", [1, 4])
def test_a_line_that_is_no_line_item_is_named(
    workshop: Workshop, tmp_path: Path, line: bytes, reason: str, place: int
) -> None:
    if place == 1 and not line.startswith(b"{"):
        pytest.skip("a file that begins so is another kind of file")
    lines = line + b"\n" + GOOD if place == 1 else GOOD + line + b"\n"
    found = refusal(workshop, tmp_path / "a.jsonl", lines)
    assert found.reason.startswith(reason)
    assert found.line == place
    assert found.remedy


def test_one_bad_first_line_may_be_allowed_for(workshop: Workshop, tmp_path: Path) -> None:
    for bad in (b'{"PartnerId":\n', b'{"a":1}\n', b"{}\n"):
        receipt = publish_bytes(
            workshop, tmp_path / "a", bad + GOOD, rejects=tmp_path / "rejects.jsonl", allow_rejects=1
        )
        assert receipt.contents.line_items == 3
        [told] = (tmp_path / "rejects.jsonl").read_text().splitlines()
        assert json.loads(told)["line"] == 1


@pytest.mark.parametrize(
    ("lines", "asserted", "attribute", "value"),
    [
        (GOOD + raw_lines(Kind.USAGE, {"BillingCurrency": '"USD"'}), UNBILLED, "BillingCurrency", "USD"),
        (GOOD + raw_lines(Kind.USAGE, {"PartnerId": f'"{OTHER}"'}), UNBILLED, "PartnerId", OTHER),
        (GOOD + billed(Kind.USAGE, "1"), UNBILLED, "InvoiceNumber", "G016907411"),
        (
            billed(Kind.USAGE, "1", "2", "3") + billed(Kind.USAGE, "1", invoice="G2"),
            Assertions(),
            "InvoiceNumber",
            "G2",
        ),
        (
            billed(Kind.USAGE, "1") * 3 + billed(Kind.USAGE, "1"),
            Assertions(invoice="G2"),
            "InvoiceNumber",
            "G016907411",
        ),
    ],
)
def test_what_makes_the_whole_file_doubtful_is_refused_whatever_is_allowed(
    workshop: Workshop, tmp_path: Path, lines: bytes, asserted: Assertions, attribute: str, value: str
) -> None:
    found = refusal(workshop, tmp_path / "a", lines, asserted)
    assert (found.attribute, found.value) == (attribute, value)
    assert found.line == (1 if asserted.invoice else 4)
    assert found.remedy
    with pytest.raises(InputError):
        publish_bytes(workshop, tmp_path / "a", lines, asserted, allow_rejects=99)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"\n \r\n", "the file is empty"),
        (gzip.compress(b""), "the file is empty"),
        (b'{"a":1}\n', "the first line is no line item we know"),
        (b"hello world\n", "is neither JSON lines nor a CSV with a PartnerId column"),
        (b"\x00" * 9_000_000, "is neither JSON lines nor a CSV with a PartnerId column"),
        (b"PK\x03\x04\xff\xfe", "is neither JSON nor UTF-8 text"),
        (b'{"totalCount":0,"items":[]}\n', "holds pages without line items"),
        (b"[]", "holds no line items"),
        (b"[1", "not a JSON array of line items"),
        (b"x" * 200_000 + b"\n", "is neither JSON lines nor a CSV with a PartnerId column"),
    ],
)
def test_a_file_of_no_known_kind_is_refused(workshop: Workshop, tmp_path: Path, content: bytes, reason: str) -> None:
    found = refusal(workshop, tmp_path / "a", content)
    assert found.reason == reason
    assert found.remedy


def test_a_file_that_cannot_be_read_is_refused(workshop: Workshop, tmp_path: Path) -> None:
    for name in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError, match="cannot be read"):
            publish(workshop, [Input(str(name))])


def gzip_cases() -> Iterator[tuple[str, bytes]]:
    whole = gzip.compress(amounts(Kind.USAGE, *map(str, range(5000))), mtime=0)
    yield "cut early", whole[:20]
    yield "cut late", whole[:-1]
    yield "no trailer", whole[:-8]
    yield "header only", whole[:10]
    yield "wrong checksum", whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:]
    yield "wrong length", whole[:-1] + bytes([whole[-1] ^ 1])
    yield "garbage after", whole + b"garbage"
    yield "second member cut", whole + whole[: len(whole) // 2]
    for at in (12, 200, len(whole) // 2, len(whole) - 20):
        yield f"flipped at {at}", whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :]


@pytest.mark.parametrize(
    ("name", "content"), list(gzip_cases()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_damaged_archive_refuses_whatever_is_allowed(
    workshop: Workshop, tmp_path: Path, name: str, content: bytes
) -> None:
    with pytest.raises(InputError) as refused:
        publish_bytes(workshop, tmp_path / "a", content, allow_rejects=10_000, rejects=tmp_path / "r")
    assert isinstance(refused.value, DamagedInputError)
    assert (refused.value.file, refused.value.remedy) == (str(tmp_path / "a"), "Fetch the file again.")
    assert (workshop.catalog.datasets(), list((tmp_path / "data" / "files").iterdir())) == ([], [])


BAD_MIDDLE = GOOD + raw_lines(Kind.USAGE, {AMOUNT: '"x"'}, {"SkuName": "1"}) + b"{\n" + amounts(Kind.USAGE, "4")


def test_rejects_are_written_with_all_there_is_to_mend(workshop: Workshop, tmp_path: Path) -> None:
    rejects = tmp_path / "rejects.jsonl"
    with pytest.raises(InputError, match="3 lines were refused and 2 allowed"):
        publish_bytes(workshop, tmp_path / "a", BAD_MIDDLE, rejects=rejects, allow_rejects=2)
    assert workshop.catalog.datasets() == []
    told = sorted((json.loads(line) for line in rejects.read_text().splitlines()), key=lambda each: each["line"])
    assert [(each["line"], each["attribute"], each["value"]) for each in told] == [
        (4, AMOUNT, "x"),
        (5, "SkuName", "1"),
        (6, "", None),
    ]
    assert {each["file"] for each in told} == {str(tmp_path / "a")}
    assert all(each["reason"] for each in told)
    receipt = publish_bytes(workshop, tmp_path / "a", BAD_MIDDLE, rejects=rejects, allow_rejects=3)
    assert receipt.contents.line_items == 4
    assert publish_bytes(workshop, tmp_path / "b", BAD_MIDDLE, allow_rejects=3).etag == receipt.etag


def test_the_rejects_file_is_of_the_last_publication_only(workshop: Workshop, tmp_path: Path) -> None:
    rejects = tmp_path / "rejects.jsonl"
    publish_bytes(workshop, tmp_path / "a", BAD_MIDDLE, rejects=rejects, allow_rejects=3)
    publish_bytes(workshop, tmp_path / "a", GOOD, rejects=rejects)
    assert rejects.read_text() == ""


def test_rejects_never_overwrite_an_input(workshop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "a")
    with pytest.raises(UsageError, match="overwritten"):
        publish_bytes(workshop, tmp_path / "a", BAD_MIDDLE, rejects=tmp_path / "link", allow_rejects=9)
    assert (tmp_path / "a").read_bytes() == BAD_MIDDLE


def test_a_value_no_file_can_hold_is_told_all_the_same(workshop: Workshop, tmp_path: Path) -> None:
    lines = GOOD + raw_lines(Kind.USAGE, {AMOUNT: r'"\ud800"'})
    publish_bytes(workshop, tmp_path / "a", lines, rejects=tmp_path / "r", allow_rejects=1)
    assert json.loads((tmp_path / "r").read_text())["line"] == 4


def test_when_every_line_is_refused_nothing_is_published(workshop: Workshop, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        publish_bytes(workshop, tmp_path / "a", raw_lines(Kind.USAGE, {AMOUNT: '"x"'}), allow_rejects=9)
    assert (workshop.catalog.datasets(), folder_of(tmp_path / "data")) == ([], {})


def test_a_line_item_of_more_than_a_megabyte_is_refused_and_one_below_is_not(
    workshop: Workshop, tmp_path: Path
) -> None:
    for name in ("Tags", "Novel"):
        big = raw_lines(Kind.USAGE, {name: '"' + "é" * 520_000 + '"'})
        assert publish_bytes(workshop, tmp_path / "a", big, dry_run=True).contents.line_items == 1
        escaped = raw_lines(Kind.USAGE, {name: '"' + r"\u0001" * 180_000 + '"'})
        for content in (big.replace("é".encode(), "漢".encode()), escaped):
            assert refusal(workshop, tmp_path / "a", GOOD + content).reason == "a line item of more than 1 MiB"


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


@pytest.mark.parametrize("run_size_bytes", [1 << 30, 1 << 20])
def test_a_full_disk_publishes_nothing_and_says_so(
    small_disk: Path, tmp_path: Path, run_size_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("counterfoil.datasets.sort.Sorter.__init__.__kwdefaults__", {"run_size_bytes": run_size_bytes})
    data = small_disk / "data"
    with Catalog.open(data) as catalog:
        workshop = Workshop(catalog, Files(data / "files"), DatasetLocks(data / "locks"), lambda: NOW)
        first = publish_bytes(workshop, tmp_path / "a", GOOD)
        before = folder_of(data)
        content = hard_to_pack(6000)
        with pytest.raises(FullDiskError) as refused:
            publish_bytes(workshop, tmp_path / "b", content)
        assert refused.value.remedy
        assert folder_of(data) == before
        assert set(before) == listed(workshop)
        assert publish_bytes(workshop, tmp_path / "a", GOOD).etag == first.etag


def test_a_file_size_limit_is_told_without_a_traceback(tmp_path: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    name = write(tmp_path / "a", hard_to_pack(6000))
    done = counterfoil("publish", name, "--period", "2026-11", "--data", str(tmp_path / "data"), preexec_fn=limit)
    assert (done.returncode, b"Traceback" in done.stderr) == (1, False), done.stderr
    assert b"File too large" in done.stderr
    assert folder_of(tmp_path / "data") == {}
