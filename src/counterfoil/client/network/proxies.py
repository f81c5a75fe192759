"""The proxies that the environment names, and who is never asked through one: this machine.

What a newcomer would get wrong: plain http is allowed to this machine because nobody is on the way who could read a
token. A proxy is somebody on the way, and HTTP_PROXY alone makes httpx send it what is meant for 127.0.0.1.
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
    """Goes through a proxy, but to this machine goes straight."""

    def __init__(self, proxy: str, verify: ssl.SSLContext | bool) -> None:
        self._straight = httpx.HTTPTransport(verify=verify)
        self._proxied = httpx.HTTPTransport(verify=verify, proxy=proxy)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request the way it is to go."""
        way = self._straight if _is_here(request.url) else self._proxied
        return way.handle_request(request)

    def close(self) -> None:
        """Let go of all connections."""
        self._straight.close()
        self._proxied.close()


class AsyncProxied(httpx.AsyncBaseTransport):
    """The same for asyncio."""

    def __init__(self, proxy: str, verify: ssl.SSLContext | bool) -> None:
        self._straight = httpx.AsyncHTTPTransport(verify=verify)
        self._proxied = httpx.AsyncHTTPTransport(verify=verify, proxy=proxy)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request the way it is to go."""
        way = self._straight if _is_here(request.url) else self._proxied
        return await way.handle_async_request(request)

    async def aclose(self) -> None:
        """Let go of all connections."""
        await self._straight.aclose()
        await self._proxied.aclose()


def proxy_mounts(
    make: Callable[[str, ssl.SSLContext | bool], _Transport], verify: ssl.SSLContext | bool
) -> dict[str, _Transport | None]:
    """Return what takes the place of httpx's own proxies; raises UsageError for one that cannot be used.

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
    """Tell in words of ours what httpx makes of a NO_PROXY that cannot be right, as UsageError."""
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
