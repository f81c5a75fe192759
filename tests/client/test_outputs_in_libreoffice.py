"""A CSV and a workbook, opened by LibreOffice without a screen: its sums are those of the receipt.

Installing LibreOffice takes a minute and half a gigabyte, so `make soak` runs this, and installs it if it is missing.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Final

import pytest

from counterfoil.client.output_files.csv_file import write_csv
from counterfoil.client.output_files.headings import columns_of
from counterfoil.client.output_files.workbook import write_workbook
from counterfoil.columns import Type, table_of
from counterfoil.model import Kind
from tests.client.sheets import batch_of, generated
from tests.client.spreadsheets import office, opened

LINE_ITEMS: Final = 3_000
pytestmark = pytest.mark.soak
__all__ = ["office"]


def opened_as_csv(office: str, path: Path, kind: Kind) -> dict[str, list[list[str]]]:
    """Have LibreOffice open a CSV file whose numbers are numbers in the columns of numbers alone."""
    columns = "/".join(
        f"{number}/{1 if column.type is Type.NUMBER else 2}"
        for number, column in enumerate(columns_of(kind).values(), 1)
    )
    return opened(office, path, reading=[f"--infilter=CSV:44,34,76,1,{columns},1033,false,true"])


def column(rows: list[list[str]], heading: str) -> list[str]:
    at = rows[0].index(heading)
    return [row[at] for row in rows[1:]]


def added(texts: Iterable[str]) -> Decimal:
    with localcontext(prec=80):
        return sum((Decimal(text or 0) for text in texts), Decimal(0))


def to_the_cent(amount: Decimal) -> Decimal:
    with localcontext(prec=80):
        return round(amount, 2)


@pytest.mark.parametrize("kind", Kind)
def test_libreoffice_reads_the_same_sums_and_the_same_ids_from_a_csv(tmp_path: Path, office: str, kind: Kind) -> None:
    batches = generated(kind, LINE_ITEMS)
    path = tmp_path / "line-items.csv"
    write_csv(path, kind, batches)
    [seen] = opened_as_csv(office, path, kind).values()
    items = [row for batch in batches for row in batch.to_pylist()]
    assert len(seen) - 1 == len(items) == LINE_ITEMS
    for total in table_of(kind).totals:
        # A spreadsheet reads numbers to fifteen digits. Told as text, it shows twenty decimals of each.
        exact = added(f"{Decimal(item[total]):.15g}" for item in items)
        assert abs(added(column(seen, total)) - exact) < Decimal("1e-15")
    for name in ("SkuId", "MpnId", "CustomerId", "SubscriptionId"):
        assert column(seen, name) == [item[name] or "" for item in items]


@pytest.mark.parametrize("kind", Kind)
def test_a_workbook_of_unrounded_line_items_adds_up_to_the_cent(tmp_path: Path, office: str, kind: Kind) -> None:
    """LibreOffice computes *Summary* anew; it, each table and all sheets of line items have the exact total."""
    totals = table_of(kind).totals
    given = [row for batch in generated(kind, LINE_ITEMS) for row in batch.to_pylist()]
    rows = [
        row | dict.fromkeys(totals, f"{at % 9973}.{at * 7919 % 10**9:09}987654321987654321")
        for at, row in enumerate(given)
    ]
    path = tmp_path / "line-items.xlsx"
    write_workbook(path, kind, [batch_of(kind, rows)], rows_max=LINE_ITEMS // 2)
    _spoil_computed(path)
    seen = opened(office, path)
    lines = [sheet for name, sheet in seen.items() if name.startswith(kind.value)]
    assert [len(lines), sum(len(sheet) - 1 for sheet in lines)] == [3, LINE_ITEMS]
    told = {row[0]: row for row in seen["Summary"] if len(row) > 5 and row[0] in totals and row[4]}
    for total in totals:
        exact = added(row[total] for row in rows)
        assert Decimal(told[total][1]) == exact
        assert to_the_cent(Decimal(told[total][4])) == to_the_cent(exact)
        assert abs(Decimal(told[total][5])) < Decimal("0.000001")
        assert to_the_cent(added(text for sheet in lines for text in column(sheet, total))) == to_the_cent(exact)
        for name in ("By customer", "By product", "By subscription", "By day"):
            assert to_the_cent(added(column(seen[name], total))) == to_the_cent(exact), name


def _spoil_computed(path: Path) -> None:
    """Put 1 in place of every computed value, so that only a program that computes finds the right one."""
    spoiled = path.with_name("spoiled.xlsx")
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(spoiled, "w", zipfile.ZIP_DEFLATED) as after:
        for name in before.namelist():
            body = before.read(name)
            if name == "xl/worksheets/sheet1.xml":
                body, count = re.subn(rb"</f><v>[^<]*</v>", b"</f><v>1</v>", body)
                assert count
            after.writestr(name, body)
    spoiled.replace(path)
