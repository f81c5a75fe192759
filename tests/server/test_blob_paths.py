"""How a blob may be asked for: spellings of its path, and what storage clients add to its link."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.server.linked_blob import Link, code_of, raw_get


def test_escapes_in_the_path_are_read_before_it_is_matched(link: Link) -> None:
    escaped = "/" + "/".join("".join(f"%{ord(char):02x}" for char in part) for part in link.path[1:].split("/")[1:])
    answer = link.place.client.get(f"{link.place.url}/blobs{escaped}/{quote(link.name, safe='')}?{link.token}")
    assert answer.content == link.content


@pytest.mark.parametrize("slash", ["%2F", "%2f"])
@pytest.mark.parametrize("parts", [1, 2, 3, 4])
def test_a_slash_of_the_path_may_be_written_as_an_escape(link: Link, slash: str, parts: int) -> None:
    """As AzCopy and the clients for .NET and Go write a blob's name, whatever they take for the container."""
    path = f"{link.path}/{link.name}"
    cut = path.split("/")
    spelled = "/".join(cut[: parts + 1]) + "/" + slash.join(cut[parts + 1 :])
    assert raw_get(link, f"{spelled}?{link.token}").content == link.content
    assert raw_get(link, f"{path.replace('/', slash).replace(slash, '/', 1)}?{link.token}").content == link.content
    code_of(raw_get(link, f"{spelled}?{link.token[:-2]}"), 403, "AuthenticationFailed")


@pytest.mark.parametrize(
    "own", ["timeout=61", "timeout=0", "api-version=2024-11-04", "TimeOut=30", "timeout=", "snapshot="]
)
def test_what_a_storage_client_adds_to_a_link_changes_nothing(link: Link, own: str) -> None:
    for query in (f"{link.token}&{own}", f"{own}&{link.token}"):
        assert raw_get(link, f"{link.path}/{link.name}?{query}").content == link.content


@pytest.mark.parametrize(
    ("own", "status", "code"),
    [
        ("timeout=soon", 400, "InvalidQueryParameterValue"),
        ("timeout=-1", 400, "InvalidQueryParameterValue"),
        ("timeout=1.5", 400, "InvalidQueryParameterValue"),
        ("timeout=%D9%A3", 400, "InvalidQueryParameterValue"),
        ("api-version=latest", 400, "InvalidQueryParameterValue"),
        ("comp=metadata", 400, "InvalidQueryParameterValue"),
        ("comp=list", 400, "InvalidQueryParameterValue"),
        ("restype=container", 400, "InvalidQueryParameterValue"),
        ("maxresults=5", 400, "InvalidQueryParameterValue"),
        ("snapshot=2026-11-21T12:00:00.0000000Z", 404, "BlobNotFound"),
        ("versionid=2026-11-21T12:00:00.0000000Z", 404, "BlobNotFound"),
        ("timeout=1&timeout=1", 403, "AuthenticationFailed"),
        ("rsct=text/html", 403, "AuthenticationFailed"),
    ],
)
def test_what_a_storage_client_adds_is_refused_where_it_makes_no_sense(
    link: Link, own: str, status: int, code: str
) -> None:
    answer = raw_get(link, f"{link.path}/{link.name}?{link.token}&{own}")
    code_of(answer, status, code)
    assert link.token not in answer.text


@pytest.mark.parametrize(
    "name",
    [
        "..",
        "%2e%2e",
        "..%2f{}",
        "%2f{}",
        "%252f{}",
        "{}%00",
        "{}%5c",
        "%5C..%5c{}",
        "{}/{}",
        "x" * 200,
        "{}%0d%0aX:1",
        "{}%c3%a9",
    ],
)
def test_a_path_that_no_blob_can_have_is_refused_by_its_spelling(link: Link, name: str) -> None:
    code_of(raw_get(link, f"{link.path}/{name.format(link.name, link.name)}?{link.token}"), 400, "InvalidUri")


def test_climbing_out_of_the_directory_is_refused(link: Link) -> None:
    for path in (
        f"{link.path}/../../../../etc/passwd",
        f"{link.path}/../basic/{link.name}",
        f"/blobs/../blobs{link.path[6:]}/{link.name}",
        f"{link.path}/%2e%2e/full/{link.name}",
    ):
        code_of(raw_get(link, f"{path}?{link.token}"), 400, "InvalidUri")
