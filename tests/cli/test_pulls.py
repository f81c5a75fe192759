"""`counterfoil pulls`: what is held is listed, shown and verified from receipts and files alone."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from counterfoil.disk.hashing import measured
from counterfoil.model import Kind
from tests.cli.pulling import AMOUNT, INVOICE, House, receipt_in, rows, run, this_month
from tests.client.folders import seal

FOLDER = Path("counterfoil-pulls/contoso/usage") / INVOICE


def pulled(house: House, form: str = "blobs", *, kind: Kind = Kind.USAGE) -> Path:
    """An invoice that is there and held."""
    house.invoice(kind=kind)
    folder = Path("counterfoil-pulls/contoso", kind.value, INVOICE)
    done = run("pull", "contoso", "--kind", kind.value, "--invoice", INVOICE, "--format", form)
    assert done.exit_code == 0, done.stderr
    return folder


def data_file(folder: Path) -> Path:
    [name] = [str(file["name"]) for file in receipt_in(folder)["files"]]
    return folder / name


def vouch_for(folder: Path) -> None:
    """Have the receipt name the files as they are now: whoever forges data will think of that."""
    receipt = receipt_in(folder)
    for file in receipt["files"]:
        file["sizeBytes"], file["sha256"] = measured(folder / file["name"])
    seal(folder, receipt)


def faults(*places: str) -> tuple[int, list[str]]:
    done = run("pulls", "verify", *places, "--output", "json")
    told = json.loads(done.stdout)
    assert told["sound"] == (not told["faults"])
    return done.exit_code, [row["fault"] for row in told["faults"]]


def test_list_tells_of_everything_below_a_folder_a_profile_or_the_usual_place(house: House) -> None:
    house.month()
    assert run("pull", "contoso", "--kind", "usage", "--period", "current", "--currency", "EUR").exit_code == 0
    pulled(house)
    for places in ([], ["contoso"], ["counterfoil-pulls"], ["contoso", str(FOLDER)]):
        code, found = rows("pulls", "list", *places)
        assert (code, [row["what"] for row in found]) == (0, [f"{this_month()} EUR", INVOICE])
    assert [found[1][name] for name in ("kind", "state", "lineItems", "proof")] == ["usage", "held", 3, "proven"]
    assert found[1]["totals"] == {"EUR": {"BillingPreTaxTotal": "0.5999904001535975424393"}}
    assert str(FOLDER) in run("pulls", "list").stdout


def test_list_tells_of_a_pull_that_was_not_finished(house: House) -> None:
    house.server.fail("operation-stuck")
    house.invoice()
    assert run("pull", "contoso", "--kind", "usage", "--invoice", INVOICE, "--wait", "0").exit_code == 4
    _, [row] = rows("pulls", "list")
    assert (row["state"], row["lineItems"], row["folder"]) == ("unfinished", None, str(FOLDER))
    done = run("pulls", "show", str(FOLDER))
    assert (done.exit_code, "A pull was begun there and not finished." in done.stderr) == (2, True)


def test_list_names_a_receipt_that_cannot_be_read(house: House) -> None:
    (pulled(house) / "receipt.json").write_text("{")
    _, [row] = rows("pulls", "list")
    assert (row["state"], "is not a receipt" in row["told"]) == ("damaged", True)
    assert faults() == (1, [f"{FOLDER / 'receipt.json'} is not a receipt that can be read."])


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("lineItems", "many"),
        ("lineItems", -1),
        ("totals", None),
        ("totals", {"EUR": {"BillingPreTaxTotal": 1.5}}),
        ("totals", {"EUR": {"BillingPreTaxTotal": "1E999999999"}}),
        ("request", ["usage"]),
        ("request", {"kind": "usage"}),
        ("request", {"kind": "refund", "invoiceId": "G1"}),
        ("request", {"kind": "usage", "month": "last", "currencyCode": "EUR"}),
        ("format", "doc"),
        ("api", 1),
        ("finishedAt", "yesterday"),
        ("startedAt", "2026-11-21"),
        ("files", [{"name": 1, "sizeBytes": 1, "sha256": "0" * 64, "lineItems": 3}]),
        ("files", [{"name": "a.gz", "sizeBytes": "1", "sha256": "0" * 64, "lineItems": 3}]),
        ("files", [{"name": "a.gz", "sizeBytes": 1, "sha256": "0" * 64, "lineItems": None}]),
        ("files", ["a.gz"]),
        ("blobs", {}),
        ("notes", "none"),
        ("eTag", None),
    ],
)
def test_a_field_of_another_form_makes_a_receipt_that_cannot_be_read_and_spoils_no_other(
    held_receipt: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, field: str, wrong: object
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, receipt in (("a", held_receipt | {field: wrong}), ("b", held_receipt)):
        Path("pulls", name).mkdir(parents=True)
        seal(Path("pulls", name), receipt)
        Path("pulls", name, held_receipt["files"][0]["name"]).write_bytes(bytes(held_receipt["files"][0]["sizeBytes"]))
    code, found = rows("pulls", "list", "pulls")
    assert (code, [row["state"] for row in found]) == (1, ["damaged", "held"])
    told = f"{Path('pulls/a/receipt.json')} is not a receipt that can be read."
    assert found[0]["told"] == told
    code, [first, *_] = faults("pulls")
    assert (code, first) == (1, told)
    assert told in run("pulls", "show", "pulls/a").stderr


@pytest.fixture
def held_receipt(house: House) -> dict[str, Any]:
    return receipt_in(pulled(house))


def test_a_folder_that_is_named_and_not_there_is_no_empty_list(house: House) -> None:
    assert rows("pulls", "list") == (0, [])
    done = run("pulls", "list", "nowhere")
    assert (done.exit_code, "There is no folder nowhere." in done.stderr) == (2, True)
    done = run("pulls", "show", "nowhere")
    assert (done.exit_code, "There is no folder nowhere." in done.stderr) == (2, True)


def test_show_tells_what_was_asked_what_came_and_what_is_certain(house: House) -> None:
    folder = pulled(house)
    done = run("pulls", "show", str(folder))
    receipt = receipt_in(folder)
    assert done.exit_code == 0
    for told in (house.server.url, f"invoiceId {INVOICE}", "proven", receipt["eTag"], *receipt["requestIds"]):
        assert told in done.stdout
    assert json.loads(run("pulls", "show", str(folder / "receipt.json"), "--output", "json").stdout) == {
        **receipt,
        "folder": str(folder),
    }


@pytest.mark.parametrize("form", ["blobs", "parquet", "csv"])
@pytest.mark.parametrize("kind", list(Kind))
def test_verify_counts_and_sums_again_and_finds_what_was_pulled_sound(house: House, kind: Kind, form: str) -> None:
    pulled(house, form, kind=kind)
    done = run("pulls", "verify")
    assert (done.exit_code, done.stderr.splitlines()[-1]) == (0, "Sound: 1 pull, 1 file, 3 line items counted.")


@pytest.mark.parametrize("form", ["blobs", "parquet", "csv"])
def test_verify_does_so_for_v1_too(house: House, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    monkeypatch.setenv("CONTOSO_TOKEN", house.server.token("partner-center"))
    house.profile(f'format = "{form}"', api="v1")
    house.month()
    assert run("pull", "contoso", "--kind", "usage", "--period", "current", "--currency", "EUR").exit_code == 0
    done = run("pulls", "verify", "contoso")
    assert (done.exit_code, done.stderr.splitlines()[-1]) == (0, "Sound: 1 pull, 1 file, 3 line items counted.")


def test_verify_finds_a_file_that_is_missing_longer_or_altered(house: House) -> None:
    file = data_file(pulled(house))
    whole = file.read_bytes()
    file.write_bytes(whole + b"\0")
    size = len(whole)
    assert faults() == (1, [f"{file.name} has {size + 1:,} bytes, and the receipt says {size:,}"])
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert faults()[1][0].startswith(f"{file.name} has other bytes than the receipt says (SHA-256 ")
    file.unlink()
    assert faults("contoso") == (1, [f"{file.name} is missing"])


def test_list_tells_a_file_that_is_cut_from_one_that_is_missing(house: House) -> None:
    file = data_file(pulled(house))
    size = file.stat().st_size
    file.write_bytes(b"cut")
    code, [row] = rows("pulls", "list")
    assert (code, row["state"], row["lineItems"]) == (1, "damaged", 3)
    assert row["told"] == f"{file.name} has 3 bytes, and the receipt says {size:,}"
    file.unlink()
    code, [row] = rows("pulls", "list")
    assert (code, row["state"], row["told"]) == (1, "damaged", f"{file.name} is missing")
    assert f"{FOLDER} does not hold what it should: {file.name} is missing. `counterfoil" in run("pulls", "list").stderr


def test_verify_finds_a_file_that_no_receipt_names_since_a_folder_is_read_as_a_whole(house: House) -> None:
    (pulled(house) / "part-of-before.json.gz").write_bytes(b"")
    assert faults() == (1, ["part-of-before.json.gz is there, and the receipt does not name it"])


def test_verify_sums_the_exact_texts_so_a_digit_altered_together_with_its_hash_is_found(house: House) -> None:
    folder = pulled(house, "parquet")
    file = data_file(folder)
    table = pq.read_table(file)
    place = table.schema.get_field_index("BillingPreTaxTotalText")
    texts = pa.array([AMOUNT, AMOUNT, AMOUNT[:-1] + "2"])
    pq.write_table(table.set_column(place, table.schema.field(place), texts), file)
    vouch_for(folder)
    sums = "0.5999904001535975424394, and the receipt says 0.5999904001535975424393"
    assert faults() == (1, [f"the exact sum of BillingPreTaxTotal in EUR is {sums}"])


def test_verify_counts_so_a_line_item_taken_away_together_with_its_hash_is_found(house: House) -> None:
    folder = pulled(house, "parquet")
    file = data_file(folder)
    pq.write_table(pq.read_table(file).slice(1), file)
    vouch_for(folder)
    assert faults() == (1, [f"{file.name} has 2 line items, and the receipt says 3"])


def test_verify_sums_csv_too_so_a_receipt_or_file_edited_by_hand_is_found(house: House) -> None:
    folder = pulled(house, "csv")
    whole = receipt_in(folder)
    seal(folder, json.loads(json.dumps(whole).replace("0.5999904001535975424393", "9.5")))
    sums = "0.5999904001535975424393, and the receipt says 9.5"
    assert faults() == (1, [f"the exact sum of BillingPreTaxTotal in EUR is {sums}"])
    file = data_file(folder)
    text = file.read_bytes()
    for damaged, fault in (
        (text.replace(AMOUNT.encode(), b"0", 1), "the exact sum of BillingPreTaxTotal in EUR is 0.39"),
        (text.replace(AMOUNT.encode(), b"many", 1), "usage.csv has an amount that is not a number"),
        (text.replace(AMOUNT.encode(), b'"', 1), "usage.csv cannot be read: "),
        (text[: text.rindex(b"\r\n", 0, -2) + 2], "usage.csv has 2 line items, and the receipt says 3"),
    ):
        seal(folder, whole)
        file.write_bytes(damaged)
        vouch_for(folder)
        code, [found] = faults()
        assert (code, found[: len(fault)]) == (1, fault)


@pytest.mark.parametrize("form", ["blobs", "parquet", "csv", "xlsx"])
def test_verify_holds_the_receipt_against_itself(house: House, form: str) -> None:
    folder = pulled(house, form)
    receipt = receipt_in(folder)
    seal(folder, receipt | {"lineItems": 4})
    of = "the receipt says 4 line items, and 3 of its"
    assert faults() == (1, [f"{of} files together", f"{of} blobs together"])


def test_verify_reads_nothing_outside_of_the_folder_whatever_a_receipt_says(house: House) -> None:
    folder = pulled(house)
    receipt = receipt_in(folder)
    receipt["files"][0]["name"] = "../outside.json.gz"
    seal(folder, receipt)
    assert faults()[1][0] == "the receipt names '../outside.json.gz', which is not a file beside it"


def test_data_of_a_profile_that_has_lost_its_receipt_is_not_sound(house: House) -> None:
    folder = pulled(house)
    file = data_file(folder)
    (folder / "receipt.json").unlink()
    told = f"{file.name} is there without a receipt"
    for places in ([], ["contoso"]):
        assert faults(*places) == (1, [told])
        assert rows("pulls", "list", *places)[0] == 1
    assert rows("pulls", "list", "counterfoil-pulls") == (0, [])  # it may be anybody's


def test_a_folder_that_may_not_be_read_is_no_empty_one(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def closed(path: Any) -> Any:
        if str(path) == str(FOLDER):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    pulled(house)
    monkeypatch.setattr(os, "scandir", closed)
    for command in ("list", "verify"):
        done = run("pulls", command, str(FOLDER))
        assert (done.exit_code, f"{FOLDER} cannot be read: Permission denied" in done.output) == (1, True)


def test_a_receipt_that_may_not_be_read_says_so(house: House) -> None:
    receipt = pulled(house) / "receipt.json"
    receipt.unlink()
    receipt.mkdir()
    code, [fault] = faults()
    assert (code, fault.startswith(f"{receipt} cannot be read: ")) == (1, True)


def test_verify_of_nothing_is_no_success(house: House) -> None:
    Path("empty").mkdir()
    done = run("pulls", "verify", "empty")
    assert (done.exit_code, "There is nothing to verify there." in done.stderr) == (2, True)
