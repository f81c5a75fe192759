"""The catalog's tables as they are today, which is what the versions have made of them (see `schema`)."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, MetaData, String, Table

from counterfoil.storage import version_2, version_3

DIGEST: Final = "digest"
TO_SWEEP, UNFINISHED, UNWRITTEN = version_2.TO_SWEEP, version_2.UNFINISHED, version_2.UNWRITTEN

metadata = MetaData()
meta = version_2.meta.to_metadata(metadata)


def _with_digest(table: Table) -> Table:
    its = table.to_metadata(metadata)
    its.append_column(Column(DIGEST, String, nullable=False))  # of the other columns, see `rows`
    return its


partners = _with_digest(version_2.partners)
clients = _with_digest(version_2.clients)
client_credentials = _with_digest(version_3.client_credentials)
assertions = _with_digest(version_3.assertions)
datasets = _with_digest(version_2.datasets)
publications = _with_digest(version_2.publications)
revisions = _with_digest(version_2.revisions)
segments = _with_digest(version_2.segments)
revision_segments = _with_digest(version_2.revision_segments)
files = _with_digest(version_2.files)
operations = _with_digest(version_2.operations)
changes = _with_digest(version_2.changes)
deletions = _with_digest(version_2.deletions)
