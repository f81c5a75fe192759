"""Blobs over a socket: ranges, conditions, headers, and everything a signed link does not open."""

from __future__ import annotations

import os
import socket
import struct
import time
from contextlib import suppress
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from counterfoil.model import Rendering
from counterfoil.storage import folder_files
from counterfoil.storage.catalog_rows import NewFile
from tests.server.linked_blob import SIZE, Link, code_of
from tests.server.serving import BILLED, NOW, OTHER, PARTNER, serving


def test_a_plain_get_sends_the_file_as_it_is(link: Link) -> None:
    answer = link.get()
    assert answer.status_code == 200
    assert answer.content == link.content
    assert "content-encoding" not in answer.headers
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-length"] == str(SIZE)
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["x-ms-blob-type"] == "BlockBlob"
    assert answer.headers["last-modified"] == format_datetime(NOW, usegmt=True)
    assert answer.headers["etag"].startswith('"')
    assert answer.headers["etag"].endswith('"')


def test_head_tells_all_but_the_bytes(link: Link) -> None:
    answer = link.get("HEAD", x_ms_range="bytes=0-9")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(SIZE)
    assert answer.headers["etag"] == link.get(range="bytes=0-0").headers["etag"]


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=0-", 0, SIZE - 1),
        ("bytes=0-33554431", 0, SIZE - 1),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE - 1),
        ("bytes=1048570-2097160", 1048570, 2097160),
        ("BYTES=5-9", 5, 9),
        ("bytes=-7", SIZE - 7, SIZE - 1),
        (f"bytes=-{SIZE + 1}", 0, SIZE - 1),
    ],
)
@pytest.mark.parametrize("name", ["Range", "x-ms-range"])
def test_a_range_is_answered_with_206_and_just_its_bytes(
    link: Link, name: str, asked: str, start: int, end: int
) -> None:
    answer = link.get(**{name: asked})
    assert answer.status_code == 206
    assert answer.headers["content-range"] == f"bytes {start}-{end}/{SIZE}"
    assert answer.content == link.content[start : end + 1]


def test_x_ms_range_wins(link: Link) -> None:
    assert link.get(Range="bytes=0-99", x_ms_range="bytes=1-2").content == link.content[1:3]


@pytest.mark.parametrize("asked", [f"bytes={SIZE}-", f"bytes={SIZE}-{SIZE + 5}", "bytes=-0"])
def test_a_range_beyond_the_end_is_invalid(link: Link, asked: str) -> None:
    answer = link.get(Range=asked)
    code_of(answer, 416, "InvalidRange")
    assert answer.headers["content-range"] == f"bytes */{SIZE}"


@pytest.mark.parametrize("asked", ["bytes=9-5", "bytes=0-1,5-6", "lines=0-5", "bytes=a-b", "bytes=-", "0-5"])
def test_what_is_not_one_range_is_ignored(link: Link, asked: str) -> None:
    answer = link.get(Range=asked)
    assert (answer.status_code, len(answer.content)) == (200, SIZE)


def test_conditions_pin_a_download_to_one_blob(link: Link) -> None:
    etag = link.get("HEAD").headers["etag"]
    for good in (etag, etag.strip('"'), "*", f'"other", {etag}'):
        assert link.get(If_Match=good, Range="bytes=0-0").status_code == 206
    code_of(link.get(If_Match='"other"'), 412, "ConditionNotMet")
    moment = format_datetime(NOW, usegmt=True)
    unmodified = [link.get("GET", If_None_Match=f"W/{etag}"), link.get("HEAD", If_None_Match="*")]
    unmodified += [link.get("GET", If_Modified_Since=moment), link.get("HEAD", If_Modified_Since=moment)]
    for answer in unmodified:
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == etag
        assert answer.headers["x-ms-error-code"] == "ConditionNotMet"
    assert "x-ms-error-code" not in link.get(Range="bytes=0-0").headers
    assert link.get(If_None_Match='"other"', Range="bytes=0-0").status_code == 206
    assert link.get(If_Range='"other"', Range="bytes=0-0").status_code == 200
    assert link.get(If_Range=etag, Range="bytes=0-0").status_code == 206
    assert link.get(If_Unmodified_Since=moment, Range="bytes=0-0").status_code == 206
    earlier = format_datetime(NOW.replace(year=2025), usegmt=True)
    code_of(link.get(If_Unmodified_Since=earlier), 412, "ConditionNotMet")
    assert link.get(If_Modified_Since=earlier, Range="bytes=0-0").status_code == 206
    assert link.get(If_Modified_Since="yesterday", Range="bytes=0-0").status_code == 206


@pytest.mark.parametrize("name", ["If-Modified-Since", "If-Unmodified-Since"])
@pytest.mark.parametrize("date", [f"Fri, 27 Nov 2026 {'9' * 20}:00:00 GMT", f"Fri, 27 Nov 2026 12:00:00 +{'9' * 20}"])
def test_a_date_that_no_calendar_has_is_no_condition(link: Link, name: str, date: str) -> None:
    assert link.get(**{name: date}).status_code == 200


def test_ids_and_version_of_the_caller_are_echoed(link: Link) -> None:
    answer = link.get("HEAD", x_ms_version="2026-10-06", x_ms_client_request_id="mine")
    assert answer.headers["x-ms-version"] == "2026-10-06"
    assert answer.headers["x-ms-client-request-id"] == "mine"
    assert answer.headers["x-ms-request-id"]
    assert link.get("HEAD", x_ms_version="x" * 30).headers["x-ms-version"] == "2021-08-06"
    refused = link.place.client.get(link.url + "x", headers={"x-ms-client-request-id": "mine"})
    assert refused.headers["x-ms-client-request-id"] == "mine"


def test_the_signature_is_checked_before_anything_is_looked_up(link: Link) -> None:
    """Without a good one, what exists and what does not answer alike."""
    other_root = link.root.replace(PARTNER, OTHER)
    unknown = f"part-00000-{'0' * 32}.json.gz"
    wrong = link.token[:-2] + ("aa" if link.token[-2:] != "aa" else "bb")
    for url in (
        f"{link.root}/{link.name}",
        f"{link.root}/{unknown}",
        f"{link.root}/{link.name}?{wrong}",
        f"{link.root}/{unknown}?{wrong}",
        f"{link.root}/{link.name}?{link.token}&sp=rw",
        f"{link.root}/{link.name}?{link.token.replace('sp=rl', 'sp=rwl')}",
        f"{link.root}/{link.name}?{link.token.replace('sp=rl', 'sp=r')}",
        f"{other_root}/{link.name}?{link.token}",
        f"{link.root[:-4]}basic/{link.name}?{link.token}",
        f"{link.root}/{link.name}?timeout=30&{wrong}",
        f"{link.root}/{link.name}?comp=blocklist&{wrong}",
        f"{link.root}/{link.name}?snapshot=x&{wrong}",
        f"{link.root}?{wrong}",
        f"{link.root}?restype=container&comp=list&{wrong}",
    ):
        code_of(link.place.client.get(url), 403, "AuthenticationFailed")
        code_of(link.place.client.head(url), 403, "AuthenticationFailed")
    code_of(link.place.client.get(f"{link.root}/{unknown}?{link.token}"), 404, "BlobNotFound")


def test_a_link_ends(link: Link) -> None:
    link.place.travel(hours=12, seconds=-1)
    assert link.get("HEAD").status_code == 200
    link.place.travel(seconds=1)
    code_of(link.get(), 403, "AuthenticationFailed")


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_can_be_written(link: Link, method: str) -> None:
    answer = link.get(method)
    code_of(answer, 405, "UnsupportedHttpVerb")
    assert answer.headers["allow"] == "GET, HEAD"


def test_a_rendering_made_again_elsewhere_is_found(tmp_path: Path) -> None:
    with serving(tmp_path) as place:
        revision = place.publish(BILLED, [b'{"Total":1}\n'])
        manifest = place.get(place.export().headers["location"]).json()["resourceLocation"]
        url = f"{manifest['rootDirectory']}/{manifest['blobs'][0]['name']}?{manifest['sasToken']}"
        content = place.client.get(url).content
        later = NOW.replace(year=2027)
        place.catalog.set_in_force(BILLED, None, revision.id, NOW)
        dropped = place.catalog.drop_renderings(later)
        place.files.delete(dropped)
        code_of(place.client.get(url), 404, "BlobNotFound")
        [segment] = place.catalog.segments(revision.id)
        with place.store.begin(NOW) as publication:
            made = []
            for rendering in (Rendering.GRAPH_FULL, Rendering.GRAPH_BASIC):
                with publication.create(BILLED, "whole", rendering) as file:
                    file.write(content if rendering is Rendering.GRAPH_FULL else b"basic")
                made.append(NewFile(rendering, 0, file.path, file.size_bytes, file.sha256, 1))
            publication.seal([])
            place.catalog.record_renderings(publication.id, {segment.id: made})
        assert place.client.get(url).content == content


def test_a_file_that_is_not_whole_is_never_sent(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with serving(tmp_path) as place:
        place.publish(BILLED, [b'{"Total":1}\n'])
        manifest = place.get(place.export().headers["location"]).json()["resourceLocation"]
        [path] = tmp_path.glob("files/graph/*/*.full.json.gz")
        os.truncate(path, path.stat().st_size - 1)
        answer = place.client.get(f"{manifest['rootDirectory']}/{manifest['blobs'][0]['name']}?{manifest['sasToken']}")
        code_of(answer, 500, "InternalError")
        assert str(tmp_path) not in answer.text
        assert answer.headers["x-ms-request-id"] in caplog.text
        assert manifest["sasToken"] not in caplog.text


def test_a_file_that_the_catalog_lists_and_that_is_gone_is_our_fault_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(tmp_path) as place:
        place.publish(BILLED, [b'{"Total":1}\n'])
        manifest = place.get(place.export().headers["location"]).json()["resourceLocation"]
        [path] = tmp_path.glob("files/graph/*/*.full.json.gz")
        path.unlink()
        for method in ("GET", "HEAD"):
            url = f"{manifest['rootDirectory']}/{manifest['blobs'][0]['name']}?{manifest['sasToken']}"
            answer = place.client.request(method, url)
            code_of(answer, 500, "InternalError")
            assert answer.headers["x-ms-request-id"] in caplog.text


def test_a_caller_that_goes_away_leaves_no_file_open(link: Link) -> None:
    def open_files() -> int:
        count = 0
        for descriptor in Path("/proc/self/fd").iterdir():
            with suppress(FileNotFoundError):  # closed since it was listed
                count += ".full.json.gz" in str(descriptor.readlink())
        return count

    where = urlsplit(link.place.url)
    assert where.port is not None
    for _ in range(20):
        with socket.create_connection((where.hostname, where.port)) as caller:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing resets
            caller.sendall(f"GET {link.path}/{link.name}?{link.token} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert caller.recv(100)
    deadline = time.monotonic() + 10
    while open_files() and time.monotonic() < deadline:
        link.get("HEAD")
    assert open_files() == 0


def test_reads_that_must_wait_for_the_disk_give_the_same_bytes(link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_files, "_CACHED_ONLY", 0)
    assert link.get().content == link.content
