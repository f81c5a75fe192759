"""Putting a server's parts together: from settings to a `Service`, and from a service to what listens."""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

from counterfoil.errors import UsageError
from counterfoil.periods import Clocks
from counterfoil.server.activity_recorder import recording
from counterfoil.server.export_operations import Exports
from counterfoil.server.identity.audiences import Audiences
from counterfoil.server.identity.authenticator import Authenticator
from counterfoil.server.identity.authority import Authority
from counterfoil.server.identity.signing_keys import AuthorityKeys
from counterfoil.server.identity.tls import DevelopmentCertificate, check_certificate, development_certificate
from counterfoil.server.listening import Endpoint, check_free
from counterfoil.server.metrics import Metrics
from counterfoil.server.partner_limits import PartnerLimits
from counterfoil.server.server_parts import Service
from counterfoil.settings import Settings
from counterfoil.storage.catalog import Catalog
from counterfoil.storage.engines import open_store
from counterfoil.storage.secrets import load_or_create_keyring

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@contextmanager
def open_service(
    settings: Settings,
    clocks: Clocks,
    *,
    development: bool,
    operation_delay_s: float = 0,
    open_to: Iterable[str] = (),
) -> Iterator[Service]:
    """Open everything a server needs, and close it again.

    Raises UsageError where the settings would leave a server that nobody, or anybody, could use.
    """
    _refuse_without_callers(settings, development=development)
    with (
        open_store(settings.data, settings.database_url or None) as store,
        recording(store.catalog, clocks) as activity,
    ):
        keys, catalog = AuthorityKeys(settings.data, development=development), store.catalog
        authenticator = _authenticator(settings, catalog, clocks, keys)
        keyring = load_or_create_keyring(settings.data, settings.secret or None)
        catalog.activity_kept = timedelta(days=settings.activity_days)
        metrics = Metrics(settings, catalog) if settings.metrics_token else None
        if metrics is not None:
            activity.counted = metrics.count_action
        yield Service(
            settings=settings,
            store=store,
            keyring=keyring,
            clocks=clocks,
            exports=Exports(catalog, keyring, clocks, operation_delay_s),
            authenticator=authenticator,
            authority=Authority(catalog, clocks, keys, authenticator.audiences),
            activity=activity,
            metrics=metrics,
            limits=PartnerLimits.from_settings(settings, development=development),
            development=development,
            open_to=frozenset(open_to),
        )


def check(
    settings: Settings,
    clocks: Clocks,
    *,
    development: bool,
    open_to: Collection[str] = (),
    passed: Sequence[socket.socket] = (),
) -> None:
    """Raise UsageError for what could not be served so, before anything is made or published."""
    check_free(_wanted(settings, development=development, open_to=open_to), passed)
    _refuse_without_callers(settings, development=development)
    if settings.data.exists() or settings.database_url:
        with open_store(settings.data, settings.database_url or None) as store:
            _authenticator(settings, store.catalog, clocks, AuthorityKeys(settings.data, development=development))


def endpoints(service: Service) -> tuple[list[Endpoint], DevelopmentCertificate | None]:
    """Return where to listen, and in development the certificate made for https, if one was needed.

    Raises UsageError where what was asked for cannot be listened on.
    """
    settings = service.settings
    found = _wanted(settings, development=service.development, open_to=service.open_to)
    if settings.https_port is None or settings.tls_cert is not None:
        return found, None
    made = development_certificate(settings.data, service.clocks.wall(), service.open_to)
    plain, https = found
    return [plain, replace(https, certificate=made.cert, key=made.key)], made


def _wanted(settings: Settings, *, development: bool, open_to: Collection[str]) -> list[Endpoint]:
    """Return where to listen; https without a certificate where one is still to be made."""
    if development and settings.host not in _LOOPBACK and not open_to:
        raise UsageError(
            f"In development anybody who asks gets a token, and {settings.host} is not this machine alone.",
            remedy="Listen on this machine alone, or name the hosts that the server may be reached at.",
            parameter="host dev_open",
        )
    plain = Endpoint(settings.host, settings.port)
    certificate, key = settings.tls_cert, settings.tls_key
    if settings.https_port is None:
        if certificate is not None:
            why = "A certificate is of use for https only."
            raise UsageError(why, remedy="Name a port for https as well.", parameter="https_port")
        return [plain]
    if settings.https_port == settings.port and settings.port:
        raise UsageError(
            f"Port {settings.port} cannot be both for http and for https.",
            remedy="Give one of them another number; 0 picks a free one.",
            parameter="port https_port",
        )
    if certificate is not None and key is not None:
        check_certificate(certificate, key)
    elif not development:
        why = "https needs a certificate."
        raise UsageError(why, remedy="Name a certificate and its key.", parameter="tls_cert tls_key")
    return [plain, Endpoint(settings.host, settings.https_port, certificate, key)]


def _authenticator(settings: Settings, catalog: Catalog, clocks: Clocks, keys: AuthorityKeys) -> Authenticator:
    """Return what identifies callers; raises UsageError if nobody could sign in."""
    authenticator = Authenticator.from_settings(settings, catalog, clocks, keys)
    if not keys.development and not settings.issuer and not _has_client(catalog):
        raise _nobody()
    return authenticator


def _refuse_without_callers(settings: Settings, *, development: bool) -> None:
    """Raise UsageError if nobody could sign in, as far as that is known without a data folder."""
    Audiences.from_setting(settings.audience, development=development)
    if not (development or settings.issuer or settings.database_url or settings.data.exists()):
        raise _nobody()


def _nobody() -> UsageError:
    return UsageError(
        "Nobody could sign in to this server.",
        remedy="Set COUNTERFOIL_ISSUER, add a client (`counterfoil clients add`), or serve for development.",
        parameter="dev",
    )


def _has_client(catalog: Catalog) -> bool:
    return any(
        client.revoked_at is None for partner in catalog.partners() for client in catalog.clients(partner.tenant)
    )
