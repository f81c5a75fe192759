"""Whether a partner, and a client of it, may still be served: asked of the catalog again every two seconds.

Tokens and links outlive the moment at which they were given out. Each node asks for itself, so what is revoked or
removed ends everywhere within seconds, whoever gave it out.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from counterfoil.server.lru_cache import LruCache
from counterfoil.storage.catalog import Catalog

REGISTERED_S: Final = 2
_REMEMBERED_MAX: Final = 4096


class Registrations:
    """Remembers who was found to be registered lately. May be used by many threads and one event loop."""

    def __init__(self, catalog: Catalog, wall: Callable[[], datetime]) -> None:
        self._catalog = catalog
        self._wall = wall
        # When a partner and client were last found to be registered, in Unix seconds.
        self._found_at: LruCache[tuple[str, str], float] = LruCache(_REMEMBERED_MAX)

    def found_lately(self, partner: str, client_id: str) -> bool:
        """Whether they were found within the last two seconds; asks nobody."""
        at = self._found_at.get((partner, client_id))
        return at is not None and 0 <= self._wall().timestamp() - at < REGISTERED_S

    def find(self, partner: str, client_id: str) -> bool:
        """Ask the catalog whether a partner is registered, and its client is and was not revoked.

        An empty `client_id` stands for any: no client of ours got the token or the link.
        """
        now = self._wall().timestamp()  # before it is asked: what changes meanwhile is found in time
        good = self._catalog.has_partner(partner)
        if good and client_id:
            client = self._catalog.active_client(client_id)
            good = client is not None and client.partner == partner
        if good:
            self._found_at.put((partner, client_id), now)
        else:
            self._found_at.drop((partner, client_id))
        return good
