"""What both drivers need of httpx: clients that keep and log nothing, and the gate through which a token leaves.

What a newcomer would get wrong: httpx follows no redirect by itself, but it keeps cookies and it logs every URL at
level INFO, signed queries included; both are switched off here.
"""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final

import httpx

from counterfoil.client.drivers.bodies import ACCEPTED
from counterfoil.client.drivers.proxies import AsyncProxied, Proxied, no_proxy_said, proxy_mounts
from counterfoil.client.flows.calls import host_of, is_at
from counterfoil.client.flows.steps import Fetch, Fetched, Send, Unanswered, place_of
from counterfoil.client.protocol.addresses import QUERY, Origin, shown, without_query
from counterfoil.client.protocol.certificates import certificate_flaw
from counterfoil.errors import ProofError, UsageError

USER_AGENT: Final = "counterfoil"
_AUTHORITIES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_TALKATIVE: Final = ("httpx", "httpcore.http11")


def system_trust() -> ssl.SSLContext:
    """Return a context that trusts whom the system trusts, or whom SSL_CERT_FILE or SSL_CERT_DIR name.

    Where the system names nobody, as some builds of Python have it, it trusts whom httpx trusts. Raises UsageError
    where what is named cannot be read.
    """
    try:
        context = ssl.create_default_context()
        return context if context.cert_store_stats()["x509_ca"] else httpx.create_ssl_context()
    except OSError as error:
        named = " and ".join(f"{name}={os.environ[name]}" for name in _AUTHORITIES if os.environ.get(name))
        raise UsageError(
            f"{named or 'This system'} names no certificate authorities that can be read ({error}).",
            remedy="Let SSL_CERT_FILE name a file of certificates in PEM form, or unset it.",
        ) from None


def open_client(*, verify: ssl.SSLContext | bool = True, transport: httpx.BaseTransport | None = None) -> httpx.Client:
    """Return an httpx client that keeps no cookies, follows no redirects and logs no queries.

    It goes through the proxies that the environment names, but never to this machine.
    """
    settings = _settings(verify)
    mounts = proxy_mounts(Proxied, settings["verify"]) if transport is None else None
    with no_proxy_said():
        client = httpx.Client(transport=transport, mounts=mounts, **settings)
    client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # httpx copies the cookies, not their policy
    return client


def open_async_client(
    *, verify: ssl.SSLContext | bool = True, transport: httpx.AsyncBaseTransport | None = None
) -> httpx.AsyncClient:
    """Return the same for asyncio."""
    settings = _settings(verify)
    mounts = proxy_mounts(AsyncProxied, settings["verify"]) if transport is None else None
    with no_proxy_said():
        client = httpx.AsyncClient(transport=transport, mounts=mounts, **settings)
    client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return client


def _settings(verify: ssl.SSLContext | bool) -> dict[str, Any]:
    # These loggers are the whole process's, and so the only place to take the signatures out of what they write.
    for name in _TALKATIVE:
        logging.getLogger(name).addFilter(_hide_queries)
    return {
        "verify": system_trust() if verify is True else verify,
        "follow_redirects": False,
        "timeout": httpx.Timeout(60.0, connect=20.0, read=180.0, pool=None),
        "headers": {"User-Agent": USER_AGENT, "Accept-Encoding": ACCEPTED},
    }


def _hide_queries(record: logging.LogRecord) -> bool:
    record.msg = QUERY.sub("", str(record.msg))
    if isinstance(record.args, tuple):
        record.args = tuple(without_query(str(each)) if isinstance(each, httpx.URL) else each for each in record.args)
    return True


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A call as httpx takes it."""

    method: str
    url: httpx.URL
    headers: dict[str, str]
    content: bytes | None


def outgoing(send: Send) -> Outgoing:
    """Return the call with its token; raises ProofError rather than let one out to another origin.

    Both readings of the URL must agree: the standard library's, and that of the library that sends.
    """
    try:
        url = httpx.URL(send.request.url)
        sent_to = Origin.of(f"{url.scheme}://{url.netloc.decode('ascii')}")
    except (httpx.InvalidURL, ValueError):
        raise ProofError(f"{shown(send.request.url)!r} is no address that can be asked.") from None
    if not is_at(send.base, send.request.url) or sent_to != send.base.origin:
        raise ProofError(f"{host_of(send.request.url)} is not {send.base.origin}; nothing was sent there.")
    headers = dict(send.request.headers)
    if send.token:
        headers["Authorization"] = f"Bearer {send.token}"
    return Outgoing(send.request.method, url, headers, send.request.body or None)


def lower(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers by lower-case name."""
    return {name.lower(): value for name, value in headers.items()}


def unanswered(error: httpx.RequestError, received: int = 0) -> Unanswered:
    """Return what a flow is told of a call that got no whole answer."""
    if (flaw := certificate_flaw(str(error))) is not None:
        return Unanswered(flaw.told, hopeless=True, received=received, remedy=flaw.remedy)
    hopeless = isinstance(error, httpx.UnsupportedProtocol)
    return Unanswered(shown(str(error)) or type(error).__name__, hopeless, received)


class Arriving:
    """A blob as it arrives, behind what is there of it: where its bytes go, and when they are enough."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._size = 0
        self.received = 0

    def begin(self, status: int, headers: Mapping[str, str]) -> bool:
        """Take the head of an answer; returns whether a blob follows, and not what the source says instead."""
        at = place_of(self._fetch, status, headers)
        if at is None:
            return False
        self._fetch.on_begin(at, headers)
        self._size = at
        return True

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Have the part file open for `add`, with nothing behind the place where the blob goes on."""
        part = self._fetch.part
        with part.open("r+b" if part.exists() else "xb") as self._file:
            self._file.truncate(self._size)
            self._file.seek(self._size)
            yield

    def add(self, chunk: bytes) -> bool:
        """Write some more; returns whether any more is wanted."""
        self._file.write(chunk)
        self._size += len(chunk)
        self.received += len(chunk)
        self._fetch.on_bytes(len(chunk))
        return self._fetch.size_max is None or self._size <= self._fetch.size_max

    def fetched(self, status: int, headers: Mapping[str, str]) -> Fetched:
        """Return what a flow is told of it."""
        return Fetched(status, headers, b"", self._size, self.received, is_blob=True)
