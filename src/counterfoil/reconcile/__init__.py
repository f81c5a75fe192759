"""The reconciler: what line items add up to, whether their arithmetic is right, and why two sides differ.

    from counterfoil import reconcile

    reconcile.totals("invoice:G016907411", by="customer").gross
    reconcile.audit("invoice:G016907411").is_clean
    reconcile.compare("unbilled:2026-10:EUR", "invoice:G016907411").causes
    reconcile.breaks.listed("counterfoil-data", states=["open"])

It imports the ground, `wire` and `client` only, and installs without the server. Each name is loaded when it is first
used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from counterfoil.reconcile import breaks
    from counterfoil.reconcile.auditing.audit_results import Audit, RoundingCount, RuleFinding
    from counterfoil.reconcile.auditing.auditor import audit
    from counterfoil.reconcile.auditing.rule import AuditRule, Severity
    from counterfoil.reconcile.comparing.changed import ChangeTotal, StateChange, changes, changes_in
    from counterfoil.reconcile.comparing.compare import compare
    from counterfoil.reconcile.comparing.comparison import (
        ComparedSide,
        Comparing,
        Comparison,
        ReportWarning,
    )
    from counterfoil.reconcile.comparing.found_difference import FoundDifference, GroupDifference
    from counterfoil.reconcile.explaining import Cause, CauseAmount, CauseTotal
    from counterfoil.reconcile.ledger_matching.margins import Margin, Margins
    from counterfoil.reconcile.line_explanation import ExplainedDifference, ExplainedLine, explain_line
    from counterfoil.reconcile.matching import Line, Stage
    from counterfoil.reconcile.side_totals import By, GroupTotal, SideTotals, totals
    from counterfoil.reconcile.sides.ledgers.ledger_checks import LedgerCheck, check_ledger
    from counterfoil.reconcile.sides.ledgers.ledger_mapping import LedgerMapping
    from counterfoil.reconcile.sides.ledgers.mapping_drafts import MappingDraft, suggest_mapping
    from counterfoil.reconcile.sides.side import Side

__all__ = [
    "Audit",
    "AuditRule",
    "By",
    "Cause",
    "CauseAmount",
    "CauseTotal",
    "ChangeTotal",
    "ComparedSide",
    "Comparing",
    "Comparison",
    "ExplainedDifference",
    "ExplainedLine",
    "FoundDifference",
    "GroupDifference",
    "GroupTotal",
    "LedgerCheck",
    "LedgerMapping",
    "Line",
    "MappingDraft",
    "Margin",
    "Margins",
    "ReportWarning",
    "RoundingCount",
    "RuleFinding",
    "Severity",
    "Side",
    "SideTotals",
    "Stage",
    "StateChange",
    "audit",
    "breaks",
    "changes",
    "changes_in",
    "check_ledger",
    "compare",
    "explain_line",
    "suggest_mapping",
    "totals",
]
_BREAKS: Final = "breaks"  # a room with names of its own
_HOME: Final = {
    "Audit": "auditing.audit_results",
    "RuleFinding": "auditing.audit_results",
    "RoundingCount": "auditing.audit_results",
    "AuditRule": "auditing.rule",
    "Severity": "auditing.rule",
    "audit": "auditing.auditor",
    "Margin": "ledger_matching.margins",
    "Margins": "ledger_matching.margins",
    "LedgerCheck": "sides.ledgers.ledger_checks",
    "LedgerMapping": "sides.ledgers.ledger_mapping",
    "MappingDraft": "sides.ledgers.mapping_drafts",
    "check_ledger": "sides.ledgers.ledger_checks",
    "suggest_mapping": "sides.ledgers.mapping_drafts",
    "Cause": "explaining",
    "CauseAmount": "explaining",
    "CauseTotal": "explaining",
    "StateChange": "comparing.changed",
    "ChangeTotal": "comparing.changed",
    "changes": "comparing.changed",
    "changes_in": "comparing.changed",
    "ComparedSide": "comparing.comparison",
    "Comparing": "comparing.comparison",
    "Comparison": "comparing.comparison",
    "ExplainedDifference": "line_explanation",
    "ExplainedLine": "line_explanation",
    "explain_line": "line_explanation",
    "FoundDifference": "comparing.found_difference",
    "GroupDifference": "comparing.found_difference",
    "ReportWarning": "comparing.comparison",
    "compare": "comparing.compare",
    "Line": "matching",
    "Stage": "matching",
    "By": "side_totals",
    "GroupTotal": "side_totals",
    "Side": "sides.side",
    "SideTotals": "side_totals",
    "totals": "side_totals",
}


def __getattr__(name: str) -> Any:
    """Load a name when it is first used."""
    if name == _BREAKS:
        return import_module(f"{__name__}.{name}")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
