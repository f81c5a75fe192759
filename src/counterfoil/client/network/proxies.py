"""The proxies that the environment names; calls to this machine never go through one.

Plain http is allowed to this machine because nobody on the way could read a token. A proxy could, and HTTP_PROXY alone
makes httpx send it what is meant for 127.0.0.1.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar
from urllib.request import getproxies

import httpx

from counterfoil.client.protocol.addresses import Origin
from counterfoil.errors import UsageError

_Transport = TypeVar("_Transport")


class Proxied(httpx.BaseTransport):
    """A transport through a proxy, except to this machine."""

    def __init__(self, proxy: str, verify: ssl.SSLContext | bool) -> None:
        self._straight = httpx.HTTPTransport(verify=verify)
        self._proxied = httpx.HTTPTransport(verify=verify, proxy=proxy)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request through the proxy, or directly to this machine."""
        way = self._straight if _is_here(request.url) else self._proxied
        return way.handle_request(request)

    def close(self) -> None:
        """Close all connections."""
        self._straight.close()
        self._proxied.close()


class AsyncProxied(httpx.AsyncBaseTransport):
    """The same for an event loop."""

    def __init__(self, proxy: str, verify: ssl.SSLContext | bool) -> None:
        self._straight = httpx.AsyncHTTPTransport(verify=verify)
        self._proxied = httpx.AsyncHTTPTransport(verify=verify, proxy=proxy)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request through the proxy, or directly to this machine."""
        way = self._straight if _is_here(request.url) else self._proxied
        return await way.handle_async_request(request)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._straight.aclose()
        await self._proxied.aclose()


def proxy_mounts(
    make: Callable[[str, ssl.SSLContext | bool], _Transport], verify: ssl.SSLContext | bool
) -> dict[str, _Transport | None]:
    """Return transports in place of httpx's own for proxies; raises UsageError for a proxy that cannot be used.

    NO_PROXY is left to httpx, but for `*`: with that it would have none of its own.
    """
    found = getproxies()
    if "*" in [each.strip() for each in found.get("no", "").split(",")]:
        return {}
    mounts: dict[str, _Transport | None] = {}
    for scheme in ("http", "https", "all"):
        if proxy := found.get(scheme):
            try:
                mounts[f"{scheme}://"] = make(proxy if "://" in proxy else f"http://{proxy}", verify)
            except (ValueError, httpx.InvalidURL, ImportError):  # ImportError: a kind of proxy that needs a library
                raise UsageError(
                    f"The proxy that the environment names for {scheme} cannot be used.",
                    remedy=f"Write {scheme.upper()}_PROXY as http://HOST:PORT, or unset it.",
                ) from None
    return mounts


@contextmanager
def no_proxy_said() -> Iterator[None]:
    """Raise UsageError where httpx cannot read NO_PROXY."""
    try:
        yield
    except (ValueError, httpx.InvalidURL):
        raise UsageError(
            "NO_PROXY does not list hosts.", remedy="Write it as host,host:port,.domain, or unset it."
        ) from None


def _is_here(url: httpx.URL) -> bool:
    try:
        return Origin.of(str(url)).is_loopback
    except ValueError:
        return False
