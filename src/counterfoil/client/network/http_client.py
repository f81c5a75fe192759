"""httpx clients that keep no cookies, follow no redirects, and log no signed queries.

httpx keeps cookies by itself, and logs every URL at level INFO, signed queries included; both are switched off here.
Calls to this machine never go through a proxy. Plain http is allowed there because nobody on the way could read a
token; a proxy could, and HTTP_PROXY alone makes httpx send it what is meant for 127.0.0.1.
"""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Callable
from http.cookiejar import DefaultCookiePolicy
from typing import Final, TypeVar

import httpx

from counterfoil.client.network.answer_bodies import ACCEPTED
from counterfoil.client.protocol.addresses import QUERY, without_query
from counterfoil.errors import UsageError

USER_AGENT: Final = "counterfoil"
_AUTHORITIES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_TALKATIVE: Final = ("httpx", "httpcore.http11")

Opened = TypeVar("Opened", httpx.Client, httpx.AsyncClient)


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


def open_client(
    *, verify: ssl.SSLContext | bool = True, transport: httpx.BaseTransport | None = None, proxied: bool = True
) -> httpx.Client:
    """Return an httpx client that keeps no cookies, follows no redirects and logs no queries.

    It goes through the proxies that the environment names, unless `proxied` is false: that is for this machine. Raises
    UsageError for proxies that cannot be used.
    """
    return _opened(httpx.Client, verify, transport, proxied)


def open_async_client(
    *, verify: ssl.SSLContext | bool = True, transport: httpx.AsyncBaseTransport | None = None, proxied: bool = True
) -> httpx.AsyncClient:
    """Return the same for asyncio."""
    return _opened(httpx.AsyncClient, verify, transport, proxied)


def _opened(kind: Callable[..., Opened], verify: ssl.SSLContext | bool, transport: object, proxied: bool) -> Opened:
    # These loggers are the whole process's, and so the only place to take the signatures out of what they write.
    for name in _TALKATIVE:
        logging.getLogger(name).addFilter(_hide_queries)
    try:
        client = kind(
            transport=transport,
            trust_env=proxied,
            verify=system_trust() if verify is True and transport is None else verify,
            follow_redirects=False,
            timeout=httpx.Timeout(60.0, connect=20.0, read=180.0, pool=None),
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": ACCEPTED},
        )
    except (ValueError, httpx.InvalidURL, ImportError):  # ImportError: a kind of proxy that needs a library
        raise UsageError(
            "The proxies that the environment names cannot be used.",
            remedy="Write HTTP_PROXY, HTTPS_PROXY and ALL_PROXY as http://HOST:PORT, and NO_PROXY as "
            "host,host:port,.domain; or unset them.",
        ) from None
    client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # httpx copies the cookies, not their policy
    return client


def _hide_queries(record: logging.LogRecord) -> bool:
    record.msg = QUERY.sub("", str(record.msg))
    if isinstance(record.args, tuple):
        record.args = tuple(without_query(str(each)) if isinstance(each, httpx.URL) else each for each in record.args)
    return True
