"""Asking a rule about single line items: first whole batches at once, then each distinct tuple of what is left."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from counterfoil.reconcile.auditing.audit_results import EXAMPLES_MAX, Example, RuleFinding
from counterfoil.reconcile.auditing.columns_read import BatchColumns, DistinctTuples, Texts
from counterfoil.reconcile.auditing.excerpts import excerpt_and_name
from counterfoil.reconcile.auditing.quick_roundings import DecidedRoundings
from counterfoil.reconcile.auditing.rounding_rules import Explained, RoundingRule
from counterfoil.reconcile.auditing.roundings_seen import RoundingsSeen
from counterfoil.reconcile.auditing.rule import NET, AuditRule, Facts, own_names
from counterfoil.reconcile.explaining import arithmetic as exact
from counterfoil.reconcile.explaining.roundings import Rounding
from counterfoil.reconcile.sides.side import Side

PLACE: Final = ("ChargeType", "ProductId", "ChargeStartDate")
_MONTH_LENGTH: Final = len("2026-11")
_VERDICTS_MAX: Final = 50_000


class LineCheck:
    """Asks a rule about the line items of a side, and remembers what broke it."""

    def __init__(self, rule: AuditRule, side: Side) -> None:
        self._rule, self._kind = rule, side.kind
        self._reads = own_names(rule.reads, side.kind)
        # What the facts are called: an excerpt stands for its attribute.
        self._names = [excerpt_and_name(read)[1] for read in self._reads]
        self._verdicts: dict[Texts, bool | None] = {}
        self._applied = self._found = 0
        self._stake = exact.ZERO
        self._examples: list[Example] = []

    def add(self, columns: BatchColumns, first_line_item: int) -> None:
        """Look at a batch, see `among_rules.Collector`."""
        left = None
        if self._rule.quick is not None:
            verdicts = self._rule.quick(columns)
            self._applied += pc.sum(verdicts).as_py() or 0
            left = columns.rows.filter(pc.is_null(verdicts))
            if not len(left):
                return
        self._ask_each(columns, columns.distinct(self._reads, left), first_line_item)

    def _ask_each(self, columns: BatchColumns, found: DistinctTuples, first_line_item: int) -> None:
        broken = []
        for at, (texts, count) in enumerate(zip(found.texts, found.counts, strict=True)):
            verdict = self._verdict(texts)
            if verdict is not None:
                self._applied += count
                if not verdict:
                    broken.append(at)
                    self._found += count
        self._remember(columns, found, broken, first_line_item)

    def _verdict(self, texts: Texts) -> bool | None:
        if texts not in self._verdicts:
            if len(self._verdicts) >= _VERDICTS_MAX:
                self._verdicts.clear()
            assert self._rule.check is not None
            self._verdicts[texts] = self._rule.check(Facts(self._kind, dict(zip(self._names, texts, strict=True))))
        return self._verdicts[texts]

    def _remember(self, columns: BatchColumns, found: DistinctTuples, broken: Sequence[int], first: int) -> None:
        if not broken:
            return
        amounts = columns.texts(NET, found.rows_of(broken))
        stake = exact.total(exact.magnitude(Decimal(text)) for text in amounts if text)
        self._stake = exact.add(self._stake, stake)
        in_order = sorted(broken, key=lambda at: found.rows[at])
        for at in in_order[: EXAMPLES_MAX - len(self._examples)]:
            row = pa.array([found.rows[at]], pa.int64())
            read = {name: columns.texts(name, row)[0] or "" for name in self._names}
            self._examples.append(Example(first + found.rows[at], read))

    def finding(self) -> RuleFinding:
        """Return what was found in all batches."""
        return RuleFinding(self._rule, self._applied, self._found, self._stake, tuple(self._examples))


class RoundingCheck(LineCheck):
    """Asks a rule that rounds, and counts which rounding explains how many line items."""

    def __init__(self, rule: RoundingRule, side: Side, seen: RoundingsSeen) -> None:
        super().__init__(rule, side)
        self._rounding_rule, self._seen = rule, seen
        self._place = own_names(PLACE, side.kind)
        more = [name for name in self._place if name not in self._names]
        self._tuple = [*self._reads, *more]
        self._tuple_names = [*self._names, *more]

    def add(self, columns: BatchColumns, first_line_item: int) -> None:
        """Look at a batch, see `among_rules.Collector`."""
        quick = self._rounding_rule.decide(columns)
        for decided in quick.decided:
            self._count(decided, columns, first_line_item)
        if len(quick.left):
            self._ask_each(columns, columns.distinct(self._tuple, quick.left), first_line_item)

    def _count(self, decided: DecidedRoundings, columns: BatchColumns, first_line_item: int) -> None:
        self._applied += len(decided.rows)
        for counted in pc.value_counts(decided.bits).to_pylist():
            ways = decided.ways_of(counted["values"])
            self._seen.count(self._rule.id, ways, counted["counts"])
            if len(ways) == 1 and decided.apart:
                mine = pc.equal(decided.bits, pa.scalar(counted["values"], pa.int8()))
                self._place_all(ways[0], decided, mine, columns, first_line_item)

    def _place_all(
        self, way: Rounding, decided: DecidedRoundings, mine: pa.Array, columns: BatchColumns, first_line_item: int
    ) -> None:
        """Keep where one way alone explains line items, and what the others would have made different."""
        apart = {other: each.filter(mine) for other, each in decided.apart.items() if other is not way}
        found = columns.distinct(self._place, decided.rows.filter(mine), list(apart.values()))
        for at, texts in enumerate(found.texts):
            charge, product, start = self._of_place(texts)
            between = {other: sums[at] for other, sums in zip(apart, found.sums, strict=True)}
            seen = found.counts[at], first_line_item + found.rows[at]
            self._seen.decide(self._rule.id, way, (charge, product, start[:_MONTH_LENGTH]), seen, between)

    def _of_place(self, texts: Texts) -> tuple[str, str, str]:
        named = dict(zip(self._place, texts, strict=True))
        charge, product, start = (named.get(name) or "" for name in PLACE)
        return charge, product, start

    def _ask_each(self, columns: BatchColumns, found: DistinctTuples, first_line_item: int) -> None:
        broken = []
        for at, (texts, count) in enumerate(zip(found.texts, found.counts, strict=True)):
            facts = Facts(self._kind, dict(zip(self._tuple_names, texts, strict=True)))
            explained = self._rounding_rule.explain(facts)
            if explained is None:
                continue
            self._applied += count
            if explained.ways:
                self._keep(explained, facts, count, first_line_item + found.rows[at])
            else:
                broken.append(at)
                self._found += count
        self._remember(columns, found, broken, first_line_item)

    def _keep(self, explained: Explained, facts: Facts, count: int, line_item: int) -> None:
        times = Decimal(count)
        self._seen.count(self._rule.id, explained.ways, count)
        if explained.allowed:
            self._seen.allow(exact.multiply(explained.allowed, times), count)
        if len(explained.ways) == 1 and explained.others:
            charge, product, start = (facts.text(name) for name in PLACE)
            between = {other: exact.multiply(exact.magnitude(more), times) for other, more in explained.others.items()}
            place = charge, product, start[:_MONTH_LENGTH]
            self._seen.decide(self._rule.id, explained.ways[0], place, (count, line_item), between)


def line_check(rule: AuditRule, side: Side, seen: RoundingsSeen) -> LineCheck:
    """Return what asks this rule about the line items of a side."""
    return RoundingCheck(rule, side, seen) if isinstance(rule, RoundingRule) else LineCheck(rule, side)
