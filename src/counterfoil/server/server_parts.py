"""Everything a request may need, put together once at the start and passed down. No globals."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from starlette.types import Scope

from counterfoil.periods import Clocks
from counterfoil.server.activity_recorder import ActivityRecorder
from counterfoil.server.error_responses import header
from counterfoil.server.export_operations import Exports
from counterfoil.server.identity.authenticator import Authenticator
from counterfoil.server.identity.authority import Authority
from counterfoil.server.listening import url_of
from counterfoil.server.metrics import Metrics
from counterfoil.server.partner_limits import PartnerLimits
from counterfoil.server.security_log import SecurityLog
from counterfoil.settings import Settings
from counterfoil.storage.catalog import Catalog
from counterfoil.storage.files import Files
from counterfoil.storage.store import Store
from counterfoil.wire.tokens import Keyring


@dataclass(frozen=True)
class Service:
    """The parts of a running server.

    `open_to` are the host names that a development server answers to besides loopback.
    """

    settings: Settings
    store: Store
    keyring: Keyring
    clocks: Clocks
    exports: Exports
    authenticator: Authenticator
    authority: Authority
    activity: ActivityRecorder
    metrics: Metrics | None = None
    limits: PartnerLimits = field(default_factory=PartnerLimits)
    development: bool = False
    open_to: frozenset[str] = frozenset()

    @cached_property
    def security_log(self) -> SecurityLog:
        """The log of who came in and who was turned away."""
        return SecurityLog(self.activity)

    @property
    def catalog(self) -> Catalog:
        """The store's catalog."""
        return self.store.catalog

    @property
    def files(self) -> Files:
        """The store's files."""
        return self.store.files

    def base_url(self, scope: Scope) -> str:
        """Return the URL that callers use, without a slash at the end.

        It is PUBLIC_URL if that is set. Only in development is it taken from the Host header, which was checked
        by the entry point: elsewhere a caller could have us sign and hand out links to a host of its own choosing.
        """
        if self.settings.public_url:
            return self.settings.public_url.rstrip("/")
        if self.development and (host := header(scope, b"host")):
            return f"{scope['scheme']}://{host}"
        return url_of(scope["scheme"], *scope["server"])
