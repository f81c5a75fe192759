"""The first 64 line items: every special case by name, each at least once.

A case takes an ordinary line item and makes it special; the two lists are in `usage_cases` and
`reconciliation_cases`, what both kinds share is here. A test suite that publishes only the first 64 line items has
seen everything that the generator knows. A case that changes a price or a quantity must recompute the totals with
`amounts`, so that the arithmetic holds on every line item.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from counterfoil.columns import LineItemTable
from counterfoil.generator import amounts
from counterfoil.generator.months import PRICING_CURRENCY, Month
from counterfoil.generator.spelling import Line, read, spell

COVERED = 64  # how many line items at the start hold the cases


class Special(IntEnum):
    """Which special cases are wanted; each step holds those before it."""

    NONE = 0
    TAME = 1
    HOSTILE = 2


@dataclass(frozen=True, slots=True)
class Setting:
    """What a case may need to know about the file."""

    month: Month
    currency: str
    reseller: str  # a reseller's partner id, or empty when the file knows none


Change = Callable[[Line, Line, Setting], Line]


@dataclass(frozen=True, slots=True)
class Case:
    """A name, and the change that makes a line item (given the one before it) into an example.

    A hostile one is legal and stored as it is, and some of Microsoft's own SDKs fail on it: .NET's at a date that is an
    empty text, Java's at a text that is to hold a JSON object of scalars and holds something else.
    """

    name: str
    change: Change
    hostile: bool = False


def setting(**values: str | None) -> Change:
    """Return a change that only sets attributes."""
    return lambda line, _, __: line | values


def repeated(_: Line, before: Line, __: Setting) -> Line:
    """The very same line item as the one before: two charges that look alike are two charges."""
    return dict(before)


def sold_by_reseller(line: Line, _: Line, file: Setting) -> Line:
    """A customer of a reseller, when there are resellers."""
    return line | {"Tier2MpnId": file.reseller}


def own_currency(stated: Callable[[Line], Line]) -> Change:
    """Return a change to a line item that is priced as it is billed; `stated` works out its totals."""
    return lambda line, _, file: stated(line | {"PricingCurrency": file.currency, "PCToBCExchangeRate": "1"})


def foreign_currency(stated: Callable[[Line], Line]) -> Change:
    """Priced in another currency than the rest of the file; a rate with many digits even when billed in dollars."""

    def change(line: Line, _: Line, file: Setting) -> Line:
        pricing = "GBP" if file.currency != "GBP" else PRICING_CURRENCY
        rate = amounts.text(file.month.rate(pricing, file.currency))
        return stated(line | {"PricingCurrency": pricing, "PCToBCExchangeRate": rate})

    return change


SHARED: tuple[Case, ...] = (
    Case("name in Latin letters with marks", setting(CustomerName="Żółć & Größe – Crème Brûlée S.A.")),
    Case("name in other scripts", setting(CustomerName="株式会社さくら / Мельница / شركة النخيل")),
    Case("name beyond the first plane", setting(CustomerName="Pizza 🍕 𝒩apoli 👩‍👩‍👧")),
    Case("name with a combining mark", setting(CustomerName="Cafe\u0301 Noir")),
    Case("name with quotes, backslashes and commas", setting(CustomerName='"Smith, Jones" \\ Söhne\\n, "Ltd."')),
    Case("name with control characters", setting(CustomerName="Line\nbreak\tTab\r\u0001 and \u2028 separator")),
    Case("name like a formula", setting(CustomerName='=HYPERLINK("https://contoso.example";"+1-1@2")')),
    Case("name like another type", setting(CustomerName="null")),
    Case("name with outer spaces", setting(CustomerName="  Padded Ltd  ")),
    Case("long name", setting(CustomerName="Gesellschaft für Rückversicherung " * 30)),
    Case("empty customer", setting(CustomerId="", CustomerName="", CustomerDomainName="", CustomerCountry="")),
    Case("customer id with a prefix", setting(CustomerId="org:6f2e7c1a-04d9-421c-baf8-e3b8dd62ddba")),
    Case("leading zeros", setting(SkuId="0002", ProductId="000000000001")),
    Case("sold by a reseller", sold_by_reseller),
    Case("sold directly", setting(Tier2MpnId="")),
    Case("no reseller as zero", setting(Tier2MpnId="0")),
)


def covering(
    table: LineItemTable, cases: Sequence[Case], ordinary: Callable[[int], bytes], file: Setting, special: Special
) -> Iterator[bytes]:
    """Yield COVERED line items: the cases in order, then ordinary ones. `ordinary(n)` gives the n-th to start from.

    An ordinary line item stands in the place of each case that is not wanted.
    """
    assert len(cases) <= COVERED
    before: Line = {}
    for number in range(COVERED):
        spelled = ordinary(number)
        if number < len(cases) and special >= (Special.HOSTILE if cases[number].hostile else Special.TAME):
            before = cases[number].change(read(spelled), before, file)
            spelled = spell(table, before)
        yield spelled
