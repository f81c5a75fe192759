"""A CSV and a workbook, opened by LibreOffice without a screen: its sums are those of the receipt.

Installing LibreOffice takes a minute and half a gigabyte, so `make soak` runs this, and installs it if it is missing.
"""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
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

LINE_ITEMS: Final = 3_000
PACKAGE: Final = "libreoffice-calc-nogui"
ALWAYS_COMPUTE: Final = """<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry" xmlns:xs="http://www.w3.org/2001/XMLSchema"
    xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<item oor:path="/org.openoffice.Office.Calc/Formula/Load"><prop oor:name="OOXMLRecalcMode" oor:op="fuse">
<value>0</value></prop></item></oor:items>
"""
pytestmark = pytest.mark.soak


@pytest.fixture(scope="module")
def office() -> str:
    """The program; needs root where it is not installed."""
    if shutil.which("soffice") is None:
        subprocess.run(["apt-get", "update", "-q"], check=True, stdout=subprocess.DEVNULL)
        install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", PACKAGE]
        subprocess.run(install, check=True, stdout=subprocess.DEVNULL)
    found = shutil.which("soffice")
    assert found is not None
    return found


def opened(office: str, path: Path, kind: Kind) -> dict[str, list[list[str]]]:
    """Have LibreOffice open a file, compute it anew, and tell what each sheet has: values as they are, not as shown."""
    into, home = path.parent / f"seen-{path.suffix[1:]}", path.parent / "profile"
    settings = home / "user" / "registrymodifications.xcu"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(ALWAYS_COMPUTE)
    # Comma, quotes, UTF-8, from line 1; when reading CSV, numbers are numbers in the columns of numbers alone.
    columns = "/".join(
        f"{number}/{1 if column.type is Type.NUMBER else 2}"
        for number, column in enumerate(columns_of(kind).values(), 1)
    )
    reading = [f"--infilter=CSV:44,34,76,1,{columns},1033,false,true"] if path.suffix == ".csv" else []
    writing = "csv:Text - txt - csv (StarCalc):44,34,76,1,,1033,false,false,false,false,false,-1"
    command = [office, f"-env:UserInstallation=file://{home}", "--headless", "--convert-to", writing, *reading]
    subprocess.run([*command, "--outdir", str(into), str(path)], check=True, capture_output=True, timeout=500)
    found = {}
    for each in into.glob(f"{path.stem}-*.csv"):
        with each.open(encoding="utf-8-sig", newline="") as file:
            found[each.stem.removeprefix(f"{path.stem}-")] = list(csv.reader(file))
    return found


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
    [seen] = opened(office, path, kind).values()
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
    seen = opened(office, path, kind)
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
