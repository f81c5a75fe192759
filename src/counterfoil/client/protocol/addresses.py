"""Where a secret may go: addresses, and the rules that keep a token and a signed link from strangers.

A bearer token opens everything that its partner has. So it goes to one origin only - the scheme, host and port of
the base URL - whatever a `Location`, a link or a redirect says. A signed link is a smaller secret, good for some
hours: it may point to another host (Azure does), but not over plain http, and not into a private network that the
source itself is not in. Error texts are logged and pasted into tickets, so no URL in them keeps its query.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from importlib import import_module
from typing import Final, Self
from urllib.parse import urljoin, urlsplit

from counterfoil.errors import ProofError, UsageError, shortened

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_VERSION_AT_END: Final = re.compile(r"/(?:v1\.0|beta|v1)/*$", re.IGNORECASE)
QUERY: Final = re.compile(r"\?[^\s\"'<>]*")
_SECRET: Final = re.compile(
    r"(?i)\b(bearer|basic)\s+[^\s\"'<>]+|\b(sig|sig%3d|client_secret|access_token)=[^\s&\"'<>]+|\beyJ[\w-]{8,}[\w.-]*"
)
_TEXT_LENGTH_MAX: Final = 300
_TEXT_READ_MAX: Final = 20_000  # of which that is made
_HOST: Final = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", re.ASCII)
_NUMERIC: Final = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")  # an IPv4 address follows


@dataclass(frozen=True, slots=True)
class Origin:
    """A scheme, host and port: what a bearer token belongs to."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Self:
        """Return the origin of an absolute http or https URL; raises ValueError."""
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".").lower()
        if parts.scheme not in _DEFAULT_PORTS or not _is_host(host):
            raise ValueError(url)
        return cls(parts.scheme, host, parts.port or _DEFAULT_PORTS[parts.scheme])

    @property
    def is_loopback(self) -> bool:
        """Whether it is this machine, by name or by address; no name is looked up."""
        address = _address(self.host)
        return self.host == "localhost" or self.host.endswith(".localhost") or bool(address and address.is_loopback)

    @property
    def is_private(self) -> bool:
        """Whether it is this machine or an address that the public internet does not reach."""
        address = _address(self.host)
        return self.is_loopback or bool(address and not address.is_global)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = self.port == _DEFAULT_PORTS[self.scheme]
        return f"{self.scheme}://{host}" if default else f"{self.scheme}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Base:
    """A source's base URL, without `/v1.0` or `/v1`. Build it with `parse`."""

    origin: Origin
    path: str  # '' or '/prefix', without a slash at its end

    @classmethod
    def parse(cls, url: str) -> Self:
        """Check a base URL; raises UsageError. Plain http is for this machine only: others on the way could read."""
        try:
            parts = urlsplit(url.strip())
            origin = Origin.of(url.strip())
        except ValueError:
            raise UsageError(
                f"{shown(url)!r} is not the address of a source.",
                remedy="Write it as https://graph.microsoft.com or http://127.0.0.1:8080.",
            ) from None
        if parts.username is not None or parts.query or parts.fragment:
            raise UsageError(f"The address of {origin} must have no user name, `?` or `#` in it.")
        if origin.scheme == "http" and not origin.is_loopback:
            raise UsageError(
                f"A token is not sent to {origin}: over plain http anyone on the way can read it.",
                remedy="Use https; plain http is for this machine only.",
            )
        return cls(origin, _VERSION_AT_END.sub("", parts.path).rstrip("/"))

    def join(self, path: str) -> str:
        """Return the URL of a path below this base; doubled slashes at the seam become one."""
        return f"{self}/{path.lstrip('/')}"

    def is_at(self, url: str) -> bool:
        """Whether a URL is of the base's own origin."""
        try:
            return Origin.of(url) == self.origin
        except ValueError:
            return False

    def own(self, url: str, what: str) -> str:
        """Return an address the source gave us, made absolute; raises ProofError if it leads to another origin."""
        try:
            absolute = urljoin(f"{self}/", url)
            origin = Origin.of(absolute)
        except ValueError:
            raise ProofError(f"{what} of {self.origin} is not an http address: {shown(url)!r}.") from None
        if origin != self.origin or urlsplit(absolute).username is not None:
            raise ProofError(
                f"{what} of {self.origin} leads to {origin}, and the token is for {self.origin} only.",
                remedy="Nothing was sent there. If that host is the source's own, use it as the base URL.",
            )
        return absolute

    def __str__(self) -> str:
        return f"{self.origin}{self.path}"


def check_blob_url(base: Base, url: str) -> str:
    """Return a blob's URL if it may be asked; raises ProofError naming the host."""
    try:
        parts = urlsplit(url)
        origin = Origin.of(url)
    except ValueError:
        raise ProofError(f"The manifest gives a blob an address that is not an http address: {shown(url)!r}.") from None
    if parts.username is not None:
        raise ProofError(f"The manifest's link to {origin.host} holds a user name.")
    if origin.scheme == "http" and not origin.is_loopback and origin != base.origin:
        raise ProofError(
            f"The manifest's link leads to {origin} over plain http, where anyone on the way can use it.",
            remedy="Ask the source for https links.",
        )
    if origin.is_private and not base.origin.is_private:
        raise ProofError(
            f"The manifest's link leads to {origin}, inside this network, where {base.origin} has no business."
        )
    return url


def redirected(url: str, location: str) -> str:
    """Return where a redirect leads; raises ProofError if it is not an address."""
    try:
        return urljoin(url, location)
    except ValueError:
        raise ProofError(
            f"{without_query(url)} redirects to {shown(location)!r}, which is not an http address.",
            remedy="Nothing was sent there.",
        ) from None


def host_of(url: str) -> str:
    """Return the origin of any text, as it may be shown."""
    try:
        return str(Origin.of(url))
    except ValueError:
        return shown(url) or "nowhere"


def without_query(url: str) -> str:
    """Return a URL as it may be shown: a query can hold a signature."""
    return url.partition("?")[0]


def shown(text: str) -> str:
    """Return foreign text in a form that is safe in an error: without queries or tokens, printable and short."""
    clean = _SECRET.sub("...", QUERY.sub("", text[:_TEXT_READ_MAX]))
    clean = "".join(char if char.isprintable() else " " for char in clean).strip()
    return shortened(clean, _TEXT_LENGTH_MAX)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        return address.ipv4_mapped or address.sixtofour or address
    return address


def _is_host(host: str) -> bool:
    """Whether a name or address can be asked, and means the same to every resolver; may raise ValueError."""
    if ":" in host:
        return _address(host) is not None
    if _HOST.fullmatch(host) is None:
        return False
    if any(label.startswith("xn--") for label in host.split(".")):
        # httpx reads such a name where it is sent, and says no with an error of its own.
        import_module("httpx").URL(f"https://{host}").host  # noqa: B018
    # Systems read `127.1`, `2130706433` and `0x7f000001` as addresses, and they are one of this machine.
    return _NUMERIC.fullmatch(host.rpartition(".")[2]) is None or _address(host) is not None
