"""The life of an export operation: submitted, perhaps running, then succeeded or failed, then expired. No HTTP.

An operation is one immutable row. Nothing works on it: the data was rendered when it was published, so asking for it is
a lookup, and the row holds everything. The *business* clock decides once, at submission, which month `current` is;
everything that ages (ready, expired, links) goes by the *wall* clock. The status is never stored: it follows from the
row and the time. It failed if there are no line items.
"""

from __future__ import annotations

import hashlib
import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

from counterfoil import lifetimes_and_sizes
from counterfoil.errors import DamagedError, GoneError, MissingError, NotFoundError
from counterfoil.model import AttributeSet, Dataset, Rendering, Scope
from counterfoil.periods import BillingPeriod, Clocks
from counterfoil.storage.catalog import Catalog
from counterfoil.storage.catalog_rows import Operation, Revision, StoredFile
from counterfoil.wire.blob_links import sign_directory
from counterfoil.wire.graph import (
    NO_DATA_CODE,
    NO_DATA_MESSAGE,
    ExportRequest,
    Manifest,
    OperationError,
    OperationStatus,
    Period,
    blob_body,
)
from counterfoil.wire.tokens import Keyring

_BLOB_SETS_KEPT: Final = 128


@dataclass(frozen=True, slots=True)
class OperationProgress:
    """The state of an operation now: `retry_after_s` is 0 once it has ended, and a failed one has an `error`."""

    status: OperationStatus
    last_action_at: datetime
    retry_after_s: int = 0
    error: OperationError | None = None


@dataclass(frozen=True, slots=True)
class BlobSet:
    """The stored files of one revision and attribute set by the names of their blobs, in manifest order."""

    revision: Revision
    files: Mapping[str, StoredFile]


class Exports:
    """Submits exports and reports their state. Safe to use from several threads."""

    def __init__(self, catalog: Catalog, keyring: Keyring, clocks: Clocks, operation_delay_s: float = 0) -> None:
        self._catalog = catalog
        self._keyring = keyring
        self._clocks = clocks
        self._delay = timedelta(seconds=operation_delay_s)
        self._sealed = lru_cache(_BLOB_SETS_KEPT)(self._load)

    def submit(self, partner: str, request: ExportRequest, idempotency_key: str | None = None) -> Operation:
        """Record an export and return it; the same key and request again return the first one.

        Without a key, the same request over the same revision returns the same operation for some minutes. Raises
        BadRequestError when the key was used for another request.
        """
        wanted = self._wanted(partner, request)
        since = wanted.created_at - lifetimes_and_sizes.EXPORT_SHARED
        return self._catalog.add_operation(wanted, idempotency_key, _digest(request), shared_since=since)

    def shared(self, partner: str, request: ExportRequest) -> Operation | None:
        """Return the operation that `submit` would return without recording one, if there is one. Only reads."""
        wanted = self._wanted(partner, request)
        since = wanted.created_at - lifetimes_and_sizes.EXPORT_SHARED
        return self._catalog.same_operation(wanted, _digest(request), since)

    def _wanted(self, partner: str, request: ExportRequest) -> Operation:
        dataset = Dataset(request.kind, partner, self._scope(request))
        revision = self._catalog.in_force(dataset)
        now = self._clocks.wall()
        has_data = revision is not None and revision.contents.line_items > 0
        return Operation(
            id=str(uuid.uuid4()),
            manifest_id=str(uuid.uuid4()),
            dataset=dataset,
            attributes=request.attributes,
            revision_id=revision.id if revision is not None and has_data else None,
            created_at=now,
            ready_at=now + self._delay,
            expires_at=now + lifetimes_and_sizes.OPERATION,
        )

    def _scope(self, request: ExportRequest) -> Scope:
        if request.period is None:
            return Scope.billed(request.invoice)
        current = BillingPeriod.containing(self._clocks.business())
        return Scope.unbilled(current.last if request.period is Period.LAST else current, request.currency)

    def operation(self, partner: str, operation_id: str) -> Operation:
        """Return a partner's operation; raises NotFoundError, or GoneError after its time."""
        operation = self._catalog.operation(partner, operation_id)
        if operation is None:
            raise NotFoundError("There is no operation with this id.")
        return self._alive(operation, "operation")

    def operation_of_manifest(self, partner: str, manifest_id: str) -> Operation:
        """Return the succeeded operation a manifest belongs to; raises NotFoundError or GoneError."""
        operation = self._catalog.operation_by_manifest(partner, manifest_id)
        # The manifest of a failed or running operation does not exist (yet), even for one who guessed its id.
        if operation is None or self.progress(operation).status is not OperationStatus.SUCCEEDED:
            raise NotFoundError("There is no manifest with this id.")
        return self._alive(operation, "manifest")

    def operations(self, partner: str, *, succeeded: bool, limit: int, offset: int = 0) -> list[Operation]:
        """Return some of a partner's operations that have not expired, newest first; `succeeded`: with a manifest."""
        now = self._clocks.wall()
        return self._catalog.live_operations(partner, now, succeeded=succeeded, limit=limit, offset=offset)

    def count(self, partner: str, *, succeeded: bool) -> int:
        """Count a partner's operations that have not expired."""
        return self._catalog.count_operations(partner, self._clocks.wall(), succeeded=succeeded)

    def progress(self, operation: Operation) -> OperationProgress:
        """Return the state of the operation at this moment."""
        wait_s = (operation.ready_at - self._clocks.wall()).total_seconds()
        if wait_s > 0:
            return OperationProgress(OperationStatus.RUNNING, operation.created_at, math.ceil(wait_s))
        if operation.revision_id is None:
            error = OperationError(NO_DATA_CODE, NO_DATA_MESSAGE)
            return OperationProgress(OperationStatus.FAILED, operation.ready_at, error=error)
        return OperationProgress(OperationStatus.SUCCEEDED, operation.ready_at)

    def manifest(self, operation: Operation, base_url: str, client_id: str = "") -> Manifest:
        """Return the manifest of a succeeded operation with a fresh link to always the same data.

        The link ends when the registered client `client_id`, which it is given to, is revoked. Raises GoneError where
        the data are not kept any more, though the operation has not expired: a clock was wrong, or a backup restored.
        """
        assert operation.revision_id is not None
        try:
            sealed = self._sealed(operation.revision_id, operation.attributes)
        except MissingError:
            raise _no_longer_kept() from None
        contents = sealed.revision.contents
        directory = f"/blobs/{operation.dataset.partner}/{operation.revision_id}/{operation.attributes}"
        now = self._clocks.wall()
        return Manifest(
            id=operation.manifest_id,
            created_at=operation.ready_at,
            etag=sealed.revision.etag,
            partner=operation.dataset.partner,
            root_directory=base_url + directory,
            sas_token=sign_directory(
                self._keyring, directory, now=now, expires_at=now + lifetimes_and_sizes.LINK, client_id=client_id
            ),
            blobs=[
                blob_body(name, file.line_items, file.size_bytes, file.sha256) for name, file in sealed.files.items()
            ],
            line_items=contents.line_items,
            currency=contents.currency,
            totals=contents.plain_totals(),
        )

    def blob_set(self, partner: str, revision_id: str, attributes: AttributeSet) -> BlobSet:
        """Return the blobs of a partner's revision; raises MissingError."""
        sealed = self._sealed(revision_id, attributes)
        if sealed.revision.dataset.partner != partner:
            raise MissingError("No such revision.")
        return sealed

    def look_again(self) -> None:
        """Forget where blobs are stored: a rendering was swept, or made again under another path."""
        self._sealed.cache_clear()

    def _load(self, revision_id: str, attributes: AttributeSet) -> BlobSet:
        revision = self._catalog.revision(revision_id)
        if revision is None:
            raise MissingError("No such revision.")
        files = self._catalog.files(revision_id, Rendering.of(attributes))
        if revision_id in self._catalog.no_longer_kept({revision_id}):  # swept, wholly or but for what is shared
            raise MissingError("The revision's blobs are not kept any more.")
        if sum(file.line_items for file in files) != revision.contents.line_items:
            raise DamagedError(f"The {Rendering.of(attributes)} blobs of revision {revision_id} are not all there.")
        return BlobSet(revision, {_blob_name(number, file): file for number, file in enumerate(files)})

    def _alive(self, operation: Operation, what: str) -> Operation:
        if self._clocks.wall() >= operation.expires_at:
            hours = int(lifetimes_and_sizes.OPERATION.total_seconds()) // 3600
            raise GoneError(f"The {what} has expired; it was kept for {hours} hours. Start a new export.")
        if operation.revision_id is not None and self._catalog.no_longer_kept({operation.revision_id}):
            raise _no_longer_kept()
        return operation


def _no_longer_kept() -> GoneError:
    return GoneError("The data of this export are not kept any more. Start a new export.")


def _blob_name(number: int, file: StoredFile) -> str:
    return f"part-{number:05}-{file.sha256[:32]}.json.gz"


def _digest(request: ExportRequest) -> str:
    """Return what makes two requests the same one: the words that were asked, not the month they came to mean."""
    words = (request.kind, request.attributes, request.invoice, request.period or "", request.currency)
    return hashlib.sha256("\0".join(words).encode()).hexdigest()
