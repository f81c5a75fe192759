"""Sweeping: delete what the catalog does not list, then forget what nobody can reach any more, and delete that too.

The catalog forgets first and the disk follows. A crash between the two leaves files without an owner, which the next
sweep begins with. It begins with them because a full disk has no room for the catalog to forget anything, and they
may be what fills it. Publications at work are left alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from counterfoil.lifetimes import OPERATIONS_REMEMBERED, UNBILLED_KEPT
from counterfoil.storage.catalog import Catalog
from counterfoil.storage.files import Files


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep took away."""

    revisions: int
    operations: int
    files: int
    size_bytes: int
    publications_at_work: int


def sweep(
    catalog: Catalog,
    files: Files,
    now: datetime,
    *,
    keep_billed: timedelta | None = None,
    keep_unbilled: timedelta | None = UNBILLED_KEPT,
) -> Swept:
    """Take away everything no reader can reach; `None` keeps superseded revisions for ever.

    Never takes a revision in force, nor what a live link, operation or continuation token leads to.
    """
    count = size_bytes = at_work = 0
    for publication in files.publications():
        cleaned = files.clean(publication, catalog.paths_in)
        if cleaned is None:
            at_work += 1
        else:
            count += cleaned.files
            size_bytes += cleaned.size_bytes
    operations = catalog.forget_operations(now - OPERATIONS_REMEMBERED)
    forgotten = catalog.forget_revisions(now, keep_billed=keep_billed, keep_unbilled=keep_unbilled)
    deleted = files.delete([*forgotten.paths, *catalog.drop_renderings(now)])
    return Swept(len(forgotten.revisions), operations, count + deleted.files, size_bytes + deleted.size_bytes, at_work)
