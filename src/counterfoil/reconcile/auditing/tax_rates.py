"""The rate of tax that the line items of a country bear, in thousandths, and those that bear another."""

from __future__ import annotations

from collections import Counter, defaultdict
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from counterfoil.reconcile.auditing.audit_results import EXAMPLES_MAX, Example, RuleFinding
from counterfoil.reconcile.auditing.columns_read import BatchColumns
from counterfoil.reconcile.auditing.rule import NET, AuditRule, Facts, own_names
from counterfoil.reconcile.explaining import arithmetic as exact
from counterfoil.reconcile.sides.side import Side

_THOUSANDTHS: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)
_TAXED_MIN: Final = 100  # of a smaller amount, cut to cents, the rate cannot be told
_AMOUNT_TYPE: Final = pa.decimal256(36, 20)
_RATE_TYPE: Final = pa.decimal256(6, 0)
_RATE_LIMIT: Final = 100_000
_GUESSES: Final = 3
_COUNTRY: Final = "CustomerCountry"
_TAX: Final = "TaxTotal"


class TaxRates:
    """Counts rates by country. What a country usually bears, or bore just now, is tried on a whole batch at once."""

    def __init__(self, rule: AuditRule, side: Side) -> None:
        self._rule, self._kind = rule, side.kind
        self._names = own_names(rule.reads, side.kind)
        self._counts: dict[str, Counter[int]] = defaultdict(Counter)
        self._examples: dict[tuple[str, int], Example] = {}

    def add(self, columns: BatchColumns, first_line_item: int) -> None:
        """See `among_rules.Collector`."""
        net = columns.decimals(NET, _AMOUNT_TYPE)
        small = pc.fill_null(pc.less(pc.abs(net), pa.scalar(Decimal(_TAXED_MIN), _AMOUNT_TYPE)), fill_value=False)
        left = columns.rows.filter(pc.and_(columns.is_given(_COUNTRY), pc.invert(small)))
        rates = {country: counts.most_common(1)[0][0] for country, counts in self._counts.items()}
        for _ in range(_GUESSES):
            if not len(left):
                return
            by_country = columns.distinct([_COUNTRY], left)
            unknown = [row for row, [text] in zip(by_country.rows, by_country.texts, strict=True)
                       if (text or "").upper() not in rates]  # fmt: skip
            left = left.filter(pc.invert(pc.is_in(left, pa.array(unknown, pa.int64()))))
            rates |= self._ask_each(columns, pa.array(unknown, pa.int64()), first_line_item)
            left = self._try(columns, left, rates)
            rates = {}
        self._ask_each(columns, left, first_line_item)

    def _try(self, columns: BatchColumns, rows: pa.Array, rates: dict[str, int]) -> pa.Array:
        """Count the line items that surely bear these rates; returns the others."""
        known = {country: Decimal(rate) for country, rate in rates.items() if abs(rate) < _RATE_LIMIT}
        wanted = columns.mapped([_COUNTRY], lambda text: known.get((text or "").upper()), _RATE_TYPE).take(rows)
        net, tax = (columns.decimals(name, _AMOUNT_TYPE).take(rows) for name in (NET, _TAX))
        apart = pc.subtract(pc.multiply(tax, pa.scalar(Decimal(1000), _RATE_TYPE)), pc.multiply(net, wanted))
        twice = pc.multiply(pc.abs(apart), pa.scalar(Decimal(2), _RATE_TYPE))
        bears = pc.fill_null(pc.less(twice, pc.abs(net)), fill_value=False)
        found = columns.distinct([_COUNTRY], rows.filter(bears))
        for [text], count in zip(found.texts, found.counts, strict=True):
            country = (text or "").upper()
            self._counts[country][rates[country]] += count
        return rows.filter(pc.invert(bears))

    def _ask_each(self, columns: BatchColumns, rows: pa.Array, first_line_item: int) -> dict[str, int]:
        """Count line items one by one; returns the rates of their countries."""
        rates: dict[str, int] = {}
        found = columns.distinct(self._names, rows)
        for texts, count, row in zip(found.texts, found.counts, found.rows, strict=True):
            facts = Facts(self._kind, dict(zip(self._names, texts, strict=True)))
            tax, country = facts.number(_TAX), facts.text(_COUNTRY).upper()
            if facts.net is None or tax is None or not country or exact.magnitude(facts.net) < _TAXED_MIN:
                continue
            rate = int(
                _THOUSANDTHS.to_integral_value(_THOUSANDTHS.divide(exact.multiply(tax, Decimal(1000)), facts.net))
            )
            rates[country] = rate
            self._counts[country][rate] += count
            read = {name: text or "" for name, text in zip(self._names, texts, strict=True)}
            self._examples.setdefault((country, rate), Example(first_line_item + row, read))
        return rates

    def finding(self) -> RuleFinding:
        """See `among_rules.Collector`."""
        examples, applied, found = [], 0, 0
        for country, counts in self._counts.items():
            usual = counts.most_common(1)[0][0]
            applied += counts.total()
            found += counts.total() - counts[usual]
            examples += [self._examples[country, rate] for rate in counts if rate != usual]
        return RuleFinding(self._rule, applied, found, exact.ZERO, tuple(examples[:EXAMPLES_MAX]))
