"""Workloads that sign in with tokens of another issuer, without a secret of ours: Kubernetes, GitHub, Microsoft."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import jwt
import pytest

from counterfoil.errors import UsageError
from counterfoil.server.identity.client_assertions import check_federated
from counterfoil.storage.catalog_rows import FederatedIdentity
from tests.server.asserting import Certified, asserted, key_of, post
from tests.server.authority_house import NOW, PARTNER, House, refusal

FIRST: Final[Certified] = Certified.made("first")


class Issuer:
    """An issuer on loopback: a discovery document and its keys."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests = 0

    def token(self, *, key: str = "issuer", kid: str = "k", **claims: Any) -> str:
        good = {"iss": self.url, "sub": "system:serviceaccount:billing:robot", "aud": "api://AzureADTokenExchange"}
        good |= {"exp": (NOW + timedelta(hours=1)).timestamp()} | claims
        return jwt.encode(good, key_of(key), algorithm="RS256", headers={"kid": kid})

    @property
    def identity(self) -> FederatedIdentity:
        return FederatedIdentity(self.url, "system:serviceaccount:billing:robot", "api://AzureADTokenExchange")


@contextmanager
def issuing() -> Iterator[Issuer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.requests += 1
            key = jwt.algorithms.RSAAlgorithm.to_jwk(key_of("issuer").public_key(), as_dict=True)
            known = {
                "/.well-known/openid-configuration": {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys"},
                "/keys": {"keys": [{**key, "kid": "k", "use": "sig"}]},
            }
            body = json.dumps(known[self.path]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        issuer = Issuer(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield issuer
        server.shutdown()
        thread.join()


def test_a_workload_signs_in_with_its_issuers_token_as_often_as_it_likes(real: House) -> None:
    with issuing() as issuer:
        client, _ = real.catalog.add_client(PARTNER, "pod", NOW, with_secret=False)
        real.catalog.trust_client(PARTNER, client.id, [FIRST.stored, issuer.identity], NOW)
        token = issuer.token()
        for peer in ("192.0.2.1", "192.0.2.2"):
            answer = post(real, token, peer=peer, client_id=client.id)
            assert real.partner_of(answer.json()["access_token"]) == PARTNER
        assert issuer.requests == 2
        wrong = (
            issuer.token(sub="system:serviceaccount:billing:other"),
            issuer.token(aud="api://another"),
            issuer.token(iss=f"{issuer.url}/"),
            issuer.token(key="first"),
            issuer.token(kid="unknown"),
            asserted(FIRST, client.id, iss=issuer.url, sub=issuer.identity.subject, header={"kid": "k"}),
        )
        for assertion in wrong:
            refusal(post(real, assertion, client_id=client.id), 401, "invalid_client", 700027)
        old = issuer.token(exp=(NOW - timedelta(minutes=6)).timestamp())
        refusal(post(real, old, client_id=client.id), 401, "invalid_client", 700024)
        nobody, _ = real.client_of()
        refusal(post(real, token, client_id=nobody), 401, "invalid_client", 700027)


def test_an_issuer_that_cannot_be_asked_is_our_failure_and_no_refusal(real: House) -> None:
    identity = FederatedIdentity("http://127.0.0.1:9", "robot", "api://x")
    client, _ = real.catalog.add_client(PARTNER, "pod", NOW, with_secret=False)
    real.catalog.trust_client(PARTNER, client.id, [identity], NOW)
    claims = {"iss": identity.issuer, "sub": "robot", "aud": "api://x", "exp": NOW.timestamp() + 60}
    token = jwt.encode(claims, key_of("first"), algorithm="RS256", headers={"kid": "k"})
    answer = post(real, token, client_id=client.id)
    refusal(answer, 503, "temporarily_unavailable", 90033)
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("issuer", "subject", "audience"),
    [
        ("http://issuer.example", "s", "a"),
        ("issuer", "s", "a"),
        ("https://issuer.example/{tid}", "s", "a"),
        ("https://issuer.example", "", "a"),
        ("https://issuer.example", "s", ""),
        ("https://issuer.example", "s\n", "a"),
    ],
)
def test_a_federated_identity_that_no_token_could_match_is_refused(issuer: str, subject: str, audience: str) -> None:
    with pytest.raises(UsageError):
        check_federated(FederatedIdentity(issuer, subject, audience))
    check_federated(FederatedIdentity("https://issuer.example/tenant", "s", "api://a"))
