"""A date that can be read in one way only becomes ISO 8601, and any other is refused with the reason and a remedy."""

from __future__ import annotations

import pytest

from counterfoil.line_items.dates import only_reading, why_not_a_date, why_unreadable
from counterfoil.line_items.values import Refused, stored_date

READ = {
    "2026/10/05": "2026-10-05",
    "2026.10.05": "2026-10-05",
    "2026 10 05": "2026-10-05",
    "2026. 10. 05.": "2026-10-05",
    "2026/1/5": "2026-01-05",
    "2026-1-5": "2026-01-05",
    "2026\u5e7410\u67085\u65e5": "2026-10-05",
    "2026/10/05 13:05": "2026-10-05T13:05:00",
    "2026/10/05 1:05:09 PM": "2026-10-05T13:05:09",
    "2026-10-05T00:00:00+0000": "2026-10-05T00:00:00+00:00",
    "2026-10-05T00:00:00.000-0530": "2026-10-05T00:00:00.000-05:30",
    "2026-10-05T00:00:00+02": "2026-10-05T00:00:00+02:00",
    "2026-10-05 00:00:00 UTC": "2026-10-05T00:00:00Z",
    "2026-10-05T00:00Z": "2026-10-05T00:00:00Z",
    "2026-10-05T00:00:00,1234567Z": "2026-10-05T00:00:00.1234567Z",
    "20261005": "2026-10-05",
    "20261005T131415Z": "2026-10-05T13:14:15Z",
    "/Date(1791158400000)/": "2026-10-05T00:00:00Z",
    r"\/Date(1791158400007)\/": "2026-10-05T00:00:00.007Z",
    "/Date(1791158400000+0200)/": "2026-10-05T00:00:00Z",
    "/Date(-1000)/": "1969-12-31T23:59:59Z",
    "5 Oct 2026": "2026-10-05",
    "05-Oct-2026": "2026-10-05",
    "2026-Oct-05": "2026-10-05",
    "October 5, 2026": "2026-10-05",
    "Sept 5th 2026 12:00 am": "2026-09-05T00:00:00",
    "Mon, 05 Oct 2026 00:00:00 GMT": "2026-10-05T00:00:00Z",
    "10/31/2026": "2026-10-31T00:00:00Z",
    "31.10.2026 23:59": "2026-10-31T23:59:00Z",
    "10/10/2026": "2026-10-10T00:00:00Z",
    " 2026-10-05T00:00:00Z ": "2026-10-05T00:00:00Z",
    "'2026-10-05": "2026-10-05",
    '="2026-10-05"': "2026-10-05",
    "\u00a02026-10-05\u00a0": "2026-10-05",
}
REFUSED = {
    "10/05/2026": "a date that two readers read differently",
    "05.10.2026 00:00:00": "a date that two readers read differently",
    "10/5/26": "a year of two digits",
    "05-Oct-26": "a year of two digits",
    "26-10-05": "a year of two digits",
    "Oct 5, '26": "a year of two digits",
    "10/5/26 0:00": "a year of two digits",
    "46300": "a spreadsheet's day number and not a date (2026-10-05 if",
    "46300.5": "a spreadsheet's day number and not a date (2026-10-05 if",
    "1791158400": "a count since 1970",
    "1791158400000": "a count since 1970",
    "2026-02-30": "not a date of the calendar",
    "2026/02/30": "not an ISO 8601 date",
    "31/31/2026": "not an ISO 8601 date",
    "2026-10-05T25:00Z": "not an ISO 8601 date",
    "2026/10-05": "not an ISO 8601 date",
    "2026-10-05 13:00 PM": "not an ISO 8601 date",
    "5 Oct 2026 CET": "not an ISO 8601 date",
    "20101990": "not an ISO 8601 date",
    "/Date(999999999999999)/": "not an ISO 8601 date",
    "today": "not an ISO 8601 date",
    "########": "signs that a spreadsheet shows where a column is too narrow",
    "#VALUE!": "a spreadsheet's error",
    "System.DateTime": "a type's name",
}


@pytest.mark.parametrize("text", READ)
def test_what_has_one_reading_is_read(text: str) -> None:
    assert stored_date("UsageDate", text) == READ[text]
    assert why_not_a_date(READ[text]) is None


@pytest.mark.parametrize("text", REFUSED)
def test_what_has_two_readings_or_none_is_refused_with_the_way_out(text: str) -> None:
    with pytest.raises(Refused) as caught:
        stored_date("UsageDate", text)
    assert caught.value.reason.startswith(REFUSED[text])
    assert (caught.value.attribute, caught.value.value, bool(caught.value.remedy)) == ("UsageDate", text, True)


@pytest.mark.parametrize("text", ["2026-10-05", "2026-10-05T00:00:00Z", "2026-10-05t00:00:00.0-11:30", "0001-01-01"])
def test_an_iso_date_is_stored_letter_for_letter(text: str) -> None:
    assert stored_date("UsageDate", text) == text


def test_eight_digits_are_read_in_one_way_only() -> None:
    """Of no text can the first four digits be a year and the last four too."""
    for text in (f"{day:02}{month:02}{year}" for year in (1999, 2026) for month in range(1, 13) for day in (1, 20, 31)):
        assert only_reading(text) is None
        assert why_unreadable(text)[0] == "not an ISO 8601 date"
