"""A number of a CSV is what it says: undressed where nothing is lost, and in its country's form once that is said."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from counterfoil.datasets.csv_values import DecimalSign, LocalForms
from counterfoil.datasets.data_folder import DataFolder
from counterfoil.errors import InputError, UsageError
from tests.datasets.line_items import UNBILLED, publish_bytes
from tests.datasets.reading import RECONCILIATION_ITEM, USAGE_ITEM, everywhere, read, rows

ITEM = dict(USAGE_ITEM)
UNINVOICED = {name: text for name, text in ITEM.items() if name != "InvoiceNumber"}


def with_total(text: str, delimiter: str = ",", item: Mapping[str, str] = ITEM) -> str:
    return rows({**item, "BillingPreTaxTotal": text}, delimiter=delimiter)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize(
    "text", ["'22.00", " 22.00", "22.00 ", "22.00\u00a0", "\u202f22.00", '="22.00"', "' 22.00 ", "22.00\t"]
)
def test_what_is_put_around_a_number_falls_away(text: str, delimiter: str, tmp_path: Path) -> None:
    for content in everywhere(with_total(text, delimiter)):
        assert read(tmp_path / "a", content).items == [{**ITEM, "BillingPreTaxTotal": "22.00"}]


def test_white_space_and_guards_fall_away_where_the_type_allows_it(tmp_path: Path) -> None:
    """Dates, ids, amounts and currencies; in a name, white space and an apostrophe may belong to the text."""
    for item in (USAGE_ITEM, RECONCILIATION_ITEM):
        for before, after in (("", " "), ("", "   "), ("'", ""), ("", "\u00a0"), ("' ", " "), ('="', '"')):
            found = read(tmp_path / "a", rows({name: before + text + after for name, text in item.items()}))
            name, tags = found.items[0]["CustomerName"], found.items[0].get("Tags", "")
            kept = before + item["CustomerName"] + after if before != '="' else item["CustomerName"]
            assert name == kept
            assert [
                {**found.items[0], **({"Tags": item["Tags"]} if tags else {}), "CustomerName": item["CustomerName"]}
            ] == [item]


@pytest.mark.parametrize(
    ("sign", "text", "number"),
    [
        ("comma", "0,0209951014286867", "0.0209951014286867"),
        ("comma", "1.234,50", "1234.50"),
        ("comma", "-1.234.567,8", "-1234567.8"),
        ("comma", "1.234", "1234"),
        ("comma", "1 234,50", "1234.50"),
        ("comma", "1\u202f234,50", "1234.50"),
        ("comma", "'-0,5", "-0.5"),
        ("comma", "1,5E-05", "1.5E-05"),
        ("comma", "24", "24"),
        ("point", "1,234.50", "1234.50"),
        ("point", "1'234.50", "1234.50"),
        ("point", "1\u2019234\u2019567.50", "1234567.50"),
        ("point", "1,234", "1234"),
        ("point", "1.234", "1.234"),
        ("point", "+0.5", "0.5"),
    ],
)
@pytest.mark.parametrize("delimiter", [";", ",", "|"])
def test_a_local_number_is_read_once_its_decimal_sign_is_said(
    sign: DecimalSign, text: str, number: str, delimiter: str, tmp_path: Path
) -> None:
    item = {**ITEM, "UnitPrice": "1", "Quantity": "24"}
    found = read(tmp_path / "a", with_total(text, delimiter, item), LocalForms(decimal=sign))
    assert (found.items, found.refused) == ([{**item, "BillingPreTaxTotal": number}], [])


@pytest.mark.parametrize(
    ("sign", "text"),
    [
        ("comma", "22.00"),
        ("comma", "1.23,4"),
        ("comma", "1,234,567"),
        ("comma", "1,234.50"),
        ("comma", "12.34.567"),
        ("point", "22,00"),
        ("point", "1.234.567"),
        ("point", "1.234,50"),
        ("point", "(5.00)"),
        ("point", "5-"),
        ("comma", "\u20ac5"),
        ("comma", "12%"),
        ("comma", ",5"),
        ("comma", "#REF!"),
    ],
)
def test_a_number_that_is_none_in_the_form_that_was_said_is_refused(
    sign: DecimalSign, text: str, tmp_path: Path
) -> None:
    item = {**ITEM, "UnitPrice": "1", "Quantity": "24"}
    [(line, why)] = read(tmp_path / "a", with_total(text, ";", item), LocalForms(decimal=sign)).refused
    assert (line, why.attribute, why.value) == (2, "BillingPreTaxTotal", text)
    assert why.reason == f"not a number with a decimal {sign}"
    assert why.remedy


@pytest.mark.parametrize("allowed", [0, 100])
@pytest.mark.parametrize(
    ("delimiter", "texts"),
    [
        (";", ("1.234", "0,5")),
        (";", ("0,5", "1.234")),
        (";", ("1.234",)),
        (";", ("-12.345.678",)),
        (",", ("1.234", "0,5")),
        (",", ("1,234",)),
        (",", ("1,234.50",)),
        ("\t", ("1.234,50",)),
        (",", ("1 234",)),
        (";", ("1'234.50",)),
    ],
)
def test_which_sign_is_before_the_decimals_is_asked_and_never_guessed(
    delimiter: str, texts: tuple[str, ...], allowed: int, data_folder: DataFolder, tmp_path: Path
) -> None:
    """Whatever may be refused: without the lines that show a comma, the others would be misread."""
    content = rows(*({**UNINVOICED, "BillingPreTaxTotal": text} for text in texts), delimiter=delimiter)
    with pytest.raises(InputError) as caught:
        publish_bytes(data_folder, tmp_path / "a.csv", content.encode(), UNBILLED, allow_rejects=allowed)
    assert (caught.value.reason, caught.value.parameter) == ("a number that two readers read differently", "decimal")
    assert (caught.value.attribute, caught.value.value in texts) == ("BillingPreTaxTotal", True)


def test_a_point_that_can_only_be_one_thing_is_not_asked_about(tmp_path: Path) -> None:
    for text in ("22.00", "0.123", "1234.567", "0.4902357653", "-0.001", "1.5E-05", "1000"):
        assert read(tmp_path / "a", with_total(text, ";")).items == [{**ITEM, "BillingPreTaxTotal": text}]


def test_a_german_file_is_read_with_both_options(data_folder: DataFolder, tmp_path: Path) -> None:
    german = {
        **UNINVOICED,
        "UsageDate": "05.10.2026",
        "UnitPrice": "0,02",
        "Quantity": "24,0",
        "BillingPreTaxTotal": "1.234,56",
    }
    content = rows(german, {**german, "UsageDate": "31.10.2026", "BillingPreTaxTotal": "-1,00"}, delimiter=";").encode()
    receipt = publish_bytes(data_folder, tmp_path / "a.csv", content, UNBILLED, date_order="dmy", decimal="comma")
    assert str(receipt.contents.totals["BillingPreTaxTotal"]) == "1233.56"


def test_dates_of_two_orders_in_one_file_are_refused(tmp_path: Path) -> None:
    """Each of them has one reading, and together they show that nobody knows what the third would mean."""
    dates = ["10/31/2026", "10/10/2026", "31/10/2026"]
    with pytest.raises(InputError) as caught:
        read(tmp_path / "a", rows(*({**ITEM, "UsageDate": date} for date in dates)))
    assert (caught.value.line, caught.value.attribute) == (4, "UsageDate")
    assert "that of line 2" in caught.value.reason
    found = read(tmp_path / "a", rows(*({**ITEM, "UsageDate": date} for date in dates[:2])))
    assert [item["UsageDate"] for item in found.items] == ["2026-10-31T00:00:00Z", "2026-10-10T00:00:00Z"]


def test_what_a_pull_wrote_is_read_letter_for_letter(tmp_path: Path) -> None:
    """White space around an id of the source belongs to the id: what is mirrored has the source's eTag."""
    item = {**ITEM, "SubscriptionId": " s1 ", "ProductId": "'p", "CustomerName": '="x"', "MeterId": "m\u00a0"}
    assert read(tmp_path / "a", rows(item), LocalForms(as_written=True)).items == [item]
    plain = {**item, "SubscriptionId": "s1", "ProductId": "p", "CustomerName": "x", "MeterId": "m"}
    assert read(tmp_path / "a", rows(item)).items == [plain]


def test_how_a_file_is_written_is_told_in_the_words_of_the_options() -> None:
    assert LocalForms.read(date_order="dmy", decimal="comma") == LocalForms("dmy", "comma")
    assert LocalForms.read() == LocalForms()
    for wrong in ({"decimal": ","}, {"date_order": "ymd"}, {"decimal": "Comma"}):
        with pytest.raises(UsageError) as caught:
            LocalForms.read(**wrong)
        assert (caught.value.parameter, bool(caught.value.remedy)) == (*wrong, True)
