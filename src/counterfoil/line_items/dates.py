"""Dates: the form that is stored, ISO 8601, and the other forms that can be read in one way only.

A date such as `11/12/2026` is the trap: it means November to one reader and December to another, so it is never read
here. (`11/20/2026` has one meaning, and is.) What has one reading is rewritten to ISO 8601, without a change of its
moment, its zone or its decimals.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final

ISO_REMEDY: Final = "Dates are ISO 8601, such as 2026-11-20T00:00:00Z."
_ISO: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.[0-9]{1,9})?(?:[Zz]|[+-]([0-9]{2}):([0-9]{2}))?)?",
    re.ASCII,
)
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH: Final = (
    r"(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_DAY: Final = r"(?P<day>[0-9]{1,2})(?:st|nd|rd|th)?"
_YEAR: Final = r"(?P<year>[0-9]{4})"
_WEEKDAY: Final = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]{0,6},? +)?"
_CLOCK: Final = (
    r"(?:(?:t|,? +)(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]{1,9}))?)?"
    r"(?: ?(?P<half>[ap])m)?(?: ?(?P<zone>z|utc|gmt|[+-][0-9]{2}(?::?[0-9]{2})?))?)?"
)
_ONE_READING: Final = tuple(
    re.compile(form + _CLOCK, re.ASCII | re.IGNORECASE)
    for form in (
        _YEAR + r"(?P<mark>[-/. ]|\. )(?P<month>[0-9]{1,2})(?P=mark)(?P<day>[0-9]{1,2})\.?",
        _YEAR + r"\u5e74 ?(?P<month>[0-9]{1,2})\u6708 ?(?P<day>[0-9]{1,2})\u65e5",  # year, month and day in Japan
        _YEAR + r"[-/. ]" + _MONTH + r"[-/. ]" + _DAY,
        _WEEKDAY + _DAY + r"(?:[-/ ]|\. ?)" + _MONTH + r"(?:[-/ ]|[.,] ?)" + _YEAR,
        _WEEKDAY + _MONTH + r"\.?[- ]" + _DAY + r"(?:[- ]|, ?)" + _YEAR,
    )
)
# The basic form of ISO 8601. As the last four digits are a month and a day, they are no year: there is one reading.
_BASIC: Final = re.compile(
    r"(?P<year>(?:19|20|21)[0-9]{2})(?P<month>[0-9]{2})(?P<day>[0-9]{2})"
    r"(?:T(?P<hour>[0-9]{2})(?P<minute>[0-9]{2})(?P<second>[0-9]{2})(?P<zone>Z)?)?",
    re.ASCII,
)
# From ASP.NET and PowerShell 5.1: milliseconds since 1970 in UTC; an offset, where there is one, changes nothing.
_MILLISECONDS: Final = re.compile(r"\\?/Date\((-?[0-9]{1,15})(?:[+-][0-9]{4})?\)\\?/", re.ASCII)
LOCAL_DATE: Final = re.compile(
    r"(\d{1,2})([/.-])(\d{1,2})\2(\d{4})(?:,?[ T](\d{1,2}):(\d{2})(?::(\d{2}))?(?: ?([AaPp])[Mm])?)?", re.ASCII
)
_TWO_DIGIT_YEAR: Final = re.compile(
    r"(?:[0-9]{1,2}([-/. ])(?:[0-9]{1,2}|[a-z]{3,9})\1'?[0-9]{2}|[a-z]{3,9}[- ][0-9]{1,2},? '?[0-9]{2})(?:[ T,].*)?",
    re.ASCII | re.IGNORECASE | re.DOTALL,
)
_COUNT: Final = re.compile(r"([0-9]{5}|[0-9]{10}|[0-9]{13})(?:[.,][0-9]*)?", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_ZERO: Final = date(1899, 12, 30)  # of spreadsheets, for all days since March 1900
_KEPT_FORMS: Final = 10_000  # a file has few dates, and many lines


def why_not_a_date(text: str) -> str | None:
    """Return why `text` is not an ISO 8601 date of the calendar, or None if it is one."""
    match = _ISO.fullmatch(text)
    if match is None:
        return "not an ISO 8601 date"
    day, hour, minute, second, offset_hours, offset_minutes = match.groups(default="00")
    try:
        date.fromisoformat(day)
    except ValueError:
        return "not a date of the calendar"
    # Not datetime.fromisoformat: which times and offsets it takes differs between versions of Python.
    if max(hour, offset_hours) > "23" or max(minute, second, offset_minutes) > "59":
        return "not a date of the calendar"
    return None


@lru_cache(maxsize=_KEPT_FORMS)
def only_reading(text: str) -> str | None:
    """Return the ISO 8601 date that a text in another form is; None where it has no reading, or more than one."""
    if match := _MILLISECONDS.fullmatch(text):
        return _of_milliseconds(int(match[1]))
    for form in (*_ONE_READING, _BASIC):
        if match := form.fullmatch(text):
            iso = _iso_of(match.groupdict())
            return iso if iso is not None and why_not_a_date(iso) is None else None
    readings = {local_reading(text, month_first=True), local_reading(text, month_first=False)} - {None}
    return readings.pop() if len(readings) == 1 else None


def local_reading(text: str, *, month_first: bool) -> str | None:
    """Return the ISO 8601 date in UTC that a local date is in this order; None if it is none."""
    match = LOCAL_DATE.fullmatch(text)
    if match is None:
        return None
    first, _, second, year, hour, minute, seconds, half = match.groups()
    month, day = (first, second) if month_first else (second, first)
    hours = _hours(int(hour or 0), half)
    try:
        moment = datetime(int(year), int(month), int(day), hours, int(minute or 0), int(seconds or 0), tzinfo=UTC)
    except ValueError:
        return None
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment.year > 999 else None


def is_count(text: str) -> bool:
    """Whether this may be the count of days of a spreadsheet, or that of seconds or milliseconds since 1970."""
    return _COUNT.fullmatch(text) is not None


def why_unreadable(text: str) -> tuple[str, str]:
    """Return why a text that is no ISO 8601 date cannot be read as one either, and what to do about it."""
    if LOCAL_DATE.fullmatch(text) and local_reading(text, month_first=True):
        return "a date that two readers read differently", "Write the year first: 2026-11-20."
    if _TWO_DIGIT_YEAR.fullmatch(text):
        return "a year of two digits, which does not say its century", "Write the year in four digits: 2026-11-20."
    if match := _COUNT.fullmatch(text):
        if len(match[1]) == 5:
            day = _DAY_ZERO + timedelta(days=int(match[1]))
            return (
                f"a spreadsheet's day number and not a date ({day} if its days count from 1900)",
                "Format the column as yyyy-mm-dd in the spreadsheet, and save the file again.",
            )
        return "a count since 1970 and not a date", "Write it as a date: 2026-11-20T00:00:00Z."
    return why_not_a_date(text) or "not an ISO 8601 date", ISO_REMEDY


def _of_milliseconds(count: int) -> str | None:
    try:
        moment = _EPOCH + timedelta(milliseconds=count)
    except OverflowError:
        return None
    fraction = f".{moment.microsecond // 1_000:03}" if moment.microsecond else ""
    return f"{moment.year:04}-{moment:%m-%dT%H:%M:%S}{fraction}Z"


def _iso_of(parts: dict[str, str | None]) -> str | None:
    month = parts["month"] or ""
    number = int(month) if month.isdigit() else _MONTHS.index(month[:3].lower()) + 1
    day = f"{parts['year']}-{number:02}-{int(parts['day'] or 0):02}"
    if parts["hour"] is None:
        return day
    hours = _hours(int(parts["hour"]), parts.get("half"))
    fraction = f".{parts['fraction']}" if parts.get("fraction") else ""
    clock = f"T{hours:02}:{parts['minute']}:{parts['second'] or '00'}{fraction}"
    return day + clock + _zone(parts["zone"] or "")


def _hours(hours: int, half: str | None) -> int:
    """Return the hours of a clock of twelve as those of one of 24; 99, which is none, where it shows no such hour."""
    if half is None:
        return hours
    return hours % 12 + (12 if half in "Pp" else 0) if 1 <= hours <= 12 else 99


def _zone(text: str) -> str:
    if text.lower() in ("z", "utc", "gmt"):
        return "Z"
    return f"{text[:3]}:{text[3:].lstrip(':') or '00'}" if text else ""
