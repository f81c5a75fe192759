"""The rules about dates and ids of one line item.

The trap: a spreadsheet destroys ids in silence. Yet an order id of twelve hex digits such as `5e1234567890` only looks
like a number: what a spreadsheet writes has a point or a plus, `5.66891E+17`.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

from counterfoil.reconcile.auditing.excerpts import DAMAGED_ID, ID_LENGTH_MIN, Excerpt
from counterfoil.reconcile.auditing.rule import METERED_BY, RECONCILIATION, USAGE, AuditRule, Facts, Severity

_NEEDED_IDS: Final = ("CustomerId", "SubscriptionId", "ProductId", "SkuId")
_IDS: Final = (*_NEEDED_IDS, "OrderId", "MpnId", "Tier2MpnId", "EntitlementId")
_SPANS: Final = (("ChargeStartDate", "ChargeEndDate"), ("SubscriptionStartDate", "SubscriptionEndDate"))
_DAMAGED: Final = re.compile(DAMAGED_ID, re.ASCII)
_DAY: Final = timedelta(days=1)
_USE: Final = {"UsageDate": "2026-10-05T00:00:00Z", "BillingCurrency": "EUR"}
_SEATS: Final = {"Currency": "EUR", "UnitType": "Licenses"}
_FOUR: Final = {"CustomerId": "a", "SubscriptionId": "b", "ProductId": "c", "SkuId": "0001"}


def _in_order(facts: Facts) -> bool | None:
    days = [(facts.day(first), facts.day(last)) for first, last in _SPANS]
    known = [(first, last) for first, last in days if first and last]
    return all(first <= last for first, last in known) if known else None


def _used_when_charged(facts: Facts) -> bool | None:
    first, used, last = (facts.day(name) for name in ("ChargeStartDate", "UsageDate", "ChargeEndDate"))
    return first <= used <= last if first and used and last else None


def _within_subscription(facts: Facts) -> bool | None:
    names = ("SubscriptionStartDate", "ChargeStartDate", "SubscriptionEndDate")
    first, charged, last = (facts.day(name) for name in names)
    if facts.metered is not False or not (first and charged and last):
        return None
    return first <= charged and charged - _DAY <= last


def _ids_whole(facts: Facts) -> bool | None:
    texts = [text for name in _IDS if (text := facts.text(name))]
    if not texts:
        return None
    damaged = any(_DAMAGED.fullmatch(text) for text in texts)
    return not damaged and not 0 < len(facts.text("SkuId")) < ID_LENGTH_MIN


WORD_RULES: Final = (
    AuditRule(
        "dates-in-order", "Nothing ends before it starts.", Severity.ERROR, "Microsoft: attributes",
        tuple(name for pair in _SPANS for name in pair), _in_order,
        {"ChargeStartDate": "2026-10-01", "ChargeEndDate": "2026-10-31"},
        {"ChargeStartDate": "2026-10-31", "ChargeEndDate": "2026-10-01"},
    ),
    AuditRule(
        "used-when-charged", "Use lies within the days that it is charged for.", Severity.WARNING,
        "Microsoft: attributes", ("ChargeStartDate", "UsageDate", "ChargeEndDate"), _used_when_charged,
        _USE | {"ChargeStartDate": "2026-10-01", "ChargeEndDate": "2026-10-31"},
        _USE | {"ChargeStartDate": "2026-09-01", "ChargeEndDate": "2026-09-30"}, USAGE,
    ),
    AuditRule(
        "within-subscription", "A licence is charged within the dates of its subscription.", Severity.WARNING,
        "Microsoft: attributes",
        ("SubscriptionStartDate", "ChargeStartDate", "SubscriptionEndDate", *METERED_BY), _within_subscription,
        _SEATS | {"SubscriptionStartDate": "2026-05-20", "ChargeStartDate": "2026-10-20",
                  "SubscriptionEndDate": "2027-05-19"},
        _SEATS | {"SubscriptionStartDate": "2026-05-20", "ChargeStartDate": "2026-04-20",
                  "SubscriptionEndDate": "2027-05-19"}, RECONCILIATION,
    ),
    AuditRule(
        "ids-present", "CustomerId, SubscriptionId, ProductId and SkuId are there.", Severity.WARNING, "Counterfoil",
        tuple(map(Excerpt.PRESENCE.of, _NEEDED_IDS)), lambda facts: all(facts.text(name) for name in _NEEDED_IDS),
        _FOUR, _FOUR | {"CustomerId": ""},
    ),
    AuditRule(
        "ids-whole", "No spreadsheet damaged an id: no exponent, no digits that became zeros, no zeros cut in front.",
        Severity.ERROR, "Counterfoil", tuple(map(Excerpt.HEALTH.of, _IDS)), _ids_whole,
        {"SkuId": "0002", "OrderId": "5e1234567890"}, {"SkuId": "0002", "OrderId": "5.66891E+17"},
    ),
)  # fmt: skip
