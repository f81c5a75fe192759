"""The rules among line items: what neighbours, taken together, say. They are decided when all were read.

Memory grows with the groups that a rule looks at (customers, subscriptions, rates), never with the line items.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from counterfoil.model import Kind
from counterfoil.reconcile.auditing.amount_rules import CHANGES
from counterfoil.reconcile.auditing.audit_results import EXAMPLES_MAX, Example, RuleFinding
from counterfoil.reconcile.auditing.columns_read import BatchColumns
from counterfoil.reconcile.auditing.rule import (
    BOTH,
    CURRENCY,
    NET,
    RECONCILIATION,
    AuditRule,
    Severity,
    own_names,
)
from counterfoil.reconcile.auditing.tax_rates import TaxRates
from counterfoil.reconcile.explaining import arithmetic as exact
from counterfoil.reconcile.sides.side import Side

_NET_TYPE: Final = pa.decimal256(36, 20)
_BETWEEN: Final = "\0"  # which no text holds


def _joined(key: Sequence[str | None]) -> str:
    """Return a key as one text, in which letter case does not count."""
    return _BETWEEN.join([text or "" for text in key]).lower()


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
        self._first: dict[str, str] = {"": known} if known else {}
        self._broken: dict[str, tuple[int, str]] = {}

    def add(self, columns: BatchColumns, first_line_item: int) -> None:
        """See `Collector`."""
        names = [*self._key, self._name]
        is_there = columns.is_given(names[0])
        for name in names[1:]:
            is_there = pc.and_(is_there, columns.is_given(name))
        found = columns.distinct(names, columns.rows.filter(is_there))
        for texts, row in zip(found.texts, found.rows, strict=True):
            *key_texts, value = texts
            assert value is not None
            key = _joined(key_texts)
            known = self._first.setdefault(key, value)
            if known != value and known.casefold() != value.casefold() and key not in self._broken:
                self._broken[key] = first_line_item + row, value

    def finding(self) -> RuleFinding:
        """See `Collector`."""
        examples = []
        for key, (line_item, value) in list(self._broken.items())[:EXAMPLES_MAX]:
            named = dict(zip(self._key, key.split(_BETWEEN), strict=False)) if self._key else {}
            examples.append(Example(line_item, named | {self._name: f"{self._first[key]} and {value}"}))
        return RuleFinding(self._rule, len(self._first), len(self._broken), exact.ZERO, tuple(examples))


class ChangePairs:
    """A change of quantity is the refund of the old and the charge of the new: as many of one sign as of the other."""

    def __init__(self, rule: AuditRule, side: Side) -> None:
        self._rule = rule
        *self._key, self._net = own_names(rule.reads, side.kind)
        self._changes: dict[str, tuple[int, Decimal]] = {}

    def add(self, columns: BatchColumns, first_line_item: int) -> None:
        """See `Collector`."""
        changes = columns.mapped(["ChargeType"], lambda text: (text or "").lower() in CHANGES, pa.bool_())
        nets = columns.decimals(NET, _NET_TYPE)
        sign = pc.sign(nets)
        quick = columns.rows.filter(pc.and_kleene(changes, pc.not_equal(sign, pa.scalar(0, sign.type))))
        odd = columns.rows.filter(pc.and_(changes, pc.and_(pc.is_null(nets), columns.is_given(NET))))
        left = columns.distinct([*self._key, self._net], odd)
        found = columns.distinct(self._key, quick, [sign.take(quick), nets.take(quick)])
        for texts, more, net in zip(found.texts, *found.sums, strict=True):
            self._keep(texts, int(more), net)
        for texts, count in zip(left.texts, left.counts, strict=True):
            net = exact.multiply(Decimal(texts[-1] or 0), Decimal(count))
            if net:
                self._keep(texts[:-1], -count if net < 0 else count, net)

    def _keep(self, texts: Sequence[str | None], more: int, net: Decimal) -> None:
        key = _joined(texts)
        balance, before = self._changes.get(key, (0, exact.ZERO))
        self._changes[key] = balance + more, exact.add(before, net)

    def finding(self) -> RuleFinding:
        """See `Collector`."""
        odd = {key: net for key, (balance, net) in self._changes.items() if balance}
        examples = tuple(
            Example(0, dict(zip(self._key, key.split(_BETWEEN), strict=True)) | {self._net: f"{exact.trimmed(net):f}"})
            for key, net in list(odd.items())[:EXAMPLES_MAX]
        )
        stake = exact.trimmed(exact.total(map(exact.magnitude, odd.values())))
        return RuleFinding(self._rule, len(self._changes), len(odd), stake, examples)


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
        first = [name for name in ("OrderId", amount, "Quantity", "ResourceURI") if name in names]
        self._found += columns.repeated([*first, *(name for name in names if name not in first)])

    def finding(self) -> RuleFinding:
        """See `Collector`."""
        return RuleFinding(self._rule, self._line_items, self._found, exact.ZERO)


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
