"""What a difference tells beside its causes, and what is refused."""

from __future__ import annotations

from decimal import Decimal

import pytest

from counterfoil.errors import UsageError
from counterfoil.reconcile.explaining import Cause, CauseAmount, Charge, explain, explain_moved, explain_one_sided
from tests.reconcile.case_notation import causes_in, negated, read_line

NOTES = [
    ("10 x 10 = 100 + 19", "10 x 10 = 100 + 20", ["tax: 1 is another rate of tax"]),
    ("10 x 10 = 100 + 19", "20 x 10 = 200 + 38", ["tax: 19 follows the amount"]),
    (
        "10 x 10 = 100 + 19",
        "20 x 10 = 200 + 40",
        ["tax: 19.5 follows the amount", "tax: 1.5 is another rate of tax"],
    ),
    ("10 x 0 = 0", "1 x 10 = 10 + 1.90", ["tax: 1.90 follows the amount"]),
    ("3 x 9.99 = 29.97 + 5.69", "7 x 9.99 = 69.93 + 13.28", ["tax: 7.59 follows the amount"]),
    (
        "3 x 0.3333 = 0.9999 (metered)",
        "3 x 0.3333 = 0.99 (metered)",
        ["rounding: not rounded on the left, cut per line in each currency on the right"],
    ),
    (
        "10.5 x 0.3333 = 3.49 (metered)",
        "20.5 x 0.3333 = 6.83 (metered)",
        ["rounding: cut per line in each currency on both sides, of different amounts"],
    ),
    (
        "10 x 21.266 of 22 = 212.60",
        "10 x 21.266 of 22 = 212.66",
        ["rounding: cut per unit on the left, not rounded on the right"],
    ),
    (
        "10 x 10 @ 0.9 = 90 (USD)",
        "10 x 8 @ 1.15 = 92 (GBP)",
        ["unit price: priced in USD on the left, in GBP on the right"],
    ),
    (
        "10 x 22 = 220",
        "10 x 22 = 225",
        ["unexplained: the amount does not follow from price, quantity and rate"],
    ),
    ("10 x 22 = 220", "10 x 22 = 220 sums 0", ["unexplained: the total is not net and tax"]),
    ("10 x 22 = 220", "12 x 22 = 264", []),
]


@pytest.mark.parametrize(("left", "right", "notes"), NOTES)
def test_notes_say_what_is_behind_a_cause(left: str, right: str, notes: list[str]) -> None:
    found = explain(read_line(left), read_line(right))
    assert [note.replace(".50 ", ".5 ").replace(".500 ", ".5 ") for note in found.notes] == notes


def test_a_moved_charge_names_its_key_and_its_causes() -> None:
    found = explain_moved(read_line("25 x 22 = 550"), read_line("26 x 22 = 572"), "SubscriptionId")
    assert found.causes == (CauseAmount(Cause.QUANTITY, Decimal(22)), CauseAmount(Cause.KEY_CHANGED, Decimal(0)))
    assert found.notes == ("key changed: SubscriptionId differs",)
    assert [found.amount, found.amount_of(Cause.QUANTITY), found.amount_of(Cause.TAX)] == [*map(Decimal, (22, 22, 0))]


def test_the_note_of_a_reason_is_kept() -> None:
    found = explain_one_sided(read_line("1 x 5 = 5"), Cause.CREDIT, on_the_right=True, note="CreditReasonCode SLA")
    assert found.notes == ("credit: CreditReasonCode SLA",)


def test_neither_side_tells_a_quantity() -> None:
    found = explain(Charge(Decimal(30)), Charge(Decimal(31)))
    assert found.causes == (CauseAmount(Cause.UNIT_PRICE, Decimal(1)),)


def test_one_side_tells_no_quantity() -> None:
    told = read_line("12 x 22 @ 0.846202666 = 223.32")
    assert explain(told, Charge(Decimal("223.32"))).causes == ()
    assert explain(told, Charge(Decimal("235.32"))).causes == (CauseAmount(Cause.UNIT_PRICE, Decimal(12)),)


UNTOLD = [
    # quantity, price, net of the left; of the right; causes
    ((None, "-3", "-30"), ("10", "-3", "-30"), {}),
    ((None, "-3", "-30"), ("-10", "3", "-30"), {}),
    ((None, "-3", "-3"), (None, "-4", "-4"), {"unit price": "-1"}),
    ((None, "-3", "-30"), ("10", "3", "30"), {"quantity": "60"}),
    ((None, None, "-30"), ("12", "-3", "-36"), {"unit price": "-6"}),
    ((None, None, "30"), ("0", "3", "0"), {"unexplained": "-30"}),
]


@pytest.mark.parametrize(("left", "right", "causes"), UNTOLD)
def test_a_quantity_that_is_not_told_is_the_other_sides(
    left: tuple[str | None, ...], right: tuple[str | None, ...], causes: dict[str, str]
) -> None:
    charges = [charge_from(*told) for told in (left, right)]
    found = causes_in(explain(*charges))
    assert found == {cause: Decimal(amount) for cause, amount in causes.items()}
    assert negated(causes_in(explain(*reversed(charges)))) == found


def charge_from(quantity: str | None, price: str | None, net: str | None) -> Charge:
    told = [None if text is None else Decimal(text) for text in (quantity, price)]
    return Charge(Decimal(net or 0), told[0], None, told[1])


def test_a_currency_without_cents_is_rounded_to_whole_amounts() -> None:
    left, right = read_line("3 x 1000 @ 1.4567 = 4368"), read_line("4 x 1000 @ 1.4567 = 5824")
    assert explain(left, right, unit=Decimal(1)).causes == (CauseAmount(Cause.QUANTITY, Decimal(1456)),)
    with pytest.raises(UsageError, match=r"0\.05 is not the smallest amount"):
        explain(left, right, unit=Decimal("0.05"))
