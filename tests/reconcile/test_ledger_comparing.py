"""The provider's bill against one's own ledger: summed by what the ledger tells, explained, and what was earned."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from counterfoil.errors import CounterfoilError
from counterfoil.reconcile import Comparison, Stage, compare
from counterfoil.reconcile.ledger_matching import ledger_matcher
from tests.cli.pulling import run
from tests.reconcile.ledgers import COLUMNS, HEADER, ledger_csv, mapping_file
from tests.reconcile.sides import PARTNER, licence, lines_file, usage
from tests.reconcile.test_side_totals import EXACT, added

BY_CUSTOMER = {"CustomerId": "Kunde", "Subtotal": "Betrag"}


def seats(
    customer: str, product: str, quantity: str, price: str, net: str, tax: str = "0", total: str = "", **more: str
) -> dict[str, str]:
    told = {"BillableQuantity": quantity, "EffectiveUnitPrice": price, "UnitPrice": price, "PCToBCExchangeRate": "1"}
    ids = {
        "CustomerId": customer,
        "CustomerName": f"{customer} Ltd",
        "SubscriptionId": f"s-{product}",
        "ProductId": product,
    }
    return licence(net, tax, total or net, **ids, **told, **more)


BILL = [
    seats("c1", "p1", "25", "22", "550.00", "104.50", "654.50"),
    seats("c2", "p2", "3", "8", "24.00", "4.56", "28.56"),
]


def compared(folder: Path, bill: Sequence[dict[str, str]], rows: Iterable[Sequence[str]], **mapped: Any) -> Comparison:
    header = mapped.pop("header", HEADER)
    mapping = mapping_file(folder / "m.toml", **mapped)
    sides = str(lines_file(folder / "bill", bill)), str(ledger_csv(folder / "ledger", rows, header))
    return compare(*sides, mapping=mapping)


def told(found: Comparison) -> dict[str, str]:
    return {cause.value: format(EXACT.plus(total.amount), "f") for cause, total in found.causes.items()}


def test_what_was_bought_and_sold_is_compared_and_the_margin_is_exact(tmp_path: Path) -> None:
    rows = [("c1", "s-p1", "p1", "20", "440.00", "600.00"), ("c1", "s-p1", "p1", "4", "88.00", "")]
    with compared(tmp_path, BILL, rows, sale="VK") as found:
        assert told(found) == {"vanished": "-24.00", "quantity": "-22.00"}
        assert dict(found.stages) == {Stage.SAME_CHARGE: 1, Stage.ONE_SIDE: 1}
        document: Any = found.to_json()
    margins = document["margins"]
    assert {name: margins[name] for name in ("revenue", "cost", "margin", "boughtNotSold", "soldNotBought")} == {
        "revenue": "600.00",
        "cost": "574.00",
        "margin": "26.00",
        "boughtNotSold": "24.00",
        "soldNotBought": "0.00",
    }
    assert [(each["key"], each["name"], each["margin"]) for each in margins["byCustomer"]] == [
        ("c2", "c2 Ltd", "-24.00"),
        ("c1", "c1 Ltd", "50.00"),
    ]
    assert [each["key"] for each in margins["byProduct"]] == ["p2", "p1"]
    assert document["difference"] == "-46.00"
    assert not document["warnings"]


# The bill, the rows of the ledger, what is mapped, and the causes.
CASES: dict[str, tuple[list[dict[str, str]], list[tuple[str, ...]], dict[str, Any], dict[str, str]]] = {
    "equal": (BILL, [("C1", "s-p1", "P1", "25", "550", ""), ("c2", "s-p2", "p2", "3", "24.0", "")], {}, {}),
    "several lines for one charge": (
        BILL[:1],
        [("c1", "s-p1", "p1", "20", "440", ""), ("c1", "s-p1", "p1", "6", "132.00", "")],
        {},
        {"quantity": "22.00"},
    ),
    "several charges for one line": (
        [usage("0.7557755601753388215", Quantity="2"), usage("1.5", Quantity="1", UsageDate="2026-10-06T00:00:00Z")],
        [("c1", "s1", "p1", "3", "2.26", "")],
        {},
        {"rounding": "0.0042244398246611785"},
    ),
    "a coarser key": (
        BILL,
        [("c1", "", "", "", "549.00", ""), ("c2", "", "", "", "24", "")],
        {"columns": BY_CUSTOMER},
        {"unit price": "-1.00"},
    ),
    "a refund with its sign on the price": (
        [seats("c1", "p1", "10", "-3", "-30.00"), seats("c1", "p1", "12", "3", "36.00")],
        [("c1", "s-p1", "p1", "2", "6.00", "")],
        {},
        {},
    ),
    "dearer": (BILL[:1], [("c1", "s-p1", "p1", "25", "575", "")], {}, {"unit price": "25.00"}),
    "with tax": (
        BILL[:1],
        [("c1", "s-p1", "p1", "25", "550", "110")],
        {"columns": COLUMNS | {"TaxTotal": "VK"}},
        {"tax": "5.50"},
    ),
    "with tax alone": (
        BILL,
        [("c1", "", "", "", "654.50", ""), ("c2", "", "", "", "28.57", "")],
        {"columns": {"CustomerId": "Kunde", "Total": "Betrag"}},
        {"unit price": "0.01"},
    ),
    "names in place of ids": (
        BILL,
        [("C1 LTD", "", "", "25", "550", ""), ("c2 Ltd", "", "", "3", "27", "")],
        {"columns": {"CustomerName": "Kunde", "Quantity": "Menge", "Subtotal": "Betrag"}},
        {"unit price": "3.00"},
    ),
    "sold, and not bought": (
        BILL[:1],
        [("c1", "s-p1", "p1", "25", "550", ""), ("c1", "s-x", "x", "1", "5", "")],
        {},
        {"new": "5.00"},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_ledger_differs_for_a_reason_and_with_the_sides_swapped_for_its_opposite(tmp_path: Path, name: str) -> None:
    bill, rows, mapped, causes = CASES[name]
    with compared(tmp_path, bill, rows, **mapped) as found:
        assert told(found) == causes
        assert found.is_equal == (not causes)
    opposite = {"vanished": "new", "new": "vanished"}
    ledger_first = compare(f"ledger:{tmp_path / 'ledger'}", str(tmp_path / "bill"), mapping=tmp_path / "m.toml")
    with ledger_first:
        assert told(ledger_first) == {
            opposite.get(cause, cause): format(Decimal(amount).copy_negate(), "f") for cause, amount in causes.items()
        }


@pytest.mark.parametrize("seed", range(2))
def test_sums_are_those_of_adding_one_by_one_whatever_the_parts(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = random.Random(seed)
    amounts = [f"{drawn.randint(-999, 9999)}.{drawn.randint(0, 10**15):015d}" for _ in range(150)]
    bill = [usage(each, CustomerId=f"c{drawn.randint(0, 9)}", ProductId=f"p{drawn.randint(0, 3)}") for each in amounts]
    rows = [
        (f"c{drawn.randint(0, 12)}", "s1", f"p{drawn.randint(0, 3)}", "1", f"{drawn.randint(-99, 999)}.5", "7.25")
        for _ in range(80)
    ]
    with compared(tmp_path, bill, rows, sale="VK") as found:
        first = found.to_json(), [each.to_json() for each in found.differences()]
    by_key: dict[tuple[str, str], tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    for item in bill:
        by_key[item["CustomerId"], item["ProductId"]][0].append(item["BillingPreTaxTotal"])
    for row in rows:
        by_key[row[0], row[2]][1].append(row[4])
    expected = {key: EXACT.subtract(added(theirs), added(mine)) for key, (mine, theirs) in by_key.items()}
    seen: dict[tuple[str, str], Decimal] = {}
    for each in first[1]:
        line: Any = (each["right"] or each["left"])[0]  # type: ignore[index]
        seen[line["CustomerId"], line["ProductId"]] = Decimal(str(each["difference"]))
    assert seen == {key: amount for key, amount in expected.items() if amount}
    assert Decimal(str(first[0]["difference"])) == added(format(each, "f") for each in expected.values())
    monkeypatch.setattr(ledger_matcher.LedgerMatching.__init__, "__kwdefaults__", {"lines_in_a_part": 20})
    with compare(str(tmp_path / "bill"), str(tmp_path / "ledger"), mapping=tmp_path / "m.toml") as again:
        second = again.to_json(), [each.to_json() for each in again.differences()]

    def in_order(found: list[dict[str, object]]) -> list[str]:
        return sorted(json.dumps({name: each[name] for name in each if name != "number"}) for each in found)

    assert in_order(first[1]) == in_order(second[1])
    assert first[0] == second[0]


REFUSED: list[tuple[list[tuple[str, ...]], dict[str, Any], dict[str, Any], str]] = [
    ([("c9", "s", "p", "1", "5", "")], {}, {}, "have nothing in common by CustomerId, SubscriptionId, ProductId"),
    ([("c1", "s", "p", "1", "5", "")], {"source": {"currency": "USD"}}, {}, "amounts in two currencies cannot"),
    ([("c1", "s", "p", "1", "5", "")], {}, {"comparing": "copy"}, "is a ledger, which is not compared as copy"),
    ([("c1", "s", "p", "1", "5", "")], {}, {"period": "2026-11"}, "holds no line item of 2026-11"),
    ([], {}, {}, "holds no line"),
]


@pytest.mark.parametrize(("rows", "mapped", "asked", "message"), REFUSED, ids=[str(at) for at in range(len(REFUSED))])
def test_what_is_no_answer_is_refused(
    tmp_path: Path, rows: list[tuple[str, ...]], mapped: dict[str, Any], asked: dict[str, Any], message: str
) -> None:
    mapping = mapping_file(tmp_path / "m.toml", **mapped)
    sides = str(lines_file(tmp_path / "bill", BILL)), str(ledger_csv(tmp_path / "ledger", rows))
    with pytest.raises(CounterfoilError, match=message) as raised:
        compare(*sides, mapping=mapping, **asked)
    assert raised.value.remedy


def test_sides_that_cannot_be_a_bill_and_a_ledger_are_refused(tmp_path: Path) -> None:
    bill = str(lines_file(tmp_path / "bill", BILL))
    mapping = mapping_file(tmp_path / "m.toml", {"file": "ledger"})
    ledger = str(ledger_csv(tmp_path / "ledger"))
    for left, right, asked, message in (
        (f"ledger:{mapping}", f"ledger:{mapping}", {}, "are both ledgers"),
        ("invoice:G1", "invoice:G2", {"mapping": mapping}, "Neither side is a file"),
        (bill, bill, {"comparing": "ledger"}, "is a ledger"),
        (bill, f"ledger:{ledger}", {}, "needs a mapping"),
        (bill, f"ledger:{tmp_path}", {}, "is a folder"),
        (bill, "ledger:", {}, "names no ledger"),
        (bill, "ledger:none.toml", {}, "There is no none.toml"),
    ):
        with pytest.raises(CounterfoilError, match=message):
            compare(left, right, **asked)


def test_the_command_shows_what_was_earned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mapping_file(tmp_path / "m.toml", {"file": "ledger", "totals": "skip"}, sale="VK")
    lines_file(tmp_path / "bill", BILL)
    rows = [
        ("c1", "s-p1", "p1", "25", "550", "600"),
        ("c3", "s-p1", "p1", "1", "22", "30"),
        ("Total", "", "", "26", "572", "630"),
    ]
    ledger_csv(tmp_path / "ledger", rows)
    done = run("reconcile", "bill", "ledger:m.toml", "--as", "ledger", "--partner", PARTNER)
    assert done.exit_code == 3
    assert "Margin by customer" in done.stdout
    assert "1 row of totals was left out (row 4)" in " ".join(done.stdout.split())
    told = json.loads(run("reconcile", "bill", "ledger", "--mapping", "m.toml", "--output", "json").stdout)
    assert (told["comparison"], told["margins"]["soldNotBought"], told["margins"]["boughtNotSold"]) == (
        "ledger",
        "30.00",
        "24.00",
    )
