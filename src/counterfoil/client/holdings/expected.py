"""What a profile expects, by when, and in which folder it is kept.

Each invoice, and each month and currency, of each kind has a folder of its own: `usage/G016907411`,
`usage/2026-10-EUR`. The folder is named after the month and never `last`, because next month that word means another
month. Unbilled line items of a month are offered for a time only: they are due some days into the month, and once the
invoice is there, they are no longer expected.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import quote

from counterfoil.client.protocol.asking import Ask, ask_billed, ask_unbilled, month_of
from counterfoil.client.protocol.blob_names import is_taken_by_windows
from counterfoil.errors import UsageError
from counterfoil.model import AttributeSet, Kind
from counterfoil.periods import BillingPeriod
from counterfoil.profiles import PERIODS, Profile
from counterfoil.wire.graph import ExportRequest

_NO_INVOICE: Final = (
    'No invoice is listed for {months}. Add it to the profile, below [profiles.NAME.invoices]: "{month}" = ["G..."]. '
    'If there is none, write "{month}" = "none"; if no invoices are wanted at all, invoices = "none".'
)
_NO_CURRENCY: Final = 'No currency is listed. Add it to the profile: currencies = ["EUR"].'
PULLS_FOLDER: Final = Path("counterfoil-pulls")
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9_-]([A-Za-z0-9._-]*[A-Za-z0-9_-])?", re.ASCII)


@dataclass(frozen=True, slots=True)
class ExpectedPull:
    """One thing that should be held: an invoice, or a month in one currency; of one kind.

    From `due_at` on it is overdue if it is not there; after `over_at` nobody waits for it any more.
    """

    kind: Kind
    attributes: AttributeSet
    invoice: str = ""
    month: BillingPeriod | None = None
    currency: str = ""
    due_at: datetime | None = None
    over_at: datetime | None = None

    def __str__(self) -> str:
        return f"{self.kind} of invoice {self.invoice}" if self.invoice else f"{self.kind} of {self.what}"

    @property
    def what(self) -> str:
        """The invoice, or the month and currency."""
        return self.invoice or f"{self.month} {self.currency}"

    @property
    def place(self) -> Path:
        """Where it is kept below the profile's folder."""
        return _place(self.kind, self.invoice, str(self.month or ""), self.currency)

    def ask(self, now: datetime) -> Ask:
        """Return the request for it; raises UsageError for a month that sources no longer offer."""
        if self.invoice:
            return ask_billed(self.kind, self.invoice, self.attributes)
        return ask_unbilled(self.kind, str(self.month), self.currency, self.attributes, now=now)


@dataclass(frozen=True, slots=True)
class UnlistedPull:
    """Something that a profile should list and does not: nobody would notice that it is missing."""

    what: str
    remark: str
    kind: None = None
    due_at: None = None

    def __str__(self) -> str:
        return self.what


def expected_of(profile: Profile, now: datetime) -> list[ExpectedPull]:
    """Return everything that a profile lists, each thing once: invoices first, then months, the newest first.

    Raises UsageError for a month that has not begun.
    """
    attributes = AttributeSet(profile.attribute_set)
    kinds = [Kind(each) for each in profile.kinds]
    listed: list[ExpectedPull] = []
    for invoice in profile.invoices:
        due_at = _end(invoice.month) + timedelta(days=profile.billed_due_days) if invoice.month else None
        listed += [ExpectedPull(kind, attributes, invoice.id, invoice.month, due_at=due_at) for kind in kinds]
    this_month = BillingPeriod.containing(now)
    words = {"current": this_month, "last": this_month.last}
    months = sorted({words.get(each) or BillingPeriod.parse(each) for each in profile.periods or PERIODS}, reverse=True)
    if months and months[0] > this_month:
        raise UsageError(
            f"The profile {profile.name!r} has {str(months[0])!r} in its periods, a month that has not begun.",
            remedy=f"Unbilled line items are offered of {this_month} (current) and {this_month.last} (last) only.",
        )
    for month in months:
        due_at = _begin(month) + timedelta(days=profile.unbilled_due_days)
        over_at = _end(month) + timedelta(days=profile.billed_due_days)
        for currency in profile.currencies:
            listed += [ExpectedPull(kind, attributes, "", month, currency, due_at, over_at) for kind in kinds]
    return listed


def unlisted_of(profile: Profile, now: datetime) -> list[UnlistedPull]:
    """Return what a profile ought to list and does not: an invoice of each month that is over, or a currency.

    Months count from the first that is listed, or else the last that is over. Invoices that are listed without their
    months may be of any, so nothing is missed then; v1 has none.
    """
    found: list[UnlistedPull] = []
    invoices, last = profile.invoices, BillingPeriod.containing(now).last
    is_dated = bool(invoices.months) or not invoices.listed
    if profile.api != "v1" and is_dated and not invoices.none_wanted:
        for first, final in _gaps(invoices.months, last):
            months = str(first) if first == final else f"{first} to {final}"
            found.append(UnlistedPull(f"invoice of {months}", _NO_INVOICE.format(months=months, month=final)))
    if not profile.currencies and (profile.periods or not invoices.listed):
        found.append(UnlistedPull("unbilled line items", _NO_CURRENCY))
    return found


def _gaps(months: Collection[BillingPeriod], last: BillingPeriod) -> Iterator[tuple[BillingPeriod, BillingPeriod]]:
    """Yield the first and last month of each gap between the first of some months and the last that is over."""
    month = first = min({last, *months})
    while month <= last:
        after = BillingPeriod.containing(_end(month))
        if month in months:
            first = after
        elif month == last or after in months:
            yield first, month
        month = after


def folder_of(ask: ExportRequest, now: datetime) -> Path:
    """Return where a pull is kept below a profile's folder."""
    return _place(ask.kind, ask.invoice, "" if ask.invoice else month_of(ask, now), ask.currency)


def root_of(profile: Profile) -> Path:
    """Return the folder below which a profile keeps its pulls."""
    return profile.to or PULLS_FOLDER / folder_name(profile.name)


def folder_name(text: str) -> str:
    """Return a name that any system takes for one folder, and no two texts share: the text itself, if it can be."""
    if _PLAIN_NAME.fullmatch(text) and not is_taken_by_windows(text):
        return text
    quoted = quote(text, safe="").replace(".", "%2E").replace("~", "%7E") or "%"
    return quoted if quoted.startswith("%") else f"%{ord(quoted[0]):02X}{quoted[1:]}"


def _place(kind: Kind, invoice: str, month: str, currency: str) -> Path:
    return Path(kind.value) / (folder_name(invoice) if invoice else f"{month}-{currency}")


def _begin(month: BillingPeriod) -> datetime:
    return datetime(month.year, month.month, 1, tzinfo=UTC)


def _end(month: BillingPeriod) -> datetime:
    return _begin(BillingPeriod.containing(_begin(month) + timedelta(days=31)))
