"""One coherent month: unbilled while it lasts, and then invoiced.

Both kinds of both states tell of the same customers, licences and meters. What is unbilled becomes the invoice but for
what differs in life: use of the last days that arrives late, a credit that Microsoft grants with the invoice, the
invoice's number, and BillingFrequency, which is blank on everything unbilled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property

from counterfoil.columns import LineItemTable, Type, table_of
from counterfoil.errors import UsageError
from counterfoil.generator import amounts
from counterfoil.generator.catalogue import PUBLISHER, licences_for, meters_for
from counterfoil.generator.draws import Draws
from counterfoil.generator.metered_month import Metering, metered_charge, metered_use, usage_lines
from counterfoil.generator.months import PRICING_CURRENCY, Month
from counterfoil.generator.population import Population, Subscription, populate
from counterfoil.generator.seat_changes import SeatLicence, held_licence, licence_charges
from counterfoil.generator.spelling import Line, spell
from counterfoil.model import Kind, Scope, tenant_id
from counterfoil.periods import BillingPeriod

CUSTOMERS_MAX = 5_000
DEFAULT_CUSTOMERS = 12
_CATALOGUE = 1_600  # of a catalogue for so many line items


@dataclass(frozen=True)
class BillingMonth:
    """A month of a partner's billing, the same for the same arguments. Memory grows with one customer at a time.

    Raises UsageError for what cannot be an invoice, period, currency or partner.
    """

    partner: str
    period: str
    invoice: str
    currency: str = "EUR"
    seed: int = 0
    customers: int = DEFAULT_CUSTOMERS
    resellers: int = 0
    _month: Month = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not 1 <= self.customers <= CUSTOMERS_MAX:
            raise UsageError(
                f"{self.customers} customers cannot be generated.", remedy=f"Ask for 1 to {CUSTOMERS_MAX:,}."
            )
        month = BillingPeriod.parse(self.period)
        scope = Scope.unbilled(month, self.currency)
        object.__setattr__(self, "partner", tenant_id(self.partner))
        object.__setattr__(self, "invoice", Scope.billed(self.invoice).invoice)
        object.__setattr__(self, "currency", scope.currency)
        object.__setattr__(self, "_month", Month(month.year, month.month))

    @property
    def days(self) -> int:
        """How many days the month has."""
        return self._month.length_days

    def unbilled(self, kind: Kind, day: int | None = None) -> Iterator[bytes]:
        """Yield what is unbilled at the end of a day of the month, by default the last, as JSON lines."""
        last = self.days if day is None else day
        if not 1 <= last <= self.days:
            raise UsageError(f"{self.period} has no day {day}.", remedy=f"Give a day from 1 to {self.days}.")
        return self._spelled(kind, last, invoiced=False)

    def invoiced(self, kind: Kind) -> Iterator[bytes]:
        """Yield the invoice as JSON lines."""
        return self._spelled(kind, self.days, invoiced=True)

    def _spelled(self, kind: Kind, until: int, *, invoiced: bool) -> Iterator[bytes]:
        table = table_of(kind)
        common = {
            "PartnerId": self.partner,
            "MpnId": self._population.mpn_id,
            "InvoiceNumber": self.invoice if invoiced else "",
        }
        blank: Line = {column.name: None if column.type is Type.NUMBER else "" for column in table.graph_full}
        lines = self._usage if kind is Kind.USAGE else self._charges
        for line in lines(until, invoiced=invoiced):
            yield spell(table, _complete(table, blank | common | line, invoiced=invoiced))

    def _usage(self, until: int, *, invoiced: bool) -> Iterator[Line]:
        common: Line = {"PartnerName": self._population.partner_name, "BillingCurrency": self.currency}
        for _, metered in self._sold():
            for metering in metered:
                for line in usage_lines(metering, self._month, self._rate, until, invoiced=invoiced):
                    yield common | line

    def _charges(self, until: int, *, invoiced: bool) -> Iterator[Line]:
        for number, (held, metered) in enumerate(self._sold()):
            tax = amounts.scaled(held.customer.tax_thousandths, 3)
            found = [*licence_charges(held, self._month, self._rate, until)]
            for metering in metered:
                charge = metered_charge(metering, self._month, self._rate, until, invoiced=invoiced)
                found += [charge] if charge is not None else []
            if invoiced and number % 3 == 0:
                found.append(self._granted(held))
            for line in found:
                yield self._taxed(line, tax)

    def _granted(self, held: SeatLicence) -> Line:
        """Return a credit of some percents of a cycle: it comes with the invoice, and is never in usage."""
        cents = 1 + self._draws("granted", held.subscription).below(500)
        price = amounts.scaled(cents, 2)
        return {
            **held.customer.described,
            "Tier2MpnId": held.customer.reseller,
            "OrderId": held.order,
            "OrderDate": f"{self._month.day(self.days)}T23:00:00Z",
            **held.licence.product,
            "ChargeType": "customerCredit",
            "UnitPrice": str(price),
            "Quantity": "1",
            "Subtotal": str(amounts.licence_subtotal(price, self._rate, Decimal(1)).copy_negate()),
            "PublisherName": PUBLISHER,
            "SubscriptionId": held.subscription,
            "ChargeStartDate": self._month.start(),
            "ChargeEndDate": f"{self._month.day(self.days)}T00:00:00Z",
            "EffectiveUnitPrice": str(price.copy_negate()),
            "BillableQuantity": "1",
            "CreditReasonCode": "Credit for customer",
            "ProductCategory": "license-based",
        }

    def _taxed(self, line: Line, tax: Decimal) -> Line:
        subtotal = Decimal(str(line["Subtotal"]))
        taxed = amounts.round_down(amounts.times(subtotal, tax))
        return line | {
            "TaxTotal": str(taxed),
            "Total": str(amounts.plus(subtotal, taxed)),
            "Currency": self.currency,
            "PricingCurrency": PRICING_CURRENCY,
            "PCToBCExchangeRate": amounts.text(self._rate),
            "PCToBCExchangeRateDate": self._month.start(),
        }

    def _sold(self) -> Iterator[tuple[SeatLicence, list[Metering]]]:
        """Yield what each customer bought: a licence and an Azure plan."""
        licences = [each for each in licences_for(_CATALOGUE) if each.frequency == "Monthly"]
        meters = [each for each in meters_for(_CATALOGUE) if each.price]
        for number, subscription in enumerate(self._buyers):
            draws = self._draws("customer", number)
            held = held_licence(draws, number, subscription.customer, draws.pick(licences), self._month)
            yield held, metered_use(draws, number, subscription, meters, self.days)

    @cached_property
    def _population(self) -> Population:
        half = (self.customers + 1) // 2
        return populate(self.partner, self.seed, half * half, self.resellers)

    @cached_property
    def _buyers(self) -> list[Subscription]:
        """The first Azure plan of each customer."""
        plans = {each.customer.described["CustomerId"]: each for each in reversed(self._population.subscriptions)}
        return [*reversed(plans.values())][: self.customers]

    @cached_property
    def _rate(self) -> Decimal:
        return self._month.rate(PRICING_CURRENCY, self.currency)

    def _draws(self, *parts: str | int) -> Draws:
        return Draws("billing month", self.partner, self.seed, self.period, *parts)


def _complete(table: LineItemTable, line: Line, *, invoiced: bool) -> Line:
    """Return a line item with the table's attributes, in their order."""
    if not invoiced and "BillingFrequency" in line:
        line["BillingFrequency"] = ""  # blank on every unbilled line, whatever the plan
    return {column.name: line[column.name] for column in table.graph_full}
