"""Figures for Prometheus at /metrics: of this process since it started, and of the catalog.

No label holds what a caller chose or a partner's id: routes, statuses and actions are a few words each. It is there
only where `metrics_token` is set, and to whoever has that.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Sized
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from counterfoil.errors import CounterfoilError, UnauthenticatedError
from counterfoil.server.identity.tls import end_of_certificate
from counterfoil.server.request_record import RequestRecord, route_of
from counterfoil.settings import Settings
from counterfoil.storage.activity import Action
from counterfoil.storage.catalog import Catalog

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120)


class Metrics:
    """Counts what a server does."""

    def __init__(self, settings: Settings, catalog: Catalog) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "counterfoil_requests",
            "Requests that were answered, and with which status; 0 where the caller left before.",
            ["route", "status"],
            registry=self._registry,
        )
        self._broke_off = Counter(
            "counterfoil_broken_answers", "Answers that did not come to their end.", ["route"], registry=self._registry
        )
        self._seconds = Histogram(
            "counterfoil_request_seconds",
            "How long requests took, until the last byte of the answer.",
            ["route"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._bytes = Counter(
            "counterfoil_sent_bytes", "Bytes of the bodies of answers.", ["route"], registry=self._registry
        )
        self._actions = Counter(
            "counterfoil_actions",
            "Sign-ins, refusals, exports, walks and downloads.",
            ["action"],
            registry=self._registry,
        )
        for action in (
            Action.SIGN_IN,
            Action.SIGN_IN_FAILED,
            Action.REFUSED,
            Action.EXPORT,
            Action.WALK,
            Action.DOWNLOAD,
        ):
            self._actions.labels(action.value)
        self.state = _CurrentFigures(settings, catalog)
        self._registry.register(self.state)

    def count(self, record: RequestRecord) -> None:
        """Count a request that was answered, or broke off."""
        route = route_of(record.scope)
        self._requests.labels(route, record.status).inc()
        self._seconds.labels(route).observe(record.seconds)
        self._bytes.labels(route).inc(record.sent_bytes)
        if record.broke_off:
            self._broke_off.labels(route).inc()

    def count_action(self, action: Action) -> None:
        """Count something that a caller did."""
        self._actions.labels(action.value).inc()

    def text(self) -> bytes:
        """Return all figures as Prometheus reads them; asks the catalog."""
        return generate_latest(self._registry)


class _CurrentFigures(Collector):
    """What is so at the moment in which it is asked."""

    def __init__(self, settings: Settings, catalog: Catalog) -> None:
        self._settings, self._catalog = settings, catalog
        self.connections: Sized = ()  # set by whoever serves

    def describe(self) -> list[Metric]:
        """Nothing: its figures are not looked at before somebody asks for them."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the figures; those that cannot be had are left out."""
        yield GaugeMetricFamily("counterfoil_connections", "Connections that are open.", len(self.connections))
        try:
            published = self._catalog.published()
        except CounterfoilError:
            published = None
        if published is not None:
            yield GaugeMetricFamily(
                "counterfoil_datasets_in_force", "Datasets that are served.", published.datasets_in_force
            )
            yield CounterMetricFamily(
                "counterfoil_publications",
                "Publications, restores and withdrawals of the data folder.",
                published.changes,
            )
            if published.last_at is not None:
                about = "When something was published last."
                yield GaugeMetricFamily(
                    "counterfoil_last_publication_timestamp_seconds", about, published.last_at.timestamp()
                )
        try:
            if self._settings.tls_cert is not None:
                ends_at = end_of_certificate(self._settings.tls_cert).timestamp()
                about = "When the certificate for https ends."
                yield GaugeMetricFamily("counterfoil_certificate_end_timestamp_seconds", about, ends_at)
        except CounterfoilError:
            pass


def metrics_route(metrics: Metrics, token: str) -> Route:
    """Return the route for whoever has the token."""

    async def answer(request: Request) -> Response:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), token.encode()):
            raise UnauthenticatedError("Metrics are for whoever has the token that the setting metrics_token names.")
        return Response(await run_in_threadpool(metrics.text), headers={"content-type": CONTENT_TYPE_LATEST})

    return Route("/metrics", answer, methods=["GET"])
