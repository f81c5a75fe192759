"""A workbook adds up: over all sheets of line items, in each table, and to what *Summary* says of the difference."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Final

import pytest

from counterfoil.client.output_files.breakdown import Breakdown, groupings_of
from counterfoil.client.output_files.workbook import write_workbook
from counterfoil.columns import table_of
from counterfoil.model import Kind
from tests.client.sheets import Cell, batch_of, cells_of, generated, sheets_of, table_in

ROWS: Final = 1_000
TABLES: Final = ("By customer", "By product", "By subscription", "By day")
# Price by quantity by rate, unrounded as real usage has it: no amount fits into 15 digits.
UNROUNDED: Final = [f"{number % 97}.{(number * 7919) % 10**6:06}123456789012345678" for number in range(1, ROWS)]


def added(rows: Iterable[Mapping[str, Cell]], heading: str) -> Decimal:
    """Return the sum of the number cells of a column; a text in it would be missing, as in Excel."""
    with localcontext(prec=80):
        return sum((Decimal(row[heading][1]) for row in rows if row[heading][0] == "number"), Decimal(0))


def exactly(texts: Iterable[str | None]) -> Decimal:
    with localcontext(prec=80):
        return sum((Decimal(text or 0) for text in texts), Decimal(0))


def totals_in(path: Path) -> dict[tuple[str, str], tuple[Decimal, Decimal, Decimal]]:
    """Return what *Summary* says, by amount and currency: the exact total, Excel's, and the difference."""
    return {
        (row["A"][1], row["C"][1]): (Decimal(row["B"][1]), Decimal(row["E"][1]), Decimal(row["F"][1]))
        for row in cells_of(path, "Summary")
        if row.get("E", ("", ""))[0] == "formula"
    }


def usage(amounts: Iterable[str], currency: str = "EUR", **more: str) -> list[dict[str, str | None]]:
    return [
        {
            "CustomerId": f"customer-{at % 23}",
            "ProductId": f"product-{at % 5}",
            "SubscriptionId": f"subscription-{at % 40}",
            "UsageDate": f"2026-11-{at % 30 + 1:02}T00:00:00Z",
            "BillingPreTaxTotal": amount,
            "BillingCurrency": currency,
            **more,
        }
        for at, amount in enumerate(amounts)
    ]


@pytest.mark.parametrize("kind", Kind)
def test_every_sheet_sums_to_the_exact_total_to_the_cent(tmp_path: Path, kind: Kind) -> None:
    """The generator's months have amounts up to the largest that a number may be."""
    batches = generated(kind, 300)
    path = tmp_path / "a.xlsx"
    write_workbook(path, kind, batches)
    table = table_of(kind)
    items = [row for batch in batches for row in batch.to_pylist()]
    told = totals_in(path)
    with zipfile.ZipFile(path) as book:  # a result that is stored as text is 0 to a program that does not compute
        assert b't="str"' not in book.read("xl/worksheets/sheet1.xml")
    assert sheets_of(path) == ["Summary", *TABLES, kind.value]
    for name in table.totals:
        exact = exactly(item[name] for item in items)
        total, excels, apart = told[name, "EUR"]
        assert total == exact
        for sheet in (*TABLES, kind.value):
            assert round(added(table_in(path, sheet), name), 2) == round(exact, 2), sheet
        assert excels == pytest.approx(added(table_in(path, kind.value), name), rel=Decimal("1e-14"))
        assert apart == pytest.approx(excels - exact, abs=Decimal("1e-6"))


def test_unrounded_amounts_are_numbers_and_not_missing_from_the_sum(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    write_workbook(path, Kind.USAGE, [batch_of(Kind.USAGE, usage(UNROUNDED))])
    lines = table_in(path, "usage")
    assert {row["BillingPreTaxTotal"][0] for row in lines} == {"number"}
    assert [row["BillingPreTaxTotal (exact)"] for row in lines] == [("text", text) for text in UNROUNDED]
    assert round(added(lines, "BillingPreTaxTotal"), 2) == round(exactly(UNROUNDED), 2)
    [(exact, excels, apart)] = totals_in(path).values()
    assert exact == exactly(UNROUNDED)
    assert abs(excels - exact) < Decimal("1e-9")
    assert abs(apart) < Decimal("1e-9")


def test_a_column_of_exact_texts_is_there_only_where_one_differs(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    write_workbook(path, Kind.USAGE, [batch_of(Kind.USAGE, usage(["1.10", "2E0", "0.100000000000000000"]))])
    headings = [content for _, content in cells_of(path, "usage")[0].values()]
    assert not [heading for heading in headings if heading.endswith("(exact)")]
    more = usage(["1.10", "0.1000000000000000001"])
    write_workbook(path, Kind.USAGE, [batch_of(Kind.USAGE, [row]) for row in more])
    headings = [content for _, content in cells_of(path, "usage")[0].values()]
    at = headings.index("BillingPreTaxTotal")
    assert headings[at + 1] == "BillingPreTaxTotal (exact)"
    assert [row.get("BillingPreTaxTotal (exact)") for row in table_in(path, "usage")] == [
        None,
        ("text", "0.1000000000000000001"),
    ]


def test_currencies_are_never_added(tmp_path: Path) -> None:
    """Also with names that are patterns or operators in a condition of Excel, and with none at all."""
    path = tmp_path / "a.xlsx"
    amounts = {"EUR": ["10.25", "-3.25"], "USD": ["100.5"], "E*": ["7"], ">0": ["0.125"], "": ["1"]}
    rows = [row for currency, texts in amounts.items() for row in usage(texts, currency)]
    write_workbook(path, Kind.USAGE, [batch_of(Kind.USAGE, rows)])
    told = totals_in(path)
    assert {currency: exact for (_, currency), (exact, _, _) in told.items()} == {
        currency: exactly(texts) for currency, texts in amounts.items()
    }
    assert all(exact == excels and not apart for exact, excels, apart in told.values())
    for sheet in TABLES:
        for currency, texts in amounts.items():
            mine = [row for row in table_in(path, sheet) if row.get("Currency", ("", ""))[1] == currency]
            assert added(mine, "BillingPreTaxTotal") == exactly(texts), (sheet, currency)
    with zipfile.ZipFile(path) as archive:
        formulas = archive.read("xl/worksheets/sheet1.xml").decode()
    assert '"=E~*"' in formulas.replace("&quot;", '"')


def test_line_items_beyond_excels_rows_go_on_in_further_sheets(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    texts = UNROUNDED[:25]
    write_workbook(path, Kind.USAGE, [batch_of(Kind.USAGE, usage(texts))], rows_max=11)
    names = sheets_of(path)[5:]
    assert names == ["usage", "usage 2", "usage 3"]
    tables = [table_in(path, name) for name in names]
    assert [len(table) for table in tables] == [10, 10, 5]
    assert [row["BillingPreTaxTotal (exact)"][1] for table in tables for row in table] == texts
    [(exact, excels, _)] = totals_in(path).values()
    assert exact == exactly(texts)
    assert round(excels, 9) == round(exact, 9)
    write_workbook(path, Kind.USAGE, [batch_of(Kind.USAGE, usage(texts[:20]))], rows_max=11)
    assert sheets_of(path)[5:] == ["usage", "usage 2"]


def test_many_groups_go_together_as_others_and_nothing_is_lost() -> None:
    found = Breakdown(Kind.USAGE, keys_max=7)
    rows = usage(UNROUNDED[:200])
    for start in range(0, 200, 37):
        found.add(batch_of(Kind.USAGE, rows[start : start + 37]))
    for grouping in groupings_of(Kind.USAGE):
        groups, others = found.groups(grouping, "EUR"), found.others(grouping, "EUR")
        sums = exactly(str(each.sums[0]) for each in (*groups, *([others] if others else [])))
        assert sums == exactly(UNROUNDED[:200])
        assert sum(each.line_items for each in (*groups, *([others] if others else []))) == 200
        assert len(groups) == min(7, 5 if grouping.word == "product" else 7)
        assert (others is None) == (grouping.word == "product")
        if not grouping.is_by_day:  # a group that is listed has all of its line items
            for each in groups:
                assert each.sums[0] == exactly(
                    row["BillingPreTaxTotal"] for row in rows if row[grouping.key] == each.key
                )
    by_day = next(each for each in groupings_of(Kind.USAGE) if each.is_by_day)
    assert [each.key for each in found.groups(by_day, "EUR")] == [f"2026-11-{day:02}" for day in range(1, 8)]


def test_summary_shows_the_largest_and_says_others_and_has_a_chart_each(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    write_workbook(path, Kind.USAGE, [batch_of(Kind.USAGE, usage(UNROUNDED))])
    rows = cells_of(path, "Summary")
    texts = [row.get("B", ("", ""))[1] for row in rows]
    assert texts.count("Others") == 2  # of 23 customers and 40 subscriptions; 5 products and 30 days are all shown
    with zipfile.ZipFile(path) as archive:
        charts = [name for name in archive.namelist() if name.startswith("xl/charts/chart")]
        assert len(charts) == 4
        assert all("Summary!" in archive.read(name).decode() for name in charts)


def test_a_workbook_of_nothing_says_so(tmp_path: Path) -> None:
    write_workbook(tmp_path / "a.xlsx", Kind.USAGE, [])
    assert cells_of(tmp_path / "a.xlsx", "Summary")[0]["A"][1] == "Summary of usage: 0 line items"
    assert totals_in(tmp_path / "a.xlsx") == {}
