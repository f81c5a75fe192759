"""Breaks keep their identity from run to run, are settled by people and by credits, and are never lost or mixed."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from counterfoil import reconcile
from counterfoil.errors import UsageError
from counterfoil.model import Kind
from counterfoil.reconcile import Stage, breaks
from counterfoil.reconcile.breaks import found_breaks
from counterfoil.reconcile.explaining import arithmetic as exact
from counterfoil.reconcile.side_totals import shown
from tests.reconcile.comparisons import comparison, found
from tests.reconcile.kept_breaks import CREDIT, FIFTEEN, NOVEMBER, OCTOBER, SAME, TEN, TWELVE, compared, more, states
from tests.reconcile.sides import OTHER_PARTNER, licence, lines_file, pull_folder

MAPPING = """
[source]
file = "october.csv"
currency = "EUR"
[columns]
CustomerId = "Customer"
ProductId = "Item"
Subtotal = "Net"
"""


def test_a_re_run_finds_the_same_breaks_with_the_sides_in_either_order(tmp_path: Path) -> None:
    left, right = [SAME, TEN], [SAME, TWELVE, more("3", "3", SubscriptionId="s2")]
    assert compared(tmp_path, left, right).found == (1, 2)
    assert states(tmp_path) == {1: ("new", "3.00", "open"), 2: ("quantity", "2.00", "open")}
    breaks.note(tmp_path, 2, "asked", owner="finance")
    for swapped in (False, True, True, False):
        done = compared(tmp_path, left, right, swapped=swapped)
        assert (done.found, done.changed, done.reopened, done.resolved, done.unsettled) == ((), (), (), (), 2)
    assert states(tmp_path) == {1: ("new", "3.00", "open"), 2: ("quantity", "2.00", "open")}
    its = breaks.show(tmp_path, 2)
    assert (its.owner, its.note, len(its.history)) == ("finance", "asked", 2)


def test_another_amount_opens_what_was_accepted_or_explained_and_zero_resolves_it(tmp_path: Path) -> None:
    others = {name: {"SubscriptionId": name} for name in ("s1", "s2", "s3")}
    compared(tmp_path, [TEN | told for told in others.values()], [TWELVE | told for told in others.values()])
    accepted = breaks.accept(tmp_path, 1, note="small", amount="2.00", by="boris")
    assert (accepted.state, accepted.settled, accepted.history[-1].by) == ("accepted", Decimal(2), "boris")
    breaks.note(tmp_path, 2, "price list", is_explained=True)
    second = compared(
        tmp_path,
        [TEN | told for told in others.values()],
        [FIFTEEN | others["s1"], FIFTEEN | others["s2"], TEN | others["s3"]],
        swapped=True,
    )
    assert (second.reopened, second.resolved, second.unsettled) == ((1, 2), (3,), 2)
    assert states(tmp_path) == {
        1: ("quantity", "5.00", "open"),
        2: ("quantity", "5.00", "open"),
        3: ("quantity", "0.00", "resolved"),
    }
    resolved = breaks.show(tmp_path, 3)
    assert resolved.evidence is not None
    assert (resolved.evidence.lines, resolved.evidence.left.name[-18:]) == ((), "left-2026-10.jsonl")
    with pytest.raises(UsageError, match="is resolved"):
        breaks.accept(tmp_path, 3, note="why not")
    third = compared(tmp_path, [TEN | told for told in others.values()], [TWELVE | told for told in others.values()])
    assert (third.changed, third.reopened) == ((1, 2), (3,))


def test_a_later_credit_of_the_opposite_amount_resolves_with_its_lines_as_evidence(tmp_path: Path) -> None:
    compared(tmp_path, [SAME, TEN, TEN | {"SubscriptionId": "s2"}], [SAME, TWELVE, TWELVE | {"SubscriptionId": "s2"}])
    november = SAME | {"UsageDate": "2026-11-02T00:00:00Z"}
    no_reason = CREDIT | {"ChargeType": "", "SubscriptionId": "s2"}
    credited = [november, more("-2", "-2", **CREDIT), more("-2", "-2", **no_reason)]
    done = compared(tmp_path, [november], credited, period=NOVEMBER)
    assert (done.found, done.resolved) == ((3, 4), (1, 3))
    assert {number: each[2] for number, each in states(tmp_path).items()} == {
        1: "resolved",
        2: "open",  # nothing but a credit with a reason resolves
        3: "resolved",  # the credit itself
        4: "open",
    }
    evidence = breaks.show(tmp_path, 1).evidence
    assert evidence is not None
    assert [(line.side[-19:], line.part, line.attributes["ChargeType"]) for line in evidence.lines] == [
        ("right-2026-11.jsonl", "net", "customerCredit")
    ]
    assert breaks.show(tmp_path, 3).settles == (1,)
    again = compared(tmp_path, [november], credited, period=NOVEMBER, swapped=True)
    october = compared(tmp_path, [SAME, TEN], [SAME, TWELVE])
    assert (again.resolved, again.reopened, october.reopened) == ((), (), ())
    assert breaks.show(tmp_path, 2).state == "resolved"  # no longer there


def test_the_tax_of_a_credit_resolves_the_break_of_a_tax(tmp_path: Path) -> None:
    seats = {"BillableQuantity": "10", "UnitPrice": "10", "EffectiveUnitPrice": "10"}
    charged = licence("100", "20", "120", **seats)
    more_seats = licence("110", "22", "132", **seats | {"BillableQuantity": "11"})
    compared(tmp_path, [charged], [more_seats])
    november = charged | {"ChargeStartDate": "2026-11-01T00:00:00Z"}
    back = november | {"Subtotal": "-10", "TaxTotal": "-2", "Total": "-12", "CreditReasonCode": "Goodwill"}
    done = compared(tmp_path, [november], [november, back | {"ProductId": "p2"}], period=NOVEMBER)
    assert states(tmp_path) == {
        1: ("quantity", "10.00", "resolved"),
        2: ("tax", "2.00", "resolved"),
        3: ("credit", "-10.00", "resolved"),
        4: ("tax", "-2.00", "resolved"),
    }
    assert (done.resolved, done.unsettled) == ((1, 2, 3, 4), 0)
    evidence = [breaks.show(tmp_path, number).evidence for number in (1, 2)]
    assert [line.part for each in evidence if each is not None for line in each.lines] == ["net", "tax"]


def test_a_credit_that_goes_opens_what_it_settled_and_one_credit_settles_one_break(tmp_path: Path) -> None:
    compared(tmp_path, [SAME, TEN], [SAME, TWELVE])
    september = {"UsageDate": "2026-09-05T00:00:00Z"}
    compared(tmp_path, [SAME | september, TEN | september], [SAME | september, TWELVE | september], period="2026-09")
    november = SAME | {"UsageDate": "2026-11-02T00:00:00Z"}
    done = compared(tmp_path, [november], [november, more("-2", "-2", **CREDIT)], period=NOVEMBER)
    assert (done.resolved, breaks.show(tmp_path, 2).state) == ((1, 3), "open")
    done = compared(tmp_path, [november], [november, more("-3", "-3", **CREDIT)], period=NOVEMBER)
    assert set(done.reopened) == {1, 3}
    assert breaks.show(tmp_path, 1).evidence is None
    compared(tmp_path, [november], [november, more("-2", "-2", **CREDIT)], period=NOVEMBER)
    compared(tmp_path, [SAME, TEN], [SAME, FIFTEEN])
    assert {number: each[2] for number, each in states(tmp_path).items()} == {1: "open", 2: "open", 3: "open"}


def test_equal_credits_settle_as_many_breaks_as_there_are_and_a_re_run_changes_nothing(tmp_path: Path) -> None:
    for month in ("2026-08", "2026-09", OCTOBER):
        day = {"UsageDate": f"{month}-05T00:00:00Z"}
        compared(tmp_path, [SAME | day, TEN | day], [SAME | day, TWELVE | day], period=month)
    november = SAME | {"UsageDate": "2026-11-02T00:00:00Z"}
    credited = [november, *[more("-2", "-2", **CREDIT)] * 2]
    assert compared(tmp_path, [november], credited, period=NOVEMBER).resolved == (1, 2, 4)
    before = states(tmp_path)
    for swapped in (False, True):
        done = compared(tmp_path, [november], credited, period=NOVEMBER, swapped=swapped)
        assert (done.resolved, done.reopened, states(tmp_path)) == ((), (), before)


def test_credits_settle_together_unless_there_are_more_than_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    november = SAME | {"UsageDate": "2026-11-02T00:00:00Z"}
    parts = [more("-0.5", "-0.5", **CREDIT), more("-1.5", "-1.5", **CREDIT)]
    for most, state in ((1, "open"), (2, "resolved")):
        monkeypatch.setattr(found_breaks, "CREDIT_LINES_MAX", most)
        compared(tmp_path, [SAME, TEN], [SAME, TWELVE])
        compared(tmp_path, [november], [november, *parts], period=NOVEMBER)
        assert breaks.show(tmp_path, 1).state == state
    evidence = breaks.show(tmp_path, 1).evidence
    assert evidence is not None
    assert len(evidence.lines) == 2
    assert states(tmp_path)[2] == ("credit", "-2.00", "resolved")


def test_a_credit_settles_what_was_compared_the_other_way_round(tmp_path: Path) -> None:
    october = pull_folder(tmp_path / "october", [SAME, TWELVE], Kind.USAGE)
    november = SAME | {"UsageDate": "2026-11-02T00:00:00Z"}
    credited = pull_folder(tmp_path / "november", [november, more("-2", "-2", **CREDIT)], Kind.USAGE)
    mine = [lines_file(tmp_path / "a.jsonl", [SAME, TEN]), lines_file(tmp_path / "b.jsonl", [november])]
    with reconcile.compare(str(mine[0]), str(october)) as made:
        breaks.record(made, tmp_path)
    with reconcile.compare(str(credited), str(mine[1])) as made:
        breaks.record(made, tmp_path)
    assert {number: each[1:] for number, each in states(tmp_path).items()} == {
        1: ("2.00", "resolved"),
        2: ("2.00", "resolved"),
    }


def test_files_of_one_name_are_told_apart_by_their_folders_and_are_the_same_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, item in (("old", TEN), ("new", TWELVE)):
        (tmp_path / name).mkdir()
        lines_file(tmp_path / name / "a.jsonl", [SAME, item])
    monkeypatch.chdir(tmp_path)
    for one, other in (("old/a.jsonl", "new/a.jsonl"), (str(tmp_path / "new/a.jsonl"), "old/../old/a.jsonl")):
        with reconcile.compare(one, other) as made:
            breaks.record(made, tmp_path)
    assert states(tmp_path) == {1: ("quantity", "2.00", "open")}


def test_a_ledger_is_the_same_wherever_it_lies(tmp_path: Path) -> None:
    bill = lines_file(tmp_path / "bill.jsonl", [licence("20", "0", "20"), licence("5", "0", "5", ProductId="p2")])
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        (folder / "october.csv").write_text("Customer;Item;Net\nc1;p1;20.00\n", encoding="utf-8")
        (folder / "ledger.toml").write_text(MAPPING, encoding="utf-8")
        with reconcile.compare(str(bill), f"ledger:{folder / 'ledger.toml'}") as made:
            breaks.record(made, tmp_path)
    [its] = breaks.listed(tmp_path)
    assert (its.amount, its.subject.right, its.subject.right_role) == (Decimal(-5), "ledger.toml", "ledger")


def test_an_earlier_credit_one_of_another_customer_and_an_accepted_break_settle_nothing(tmp_path: Path) -> None:
    september = SAME | {"UsageDate": "2026-09-02T00:00:00Z"}
    compared(tmp_path, [SAME, TEN], [SAME, TWELVE])
    early = more("-2", "-2", **CREDIT | {"UsageDate": "2026-09-05T00:00:00Z"})
    compared(tmp_path, [september], [september, early], period="2026-09")
    november = SAME | {"UsageDate": "2026-11-02T00:00:00Z"}
    foreign = more("-2", "-2", **CREDIT | {"CustomerId": "c2"})
    compared(tmp_path, [november, november | {"CustomerId": "c2"}], [november, foreign], period=NOVEMBER)
    assert breaks.show(tmp_path, 1).state == "open"
    breaks.accept(tmp_path, 1, note="small")
    compared(tmp_path, [november], [november, more("-2", "-2", **CREDIT)], period=NOVEMBER)
    assert breaks.show(tmp_path, 1).state == "accepted"


def test_all_breaks_together_are_the_difference_also_where_a_line_item_moved(tmp_path: Path) -> None:
    moved = [
        found(1, [TEN], [TWELVE | {"SubscriptionId": "s2"}], {"quantity": "2", "key changed": "0"}, stage=Stage.MOVED),
        found(2, [], [more("1.005", "1")], {"new": "1.005"}, stage=Stage.ONE_SIDE),
        found(3, [TEN], [TEN], {}, stage=Stage.WORDS),
    ]
    with comparison(tmp_path / "result", moved, equal=[SAME]) as made:
        breaks.record(made, tmp_path)
        kept = breaks.listed(tmp_path)
        assert exact.total(each.amount for each in kept) == made.difference
    told = {(each.cause.value, each.subscription, shown(each.amount)) for each in kept}
    assert told == {
        ("key changed", "s1", "-11.00"),
        ("key changed", "s2", "11.00"),
        ("quantity", "s1", "1.00"),
        ("quantity", "s2", "1.00"),
        ("new", "s1", "1.005"),
    }


def test_breaks_are_found_by_all_that_tells_them_apart_and_a_partner_is_forgotten(tmp_path: Path) -> None:
    compared(tmp_path, [SAME, TEN], [SAME, TWELVE, more("90", "90", CustomerId="c2", CustomerName="Fabrikam")])
    others = [{**item, "PartnerId": OTHER_PARTNER} for item in (SAME, TEN, TWELVE)]
    compared(tmp_path, others[:2], [others[0], others[2]])
    assert [each.amount for each in breaks.listed(tmp_path)] == [Decimal(90), Decimal(2), Decimal(2)]
    breaks.note(tmp_path, 2, owner="finance")

    def numbers(**wanted: object) -> list[int]:
        return [each.number for each in breaks.listed(tmp_path, **wanted)]  # type: ignore[arg-type]

    assert numbers(cause="quantity") == [2, 3]
    assert numbers(customer="fabrikam") == numbers(customer="C2") == numbers(at_least="-90") == [1]
    assert numbers(partner=OTHER_PARTNER.upper()) == [3]
    assert numbers(owner="finance", states=["open"], subscription="S1", period=OCTOBER) == [2]
    assert numbers(states=["accepted"]) == numbers(period=NOVEMBER) == []
    assert (breaks.forget_partner(tmp_path, OTHER_PARTNER), numbers()) == (1, [1, 2])
    compared(tmp_path, others[:2], [others[0], others[2]])
    assert numbers() == [1, 2, 4]  # no number is given twice
