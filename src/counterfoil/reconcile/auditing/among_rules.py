"""The rules among line items: what neighbours, taken together, say. They are decided when all were read.

Memory grows with the groups that a rule looks at (customers, subscriptions, rates), never with the line items.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final, Protocol

from counterfoil.model import Kind
from counterfoil.reconcile.auditing.amount_rules import CHANGES
from counterfoil.reconcile.auditing.audit_results import Example, RuleFinding
from counterfoil.reconcile.auditing.columns_read import BatchColumns
from counterfoil.reconcile.auditing.rule import (
    BOTH,
    CURRENCY,
    NET,
    RECONCILIATION,
    AuditRule,
    Facts,
    Severity,
    own_names,
)
from counterfoil.reconcile.explaining import arithmetic as exact
from counterfoil.reconcile.sides.side import Side

EXAMPLES_MAX: Final = 3
_THOUSANDTHS: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)
_TAXED_MIN: Final = 100  # of a smaller amount, cut to cents, the rate cannot be told


class Collector(Protocol):
    """Looks at every batch of a side, and says at the end what it found."""

    def add(self, columns: BatchColumns, first_line_item: int) -> None:
        """Look at a batch whose first line item has this number."""

    def finding(self) -> RuleFinding:
        """Return what was found in all batches."""


class OneOf:
    """A rule that each group has one value of an attribute; where there is none it does not count."""

    def __init__(self, rule: AuditRule, side: Side, name: str, key: Sequence[str], known: str = "") -> None:
        self._rule, self._side, self._name = rule, side, name
        self._key = own_names(tuple(key), side.kind)
        self._first: dict[tuple[str, ...], str] = {(): known} if known else {}
        self._broken: dict[tuple[str, ...], tuple[int, str]] = {}

    def add(self, columns: BatchColumns, first_line_item: int) -> None:
        """See `Collector`."""
        found = columns.distinct([*self._key, self._name])
        for texts, row in zip(found.texts, found.rows, strict=True):
            if not all(texts):
                continue
            *key_texts, value = (text or "" for text in texts)
            key = tuple(text.lower() for text in key_texts)
            if self._first.setdefault(key, value).casefold() != value.casefold() and key not in self._broken:
                self._broken[key] = first_line_item + row, value

    def finding(self) -> RuleFinding:
        """See `Collector`."""
        examples = []
        for key, (line_item, value) in list(self._broken.items())[:EXAMPLES_MAX]:
            named = dict(zip(self._key, key, strict=True))
            examples.append(Example(line_item, named | {self._name: f"{self._first[key]} and {value}"}))
        return RuleFinding(self._rule, len(self._first), len(self._broken), exact.ZERO, tuple(examples))


class ChangePairs:
    """A change of quantity is the refund of the old and the charge of the new: as many of one sign as of the other."""

    def __init__(self, rule: AuditRule, side: Side) -> None:
        self._rule, self._kind = rule, side.kind
        self._names = own_names(rule.reads, side.kind)
        self._changes: dict[tuple[str, ...], list[Decimal]] = {}

    def add(self, columns: BatchColumns, first_line_item: int) -> None:
        """See `Collector`."""
        found = columns.distinct(self._names)
        for texts, count in zip(found.texts, found.counts, strict=True):
            facts = Facts(self._kind, dict(zip(self._names, texts, strict=True)))
            if facts.charge_type not in CHANGES or not facts.net:
                continue
            key = tuple((facts.text(name)).lower() for name in self._names[:-1])
            balance, net = self._changes.get(key, [exact.ZERO, exact.ZERO])
            more = Decimal(-count if facts.net < 0 else count)
            self._changes[key] = [exact.add(balance, more), exact.add(net, exact.multiply(facts.net, Decimal(count)))]

    def finding(self) -> RuleFinding:
        """See `Collector`."""
        odd = {key: net for key, (balance, net) in self._changes.items() if balance}
        examples = tuple(
            Example(0, dict(zip(self._names, key, strict=False)) | {self._names[-1]: str(net)})
            for key, net in list(odd.items())[:EXAMPLES_MAX]
        )
        return RuleFinding(
            self._rule, len(self._changes), len(odd), exact.total(map(exact.magnitude, odd.values())), examples
        )


class Duplicates:
    """Line items that are equal in every attribute, looked for among those that are read together."""

    def __init__(self, rule: AuditRule, side: Side) -> None:
        self._rule, self._kind = rule, side.kind
        self._line_items = self._found = 0

    def add(self, columns: BatchColumns, first_line_item: int) -> None:
        """See `Collector`."""
        names = columns.batch.schema.names
        [amount] = own_names((NET,), self._kind)
        self._line_items += columns.batch.num_rows
        # Amounts and orders differ most: where no two are alike in them, nothing else has to be looked at.
        first = [name for name in (amount, "OrderId", "ResourceURI") if name in names]
        self._found += columns.repeated([*first, *(name for name in names if name not in first)])

    def finding(self) -> RuleFinding:
        """See `Collector`."""
        return RuleFinding(self._rule, self._line_items, self._found, exact.ZERO)


class TaxRates:
    """The rate of tax that a country's line items usually bear, in thousandths, and those that bear another."""

    def __init__(self, rule: AuditRule, side: Side) -> None:
        self._rule, self._kind = rule, side.kind
        self._names = own_names(rule.reads, side.kind)
        self._counts: dict[str, Counter[int]] = defaultdict(Counter)
        self._examples: dict[tuple[str, int], Example] = {}

    def add(self, columns: BatchColumns, first_line_item: int) -> None:
        """See `Collector`."""
        found = columns.distinct(self._names)
        for texts, count, row in zip(found.texts, found.counts, found.rows, strict=True):
            facts = Facts(self._kind, dict(zip(self._names, texts, strict=True)))
            tax, country = facts.number("TaxTotal"), facts.text("CustomerCountry").upper()
            if facts.net is None or tax is None or not country or exact.magnitude(facts.net) < _TAXED_MIN:
                continue
            rate = int(
                _THOUSANDTHS.to_integral_value(_THOUSANDTHS.divide(exact.multiply(tax, Decimal(1000)), facts.net))
            )
            self._counts[country][rate] += count
            read = {name: text or "" for name, text in zip(self._names, texts, strict=True)}
            self._examples.setdefault((country, rate), Example(first_line_item + row, read))

    def finding(self) -> RuleFinding:
        """See `Collector`."""
        examples, applied, found = [], 0, 0
        for country, counts in self._counts.items():
            usual = counts.most_common(1)[0][0]
            applied += counts.total()
            found += counts.total() - counts[usual]
            examples += [self._examples[country, rate] for rate in counts if rate != usual]
        return RuleFinding(self._rule, applied, found, exact.ZERO, tuple(examples[:EXAMPLES_MAX]))


class InPeriod:
    """How many line items lie outside the month of an unbilled dataset, and what they come to: late use is no fault."""

    def __init__(self, rule: AuditRule, side: Side) -> None:
        self._rule, self._month = rule, side.scope.period if side.scope else ""
        date = "UsageDate" if side.kind.value == "usage" else "ChargeStartDate"
        self._names = (date, *own_names((NET,), side.kind))
        self._line_items = self._late = 0
        self._sum = exact.ZERO
        self._examples: list[Example] = []

    def add(self, columns: BatchColumns, first_line_item: int) -> None:
        """See `Collector`."""
        if not self._month:
            return
        self._line_items += columns.batch.num_rows
        found = columns.distinct(self._names[:1])
        late = [at for at, texts in enumerate(found.texts) if (texts[0] or "")[:7] != self._month]
        if not late:
            return
        rows = found.rows_of(late)
        self._late += len(rows)
        amounts = columns.texts(self._names[1], rows)
        self._sum = exact.add(self._sum, exact.total(Decimal(text) for text in amounts if text))
        if len(self._examples) < EXAMPLES_MAX:
            date = columns.texts(self._names[0], rows)[0] or ""
            self._examples.append(Example(first_line_item + rows[0].as_py(), {self._names[0]: date}))

    def finding(self) -> RuleFinding:
        """See `Collector`."""
        stake = exact.magnitude(self._sum)
        return RuleFinding(self._rule, self._line_items, self._late, stake, tuple(self._examples))


def _among(
    id_: str,
    sentence: str,
    severity: Severity,
    reads: tuple[str, ...],
    passes: str,
    fails: str,
    kinds: frozenset[Kind] = BOTH,
) -> AuditRule:
    return AuditRule(id_, sentence, severity, "Counterfoil", reads, None, {"": passes}, {"": fails}, kinds)


_RATE_KEY: Final = ("PricingCurrency", CURRENCY, "PCToBCExchangeRateDate")
AMONG_RULES: Final[tuple[tuple[AuditRule, Callable[[AuditRule, Side], Collector]], ...]] = (
    (
        _among("one-rate-a-day", "Two currencies have one exchange rate a day.", Severity.WARNING,
               (*_RATE_KEY, "PCToBCExchangeRate"), "0.92 and 0.92", "0.92 and 0.93"),
        lambda rule, side: OneOf(rule, side, "PCToBCExchangeRate", _RATE_KEY),
    ),
    (
        _among("one-invoice", "InvoiceNumber is empty or that of the invoice.", Severity.ERROR, ("InvoiceNumber",),
               "G016907411 and empty", "G016907411 and G016907412"),
        lambda rule, side: OneOf(rule, side, "InvoiceNumber", (), side.scope.invoice if side.scope else ""),
    ),
    (
        _among("one-name", "A customer has one name.", Severity.NOTE, ("CustomerId", "CustomerName"),
               "Contoso and Contoso", "Contoso and Fabrikam"),
        lambda rule, side: OneOf(rule, side, "CustomerName", ("CustomerId",)),
    ),
    (
        _among("one-reseller", "A subscription has one reseller.", Severity.NOTE,
               ("CustomerId", "SubscriptionId", "Tier2MpnId"), "6048879 and 6048879", "6048879 and 6048880"),
        lambda rule, side: OneOf(rule, side, "Tier2MpnId", ("CustomerId", "SubscriptionId")),
    ),
    (
        _among("change-pairs", "addQuantity and removeQuantity come in pairs of opposite sign.", Severity.WARNING,
               ("SubscriptionId", "ProductId", "SkuId", "ChargeEndDate", "ChargeType", NET),
               "-10.00 and 15.00", "-10.00 alone", RECONCILIATION),
        ChangePairs,
    ),
    (
        _among("tax-rate", "The line items of a country bear one rate of tax, in thousandths.", Severity.NOTE,
               ("CustomerCountry", NET, "TaxTotal"), "19.00 of 100.00, twice", "20.00 of 100.00 among 19.00",
               RECONCILIATION),
        TaxRates,
    ),
    (
        _among("in-period", "Line items lie within the month of an unbilled dataset; others are late.", Severity.NOTE,
               ("ChargeStartDate", "UsageDate", NET), "2026-10-05 in 2026-10", "2026-09-30 in 2026-10"),
        InPeriod,
    ),
    (
        _among("duplicates", "No two line items are equal in every attribute.", Severity.WARNING, (),
               "two that differ in OrderId", "two that differ in nothing"),
        Duplicates,
    ),
)  # fmt: skip
