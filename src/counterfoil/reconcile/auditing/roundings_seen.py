"""Which rounding explains how many line items, and where a single one stands out: by product, or from a month on.

A rounding that is unusual for its charge type and product is a warning with the amount between; so is a month in which
the usual one becomes another, and a sum of allowed cents that does not cancel out.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from counterfoil.reconcile.auditing.audit_results import Example, RoundingCount, RuleFinding
from counterfoil.reconcile.auditing.rule import AuditRule, Severity
from counterfoil.reconcile.explaining import arithmetic as exact
from counterfoil.reconcile.explaining.roundings import Rounding

Place = tuple[str, str, str]  # charge type, product, month
_TOLD_MIN: Final = 20  # fewer line items do not make a rounding the usual one
_USUAL_OF_100: Final = 80
_BIAS_MIN: Final = exact.ONE
_HALF_A_CENT_SQUARED: Final = Decimal("0.000025")

UNUSUAL: Final = AuditRule(
    "rounding-unusual", "Line items of one charge type and product are rounded alike.", Severity.WARNING, "Counterfoil",
    (), None, {"": "25 seats, all cut per unit"}, {"": "one cut per line among 25 cut per unit"},
)  # fmt: skip
SWITCHED: Final = AuditRule(
    "rounding-switched", "The usual rounding stays the same from month to month.", Severity.WARNING, "Counterfoil",
    (), None, {"": "cut per unit in September and October"}, {"": "cut per unit, and from October on per line"},
)  # fmt: skip
BIAS: Final = AuditRule(
    "rounding-bias", "The cents by which amounts may be off cancel out.", Severity.WARNING, "FOCUS 1.4: tolerance",
    (), None, {"": "1,000 line items, 0.30 together"}, {"": "1,000 line items, 10.00 too little together"},
)  # fmt: skip
SEEN_RULES: Final = (UNUSUAL, SWITCHED, BIAS)


@dataclass(slots=True)
class _Decided:
    line_items: int = 0
    first: int = 0
    between: dict[Rounding, Decimal] = field(default_factory=dict)  # signless, to each other rounding


class RoundingsSeen:
    """Counts the roundings of all rules of a side."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[Rounding | None]] = defaultdict(Counter)
        self._by_product: dict[tuple[str, str, str], dict[Rounding, _Decided]] = {}
        self._by_month: dict[tuple[str, str], Counter[Rounding]] = defaultdict(Counter)
        self._allowed, self._allowed_line_items = exact.ZERO, 0

    def count(self, rule: str, ways: Sequence[Rounding], line_items: int) -> None:
        """Count line items that these roundings explain; where several do, it is undecided."""
        self._counts[rule][ways[0] if len(ways) == 1 else None] += line_items

    def allow(self, cents: Decimal, line_items: int) -> None:
        """Add what so many line items are off by together, and are let pass."""
        self._allowed = exact.add(self._allowed, cents)
        self._allowed_line_items += line_items

    def decide(
        self, rule: str, way: Rounding, place: Place, seen: tuple[int, int], between: Mapping[Rounding, Decimal]
    ) -> None:
        """Keep that one rounding of several explains line items.

        `seen`: how many, and the number of the first. `between`: what each other way would have made different, without
        signs.
        """
        line_items, first = seen
        charge, product, month = place
        self._by_month[rule, month][way] += line_items
        decided = self._by_product.setdefault((rule, charge.lower(), product.lower()), {}).setdefault(way, _Decided())
        decided.first = min(decided.first or first, first)
        decided.line_items += line_items
        for other, apart in between.items():
            decided.between[other] = exact.add(decided.between.get(other, exact.ZERO), apart)

    def counts(self) -> tuple[RoundingCount, ...]:
        """Return how many line items each rounding explains, by rule, the most frequent first."""
        return tuple(
            RoundingCount(rule, rounding, line_items)
            for rule, counts in self._counts.items()
            for rounding, line_items in counts.most_common()
        )

    def findings(self, rules: frozenset[str]) -> list[RuleFinding]:
        """Return the findings of the rules with these ids."""
        found = [self._unusual(), self._switched(), self._bias()]
        return [finding for finding in found if finding.rule.id in rules]

    def _unusual(self) -> RuleFinding:
        """Hold each product against its usual rounding; one of few line items against that of its charge type."""
        applied = found = 0
        stake = exact.ZERO
        examples = []
        of_charge: dict[tuple[str, str], Counter[Rounding]] = defaultdict(Counter)
        for (rule, charge, _), ways in self._by_product.items():
            of_charge[rule, charge].update({way: each.line_items for way, each in ways.items()})
        for (rule, charge, product), ways in self._by_product.items():
            line_items = sum(each.line_items for each in ways.values())
            applied += line_items
            is_enough = line_items >= _TOLD_MIN
            counts = {way: each.line_items for way, each in ways.items()} if is_enough else of_charge[rule, charge]
            usual = _usual(counts)
            for way, each in ways.items():
                if usual is None or way is usual:
                    continue
                found += each.line_items
                stake = exact.add(stake, each.between.get(usual, exact.ZERO))
                told = {"rule": rule, "ChargeType": charge, "ProductId": product, "rounding": f"{way}, usually {usual}"}
                examples.append(Example(each.first, told))
        return RuleFinding(UNUSUAL, applied, found, stake, tuple(examples[:3]))

    def _switched(self) -> RuleFinding:
        found, months = [], 0
        for rule in {rule for rule, _ in self._by_month}:
            usual_before: Rounding | None = None
            for (_, month), counts in sorted(item for item in self._by_month.items() if item[0][0] == rule):
                usual = _usual(counts)
                if usual is None:
                    continue
                months += 1
                if usual_before not in (None, usual):
                    told = {"rule": rule, "month": month, "rounding": f"{usual}, before {usual_before}"}
                    found.append(Example(0, told))
                usual_before = usual
        facts = [each.attributes for each in found]
        told_all = "; ".join(f"{each['rule']}: from {each['month']} on {each['rounding']}" for each in facts)
        return RuleFinding(SWITCHED, months, len(found), exact.ZERO, tuple(found[:3]), told_all)

    def _bias(self) -> RuleFinding:
        """Allow what FOCUS does: 1.00, or half a cent x the root of the line items, compared as squares."""
        amount = exact.magnitude(self._allowed)
        squared = exact.multiply(amount, amount)
        allowed = exact.multiply(_HALF_A_CENT_SQUARED, Decimal(self._allowed_line_items))
        is_biased = amount > _BIAS_MIN and squared > allowed
        told = f"{self._allowed} together" if is_biased else ""
        return RuleFinding(
            BIAS, self._allowed_line_items, int(is_biased), amount if is_biased else exact.ZERO, (), told
        )


def _usual(counts: dict[Rounding, int] | Counter[Rounding]) -> Rounding | None:
    """Return the rounding of at least four fifths of enough line items."""
    together = sum(counts.values())
    way = max(counts, key=lambda each: counts[each])
    return way if together >= _TOLD_MIN and 100 * counts[way] >= _USUAL_OF_100 * together else None
