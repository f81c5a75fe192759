"""The dates of line items against the month or day that they are published as.

No usage is known before its day: where all that is not late is dated after the name's days, the line items are another
month's or day's. A few such dates may come from a time zone on the way, and are told. Usage may be reported late, so
earlier dates are legitimate, summed and never refused; what is worth a look is said: a segment named by a day that
holds the month to date, a month in which nothing is dated. Charges of reconciliation may begin at any time.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

import numpy as np
import pyarrow.compute as pc

from counterfoil.columns import table_of
from counterfoil.datasets.batch import Batch
from counterfoil.errors import InputError
from counterfoil.model import Dataset, Kind

EARLIER: Final = "earlier"
LATER: Final = "later"
NONE_DATED: Final = "none dated"
_WITHIN: Final = "within"
_DAY: Final = re.compile(r"(?<![0-9])(20[0-9]{2})-?(0[1-9]|1[0-2])-?(0[1-9]|[12][0-9]|3[01])(?![0-9])", re.ASCII)
_MONTH: Final = re.compile(r"(?<![0-9])(20[0-9]{2})-(0[1-9]|1[0-2])(?![0-9]|-[0-9])", re.ASCII)


@dataclass(frozen=True, slots=True)
class Days:
    """The days that a name promises: the first and the last, as YYYY-MM-DD."""

    name: str
    first: str
    last: str


def days_named(dataset: Dataset, segment: str) -> Days | None:
    """Return the days that a segment's name, or else its dataset's month, promises; None for an invoice."""
    month = _of_month(*map(int, dataset.scope.period.split("-"))) if dataset.scope.period else None
    named = _of_segment(segment) or month
    if named is None or month is None or named.last <= month.last:
        return named
    return month  # nothing of a month is dated after it, whatever a segment is called


def _of_segment(name: str) -> Days | None:
    days = ["-".join(found) for found in _DAY.findall(name) if _is_day(*map(int, found))]
    if days:
        return Days(name, min(days), max(days))
    months = [_of_month(int(year), int(month)) for year, month in _MONTH.findall(name)]
    return Days(name, min(each.first for each in months), max(each.last for each in months)) if months else None


def _of_month(year: int, month: int) -> Days:
    name = f"{year:04}-{month:02}"
    return Days(name, f"{name}-01", f"{name}-{monthrange(year, month)[1]:02}")


def _is_day(year: int, month: int, day: int) -> bool:
    return day <= monthrange(year, month)[1]


class DateCheck:
    """Holds the dates of a segment's line items against the days that are promised."""

    def __init__(self, dataset: Dataset, segment: str) -> None:
        self.days = days_named(dataset, segment)
        self._kind = dataset.kind
        self._first_later: tuple[int, str] | None = None  # the line, and its date
        self.counts: Counter[str] = Counter()

    def take(self, batch: Batch) -> None:
        """Count the line items of a batch."""
        if self.days is None:
            return
        texts = batch.column(table_of(self._kind).date)
        encoded = pc.dictionary_encode(texts)
        places = np.array([self._place(text) for text in encoded.dictionary.to_pylist()])
        found = places[encoded.indices.to_numpy()]
        names, counts = np.unique(found, return_counts=True)
        self.counts.update(dict(zip(names.tolist(), counts.tolist(), strict=True)))
        if self._first_later is None and self.counts[LATER]:
            row = int(np.argmax(found == LATER))
            self._first_later = int(batch.lines[row]), texts[row].as_py()

    def refuse_others(self, file: str) -> None:
        """Raise InputError for usage that is of another month or day altogether."""
        if self._kind is not Kind.USAGE or self.days is None or not self.counts[LATER] or self.counts[_WITHIN]:
            return
        line, value = self._first_later or (None, None)
        raise InputError(
            f"no usage is dated in {self.days.name}, and some is dated later",
            file=file,
            line=line,
            attribute=table_of(self._kind).date,
            value=value,
            remedy="Publish it under the month or segment of its dates.",
            parameter="period segment",
        )

    def _place(self, text: str) -> str:
        assert self.days is not None
        day = _day_of(text)
        return EARLIER if day < self.days.first else LATER if day > self.days.last else _WITHIN

    def warnings(self) -> dict[str, int]:
        """Return what is worth a look: how many line items are dated otherwise, by how and by the name."""
        if self.days is None or not self.counts:
            return {}
        count = self.counts.total()
        if not self.counts[_WITHIN]:
            return {f"{NONE_DATED} {self.days.name}": count}
        if self._kind is Kind.RECONCILIATION:
            return {}
        return {f"{how} {self.days.name}": self.counts[how] for how in (EARLIER, LATER) if self.counts[how]}


def _day_of(text: str) -> str:
    """Return the day of an ISO date, in UTC where it has an offset."""
    if len(text) <= len("2026-11-20T00:00:00Z") or text.endswith(("Z", "z")):
        return text[:10]
    moment = datetime.fromisoformat(text)
    try:
        return (moment if moment.tzinfo is None else moment.astimezone(UTC)).date().isoformat()
    except OverflowError:  # the calendar's first or last day
        return date(moment.year, moment.month, moment.day).isoformat()
