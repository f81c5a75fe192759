"""Anonymous fixtures: nothing that says whose the data is stays in any byte; every amount, date and order does."""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
import re
import tracemalloc
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from counterfoil.anonymizing import anonymize, read_or_make_key
from counterfoil.anonymizing.pseudonyms import Pseudonyms
from counterfoil.columns import Type, table_of
from counterfoil.errors import CounterfoilError, InputError, UsageError
from counterfoil.generator import BillingMonth, generate
from counterfoil.model import Kind, Scope
from counterfoil.periods import BillingPeriod
from counterfoil.testing import PARTNER, Server, reconciliation, usage

KEY = b"k" * 32
CUSTOMER = "5b1c0f6e-9a77-4c0e-8f43-1d2f3a4b5c6d"
ENTITLEMENT = "AAAABBBB-CCCC-4DDD-8EEE-FFFF00001111"
SECRETS = {
    CUSTOMER, ENTITLEMENT, "Żółć Über & Söhne \"AG\"", "zolc-uber", "zolcuber.onmicrosoft.com", "4711471", "9988776",
    "G012345678", "a1b2c3d4e5f6", "rg-payroll-zurich", "vm-hr-salaries", "Kostenstelle 4711471", "Geheimprojekt",
    "Fabrikam Reselling", "my friendly subscription", "alice@zolcuber.example", "CostCentreZurich",
}  # fmt: skip


def planted() -> list[dict[str, Any]]:
    """Line items with secrets in every attribute that could hold one."""
    name = 'Żółć Über & Söhne "AG"'
    uri = f"/subscriptions/{ENTITLEMENT}/resourceGroups/rg-payroll-zurich/providers/Microsoft.Compute/virtualMachines/"
    inner = {"owner": "alice@zolcuber.example", "Geheimprojekt": name, "ids": [CUSTOMER.upper(), {"n": 4711471}]}
    common = {
        "PartnerId": PARTNER,
        "CustomerId": CUSTOMER,
        "CustomerName": name,
        "CustomerDomainName": "zolcuber.onmicrosoft.com",
        "MpnId": "4711471",
        "Tier2MpnId": "9988776",
        "InvoiceNumber": "G012345678",
        "SubscriptionDescription": "my friendly subscription",
    }
    used = usage(
        **common,
        PartnerName="Fabrikam Reselling",
        ProductName=f"Private offer for {name.upper()}",
        SkuName="offer for zolcuber",
        MeterName=f"meter {CUSTOMER}",
        MeterSubCategory="order G012345678",
        ResourceGroup="rg-payroll-zurich",
        ResourceURI=quote(uri + "vm-hr-salaries"),
        Tags=json.dumps(inner),
        AdditionalInfo=json.dumps(
            {"VMName": "vm-hr-salaries", "ServiceType": "Standard_D2s_v5", "VCPUs": 4, "x": inner}
        ),
        ServiceInfo1="vm-hr-salaries",
        ServiceInfo2=json.dumps(inner, ensure_ascii=False),
        EntitlementId=ENTITLEMENT,
        EntitlementDescription="Geheimprojekt",
        BenefitOrderID="a1b2c3d4e5f6",
    )
    charge = reconciliation(
        **common,
        OrderId="a1b2c3d4e5f6",
        AlternateId="A1B2C3D4E5F6",
        ReferenceId=json.dumps({"osId": CUSTOMER, "id": ENTITLEMENT.lower(), "v": "1"}),
        PriceAdjustmentDescription=f"Discount for order a1b2c3d4e5f6 of {name}",
        Total="-3754295.2700000000",
    )
    extra = {"CostCentreZurich": "Kostenstelle 4711471", "unknownNested": [inner, name, 4711471, None, True]}
    dirty = {"Tags": f'"owner": "{name}"', "ResourceURI": f"{name}/vm-hr-salaries", "UsageDate": "2026-10-02"}
    return [used | extra, used | dirty, charge | extra, charge]


def written(folder: Path) -> dict[str, bytes]:
    return {
        path.name: gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        for path in sorted(folder.iterdir())
    }


def to_lines(items: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(item, default=str) + "\n" for item in items).encode()


def forms(secret: str) -> set[str]:
    """Every form in which a text may be found in another one."""
    plain = {secret, secret.replace("-", ""), json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    twice = {json.dumps(each)[1:-1] for each in plain}
    encoded = {change(each) for each in plain for change in (quote, quote_plus)}
    encoded |= {base64.b64encode(secret.encode()).decode().rstrip("=")}
    return {each.casefold() for each in plain | twice | encoded}


def assert_without(found: dict[str, bytes], secrets: set[str]) -> None:
    for name, data in found.items():
        text = (name + data.decode()).casefold()
        for secret in secrets:
            for form in forms(secret):
                assert form not in text, (name, secret, form)


def published(folder: Path, name: str, items: list[dict[str, Any]]) -> Path:
    path = folder / name
    data = to_lines(items)
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


@pytest.mark.parametrize("name", ["G012345678 Żółć.jsonl", "usage.jsonl.gz"])
def test_no_secret_is_left_in_any_form(tmp_path: Path, name: str) -> None:
    used, charged = planted()[:2], planted()[2:]
    paths = [published(tmp_path, name, used), published(tmp_path, "charges.jsonl", charged)]
    files = anonymize(paths, tmp_path / "out", key=KEY)
    assert [(file.kind, file.line_items) for file in files] == [(Kind.USAGE, 2), (Kind.RECONCILIATION, 2)]
    found = written(tmp_path / "out")
    assert {file.name for file in files} == {path.name for path in (tmp_path / "out").iterdir()}
    assert_without(found, SECRETS | {PARTNER})


def test_what_belongs_together_still_does_and_what_is_microsofts_stays(tmp_path: Path) -> None:
    path = published(tmp_path, "usage.jsonl", planted()[:2])
    other = published(tmp_path, "charges.jsonl", planted()[2:])
    anonymize([path, other], tmp_path / "out", key=KEY)
    first, second, third, _ = (
        json.loads(line) for data in reversed(written(tmp_path / "out").values()) for line in data.splitlines()
    )
    assert first["CustomerId"] == second["CustomerId"] == third["CustomerId"]
    assert first["CustomerName"] == third["CustomerName"] != first["PartnerName"]
    assert json.loads(third["ReferenceId"])["osId"] == third["CustomerId"]
    assert json.loads(third["ReferenceId"])["id"] == first["EntitlementId"].lower()
    assert first["EntitlementId"] in first["ResourceURI"]
    assert f"/{first['ResourceGroup']}/providers/Microsoft.Compute/virtualMachines/" in first["ResourceURI"]
    assert re.fullmatch(r"G[0-9]{9}", first["InvoiceNumber"])
    assert re.fullmatch(r"[0-9]{7}", first["MpnId"])
    info = json.loads(first["AdditionalInfo"])
    assert info["ServiceType"] == "Standard_D2s_v5"
    assert (first["MeterCategory"], first["ProductId"]) == (usage()["MeterCategory"], usage()["ProductId"])
    assert len(json.loads(first["Tags"])) == 3
    assert [*first][: len(usage())] == [*planted()[0]][: len(usage())]  # the order of the attributes


@pytest.mark.parametrize("kind", list(Kind))
def test_every_digit_sign_date_and_place_stays(tmp_path: Path, kind: Kind) -> None:
    scope = Scope.unbilled(BillingPeriod(2026, 10), "EUR")
    original = b"".join(generate(kind, 300, partner=PARTNER, scope=scope, special=True, hostile=True))
    path = tmp_path / "usage.jsonl"
    path.write_bytes(original)
    anonymize([path], tmp_path / "out", key=KEY)
    [data] = written(tmp_path / "out").values()

    def kept(line: bytes) -> dict[str, str]:
        item = json.loads(line, parse_float=str, parse_int=str)
        names = {each.name for each in table_of(kind).columns if each.type in (Type.NUMBER, Type.DATE)}
        return {name: value for name, value in item.items() if name in names | {"ChargeType", "CustomerCountry"}}

    assert [kept(line) for line in data.splitlines()] == [kept(line) for line in original.splitlines()]
    people = {json.loads(line)["CustomerId"] for line in original.splitlines()} - {""}
    assert len({json.loads(line)["CustomerId"] for line in data.splitlines()} - {""}) == len(people)
    names = {json.loads(line)["CustomerName"] for line in original.splitlines()} - {"", "null"}
    assert_without({"out": data}, {each for each in people | names if len(each) > 6 and each.strip() == each})
    with Server() as server:
        [receipt] = server.publish(tmp_path / "out" / next((tmp_path / "out").iterdir()).name, period="2026-10")
        [before] = server.publish(path, period="2026-10", partner=PARTNER)
        assert receipt.contents.totals == before.contents.totals


def test_the_same_key_gives_the_same_result_and_another_key_another(tmp_path: Path) -> None:
    path = published(tmp_path, "usage.jsonl", planted()[:2])
    for number, key in enumerate((KEY, KEY, b"x" * 16)):
        anonymize([path], tmp_path / str(number), key=key)
    results = [written(tmp_path / str(number)) for number in range(3)]
    assert results[0] == results[1]
    assert results[0] != results[2]
    made, is_new = read_or_make_key(tmp_path / "key")
    assert (read_or_make_key(tmp_path / "key"), is_new) == ((made, False), True)


@pytest.mark.parametrize("scale", ["0.37", "1000", "1.0000001"])
def test_amounts_are_scaled_exactly_and_quantities_are_not(tmp_path: Path, scale: str) -> None:
    path = published(tmp_path, "a.jsonl", planted()[2:])
    anonymize([path], tmp_path / "out", key=KEY, scale=Decimal(scale))
    for line, item in zip(written(tmp_path / "out").popitem()[1].splitlines(), planted()[2:], strict=True):
        found = json.loads(line, parse_float=Decimal, parse_int=Decimal)
        for name in ("Subtotal", "TaxTotal", "Total", "UnitPrice", "EffectiveUnitPrice"):
            assert Decimal(found[name]) == item[name] * Decimal(scale)
        assert Decimal(found["Subtotal"]) + Decimal(found["TaxTotal"]) == Decimal(found["Total"])
        assert Decimal(found["BillableQuantity"]) == item["BillableQuantity"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_stays_csv_with_its_delimiter_and_local_dates(tmp_path: Path, delimiter: str) -> None:
    names = [*usage(), "Kostenstelle Zürich"]
    rows = [[str(item.get(name, "")) for name in names[:-1]] + ["Geheimprojekt"] for item in planted()[:2]]
    for row in rows:
        row[names.index("UsageDate")] = "10/31/2026"
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows([names, *rows])
    path = tmp_path / "Geheimprojekt.csv"
    path.write_text(text.getvalue(), encoding="utf-8-sig", newline="")
    anonymize([path], tmp_path / "out", key=KEY)
    [(name, data)] = written(tmp_path / "out").items()
    found = list(csv.DictReader(io.StringIO(data.decode(), newline=""), delimiter=delimiter))
    assert (name, len(found)) == ("usage-00001.csv", 2)
    assert found[0]["UsageDate"] == "10/31/2026"
    assert found[0]["BillingPreTaxTotal"] == rows[0][names.index("BillingPreTaxTotal")]
    assert_without({name: data}, SECRETS | {"Zürich"})


def test_what_is_asked_to_stay_stays(tmp_path: Path) -> None:
    path = published(tmp_path, "usage.jsonl", planted()[:1])
    anonymize([path], tmp_path / "out", key=KEY, keep=["costcentrezurich", "Tags"])
    found = json.loads(written(tmp_path / "out").popitem()[1])
    assert (found["CostCentreZurich"], found["Tags"]) == ("Kostenstelle 4711471", planted()[0]["Tags"])


def test_different_ids_of_one_shape_stay_different() -> None:
    pseudonyms = Pseudonyms(KEY)
    ids = [f"{number:03}" for number in range(1_000)]
    assert len({pseudonyms.id(each) for each in ids}) == 1_000
    assert all(re.fullmatch("[0-9]{3}", pseudonyms.id(each)) for each in ids)
    assert re.fullmatch("[a-z][0-9][A-Z]-[0-9]", pseudonyms.id("x1Y-2"))
    assert pseudonyms.guid(CUSTOMER) == pseudonyms.guid(CUSTOMER.upper()).lower() != CUSTOMER


def test_what_cannot_be_read_is_told_and_nothing_is_written(tmp_path: Path) -> None:
    good = published(tmp_path, "usage.jsonl", [usage()])
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").touch()
    (tmp_path / "bad.jsonl").write_bytes(to_lines([usage()]) + b"{oops\n")
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(to_lines([usage()] * 50))[:-20])
    (tmp_path / "key").write_text("short")
    out = tmp_path / "out"
    for wrong, error in (
        (lambda: anonymize([good, tmp_path / "bad.jsonl"], out, key=KEY), InputError),
        (lambda: anonymize([tmp_path / "cut.jsonl.gz"], out, key=KEY), InputError),
        (lambda: anonymize([tmp_path / "none"], out, key=KEY), CounterfoilError),
        (lambda: anonymize([good], tmp_path / "full", key=KEY), UsageError),
        (lambda: anonymize([good], out, key=b"short"), UsageError),
        (lambda: anonymize([good], out, key=KEY, scale=Decimal(0)), UsageError),
        (lambda: anonymize([good], out, key=KEY, scale=Decimal("NaN")), UsageError),
        (lambda: anonymize([Path("-")], out, key=KEY), UsageError),
        (lambda: anonymize([], out, key=KEY), UsageError),
        (lambda: read_or_make_key(tmp_path / "key"), UsageError),
    ):
        with pytest.raises(error):
            wrong()
        assert not out.exists()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_folder_of_a_month_becomes_one_and_memory_stays_flat(tmp_path: Path) -> None:
    month = BillingMonth(PARTNER, "2026-10", "G016907411", customers=6)
    folder = tmp_path / "month"
    folder.mkdir()
    for kind in Kind:
        (folder / f"{kind}-2026-10.jsonl").write_bytes(b"".join(month.unbilled(kind)))
    tracemalloc.start()
    files = anonymize([folder], tmp_path / "out", key=KEY)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [file.name for file in files] == ["reconciliation-2026-10-00001.jsonl", "usage-2026-10-00002.jsonl"]
    assert peak < 48 << 20
