"""The words `current` and `last`, by which a source is asked for a month: they name another one when the month ends.

The source's clock decides which month a word means, and an ask may be sent long after it was made: after a wait, when a
pull resumes, by a scheduler at midnight. So the word is chosen again for each submit and each walk, from the month that
was meant, and not while two clocks may disagree on the month.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from counterfoil.client.network.session import Session
from counterfoil.client.protocol.asking import as_of, business_now
from counterfoil.client.protocol.retries import Patience
from counterfoil.periods import BillingPeriod
from counterfoil.wire.graph import ExportRequest

CLOCKS_DIFFER_S: Final = 60.0


def asked_now(ask: ExportRequest, session: Session) -> ExportRequest:
    """Return the request with the word that means its month now; raises UsageError where no word does any more.

    Within a minute of the end of a month, in UTC, it waits until that is over.
    """
    if ask.period is not None and (wait_s := _until_clear_s(business_now(ask, session.patience.now()))):
        session.wait(wait_s)
    return as_of(ask, session.patience.now())


def still_means(asked: ExportRequest, ask: ExportRequest, patience: Patience) -> bool:
    """Whether what was asked still means the month that was meant."""
    return as_of(ask, patience.now()).period is asked.period


def _until_clear_s(now: datetime) -> float:
    """Return how long it takes until every clock that differs by a minute at most is in the same month."""
    margin = timedelta(seconds=CLOCKS_DIFFER_S)
    later = now + margin
    if BillingPeriod.containing(now - margin) == BillingPeriod.containing(later):
        return 0.0
    turn = later.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (turn + margin - now).total_seconds()
