"""The values of a ledger as texts that line items have: amounts, dates and ids in the forms that ledgers write.

Nothing is guessed. `1.234` is the trap: a thousand to one reader and hardly more than one to another, so a mapping says
which sign is before the decimals. What a spreadsheet did to an id cannot be undone, and is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from counterfoil import numbers
from counterfoil.line_items.dates import local_reading, only_reading, why_not_a_date, why_unreadable
from counterfoil.line_items.lost_values import REMEDY, why_lost
from counterfoil.line_items.values import NumberText, Refused, undressed

_MINUS: Final = "-\u2212"
CURRENCY_SIGNS: Final = {
    "€": ("EUR",),
    "£": ("GBP", "EGP", "LBP"),
    "$": ("USD", "CAD", "AUD", "NZD", "SGD", "HKD", "MXN", "TWD", "CLP", "COP", "ARS", "BRL"),
    "US$": ("USD",),
    "A$": ("AUD",),
    "C$": ("CAD",),
    "R$": ("BRL",),
    "¥": ("JPY", "CNY"),
    "₹": ("INR",),
    "₩": ("KRW",),
    "₺": ("TRY",),
    "₽": ("RUB",),
    "₪": ("ILS",),
    "₫": ("VND",),
    "฿": ("THB",),
    "₴": ("UAH",),
    "kr": ("SEK", "NOK", "DKK", "ISK"),
    "kr.": ("DKK", "SEK", "NOK", "ISK"),
    "Fr.": ("CHF",),
    "SFr.": ("CHF",),
    "zł": ("PLN",),
    "Kč": ("CZK",),
    "Ft": ("HUF",),
    "lei": ("RON",),
    "R": ("ZAR",),
    "RM": ("MYR",),
    "Rp": ("IDR",),
}
_CURRENCY: Final = "|".join([*map(re.escape, sorted(CURRENCY_SIGNS, key=len, reverse=True)), "[A-Z]{3}"])
_SPACE: Final = "[ \u00a0\u2007\u202f]*"
_AMOUNT: Final = re.compile(
    rf"(?P<open>\(?){_SPACE}(?P<minus>[-+\u2212]?){_SPACE}(?P<before>{_CURRENCY})?{_SPACE}(?P<inner>[-+\u2212]?)"
    rf"{_SPACE}(?P<digits>[0-9.,][^A-Za-z()\-+\u2212%€£$¥]*?(?:[eE][+-]?[0-9]+)?){_SPACE}"
    rf"(?P<after>{_CURRENCY})?{_SPACE}(?P<last>[-\u2212]?){_SPACE}(?P<close>\)?)"
)
_IN_LETTERS: Final = re.compile(r".*[0-9] *(?:[CD]R|Cr|Dr|[SH])\.?", re.ASCII)
_USUAL: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,11})(?:\.[0-9]{1,40})?", re.ASCII)
_PLAIN: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
_TWO_READINGS: Final = re.compile(r"-?[1-9][0-9]{0,2}\.[0-9]{3}", re.ASCII)
_ALWAYS_BETWEEN: Final = "' \u2019\u00a0\u2007\u202f"  # nobody puts one of these before decimals
_MONTH: Final = re.compile(r"(?P<y>[0-9]{4})[-/.]?(?P<m>[0-9]{2})|(?P<m2>[0-9]{1,2})[-/.](?P<y2>[0-9]{4})", re.ASCII)
_SKU_LENGTH: Final = 4
_LENGTH_MAX: Final = 100  # of an amount with all that is around its digits


@dataclass(frozen=True, slots=True)
class LedgerForms:
    """How a ledger writes numbers and dates; '' is "not said". See `ledger_mapping.LedgerSource`."""

    decimal: str = ""
    thousands: str = ""
    date: str = ""

    def amount(self, text: str, currency: str) -> str:
        """Return an amount as a plain number; raises Refused. `currency` is what its sign has to mean, '' if any."""
        if isinstance(text, NumberText):
            return _checked(str(text))
        if self.decimal != "," and _USUAL.fullmatch(text) and (self.decimal or not _TWO_READINGS.fullmatch(text)):
            return text
        given = undressed(text)
        match = _AMOUNT.fullmatch(given) if len(given) <= _LENGTH_MAX else None
        if match is None:
            raise _no_amount(given)
        signs = [match["minus"], match["inner"], match["last"], match["open"]]
        if bool(match["open"]) != bool(match["close"]) or sum(map(bool, signs)) > 1:
            raise Refused("an amount with more than one sign", value=given, remedy="Write it with one minus at most.")
        for sign in filter(None, (match["before"], match["after"])):
            means = CURRENCY_SIGNS.get(sign, (sign,))
            if currency and currency.upper() not in means:
                raise Refused(
                    f"an amount in {means[0]}, where the ledger says {currency.upper()}",
                    value=given,
                    remedy="Correct the currency, in the ledger or in its mapping.",
                )
        is_negative = match["open"] == "(" or any(sign in _MINUS for sign in signs[:3] if sign)
        return _checked(("-" if is_negative else "") + self._digits(match["digits"].strip(), given))

    def _digits(self, digits: str, given: str) -> str:
        if self.decimal:
            plain = _in_plain(digits, self.decimal, self.thousands)
            if plain is None:
                raise Refused(
                    f"not a number with {self.decimal!r} before its decimals",
                    value=given,
                    remedy="Correct the number, or decimal and thousands under [source] of the mapping.",
                )
            return plain
        if _PLAIN.fullmatch(digits) and not _TWO_READINGS.fullmatch(digits):
            return _without_zeros(digits)
        point, comma = (_in_plain(digits, sign, "") for sign in ".,")
        if point is None and comma is None:
            raise _no_amount(given)
        readings = [f'{plain} with decimal = "{sign}"' for plain, sign in ((point, "."), (comma, ",")) if plain]
        raise Refused(
            f"a number that depends on which sign is before the decimals: {', '.join(readings)}",
            value=given,
            remedy='Write decimal = "," or decimal = "." under [source] of the mapping.',
        )

    def day(self, text: str) -> str:
        """Return a date in ISO 8601, and for a month its first day; raises Refused for what has not one reading."""
        given = undressed(text)
        if why_not_a_date(given) is None:
            return given
        if month := _MONTH.fullmatch(given):
            first = f"{month['y'] or month['y2']}-{int(month['m'] or month['m2']):02}-01"
            if why_not_a_date(first) is None:
                return first
        if self.date in ("dmy", "mdy") and (iso := local_reading(given, month_first=self.date == "mdy")):
            return iso
        if iso := only_reading(given) or only_reading(f"1 {given}"):
            return iso
        why, remedy = why_unreadable(given)
        if self.date in ("", "ymd") and "two readers" in why:
            remedy = 'Write date = "dmy" or date = "mdy" under [source] of the mapping.'
        raise Refused(why, value=given, remedy=remedy)


def id_in(text: str, attribute: str) -> str:
    """Return an id; raises Refused for one that a spreadsheet cut."""
    given = undressed(text)
    lost = why_lost(given, is_id=True)
    if lost is None and attribute == "SkuId" and len(given) < _SKU_LENGTH and given.isascii() and given.isdecimal():
        lost = f"a SKU of {len(given)} digits, where they have {_SKU_LENGTH}: a spreadsheet cut its zeros"
        raise Refused(lost, value=given, remedy="Format the column as text in the spreadsheet, and enter 0001 again.")
    if lost is not None:
        raise Refused(lost, value=given, remedy=REMEDY)
    return given


def text_in(text: str) -> str:
    """Return a name or description; raises Refused for what a spreadsheet left of one, and for U+0000."""
    if "\0" in text:
        raise Refused("holds the character U+0000", remedy="Export the ledger again as text.")
    if (lost := why_lost(text)) is not None:
        raise Refused(lost, value=text, remedy=REMEDY)
    return text


def _no_amount(given: str) -> Refused:
    if why_lost(given):
        return Refused(str(why_lost(given)), value=given, remedy=REMEDY)
    if _IN_LETTERS.fullmatch(given):
        return Refused(
            "an amount whose sign is a letter", value=given, remedy="Export amounts with a minus where money came back."
        )
    if given.strip(_MINUS + "\u2013\u2014") == "":
        return Refused("a dash in place of an amount", value=given, remedy="Write 0, or leave the row out.")
    return Refused("not an amount", value=given, remedy="Amounts are numbers such as 12.50.")


def _in_plain(digits: str, decimal: str, thousands: str) -> str | None:
    """Return digits with a point before the decimals and nothing between thousands; None if they are no number."""
    number, exponent = digits, ""
    if match := re.search(r"[eE][+-]?[0-9]+\Z", digits):
        number, exponent = digits[: match.start()], match[0]
    whole, found, fraction = number.partition(decimal)
    if (found and not fraction) or not (fraction.isascii() and (fraction.isdigit() or not fraction)):
        return None
    between = thousands or ("," if decimal == "." else ".") + _ALWAYS_BETWEEN
    used = {sign for sign in whole if not sign.isdigit()}
    if used:
        sign = used.pop()
        groups = whole.split(sign)
        if used or sign not in between or not 0 < len(groups[0]) <= 3 or any(len(group) != 3 for group in groups[1:]):
            return None
        whole = "".join(groups)
    if not (whole.isascii() and (whole.isdigit() or (not whole and fraction))):
        return None
    return _without_zeros(f"{whole or '0'}{'.' + fraction if fraction else ''}{exponent}")


def _without_zeros(plain: str) -> str:
    stripped = plain.lstrip("0")
    return stripped if stripped[:1].isdigit() else f"0{stripped}"


def _checked(plain: str) -> str:
    if reason := numbers.why_not_a_number(plain):
        raise Refused(reason, value=plain, remedy="Amounts are numbers such as 12.50.")
    return plain
