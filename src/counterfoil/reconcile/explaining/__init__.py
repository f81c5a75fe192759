"""Why two amounts differ: causes whose exact amounts sum to the difference. Pure: no files, no clock, no floats.

Always **right minus left**. Swapping the sides turns every sign, and a charge against itself has no cause. Whoever
writes test scenarios must not import from here, and nothing in here may import the ground's numbers or months: what is
alike in both is written twice on purpose, so that one mistake cannot hide in both.
"""

from counterfoil.reconcile.explaining.charges import WHOLE, Charge, ChargedDays
from counterfoil.reconcile.explaining.cycles import charged_days
from counterfoil.reconcile.explaining.differences import Cause, CauseAmount, CauseTotal, Difference, totals_by_cause
from counterfoil.reconcile.explaining.line_item_charges import charge_of, circumstances_of
from counterfoil.reconcile.explaining.one_sided import (
    REASONS,
    Circumstances,
    explain_moved,
    explain_one_sided,
    reason_for,
)
from counterfoil.reconcile.explaining.pairs import explain
from counterfoil.reconcile.explaining.roundings import Rounding
from counterfoil.reconcile.explaining.sentences import Reckoning, in_words, reckon
from counterfoil.reconcile.explaining.subscription_changes import explain_change, explain_conversion

__all__ = [
    "REASONS",
    "WHOLE",
    "Cause",
    "CauseAmount",
    "CauseTotal",
    "Charge",
    "ChargedDays",
    "Circumstances",
    "Difference",
    "Reckoning",
    "Rounding",
    "charge_of",
    "charged_days",
    "circumstances_of",
    "explain",
    "explain_change",
    "explain_conversion",
    "explain_moved",
    "explain_one_sided",
    "in_words",
    "reason_for",
    "reckon",
    "totals_by_cause",
]
