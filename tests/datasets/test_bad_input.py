"""Every bad input gets one clear refusal: file, line, attribute, value and remedy. And nothing is published."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from counterfoil.datasets.check import Assertions
from counterfoil.datasets.data_folder import DataFolder
from counterfoil.datasets.gathering import Input
from counterfoil.datasets.publishing import publish
from counterfoil.errors import DamagedInputError, InputError
from counterfoil.model import Kind
from tests.datasets.line_items import (
    OTHER,
    UNBILLED,
    amounts,
    billed,
    blob_items,
    folder_of,
    in_force,
    publish_bytes,
    raw_line,
    raw_lines,
)

GOOD = amounts(Kind.USAGE, "1", "2", "3")
AMOUNT = "BillingPreTaxTotal"


def refusal(data_folder: DataFolder, path: Path, content: bytes, asserted: Assertions = UNBILLED) -> InputError:
    """Publish what must be refused; nothing may have changed or been left behind."""
    with pytest.raises(InputError) as refused:
        publish_bytes(data_folder, path, content, asserted)
    assert refused.value.file == str(path)
    assert data_folder.catalog.datasets() == []
    assert folder_of(path.parent / "data") == {}
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
        ("UsageDate", '"10/11/2026"', "a date that two readers read differently"),
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
    data_folder: DataFolder, tmp_path: Path, attribute: str, raw: str | None, reason: str, place: int
) -> None:
    bad = raw_line(Kind.USAGE, {attribute: raw}).encode() + b"\n"
    lines = bad + GOOD if place == 1 else GOOD[: GOOD.index(b"\n") + 1] + bad + GOOD
    found = refusal(data_folder, tmp_path / "a.jsonl", lines)
    assert (found.line, found.reason) == (place, reason)
    assert raw in {"NaN", "Infinity"} or found.attribute == attribute
    assert found.remedy


def test_numbers_as_large_and_as_fine_as_allowed_are_taken(data_folder: DataFolder, tmp_path: Path) -> None:
    texts = ["9999999999999.99", "-9999999999999.99", "1e12", "0." + "0" * 61 + "1", "1E-100"]
    receipt = publish_bytes(data_folder, tmp_path / "a", amounts(Kind.USAGE, *texts))
    assert sorted(str(item[AMOUNT]) for item in blob_items(data_folder, in_force(receipt))) == sorted(texts)


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
    data_folder: DataFolder, tmp_path: Path, line: bytes, reason: str, place: int
) -> None:
    if place == 1 and not line.startswith(b"{"):
        pytest.skip("a file that begins so is another kind of file")
    lines = line + b"\n" + GOOD if place == 1 else GOOD + line + b"\n"
    found = refusal(data_folder, tmp_path / "a.jsonl", lines)
    assert found.reason.startswith(reason)
    assert found.line == place
    assert found.remedy


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
    data_folder: DataFolder, tmp_path: Path, lines: bytes, asserted: Assertions, attribute: str, value: str
) -> None:
    found = refusal(data_folder, tmp_path / "a", lines, asserted)
    assert (found.attribute, found.value) == (attribute, value)
    assert found.line == (1 if asserted.invoice else 4)
    assert found.remedy
    with pytest.raises(InputError):
        publish_bytes(data_folder, tmp_path / "a", lines, asserted, allow_rejects=99)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"\n \r\n", "the file is empty"),
        (gzip.compress(b"", mtime=0), "the file is empty"),
        (b'{"a":1}\n', "the first line is not a recognisable line item"),
        (b"hello world\n", "is neither JSON lines nor a CSV with a PartnerId column"),
        (b"\x00" * 9_000_000, "is neither JSON lines nor a CSV with a PartnerId column"),
        (b"PK\x03\x04\xff\xfe", "holds no line items: it is a zip archive"),
        (b"PartnerId\xff\xfe", "is neither JSON nor UTF-8 text"),
        (b'{"totalCount":0,"items":[]}\n', "holds pages without line items"),
        (b"[]", "holds no line items"),
        (b"[1", "not a JSON object"),
        (GOOD.decode().encode("utf-16"), "the file is UTF-16, and must be UTF-8"),
        (gzip.compress(GOOD.decode().encode("utf-16-be"), mtime=0), "the file is UTF-16, and must be UTF-8"),
        (GOOD.decode().encode("utf-16-le"), "the file is UTF-16, and must be UTF-8"),
        ("[]".encode("utf-32"), "the file is UTF-32, and must be UTF-8"),
        ("PartnerId,UsageDate\n".encode("utf-16"), "the file is UTF-16, and must be UTF-8"),
        (b"x" * 200_000 + b"\n", "is neither JSON lines nor a CSV with a PartnerId column"),
    ],
)
def test_a_file_of_no_known_kind_is_refused(
    data_folder: DataFolder, tmp_path: Path, content: bytes, reason: str
) -> None:
    found = refusal(data_folder, tmp_path / "a", content)
    assert found.reason == reason
    assert found.remedy


def test_a_line_in_another_encoding_is_told_to_save_the_file_as_utf_8(data_folder: DataFolder, tmp_path: Path) -> None:
    latin = raw_line(Kind.USAGE, {"SkuName": '"é"'}).encode("latin-1") + b"\n"
    for lines in (latin + GOOD, GOOD + latin):
        assert refusal(data_folder, tmp_path / "a", lines).remedy == "Save the file as UTF-8."


def test_a_file_that_cannot_be_read_is_refused(data_folder: DataFolder, tmp_path: Path) -> None:
    for name in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError, match="cannot be read"):
            publish(data_folder, [Input(str(name))])


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
    data_folder: DataFolder, tmp_path: Path, name: str, content: bytes
) -> None:
    with pytest.raises(InputError) as refused:
        publish_bytes(data_folder, tmp_path / "a", content, allow_rejects=10_000, rejects=tmp_path / "r")
    assert isinstance(refused.value, DamagedInputError)
    assert (refused.value.file, refused.value.remedy) == (str(tmp_path / "a"), "Fetch the file again.")
    assert (data_folder.catalog.datasets(), folder_of(tmp_path / "data")) == ([], {})


def test_a_line_item_of_more_than_a_megabyte_is_refused_and_one_below_is_not(
    data_folder: DataFolder, tmp_path: Path
) -> None:
    for name in ("Tags", "AdditionalInfo"):
        big = raw_lines(Kind.USAGE, {name: '"' + "é" * 520_000 + '"'})
        assert publish_bytes(data_folder, tmp_path / "a", big, dry_run=True).contents.line_items == 1
        escaped = raw_lines(Kind.USAGE, {name: '"' + r"\u0001" * 180_000 + '"'})
        for content in (big.replace("é".encode(), "漢".encode()), escaped):
            assert refusal(data_folder, tmp_path / "a", GOOD + content).reason == "a line item of more than 1 MiB"
