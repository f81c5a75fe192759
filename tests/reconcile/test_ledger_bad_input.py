"""What ledgers hold in the wild and no sum may: each is refused in a sentence that says where, and what to change."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlsxwriter

from counterfoil.errors import CounterfoilError
from counterfoil.reconcile import check_ledger
from counterfoil.reconcile.sides.ledgers import workbook_ledgers
from counterfoil.reconcile.sides.opening import opened_side
from tests.reconcile.ledgers import COLUMNS, HEADER, ROWS, ledger_csv, mapping_file, workbook


def with_cell(heading: str, *texts: str) -> list[tuple[str, ...]]:
    """The rows of the usual ledger with other texts in a column."""
    at = HEADER.index(heading)
    rows = [list(ROWS[index % 2]) for index in range(len(texts))]
    for row, text in zip(rows, texts, strict=True):
        row[at] = text
    return [tuple(row) for row in rows]


def refusal(tmp_path: Path, **mapped: Any) -> CounterfoilError:
    mapping = mapping_file(tmp_path / "m.toml", **mapped)
    with pytest.raises(CounterfoilError) as raised:
        check_ledger(mapping, tmp_path / "l")
    assert raised.value.remedy, raised.value
    return raised.value


# The column, the texts in its rows, what the mapping says of the source, and what the refusal must hold.
CELLS: list[tuple[str, tuple[str, ...], dict[str, str], str]] = [
    (
        "Betrag",
        ("1.234,56",),
        {},
        "line 2, Betrag: a number that depends on which sign is before the decimals: 1234.56",
    ),
    ("Betrag", ("1.234",), {}, '1.234 with decimal = ".", 1234 with decimal = ","'),
    ("Betrag", ("12.50",), {"decimal": ","}, "not a number with ',' before its decimals ('12.50')"),
    ("Betrag", ("1,23",), {"decimal": "."}, "not a number with '.' before its decimals"),
    ("Betrag", ("1'234.50",), {"decimal": ".", "thousands": ","}, "not a number with '.'"),
    ("Betrag", ("5", "(-1)"), {}, "line 3, Betrag: an amount with more than one sign"),
    ("Betrag", ("-5-",), {}, "an amount with more than one sign"),
    ("Betrag", ("(5",), {}, "an amount with more than one sign"),
    ("Betrag", ("12.50 CR",), {}, "an amount whose sign is a letter"),
    ("Betrag", ("12.50 S",), {}, "an amount whose sign is a letter"),
    ("Betrag", ("- ",), {}, "a dash in place of an amount"),
    ("Betrag", ("\u2013",), {}, "a dash in place of an amount"),
    ("Betrag", ("n/a",), {}, "not an amount ('n/a')"),
    ("Betrag", ("10 %",), {}, "not an amount"),
    ("Betrag", ("$ 12.50",), {}, "an amount in USD, where the ledger says EUR"),
    ("Betrag", ("12.50 CHF",), {}, "an amount in CHF, where the ledger says EUR"),
    ("Betrag", ("#REF!",), {}, "a spreadsheet's error in place of a value"),
    ("Betrag", ("#####",), {}, "signs that a spreadsheet shows where a column is too narrow"),
    ("Betrag", ("99999999999999",), {}, "a number of 10,000,000,000,000 or more"),
    ("Betrag", ("1" * 200,), {}, "not an amount"),
    ("Betrag", ("",), {}, "no amount"),
    ("Betrag", ("nan",), {}, "not an amount"),
    ("Betrag", ("1e999999999",), {}, "a number with an exponent out of range"),
    ("Menge", ("viel",), {}, "line 2, Menge: not an amount"),
    ("Kunde", ("5.66891E+17",), {}, "a rounded number in place of an id"),
    ("Kunde", ("1,5E+11",), {}, "a rounded number in place of an id"),
    ("Abo", ("566891000000000000", "566892000000000000"), {}, "all ids of more than 15 digits end in zeros"),
    ("Kunde", ("Mrz 26",), {}, ""),
    ("Kunde", ("10/11/2026",), {}, "a date in place of an id"),
    ("Artikel", ("12.0",), {}, "a number with decimals in place of an id"),
    ("Kunde", ("a\0b",), {}, "holds the character U+0000"),
]


@pytest.mark.parametrize(("heading", "texts", "source", "told"), CELLS, ids=[str(at) for at in range(len(CELLS))])
def test_a_value_that_cannot_be_read_is_refused_with_its_place(
    tmp_path: Path, heading: str, texts: tuple[str, ...], source: dict[str, str], told: str
) -> None:
    ledger_csv(tmp_path / "l", with_cell(heading, *texts))
    if not told:  # a name that only looks odd is read
        assert check_ledger(mapping_file(tmp_path / "m.toml", source), tmp_path / "l").lines == len(texts)
        return
    error = refusal(tmp_path, source=source)
    assert told in str(error)
    assert str(tmp_path / "l") in str(error)


# How an amount may be written, what the mapping says, and what it is.
READ: list[tuple[str, dict[str, str], str]] = [
    ("12.50", {}, "12.50"),
    ("-12.50", {}, "-12.50"),
    ("(12.50)", {}, "-12.50"),
    ("12.50-", {}, "-12.50"),
    ("12.50\u2212", {}, "-12.50"),
    ("\u221212.50", {}, "-12.50"),
    ("( \u20ac 12.50 )", {}, "-12.50"),
    ("EUR -12.50", {}, "-12.50"),
    ("-\u20ac\u00a012.50", {}, "-12.50"),
    ("12,50 \u20ac", {"decimal": ","}, "12.50"),
    ("1.234.567,89", {"decimal": ","}, "1234567.89"),
    ("1\u202f234,5", {"decimal": ","}, "1234.5"),
    ("1'234.50", {"decimal": "."}, "1234.50"),
    ("1,234.50", {"decimal": ".", "thousands": ","}, "1234.50"),
    ("1 234,50", {"decimal": ",", "thousands": " "}, "1234.50"),
    ("007.50", {}, "7.50"),
    (".5", {"decimal": "."}, "0.5"),
    ('="12.50"', {}, "12.50"),
    ("0.1999968000511991808131", {}, "0.1999968000511991808131"),
    ("$ 5", {"currency": "CAD"}, "5"),
]


@pytest.mark.parametrize(("text", "source", "value"), READ, ids=ascii)
def test_an_amount_is_read_in_the_forms_that_have_one_reading(
    tmp_path: Path, text: str, source: dict[str, str], value: str
) -> None:
    ledger_csv(tmp_path / "l", with_cell("Betrag", text))
    found = check_ledger(mapping_file(tmp_path / "m.toml", source), tmp_path / "l")
    [sums] = found.sums.values()
    assert format(sums["Subtotal"], "f") == value


TABLES: list[tuple[Callable[[Path], object], dict[str, Any], str]] = [
    (lambda p: ledger_csv(p, header=("Kunde", "Abo", "Artikel", "Menge", "Betrag!", "VK")), {}, "no column 'Betrag'"),
    (
        lambda p: ledger_csv(p, header=("Kunde", "Abo", "Artikel", "Menge", "Betrag", "betrag ")),
        {},
        "2 columns are called 'Betrag', the 5 and 6",
    ),
    (
        lambda p: ledger_csv(p, [("c1", "s1", "p1", "1", "12", "50", "x")]),
        {},
        "line 2: has 7 cells, where the header has 6",
    ),
    (lambda p: ledger_csv(p, []), {}, "holds no lines"),
    (lambda p: p.write_bytes(b""), {}, "is empty"),
    (lambda p: p.write_bytes(b"\r\n\r\n"), {}, "is empty"),
    (
        lambda p: ledger_csv(p, [*ROWS, ("", "", "", "", "552.10", "600.00")]),
        {},
        "line 4: a row of totals, which would count its rows twice ('nothing but amounts')",
    ),
    (lambda p: ledger_csv(p, [*ROWS, ("Summe", "", "", "", "552.10", "")]), {}, "a row of totals"),
    (
        lambda p: ledger_csv(p, [ROWS[0], ("Contoso Total", "", "", "", "528", ""), ROWS[1]]),
        {},
        "line 3: a row of totals",
    ),
    (
        lambda p: ledger_csv(p, [*ROWS, ("Summe", "", "", "", "552.11", "")]),
        {"source": {"totals": "skip"}},
        "it says 552.11, and the rows above come to 552.10",
    ),
    (lambda p: ledger_csv(p, [*ROWS, ("Stand 1.11.2026", "", "", "", "", "")]), {}, "line 4: a row without an amount"),
    (
        lambda p: p.write_bytes("Kunde;Abo;Artikel;Menge;Betrag\nMüller;s;p;1;2\n".encode("cp1252")),
        {},
        "not UTF-8 text",
    ),
    (lambda p: p.write_bytes("Kunde;Betrag\nMüller;2\n".encode()), {"source": {"encoding": "ascii"}}, "not ascii text"),
    (lambda p: p.write_bytes(b'Kunde;Abo;Artikel;Menge;Betrag\n"a;s;p;1;2\n'), {}, "not CSV"),
    (lambda p: p.write_bytes(b"\x1f\x8b\x08\x00cut"), {}, "the gzip data is cut or corrupt"),
    (
        lambda p: p.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)),
        {},
        "is an Excel workbook of the old kind (.xls)",
    ),
    (
        lambda p: p.write_bytes(
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(64) + "EncryptedPackage".encode("utf-16-le")
        ),
        {},
        "is encrypted",
    ),
    (lambda p: p.write_bytes(b"<html><table><tr><td>Kunde"), {}, "is a web page or XML"),
    (lambda p: p.write_bytes(b'{"CustomerId":"c1"}\n'), {}, "is JSON, and a ledger is a table"),
    (lambda p: p.write_bytes(b"%PDF-1.7"), {}, "is a PDF file"),
    (lambda p: p.write_bytes(b"PAR1" + bytes(40)), {}, "the Parquet file is cut or damaged"),
    (lambda p: p.write_bytes(b"PK\x03\x04 and no more"), {}, "the workbook is damaged"),
    (lambda p: zipped(p, {"content.xml": "x"}), {}, "is no Excel workbook that can be read"),
    (lambda p: zipped(p, {"xl/worksheets/sheet1.xml": "x"}), {}, "the workbook is damaged"),
    (lambda p: workbook(p, {"A": [HEADER, *ROWS], "B": [HEADER, *ROWS]}), {}, "has 2 sheets: 'A', 'B'"),
    (lambda p: workbook(p, {"A": [HEADER, *ROWS]}), {"source": {"sheet": "C"}}, "has no sheet 'C'; it has 'A'"),
    (ledger_csv, {"source": {"sheet": "C"}}, "is no workbook, and the sheet 'C' was asked for"),
    (
        lambda p: workbook(p, {"A": [("Kunde", None, None, "Menge", "Betrag"), ("", "Abo", "Artikel", "", ""), *ROWS]}),
        {},
        "the header is not one row: 'Abo', 'Artikel' stand in row 2, and the others in row 1",
    ),
    (
        lambda p: workbook(p, {"A": [HEADER, ("c1", "s1", "p1", 2, "=D2*22", None)]}),
        {},
        "a formula that was never calculated ('=D2*22')",
    ),
    (
        lambda p: written_by_program(p),  # noqa: PLW0108 - defined below
        {},
        "a formula that was never calculated",
    ),
    (
        lambda p: workbook(p, {"A": [HEADER, (566891234567890123, "s1", "p1", 2, 44, None)]}),
        {},
        "a rounded number in place of an id",
    ),
    (lambda p: workbook(p, {"A": [HEADER, ("c1", "s1", "p1", 2, date(2026, 10, 1), None)]}), {}, "line 2, Betrag"),
    (lambda p: workbook(p, {"A": [HEADER, ("c1", "s1", "p1", 2, True, None)]}), {}, "not an amount ('true')"),
    (lambda p: workbook(p, {"A": []}), {}, "holds no rows"),
    (
        lambda p: parquet(p, Betrag=pa.array([1.5], pa.float32())),
        {},
        "the column 'Betrag' is float, which is neither text, number nor date",
    ),
    (lambda p: parquet(p, Betrag=pa.array([[1]])), {}, "the column 'Betrag' is list<"),
    (lambda p: parquet(p, Betrag=pa.array([float("nan")])), {}, "not an amount ('nan')"),
    (lambda p: parquet(p, Betrag=pa.array([True])), {}, "not an amount ('true')"),
]


def written_by_program(path: Path) -> None:
    """A workbook whose formula has the value 0 beside it, because its maker calculates nothing."""
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        for row, cells in enumerate((HEADER, ("c1", "s1", "p1", 2, "=D2*22"))):
            sheet.write_row(row, 0, cells)


def zipped(path: Path, members: dict[str, str]) -> None:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    path.write_bytes(held.getvalue())


def parquet(path: Path, **columns: pa.Array) -> None:
    told = {name: pa.array([text]) for name, text in zip(HEADER, ROWS[0], strict=True)}
    pq.write_table(pa.table(told | columns), path)


@pytest.mark.parametrize(("make", "mapped", "told"), TABLES, ids=[str(at) for at in range(len(TABLES))])
def test_a_table_that_cannot_be_read_is_refused(
    tmp_path: Path, make: Callable[[Path], object], mapped: dict[str, Any], told: str
) -> None:
    make(tmp_path / "l")
    assert told in str(refusal(tmp_path, **mapped))


def test_debit_and_credit_are_one_amount_and_never_both(tmp_path: Path) -> None:
    header = ("Kunde", "Soll", "Haben")
    mapping = mapping_file(tmp_path / "m.toml", columns={"CustomerId": "Kunde", "Debit": "Soll", "Credit": "Haben"})
    ledger_csv(tmp_path / "l", [("c1", "10.10", ""), ("c1", "", "2.20"), ("c1", "0", "1"), ("c1", "3", "0")], header)
    assert format(check_ledger(mapping, tmp_path / "l").sums["EUR"]["Subtotal"], "f") == "9.90"
    for row, told in ((("c1", "1", "1"), "both debit and credit"), (("c1", "", ""), "a row without an amount")):
        ledger_csv(tmp_path / "l", [row], header)
        with pytest.raises(CounterfoilError, match=told):
            check_ledger(mapping, tmp_path / "l")


def test_two_currencies_are_never_added_and_one_can_be_chosen(tmp_path: Path) -> None:
    rows = [("c1", "s1", "p1", "1", "10", "EUR"), ("c1", "s1", "p1", "1", "20", "usd")]
    ledger_csv(tmp_path / "l", rows)
    mapping = mapping_file(tmp_path / "m.toml", {"currency": ""}, COLUMNS | {"Currency": "VK"})
    found = check_ledger(mapping, tmp_path / "l")
    assert {code: format(sums["Subtotal"], "f") for code, sums in found.sums.items()} == {"EUR": "10", "USD": "20"}
    with (
        opened_side(str(tmp_path / "l"), mapping=mapping) as reading,
        pytest.raises(CounterfoilError, match="EUR and USD"),
    ):
        list(reading.batches(["Subtotal"]))
    with opened_side(str(tmp_path / "l"), mapping=mapping, currency="USD") as reading:
        assert [batch.column("Subtotal").to_pylist() for batch in reading.batches(["Subtotal"])] == [["20"]]


def test_markup_in_a_name_is_pointed_out(tmp_path: Path) -> None:
    ledger_csv(tmp_path / "l", with_cell("Kunde", "<b>Contoso</b>"))
    mapping = mapping_file(tmp_path / "m.toml", columns={"CustomerName": "Kunde", "Subtotal": "Betrag"})
    [note] = check_ledger(mapping, tmp_path / "l").notes
    assert "markup in CustomerName" in note


@pytest.mark.parametrize("filler", [b"<c/>", b"<c t='inlineStr'><is><t>x</t></is></c>", b" ", b"<!-- <row> -->"])
def test_a_row_that_unpacks_to_too_much_is_refused_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, filler: bytes
) -> None:
    monkeypatch.setattr(workbook_ledgers, "_ROW_SIZE_BYTES_MAX", 20_000)
    book = workbook(tmp_path / "book.xlsx", {"oct": [HEADER, *ROWS * 200]})  # of several times that size altogether
    mapping = mapping_file(tmp_path / "m.toml")
    assert check_ledger(mapping, book).lines == 400
    with zipfile.ZipFile(book) as whole, zipfile.ZipFile(tmp_path / "l", "w", zipfile.ZIP_DEFLATED) as packed:
        for name in whole.namelist():
            content = whole.read(name)
            if "sheet1" in name:
                content = content.replace(b"</sheetData>", b'<row r="402">' + filler * 40_000 + b"</row></sheetData>")
            packed.writestr(name, content)
    assert "a row unpacks to more than 20,000 bytes" in str(refusal(tmp_path))
