"""Whom a token is made for: the operator's own audience, and in development Microsoft's too.

A token made for Microsoft is good at Microsoft, and nobody should send one to somebody else's server. So except in
development, Microsoft's audiences are refused twice: as a setting, and in a token.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, Self
from urllib.parse import urlsplit

from counterfoil.errors import UsageError
from counterfoil.wire.microsoft_ids import GRAPH_AUDIENCES, PARTNER_CENTER_AUDIENCES, RETIRED_DIRECTORY_ID

Api = Literal["graph", "partner-center"]

DEFAULT_AUDIENCE: Final = "api://counterfoil"

MICROSOFTS: Final[Mapping[Api, tuple[str, ...]]] = {
    "graph": GRAPH_AUDIENCES,
    "partner-center": PARTNER_CENTER_AUDIENCES,
}
_MICROSOFT_IDS: Final = frozenset({RETIRED_DIRECTORY_ID, *(ids[1] for ids in MICROSOFTS.values())})
_MICROSOFT_HOSTS: Final = ("microsoft.com", "microsoft.us", "graph.windows.net", "microsoftgraph.chinacloudapi.cn")


def is_microsofts(audience: str) -> bool:
    """Whether tokens for this audience are good at Microsoft, however it is spelled."""
    text = audience.strip().lower().removeprefix("spn:").removesuffix("/.default").rstrip("/")
    if text.removeprefix("api://") in _MICROSOFT_IDS:
        return True
    try:
        host = urlsplit(text if "://" in text else f"//{text}").hostname or ""
    except ValueError:
        return False
    return any(host == name or host.endswith(f".{name}") for name in _MICROSOFT_HOSTS)


def check_form(audience: str) -> None:
    """Raise UsageError for a text that cannot be an audience."""
    if not audience or any(not "!" <= char <= "~" for char in audience):
        raise UsageError(f"{audience!r} is not an audience.", remedy="It is printable, without spaces.")


@dataclass(frozen=True, slots=True)
class Audiences:
    """The audiences that are good here. Build it with `from_setting`."""

    own: tuple[str, ...]
    development: bool

    @classmethod
    def from_setting(cls, setting: str, *, development: bool) -> Self:
        """Read the AUDIENCE setting: one audience, or several separated by commas; raises UsageError."""
        own = tuple(filter(None, (part.strip() for part in setting.split(",")))) or (DEFAULT_AUDIENCE,)
        for audience in own:
            check_form(audience)
            if is_microsofts(audience) and not development:
                raise UsageError(
                    f"The audience {audience} is Microsoft's, and a token for it is good at Microsoft.",
                    remedy="Register an application of your own and name its audience, or serve for development.",
                    parameter="dev",
                )
        return cls(own, development)

    def accepted(self, api: Api) -> tuple[str, ...]:
        """Return the audiences that are good for one API."""
        return (*self.own, *MICROSOFTS[api]) if self.development else self.own

    def apis(self, claim: object) -> frozenset[Api]:
        """Return the APIs that an `aud` claim is good for. Outside development, one of Microsoft's makes it none."""
        named = [claim] if isinstance(claim, str) else claim
        if not isinstance(named, list) or not all(isinstance(each, str) for each in named):
            return frozenset()
        if not self.development and any(is_microsofts(each) for each in named):
            return frozenset()
        return frozenset(api for api in MICROSOFTS if any(each in self.accepted(api) for each in named))

    def may_be_asked_for(self, audience: str) -> bool:
        """Whether the built-in authority makes tokens for this audience."""
        return any(audience in self.accepted(api) for api in MICROSOFTS)
