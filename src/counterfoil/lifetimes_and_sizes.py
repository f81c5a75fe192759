"""How long things live, and how large they may be: the numbers that operators ask about, each once.

They depend on each other; tests/test_lifetimes_and_sizes.py checks how.

Why the renderings of a superseded revision are kept for 48 hours: say it was superseded at S. New operations and
walks name the revision in force, so the last of either began at S, or a moment later, when the request had already
looked. Until S + 24 h the operation can be asked for links, which live 12 h more: the last one ends at S + 36 h. A
walk ends at S + 24 h. The 12 hours left are for requests under way and for clocks that disagree.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

# What a caller can hold.
BEARER_TOKEN: Final = timedelta(hours=1)  # one that the built-in authority issued
ASSERTION_MAX: Final = timedelta(hours=24)  # one by which a client signs in; Microsoft's libraries make ten minutes
LINK: Final = timedelta(hours=12)  # to the blobs of a manifest; asking for the manifest again gives another
OPERATION: Final = timedelta(hours=24)  # an export and its manifest
EXPORT_SHARED: Final = timedelta(minutes=3)  # the same export over the same revision is the same operation
WALK: Final = timedelta(hours=24)  # through v1 pages, from the first page on

# What is kept on disk.
RENDERINGS_KEPT: Final = timedelta(hours=48)  # of a superseded revision; the lake stays with the revision
CLOCK_ERROR_MAX: Final = timedelta(hours=12)  # by which a sweep may be ahead of time and take nothing that is in use
DATABASE_CLOCK_ERROR_MAX: Final = timedelta(seconds=60)  # of a node against its database's server
ENDS_SOON: Final = timedelta(days=30)  # certificates and clients whose end is nearer are warned of
OPERATIONS_REMEMBERED: Final = timedelta(days=30)  # an expired operation answers 410 for so long, and 404 after
UNBILLED_KEPT: Final = timedelta(days=90)  # superseded revisions of unbilled datasets; billed ones are kept for ever
ACTIVITY_KEPT: Final = timedelta(days=400)  # who did what; an operator may choose (`activity_days`)

# How data is cut.
PAGE_LINE_ITEMS_MAX: Final = 2_000  # of v1, and the default
PART_LINE_ITEMS: Final = 250_000  # one lake file and one blob of each attribute set
BLOCK_LINE_ITEMS_MAX: Final = PAGE_LINE_ITEMS_MAX  # a page never spans two stored blocks
BLOCK_SIZE_BYTES_MAX: Final = 8 << 20
LINE_ITEM_SIZE_BYTES_MAX: Final = 1 << 20
