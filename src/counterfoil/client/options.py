"""What both clients are made of, and the options that they share: each is named, typed and defaulted once."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Any, Final, Self, TypedDict

from counterfoil.client.drivers.http import system_trust
from counterfoil.client.drivers.signing import Credential, Signer, scope_for
from counterfoil.client.flows.plans import Plan
from counterfoil.client.protocol.addresses import Base
from counterfoil.client.protocol.retries import Patience
from counterfoil.errors import UsageError

VERSIONS: Final = ("v1.0", "beta")


class Options(TypedDict, total=False):
    """How a client goes about it; every one of them may be left out.

    - `version`: of Microsoft Graph, `v1.0` (the default) or `beta`.
    - `wait_s_max`: how many seconds an export may take; an hour by default.
    - `parallel`: how many blobs are fetched side by side, 1 to 64; 4 by default.
    - `page_size_items`: how many line items to ask for in a page of v1; 2,000 by default, and at most.
    - `patience`: how often a call is made, and how long is waited in between.
    - `scope`: for which scope a credential is asked, where it is not the source's own.
    - `verify`: an `ssl.SSLContext` in place of one that trusts whom the system trusts.
    """

    version: str
    wait_s_max: float
    parallel: int
    page_size_items: int
    patience: Patience | None
    scope: str
    verify: ssl.SSLContext | bool


@dataclass(frozen=True, slots=True)
class Parts:
    """What both clients are made of. Build it with `of`."""

    plan: Plan
    signer: Signer
    verify: ssl.SSLContext | bool

    @classmethod
    def of(cls, url: str, credential: Credential, options: Options) -> Self:
        """Check and settle everything; raises UsageError for what cannot be right, TypeError for no option of ours."""
        for name in options:
            if name not in Options.__annotations__:
                known = ", ".join(Options.__annotations__)
                raise TypeError(f"Client and AsyncClient have no option {name!r}; theirs are: {known}.")
        chosen: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
        scope, verify = chosen.pop("scope", ""), chosen.pop("verify", True)
        if (version := chosen.get("version", VERSIONS[0])) not in VERSIONS:
            raise UsageError(f"Microsoft Graph has the versions {' and '.join(VERSIONS)}, and not {version!r}.")
        verify = system_trust() if verify is True else verify  # once for both of a client's connections
        plan = Plan(Base.parse(url), **chosen)
        return cls(plan, Signer(credential, scope or scope_for(plan.base.origin.host)), verify)
