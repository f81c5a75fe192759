"""A CSV and a workbook, opened by LibreOffice without a screen: its sums are ours.

Installing LibreOffice takes a minute and half a gigabyte, so `make soak` runs this, and installs it if it is missing.
"""

from __future__ import annotations

import csv
import shutil
import subprocess
import zipfile
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Final

import pytest

from counterfoil.client.output_files.csv_file import write_csv
from counterfoil.client.output_files.headings import columns_of
from counterfoil.client.output_files.workbook import write_workbook
from counterfoil.columns import Type, table_of
from counterfoil.model import Kind
from tests.client.sheets import generated, letters_of

LINE_ITEMS: Final = 5_000
PACKAGE: Final = "libreoffice-calc-nogui"
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


def opened(office: str, path: Path, kind: Kind) -> list[dict[str, str]]:
    """Have LibreOffice open a file and tell what it sees: values as they are, not as they are shown."""
    into = path.parent / f"seen-{path.suffix[1:]}"
    # Comma, quotes, UTF-8, from line 1; when reading CSV, numbers are numbers in the columns of numbers alone.
    columns = "/".join(
        f"{number}/{1 if column.type is Type.NUMBER else 2}"
        for number, column in enumerate(columns_of(kind).values(), 1)
    )
    reading = [f"--infilter=CSV:44,34,76,1,{columns},1033,false,true"] if path.suffix == ".csv" else []
    writing = "csv:Text - txt - csv (StarCalc):44,34,76,1,,1033,false,false,false"
    home = f"-env:UserInstallation=file://{path.parent / 'profile'}"
    command = [office, home, "--headless", "--convert-to", writing, *reading, "--outdir", str(into), str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=250)
    with (into / f"{path.stem}.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_libreoffice_reads_the_same_sums_and_the_same_ids(tmp_path: Path, office: str, kind: Kind, form: str) -> None:
    batches = generated(kind, LINE_ITEMS)
    path = tmp_path / f"line-items.{form}"
    (write_csv if form == "csv" else write_workbook)(path, kind, batches)
    seen = opened(office, path, kind)
    items = [row for batch in batches for row in batch.to_pylist()]
    assert len(seen) == len(items) == LINE_ITEMS
    with localcontext(prec=80):
        for total in table_of(kind).totals:
            exact = [Decimal(item[total]) for item in items]
            if form == "csv":  # whose numbers a spreadsheet reads as it does any: to fifteen digits
                exact = [Decimal(f"{amount:.15g}") for amount in exact]
            # Told as text, it shows twenty decimals of a number, and rounds the few that have more.
            apart = sum((Decimal(row[total]) for row in seen), Decimal(0)) - sum(exact, Decimal(0))
            assert abs(apart) < Decimal("1e-15")
    for name in ("SkuId", "MpnId", "CustomerId", "SubscriptionId"):
        assert [row[name] for row in seen] == [item[name] or "" for item in items]


@pytest.mark.parametrize("kind", Kind)
def test_libreoffice_itself_adds_up_a_workbook(tmp_path: Path, office: str, kind: Kind) -> None:
    """A sheet that refers to ours computes SUM over its columns; what is text there is not in it."""
    batches = generated(kind, LINE_ITEMS)
    path = tmp_path / "line-items.xlsx"
    write_workbook(path, kind, batches)
    names = [column.name for column in columns_of(kind).values()]
    for total in table_of(kind).totals:
        column = letters_of(names.index(total))
        sums = added_up(office, path, f"SUM({column}2:{column}{LINE_ITEMS + 1})", kind)
        texts = [row[total] for batch in batches for row in batch.to_pylist()]
        held = [float(text) for text in texts if len(text.replace("-", "").replace(".", "").strip("0")) <= 15]
        assert sums == pytest.approx(sum(held), rel=1e-12)


def added_up(office: str, path: Path, formula: str, kind: Kind) -> float:
    """Put a formula into a copy of the workbook and have LibreOffice compute it."""
    asking = path.with_name("asking.xlsx")
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(asking, "w", zipfile.ZIP_DEFLATED) as after:
        for name in before.namelist():
            body = before.read(name)
            if name == "xl/worksheets/sheet1.xml":
                row = LINE_ITEMS + 2
                cell = f'<row r="{row}"><c r="A{row}"><f>{formula}</f></c></row></sheetData>'
                body = body.replace(b"</sheetData>", cell.encode())
            after.writestr(name, body)
    return float(opened(office, asking, kind)[-1]["PartnerId"])
