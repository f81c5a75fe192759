"""`counterfoil publish` and its neighbours: what is printed where, and which exit code tells what."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from counterfoil.cli.open_folder import open_data_folder
from counterfoil.datasets.gathering import Input
from counterfoil.datasets.publishing import publish
from counterfoil.errors import InputError
from counterfoil.model import Dataset, Kind, Scope
from counterfoil.settings import Settings
from counterfoil.storage.engines import open_store
from tests.cli.pulling import run
from tests.datasets.line_items import INVOICE, OTHER, PARTNER, UNBILLED, amounts, billed, raw_lines, write
from tests.datasets.reading import USAGE_ITEM, rows


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def receipts(*arguments: str) -> list[dict[str, object]]:
    done = run("publish", *arguments, "--output", "json")
    assert done.exit_code == 0, done.stderr
    found: list[dict[str, object]] = json.loads(done.stdout)
    return found


def names_here() -> set[str]:
    return {str(path) for path in Path().rglob("*")}


def test_the_receipt_tells_line_items_exact_totals_etag_and_revision() -> None:
    name = write(Path("invoice.jsonl.gz"), billed(Kind.RECONCILIATION, "0.1999968000511991808131", "24.0"))
    done = run("publish", name)
    assert done.exit_code == 0
    assert f"Dataset     reconciliation of {PARTNER}, invoice {INVOICE}" in done.stdout
    assert "Line items  2" in done.stdout
    assert "Totals      Subtotal: 24.20 EUR" in done.stdout
    assert "Totals      Subtotal: 24.1999968000511991808131 EUR" in run("publish", name, "--exact").stdout
    assert f"Partner {PARTNER} is now registered and may be served." in done.stderr
    assert f"Data folder: {Path.cwd()}/counterfoil-data" in done.stderr


def test_a_second_run_prints_the_same_receipt_and_says_that_nothing_changed() -> None:
    name = write(Path("a"), billed(Kind.USAGE, "1"))
    first, second = run("publish", name), run("publish", name)
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert first.stdout == second.stdout
    assert "nothing was changed" in second.stderr
    assert "registered" not in second.stderr


@pytest.mark.parametrize("again", ["a", "./a", "link"])
def test_a_file_named_twice_is_refused_since_its_line_items_would_count_twice(again: str) -> None:
    name = write(Path("a"), billed(Kind.USAGE, "1"))
    Path("link").symlink_to("a")
    done = run("publish", name, again)
    assert (done.exit_code, done.stdout, f"{again} is named twice" in done.stderr) == (2, "", True)


def test_a_dry_run_prints_the_receipt_without_a_revision_and_registers_nobody() -> None:
    name = write(Path("a"), amounts(Kind.USAGE, "1"))
    receipts(write(Path("b"), billed(Kind.USAGE, "2")))
    [foreseen] = receipts(name, "--period", "2026-11", "--dry-run")
    assert foreseen["revision"] is None
    assert len(json.loads(run("list", "--output", "json").stdout)) == 1
    [real] = receipts(name, "--period", "2026-11")
    assert {**real, "revision": None} == foreseen
    assert "A dry run: nothing was published." in run("publish", name, "--period", "2026-11", "--dry-run").stderr


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--partner", "x"], 2, "is not a tenant id"),
        (["--kind", "invoice"], 2, "--kind"),
        (["--period", "2026-13"], 2, "is not a billing period"),
        (["--period", "2026-11", "--invoice", "G1"], 2, "exclude one another"),
        (["--segment", "../x"], 2, "is not a segment name"),
        (["--allow-rejects", "-1"], 2, "--allow-rejects"),
        (["-", "-"], 2, "Standard input can be read only once"),
        (["--kind", "usage", "--partner", OTHER], 1, "a, line 1, PartnerId: another partner's line item"),
        (["--kind", "reconciliation"], 1, "a: holds usage line items, and reconciliation was expected"),
        (["--currency", "USD"], 1, "a, line 1, BillingCurrency: not in USD ('EUR'). Publish each currency by itself."),
        (["--currency", "US"], 1, "is not a currency"),
        (["--invoice", "a b"], 1, "is not an invoice id"),
        ([""], 2, "'' is not the name of a file. Give the path of a file; - is standard input."),
        (["nowhere"], 1, "nowhere: cannot be read: No such file or directory. Check the path."),
    ],
)
def test_a_refusal_is_one_line_with_its_remedy_and_its_exit_code(options: list[str], code: int, said: str) -> None:
    done = run("publish", write(Path("a"), billed(Kind.USAGE, "1")), *options)
    assert (done.exit_code, said in done.stderr, done.stdout) == (code, True, ""), done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("Error: ")]) == 1
    assert names_here() == {"a"} if code == 2 else not stored_in("counterfoil-data")[0], "nothing is published"


@pytest.mark.parametrize("data", ["data", "folders/that/are/not/there", "empty"])
def test_what_is_refused_publishes_nothing_and_leaves_no_line_item(data: str) -> None:
    """Nor does wrong use make a folder: it is refused before anything is opened."""
    Path("empty").mkdir()
    good, bad = write(Path("a"), billed(Kind.USAGE, "1")), write(Path("b"), billed(Kind.USAGE, "1") + b"{\n")
    before = names_here()
    for arguments in ([good, good], [""], [good, "--segment", "/"]):
        done = run("publish", *arguments, "--data", data)
        assert (done.exit_code, names_here()) == (2, before), done.stderr
    for arguments, code in (([good, "--dry-run"], 0), ([bad], 1), ([good, bad], 1), ([good, "--currency", "USD"], 1)):
        done = run("publish", *arguments, "--data", data)
        assert (done.exit_code, stored_in(data)) == (code, (0, ["catalog.json"])), done.stderr
    Path("samples").mkdir()
    write(Path("samples/bad.jsonl"), Path("b").read_bytes())
    done = run("serve", "--dev", "--load", "samples", "--data", data)
    assert (done.exit_code, stored_in(data)) == (1, (0, ["catalog.json"]))
    assert "--allow-rejects" in done.stderr
    assert run("publish", good, "--data", data).exit_code == 0
    assert run("verify", "--data", data).exit_code == 0


def stored_in(data: str) -> tuple[int, list[str]]:
    """How many datasets are published, and what is beside the catalog."""
    listed = json.loads(run("list", "--data", data, "--output", "json").stdout)
    root = Path(data, "files")
    return len(listed), sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_a_data_folder_that_comes_into_being_meanwhile_is_left_alone() -> None:
    """Another publication made it while this one, which is refused at its end, was reading."""
    bad = write(Path("b"), amounts(Kind.USAGE, "1", "2") + b"{\n")
    with open_data_folder(Settings(data=Path("data")), create=True) as data_folder:
        assert data_folder.catalog.partners() == []
        receipts(write(Path("a"), billed(Kind.USAGE, "1")), "--data", "data")
        assert len(data_folder.catalog.partners()) == 1
        with pytest.raises(InputError):
            publish(data_folder, [Input(bad, UNBILLED)])
    assert len(json.loads(run("list", "--data", "data", "--output", "json").stdout)) == 1
    assert run("verify", "--data", "data").exit_code == 0


def test_what_deserves_a_look_is_told_to_people_and_sorted_for_programs() -> None:
    lines = raw_lines(Kind.USAGE, {"Novel": "1", "UnitPrice": "0.1999968000511991808131"}, {"Novel": "2"}) + b"{\n"
    arguments = (write(Path("a"), lines), "--period", "2026-11", "--allow-rejects", "1")
    told = run("publish", *arguments).stdout
    assert "rounded" not in told, "that is so with nearly all usage, and would hide the rest"
    assert "unknown attribute Novel was kept unchanged in 2 line items" in told
    assert "1 line was refused and left out" in told
    [receipt] = receipts(*arguments)
    assert receipt["warnings"] == {
        "inexact": {"BillingPreTaxTotal": 2, "UnitPrice": 1},
        "unknown": {"Novel": 2},
        "refused": 1,
    }
    assert receipts(write(Path("b"), billed(Kind.USAGE, "1")))[0]["warnings"] == {}


def test_a_local_file_is_asked_about_by_option_and_then_read() -> None:
    german = {name: text for name, text in USAGE_ITEM.items() if name != "InvoiceNumber"}
    german |= {"UsageDate": "05.10.2026", "UnitPrice": "0,5", "Quantity": "2,0", "BillingPreTaxTotal": "1.234,50"}
    text = "Oktober\n" + rows(german, german, delimiter=";") + "Summe" + ";" * 9
    write(Path("a.csv"), text.encode())
    asked = run("publish", "a.csv", "--period", "2026-10", "--date-order", "dmy")
    assert (asked.exit_code, asked.stderr.count("(--decimal)")) == (1, 1)
    [receipt] = receipts("a.csv", "--period", "2026-10", "--date-order", "dmy", "--decimal", "comma", "--dry-run")
    assert receipt["totals"] == {"BillingPreTaxTotal": "2469.00"}
    assert receipt["warnings"] == {"skipped": {"title row": 1, "totals row": 1}}


def test_what_was_left_out_and_destroyed_is_told_in_sentences() -> None:
    item = {
        **USAGE_ITEM,
        "SkuId": "7",
        "MpnId": "6.12E+06",
        "Tags": "[object Object]",
        "Has PartnerEarnedCredit": "true",
    }
    write(Path("a.csv"), ("One\nTwo\n" + rows(item, item)).encode())
    told = run("publish", "a.csv", "--dry-run").stdout
    for sentence in (
        "2 title rows were left out",
        "a spreadsheet or script destroyed MpnId in 2 line items",
        "a spreadsheet or script destroyed Tags in 2 line items",
        "SkuId has fewer than four digits in 2 line items",
        "attribute HasPartnerEarnedCredit is not in Graph's exports, and 2 line items had it",
    ):
        assert sentence in " ".join(told.split()), told


def test_a_refusal_with_a_list_blames_the_input_and_counts_well() -> None:
    name = write(Path("a"), amounts(Kind.USAGE, "1") + b"{\n" * 2)
    arguments = ("publish", name, "--period", "2026-11", "--rejects", "r")
    said = run(*arguments).stderr
    assert "Error: a, line 2: not JSON" in said
    assert "2 lines were refused and none allowed: r lists them. Nothing was published." in said
    assert ".." not in said
    write(Path("a"), amounts(Kind.USAGE, "1") + b"{\n")
    assert "1 line was refused and none allowed: r lists it." in run(*arguments).stderr


@pytest.mark.parametrize("rejects", ["data/catalog.sqlite", "data/secret", "link/new", "data"])
def test_rejects_are_never_written_over_what_is_in_the_data_folder(rejects: str) -> None:
    name = write(Path("a"), billed(Kind.USAGE, "1"))
    run("publish", name, "--data", "data")
    Path("link").symlink_to("data")
    before = {path: path.read_bytes() for path in Path("data").rglob("*") if path.is_file()}
    bad = write(Path("b"), raw_lines(Kind.USAGE, {"SkuName": "1"}))
    done = run("publish", bad, "--data", "data", "--period", "2026-11", "--rejects", rejects)
    assert (done.exit_code, done.stdout) == (2, ""), done.stderr
    assert {path: path.read_bytes() for path in Path("data").rglob("*") if path.is_file()} == before


PULL_WITH_TOKEN = "pull http://127.0.0.1:1 --kind usage --invoice G1 --to x --token -"


@pytest.mark.parametrize(("arguments", "remedy"), [("publish -", b"Name a file"), (PULL_WITH_TOKEN, b"Pipe the token")])
def test_a_closed_standard_input_is_told_in_a_sentence(arguments: str, remedy: bytes) -> None:
    command = [sys.executable, "-m", "counterfoil", *arguments.split()]
    done = subprocess.run(["/bin/sh", "-c", 'exec "$@" <&-', "sh", *command], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"Error: Standard input is closed. " + remedy in done.stderr


def test_rejects_that_cannot_be_written_name_their_file_and_publish_nothing() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    name = write(Path("a"), amounts(Kind.USAGE, "1") + b"{\n")
    for allowed in ("0", "1"):
        done = run("publish", name, "--period", "2026-11", "--rejects", "/dev/full", "--allow-rejects", allowed)
        assert done.exit_code == 1
        assert "/dev/full: the refused lines cannot be written: No space left on device." in done.stderr
        assert stored_in("counterfoil-data") == (0, ["catalog.json"])


def test_a_bad_line_names_file_line_attribute_value_and_remedy() -> None:
    name = write(Path("a"), amounts(Kind.USAGE, "1") + raw_lines(Kind.USAGE, {"UnitPrice": '"1_000\\u001b[2J"'}))
    done = run("publish", name, "--period", "2026-11")
    assert done.exit_code == 1
    assert r"Error: a, line 2, UnitPrice: not a JSON number ('1_000\x1b[2J')." in done.stderr
    assert "Amounts are plain JSON numbers such as 12.50." in done.stderr


def test_a_dataset_that_another_publication_holds_is_for_later() -> None:
    name = write(Path("a"), billed(Kind.USAGE, "1"))
    dataset = Dataset(Kind.USAGE, PARTNER, Scope.billed(INVOICE))
    with open_store(Path("counterfoil-data")).hold([dataset]):
        done = run("publish", name)
        assert (done.exit_code, f"holds usage of {PARTNER}" in done.stderr) == (4, True)
        assert run("publish", name, "--dry-run").exit_code == 4
    assert run("publish", name).exit_code == 0


def test_a_data_folder_of_a_newer_program_is_left_alone() -> None:
    name = write(Path("a"), billed(Kind.USAGE, "1"))
    assert run("publish", name).exit_code == 0
    with closing(sqlite3.connect("counterfoil-data/catalog.sqlite")) as database:
        database.execute("UPDATE meta SET value = '9999' WHERE key IN ('schema_version', 'usable_from')")
        database.commit()
    before = sorted(Path("counterfoil-data").rglob("*"))
    done = run("publish", write(Path("b"), billed(Kind.USAGE, "2")))
    assert (done.exit_code, "newer" in done.stderr) == (1, True)
    assert sorted(path for path in Path("counterfoil-data").rglob("*") if "catalog" not in path.name) == [
        path for path in before if "catalog" not in path.name
    ]


def test_what_was_published_can_be_listed_shown_verified_withdrawn_and_restored() -> None:
    name = write(Path("a"), amounts(Kind.USAGE, "1.50"))
    [receipt] = receipts(name, "--period", "2026-11", "--segment", "2026-11-20")
    revision = str(receipt["revision"])
    [row] = json.loads(run("list", "--output", "json").stdout)
    assert (row["lineItems"], row["revision"], row["scope"]) == (1, revision, "unbilled 2026-11 EUR")
    shown = json.loads(run("show", revision[:8], "--output", "json").stdout)
    assert [(each["name"], each["lineItems"]) for each in shown["segments"]] == [("2026-11-20", 1)]
    named = ["--partner", PARTNER, "--kind", "usage", "--period", "2026-11", "--currency", "EUR"]
    assert run("withdraw", *named).stdout.strip() == revision
    assert json.loads(run("list", "--output", "json").stdout)[0]["revision"] is None
    assert run("withdraw", *named).exit_code == 1
    assert run("restore", revision[:8]).exit_code == 0
    assert len(json.loads(run("show", *named, "--output", "json").stdout)) == 1
    done = run("verify")
    assert (done.exit_code, done.stderr.splitlines()[-1].partition(":")[0]) == (0, "Sound")
    for path in Path("counterfoil-data/files").rglob("*.v1"):
        path.write_bytes(path.read_bytes()[:-1])
    done = run("verify")
    assert (done.exit_code, ".v1" in done.stdout, "1 fault was found" in done.stderr) == (1, True, True)


def test_sweep_says_what_it_took() -> None:
    run("publish", write(Path("a"), billed(Kind.USAGE, "1")))
    assert json.loads(run("sweep", "--output", "json").stdout) == {
        "revisions": 0,
        "operations": 0,
        "files": 0,
        "bytes": 0,
        "atWork": 0,
        "unlisted": 0,
    }
    assert run("sweep", "--keep-unbilled", "soon").exit_code == 2
