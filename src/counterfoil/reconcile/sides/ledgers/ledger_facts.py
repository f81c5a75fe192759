"""What is known of a ledger beside its lines: its mapping, and what was seen while its lines were read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from counterfoil.reconcile.sides.ledgers.ledger_mapping import LedgerMapping

_NAMED_MAX: Final = 5


@dataclass(slots=True)
class LedgerFindings:
    """What was seen while a ledger was read: what a reader should know, and is no error."""

    lines: int = 0
    totals_left_out: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def told(self) -> tuple[str, ...]:
        """Return the findings as sentences."""
        skipped = self.totals_left_out
        if not skipped:
            return tuple(self.notes)
        named = ", ".join(map(str, skipped[:_NAMED_MAX])) + (", ..." if len(skipped) > _NAMED_MAX else "")
        rows = "1 row of totals was" if len(skipped) == 1 else f"{len(skipped)} rows of totals were"
        return (f"{rows} left out (row {named}); the rows above add up to them.", *self.notes)


@dataclass(slots=True)
class LedgerFacts:
    """The mapping of a ledger, and its `findings`, which are empty until its lines have been read."""

    mapping: LedgerMapping
    findings: LedgerFindings = field(default_factory=LedgerFindings)
