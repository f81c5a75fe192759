"""`counterfoil publish` and its neighbours: what is printed where, and which exit code tells what."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from counterfoil import cli
from counterfoil.model import Dataset, Kind, Scope
from counterfoil.storage.locks import DatasetLocks
from tests.datasets.line_items import INVOICE, OTHER, PARTNER, amounts, billed, raw_lines, write


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Result:
    done = CliRunner().invoke(cli.main, arguments, prog_name="counterfoil")
    assert "Traceback" not in done.stderr
    return done


def receipts(*arguments: str) -> list[dict[str, object]]:
    done = run("publish", *arguments, "--output", "json")
    assert done.exit_code == 0, done.stderr
    found: list[dict[str, object]] = json.loads(done.stdout)
    return found


def test_the_receipt_tells_line_items_exact_totals_etag_and_revision() -> None:
    name = write(Path("invoice.jsonl.gz"), billed(Kind.RECONCILIATION, "0.1999968000511991808131", "24.0"))
    done = run("publish", name)
    assert done.exit_code == 0
    assert f"Dataset     reconciliation of {PARTNER}, invoice {INVOICE}" in done.stdout
    assert "Line items  2" in done.stdout
    assert "Totals      Subtotal: 24.1999968000511991808131" in done.stdout
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
    [foreseen] = receipts(name, "--period", "2026-11", "--dry-run")
    assert foreseen["revision"] is None
    assert json.loads(run("list", "--output", "json").stdout) == []
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
        (["--kind", "reconciliation"], 1, "a: holds usage line items, and --kind says reconciliation"),
        (["--currency", "USD"], 1, "a, line 1, BillingCurrency: not in USD ('EUR'). Publish each currency by itself."),
        (["--currency", "US"], 1, "is not a currency"),
        (["--invoice", "a b"], 1, "is not an invoice id"),
        (["nowhere"], 1, "nowhere: cannot be read: No such file or directory. Check the path."),
    ],
)
def test_a_refusal_is_one_line_with_its_remedy_and_its_exit_code(options: list[str], code: int, said: str) -> None:
    done = run("publish", write(Path("a"), billed(Kind.USAGE, "1")), *options)
    assert (done.exit_code, said in done.stderr, done.stdout) == (code, True, ""), done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("Error: ")]) == 1
    assert json.loads(run("list", "--output", "json").stdout or "[]") == []


def test_a_bad_line_names_file_line_attribute_value_and_remedy() -> None:
    name = write(Path("a"), amounts(Kind.USAGE, "1") + raw_lines(Kind.USAGE, {"UnitPrice": '"1_000\\u001b[2J"'}))
    done = run("publish", name, "--period", "2026-11")
    assert done.exit_code == 1
    assert r"Error: a, line 2, UnitPrice: not a JSON number ('1_000\x1b[2J')." in done.stderr
    assert "Amounts are plain JSON numbers such as 12.50." in done.stderr


def test_a_dataset_that_another_publication_holds_is_for_later() -> None:
    name = write(Path("a"), billed(Kind.USAGE, "1"))
    dataset = Dataset(Kind.USAGE, PARTNER, Scope.billed(INVOICE))
    with DatasetLocks(Path("counterfoil-data/locks")).hold([dataset]):
        done = run("publish", name)
        assert (done.exit_code, f"holds usage of {PARTNER}" in done.stderr) == (4, True)
        assert run("publish", name, "--dry-run").exit_code == 4
    assert run("publish", name).exit_code == 0


def test_a_data_folder_of_a_newer_program_is_left_alone() -> None:
    name = write(Path("a"), billed(Kind.USAGE, "1"))
    assert run("publish", name).exit_code == 0
    with closing(sqlite3.connect("counterfoil-data/catalog.sqlite")) as database:
        database.execute("UPDATE meta SET value = '9999' WHERE key = 'schema_version'")
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
    assert shown["segments"] == [{"name": "2026-11-20", "lineItems": 1}]
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
    }
    assert run("sweep", "--keep-unbilled", "soon").exit_code == 2
