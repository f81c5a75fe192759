"""`counterfoil explain`: one line item, by its number or digest, or one difference, with its sentence."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from counterfoil import reconcile
from counterfoil.errors import CounterfoilError
from counterfoil.line_items.canonical import digest
from counterfoil.model import Kind
from counterfoil.reconcile.auditing.line_audit import broken_rules, reckoned
from counterfoil.reconcile.auditing.rounding_rules import ROUNDING_RULES
from counterfoil.reconcile.auditing.rule import Facts
from tests.cli.pulling import run
from tests.reconcile.sides import csv_file, licence, lines_file, usage
from tests.reconcile.test_quick_audit import MAKE

PRICED = {"EffectiveUnitPrice": "22", "BillableQuantity": "25", "PCToBCExchangeRate": "0.846202666"}
SEATS = licence("465.25", **PRICED)
DAILY = usage(
    "3.85170209009893",
    EffectiveUnitPrice="0.4573",
    UnitPrice="0.538",
    Quantity="9.0",
    PCToBCExchangeRate="0.935855890881",
    PricingPreTaxTotal="4.1157",
    PartnerEarnedCreditPercentage="15",
)


def sentences(line: str, side: str = "") -> list[str]:
    found = reconcile.explain_line(line, side)
    assert isinstance(found, reconcile.ExplainedLine)
    return [each.reckoning.sentence for each in found.amounts]


def test_a_line_item_is_found_by_number_and_by_digest(tmp_path: Path) -> None:
    side = str(
        csv_file(tmp_path / "a:b.csv", [licence("1", "0", "1", **PRICED | {"OrderId": "x"}), SEATS | {"OrderId": "y"}])
    )
    expected = ["22 x 0.846202666 = 18.616458652; cut: 18.61; x 25 = 465.25"]
    assert sentences(f"{side}:2") == expected
    found = reconcile.explain_line(f"{side}:2")
    assert isinstance(found, reconcile.ExplainedLine)
    assert (found.line_item, found.broken) == (2, ())
    assert found.digest == digest(found.attributes).hex()
    assert sentences(found.digest[:6].upper(), side) == sentences(found.digest, side) == expected
    first = reconcile.explain_line(f"{side}:1")
    assert isinstance(first, reconcile.ExplainedLine)
    assert (first.amounts[0].reckoning.is_known, first.broken) == (False, ("subtotal-licence",))


def test_daily_use_has_two_sentences(tmp_path: Path) -> None:
    assert sentences(f"{lines_file(tmp_path / 'use', [DAILY])}:1") == [
        "0.538 x 85 % = 0.4573; x 9.0 = 4.1157",
        "4.1157 x 0.935855890881 = 3.8517020900989317; to 14 decimals: 3.85170209009893",
    ]


@pytest.mark.parametrize(
    ("line", "side", "told"),
    [
        ("{}", "", "names no line item"),
        ("{}:0", "", "names no line item"),
        ("{}:x", "", "names no line item"),
        ("{}:3", "", "holds 2 line items, and no number 3"),
        ("3", "{}", "is not the beginning of a digest"),
        ("000000", "{}", "has a digest that begins with 000000"),
        ("nowhere:1", "", "There is no nowhere"),
    ],
)
def test_what_names_no_line_item_is_said(tmp_path: Path, line: str, side: str, told: str) -> None:
    path = str(lines_file(tmp_path / "side", [SEATS, SEATS]))
    with pytest.raises(CounterfoilError, match=told):
        reconcile.explain_line(line.format(path), side.format(path))


@pytest.mark.parametrize("kind", list(Kind), ids=str)
def test_what_the_audit_lets_pass_has_a_sentence_that_leads_to_the_amount(kind: Kind) -> None:
    r, checked = random.Random(f"sentences {kind}"), 0
    for _ in range(300):
        item = MAKE[kind](r)
        facts = Facts(kind, item)
        amounts = reckoned(item, kind)
        rules = [rule for rule in ROUNDING_RULES if kind in rule.kinds]
        for rule in rules:
            explained = rule.explain(facts)
            if explained is None or not explained.ways:
                continue
            [mine] = amounts[:1] if rule.id == "usage-pricing-total" else amounts[-1:]
            checked += 1
            assert mine.reckoning.is_known, (rule.id, item)
            assert mine.reckoning.result == facts.number(mine.attribute)
        ids = {rule.id for rule in broken_rules(item, kind)}
        assert ids >= {rule.id for rule in rules if rule.check is not None and rule.check(facts) is False}
    assert checked > 150


def result_folder(folder: Path) -> Path:
    """A result as `counterfoil reconcile --to` writes it, with two differences."""
    folder.mkdir()
    more = SEATS | {"BillableQuantity": "26", "Subtotal": "483.86"}
    lines = [{"difference": number, "lineItem": 7 * number, **SEATS} for number in (1, 2)]
    tables: dict[str, list[dict[str, Any]]] = {
        "differences": [
            {"number": 1, "difference": "0.00", "notes": []},
            {"number": 2, "difference": "18.61", "notes": ["quantity: one more"]},
        ],
        "causes": [{"difference": 2, "cause": "quantity", "amount": "18.61", "note": ""}],
        "left_lines": lines,
        "right_lines": [{"difference": 2, "lineItem": 3, **more}],
    }
    for name, rows in tables.items():
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{name}.parquet")
    return folder


def test_a_difference_is_explained_with_the_lines_of_both_sides(tmp_path: Path) -> None:
    folder = str(result_folder(tmp_path / "compared"))
    found = reconcile.explain_line("2", folder)
    assert isinstance(found, reconcile.ExplainedDifference)
    assert (found.difference, found.causes) == ("18.61", (("quantity", "18.61"),))
    assert [line.line_item for line in (*found.left, *found.right)] == [14, 3]
    assert found.right[0].amounts[0].reckoning.sentence.endswith("cut: 18.61; x 26 = 483.86")
    done = run("explain", "2", folder)
    assert "quantity: 18.61" in done.stdout
    assert "line item 14: Subtotal 22 x 0.846202666 = 18.616458652; cut: 18.61; x 25 = 465.25" in done.stdout
    assert json.loads(run("explain", "2", folder, "--output", "json").stdout)["number"] == 2
    for line, told in {"3": "holds no difference 3", "x": "is not the number of a difference"}.items():
        assert told in run("explain", line, folder).stderr
    (tmp_path / "compared" / "causes.parquet").write_bytes(b"no")
    assert "is not a table of a comparison" in run("explain", "2", folder).stderr


def test_the_command_names_the_rounding_and_the_rules_that_are_broken(tmp_path: Path) -> None:
    side = lines_file(tmp_path / "side", [SEATS | {"Total": "1"}])
    done = run("explain", f"{side}:1")
    assert "cut per unit" in done.stdout
    assert "Breaks" in done.stdout
    assert "total" in done.stdout
    told = json.loads(run("explain", f"{side}:1", "--output", "json").stdout)
    assert (told["lineItem"], told["breaks"], told["amounts"][0]["rounding"]) == (1, ["total"], "cut per unit")
    assert run("explain", f"{side}:2").exit_code == 2
