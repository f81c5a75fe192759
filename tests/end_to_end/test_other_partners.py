"""Nothing of another partner can be reached, or told from what does not exist: byte for byte the same answer.

The routes come from the server's own OpenAPI document. On each, partner B tries everything that partner A was ever
handed: ids, links, tokens, keys. What B is told is compared with what B is told about something made up.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from counterfoil.model import Kind
from counterfoil.periods import Clocks, utc_now
from counterfoil.server.app import create_app
from counterfoil.server.startup import endpoints, open_service
from counterfoil.server.web_server import running
from counterfoil.settings import Settings
from counterfoil.testing import PARTNER as A
from counterfoil.testing import Server
from counterfoil.wire.blob_links import sign_directory
from tests.end_to_end.fetching import BILLING, LINE_ITEMS, V1_TYPES
from tests.end_to_end.two_partners import (
    GUID,
    INVOICE,
    KEY,
    MADE_UP_INVOICE,
    NOBODY,
    Answer,
    B,
    Place,
    ask,
    prepared,
    query,
)

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def blurred(answer: Answer) -> Answer:
    """An answer without the ids of its objects: for what is made anew by each request."""
    status, headers, body = answer
    return status, [(name, GUID.sub(b"*", value)) for name, value in headers], GUID.sub(b"*", body)


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with prepared() as made:
        yield made


def test_a_gets_what_b_is_refused(place: Place) -> None:
    """Without this, everything below could hold for a server that answers nobody."""
    statuses = [
        place.a.client.get(f"{BILLING}/operations/{each}", headers=place.a.graph).status_code
        for each in place.handed.operations
    ]
    assert sorted(statuses) == [200] * 14 + [410]
    for blob, link in zip(place.handed.blobs, place.handed.links, strict=True):
        assert place.a.client.get(f"{blob}?{link}").status_code == 200
    for kind, tokens in place.handed.continuations.items():
        page = place.a.client.get(query(kind), headers=place.a.center | {"MS-ContinuationToken": tokens[0]})
        assert page.json()["totalCount"] == 20


def test_no_route_shows_b_anything_of_a(place: Place) -> None:
    """Collections, counts, entities, pages: the answer is the one from before A had anything."""
    assert len(place.alone) > 20
    for path, before in place.alone.items():
        assert renewed(place.as_b("GET", path)) == renewed(before), path
    for version in ("v1.0", "beta"):
        for name in ("operations", "manifests"):
            path = f"/{version}/reports/partners/billing/{name}"
            assert place.as_b("GET", f"{path}/$count")[2] == b"1"
            _, _, body = place.as_b("GET", f"{path}?$count=true&$top=100&$skip=0")
            assert json.loads(body)["@odata.count"] == 1
            shown = {found.decode() for found in GUID.findall(body)}
            assert not shown & {*place.handed.operations, *place.handed.manifests, A}
    for kind in Kind:
        items = [item for items, _ in place.b.pages(kind) for item in items]
        assert {item["partnerId"] for item in items} == {B}
        assert len(items) == 80


def renewed(answer: Answer) -> Answer:
    """An answer without the tokens in it, which are signed anew each time, and not longer or shorter for that."""
    status, headers, body = answer
    return status, headers, re.sub(rb'"sasToken": "[^"]+"|[A-Za-z0-9_-]{100,}', b"*", body)


def documented_ids(server: Server) -> list[str]:
    paths = [path for path in httpx.get(f"{server.url}/openapi.json").json()["paths"] if path.endswith("/{id}")]
    assert len(paths) == 4  # operations and manifests, in both versions
    return paths


def test_ids_of_a_are_unknown_to_b_on_every_route_in_every_spelling(place: Place) -> None:
    spellings = [
        "{path}",
        "{path}/",
        "/{path}",
        "{path}?$expand=resourceLocation",
        "{keyed}",
    ]
    for documented in documented_ids(place.server):
        keyed = documented.replace("/{id}", "('{id}')")
        for pattern in (each.format(path=documented, keyed=keyed) for each in spellings):
            for spelled in (str.lower, str.upper):
                made_up = place.as_b("GET", pattern.format(id=spelled(str(uuid.uuid4()))))
                assert made_up[0] == 404
                for id_ in (*place.handed.operations, *place.handed.manifests):
                    assert place.as_b("GET", pattern.format(id=spelled(id_))) == made_up


@pytest.mark.parametrize("method", METHODS)
def test_no_method_tells_an_id_of_a_from_a_made_up_one(place: Place, method: str) -> None:
    for documented in documented_ids(place.server):
        for id_ in (place.handed.operations[0], place.handed.manifests[0], place.handed.operations[-2]):
            paths = [documented.format(id=each) for each in (id_, str(uuid.uuid4()))]
            of_a, made_up = (place.as_b(method, path, content=b"") for path in paths)
            assert of_a == made_up


def test_an_invoice_of_a_is_for_b_like_one_that_nobody_has(place: Place) -> None:
    paths = httpx.get(f"{place.server.url}/openapi.json").json()["paths"]
    exports = [path for path, item in paths.items() if "/billed/" in path and "post" in item]
    assert len(exports) == 12
    for path in exports:
        told = []
        for invoice in (INVOICE, MADE_UP_INVOICE):
            accepted = place.b.client.post(path, json={"invoiceId": invoice}, headers=place.b.graph)
            operation = place.as_b("GET", accepted.headers["Location"])
            assert json.loads(operation[2])["error"]["code"] == "5000"
            headers = [(name, GUID.sub(b"*", value)) for name, value in accepted.headers.raw if name != b"Date"]
            told.append((accepted.status_code, headers, blurred(operation)))
        assert told[0] == told[1]


def test_an_idempotency_key_of_a_is_free_for_b(place: Place) -> None:
    """Also with another body, which to A would be refused."""
    for body in ({"invoiceId": INVOICE}, {"invoiceId": "GOTHER"}):
        told = []
        for key in (f"{KEY}", str(uuid.uuid4())):
            path = f"{BILLING}/usage/billed/export"
            headers = {"Idempotency-Key": key if body["invoiceId"] == INVOICE else f"{key} again"}
            told.append(blurred(place.as_b("POST", path, json=body, headers=headers)))
        assert told[0] == told[1]
        assert told[0][0] == 202
    headers = place.b.graph | {"Idempotency-Key": KEY}
    again = place.b.client.post(f"{BILLING}/usage/billed/export", json={"invoiceId": INVOICE}, headers=headers)
    assert again.headers["Location"].rpartition("/")[2] not in place.handed.operations


def links_of(place: Place) -> list[str]:
    """Links that are good for something else, and links put together from two good ones.

    B's is signed for another hour than A's: were their times the same, A's signature on B's times would be A's link.
    """
    of_a, directory = place.handed.links[0], place.own_blob.rpartition("/")[0]
    now = utc_now() - timedelta(hours=1)
    of_b = sign_directory(place.server.service.keyring, directory, now=now, expires_at=now + timedelta(hours=5))
    fields_a, fields_b = of_a.split("&"), of_b.split("&")
    mixed = ["&".join([*fields_a[:-1], fields_b[-1]]), "&".join([*fields_b[:-1], fields_a[-1]])]
    return ["", of_b, *mixed, f"{of_b}&{of_a}"]


@pytest.mark.parametrize("method", METHODS)
def test_blobs_of_a_are_for_b_like_blobs_that_do_not_exist(place: Place, method: str) -> None:
    for link in links_of(place):
        for path in place.handed.blobs:
            _, _, partner, revision, attributes, name = path.split("/")
            made_up = [
                f"/blobs/{partner}/{uuid.uuid4().hex}/{attributes}/{name}",
                f"/blobs/{partner}/{revision}/{attributes}/part-00007-{uuid.uuid4().hex}.json.gz",
                f"/blobs/{NOBODY}/{uuid.uuid4().hex}/{attributes}/{name}",
            ]
            of_a = place.as_b(method, f"{path}?{link}")
            assert all(place.as_b(method, f"{each}?{link}") == of_a for each in made_up)
            assert of_a[0] == (403 if method in {"GET", "HEAD"} else 405)


def test_a_link_of_a_opens_nothing_but_its_own_directory(place: Place) -> None:
    """Nor does it tell whether B has the blob, or whether A has another one."""
    other = {path.rpartition("/")[0] for path in place.handed.blobs}
    for link, path in zip(place.handed.links, place.handed.blobs, strict=True):
        own = path.rpartition("/")[0]
        unsigned = ask(place.a.client, "GET", f"/blobs/{NOBODY}/{uuid.uuid4().hex}/full/x.json.gz?{link}")
        assert unsigned[0] == 403
        targets = [place.own_blob, *(each for each in place.handed.blobs if not each.startswith(own))]
        assert len(targets) >= len(other) - 1
        for target in targets:
            assert ask(place.a.client, "GET", f"{target}?{link}") == unsigned
        within = ask(place.a.client, "GET", f"{own}/part-00009-{uuid.uuid4().hex}.json.gz?{link}")
        assert within[0] == 404
        assert ask(place.a.client, "GET", f"{own}/{place.own_blob.rpartition('/')[2]}?{link}") == within


def test_continuation_tokens_of_a_are_for_b_like_forged_ones(place: Place) -> None:
    for kind, tokens in place.handed.continuations.items():
        own = place.b.client.get(query(kind), headers=place.b.center).json()["continuationToken"]
        for more in ("", "&seekOperation=Next", "&hasPartnerEarnedCredit=true"):
            for token in tokens:
                forged = [
                    token[:-1] + ("A" if token[-1] != "A" else "B"),
                    token[::-1],
                    own[:40] + token[40:],
                    "A" * 120,
                ]
                of_a = place.as_b("GET", query(kind, more), headers={"MS-ContinuationToken": token})
                assert of_a[0] == 400
                for each in forged:
                    headers = {"MS-ContinuationToken": each}
                    assert place.as_b("GET", query(kind, more), headers=headers) == of_a
                by_path = f"{LINE_ITEMS}/onetime/{V1_TYPES[kind]}?currencycode=EUR&period=current"
                assert place.as_b("GET", by_path, headers={"MS-ContinuationToken": token}) == of_a


def test_credentials_of_one_partner_are_nothing_at_anothers_authority(tmp_path: Path) -> None:
    """Outside development: a client of B at A's tenant is like a client nobody knows, at a tenant nobody knows."""
    settings = Settings(data=tmp_path / "data", port=0)
    clocks = Clocks()
    with Server(data=settings.data) as seeded:
        catalog = seeded.service.catalog
        catalog.add_partner(B, utc_now())
        for partner in (A, B):
            client, secret = catalog.add_client(partner, "tool", utc_now())
    with (
        open_service(settings, clocks, development=False) as service,
        running(create_app(service), endpoints(service)[0]) as [url],
        httpx.Client(base_url=url) as caller,
    ):

        def post(tenant: str, client_id: str, client_secret: str, form: str) -> Answer:
            target = {"scope": "api://counterfoil/.default", "resource": "api://counterfoil"}
            who = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
            status, headers, body = ask(caller, "POST", f"/{tenant}/{form}", data=who | target)
            return status, headers, GUID.sub(b"*", body)

        for form in ("oauth2/v2.0/token", "oauth2/token"):
            assert post(B, client.id, secret, form)[0] == 200
            refused = post(A, client.id, secret, form)
            assert refused[0] == 401
            for tenant, name, password in (
                (NOBODY, client.id, secret),
                (A, str(uuid.uuid4()), secret),
                (B, client.id, "wrong"),
            ):
                assert post(tenant, name, password, form) == refused
        for document in (".well-known/openid-configuration", "v2.0/.well-known/openid-configuration"):
            told = {
                (status, body.replace(tenant.encode(), b"*"))
                for tenant in (A, B, NOBODY)
                for status, _, body in [ask(caller, "GET", f"/{tenant}/{document}")]
            }
            assert len(told) == 1
