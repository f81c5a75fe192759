"""Committing segments that have no lake files: their digests stand for those of their line items."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime

from counterfoil.errors import RebaseError
from counterfoil.model import WHOLE, Contents, Dataset
from counterfoil.storage.catalog import Catalog
from counterfoil.storage.catalog_rows import NewSegment, Revision


def commit(
    catalog: Catalog,
    publication: str,
    segments: Sequence[NewSegment],
    bases: Mapping[Dataset, str | None],
    now: datetime,
) -> list[Revision]:
    """Put segments in force as publishing does: where others moved, what the dataset holds is computed again."""
    computed_on = dict(bases)
    while True:
        contents = {dataset: _whole(catalog, segments, dataset, base) for dataset, base in computed_on.items()}
        try:
            return catalog.commit(publication, segments, bases, computed_on, contents, now)
        except RebaseError:
            in_force = {dataset: catalog.in_force(dataset) for dataset in bases}
            computed_on = {dataset: revision.id if revision else None for dataset, revision in in_force.items()}


def _whole(catalog: Catalog, segments: Sequence[NewSegment], dataset: Dataset, base: str | None) -> Contents:
    parts = {segment.name: segment.contents for segment in segments if segment.dataset == dataset}
    if base is not None and WHOLE not in parts:
        parts = {segment.name: segment.contents for segment in catalog.segments(base)} | parts
    if len(parts) == 1:
        return next(iter(parts.values()))
    digests = sorted(bytes.fromhex(part.digest) for part in parts.values())
    return Contents.together(parts.values(), hashlib.sha256(b"".join(digests)).hexdigest())
