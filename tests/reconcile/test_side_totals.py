"""Totals are exact whatever the side, its rows sum to the total, and what cannot be summed is refused in a sentence."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Iterable
from decimal import Context, Decimal, Inexact
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import counterfoil.storage
from counterfoil import numbers, reconcile
from counterfoil.cli import main
from counterfoil.disk.hashing import measured
from counterfoil.errors import CounterfoilError
from counterfoil.model import Kind
from counterfoil.reconcile.side_totals import By, shown
from tests.cli.pulling import rows, run
from tests.client.folders import seal
from tests.reconcile.sides import (
    INVOICE,
    OTHER_PARTNER,
    PARTNER,
    csv_file,
    lake_file,
    licence,
    lines_file,
    pull_folder,
    usage,
)

EXACT = Context(prec=200, traps=[Inexact])
USE, BILL = Kind.USAGE, Kind.RECONCILIATION


def added(texts: Iterable[str]) -> Decimal:
    """An oracle that knows nothing of batches, groups or casts."""
    result = Decimal(0)
    for text in texts:
        result = EXACT.add(result, EXACT.create_decimal(text))
    return result


def odd_amounts(count: int, seed: int) -> list[str]:
    """Amounts as sources write them: short, long, negative, with exponents, and near the largest there may be."""
    drawn = random.Random(seed)
    kinds: list[Callable[[], str]] = [
        lambda: f"{drawn.randint(-9999, 9999)}.{drawn.randint(10, 99)}",
        lambda: f"0.{drawn.randint(1, 10**22):022d}",
        lambda: f"-{drawn.randint(1, 9)}.{drawn.randint(0, 10**27):027d}",
        lambda: f"{drawn.randint(1, 9)}E-{drawn.randint(1, 90)}",
        lambda: "9999999999999.999999999999999",
        lambda: "0e-20",
    ]
    return [drawn.choices(kinds, weights=[60, 20, 5, 5, 5, 5])[0]() for _ in range(count)]


@pytest.mark.parametrize("seed", range(4))
def test_sums_and_groups_are_those_of_adding_one_by_one(tmp_path: Path, seed: int) -> None:
    customers = [f"c{random.Random(seed * 1000 + at).randint(0, 40)}" for at in range(900)]
    amounts = odd_amounts(900, seed) if seed else ["0.10"] * 900  # the quick way alone, and mixed with the slow one
    items = [usage(amount, CustomerId=customer) for amount, customer in zip(amounts, customers, strict=True)]
    path = tmp_path / "side"
    side = str(lake_file(path, items, USE) if seed % 2 else lines_file(path, items))
    found = reconcile.totals(side, by="customer", top=7)
    assert (found.line_items, found.gross) == (900, added(amounts))
    assert found.others is not None
    assert found.others.groups == len(set(customers)) - 7
    for group in found.groups:
        mine = [amount for amount, customer in zip(amounts, customers, strict=True) if customer == group.key]
        assert (group.line_items, group.amounts["BillingPreTaxTotal"]) == (len(mine), added(mine))
    every = [*found.groups, found.others]
    assert numbers.total(numbers.plain(each.amounts["BillingPreTaxTotal"]) for each in every) == found.gross
    assert sum(each.line_items for each in every) == 900


def test_a_sum_that_outgrows_arrows_decimals_is_right(tmp_path: Path) -> None:
    items = [usage("9999999999999.9")] * 3000 + [usage("0.1")]  # Arrow's own sum of these wraps without a word
    found = reconcile.totals(str(lake_file(tmp_path / "side", items, USE)))
    assert shown(found.gross) == "29999999999999700.10"


def in_several_formats(folder: Path, items: list[dict[str, str]]) -> Path:
    """A pull as CSV and Parquet: its line items are there twice, and count once."""
    pull_folder(folder, items, BILL, form="csv")
    path = lake_file(folder / "part-0.parquet", items, BILL)
    receipt = json.loads((folder / "receipt.json").read_text(encoding="utf-8"))
    size_bytes, sha256 = measured(path)
    receipt["files"].append({"name": path.name, "sizeBytes": size_bytes, "sha256": sha256, "lineItems": len(items)})
    seal(folder, receipt | {"format": ["csv", "parquet"]})
    return folder


FORMS: dict[str, Callable[[Path, list[dict[str, str]]], Path]] = {
    "lines": lambda path, items: lines_file(path / "side", items),
    "gzip": lambda path, items: lines_file(path / "side.gz", items),
    "csv": lambda path, items: csv_file(path / "side.csv", items),
    "semicolons": lambda path, items: csv_file(path / "side.csv", items, ";"),
    "lake": lambda path, items: lake_file(path / "side.parquet", items, BILL),
    "pulled blobs": lambda path, items: pull_folder(path / "pull", items, BILL),
    "pulled parquet": lambda path, items: pull_folder(path / "pull", items, BILL, form="parquet"),
    "pulled csv": lambda path, items: pull_folder(path / "pull", items, BILL, form="csv"),
    "several formats": lambda path, items: in_several_formats(path / "pull", items),
    "receipt": lambda path, items: pull_folder(path / "pull", items, BILL) / "receipt.json",
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_side_gives_the_same_totals(tmp_path: Path, form: str) -> None:
    items = [licence(), licence("720.00", "0.00", "720.00", ProductId="P1", CustomerId="c2", CustomerName="Fabrikam")]
    found = reconcile.totals(str(FORMS[form](tmp_path, items)), by="product", expect="1273.65")
    assert {name: shown(value) for name, value in found.totals.items()} == {
        "Subtotal": "1185.25",
        "TaxTotal": "88.40",
        "Total": "1273.65",
    }
    assert [(group.key, group.line_items) for group in found.groups] == [("p1", 2)]  # an id counts in any letter case
    assert (found.currency, found.is_as_expected, found.difference) == ("EUR", True, Decimal(0))


@pytest.mark.parametrize(
    ("by", "items", "keys"),
    [
        ("customer", [usage("1"), usage("3", CustomerId="c2")], ["c2", "c1"]),
        ("subscription", [usage("1"), usage("3", SubscriptionId="")], ["", "s1"]),
        ("reseller", [usage("1", Tier2MpnId="4"), usage("-2", Tier2MpnId="5"), usage("3")], ["", "4", "5"]),
        ("meter", [usage("1", MeterId="m", MeterName="VM"), usage("3", MeterId="m")], ["m"]),
        ("day", [usage("9", UsageDate="2026-10-06T23:00:00-05:00"), usage("1")], ["2026-10-05", "2026-10-06"]),
        ("charge-type", [usage("1", ChargeType="new"), usage("1", ChargeType="New")], ["new"]),
        ("day", [licence(), licence(ChargeStartDate="2026-09-30")], ["2026-09-30", "2026-10-01"]),
        ("meter", [licence(MeterDescription="D4"), licence("1", "0", "1")], ["D4", ""]),
    ],
)
def test_line_items_are_grouped_by(tmp_path: Path, by: str, items: list[dict[str, str]], keys: list[str]) -> None:
    found = reconcile.totals(str(lines_file(tmp_path / "side", items)), by=by)
    assert [group.key for group in found.groups] == keys
    assert found.to_arrow()["key"].to_pylist() == keys


def refusal(side: Path | str, **choice: Any) -> str:
    with pytest.raises(CounterfoilError) as raised:
        reconcile.totals(str(side), **choice)
    assert raised.value.remedy or raised.value.exit_code, raised.value
    return str(raised.value)


def damaged(folder: Path) -> Path:
    path = folder / "part-0.json.gz"
    path.write_bytes(path.read_bytes()[:-9] + b"123456789")
    return folder


def unfinished(folder: Path) -> Path:
    (folder / "receipt.json").unlink()
    (folder / ".counterfoil-pull").mkdir()
    (folder / ".counterfoil-pull" / "pull.json").write_text("{}", encoding="utf-8")
    return folder


def emptied(path: Path, text: str = "") -> Path:
    path.write_text(text, encoding="utf-8")
    return path


REFUSED: dict[str, tuple[Callable[[Path], Path | str], dict[str, Any], str]] = {
    "nothing": (lambda at: at / "no-such", {}, "There is no "),
    "an empty name": (lambda _: "", {}, "names no side"),
    "an empty file": (lambda at: emptied(at / "f"), {}, "holds no line items"),
    "blank lines": (lambda at: emptied(at / "f", "\n \n"), {}, "holds no line items"),
    "a csv of headings": (lambda at: emptied(at / "f", "PartnerId,Subtotal,TaxTotal\n"), {}, "holds no line items"),
    "an empty pull": (lambda at: pull_folder(at / "p", [], USE), {}, "holds no line items"),
    "prose": (lambda at: emptied(at / "f", "Dear all,\n"), {}, "neither JSON lines nor a CSV"),
    "other json": (lambda at: emptied(at / "f", '{"a":1}\n'), {}, "not a recognisable line item"),
    "a document": (lambda at: emptied(at / "f", '{\n"items": []}\n'), {}, "holds no line items"),
    "cut gzip": (lambda at: _cut(lines_file(at / "f.gz", [usage()] * 99)), {}, "cut or damaged"),
    "cut parquet": (lambda at: _cut(lake_file(at / "f", [usage()] * 99, USE)), {}, "cut or corrupt"),
    "two currencies": (
        lambda at: lines_file(at / "f", [usage(), usage(BillingCurrency="USD")]),
        {},
        "amounts in EUR and USD, which cannot be added. Name the currency that counts (`currency`)",
    ),
    "no currency": (lambda at: lines_file(at / "f", [usage(BillingCurrency="")]), {}, "without a BillingCurrency"),
    "another currency": (lambda at: lines_file(at / "f", [usage()]), {"currency": "usd"}, "no line items in USD"),
    "two partners": (
        lambda at: lines_file(at / "f", [usage(), usage(PartnerId=OTHER_PARTNER)]),
        {},
        "line items of several partners",
    ),
    "another partner": (lambda at: lines_file(at / "f", [usage()]), {"partner": OTHER_PARTNER}, "holds no line items"),
    "another's pull": (
        lambda at: pull_folder(at / "p", [usage()], USE),
        {"partner": OTHER_PARTNER},
        f"is of the partner {PARTNER}",
    ),
    "no partner": (lambda at: lines_file(at / "f", [usage()]), {"partner": "contoso"}, "is not a tenant id"),
    "another kind": (lambda at: lines_file(at / "f", [usage()]), {"kind": "reconciliation"}, "holds usage line items"),
    "a plain folder": (lambda at: at, {}, "without the receipt of a pull"),
    "an unfinished pull": (lambda at: unfinished(pull_folder(at / "p", [usage()], USE)), {}, "was not finished"),
    "a damaged pull": (lambda at: damaged(pull_folder(at / "p", [usage()], USE)), {}, "has other bytes"),
    "a workbook": (lambda at: pull_folder(at / "p", [usage()], USE, form="xlsx"), {}, "15 digits only"),
    "a basic pull": (
        lambda at: pull_folder(at / "p", [licence()], BILL, attributeSet="basic"),
        {"by": "meter"},
        "lacks MeterDescription",
    ),
    "a comma in an amount": (lambda at: csv_file(at / "f", [usage("1,5")], ";"), {}, "line 2, BillingPreTaxTotal"),
    "thousands": (lambda at: csv_file(at / "f", [usage("1.234.567")]), {}, "not a JSON number ('1.234.567')"),
    "a bad amount in a lake file": (lambda at: lake_with(at / "f", "12 EUR"), {}, "not a JSON number ('12 EUR')"),
    "no amount": (lambda at: lake_with(at / "f", None), {}, "line items without an amount"),
    "a doubled heading": (
        lambda at: emptied(at / "f", "PartnerId,Subtotal,subtotal,TaxTotal\n"),
        {},
        "the header gives Subtotal twice",
    ),
    "no such grouping": (lambda at: lines_file(at / "f", [usage()]), {"by": "colour"}, "not grouped by 'colour'"),
    "an amount in words": (lambda at: lines_file(at / "f", [usage()]), {"expect": "1.234,5"}, "is not an amount"),
    "rows of nothing": (lambda at: lines_file(at / "f", [usage()]), {"top": 3}, "are not broken down"),
    "infinity": (lambda at: lines_file(at / "f", [usage()]), {"expect": "Infinity"}, "is not an amount"),
    "half a name": (lambda _: "unbilled:2026-10", {}, "names no currency"),
    "no month": (lambda _: "unbilled:2026-13:EUR", {}, "2026-13"),
    "no eTag": (lambda _: "etag:xyz", {}, "is not an eTag"),
}


def _cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-40])
    return path


def lake_with(path: Path, amount: str | None) -> Path:
    """A lake file that somebody's program wrote: its texts were never checked."""
    table = pq.read_table(lake_file(path, [usage()], USE))
    at = table.schema.get_field_index("BillingPreTaxTotalText")
    changed = table.set_column(at, table.schema.field(at), pa.chunked_array([[amount]], pa.string()))
    pq.write_table(changed, path)
    return path


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_summed_is_refused_in_a_sentence(tmp_path: Path, case: str) -> None:
    make, choice, told = REFUSED[case]
    assert told in refusal(make(tmp_path), **choice)


def test_a_currency_and_a_partner_can_be_chosen(tmp_path: Path) -> None:
    items = [usage("1"), usage("2", BillingCurrency="usd"), usage("4", PartnerId=OTHER_PARTNER.upper())]
    side = str(lines_file(tmp_path / "side", items))
    found = reconcile.totals(side, currency="eur", partner=OTHER_PARTNER)
    assert (shown(found.gross), found.currency, found.line_items) == ("4.00", "EUR", 1)
    assert shown(reconcile.totals(side, currency="USD", partner=PARTNER).gross) == "2.00"


def test_the_command_tells_what_the_library_finds(tmp_path: Path) -> None:
    side = str(lines_file(tmp_path / "side", [licence(), licence("-65.25", "-8.40", "-73.65", CustomerId="c2")]))
    code, told = rows("totals", side, "--by", "customer", "--top", "1", "--expect", "480.01")
    found = reconcile.totals(side, by=By.CUSTOMER, top=1, expect=Decimal("480.01"))
    assert (code, told) == (3, json.loads(json.dumps(found.to_json(), default=str)))
    assert told["expected"] == {"amount": "480.01", "against": "Total", "difference": "-0.01"}  # type: ignore[call-overload]
    done = run("totals", side, "--by", "customer", "--expect", "480.00")
    assert done.exit_code == 0
    assert "c1        Contoso           1  465.25 EUR  88.40 EUR  553.65 EUR  115.34 %" in done.stdout
    assert "Bar" not in done.stdout  # a pipe is no terminal
    assert "and 480.01 EUR was expected: 0.01 EUR less." in run("totals", side, "--expect", "480.01").stderr
    assert run("totals", side, "--top", "-1").exit_code == 2


def test_a_client_without_the_server_is_told_what_published_sides_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "counterfoil.published_sides", raising=False)
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    monkeypatch.setattr(counterfoil, "storage", counterfoil.storage)  # which importing it again would replace for good
    for name in [name for name in sys.modules if name.startswith("counterfoil.storage")]:
        monkeypatch.delitem(sys.modules, name)
    assert 'pip install "counterfoil[server]"' in refusal(f"invoice:{INVOICE}")
    lines_file(tmp_path / "side", [usage()])
    assert reconcile.totals("side").line_items == 1


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder: one invoice in both kinds, and its usage also for another partner."""
    folder = tmp_path_factory.mktemp("published")
    both = {"InvoiceNumber": INVOICE}
    for name, items in {
        "use": [usage("0.1999968000511991808131", **both), usage("1.00", CustomerId="c2", **both)],
        "bill": [licence(**both)],
        "other": [usage("5.00", PartnerId=OTHER_PARTNER, **both)],
    }.items():
        done = run("publish", str(lines_file(folder / name, items)), "--data", str(folder / "data"))
        assert done.exit_code == 0, done.stderr
    return folder / "data"


def test_a_published_dataset_is_named_by_scope_revision_or_etag(data: Path) -> None:
    choice = {"kind": "usage", "partner": PARTNER, "data": data}
    found = reconcile.totals(f"invoice:{INVOICE.lower()}", by="customer", **choice)  # type: ignore[arg-type]
    assert shown(found.gross) == "1.1999968000511991808131"
    assert [group.key for group in found.groups] == ["c2", "c1"]
    for name in (f"revision:{found.side.revision[:8]}", f"etag:{found.side.etag[:12]}", f'etag:"{found.side.etag}"'):
        again = reconcile.totals(name, data=data)
        assert (again.gross, again.side.what) == (found.gross, found.side.what)
    assert (found.side.origin, found.side.proof, found.currency) == ("published", "proven", "EUR")


@pytest.mark.parametrize(
    ("side", "choice", "told"),
    [
        (f"invoice:{INVOICE}", {"kind": "usage"}, "is published for 2 partners"),
        (f"invoice:{INVOICE}", {"partner": PARTNER}, "as reconciliation and as usage line items. Name the kind"),
        (f"invoice:{INVOICE}", {"partner": OTHER_PARTNER, "kind": "reconciliation"}, "it is as "),
        ("invoice:G1", {}, "is not published here"),
        ("unbilled:2026-10:EUR", {}, "is not published here"),
        ("etag:000000", {}, "is not published here"),
        ("revision:000000", {}, "There is no revision 000000 here"),
        (f"invoice:{INVOICE}", {"partner": PARTNER, "kind": "usage", "currency": "USD"}, "no line items in USD"),
    ],
)
def test_a_dataset_that_is_not_one_is_refused(data: Path, side: str, choice: dict[str, str], told: str) -> None:
    assert told in refusal(side, data=str(data), **choice)


def test_a_changed_lake_file_is_never_summed(data: Path) -> None:
    bill = {"kind": "reconciliation", "partner": PARTNER, "data": str(data)}
    assert shown(reconcile.totals(f"invoice:{INVOICE}", **bill).gross) == "553.65"  # type: ignore[arg-type]
    for path in (data / "files").rglob("*.parquet"):
        if "reconciliation" in str(path):
            path.chmod(0o600)
            path.write_bytes(path.read_bytes() + b"x")
    assert "is damaged: the lake file" in refusal(f"invoice:{INVOICE}", **bill)


def test_the_data_folder_is_named_only_where_it_is_read(tmp_path: Path, data: Path) -> None:
    assert "Data folder" not in run("totals", str(lines_file(tmp_path / "side", [usage()]))).stderr
    done = run("totals", f"invoice:{INVOICE}", "--partner", OTHER_PARTNER, "--data", str(data))
    assert (done.exit_code, f"Data folder: {data}" in done.stderr) == (0, True)
    assert main.get_command(None, "totals") is not None  # type: ignore[arg-type]
