"""What an audit found: of each rule what it applied to, what broke it, and the money at stake."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from counterfoil.reconcile.auditing.rule import AuditRule, Severity
from counterfoil.reconcile.explaining.roundings import Rounding
from counterfoil.reconcile.sides.side import Side

EXAMPLES_MAX: Final = 3


@dataclass(frozen=True, slots=True)
class Example:
    """A line item that breaks a rule: its number in the side, from 1, and the attributes that the rule read."""

    line_item: int
    attributes: dict[str, str]


@dataclass(frozen=True, slots=True)
class RuleFinding:
    """What became of a rule. `at_stake` adds the amounts before tax of what was found, without their signs.

    `applied_to` and `found` count line items or, for a rule among line items, the groups that it looks at. A rule that
    applied to nothing has proved nothing.
    """

    rule: AuditRule
    applied_to: int
    found: int
    at_stake: Decimal
    examples: tuple[Example, ...] = ()
    told: str = ""

    def to_json(self) -> dict[str, object]:
        """Return the members of the finding."""
        return {
            "rule": self.rule.id,
            "severity": self.rule.severity.value,
            "sentence": self.rule.sentence,
            "appliedTo": self.applied_to,
            "found": self.found,
            "atStake": self.at_stake,
            "told": self.told,
            "examples": [{"lineItem": each.line_item, "attributes": each.attributes} for each in self.examples],
        }


@dataclass(frozen=True, slots=True)
class RoundingCount:
    """How many line items of a rule one rounding explains; None: several do, so they tell nothing."""

    rule: str
    rounding: Rounding | None
    line_items: int

    def to_json(self) -> dict[str, object]:
        """Return the members of the count."""
        rounding = "undecided" if self.rounding is None else self.rounding.value
        return {"rule": self.rule, "rounding": rounding, "lineItems": self.line_items}


@dataclass(frozen=True, slots=True)
class Audit:
    """The audit of a side in one currency: a finding for each rule, and which roundings explain its amounts."""

    side: Side
    currency: str
    line_items: int
    findings: tuple[RuleFinding, ...]
    roundings: tuple[RoundingCount, ...] = field(default=())

    def of(self, rule_id: str) -> RuleFinding:
        """Return the finding of a rule; raises KeyError."""
        return {finding.rule.id: finding for finding in self.findings}[rule_id]

    def found(self, severity: Severity) -> int:
        """Return how many things of a severity were found."""
        return sum(finding.found for finding in self.findings if finding.rule.severity is severity)

    @property
    def is_clean(self) -> bool:
        """Whether there is neither an error nor a warning."""
        return not self.found(Severity.ERROR) and not self.found(Severity.WARNING)

    def to_json(self) -> dict[str, object]:
        """Return everything that was found, amounts as texts with all their digits."""
        return {
            "side": self.side.to_json(),
            "currency": self.currency,
            "lineItems": self.line_items,
            "clean": self.is_clean,
            "errors": self.found(Severity.ERROR),
            "warnings": self.found(Severity.WARNING),
            "notes": self.found(Severity.NOTE),
            "rules": [finding.to_json() for finding in self.findings],
            "roundings": [each.to_json() for each in self.roundings],
        }
