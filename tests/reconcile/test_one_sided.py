"""Charges on one side only: their reasons in order, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from counterfoil.errors import UsageError
from counterfoil.reconcile.explaining import (
    Cause,
    CauseTotal,
    Charge,
    ChargedDays,
    Circumstances,
    explain,
    explain_conversion,
    explain_one_sided,
    reason_for,
    totals_by_cause,
)
from tests.reconcile.case_notation import read_line

OCTOBER = (date(2026, 10, 1), date(2026, 10, 31))
LICENCE, USE = read_line("10 x 3 = 30 + 5.70"), read_line("3 x 1.5 = 4.50 (metered)")
INSIDE = Circumstances(day=date(2026, 10, 31), period=OCTOBER)
BEFORE, AFTER = replace(INSIDE, day=date(2026, 9, 30)), replace(INSIDE, day=date(2026, 11, 1))

# Charge, circumstances, and the reason on the right; on the left `new` is `vanished`.
REASONS = [
    (LICENCE, Circumstances(), Cause.NEW),
    (LICENCE, INSIDE, Cause.NEW),
    (USE, replace(INSIDE, day=date(2026, 10, 1)), Cause.NEW),
    (USE, BEFORE, Cause.LATE_USAGE),
    (USE, AFTER, Cause.OTHER_PERIOD),
    (LICENCE, BEFORE, Cause.OTHER_PERIOD),
    (LICENCE, AFTER, Cause.OTHER_PERIOD),
    (LICENCE, replace(BEFORE, period=None), Cause.NEW),
    (LICENCE, replace(INSIDE, charge_type="cancelImmediate"), Cause.CANCELLED),
    (LICENCE, replace(INSIDE, charge_type="Cancel"), Cause.CANCELLED),
    (LICENCE, replace(INSIDE, charge_type="REFUND"), Cause.CANCELLED),
    (LICENCE, replace(INSIDE, charge_type="cycleCharge"), Cause.NEW),
    (LICENCE, replace(INSIDE, charge_type="customerCredit"), Cause.CREDIT),
    (USE, replace(INSIDE, credit_reason_code="SLA"), Cause.CREDIT),
    # The first that fits is given.
    (USE, replace(BEFORE, credit_reason_code="SLA"), Cause.CREDIT),
    (LICENCE, replace(BEFORE, charge_type="Cancel"), Cause.OTHER_PERIOD),
    (USE, replace(BEFORE, has_twin=True, credit_reason_code="SLA"), Cause.DUPLICATE),
    (USE, replace(BEFORE, customer_on_other_side=False), Cause.LATE_USAGE),
]


@pytest.mark.parametrize(("charge", "circumstances", "reason"), REASONS)
def test_the_first_reason_that_fits_is_given(charge: Charge, circumstances: Circumstances, reason: Cause) -> None:
    assert reason_for(charge, circumstances, on_the_right=True)[0] is reason
    mirrored = Cause.VANISHED if reason is Cause.NEW else reason
    assert reason_for(charge, circumstances, on_the_right=False)[0] is mirrored


def test_the_note_of_a_new_charge_says_what_is_new() -> None:
    notes = {
        reason_for(LICENCE, told, on_the_right=True)[1]
        for told in (
            INSIDE,
            replace(INSIDE, subscription_on_other_side=False),
            replace(INSIDE, subscription_on_other_side=False, customer_on_other_side=False),
        )
    }
    assert notes == {
        "the other side has other line items of this subscription",
        "the other side has nothing of this subscription",
        "the other side has nothing of this customer",
    }


@pytest.mark.parametrize("reason", [Cause.QUANTITY, Cause.TAX, Cause.UNEXPLAINED, Cause.CONVERSION, Cause.KEY_CHANGED])
def test_what_is_no_reason_for_one_side_is_refused(reason: Cause) -> None:
    with pytest.raises(UsageError, match="no reason for a charge on one side"):
        explain_one_sided(LICENCE, reason, on_the_right=True)


def test_a_conversion_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="no charges"):
        explain_conversion([], on_the_right=True)


@pytest.mark.parametrize("value", [1.5, "1.5", Decimal("NaN"), Decimal("Infinity"), Decimal("sNaN"), 3, None])
@pytest.mark.parametrize("name", ["net", "tax", "earned_credit"])
def test_what_is_no_exact_number_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"^{name} is .*no exact number") as caught:
        Charge(**{"net": Decimal(1), name: value})  # type: ignore[arg-type]
    assert caught.value.parameter == name


@pytest.mark.parametrize(("days", "cycle"), [(0, 30), (31, 30), (-1, 30), (0, 0)])
def test_days_that_no_cycle_has_are_refused(days: int, cycle: int) -> None:
    with pytest.raises(UsageError, match="cannot be charged"):
        ChargedDays(days, cycle)


def test_totals_of_causes_are_exact_and_count_differences() -> None:
    tiny = Decimal("1E-60")
    lines = [(read_line("1 x 1 = 1"), Charge(Decimal("1E+12")))] * 3 + [(Charge(tiny), Charge(Decimal(0)))]
    found = totals_by_cause(
        [
            *(explain_one_sided(right, Cause.NEW, on_the_right=True) for _, right in lines),
            *(explain_one_sided(left, Cause.CREDIT, on_the_right=True) for left, _ in lines),
            explain(read_line("10 x 22 = 220"), read_line("12 x 22 = 264")),
        ]
    )
    assert found == (
        CauseTotal(Cause.NEW, Decimal("3E+12"), 3),
        CauseTotal(Cause.QUANTITY, Decimal(44), 1),
        CauseTotal(Cause.CREDIT, Decimal("3." + "0" * 59 + "1"), 4),
    )
