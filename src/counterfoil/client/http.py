"""Single calls with a token to one source, for whoever needs no more than that.

Pulls go through flows and drivers; this is the same `Caller` with a blocking driver around it.
"""

from __future__ import annotations

from collections.abc import Callable

import httpx

from counterfoil.client.addresses import Base
from counterfoil.client.calls import Caller, Ids
from counterfoil.client.driving import Driver
from counterfoil.client.messages import Answer, Request
from counterfoil.client.retries import Patience
from counterfoil.client.sending import open_client
from counterfoil.client.signing import Signer

__all__ = ["Connection", "TokenSource", "open_client"]

TokenSource = Callable[[], str]  # one with a method `forget()` is told so before it is asked again after a 401


class Connection:
    """Calls to one source. Nothing it sends leaves the origin of `base`."""

    def __init__(self, client: httpx.Client, base: Base, token: TokenSource | None, patience: Patience) -> None:
        self._caller = Caller(base, patience, Ids(), signs=token is not None)
        signer = Signer(token, "") if token is not None else None
        self._driver = Driver(client, client, signer, patience)

    def call(self, request: Request) -> Answer:
        """Return the answer of a call that succeeded; raises NoAnswerError, RefusedError or ProofError.

        What may pass is tried again, within the bounds of `Patience`.
        """
        return self._driver.run(self._caller.call(request))
