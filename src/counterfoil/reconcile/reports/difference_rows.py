"""The rows of a report that are evidence: differences with their causes and notes, and both sides digit for digit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from counterfoil import numbers
from counterfoil.columns import table_of
from counterfoil.model import Kind
from counterfoil.reconcile.comparing.found_difference import FoundDifference, net_and_total
from counterfoil.reconcile.explaining import arithmetic as exact
from counterfoil.reconcile.matching import Line
from counterfoil.reconcile.reports.bridge_rows import GroupTable, slug_of
from counterfoil.reconcile.reports.report_facts import MATCHED
from counterfoil.reconcile.reports.shown_amounts import ShownAmount, shown_adding_up, shown_by_itself
from counterfoil.reconcile.side_totals import columns_of_key

DIFFERENCES_SHOWN_MAX: Final = 2_000
LINES_SHOWN_MAX: Final = 4  # of one side of a difference; a duplicate may stand a thousand times
# What is shown of line items beside all that differs: whose they are, and what their amounts are made of.
# fmt: off
_EVIDENCE: Final = frozenset((
    "CustomerId", "SubscriptionId", "ProductId", "SkuId", "SkuName", "MeterId", "MeterName", "MeterDescription",
    "OrderId", "InvoiceNumber", "ChargeType", "CreditReasonCode", "ChargeStartDate", "ChargeEndDate", "UsageDate",
    "TermAndBillingCycle", "Unit", "UnitType", "Quantity", "BillableQuantity", "UnitPrice", "EffectiveUnitPrice",
    "PriceAdjustmentDescription", "PartnerEarnedCreditPercentage", "CreditPercentage", "CreditType",
    "PricingCurrency", "PCToBCExchangeRate", "PCToBCExchangeRateDate", "Subtotal", "TaxTotal", "Total",
    "PricingPreTaxTotal", "BillingPreTaxTotal", "ReferenceId", "PromotionId"
))
# fmt: on


@dataclass(frozen=True, slots=True)
class EvidenceRow:
    """One attribute, as the lines of both sides have it: a text for each line, or one that all `span` lines have."""

    attribute: str
    differs: bool
    texts: tuple[str, ...]
    span: int = 1


@dataclass(frozen=True, slots=True)
class LineEvidence:
    """The lines of both sides: the number of each in its side, and what they say. `left_out` are lines not shown."""

    left: tuple[int, ...]
    right: tuple[int, ...]
    rows: tuple[EvidenceRow, ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class DifferenceRow:
    """One difference. `groups` are the numbers of its groups in each table of groups, by the word of the grouping."""

    number: int
    customer: str
    product: str
    subscription: str
    dates: str
    matched: str
    left: ShownAmount | None
    right: ShownAmount | None
    amount: ShownAmount
    causes: tuple[tuple[str, ShownAmount], ...]
    notes: tuple[str, ...]
    groups: Mapping[str, str]
    evidence: LineEvidence

    @property
    def slugs(self) -> str:
        """Its causes, for the choice of one."""
        return " ".join(slug_of(cause) for cause, _ in self.causes)


def difference_row(
    found: FoundDifference, kind: Kind, currency: str, tables: Sequence[GroupTable], titles: Mapping[str, str]
) -> DifferenceRow:
    """Return what a report shows of a difference. `titles` are what it calls causes."""
    amount = shown_by_itself(found.amount, currency)
    left, right = totals_of(found, kind)
    shown_left = None if left is None else shown_by_itself(left, currency)
    shown_right = None if right is None else shown_by_itself(right, currency)
    if left is not None and right is not None and shown_left is not None:
        shown_right = ShownAmount(right, exact.add(shown_left.cents, amount.cents))
    amounts = shown_adding_up([each.amount for each in found.causes], currency, amount.cents) if found.causes else []
    return DifferenceRow(
        found.number,
        found.told("CustomerName") or found.customer,
        found.told("ProductName") or found.product,
        found.subscription,
        dates_of(found, kind),
        MATCHED[found.stage],
        shown_left if found.left else None,
        shown_right if found.right else None,
        amount,
        tuple((each.cause.value, shown) for each, shown in zip(found.causes, amounts, strict=True)),
        tuple(note_in_words(note, titles) for note in found.notes),
        {table.by.value: " ".join(_numbers(found, kind, table)) for table in tables},
        _evidence(found, kind),
    )


def note_in_words(note: str, titles: Mapping[str, str]) -> str:
    """Return a note, which begins with its cause, as the report calls that cause."""
    cause, colon, rest = note.partition(": ")
    return f"{titles.get(cause, cause)}{colon}{rest}"


def dates_of(found: FoundDifference, kind: Kind) -> str:
    """Return the days that are charged, as the first line that tells them has them."""
    if kind is Kind.USAGE:
        return found.told("UsageDate")[:10]
    first, last = found.told("ChargeStartDate")[:10], found.told("ChargeEndDate")[:10]
    return f"{first} to {last}" if first and last else first or last


def _numbers(found: FoundDifference, kind: Kind, table: GroupTable) -> Iterator[str]:
    """Yield the numbers of the groups that its lines are in: two, where a line item moved."""
    attribute = columns_of_key(table.by, kind)[0]
    keys = {(line.attributes.get(attribute) or "").lower(): None for line in (*found.left, *found.right)}
    for key in keys:
        if key in table.numbers:
            yield str(table.numbers[key])


def totals_of(found: FoundDifference, kind: Kind) -> tuple[Decimal | None, Decimal | None]:
    """Return what the lines of each side come to, None where they do not say it.

    A ledger or a comparison per plan may tell amounts before tax alone. So the total with tax is taken if it accounts
    for the difference, and else the one before tax if that does.
    """
    for name in reversed(net_and_total(kind)):
        left, right = _sum_of(found.left, name), _sum_of(found.right, name)
        if left is not None and right is not None and exact.subtract(right, left) == found.amount:
            return left, right
    return None, None


def _sum_of(lines: Sequence[Line], name: str) -> Decimal | None:
    texts = [line.attributes.get(name) or "" for line in lines]
    if any(numbers.why_not_a_number(text) for text in texts):
        return None
    return numbers.total(texts)


def _evidence(found: FoundDifference, kind: Kind) -> LineEvidence:
    left, right = found.left[:LINES_SHOWN_MAX], found.right[:LINES_SHOWN_MAX]
    lines = (*left, *right)
    names = dict.fromkeys([*(column.name for column in table_of(kind).columns), *found.attributes])
    rows = []
    for name in names:
        differs = name in found.attributes
        texts = tuple(line.attributes.get(name) or "" for line in lines)
        if differs or (name in _EVIDENCE and any(texts)):
            alike = len({*texts}) == 1
            rows.append(EvidenceRow(name, differs, texts[:1] if alike else texts, len(texts) if alike else 1))
    rows.sort(key=lambda row: not row.differs)
    left_out = len(found.left) + len(found.right) - len(lines)
    return LineEvidence(
        tuple(line.number for line in left), tuple(line.number for line in right), tuple(rows), left_out
    )
