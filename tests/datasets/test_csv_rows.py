"""What spreadsheets, shells and joins put around the rows of a CSV is left out and counted, or refused by its line."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest

from counterfoil.columns import USAGE
from counterfoil.datasets.check import Assertions
from counterfoil.datasets.csv_values import NOTHING_SAID, CsvValues
from counterfoil.datasets.data_folder import DataFolder
from counterfoil.errors import InputError
from tests.datasets.line_items import publish_bytes
from tests.datasets.reading import RECONCILIATION_ITEM, USAGE_ITEM, everywhere, read, rows

A = dict(RECONCILIATION_ITEM)
B = {**A, "SkuId": "0003"}
PLAIN = rows(A, B)
HEADER, FIRST, SECOND = PLAIN.splitlines(keepends=True)
WIDTH = len(A)
COMMAS = "," * (WIDTH - 1) + "\r\n"
MARK = "\ufeff"


def quoted(value: str) -> str:
    return f'"{value}"'


def last_column_broken(text: str) -> str:
    return text.replace(",ChargeStartDate", ',"Charge\r\nStart Date"')


READ: dict[str, tuple[str, dict[str, int]]] = {
    "a header again in the middle": (HEADER + FIRST + HEADER + SECOND, {"repeated header": 1}),
    "a header again, in other letters and quotes": (
        HEADER + FIRST + '"' + HEADER.strip().lower().replace(",", '","') + '"\r\n' + SECOND,
        {"repeated header": 1},
    ),
    "three headers, with a mark each": (
        MARK + HEADER + FIRST + MARK + HEADER + SECOND + MARK + HEADER,
        {"repeated header": 2, "byte order mark": 2},
    ),
    "a mark before the first row": (HEADER + MARK + FIRST + SECOND, {"byte order mark": 1}),
    "a mark before a quoted value": (
        HEADER + MARK + f'"{A["PartnerId"]}"' + FIRST.removeprefix(A["PartnerId"]) + SECOND,
        {"byte order mark": 1},
    ),
    "a mark before every row": (MARK + HEADER + MARK + FIRST + MARK + SECOND, {"byte order mark": 2}),
    "two marks": (MARK + MARK + HEADER + FIRST + SECOND, {"byte order mark": 1}),
    "rows of commas": (HEADER + COMMAS + FIRST + COMMAS + SECOND + COMMAS * 2, {"empty row": 4}),
    "rows of commas and spaces": (HEADER + FIRST + COMMAS.replace(",", ", ") + SECOND, {"empty row": 1}),
    "blank rows": (HEADER + "\r\n" + FIRST + "\r\n\r\n" + SECOND + "\r\n", {}),
    "sep=, as the first row": ("sep=,\r\n" + PLAIN, {"sep= row": 1}),
    "sep=; in a file parted so": ("sep=;\r\n" + rows(A, B, delimiter=";"), {"sep= row": 1}),
    'sep in quotes, and a sign nobody expects': ('"sep=~"\n' + rows(A, B, delimiter="~"), {"sep= row": 1}),
    "#TYPE above": ("#TYPE Selected.Invented.LineItem\r\n" + PLAIN, {"#TYPE row": 1}),
    "#TYPE above, in quotes": ('"#TYPE System.Management.Automation.PSCustomObject"\n' + PLAIN, {"#TYPE row": 1}),
    "#TYPE in the middle too": (
        "#TYPE Invented\r\n" + HEADER + FIRST + "#TYPE Invented\r\n" + HEADER + SECOND,
        {"#TYPE row": 1, "stray row": 1, "repeated header": 1},
    ),
    "a title": ("Reconciliation October 2026\r\n\r\n" + PLAIN, {"title row": 1}),
    "titles that are as wide as the rows": (
        "Partner ID:,northlight" + "," * (WIDTH - 2) + "\r\nOctober" + COMMAS + PLAIN,
        {"title row": 2},
    ),
    "forty titles": ("A long report, page one\r\n" * 40 + PLAIN, {"title row": 40}),
    "a title with an open quote": ('Report of "October\r\n' + PLAIN, {"title row": 1}),
    "semicolons": (rows(A, B, delimiter=";"), {}),
    "tabs": (rows(A, B, delimiter="\t"), {}),
    "pipes": (rows(A, B, delimiter="|"), {}),
    "carets": (rows(A, B, delimiter="^"), {}),
    "a space behind each comma": ("\n".join(", ".join(map(quoted, row)) for row in (A, A.values(), B.values())), {}),
    "carriage returns end the lines": (PLAIN.replace("\r\n", "\r"), {}),
    "carriage returns and a title": ("October\r" + PLAIN.replace("\r\n", "\r").rstrip(), {"title row": 1}),
    "empty columns at the end": (HEADER.strip() + ",,,\r\n" + FIRST.strip() + ",,,\r\n" + SECOND.strip() + ",,,", {}),
    "an empty column in the middle": (
        "\r\n".join(row.replace(",", ",,", 1) for row in PLAIN.splitlines()),
        {},
    ),
    "commas at the end of rows alone": (HEADER + FIRST.strip() + ",,\r\n" + SECOND.strip() + ",\r\n", {}),
    "a column of numbers without a name": (
        "\r\n".join(f"{number},{row}" for number, row in zip(("", "0", "1"), PLAIN.splitlines(), strict=True)),
        {"unnamed value": 2},
    ),
    "totals": (PLAIN + "Total" + COMMAS.replace(",,,", ",550.00,0,", 1), {"totals row": 1}),
    "totals behind empty values": (PLAIN + ",,Grand Total:" + "," * (WIDTH - 4) + ",1100.00\r\n", {"totals row": 1}),
    "totals in German": (PLAIN + ",Summe" + "," * (WIDTH - 3) + ",1100.00\r\n", {"totals row": 1}),
    "subtotals in between": (
        HEADER + FIRST + "Subtotal" + COMMAS + SECOND + "Subtotal" + COMMAS + "Grand total" + COMMAS,
        {"totals row": 3},
    ),
    "what a database writes": (HEADER + "----" + COMMAS + FIRST + SECOND + "\n(2 rows affected)\n", {"stray row": 2}),
    "a line break in a quoted name": (last_column_broken(PLAIN), {}),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_what_is_no_line_item_is_left_out_and_counted(name: str, tmp_path: Path) -> None:
    text, left_out = READ[name]
    for content in everywhere(text):
        found = read(tmp_path / "a", content)
        assert (found.items, found.left_out, found.refused) == ([A, B], left_out, [])


def test_a_receipt_tells_what_was_left_out(data_folder: DataFolder, tmp_path: Path) -> None:
    text = "October\n" + HEADER + FIRST + HEADER + SECOND
    receipt = publish_bytes(data_folder, tmp_path / "a.csv", text.encode(), Assertions())
    assert receipt.warnings == {"skipped title row": 1, "skipped repeated header": 1}
    assert str(receipt.contents.totals["Subtotal"]) == "1100.00"


REFUSED: dict[str, tuple[str, int | None, str]] = {
    "another file's header": (PLAIN + rows({**A, "Novel": "1"}), 4, "a second header, with other columns"),
    "the header's columns in another order": (
        PLAIN + rows(dict(reversed(A.items()))), 4, "a second header, with other columns"
    ),
    "a usage file behind": (PLAIN + rows(dict(USAGE_ITEM)), 4, "a second header, with other columns"),
    "no header": (FIRST + SECOND, 1, "is neither JSON lines nor a CSV with a PartnerId column"),
    "a header without PartnerId": (
        "title\n" + rows({name: text for name, text in A.items() if name != "PartnerId"}),
        2,
        "the header has no PartnerId",
    ),
    "a header alone": (HEADER, None, "holds no line items"),
    "a header and rows of commas": ("October\r\n" + HEADER + COMMAS, None, "holds no line items"),
    "a header twice": (HEADER * 2, None, "holds no line items"),
    "totals without a label": (PLAIN + COMMAS.replace(",,,", ",,550.00,", 1), 4, "are missing"),
    "totals with a partner": (
        PLAIN + FIRST.replace(A["CustomerName"], "Total").replace(",EUR,", ",,"), 4, "is missing"
    ),
    "more values than names": (HEADER + FIRST.strip() + ",,x\r\n", 2, f"has {WIDTH + 2} fields where"),
    "a note below": (PLAIN + "made by finance\r\n", 4, f"has 1 fields where the header has {WIDTH}"),
    "quotes escaped by a backslash": (
        rows({**A, "ProductQualifiers": "x"}).replace(",x", r',"[\"AddOn\"]"'),
        2,
        "quotes in a value are escaped by a backslash",
    ),
    "an open quote": ("title\n\n" + HEADER + FIRST.replace(A["SkuId"], '"0002'), 4, "not CSV: "),
    "two columns of one name": (HEADER.replace("SkuId", "Total") + FIRST, 1, "the header gives Total twice"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_may_be_a_line_item_is_refused_by_its_line(name: str, data_folder: DataFolder, tmp_path: Path) -> None:
    text, line, reason = REFUSED[name]
    with pytest.raises(InputError) as caught:
        publish_bytes(data_folder, tmp_path / "a.csv", text.encode(), Assertions())
    assert (caught.value.line, caught.value.reason.startswith(reason)) == (line, True), caught.value
    assert caught.value.remedy
    assert "Every line was refused" not in caught.value.remedy


LEGACY = {
    "license-based": "PartnerId,CustomerId,OrderId,SubscriptionId,SyndicationPartnerSubscriptionNumber,OfferId,"
    "DurableOfferId,OfferName,UnitPrice,Quantity,Amount,Subtotal,Tax,TotalForCustomer,Currency",
    "usage-based": "PartnerId,PartnerBillableAccountId,CustomerCompanyName,MPNID,InvoiceNumber,ResourceGuid,"
    "ConsumedQuantity,IncludedQuantity,OverageQuantity,Currency,PretaxCharges,TaxAmount,PostTaxTotal",
}


@pytest.mark.parametrize(
    ("kind", "write"),
    [
        ("license-based", str),
        ("usage-based", str),
        ("usage-based", lambda header: "sep=;\r\n" + header.replace(",", ";")),
        ("license-based", lambda header: header.replace("OfferId", "Offer ID").replace("OfferName", "Offer Name")),
        ("license-based", lambda header: header.replace("PartnerId,", "")),
    ],
)
def test_a_legacy_file_is_told_for_what_it_is(kind: str, write: Callable[[str], str], tmp_path: Path) -> None:
    """Microsoft's pages of the license-based and the usage-based reconciliation file list these columns."""
    header = write(LEGACY[kind])
    with pytest.raises(InputError, match=f"a legacy {kind} reconciliation file"):
        read(tmp_path / "a.csv", header + "\r\n" + "x" + "," * header.count(",") + "\r\n")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "§"])
def test_a_value_that_has_to_be_undressed_is_found_wherever_it_is(delimiter: str) -> None:
    """A whole block is looked at, once: each way to surround a value, at every place of it."""
    id_, dressed = "a" * 60, ["{} ", '"{} "', "'{}", '"\'{}"', '="{}"', "{}\u00a0", "\u200b{}", "{}\u2060"]
    for text in (each.format(id_) for each in dressed):
        for place in range(3):
            for end in ("\n", "\r\n"):
                row = ["x y", "ü" if place else "z", "x, y" if delimiter == ";" else "w"]
                row[place] = text
                block = (delimiter.join(["k"] * 3) + end) * 3 + delimiter.join(row) + end
                values = CsvValues(USAGE, ["CustomerId", "SkuId", "ProductId"], delimiter, NOTHING_SAID, "a.csv")
                values.look(block)
                [read] = [row for row in csv.reader(io.StringIO(block), delimiter=delimiter) if row[place] != "k"]
                assert values.settle(read, 4, lambda *_: None)
                assert read[place] == id_, (text, place, end)
