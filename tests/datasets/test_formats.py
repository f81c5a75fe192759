"""Every form that line items may come in, and that all forms mean the same."""

from __future__ import annotations

import csv
import gzip
import io
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from counterfoil.columns import table_of
from counterfoil.datasets.check import Assertions
from counterfoil.datasets.data_folder import DataFolder
from counterfoil.datasets.folder import contents_of_folder
from counterfoil.datasets.publishing import publish
from counterfoil.errors import InputError, UsageError
from counterfoil.model import Kind
from tests.datasets.line_items import (
    INVOICE,
    OTHER,
    PARTNER,
    PERIOD,
    UNBILLED,
    amounts,
    billed,
    in_force,
    lake_items,
    publish_bytes,
    raw_line,
    write,
)

# The header of a reconciliation file and of a daily rated usage file, as Partner Center writes them.
RECONCILIATION_HEADER = (
    "PartnerId,CustomerId,CustomerName,CustomerDomainName,CustomerCountry,InvoiceNumber,MpnId,ResellerMpnId,OrderId,"
    "OrderDate,ProductId,SkuId,AvailabilityId,SkuName,ProductName,ChargeType,UnitPrice,Quantity,Subtotal,TaxTotal,Total,"
    "Currency,PriceAdjustmentDescription,PublisherName,PublisherId,SubscriptionDescription,SubscriptionId,"
    "ChargeStartDate,ChargeEndDate,TermAndBillingCycle,EffectiveUnitPrice,UnitType,AlternateId,BillableQuantity,"
    "BillingFrequency,PricingCurrency,PCToBCExchangeRate,PCToBCExchangeRateDate,MeterDescription,ReservationOrderId,"
    "CreditReasonCode,SubscriptionStartDate,SubscriptionEndDate,ReferenceId,ProductQualifiers,PromotionId,ProductCategory"
)
USAGE_HEADER = (
    "PartnerId,PartnerName,CustomerId,CustomerName,CustomerDomainName,CustomerCountry,MpnId,Tier2MpnId,InvoiceNumber,"
    "ProductId,SkuId,AvailabilityId,SkuName,ProductName,PublisherName,PublisherId,SubscriptionDescription,SubscriptionId,"
    "ChargeStartDate,ChargeEndDate,UsageDate,MeterType,MeterCategory,MeterId,MeterSubCategory,MeterName,MeterRegion,Unit,"
    "ResourceLocation,ConsumedService,ResourceGroup,ResourceURI,ChargeType,UnitPrice,Quantity,UnitType,"
    "BillingPreTaxTotal,BillingCurrency,PricingPreTaxTotal,PricingCurrency,ServiceInfo1,ServiceInfo2,Tags,AdditionalInfo,"
    "EffectiveUnitPrice,PCToBCExchangeRate,EntitlementId,EntitlementDescription,PartnerEarnedCreditPercentage,"
    "CreditPercentage,CreditType,BenefitOrderID,BenefitID,BenefitType"
)
VALUES = {
    "PartnerId": PARTNER,
    "CustomerName": 'Söhne, "Fabrikam"\r\n& Co; KG',
    "Currency": "EUR",
    "BillingCurrency": "EUR",
    "Subtotal": "-14.40",
    "TaxTotal": "0E-20",
    "Total": "-14.40",
    "BillingPreTaxTotal": "0.1999968000511991808131",
    "PartnerEarnedCreditPercentage": "15",
    "ChargeStartDate": "2026-11-01T00:00:00Z",
    "UsageDate": "2026-11-20T00:00:00Z",
    "OrderDate": "2026-11-20T18:30:06.6045692Z",
    "SkuId": "0002",
    "Tags": '{"a": "b"}',
}


def csv_of(header: str, *each: dict[str, str], delimiter: str = ",", quoting: int = csv.QUOTE_MINIMAL) -> bytes:
    names = header.split(",")
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting)  # type: ignore[arg-type]
    writer.writerows([names, *([{**VALUES, **values}.get(name, "") for name in names] for values in each)])
    return text.getvalue().encode()


def stored(data_folder: DataFolder, path: Path, content: bytes, **options: object) -> list[dict[str, str]]:
    receipt = publish_bytes(data_folder, path, content, **options)  # type: ignore[arg-type]
    return [{name: text for name, text in item.items() if text} for item in lake_items(data_folder, in_force(receipt))]


@pytest.mark.parametrize("header", [RECONCILIATION_HEADER, USAGE_HEADER], ids=["reconciliation", "usage"])
def test_a_csv_file_is_read_to_the_last_character(data_folder: DataFolder, tmp_path: Path, header: str) -> None:
    names = set(header.split(","))
    expected = {name: text for name, text in VALUES.items() if name in names}
    assert stored(data_folder, tmp_path / "a.csv", csv_of(header, {})) == [expected]


@pytest.mark.parametrize("header", [RECONCILIATION_HEADER, USAGE_HEADER], ids=["reconciliation", "usage"])
def test_every_dress_of_a_csv_means_the_same(data_folder: DataFolder, tmp_path: Path, header: str) -> None:
    plain = csv_of(header, {}, {"CustomerName": "b"})
    dresses = [
        plain,
        b"\xef\xbb\xbf" + plain,
        csv_of(header, {}, {"CustomerName": "b"}, delimiter=";"),
        csv_of(header, {}, {"CustomerName": "b"}, delimiter="\t"),
        csv_of(header, {}, {"CustomerName": "b"}, quoting=csv.QUOTE_ALL),
        csv_of(
            header.lower(),
            *[{name.lower(): text for name, text in {**VALUES, **v}.items()} for v in ({}, {"CustomerName": "b"})],
        ),
        gzip.compress(plain),
        plain + b"\r\n",
        plain.replace(b"\r\n", b"\n").replace(b'"Fabrikam""\n&', b'"Fabrikam""\r\n&'),
    ]
    tags = {publish_bytes(data_folder, tmp_path / "a", dress, dry_run=True).etag for dress in dresses}
    assert len(tags) == 1


def test_the_columns_of_the_table_are_those_of_the_files() -> None:
    for kind, header in (
        (Kind.RECONCILIATION, RECONCILIATION_HEADER.replace("Reseller", "Tier2")),
        (Kind.USAGE, USAGE_HEADER),
    ):
        assert header.split(",") == [column.name for column in table_of(kind).columns if column.graph]


def test_no_reseller_is_0_in_one_spelling_and_empty_in_the_other(data_folder: DataFolder, tmp_path: Path) -> None:
    zero = csv_of(RECONCILIATION_HEADER, {"ResellerMpnId": "0"})
    empty = csv_of(RECONCILIATION_HEADER.replace("Reseller", "Tier2"), {})
    assert (
        publish_bytes(data_folder, tmp_path / "a", zero).etag == publish_bytes(data_folder, tmp_path / "b", empty).etag
    )


@pytest.mark.parametrize(
    ("order", "text", "iso"),
    [
        ("mdy", "11/10/2026", "2026-11-10T00:00:00Z"),
        ("dmy", "11/10/2026", "2026-10-11T00:00:00Z"),
        ("mdy", "1/2/2026 3:04:05 PM", "2026-01-02T15:04:05Z"),
        ("mdy", "1/2/2026 12:00 AM", "2026-01-02T00:00:00Z"),
        ("dmy", "31.12.2026 23:59", "2026-12-31T23:59:00Z"),
        (None, "2026-11-20", "2026-11-20"),
    ],
)
def test_a_local_date_becomes_iso_once_its_order_is_declared(
    data_folder: DataFolder, tmp_path: Path, order: str | None, text: str, iso: str
) -> None:
    content = csv_of(USAGE_HEADER, {"UsageDate": text})
    [item] = stored(data_folder, tmp_path / "a.csv", content, date_order=order)
    assert item["UsageDate"] == iso


@pytest.mark.parametrize(
    ("order", "text", "reason"),
    [
        (None, "11/10/2026", "a date that two readers read differently"),
        ("mdy", "13/10/2026", "not a date with the month first"),
        ("dmy", "31/02/2026", "not a date with the day first"),
        (None, "31/02/2026", "not a date of the calendar"),
        ("mdy", "2026-02-30", "not a date of the calendar"),
    ],
)
def test_a_date_that_may_mean_two_days_or_none_is_refused(
    data_folder: DataFolder, tmp_path: Path, order: str | None, text: str, reason: str
) -> None:
    content = csv_of(USAGE_HEADER, {}, {"UsageDate": text, "CustomerName": "x"})
    with pytest.raises(InputError) as refused:
        publish_bytes(data_folder, tmp_path / "a.csv", content, date_order=order)
    found = refused.value
    assert (found.reason, found.attribute, found.value, found.line) == (reason, "UsageDate", text, 4)
    assert found.remedy


@pytest.mark.parametrize("text", ["1,000.00", "1.000,00", "1 000", "€5", "(5.00)", "5-", "null", '"5"', "1_000", "007"])
def test_what_a_spreadsheet_makes_of_an_amount_is_refused_and_never_guessed(
    data_folder: DataFolder, tmp_path: Path, text: str
) -> None:
    with pytest.raises(InputError) as refused:
        publish_bytes(data_folder, tmp_path / "a.csv", csv_of(USAGE_HEADER, {"UnitPrice": text}))
    assert (refused.value.attribute, refused.value.value, refused.value.line) == ("UnitPrice", text, 3)


def test_unknown_columns_of_a_csv_are_kept_and_counted(data_folder: DataFolder, tmp_path: Path) -> None:
    content = csv_of(USAGE_HEADER + ",Novel é", {"Novel é": 'a"b', "UnitPrice": "1E2"}, {"UnitPrice": "1"})
    receipt = publish_bytes(data_folder, tmp_path / "a.csv", content)
    assert receipt.warnings["unknown Novel é"] == 2
    extras = {item["Extra"] for item in lake_items(data_folder, in_force(receipt))}
    assert extras == {'{"Novel é":"a\\"b"}', '{"Novel é":""}'}


@pytest.mark.parametrize(
    ("content", "reason", "line"),
    [
        (csv_of(USAGE_HEADER, {}) + b"a,b\r\n", "has 2 fields where the header has 54", 4),
        (csv_of(USAGE_HEADER + ",resourceuri", {}), "the header gives ResourceURI twice", 1),
        (csv_of(USAGE_HEADER, {})[:-4] + b'"open\r\n', "not CSV", None),
        (csv_of(USAGE_HEADER, {}).replace("Söhne".encode(), b"S\xf6hne"), "not UTF-8", 2),
        (csv_of(USAGE_HEADER, {}).decode().encode("utf-16"), "the file is UTF-16, and must be UTF-8", None),
        (csv_of(USAGE_HEADER, {"SkuName": "a\0b"}), "holds the character U+0000", 3),
    ],
)
def test_a_csv_that_is_none_is_refused(
    data_folder: DataFolder, tmp_path: Path, content: bytes, reason: str, line: int | None
) -> None:
    with pytest.raises(InputError) as refused:
        publish_bytes(data_folder, tmp_path / "a.csv", content)
    assert refused.value.reason.startswith(reason)
    assert line is None or refused.value.line == line


def page(items: Sequence[bytes], space: bytes = b"") -> bytes:
    """A page of Partner Center v1; `space` comes between all its members, down to those of the line items."""
    joined = (b"," + space).join(item.replace(b',"', b"," + space + b'"') for item in items)
    return b'{"totalCount":%d,' % len(items) + space + b'"items":[' + space + joined + b'],"links":{}}'


@pytest.mark.parametrize("kind", Kind)
def test_lines_pages_documents_and_arrays_mean_the_same(data_folder: DataFolder, tmp_path: Path, kind: Kind) -> None:
    lines = amounts(kind, "1.5", "2.5", "3.5").splitlines()
    dresses = {
        "lines": b"\n".join(lines),
        "windows": b"\r\n".join(lines) + b"\r\n\r\n",
        "mark": b"\xef\xbb\xbf" + b"\n".join(lines),
        "blank": b"\n\n" + b"\n \n".join(lines),
        "page": page(lines),
        "pretty page": page(lines, b"\n    "),
        "pages": page(lines[:2]) + b"\n" + page([]) + b"\n" + page(lines[2:]) + b"\n",
        "empty page first": page([]) + b"\n" + page(lines),
        "array": b"[" + b",".join(lines) + b"]",
        "pretty array": b"[\n" + b",\n".join(line.replace(b",", b" ,\n ") for line in lines) + b"\n]\n",
        "gzip": gzip.compress(b"\n".join(lines)),
        "many members": b"".join(gzip.compress(line + b"\n") for line in lines),
        "gzip page": gzip.compress(page(lines)),
    }
    tags = {
        name: publish_bytes(data_folder, tmp_path / name, dress, dry_run=True).etag for name, dress in dresses.items()
    }
    assert set(tags.values()) == {tags["lines"]}


def test_a_bad_line_item_of_a_document_is_named_by_its_place(data_folder: DataFolder, tmp_path: Path) -> None:
    lines = amounts(Kind.USAGE, "1", "NaN").replace(b"NaN", b'"x"').splitlines()
    with pytest.raises(InputError) as refused:
        publish_bytes(data_folder, tmp_path / "a", page(lines, b"\r\n\t"))
    assert (refused.value.line, refused.value.attribute, refused.value.value) == (2, "BillingPreTaxTotal", "x")


@pytest.mark.parametrize("packed", [False, True])
def test_standard_input_is_a_file_too(tmp_path: Path, packed: bool) -> None:
    content = billed(Kind.USAGE, "1.50")
    arguments = [sys.executable, "-m", "counterfoil", "publish", "-", "--data", str(tmp_path / "d"), "--output", "json"]
    done = subprocess.run(
        arguments, input=gzip.compress(content) if packed else content, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    [receipt] = json.loads(done.stdout)
    assert receipt["totals"] == {"BillingPreTaxTotal": "1.50"}


def test_a_folder_tells_months_and_partners_by_its_names(data_folder: DataFolder, tmp_path: Path) -> None:
    root = tmp_path / "in"
    write(root / "invoice.jsonl.gz", billed(Kind.RECONCILIATION, "1"))
    write(root / "2026-11" / "usage.JSON", amounts(Kind.USAGE, "2"))
    write(root / "usage-2026-10.csv", csv_of(USAGE_HEADER, {"UsageDate": "2026-10-20"}))
    write(root / OTHER / "2026-11.ndjson", amounts(Kind.RECONCILIATION, "3").replace(PARTNER.encode(), OTHER.encode()))
    write(root / "notes.txt", b"not ours")
    datasets = sorted(str(receipt.dataset) for receipt in publish(data_folder, contents_of_folder(root).inputs))
    assert datasets == sorted(
        [
            f"reconciliation of {PARTNER}, invoice {INVOICE}",
            f"usage of {PARTNER}, unbilled 2026-11 EUR",
            f"usage of {PARTNER}, unbilled 2026-10 EUR",
            f"reconciliation of {OTHER}, unbilled 2026-11 EUR",
        ]
    )


def test_a_folder_without_line_items_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UsageError):
            contents_of_folder(folder)


def test_a_file_of_the_other_kind_in_one_go_is_another_dataset(data_folder: DataFolder, tmp_path: Path) -> None:
    told = Assertions(period=PERIOD)
    assert publish_bytes(data_folder, tmp_path / "a", amounts(Kind.USAGE, "1"), told).dataset.kind is Kind.USAGE
    assert (
        publish_bytes(data_folder, tmp_path / "a", amounts(Kind.RECONCILIATION, "1"), told).dataset.kind
        is Kind.RECONCILIATION
    )


def test_v1_rates_become_percentages(data_folder: DataFolder, tmp_path: Path) -> None:
    line = raw_line(Kind.USAGE, {"rateOfPartnerEarnedCredit": "0.15", "rateOfCredit": '"1"'}).encode()
    [item] = stored(data_folder, tmp_path / "a", line, asserted=UNBILLED)
    assert (item["PartnerEarnedCreditPercentage"], item["CreditPercentage"]) == ("15", "100")
