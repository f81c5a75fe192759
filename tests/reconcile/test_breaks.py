"""Breaks keep their identity from run to run, are settled by people and by credits, and are never lost or mixed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest

from counterfoil import reconcile
from counterfoil.disk import documents
from counterfoil.disk.file_lock import FileLock
from counterfoil.errors import CounterfoilError, DamagedError, LockedError, MissingError, NewerDataError, UsageError
from counterfoil.model import Kind
from counterfoil.reconcile import Comparing, Stage, breaks
from counterfoil.reconcile.breaks import BREAKS_FILE, Break, RecordedBreaks, break_file
from counterfoil.reconcile.explaining import arithmetic as exact
from counterfoil.reconcile.side_totals import shown
from tests.reconcile.comparisons import comparison, found
from tests.reconcile.sides import OTHER_PARTNER, Item, licence, lines_file, pull_folder, usage

OCTOBER, NOVEMBER = "2026-10", "2026-11"
CREDIT = {"ChargeType": "customerCredit", "UsageDate": "2026-11-05T00:00:00Z"}


def compared(
    folder: Path, left: Iterable[Item], right: Iterable[Item], *, period: str = OCTOBER, swapped: bool = False
) -> RecordedBreaks:
    """Write two files, named alike in each run of a period, compare them and keep the breaks beside them."""
    files = [lines_file(folder / f"{side}-{period}.jsonl", items) for side, items in (("left", left), ("right", right))]
    one, other = map(str, reversed(files) if swapped else files)
    with reconcile.compare(one, other, comparing=Comparing.REVISIONS, period=period) as made:
        return breaks.record(made, folder, by="tester")


def states(folder: Path) -> dict[int, tuple[str, str, str]]:
    return {each.number: (each.cause.value, shown(each.amount), each.state.value) for each in breaks.listed(folder)}


def more(amount: str, quantity: str, **told: str) -> dict[str, str]:
    """A line item of one unit price, 1, so that another quantity is the cause of a difference."""
    price = {"UnitPrice": "1", "EffectiveUnitPrice": "1", "Quantity": quantity, "PricingCurrency": "EUR"}
    return usage(amount) | price | {"PricingPreTaxTotal": amount} | told


TEN, TWELVE, FIFTEEN = more("10", "10"), more("12", "12"), more("15", "15")
SAME = more("7", "7", SubscriptionId="s9")


def test_a_re_run_finds_the_same_breaks_with_the_sides_in_either_order(tmp_path: Path) -> None:
    left, right = [SAME, TEN], [SAME, TWELVE, more("3", "3", SubscriptionId="s2")]
    assert compared(tmp_path, left, right).found == (1, 2)
    assert states(tmp_path) == {1: ("new", "3.00", "open"), 2: ("quantity", "2.00", "open")}
    breaks.note(tmp_path, 2, "asked", owner="anna")
    for swapped in (False, True, True, False):
        done = compared(tmp_path, left, right, swapped=swapped)
        assert (done.found, done.changed, done.reopened, done.resolved, done.unsettled) == ((), (), (), (), 2)
    assert states(tmp_path) == {1: ("new", "3.00", "open"), 2: ("quantity", "2.00", "open")}
    its = breaks.show(tmp_path, 2)
    assert (its.owner, its.note, len(its.history)) == ("anna", "asked", 2)


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
    breaks.note(tmp_path, 2, owner="anna")

    def numbers(**wanted: object) -> list[int]:
        return [each.number for each in breaks.listed(tmp_path, **wanted)]  # type: ignore[arg-type]

    assert numbers(cause="quantity") == [2, 3]
    assert numbers(customer="fabrikam") == numbers(customer="C2") == numbers(at_least="-90") == [1]
    assert numbers(partner=OTHER_PARTNER.upper()) == [3]
    assert numbers(owner="anna", states=["open"], subscription="S1", period=OCTOBER) == [2]
    assert numbers(states=["accepted"]) == numbers(period=NOVEMBER) == []
    assert (breaks.forget_partner(tmp_path, OTHER_PARTNER), numbers()) == (1, [1, 2])
    compared(tmp_path, others[:2], [others[0], others[2]])
    assert numbers() == [1, 2, 4]  # no number is given twice


def seal(folder: Path, change: Callable[[dict[str, object]], object], version: int = 1) -> None:
    """Change the file of breaks as a program would that seals it anew."""
    body = json.loads((folder / BREAKS_FILE).read_bytes())
    del body[documents.DIGEST]
    body[documents.VERSION] = version
    change(body)
    (folder / BREAKS_FILE).write_text(json.dumps(body | {documents.DIGEST: documents.digest_of(body)}))


def test_a_file_that_is_not_as_it_was_written_is_refused_and_left_alone(tmp_path: Path) -> None:
    compared(tmp_path, [SAME, TEN], [SAME, TWELVE])
    path = tmp_path / BREAKS_FILE
    sound = path.read_bytes()
    wrong = [b"", b"[]", sound[:-9], sound.replace(b'"amount": "2.00"', b'"amount": "3.00"', 1), b"\xff" + sound]
    for data in wrong:
        path.write_bytes(data)
        for use in (lambda: breaks.listed(tmp_path), lambda: breaks.note(tmp_path, 1, "x")):
            with pytest.raises(DamagedError, match=r"breaks\.json is damaged"):
                use()
        assert path.read_bytes() == data
    path.write_bytes(sound)
    seal(tmp_path, lambda body: body.update(next_number=1))
    with pytest.raises(DamagedError, match="not in order"):
        breaks.listed(tmp_path)
    seal(tmp_path, lambda _: None, version=2)
    with pytest.raises(NewerDataError, match="newer Counterfoil"):
        breaks.listed(tmp_path)


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "no such break": (lambda at: breaks.show(at, 9), "no break 9"),
    "another amount": (lambda at: breaks.accept(at, 1, note="x", amount="2.01"), r"about 2\.00 EUR, and not 2\.01"),
    "no amount": (lambda at: breaks.accept(at, 1, note="x", amount="2,00"), "not an amount"),
    "no reason": (lambda at: breaks.accept(at, 1, note=" "), "why it was accepted"),
    "nothing": (lambda at: breaks.note(at, 1), "nothing to note"),
    "too long": (lambda at: breaks.note(at, 1, "x" * 2_001), "too long"),
    "no text": (lambda at: breaks.note(at, 1, "\udcff"), "no text"),
    "no state": (lambda at: breaks.listed(at, states=["shut"]), "no state"),
    "no cause": (lambda at: breaks.listed(at, cause="weather"), "no cause"),
    "no folder": (lambda at: breaks.listed(at / "none"), "no folder"),
}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kept")
    compared(folder, [SAME, TEN], [SAME, TWELVE])
    return folder


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_right_is_refused(kept: Path, case: str) -> None:
    use, told = WRONG[case]
    before = (kept / BREAKS_FILE).read_bytes()
    with pytest.raises(CounterfoilError, match=told):
        use(kept)
    assert (kept / BREAKS_FILE).read_bytes() == before


def test_an_unknown_number_is_missing_and_more_breaks_than_a_file_keeps_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MissingError, match="none are recorded there"):
        breaks.note(tmp_path, 1, "x")
    monkeypatch.setattr(break_file, "BREAKS_MAX", 0)
    with pytest.raises(UsageError, match="at most 0"):
        compared(tmp_path, [SAME, TEN], [SAME, TWELVE])
    assert not (tmp_path / BREAKS_FILE).exists()


NOTE = "import sys; from counterfoil.reconcile import breaks; breaks.note(sys.argv[1], 1, sys.argv[2])"


def test_of_many_at_once_none_loses_what_another_noted(tmp_path: Path) -> None:
    """The lock is of an open file, so threads are to each other as processes are."""
    compared(tmp_path, [SAME, TEN], [SAME, TWELVE])
    with ThreadPoolExecutor(8) as threads:
        for _ in threads.map(lambda at: breaks.note(tmp_path, 1, str(at)), range(16)):
            pass
    assert {event.note for event in breaks.show(tmp_path, 1).history} == {"", *map(str, range(16))}


def test_a_lock_that_is_held_for_long_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("counterfoil.disk.file_lock.PATIENCE_S", 0.05)
    with FileLock.take(tmp_path / ".breaks.lock"), pytest.raises(LockedError, match="Another process"):
        breaks.note(tmp_path, 1, "x")


def test_a_process_killed_before_the_last_step_leaves_what_was_there(tmp_path: Path) -> None:
    compared(tmp_path, [SAME, TEN], [SAME, TWELVE])
    before = (tmp_path / BREAKS_FILE).read_bytes()
    kill = f"import os, pathlib; pathlib.Path.replace = lambda *_: os.kill(os.getpid(), {signal.SIGKILL:d}); "
    killed = subprocess.run([sys.executable, "-c", kill + NOTE, str(tmp_path), "lost"], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / BREAKS_FILE).read_bytes() == before
    assert breaks.note(tmp_path, 1, "again").history[-1].note == "again"


def test_what_cannot_be_written_is_told_and_nothing_is_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compared(tmp_path, [SAME, TEN], [SAME, TWELVE])
    before = (tmp_path / BREAKS_FILE).read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CounterfoilError, match="No space left"):
        breaks.note(tmp_path, 1, "x")
    assert (tmp_path / BREAKS_FILE).read_bytes() == before


def test_a_break_says_all_of_itself_in_json(kept: Path) -> None:
    [its] = breaks.listed(kept)
    assert isinstance(its, Break)
    told = its.to_json()
    assert (told["amount"], told["settledAmount"], told["state"], told["period"]) == ("2.00", None, "open", OCTOBER)
    assert json.loads(json.dumps(told)) == told
