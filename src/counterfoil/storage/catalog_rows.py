"""What the catalog gives and takes: frozen records, without SQL and without behaviour.

`New...` is what a publication hands over; the others are what was stored. The text of a client's
secret is in none of them: the catalog keeps only its hash, and shows the text once, when it makes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec

from counterfoil.model import AttributeSet, Contents, Dataset, Rendering


@dataclass(frozen=True, slots=True)
class Partner:
    """A tenant that may be served."""

    tenant: str
    added_at: datetime
    name: str | None = None


@dataclass(frozen=True, slots=True)
class RegisteredClient:
    """A program that may ask the built-in authority for tokens of one partner."""

    id: str
    partner: str
    name: str
    created_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """A secret of a client, without its text: `id` names it among the client's own, None never ends."""

    id: str
    created_at: datetime
    expires_at: datetime | None

    def is_good(self, now: datetime) -> bool:
        """Whether a client may sign in with it."""
        return self.expires_at is None or self.expires_at > now


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A certificate whose key a client signs its assertions with: `id` is its SHA-256 in hex, `pem` has no key."""

    id: str
    pem: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class FederatedIdentity:
    """A workload that an outside issuer vouches for: whoever has a token with these three is the client."""

    issuer: str
    subject: str
    audience: str

    @property
    def id(self) -> str:
        """What names it among the credentials of a client."""
        return hashlib.sha256("\0".join((self.issuer, self.subject, self.audience)).encode()).hexdigest()


ClientCredential = ClientCertificate | FederatedIdentity


class NewFile(msgspec.Struct, frozen=True):
    """One sealed file: `size_bytes` from `offset` within the object at `path` (see `places`).

    `part` counts from 0 within segment and rendering.
    """

    rendering: Rendering
    part: int
    path: str
    size_bytes: int
    sha256: str
    line_items: int
    offset: int = 0


class StoredFile(NewFile, frozen=True, kw_only=True):
    """One sealed file that the catalog lists, and the segment it belongs to."""

    id: int
    segment_id: int


class NewSegment(msgspec.Struct, frozen=True):
    """A named part of a dataset, sealed and ready to be committed.

    `made_by` names the publication that made the segment, where these files are only its renderings, made again.
    """

    dataset: Dataset
    name: str
    issuer: str
    contents: Contents
    files: tuple[NewFile, ...]
    warnings: Mapping[str, int]
    made_by: str = ""


@dataclass(frozen=True, slots=True)
class Segment:
    """A named part of one or more revisions.

    `publication` is the one that made it; renderings made again later belong to another (see each file's path).
    `rendered` is False once sweep has dropped everything but the lake.
    """

    id: int
    name: str
    publication: str
    issuer: str
    contents: Contents
    warnings: Mapping[str, int]
    rendered: bool = True


class Revision(msgspec.Struct, frozen=True):
    """One state of a dataset."""

    id: str
    number: int
    dataset: Dataset
    etag: str
    contents: Contents
    published_at: datetime
    base_id: str | None
    superseded_at: datetime | None = None

    @property
    def in_force(self) -> bool:
        """Whether it is what is served."""
        return self.superseded_at is None


@dataclass(frozen=True, slots=True)
class Published:
    """How much is published: `changes` counts publications, restores, withdrawals and revocations."""

    datasets_in_force: int
    changes: int
    last_at: datetime | None


@dataclass(frozen=True, slots=True)
class Operation:
    """One accepted export. `revision_id` is None where there was no data: such an operation has failed."""

    id: str
    manifest_id: str
    dataset: Dataset
    attributes: AttributeSet
    revision_id: str | None
    created_at: datetime
    ready_at: datetime
    expires_at: datetime
