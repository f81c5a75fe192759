"""An identity provider of the operator's own: its keys, when they are fetched, and what happens while it is away."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from counterfoil.errors import ForbiddenError, UnauthenticatedError, UnavailableError, UsageError
from counterfoil.periods import Clocks
from counterfoil.server.identity.audiences import Audiences
from counterfoil.server.identity.authenticator import Authenticator, TokenBearer
from counterfoil.server.identity.jwks import COOL_DOWN_S, FRESH_S, KEPT_S, IssuerKeys
from counterfoil.server.identity.signing_keys import AuthorityKeys
from counterfoil.settings import Settings
from counterfoil.storage.engines import open_store

PARTNER = "0e195b37-4574-4539-bc42-0e539b9684c0"
STRANGER = "11111111-2222-3333-4444-555555555555"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
OWN = "api://billing"
ISSUER = "https://login.example.com/{tid}/v2.0"
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


FIRST, SECOND, CURVE = rsa_key(), rsa_key(), ec.generate_private_key(ec.SECP256R1())


def jwk(kid: str, key: PrivateKey, **more: Any) -> dict[str, Any]:
    if isinstance(key, rsa.RSAPrivateKey):
        return {**jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, **more}
    return {**jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, **more}


@dataclass
class Provider:
    """A real identity provider's HTTP, on loopback: what it answers, and how often it was asked."""

    url: str
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def publish(self, *keys: dict[str, Any], path: str = "/keys") -> None:
        self.answers[path] = (200, json.dumps({"keys": keys}).encode())


@pytest.fixture
def provider() -> Iterator[Provider]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked.append(self.path)
            status, body = made.answers.get(self.path, (404, b""))
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made = Provider(f"http://127.0.0.1:{server.server_port}")
        made.publish(jwk("first", FIRST), jwk("curve", CURVE))
        made.publish(jwk("first", FIRST), path="/elsewhere")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        server.shutdown()
        thread.join()


@dataclass
class Clock:
    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def pass_s(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def authenticator(tmp_path: Path, provider: Provider, clock: Clock) -> Iterator[Authenticator]:
    with open_store(tmp_path).catalog as catalog:
        catalog.add_partner(PARTNER, NOW)
        yield Authenticator(
            catalog,
            Clocks(wall=clock),
            AuthorityKeys(tmp_path, development=False),
            Audiences.from_setting(OWN, development=False),
            IssuerKeys(ISSUER, f"{provider.url}/keys", clock),
        )


def token(key: PrivateKey = FIRST, kid: str = "first", algorithm: str = "RS256", **changes: Any) -> str:
    moment = int(NOW.timestamp())
    claims: dict[str, Any] = {"iss": ISSUER.replace("{tid}", PARTNER), "aud": OWN, "tid": PARTNER, "azp": "tool"}
    claims |= {"exp": moment + 7200, "roles": ["PartnerBilling.Read.All"], **changes}
    return jwt.encode(claims, key, algorithm, headers={"kid": kid})


def ask(authenticator: Authenticator, text: str) -> TokenBearer:
    return asyncio.run(authenticator.authenticate(f"Bearer {text}", api="graph"))


def refused(authenticator: Authenticator, text: str) -> str:
    with pytest.raises(UnauthenticatedError) as caught:
        ask(authenticator, text)
    return caught.value.message


def test_tokens_of_the_operators_issuer_are_good(authenticator: Authenticator, provider: Provider) -> None:
    assert ask(authenticator, token()) == TokenBearer(PARTNER, "tool")
    assert ask(authenticator, token(algorithm="PS256")).partner == PARTNER
    assert ask(authenticator, token(CURVE, "curve", "ES256")).partner == PARTNER
    assert ask(authenticator, token(scp="PartnerBilling.Read.All", roles=[])).partner == PARTNER
    assert provider.asked == ["/keys"]


def test_the_tenant_in_the_issuer_must_be_the_tenant_of_the_token(authenticator: Authenticator) -> None:
    for issuer in (
        ISSUER,
        ISSUER.replace("{tid}", STRANGER),
        ISSUER.replace("{tid}", PARTNER) + "/",
        ISSUER.replace("{tid}", PARTNER.upper()),
        "https://login.example.com/v2.0",
    ):
        assert "issuer" in refused(authenticator, token(iss=issuer))
    with pytest.raises(ForbiddenError):
        ask(authenticator, token(tid=STRANGER, iss=ISSUER.replace("{tid}", STRANGER)))


def test_the_checks_are_those_of_our_own_tokens(authenticator: Authenticator) -> None:
    assert "audience" in refused(authenticator, token(aud="https://graph.microsoft.com"))
    assert "audience" in refused(authenticator, token(aud=[OWN, "https://api.partnercenter.microsoft.com"]))
    assert "expired" in refused(authenticator, token(exp=int(NOW.timestamp()) - 60))
    assert "signature" in refused(authenticator, token(SECOND))
    assert "algorithm" in refused(authenticator, token(algorithm="RS384"))
    assert "algorithm" in refused(authenticator, token(CURVE, "first", "ES256"))
    with pytest.raises(ForbiddenError, match="PartnerBilling"):
        ask(authenticator, token(roles=["Directory.Read.All"]))


def test_a_key_that_names_its_algorithm_is_used_with_no_other(authenticator: Authenticator, provider: Provider) -> None:
    provider.publish(jwk("first", FIRST, alg="RS256", use="sig"))
    assert ask(authenticator, token()).partner == PARTNER
    assert "algorithm" in refused(authenticator, token(algorithm="PS256"))


def test_keys_of_other_uses_kinds_and_sizes_are_left_out(authenticator: Authenticator, provider: Provider) -> None:
    p384 = ec.generate_private_key(ec.SECP384R1())
    private = jwt.algorithms.RSAAlgorithm.to_jwk(FIRST, as_dict=True) | {"kid": "private"}
    provider.publish(
        jwk("first", FIRST),
        jwk("encrypts", FIRST, use="enc"),
        jwk("other", FIRST, alg="RS512"),
        jwk("weak", rsa_key(1024)),
        jwk("curve", p384),
        private,
        {"kid": "shared", "kty": "oct", "k": "AAAA", "alg": "HS256"},
        {"kid": "broken", "kty": "RSA", "n": "!", "e": 7},
        {"kty": "RSA"},
        7,  # type: ignore[arg-type]
    )
    assert ask(authenticator, token()).partner == PARTNER
    for kid in ("encrypts", "other", "weak", "curve", "private", "shared", "broken"):
        assert "not known" in refused(authenticator, token(kid=kid))


def test_an_unknown_key_is_looked_up_once_in_a_cool_down(
    authenticator: Authenticator, provider: Provider, clock: Clock
) -> None:
    ask(authenticator, token())
    provider.publish(jwk("first", FIRST), jwk("second", SECOND))
    for _ in range(3):
        assert "not known" in refused(authenticator, token(SECOND, "second"))
    assert len(provider.asked) == 1
    clock.pass_s(COOL_DOWN_S)
    assert ask(authenticator, token(SECOND, "second")).partner == PARTNER
    assert len(provider.asked) == 2
    for number in range(20):
        assert "not known" in refused(authenticator, token(SECOND, f"unknown {number}"))
    assert len(provider.asked) == 2


def test_a_withdrawn_key_is_forgotten_within_the_hour(
    authenticator: Authenticator, provider: Provider, clock: Clock
) -> None:
    ask(authenticator, token())
    provider.publish(jwk("second", SECOND))
    clock.pass_s(FRESH_S)
    assert "not known" in refused(authenticator, token())


@pytest.mark.parametrize(
    "answer",
    [
        (500, b""),
        (200, b"<html>"),
        (200, b"[]"),
        (200, b'{"keys": 7}'),
        (200, b"[" * 200_000),
        (200, b" " * 600_000),
        (200, json.dumps({"keys": [{}] * 101}).encode()),
        (302, b""),
    ],
    ids=lambda answer: f"{answer[0]} {answer[1][:8]!r}",
)
def test_a_provider_that_cannot_be_asked_is_our_trouble_and_not_the_callers(
    authenticator: Authenticator, provider: Provider, clock: Clock, answer: tuple[int, bytes]
) -> None:
    provider.answers["/keys"] = answer
    for _ in range(2):
        with pytest.raises(UnavailableError) as caught:
            ask(authenticator, token())
        assert 1 <= caught.value.retry_after_s <= COOL_DOWN_S
    assert len(provider.asked) == 1
    provider.publish(jwk("first", FIRST))
    clock.pass_s(COOL_DOWN_S)
    assert ask(authenticator, token()).partner == PARTNER


def test_a_provider_that_is_gone_is_503_and_known_keys_go_on_for_a_day(
    authenticator: Authenticator, provider: Provider, clock: Clock
) -> None:
    ask(authenticator, token())
    provider.answers.clear()
    clock.pass_s(FRESH_S)
    assert ask(authenticator, token(nonce="not seen before")).partner == PARTNER
    assert len(provider.asked) == 2
    with pytest.raises(UnavailableError):
        ask(authenticator, token(kid="unknown"))
    clock.pass_s(KEPT_S - FRESH_S)
    with pytest.raises(UnavailableError):
        ask(authenticator, token(nonce="another", exp=int(clock.now.timestamp()) + 60))


def test_a_port_that_nobody_listens_on_is_unavailable(clock: Clock) -> None:
    keys = IssuerKeys(ISSUER, "http://127.0.0.1:9/keys", clock)
    with pytest.raises(UnavailableError):
        keys.find("first")


def test_the_discovery_document_tells_the_keys_when_no_url_is_set(provider: Provider, clock: Clock) -> None:
    issuer = provider.url + "/{tid}/v2.0"
    document = {"issuer": provider.url + "/{tenantid}/v2.0", "jwks_uri": f"{provider.url}/keys"}
    path = "/common/v2.0/.well-known/openid-configuration"
    provider.answers[path] = (200, json.dumps(document).encode())
    assert IssuerKeys(issuer, "", clock).find("first") is not None
    assert provider.asked == [path, "/keys"]
    for wrong in ({"issuer": "https://elsewhere.example.com"}, {"jwks_uri": "http://example.com/keys"}, {"issuer": 7}):
        provider.answers[path] = (200, json.dumps(document | wrong).encode())
        with pytest.raises(UnavailableError):
            IssuerKeys(issuer, "", clock).find("first")


@pytest.mark.parametrize("url", ["http://example.com/keys", "ftp://127.0.0.1/keys", "/keys", "https://", "http://["])
def test_keys_are_fetched_over_https_or_from_this_machine_only(url: str, clock: Clock) -> None:
    with pytest.raises(UsageError, match="https"):
        IssuerKeys(ISSUER, url, clock)


def test_good_urls_are_taken(clock: Clock) -> None:
    for url in ("https://example.com/keys", "http://localhost:1/keys", "http://[::1]:1/keys"):
        assert IssuerKeys(ISSUER, url, clock)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (Settings(issuer=ISSUER), "audience is not"),
        (Settings(jwks_url="https://example.com/keys"), "issuer is not"),
        (Settings(issuer="https://x.example.com/{tenantid}", audience=OWN), r"\{tid\}"),
        (Settings(issuer="https://x.example.com/{tid}/{tid}", audience=OWN), r"\{tid\}"),
        (Settings(issuer=ISSUER, audience=OWN, jwks_url="https://x.example.com/{tid}"), r"\{tid\}"),
        (Settings(issuer="http://login.example.com", audience=OWN), "https"),
        (Settings(issuer=ISSUER, audience="https://graph.microsoft.com"), "Microsoft"),
    ],
)
def test_settings_that_cannot_be_right_stop_the_start(tmp_path: Path, settings: Settings, told: str) -> None:
    with open_store(tmp_path).catalog as catalog, pytest.raises(UsageError, match=told):
        Authenticator.from_settings(settings, catalog, Clocks(), AuthorityKeys(tmp_path, development=False))


def test_settings_that_are_right_start(tmp_path: Path, provider: Provider, clock: Clock) -> None:
    settings = Settings(issuer=ISSUER, audience=f"api://other, {OWN}", jwks_url=f"{provider.url}/keys")
    with open_store(tmp_path).catalog as catalog:
        catalog.add_partner(PARTNER, NOW)
        keys = AuthorityKeys(tmp_path, development=False)
        authenticator = Authenticator.from_settings(settings, catalog, Clocks(wall=clock), keys)
        assert ask(authenticator, token()).partner == PARTNER
    assert not (tmp_path / "authority.pem").exists()  # a key is made when it is first needed
