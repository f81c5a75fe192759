"""Azure Blob's dialect: which paths, ranges and conditions mean what."""

from __future__ import annotations

import string
import xml.etree.ElementTree as ET
from contextlib import suppress
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from counterfoil.errors import BadRequestError
from counterfoil.model import AttributeSet
from counterfoil.wire import blob_storage
from counterfoil.wire.blob_storage import BlobPath, ByteRange, ConditionNotMetError, UnsatisfiableRangeError

PARTNER = "0e195b37-4574-4539-bc42-0e539b9684c0"
REVISION = "0123456789abcdef" * 2
PATH = f"/blobs/{PARTNER}/{REVISION}/basic/part-00000-ab.json.gz"
NOW = datetime(2026, 11, 21, 12, 0, 0, 500, tzinfo=UTC)


def test_a_path_is_read_decoded_and_kept_as_the_text_that_was_signed() -> None:
    expected = BlobPath(PATH, PARTNER, REVISION, AttributeSet.BASIC, "part-00000-ab.json.gz")
    assert BlobPath.parse(PATH.encode()) == expected
    assert BlobPath.parse(PATH.replace("-", "%2D").replace("basic", "%62asic").encode()) == expected


@pytest.mark.parametrize("slash", ["%2F", "%2f"])
@pytest.mark.parametrize("behind", ["/blobs", f"/{PARTNER}", f"/{REVISION}", "/basic"])
def test_a_slash_written_as_an_escape_is_a_slash(slash: str, behind: str) -> None:
    """Storage clients write so what they take for a blob's name, and each takes another part of the path for it."""
    container, name = PATH.partition(behind)[0] + behind, PATH.partition(behind)[2]
    assert BlobPath.parse(f"{container}/{quote(name[1:], safe='')}".replace("%2F", slash).encode()).text == PATH
    assert BlobPath.parse(f"{container}{name.replace('/', slash)}".encode()).text == PATH


@pytest.mark.parametrize(
    "path",
    [
        PATH + "/",
        PATH + "%00",
        PATH.replace("/basic/", "/basic%252f"),
        PATH.replace("/basic/", "/basic%2f%2f"),
        PATH.replace("/basic/", "/basic/%2f"),
        PATH.replace("/basic/part", "/basic%2f..%2fbasic%2fpart"),
        PATH.replace("/blobs", "/%2Fblobs", 1),
        PATH.replace("/basic/", "/basic%5c"),
        PATH.replace("basic/part", "basic/../basic/part"),
        PATH.replace("basic/part", "basic/.part"),
        PATH.replace("basic", "Basic"),
        PATH.replace(PARTNER, PARTNER.upper()),
        PATH.replace(REVISION, REVISION[:-1]),
        PATH + "x" * 128,
        PATH + "%252e",
        PATH + "%c3%a9",
        PATH + "%",
        "/blobs",
    ],
)
def test_a_path_of_another_form_is_refused(path: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        BlobPath.parse(path.encode())
    assert caught.value.code == "InvalidUri"


@given(st.binary(max_size=40))
def test_only_plain_names_get_through(name: bytes) -> None:
    raw = f"/blobs/{PARTNER}/{REVISION}/full/{quote(name, safe='/%')}".encode()
    try:
        path = BlobPath.parse(raw)
    except BadRequestError:
        return
    assert set(path.name) <= set(string.ascii_letters + string.digits + "._-")
    assert not path.name.startswith(".")


@given(st.integers(0, 50), st.integers(0, 60), st.none() | st.integers(0, 60))
def test_a_range_never_leaves_the_blob(size: int, start: int, end: int | None) -> None:
    asked = {"range": f"bytes={start}-{'' if end is None else end}"}
    try:
        found = blob_storage.byte_range(asked, size, '"e"')
    except UnsatisfiableRangeError:
        assert start >= size
        return
    if found is None:
        assert end is not None
        assert end < start
    else:
        assert found == ByteRange(start, min(size - 1, size if end is None else end), size)
        assert 1 <= found.length <= size


@given(st.text(max_size=20))
def test_no_range_header_does_worse_than_be_ignored(text: str) -> None:
    with suppress(UnsatisfiableRangeError):
        blob_storage.byte_range({"range": text, "if-range": '"e"'}, 10, '"e"')


def test_an_error_is_xml_whatever_it_says() -> None:
    root = ET.fromstring(blob_storage.error_body("A&B", "<no>", request_id="r", now=NOW))
    assert root.tag == "Error"
    assert root.findtext("Code") == "A&B"
    assert (root.findtext("Message") or "").split("\n") == ["<no>", "RequestId:r", "Time:2026-11-21T12:00:00.0005000Z"]


# Dates are built from the pieces that parsers stumble over, so that most of them are nearly right.
NUMBERS = st.sampled_from(
    ["0", "1", "27", "59", "61", "99", "2026", "-1", "0001", "9999", "10000", "9" * 20, "", "\xb2"]
)
ZONES = st.sampled_from(["GMT", "UTC", "+0000", "-0000", "-2359", "+9999", "+" + "9" * 20, "Z", "EST", "", "(GMT)"])
DATES = st.one_of(
    st.builds(
        lambda day, month, year, hour, minute, second, zone: (
            f"Fri, {day} {month} {year} {hour}:{minute}:{second} {zone}"
        ),
        NUMBERS,
        st.sampled_from(["Jan", "Nov", "nov", "XXX", "11", ""]),
        *(NUMBERS,) * 4,
        ZONES,
    ),
    st.text(st.characters(max_codepoint=255), max_size=60),
)
TAGS = st.lists(st.sampled_from(["*", '"ab"', "ab", 'W/"ab"', '"', "", "W/", '"cd"'])).map(", ".join) | DATES
RANGES = st.builds(
    lambda unit, first, last: f"{unit}={first}-{last}", st.sampled_from(["bytes", "Bytes", "items"]), NUMBERS, NUMBERS
)
CONDITIONS = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("if-modified-since", "if-unmodified-since"), DATES),
        **dict.fromkeys(("if-match", "if-none-match", "if-range"), TAGS),
        **dict.fromkeys(("range", "x-ms-range"), RANGES | DATES),
    },
)


@settings(max_examples=500, deadline=None)
@given(CONDITIONS)
@example({"if-modified-since": f"Fri, 27 Nov 2026 {'9' * 20}:00:00 GMT"})
@example({"if-unmodified-since": f"Fri, 27 Nov 2026 12:00:00 +{'9' * 20}"})
@example(
    {"if-modified-since": "Mon, 01 Jan 0001 00:00:00 +2359", "if-unmodified-since": "Fri, 31 Dec 9999 23:59:59 -2359"}
)
def test_no_condition_and_no_range_breaks_the_answer(headers: dict[str, str]) -> None:
    with suppress(ConditionNotMetError):
        assert blob_storage.is_unmodified(headers, blob_storage.etag("ab"), NOW) in (True, False)
    with suppress(UnsatisfiableRangeError):
        wanted = blob_storage.byte_range(headers, 1_000, blob_storage.etag("ab"))
        assert wanted is None or 0 <= wanted.start <= wanted.end < 1_000
