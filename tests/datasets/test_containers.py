"""What JSON holds line items in is read, and a file of another kind is refused with its name and the way out."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.orc
import pytest

from counterfoil.datasets.check import Assertions
from counterfoil.datasets.data_folder import DataFolder
from counterfoil.errors import InputError
from tests.datasets.line_items import publish_bytes
from tests.datasets.reading import USAGE_ITEM, everywhere, read, rows

A = dict(USAGE_ITEM)
B = {**A, "SkuId": "0008"}
LINES = [json.dumps(item) for item in (A, B)]
PRETTY = [json.dumps(item, indent=2) for item in (A, B)]
LINK = "https://graph.example/next?$skiptoken=2"


def envelope(holder: str, *lines: str, **more: object) -> str:
    return json.dumps(more)[:-1] + (", " if more else "") + f'"{holder}": [' + ",".join(lines) + "]}"


SHAPES = {
    "a comma at the end of each line": ",\n".join(LINES) + ",\n",
    "a comma, a space and a carriage return": " ,\r\n".join(LINES) + " , \r\n",
    "a comma between the lines": ",\n".join(LINES),
    "over several lines": "\n".join(PRETTY),
    "over several lines, with commas": ",\n".join(PRETTY) + ",",
    "one after another in one line": "".join(LINES),
    "one after another, with commas": ", ".join(LINES) + "\n",
    "Graph's envelope": envelope("value", *LINES, **{"@odata.context": "https://graph.example/$metadata"}),
    "Graph's envelope over several lines": json.dumps({"value": [A, B]}, indent=4),
    "an envelope of another tool": envelope("data", *LINES, count=2),
    "pages of Graph": envelope("value", LINES[0], **{"@odata.nextLink": LINK}) + "\n" + envelope("value", LINES[1]),
    "pages of v1": envelope("items", LINES[0], links={"next": {"uri": "/x"}}) + "\n" + envelope("items", LINES[1]),
    "pages over several lines": json.dumps({"value": [A], "nextLink": LINK}, indent=1)
    + json.dumps({"value": [B]}, indent=1),
    "an array, pretty": json.dumps([A, B], indent=1),
    "an array, one a line": "[\n" + ",\n".join(LINES) + "\n]\n",
    "a byte order mark in the middle": LINES[0] + "\n\ufeff" + LINES[1] + "\n",
    "a byte order mark before every line": "\ufeff" + LINES[0] + "\n\ufeff" + LINES[1] + "\n\ufeff\n",
    "carriage returns end the lines": "\r".join(LINES) + "\r",
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_of_json_is_read(name: str, tmp_path: Path) -> None:
    for content in everywhere(SHAPES[name]):
        found = read(tmp_path / "a", content)
        assert (sorted(item["SkuId"] for item in found.items), found.refused) == (["0007", "0008"], [])
        assert A in found.items


@pytest.mark.parametrize(
    "content",
    [
        envelope("value", *LINES, **{"@odata.nextLink": LINK}),
        json.dumps({"value": [A], "@odata.nextLink": LINK}, indent=1),
        json.dumps({"items": [A], "links": {"self": {"uri": "/a"}, "next": {"uri": LINK}}}),
        envelope("value", LINES[0]) + "\n" + envelope("value", LINES[1], nextLink=LINK) + "\n",
        json.dumps({"data": [A], "NextLink": LINK}) + json.dumps({"data": [B], "NextLink": LINK}),
    ],
)
def test_a_file_that_ends_with_a_page_that_another_follows_is_incomplete(content: str, tmp_path: Path) -> None:
    for each in everywhere(content):
        with pytest.raises(InputError, match="ends with a page that another follows") as caught:
            read(tmp_path / "a", each)
        assert (caught.value.value, "incomplete" in caught.value.remedy) == (LINK, True)


def test_a_line_that_is_none_is_refused_by_its_number_among_others(tmp_path: Path) -> None:
    """The shapes are for whole files: in JSON lines a broken line is refused, first or not, and the rest is read."""
    for broken in ('{"PartnerId":1,,}', '{"PartnerId"}', LINES[1][:-1] + "]", LINES[1] + " x"):
        for lines in ([broken, LINES[0]], [LINES[0], "", broken]):
            found = read(tmp_path / "a", "\n".join(lines))
            assert found.items == [A]
            assert [line for line, _ in found.refused] == [lines.index(broken) + 1]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"error": {"code": "Forbidden", "message": "The tenant lacks it."}}', "The tenant lacks it."),
        ('{"code": 2000, "description": "Not found here.", "data": "x"}', "Not found here."),
        ('{\n "error": {\n  "code": "x", "message": "Later."}\n}', None),
        ('{"error": "invalid_client", "error_description": "AADSTS7000215"}', "AADSTS7000215"),
    ],
)
def test_an_error_that_an_api_answered_with_is_no_line_item(content: str, told: str | None, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path / "a", content)
    assert told is None or (caught.value.value, "answered with" in caught.value.reason) == (told, True)


def zipped(*names: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in names:
            archive.writestr(name, rows(A))
    return packed.getvalue()


def tarred() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo("usage.csv")
        member.size = len(rows(A))
        archive.addfile(member, io.BytesIO(rows(A).encode()))
    return packed.getvalue()


def as_orc() -> bytes:
    written = io.BytesIO()
    pyarrow.orc.write_table(pa.table({"PartnerId": ["x"]}), written)
    return written.getvalue()


OTHERS: dict[str, tuple[bytes, str]] = {
    "a zip": (zipped("usage.csv"), "a zip archive"),
    "an empty zip": (zipped(), "a zip archive"),
    "a workbook": (zipped("[Content_Types].xml", "xl/workbook.xml"), "an Excel workbook"),
    "a LibreOffice workbook": (zipped("mimetype").replace(
        b"PartnerId", b"application/vnd.oasis.opendocument.spreadsheet", 1), "a LibreOffice workbook"),
    "an old workbook": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512), "an Excel workbook of the old kind"),
    "a tar": (tarred(), "a tar archive"),
    "7z": (b"7z\xbc\xaf\x27\x1c\x00\x04" + bytes(64), "a 7z archive"),
    "bzip2": (bz2.compress(rows(A).encode()), "packed with bzip2"),
    "xz": (lzma.compress(rows(A).encode()), "packed with xz"),
    "gzip twice": (gzip.compress(gzip.compress(rows(A).encode())), "packed with gzip twice"),
    "a PDF": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "a PDF file"),
    "ORC": (as_orc(), "an ORC file"),
    "SQLite": (b"SQLite format 3\x00" + bytes(100), "an SQLite database"),
    "a web page": (b"\r\n<!DOCTYPE html>\n<html><body>Sign in</body></html>", "a web page"),
    "a web page without a type": (b"<HTML lang='en'>", "a web page"),
    "a storage account's error": (
        b'<?xml version="1.0"?><Error><Code>AuthenticationFailed</Code></Error>', "an error that a storage account"
    ),
    "XML": (b"<?xml version='1.0'?><lines/>", "an XML file"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_a_file_of_another_kind_is_told_by_its_contents(name: str, data_folder: DataFolder, tmp_path: Path) -> None:
    data, what = OTHERS[name]
    for content in (data,) if "gzip" in name else (data, gzip.compress(data, mtime=0)):
        with pytest.raises(InputError) as caught:
            publish_bytes(data_folder, tmp_path / "usage.csv", content, Assertions())
        assert caught.value.reason.startswith(f"holds no line items: it is {what}"), caught.value
        assert caught.value.remedy


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("text", [rows(A), LINES[0], f"[{LINES[0]}]", "sep=;\r\n" + rows(A, delimiter=";")])
def test_another_encoding_is_told_with_a_mark_and_without(encoding: str, text: str, tmp_path: Path) -> None:
    for content in everywhere(text.encode(encoding)):
        with pytest.raises(InputError) as caught:
            read(tmp_path / "a", content)
        assert caught.value.reason == f"the file is {encoding[:6].upper()}, and must be UTF-8"
