"""Files that hold something else than line items: what each is, told by its first bytes, and what to do with it.

Each is refused. A zip holds several files, and whether they belong to one dataset is not for us to guess.
"""

from __future__ import annotations

import re
from typing import Final

from counterfoil.datasets.source import Source
from counterfoil.errors import InputError

_UNPACK: Final = "Unpack it, and give the file that is in it."
_AS_CSV: Final = "Save the sheet of line items as CSV UTF-8, and give that."
_AS_LINES: Final = "Write its line items as Parquet, CSV or JSON lines, and give that."
# How a file begins, from which byte on, what it is and what to do.
_BEGINNINGS: Final[tuple[tuple[bytes, int, str, str], ...]] = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 0, "an Excel workbook of the old kind, or another Office file", _AS_CSV),
    (b"7z\xbc\xaf\x27\x1c", 0, "a 7z archive", _UNPACK),
    (b"Rar!\x1a\x07", 0, "a RAR archive", _UNPACK),
    (b"ustar", 257, "a tar archive", _UNPACK),
    (b"BZh", 0, "packed with bzip2", "Unpack it, or pack it with gzip."),
    (b"\xfd7zXZ\x00", 0, "packed with xz", "Unpack it, or pack it with gzip."),
    (b"\x28\xb5\x2f\xfd", 0, "packed with zstd", "Unpack it, or pack it with gzip."),
    (b"\x04\x22\x4d\x18", 0, "packed with lz4", "Unpack it, or pack it with gzip."),
    (b"\x1f\x9d", 0, "packed with compress", "Unpack it, or pack it with gzip."),
    (b"\x1f\x8b", 0, "packed with gzip twice", "Unpack it once."),
    (b"%PDF-", 0, "a PDF file", "Download the line items as CSV or JSON: a PDF has only what was printed."),
    (b"{\\rtf", 0, "an RTF document", _AS_CSV),
    (b"ORC", 0, "an ORC file", _AS_LINES),
    (b"Obj\x01", 0, "an Avro file", _AS_LINES),
    (b"ARROW1", 0, "an Arrow file", _AS_LINES),
    (b"\xff\xff\xff\xff", 0, "a stream of Arrow", _AS_LINES),
    (b"SQLite format 3\x00", 0, "an SQLite database", _AS_LINES),
    (b"\x89PNG", 0, "a picture", "Download the line items as CSV or JSON."),
    (b"\xff\xd8\xff", 0, "a picture", "Download the line items as CSV or JSON."),
)
_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
# What the files in a zip are named, if it is a document and no archive.
_ZIPPED: Final = (
    (b"xl/", "an Excel workbook", _AS_CSV),
    (b"application/vnd.oasis.opendocument.spreadsheet", "a LibreOffice workbook", _AS_CSV),
    (b"word/", "a Word document", _AS_CSV),
    (b"[Content_Types].xml", "an Office document, such as an Excel workbook", _AS_CSV),
)
_MARKUP: Final = re.compile(rb"\s*<(?:!doctype\s+(\w+)|(\?xml)|(\w+))", re.IGNORECASE)
# The byte order marks of UTF-16 and UTF-32.
_ENCODINGS: Final = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)
_TOLD_BY_BYTES: Final = 4


def refuse_other_files(source: Source) -> None:
    """Raise InputError if a file is nothing that may hold line items as it is."""
    head = source.head
    if encoding := _other_encoding(head):
        raise InputError(
            f"the file is {encoding}, and must be UTF-8",
            file=source.name,
            remedy=f"Save it as UTF-8, or write: iconv -f {encoding} -t UTF-8 FILE > NEW",
        )
    found = _binary(head) or _marked_up(head)
    if found is not None:
        what, remedy = found
        raise InputError(f"holds no line items: it is {what}", file=source.name, remedy=remedy)


def _other_encoding(head: bytes) -> str:
    for mark, encoding in _ENCODINGS:
        if head.startswith(mark):
            return encoding
    # Without a mark: text of ASCII has a zero beside each character, or three.
    some = head[:64]
    evens, odds = any(some[::2]), any(some[1::2])
    if len(some) < _TOLD_BY_BYTES or evens == odds:
        return ""
    return "UTF-32" if some[:4].count(0) > 2 else "UTF-16"


def _binary(head: bytes) -> tuple[str, str] | None:
    if head.startswith(_ZIP):
        some = head[: 1 << 16]
        return next(((what, remedy) for name, what, remedy in _ZIPPED if name in some), ("a zip archive", _UNPACK))
    for beginning, at, what, remedy in _BEGINNINGS:
        if head[at : at + len(beginning)] == beginning:
            return what, remedy
    return None


def _marked_up(head: bytes) -> tuple[str, str] | None:
    match = _MARKUP.match(head[: 1 << 12])
    if match is None:
        return None
    doctype, is_xml, element = match.groups()
    if (doctype or element or b"").lower() in (b"html", b"head", b"body", b"table"):
        return "a web page", "A sign-in or an error may have come in place of the file: open it, and download it again."
    is_azure = is_xml and b"<Error>" in head[: 1 << 12]
    if is_azure:
        return "an error that a storage account answered with", "Its text says why: fetch the file again."
    return "an XML file", _AS_LINES
