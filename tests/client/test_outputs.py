"""CSV and Excel as people's queries expect them: Partner Center's columns, every digit, and nothing computed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final

import pyarrow as pa
import pytest

from counterfoil.client.output_files.csv_file import write_csv
from counterfoil.client.output_files.excel_cells import date_cell, number_cell
from counterfoil.client.output_files.headings import Note, columns_of, quietly
from counterfoil.client.output_files.workbook import write_workbook
from counterfoil.client.receipt import ReceiptFile
from counterfoil.columns import Type
from counterfoil.errors import UsageError
from counterfoil.model import Kind
from tests.client.sheets import batch_of, cells_of, generated, letters_of, rows_of_csv, table_in

Write = Callable[[Path, Kind, Iterable[pa.RecordBatch], Note], ReceiptFile]
WRITERS: Final[dict[str, Write]] = {"csv": write_csv, "xlsx": write_workbook}
RECONCILIATION_HEADER: Final = (
    "PartnerId,CustomerId,CustomerName,CustomerDomainName,CustomerCountry,InvoiceNumber,MpnId,Tier2MpnId,OrderId,"
    "OrderDate,ProductId,SkuId,AvailabilityId,SkuName,ProductName,ChargeType,UnitPrice,Quantity,Subtotal,TaxTotal,"
    "Total,Currency,PriceAdjustmentDescription,PublisherName,PublisherId,SubscriptionDescription,SubscriptionId,"
    "ChargeStartDate,ChargeEndDate,TermAndBillingCycle,EffectiveUnitPrice,UnitType,AlternateId,BillableQuantity,"
    "BillingFrequency,PricingCurrency,PCToBCExchangeRate,PCToBCExchangeRateDate,MeterDescription,ReservationOrderId,"
    "CreditReasonCode,SubscriptionStartDate,SubscriptionEndDate,ReferenceId,ProductQualifiers,PromotionId,"
    "ProductCategory"
)
USAGE_HEADER: Final = (
    "PartnerId,PartnerName,CustomerId,CustomerName,CustomerDomainName,CustomerCountry,MpnId,Tier2MpnId,InvoiceNumber,"
    "ProductId,SkuId,AvailabilityId,SkuName,ProductName,PublisherName,PublisherId,SubscriptionDescription,"
    "SubscriptionId,ChargeStartDate,ChargeEndDate,UsageDate,MeterType,MeterCategory,MeterId,MeterSubCategory,MeterName,"
    "MeterRegion,Unit,ResourceLocation,ConsumedService,ResourceGroup,ResourceURI,ChargeType,UnitPrice,Quantity,UnitType,"
    "BillingPreTaxTotal,BillingCurrency,PricingPreTaxTotal,PricingCurrency,ServiceInfo1,ServiceInfo2,Tags,"
    "AdditionalInfo,EffectiveUnitPrice,PCToBCExchangeRate,PCToBCExchangeRateDate,EntitlementId,EntitlementDescription,"
    "PartnerEarnedCreditPercentage,CreditPercentage,CreditType,BenefitOrderId,BenefitId,BenefitType"
)
HEADERS: Final = {Kind.RECONCILIATION: RECONCILIATION_HEADER, Kind.USAGE: USAGE_HEADER}


def each_form() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("form", WRITERS)


def at(kind: Kind, name: str) -> int:
    return [column.name for column in columns_of(kind).values()].index(name)


@pytest.mark.parametrize("kind", Kind)
def test_the_headings_are_partner_centers_own_in_their_order(tmp_path: Path, kind: Kind) -> None:
    write_csv(tmp_path / "a.csv", kind, [])
    assert (tmp_path / "a.csv").read_bytes() == b"\xef\xbb\xbf" + HEADERS[kind].encode() + b"\r\n"
    write_workbook(tmp_path / "a.xlsx", kind, [])
    [row] = cells_of(tmp_path / "a.xlsx", kind.value)
    assert [content for _, content in row.values()] == HEADERS[kind].split(",")


@pytest.mark.parametrize("kind", Kind)
def test_a_csv_holds_every_value_as_it_came(tmp_path: Path, kind: Kind) -> None:
    batches = generated(kind, 500)
    receipt = write_csv(tmp_path / "a.csv", kind, batches)
    names = [column.name for column in columns_of(kind).values()]
    expected = [[row[name] or "" for name in names] for batch in batches for row in batch.to_pylist()]
    assert rows_of_csv(tmp_path / "a.csv")[1:] == expected
    assert receipt.line_items == 500
    text = (tmp_path / "a.csv").read_bytes()
    assert (receipt.size_bytes, receipt.sha256) == (len(text), hashlib.sha256(text).hexdigest())


def test_a_csv_quotes_what_needs_it_and_nothing_else(tmp_path: Path) -> None:
    hard = ["a,b", 'say "hi"', "two\nlines", "cr\rlf\r\n", " spaced ", "=1+1", "plain", "ü\u2028🙂", ""]
    rows = [{"CustomerName": text, "BillingPreTaxTotal": "0.10"} for text in hard]
    write_csv(tmp_path / "a.csv", Kind.USAGE, [batch_of(Kind.USAGE, rows)])
    index = at(Kind.USAGE, "CustomerName")
    assert [row[index] for row in rows_of_csv(tmp_path / "a.csv")[1:]] == hard
    text = (tmp_path / "a.csv").read_bytes()
    assert b',"a,b",' in text
    assert b",plain," in text
    assert b",0.10," in text


@pytest.mark.parametrize("kind", Kind)
def test_a_workbook_holds_every_value_exactly(tmp_path: Path, kind: Kind) -> None:
    """Each number is a number; where that is not the very same value, the text beside it is."""
    batches = generated(kind, 300)
    write_workbook(tmp_path / "a.xlsx", kind, batches)
    rows = table_in(tmp_path / "a.xlsx", kind.value)
    items = [row for batch in batches for row in batch.to_pylist()]
    assert len(rows) == len(items)
    beside = 0
    for cells, item in zip(rows, items, strict=True):
        for heading, column in columns_of(kind).items():
            found, text = cells.get(heading), item[column.name] or ""
            if column.type is Type.TEXT or found is None:
                assert found == (("text", text) if text else None)
            elif column.type is Type.NUMBER:
                assert found[0] == "number"
                is_same = Decimal(found[1]) == Decimal(text)
                assert cells.get(f"{heading} (exact)") == (None if is_same else ("text", text))
                beside += not is_same
            else:
                assert found == ("text", text) or when(found[1]) == datetime.fromisoformat(text.removesuffix("Z"))
    assert beside


def when(serial: str) -> datetime:
    return datetime(1899, 12, 30) + timedelta(seconds=round(float(serial) * 86_400))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("24.0", "24.0"), ("0.1", "0.1"), ("-12.340", "-12.34"), ("999999999999.999", "999999999999.999"),
        ("0E-20", "0"),
        ("1E-7", "1E-7"), ("123456789012345", "123456789012345"), ("1234567890123456E-3", "1234567890123.46"),
        ("0.1999968000511991808131", "0.199996800051199"), ("-0", "0"), ("0.00000000000000012345", "1.2345E-16"),
        ("1E-400", "0"), ("1234567890123450000E-6", "1234567890123.45"), ("5.1", "5.1"),
        ("1.234567890123456E+5", "123456.789012346"), ("0.1234567890123445", "0.123456789012344"),
        ("0.1234567890123455", "0.123456789012346"), ("-0.1234567890123445", "-0.123456789012344"),
    ],
)  # fmt: skip
def test_a_number_is_rounded_to_excels_fifteen_digits_half_to_even(text: str, held: str) -> None:
    value, is_exact = number_cell(text)
    assert value == Decimal(held)
    assert is_exact == (Decimal(held) == Decimal(text))
    assert float(f"{value:.16G}") == float(held)  # as it is written


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-20T00:00:00Z", (46346.0, False)),
        ("2026-11-20T18:00:00Z", (46346.75, True)),
        ("2026-11-20T18:00:00.5Z", None),
        ("2026-11-20T18:00:00+01:00", None),
        ("2026-11-20T18:00:00", None),
        ("2026-02-30T00:00:00Z", None),
        ("0001-01-01T00:00:00Z", None),
        ("1900-01-01T00:00:00Z", None),
        ("2026-11-20", None),
    ],
)
def test_a_date_is_one_only_where_excel_holds_all_of_it(text: str, expected: tuple[float, bool] | None) -> None:
    assert date_cell(text) == expected


def test_text_that_looks_like_something_else_stays_text(tmp_path: Path) -> None:
    odd = [
        "=1+1",
        "+1",
        "-2+3",
        "@SUM(A1)",
        "{=1}",
        "0002",
        "1E5",
        "http://a.b/c",
        "internal:x",
        "_x0041_",
        "a\x01b\x0b",
    ]
    write_workbook(tmp_path / "a.xlsx", Kind.USAGE, [batch_of(Kind.USAGE, [{"SkuId": text} for text in odd])])
    column = letters_of(at(Kind.USAGE, "SkuId"))
    cells = [row[column] for row in cells_of(tmp_path / "a.xlsx")[1:]]
    assert {kind for kind, _ in cells} == {"text"}
    assert [text for _, text in cells] == odd


@each_form()
def test_the_same_line_items_give_the_same_bytes_however_they_are_cut(tmp_path: Path, form: str) -> None:
    batches = generated(Kind.RECONCILIATION, 200)
    whole = pa.Table.from_batches(batches).combine_chunks().to_batches()
    parts = [batch.slice(start, 37) for batch in whole for start in range(0, batch.num_rows, 37)]
    first = WRITERS[form](tmp_path / "a", Kind.RECONCILIATION, whole, quietly)
    again = WRITERS[form](tmp_path / "b", Kind.RECONCILIATION, parts, quietly)
    assert first.sha256 == again.sha256
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@each_form()
def test_what_the_columns_cannot_hold_is_said(tmp_path: Path, form: str) -> None:
    notes: list[str] = []
    rows: list[dict[str, str | None]] = [
        {
            "CustomerName": "=1",
            "HasPartnerEarnedCredit": "true",
            "Extra": '{"New":1}',
            "UnitPrice": "0.12345678901234567",
        },
        {"CustomerName": "x", "HasPartnerEarnedCredit": "", "Extra": None, "UnitPrice": "1"},
    ]
    WRITERS[form](tmp_path / "a", Kind.USAGE, [batch_of(Kind.USAGE, rows)], notes.append)
    said = " ".join(notes)
    assert "no column for HasPartnerEarnedCredit, which 1 line item had" in said
    assert "unknown attributes, which 1 line item had" in said
    assert ("1 value of UnitPrice has more than the 15 digits" in said) == (form == "xlsx")
    assert ("1 value begins like a formula" in said) == (form == "csv")


@each_form()
def test_nothing_to_say_says_nothing(tmp_path: Path, form: str) -> None:
    notes: list[str] = []
    rows = [{"CustomerName": "x", "UnitPrice": "1.5", "UsageDate": "2026-11-20T00:00:00Z"}]
    WRITERS[form](tmp_path / "a", Kind.USAGE, [batch_of(Kind.USAGE, rows)], notes.append)
    assert notes == []


@each_form()
def test_a_failure_leaves_no_file(tmp_path: Path, form: str) -> None:
    class Broken:
        """Line items that end with an error, when they are read for the first time or the last."""

        def __init__(self, reads: int) -> None:
            self.reads = reads

        def __iter__(self) -> Iterator[pa.RecordBatch]:
            self.reads -= 1
            yield batch_of(Kind.USAGE, [{"CustomerName": "x"}])
            if not self.reads:
                raise BrokenPipeError

    for reads in range(1, 3 if form == "xlsx" else 2):
        with pytest.raises(BrokenPipeError):
            WRITERS[form](tmp_path / "a", Kind.USAGE, Broken(reads), quietly)
        assert list(tmp_path.iterdir()) == []


def test_a_text_longer_than_a_cell_is_refused_and_not_cut(tmp_path: Path) -> None:
    for text, fits in (("x" * 32_767, True), ("x" * 32_768, False), ("🙂" * 16_384, False), ("🙂" * 16_383, True)):
        batch = batch_of(Kind.USAGE, [{"Tags": text}])
        if fits:
            write_workbook(tmp_path / "a.xlsx", Kind.USAGE, [batch])
            assert cells_of(tmp_path / "a.xlsx")[1][letters_of(at(Kind.USAGE, "Tags"))] == ("text", text)
        else:
            with pytest.raises(UsageError, match=r"Tags of line item 1.*a cell holds 32,767"):
                write_workbook(tmp_path / "a.xlsx", Kind.USAGE, [batch])
