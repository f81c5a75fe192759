"""The workbook of a comparison: numbers, exact texts and stored sums are those of the JSON, and texts stay texts."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from openpyxl.utils.escape import unescape

from counterfoil import numbers
from counterfoil.reconcile import Comparison
from counterfoil.reconcile.explaining import arithmetic as exact
from counterfoil.reconcile.reports import comparison_workbook
from tests.reconcile import made_reports as made

Rows = list[list[Any]]


def seen(path: Path, *, computed: bool = True) -> dict[str, Rows]:
    """The cells of each sheet: stored results, or formulas."""
    book = openpyxl.load_workbook(path, data_only=computed)
    return {sheet.title: [list(row) for row in sheet.iter_rows(values_only=True)] for sheet in book.worksheets}


def close(number: Any, wanted: str | Decimal) -> bool:
    """Whether a number of Excel is an exact amount, as far as 15 digits go."""
    return exact.subtract(numbers.exact(format(number, ".15g")), Decimal(wanted)).copy_abs() < Decimal("0.000001")


def table(rows: Rows) -> tuple[list[str], Rows, list[Any]]:
    """Headings, rows, and the row of sums below them."""
    return rows[0], rows[1:-1], rows[-1]


def column(rows: Rows, at: int) -> Decimal:
    return numbers.total(format(row[at], "f") for row in rows if row[at] is not None)


@pytest.mark.parametrize("make", [made.two_causes, made.many, made.hostile], ids=lambda make: make.__name__)
def test_the_numbers_and_stored_sums_are_those_of_the_json(make: Callable[[Path], Comparison], tmp_path: Path) -> None:
    path = tmp_path / "report.xlsx"
    with make(tmp_path / "result") as comparison:
        document: dict[str, Any] = comparison.to_json()
        comparison.write_workbook(path)
    sheets = seen(path)
    assert [*sheets] == ["Summary", "By customer", "By subscription", "Lines", "About", "Chart data"]
    by_title = {row[0]: row for row in sheets["Summary"] if row[0]}
    begin = next(at for at, row in enumerate(sheets["Summary"]) if row[0] == "Why")
    left, *causes = sheets["Summary"][begin + 1 : begin + 2 + len(document["causes"])]
    right = sheets["Summary"][begin + 2 + len(document["causes"])]
    assert (left[2], right[2]) == (document["left"]["total"], document["right"]["total"])
    assert [row[2] for row in causes] == [each["amount"] for each in document["causes"]]
    for row in (left, *causes, right, by_title["Difference"]):
        assert close(row[1], row[2])
    assert close(right[4], document["right"]["total"])
    assert by_title["Excel's sum less the exact total"][1] == 0
    for by in ("customer", "subscription"):
        headings, rows, sums = table(sheets[f"By {by}"])
        listed = document[f"by{by.capitalize()}"]
        assert [(unescape(row[0]), row[5]) for row in rows[: len(listed)]] == [
            (each["key"], each["difference"]) for each in listed
        ]
        for at, text in ((2, document["left"]["total"]), (3, document["right"]["total"]), (4, document["difference"])):
            assert close(sums[at], text)
        for at, each in zip(range(6, len(headings)), document["causes"], strict=True):
            assert close(sums[at], each["amount"])


def test_sums_are_formulas_and_causes_lead_to_their_first_line(tmp_path: Path) -> None:
    path = tmp_path / "report.xlsx"
    with made.two_causes(tmp_path / "result") as comparison:
        comparison.write_workbook(path)
    sheets = seen(path, computed=False)
    formulas = [row[1] for row in sheets["Summary"] if str(row[1]).startswith("=")]
    assert formulas[:2] == ["=SUM(B6:B8)", "=B9-B6"]
    assert [row[4] for row in sheets["Summary"][5:9]] == ["=B6", "=E6+B7", "=E7+B8", "=E8"]
    assert sheets["By customer"][-1][4] == "=SUBTOTAL(109,E2:E4)"
    assert sheets["Lines"][-1][11] == "=SUBTOTAL(109,L2:L3)"
    summary = openpyxl.load_workbook(path)["Summary"]
    places = {cell.value: cell.hyperlink.location for row in summary for cell in row if cell.hyperlink}
    assert places == {"Missing line items": "'Lines'!A2", "Quantity": "'Lines'!A3"}
    headings, *lines = sheets["Lines"]
    assert [row[headings.index("Quantity")] for row in lines[:2]] == [None, 55]
    assert [row[headings.index("Notes")] for row in lines[:2]] == [
        "Missing line items: as made by hand",
        "Quantity: as made by hand",
    ]


def test_texts_of_strangers_are_never_formulas_and_long_ones_are_cut(tmp_path: Path) -> None:
    path = tmp_path / "report.xlsx"
    with made.hostile(tmp_path / "result") as comparison:
        comparison.write_workbook(path)
    for name, sheet in ((each.title, each) for each in openpyxl.load_workbook(path).worksheets):
        for row in sheet.iter_rows():
            for cell in row:
                assert (
                    cell.data_type != "f"
                    or str(cell.value)[:5] in {"=SUBT", "=SUM(", "=ROUN"}
                    or name
                    in {
                        "Summary",
                        "Chart data",
                    }
                ), cell.value
                assert cell.hyperlink is None or cell.hyperlink.target is None
    names = {row[1] for row in seen(path)["By customer"]}
    assert {made.FORMULA, made.HOSTILE} <= names
    assert "i" * 5_000 in names


def test_margins_have_a_sheet_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "report.xlsx"
    with made.with_margins(tmp_path / "result") as comparison:
        assert comparison.margins is not None
        total = comparison.margins.total
        comparison.write_workbook(path)
    _, rows, sums = table(seen(path)["Margin"])
    assert rows[0][:6] == ["c2", made.FORMULA, 0, 100, -100, "-100.00"]
    assert len(rows) == 32
    for at, amount in ((2, total.revenue), (3, total.cost), (4, total.margin), (6, total.bought_not_sold)):
        assert close(sums[at], amount)
    assert seen(path, computed=False)["Margin"][1][4] == "=C2-D2"


def test_the_largest_lines_are_there_and_the_others_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison_workbook, "LINES_MAX", 20)
    path = tmp_path / "report.xlsx"
    with made.many(tmp_path / "result") as comparison:
        largest = [each.number for each in comparison.differences(limit=20)]
        comparison.write_workbook(path)
    sheets = seen(path)
    _, lines, _ = table(sheets["Lines"])
    assert [row[0] for row in lines] == largest
    told = {row[0]: row[1] for row in sheets["About"]}
    assert told["Differences that are not in this workbook"].startswith("40.")


def test_the_same_comparison_gives_the_same_bytes(tmp_path: Path) -> None:
    with made.two_causes(tmp_path / "result") as comparison:
        comparison.write_workbook(tmp_path / "a.xlsx")
        comparison.write_workbook(tmp_path / "b.xlsx")
    assert (tmp_path / "a.xlsx").read_bytes() == (tmp_path / "b.xlsx").read_bytes()


@pytest.mark.parametrize(
    ("left", "right", "bars"),
    [
        # Far from zero the bars begin beside it, and none is below its base.
        ("100.00", "90.00", [[0, 20, 0, 0], [10, 0, 0, 10], [0, 10, 0, 0]]),
        ("10.00", "15.00", [[0, 10, 0, 0], [10, 0, 5, 0], [0, 15, 0, 0]]),
        ("-10.00", "5.00", [[0, 10, 0, 0], [0, 0, 15, 0], [10, 5, 0, 0]]),
    ],
)
def test_the_bridge_is_stacked_on_a_base_that_is_never_below_zero(
    left: str, right: str, bars: list[list[int]], tmp_path: Path
) -> None:
    path = tmp_path / "report.xlsx"
    apart = numbers.plain(exact.subtract(Decimal(right), Decimal(left)))
    with made.of_invoice(tmp_path / "r", [made.differing(1, left, right, {"quantity": apart})]) as comparison:
        comparison.write_workbook(path)
    assert [row[1:] for row in seen(path)["Chart data"][2:]] == bars
