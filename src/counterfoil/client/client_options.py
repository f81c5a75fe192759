"""The options that both clients share: each is named, typed and given its default once."""

from __future__ import annotations

import ssl
from typing import Any, TypedDict

from counterfoil.client.network.bearer_tokens import BearerTokens, Credential, scope_for
from counterfoil.client.network.http_client import system_trust
from counterfoil.client.protocol.addresses import Base
from counterfoil.client.protocol.retries import Patience
from counterfoil.client.transfer.client_settings import ClientSettings


class Options(TypedDict, total=False):
    """How a client works; every option may be left out, and None means the default.

    - `version`: of Microsoft Graph, `v1.0` (the default) or `beta`.
    - `wait_s_max`: how many seconds an export may take; an hour by default.
    - `parallel`: how many blobs all pulls of this client download at a time, 1 to 64; 4 by default.
    - `page_size_items`: how many line items to ask for in a page of v1, 1 to 2,000; 2,000 by default.
    - `patience`: how often a call is made, and how many seconds to wait in between.
    - `scope`: the scope that a credential is asked for; by default the source's own.
    - `verify`: an `ssl.SSLContext` in place of one that trusts whom the system trusts.
    """

    version: str
    wait_s_max: float
    parallel: int
    page_size_items: int
    patience: Patience | None
    scope: str
    verify: ssl.SSLContext | bool


def checked_options(
    url: str, credential: Credential, options: Options
) -> tuple[ClientSettings, BearerTokens, ssl.SSLContext | bool]:
    """Return what a client is made of, checked.

    Raises UsageError for a value that cannot be right, TypeError for an unknown option.
    """
    for name in options:
        if name not in Options.__annotations__:
            known = ", ".join(Options.__annotations__)
            raise TypeError(f"Client and AsyncClient have no option {name!r}; theirs are: {known}.")
    chosen: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    scope, verify = chosen.pop("scope", ""), chosen.pop("verify", True)
    verify = system_trust() if verify is True else verify  # once for both of a client's connections
    settings = ClientSettings(Base.parse(url), **chosen)
    return settings, BearerTokens(credential, scope or scope_for(settings.base.origin.host)), verify
