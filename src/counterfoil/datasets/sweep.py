"""Sweeping: delete what dead publications left, then forget what can no longer be reached, and delete that too.

The catalog forgets first and the files follow. A crash between the two leaves files that the catalog notes as still to
be deleted, which the next sweep begins with. It begins with deleting because a full disk has no room for the catalog to
forget anything, and these files may be what fills it. Publications at work are left alone, and files that no catalog
lists are never deleted here: they may be all that is left of a catalog that was lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from counterfoil.errors import DataFolderError
from counterfoil.lifetimes_and_sizes import CLOCK_ERROR_MAX, OPERATIONS_REMEMBERED, UNBILLED_KEPT
from counterfoil.storage.catalog import Catalog
from counterfoil.storage.files import Deleted
from counterfoil.storage.store import Store


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep took away."""

    revisions: int
    operations: int
    files: int
    size_bytes: int
    publications_at_work: int
    believed: datetime  # the time up to which the clock was believed


def sweep(
    store: Store,
    now: datetime,
    *,
    keep_billed: timedelta | None = None,
    keep_unbilled: timedelta | None = UNBILLED_KEPT,
    trust_clock: bool = False,
) -> Swept:
    """Take away everything no reader can reach; `None` keeps superseded revisions for ever.

    Never takes a revision in force, nor what a live link, operation or continuation token leads to. A clock that is far
    ahead of all that ever happened here is believed only with `trust_clock`, see `credible`. What it costs
    depends on what there is to take, not on how much was ever published. Raises DataFolderError at the end if a file
    could not be deleted, say because it is another user's; everything else is swept then.
    """
    catalog, refused = store.catalog, None
    now = now if trust_clock else credible(catalog, now)
    deleted, at_work = Deleted(), 0
    try:
        deleted, at_work = store.clear_dead()
        deleted += store.delete_forgotten()
    except DataFolderError as error:
        refused = error
    operations = catalog.forget_operations(now - OPERATIONS_REMEMBERED)
    forgotten = catalog.forget_revisions(now, keep_billed=keep_billed, keep_unbilled=keep_unbilled)
    catalog.drop_renderings(now)
    deleted += store.delete_forgotten()
    if refused is not None:
        raise refused
    return Swept(len(forgotten), operations, deleted.files, deleted.size_bytes, at_work, now)


def credible(catalog: Catalog, now: datetime) -> datetime:
    """Return the latest time that may be believed: 12 hours after the newest thing in the catalog.

    A clock that was days ahead for a moment would end what is live. What is superseded is kept for 12 hours longer than
    anybody can hold on to it (`lifetimes_and_sizes`), so this much of an error does no harm. Where nothing happens for
    long, what was superseded last is kept until something does.
    """
    newest = catalog.newest_moment()
    return now if newest is None else min(now, newest + CLOCK_ERROR_MAX)
