"""Links end with whoever they were given to, a removed partner or a revoked client: everywhere, within seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from counterfoil.model import Dataset
from counterfoil.server.identity.registrations import REGISTERED_S
from tests.server.linked_blob import code_of
from tests.server.serving import BILLED, BILLING, NOW, OTHER, PARTNER, Place, serving

OF_OTHER = Dataset(BILLED.kind, OTHER, BILLED.scope)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with serving(tmp_path) as place:
        for dataset in (BILLED, OF_OTHER):
            place.publish(dataset, [b'{"Total":1}\n'])
        yield place


def manifest_of(place: Place, token: str) -> Any:
    return place.get(place.export(partner=token).headers["location"], token).json()["resourceLocation"]


def fetch(place: Place, manifest: Any) -> httpx.Response:
    return place.client.get(f"{manifest['rootDirectory']}/{manifest['blobs'][0]['name']}?{manifest['sasToken']}")


def listing(place: Place, manifest: Any) -> httpx.Response:
    return place.client.get(f"{manifest['rootDirectory']}?restype=container&comp=list&{manifest['sasToken']}")


def client_of(place: Place, partner: str = PARTNER) -> str:
    client, _ = place.catalog.add_client(partner, "billing", NOW)
    return f"{partner}:{client.id}"


def revoke(place: Place, token: str) -> None:
    partner, _, client_id = token.partition(":")
    place.catalog.revoke_client(partner, client_id, NOW)


def test_a_revoked_clients_links_end_and_nobody_elses_do(place: Place) -> None:
    one, other, strangers = client_of(place), client_of(place), client_of(place, OTHER)
    manifests = {token: manifest_of(place, token) for token in (one, other, strangers, PARTNER)}
    assert all(fetch(place, each).status_code == 200 for each in manifests.values())
    revoke(place, one)
    place.travel(seconds=REGISTERED_S)
    for answer in (fetch(place, manifests[one]), listing(place, manifests[one])):
        code_of(answer, 403, "AuthenticationFailed")
        assert "served no more" in answer.text
    assert [fetch(place, manifests[each]).status_code for each in (other, strangers, PARTNER)] == [200] * 3
    # The same manifest, asked for by a client that is still registered, opens the same blobs.
    again = place.get(f"{BILLING}/manifests/{manifests[one]['id']}", other).json()
    assert fetch(place, again).status_code == 200


def test_a_removed_partners_links_end_whoever_got_them(place: Place) -> None:
    by_client, by_partner = manifest_of(place, client_of(place)), manifest_of(place, PARTNER)
    assert fetch(place, by_client).status_code == fetch(place, by_partner).status_code == 200
    revision = place.catalog.in_force(BILLED)
    assert revision is not None
    place.catalog.set_in_force(BILLED, None, revision.id, NOW)
    assert fetch(place, by_partner).status_code == 200  # withdrawing ends no link
    place.catalog.remove_partner(PARTNER)
    place.travel(seconds=REGISTERED_S)
    for manifest in (by_client, by_partner):
        code_of(fetch(place, manifest), 403, "AuthenticationFailed")
        code_of(listing(place, manifest), 403, "AuthenticationFailed")
    assert fetch(place, manifest_of(place, OTHER)).status_code == 200
    place.catalog.add_partner(PARTNER, NOW)
    place.travel(seconds=REGISTERED_S)
    code_of(fetch(place, by_client), 403, "AuthenticationFailed")


def test_a_link_that_was_good_lately_is_asked_about_every_two_seconds_and_no_more(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    find = place.catalog.active_client

    def counted(client_id: str) -> Any:
        asked.append(client_id)
        return find(client_id)

    monkeypatch.setattr(place.catalog, "active_client", counted)
    token = client_of(place)
    manifest = manifest_of(place, token)
    for _ in range(5):
        assert fetch(place, manifest).status_code == 200
    assert len(asked) == 1
    revoke(place, token)
    assert fetch(place, manifest).status_code == 200  # within the two seconds
    place.travel(seconds=REGISTERED_S - 0.001)
    assert fetch(place, manifest).status_code == 200
    place.travel(seconds=0.001)
    assert fetch(place, manifest).status_code == 403
    assert len(asked) == 2
    place.travel(hours=-1)  # a clock that was set back asks again
    assert fetch(place, manifest).status_code == 403


def test_another_node_on_the_same_folder_ends_the_link_too(place: Place, tmp_path: Path) -> None:
    token = client_of(place)
    manifest = manifest_of(place, token)
    with serving(tmp_path) as node:
        node.keyring._extracted = place.keyring._extracted
        node.keyring._first = place.keyring._first
        node.keyring._key.cache_clear()
        moved = manifest | {"rootDirectory": manifest["rootDirectory"].replace(place.url, node.url)}
        assert fetch(node, moved).status_code == 200
        revoke(place, token)
        node.travel(seconds=REGISTERED_S)
        code_of(fetch(node, moved), 403, "AuthenticationFailed")


def test_the_signature_comes_before_the_question_whether_somebody_is_registered(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = manifest_of(place, client_of(place))

    def never(*_: object) -> bool:
        raise AssertionError

    monkeypatch.setattr("counterfoil.server.identity.registrations.Registrations.find", never)
    forged = manifest | {"sasToken": manifest["sasToken"][:-1]}
    code_of(fetch(place, forged), 403, "AuthenticationFailed")
