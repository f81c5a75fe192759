"""A manifest's blobs, listed by its own link as Azure Storage lists a container: to that manifest's holder alone."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest
from azure.core import MatchConditions
from azure.core.credentials import AzureSasCredential
from azure.core.exceptions import ClientAuthenticationError
from azure.storage.blob import BlobPrefix, ContainerClient

from counterfoil.wire.blob_links import sign_directory
from tests.server.linked_blob import code_of
from tests.server.serving import BILLED, NOW, OTHER, PARTNER, UNBILLED, Place, serving


@dataclass
class Folder:
    """The served folder of a manifest of five blobs."""

    place: Place
    root: str
    token: str
    blobs: list[dict[str, Any]]

    @property
    def names(self) -> list[str]:
        return [blob["name"] for blob in self.blobs]

    @property
    def path(self) -> str:
        return urlsplit(self.root).path

    def listed(self, container: str, **asked: str) -> httpx.Response:
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in asked.items())
        url = f"{self.place.url}{container}?restype=container&comp=list&{query}&{self.token}".replace("&&", "&")
        return self.place.client.get(url)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Folder]:
    with serving(tmp_path_factory.mktemp("listing")) as place:
        place.publish(BILLED, [b'{"Total":%d}\n' % number for number in range(5)])
        place.publish(UNBILLED, [b'{"Total":9}\n'])
        manifest = place.get(place.export().headers["location"]).json()["resourceLocation"]
        yield Folder(place, manifest["rootDirectory"], manifest["sasToken"], manifest["blobs"])


def names_of(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/xml"
    return [str(name.text) for name in ET.fromstring(answer.content).iterfind("./Blobs/*/Name")]


def test_whatever_a_client_takes_for_the_container_it_sees_the_manifests_blobs(folder: Folder) -> None:
    parts = folder.path.split("/")
    for cut in range(2, 6):
        container, behind = "/".join(parts[:cut]), "/".join(parts[cut:])
        inside = f"{behind}/" if behind else ""
        for prefix in {inside, behind, f"{inside}part-"}:
            assert names_of(folder.listed(container, prefix=prefix)) == [inside + name for name in folder.names]
            assert names_of(folder.listed(container + "/", prefix=prefix)) == [inside + name for name in folder.names]
        assert names_of(folder.listed(container, prefix=f"{inside}part-00003")) == [inside + folder.names[3]]
        assert names_of(folder.listed(container, prefix=f"{inside}other")) == []


def test_a_delimiter_folds_what_is_behind_it(folder: Folder) -> None:
    container, _, leaf = folder.path.rpartition("/")
    folded = folder.listed(container, prefix=leaf, delimiter="/")
    assert [prefix.tag for prefix in ET.fromstring(folded.content).iterfind("./Blobs/*")] == ["BlobPrefix"]
    assert names_of(folded) == ["full/"]
    assert names_of(folder.listed(container, prefix="full/", delimiter="/")) == [
        f"full/{name}" for name in folder.names
    ]
    assert names_of(folder.listed(folder.path, delimiter="-")) == ["part-"]
    assert names_of(folder.listed(folder.path, prefix="part-", delimiter="-0")) == folder.names
    assert names_of(folder.listed(folder.path, prefix="part-0000", delimiter="-")) == [
        f"part-0000{n}-" for n in range(5)
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6])
def test_a_listing_goes_on_behind_its_marker(folder: Folder, size: int) -> None:
    seen: list[str] = []
    marker = ""
    while True:
        answer = folder.listed(folder.path, maxresults=str(size), **({"marker": marker} if marker else {}))
        page = names_of(answer)
        assert 0 < len(page) <= size
        seen += page
        marker = ET.fromstring(answer.content).findtext("NextMarker") or ""
        if not marker:
            break
    assert seen == folder.names


def test_a_blob_is_told_with_its_size_and_tag(folder: Folder) -> None:
    [first, *_] = ET.fromstring(folder.listed(folder.path).content).iterfind("./Blobs/Blob/Properties")
    blob = folder.blobs[0]
    assert first.findtext("Content-Length") == str(blob["@counterfoil.sizeBytes"])
    assert first.findtext("Etag") == blob["@counterfoil.sha256"]
    assert first.findtext("BlobType") == "BlockBlob"
    assert first.findtext("Content-Encoding") == ""


@pytest.mark.parametrize("beside", [False, True], ids=["token in the URL", "AzureSasCredential"])
@pytest.mark.parametrize("container", ["", "/full"])
def test_the_storage_client_lists_walks_and_downloads_a_folder(folder: Folder, beside: bool, container: str) -> None:
    root = folder.root if container else folder.root.removesuffix("/full")
    inside = "" if container else "full/"
    credential = AzureSasCredential(folder.token) if beside else None
    with ContainerClient.from_container_url(root if beside else f"{root}?{folder.token}", credential) as client:
        found = list(client.list_blobs(name_starts_with=inside or None, results_per_page=2, timeout=30))
        assert [blob.name for blob in found] == [inside + name for name in folder.names]
        assert [blob.size for blob in found] == [blob["@counterfoil.sizeBytes"] for blob in folder.blobs]
        walked = list(client.walk_blobs(name_starts_with=inside or None))
        assert [each.name for each in walked] == [inside + name for name in folder.names]
        if not container:
            assert [type(each) for each in client.walk_blobs(name_starts_with="full")] == [BlobPrefix]
        for blob in found:
            stream = client.download_blob(blob.name, etag=blob.etag, match_condition=MatchConditions.IfNotModified)
            assert len(stream.readall()) == blob.size


def test_nothing_but_the_manifests_own_folder_is_listed(folder: Folder) -> None:
    parts = folder.path.split("/")
    other_token = sign_directory(
        folder.place.keyring,
        folder.path.replace(PARTNER, OTHER),
        now=NOW,
        expires_at=NOW.replace(year=2027),
    )
    for container, prefix in (
        ("/blobs", ""),
        ("/blobs", PARTNER),
        ("/blobs", f"{PARTNER}/"),
        ("/blobs", "/".join(parts[2:]).replace("full", "basic")),
        ("/blobs", "/".join(parts[2:]).replace(PARTNER, OTHER)),
        ("/blobs", "/".join(parts[2:-1]) + "/ful"),
        ("/blobs", "/".join(parts[2:-1]) + "/fullx"),
        ("/blobs", "/".join(parts[2:-1]) + "/../" + "/".join(parts[3:])),
        ("/blobs", "/" + "/".join(parts[2:])),
        (f"/blobs/{OTHER}", "/".join(parts[3:])),
        ("/".join(parts[:4]), ""),
        ("/".join(parts[:4]) + "/basic", ""),
    ):
        code_of(folder.listed(container, prefix=prefix), 403, "AuthenticationFailed")
        stranger = Folder(folder.place, folder.root, other_token, [])
        ours = (container.replace(OTHER, PARTNER), prefix.replace(OTHER, PARTNER))
        code_of(stranger.listed(ours[0], prefix=ours[1]), 403, "AuthenticationFailed")
    # The link of another partner for a revision that is not its own: well signed, and there is nothing.
    beside = Folder(folder.place, folder.root, other_token, [])
    code_of(beside.listed(folder.path.replace(PARTNER, OTHER)), 404, "ContainerNotFound")


def test_a_link_that_was_not_given_for_listing_lists_nothing(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Links were once given for reading only; they are good for that until they end."""
    monkeypatch.setattr("counterfoil.wire.blob_links._PERMISSIONS", "r")
    older = sign_directory(folder.place.keyring, folder.path, now=NOW, expires_at=NOW.replace(year=2027))
    monkeypatch.undo()
    assert "&sp=r&" in older
    reading = Folder(folder.place, folder.root, older, folder.blobs)
    code_of(reading.listed(folder.path), 403, "AuthorizationPermissionMismatch")
    assert folder.place.client.get(f"{folder.root}/{folder.names[0]}?{older}").status_code == 200


@pytest.mark.parametrize(
    ("own", "code"),
    [
        ({"maxresults": "0"}, "OutOfRangeQueryParameterValue"),
        ({"maxresults": "many"}, "InvalidQueryParameterValue"),
        ({"maxresults": "-1"}, "InvalidQueryParameterValue"),
        ({"timeout": "soon"}, "InvalidQueryParameterValue"),
    ],
)
def test_a_listing_that_makes_no_sense_is_refused_behind_its_signature(
    folder: Folder, own: dict[str, str], code: str
) -> None:
    code_of(folder.listed(folder.path, **own), 400, code)
    cut = Folder(folder.place, folder.root, folder.token[:-1], [])
    code_of(cut.listed(folder.path, **own), 403, "AuthenticationFailed")


def test_what_storage_tools_ask_of_a_folder_beside_its_list(folder: Folder) -> None:
    """AzCopy and Storage Explorer look first whether a folder is a blob, and what the account is."""
    client, token = folder.place.client, folder.token
    for path in (folder.path, f"{folder.path}/"):
        assert client.head(f"{folder.place.url}{path}?{token}").headers["x-ms-error-code"] == "BlobNotFound"
        code_of(client.get(f"{folder.place.url}{path}?{token}"), 404, "BlobNotFound")
        code_of(client.get(f"{folder.place.url}{path}?comp=list&{token}"), 400, "InvalidQueryParameterValue")
    for own in ("restype=account&comp=properties", "restype=container", "comp=list"):
        code_of(client.get(f"{folder.place.url}/blobs?{own}&{token}"), 403, "AuthenticationFailed")
    code_of(client.put(f"{folder.place.url}{folder.path}?{token}"), 405, "UnsupportedHttpVerb")
    head = client.head(f"{folder.root}?restype=container&comp=list&{token}")
    assert (head.status_code, head.content) == (200, b"")


def test_the_storage_client_is_told_when_it_may_not_list(folder: Folder) -> None:
    with (
        ContainerClient.from_container_url(f"{folder.root}?{folder.token[:-1]}") as client,
        pytest.raises(ClientAuthenticationError),
    ):
        list(client.list_blobs())


def test_an_odd_prefix_comes_back_as_text_that_xml_can_hold(folder: Folder) -> None:
    for odd in ("<&>\"'", "\x01\x1f", "\u00e4\ud7ff", "a\u2028b"):
        answer = folder.listed(folder.path, prefix=odd, delimiter=odd, marker=odd)
        assert names_of(answer) == []
