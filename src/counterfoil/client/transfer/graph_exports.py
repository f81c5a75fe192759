"""A Graph export, from the submit to the manifest.

An export that does not end in time may still end later, and a crash does not stop it. So the address of the operation
is handed out as soon as it is known, and a later run waits for the same one.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from counterfoil.client.protocol import graph_answers as graph
from counterfoil.client.protocol.graph_answers import SourceManifest, SourceOperation
from counterfoil.client.protocol.messages import Request, SourceAnswer, retry_after_s
from counterfoil.client.transfer.client_settings import ClientSettings
from counterfoil.client.transfer.month_words import asked_now, still_means
from counterfoil.client.transfer.source_calls import SourceCalls
from counterfoil.errors import OperationTimeoutError, ProofError, RefusedError
from counterfoil.wire.graph import ExportRequest

POLL_DEFAULT_S: Final = 10.0
POLL_MIN_S: Final = 0.2  # whatever the source says, never a hot loop
POLL_MAX_S: Final = 300.0
_FORGOTTEN: Final = frozenset({404, 410})


@dataclass(slots=True)
class Export:
    """A finished export: the id and the address of its operation, and its manifest."""

    operation: str
    operation_url: str
    manifest: SourceManifest


class Exporter:
    """Submits exports and waits for them."""

    def __init__(self, calls: SourceCalls, settings: ClientSettings) -> None:
        self._calls = calls
        self.base = calls.base
        self._session = calls.session
        self._root = calls.base.join(settings.version)
        self._wait_s_max = settings.wait_s_max

    def export(
        self,
        ask: ExportRequest,
        on_wait: Callable[[float], None] = lambda _: None,
        *,
        url: str = "",
        accepted: Callable[[str], None] = lambda _: None,
    ) -> Export:
        """Return the finished export; raises OperationFailedError, OperationTimeoutError and other SourceErrors.

        `on_wait` is called before each wait with the seconds that the export has taken so far. With `url`, the
        operation there is waited for, unless the source has forgotten it; `accepted` is given the URL of a new one.
        """
        forgotten = False
        while True:
            if not url:
                url = self._submit(ask)
                accepted(url)
            try:
                operation = self._ended(url, on_wait)
            except RefusedError as error:
                if error.status not in _FORGOTTEN or forgotten:
                    raise
                forgotten, url = True, ""
                continue
            manifest = self._manifest_of(operation)
            return Export(operation.id, url, manifest)

    def manifest_again(self, export: Export) -> SourceManifest:
        """Ask the operation again: that renews the links of the same data."""
        operation, _ = self._operation(export.operation_url)
        if not operation.manifest:
            raise ProofError(f"The operation {export.operation} had succeeded, and is under way again.")
        return self._manifest_of(operation)

    def _submit(self, ask: ExportRequest) -> str:
        while True:
            asked = asked_now(ask, self._session)
            url = self._submitted(asked)
            if still_means(asked, ask, self._session.patience):
                return url

    def _submitted(self, asked: ExportRequest) -> str:
        key = _new_id()
        return self._calls.read(
            lambda: graph.submit_request(self._root, asked, client_request_id=_new_id(), idempotency_key=key),
            lambda answer: graph.read_location(self.base, answer),
        )

    def _ended(self, url: str, on_wait: Callable[[float], None]) -> SourceOperation:
        started_s = self._session.patience.monotonic()
        while True:
            operation, answer = self._operation(url)
            if operation.manifest:
                return operation
            so_far_s = self._session.patience.monotonic() - started_s
            wait_s = self._wait_s(answer, so_far_s)
            on_wait(so_far_s)
            self._session.wait(wait_s)

    def _operation(self, url: str) -> tuple[SourceOperation, SourceAnswer]:
        return self._calls.read(
            lambda: _get(url),
            lambda answer: (graph.read_operation(self.base, self._root, answer), answer),
        )

    def _manifest_of(self, operation: SourceOperation) -> SourceManifest:
        manifest = operation.manifest
        if isinstance(manifest, SourceManifest):
            return manifest
        return self._calls.read(lambda: _get(manifest), graph.read_manifest)

    def _wait_s(self, answer: SourceAnswer, so_far_s: float) -> float:
        asked_s = retry_after_s(answer.headers, self._session.patience.now())
        wait_s = max(POLL_MIN_S, min(POLL_DEFAULT_S if asked_s is None else asked_s, POLL_MAX_S))
        left_s = self._wait_s_max - so_far_s
        if left_s <= 0:
            raise OperationTimeoutError(
                f"The export did not end within {self._wait_s_max:.0f} s (operation {answer.request.url}, "
                f"{answer.request_ids}).",
                remedy="It may still end, so trying again is safe. Or allow a longer wait.",
                parameter="wait_s_max",
            )
        return min(wait_s, left_s)


def _get(url: str) -> Request:
    return graph.get_request(url, client_request_id=_new_id())


def _new_id() -> str:
    return str(uuid.uuid4())
