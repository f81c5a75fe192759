"""How people name a side: a published dataset by its scope, revision or eTag, a ledger; everything else is a path.

A name that begins as one of the five forms is never a path, so that a file called `invoice` cannot hide a dataset.
"""

from __future__ import annotations

import re
from typing import Final

from counterfoil.errors import UsageError
from counterfoil.model import Scope
from counterfoil.periods import BillingPeriod
from counterfoil.reconcile.sides.side import Wanted

FORMS: Final = "invoice:ID, unbilled:YYYY-MM:CCC, revision:ID, etag:..., ledger:FILE, the folder of a pull, or a file"
_ETAG: Final = re.compile(r"[0-9a-f]{6,64}", re.ASCII)


def wanted_of(name: str) -> Wanted | None:
    """Return the published dataset that a side's name means, None for a ledger or a path; raises UsageError."""
    form, colon, rest = name.partition(":")
    if not colon:
        return None
    match form.lower():
        case "invoice":
            return Wanted(scope=Scope.billed(rest))
        case "unbilled":
            period, _, currency = rest.partition(":")
            if not currency:
                raise UsageError(f"{name!r} names no currency.", remedy="Write it as in unbilled:2026-10:EUR.")
            return Wanted(scope=Scope.unbilled(BillingPeriod.parse(period), currency))
        case "revision":
            return Wanted(revision=rest)
        case "etag":
            etag = rest.strip().strip('"').lower()
            if _ETAG.fullmatch(etag) is None:
                raise UsageError(
                    f"{rest!r} is not an eTag.", remedy="Give at least its first 6 digits, as in etag:e49c47."
                )
            return Wanted(etag=etag)
    return None
