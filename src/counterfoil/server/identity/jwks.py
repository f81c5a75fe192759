"""The public keys of an outside issuer, fetched when needed and kept for a while.

An unknown key id is the caller's choice, so it may cause one fetch per cool-down and no more. An issuer that cannot be
reached is *our* failure (503), not the caller's (401). Known keys keep working while the issuer is down.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from counterfoil.errors import UnavailableError, UsageError

ALGORITHMS: Final = frozenset({"RS256", "PS256", "ES256"})
COOL_DOWN_S: Final = 30
FRESH_S: Final = 3600
KEPT_S: Final = 24 * 3600
FETCH_TIMEOUT_S: Final = 5.0
_SIZE_BYTES_MAX = 512 * 1024
_KEYS_MAX = 100
_RSA_BITS = range(2048, 8193)
_DISCOVERY = "/.well-known/openid-configuration"
# Where many tenants share one issuer, its host describes itself under this name in place of a tenant.
_ANY_TENANT = "common"
_log = logging.getLogger(__name__)


class _FetchError(Exception):
    """The issuer did not give its keys; the text is for our log only."""


@dataclass(frozen=True, slots=True)
class IssuerKey:
    """One public key, and the algorithms that it may be used with."""

    public: rsa.RSAPublicKey | ec.EllipticCurvePublicKey
    algorithms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _State:
    """What is known, replaced as a whole so that threads never see half an update. Times are Unix seconds."""

    keys: Mapping[str, IssuerKey] = field(default_factory=dict)
    fetched_at: float = -math.inf
    attempted_at: float = -math.inf
    failed: bool = True


class IssuerKeys:
    """The keys of one issuer, found by id. Safe to use from many threads; `find` may wait for the network."""

    def __init__(self, issuer: str, jwks_url: str, wall: Callable[[], datetime]) -> None:
        """`{tid}` in `issuer` stands for a token's tenant; an empty `jwks_url` is discovered. Raises UsageError."""
        _check_fetchable(jwks_url or issuer, "jwks_url" if jwks_url else "issuer")
        self.issuer = issuer
        self._jwks_url = jwks_url
        self._wall = wall
        self._state = _State()
        self._fetching = threading.Lock()

    def find(self, key_id: str) -> IssuerKey | None:
        """Return the key, or None if the issuer has none of that id; raises UnavailableError if it cannot be asked."""
        now = self._wall().timestamp()
        if self._wants_fetch(key_id, now):
            # A call with a known key does not wait for a fetch; one with an unknown key has to.
            known = key_id in self._state.keys and now - self._state.fetched_at < KEPT_S
            if self._fetching.acquire(blocking=not known, timeout=-1 if known else 2 * FETCH_TIMEOUT_S):
                try:
                    if self._wants_fetch(key_id, now):
                        self._fetch(now)
                finally:
                    self._fetching.release()
        state = self._state
        key = state.keys.get(key_id) if now - state.fetched_at < KEPT_S else None
        if key is None and state.failed:
            raise UnavailableError(
                "The identity provider cannot be asked for its signing keys at the moment.",
                retry_after_s=max(1, math.ceil(min(COOL_DOWN_S, state.attempted_at + COOL_DOWN_S - now))),
            )
        return key

    def _wants_fetch(self, key_id: str, now: float) -> bool:
        state = self._state
        if 0 <= now - state.attempted_at < COOL_DOWN_S:
            return False
        return key_id not in state.keys or not 0 <= now - state.fetched_at < FRESH_S

    def _fetch(self, now: float) -> None:
        try:
            keys = _usable_keys(_get_json(self._jwks_url or self._discover()))
        except (_FetchError, UsageError) as error:
            _log.warning("The signing keys of %s cannot be had: %s", self.issuer, error)
            self._state = replace(self._state, attempted_at=now, failed=True)
            return
        if not keys:
            _log.warning("The issuer %s publishes no signing key that can be used.", self.issuer)
        self._state = _State(keys, fetched_at=now, attempted_at=now, failed=False)

    def _discover(self) -> str:
        document = _get_json(self.issuer.rstrip("/").replace("{tid}", _ANY_TENANT) + _DISCOVERY)
        named, url = document.get("issuer"), document.get("jwks_uri")
        if not isinstance(named, str) or not isinstance(url, str):
            raise _FetchError("its discovery document names no issuer or no jwks_uri")
        if named.replace("{tenantid}", "{tid}").rstrip("/") != self.issuer.rstrip("/"):
            raise _FetchError(f"its discovery document names another issuer, {named[:200]!r}")
        _check_fetchable(url, "jwks_uri")
        return url


def _check_fetchable(url: str, name: str) -> None:
    """Keys that came over a readable line prove nothing, so only this machine may be asked over http."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        parts, host = urlsplit(""), ""
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))):
        raise UsageError(f"{name} is {url!r}; keys are fetched over https only.", remedy="Use an https:// URL.")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _get_json(url: str) -> dict[str, Any]:
    """Fetch a JSON object: no redirects, at most so many bytes, at most so long."""
    deadline = time.monotonic() + FETCH_TIMEOUT_S
    body = bytearray()
    try:
        with httpx.stream("GET", url, timeout=FETCH_TIMEOUT_S, headers={"Accept": "application/json"}) as response:
            if response.status_code != httpx.codes.OK:
                raise _FetchError(f"{url} answered {response.status_code}")
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > _SIZE_BYTES_MAX or time.monotonic() > deadline:
                    raise _FetchError(f"{url} answered too much or too slowly")
        document = json.loads(body)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, RecursionError) as error:
        raise _FetchError(f"{url}: {type(error).__name__}: {error}") from error
    if not isinstance(document, dict):
        raise _FetchError(f"{url} is not a JSON object")
    return document


def _usable_keys(document: Mapping[str, Any]) -> dict[str, IssuerKey]:
    entries = document.get("keys")
    if not isinstance(entries, list) or len(entries) > _KEYS_MAX:
        raise _FetchError("the key set holds no list of keys, or too many")
    found = {}
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("kid"), str):
            continue
        key = _usable_key(entry)
        if key is not None:
            found[entry["kid"]] = key
    return found


def _usable_key(entry: Mapping[str, Any]) -> IssuerKey | None:
    """Read one key; None for those of other uses, kinds and sizes, which a key set may hold as well."""
    if entry.get("use", "sig") != "sig" or "d" in entry or entry.get("kty") not in {"RSA", "EC"}:
        return None
    try:
        public = jwt.PyJWK.from_dict(dict(entry)).key
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    possible: tuple[str, ...]
    match public:
        case rsa.RSAPublicKey() if public.key_size in _RSA_BITS:
            possible = ("RS256", "PS256")
        case ec.EllipticCurvePublicKey() if isinstance(public.curve, ec.SECP256R1):
            possible = ("ES256",)
        case _:
            return None
    named = entry.get("alg")
    algorithms = tuple(each for each in possible if named in {None, each})
    return IssuerKey(public, algorithms) if algorithms else None
