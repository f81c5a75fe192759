"""`counterfoil reconcile` and `changes`: what they print and write, their exit codes, and what they refuse."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from counterfoil import reconcile
from counterfoil.cli.compared_sides import COMPARISONS
from counterfoil.cli.sides import GROUPINGS
from counterfoil.errors import CounterfoilError
from counterfoil.model import Kind
from counterfoil.reconcile.comparing import result_output
from tests.cli.pulling import run
from tests.reconcile.sides import INVOICE, OTHER_PARTNER, licence, lines_file, pull_folder

SEATS = {"BillableQuantity": "8", "UnitPrice": "22", "EffectiveUnitPrice": "22"}
BEFORE = licence("176", "0", "176", InvoiceNumber=INVOICE, **SEATS)
AFTER = BEFORE | {"BillableQuantity": "9", "Subtotal": "198", "Total": "198"}
LATER = licence("22", "0", "22", InvoiceNumber=INVOICE, **SEATS) | {"BillableQuantity": "1", "SubscriptionId": "s2"}
DAY = timedelta(days=1)


@pytest.fixture
def two_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines_file(tmp_path / "before.jsonl", [BEFORE])
    lines_file(tmp_path / "after.jsonl", [AFTER, LATER])


@pytest.mark.usefixtures("two_files")
def test_a_difference_is_shown_within_80_columns_with_its_causes_and_what_to_do_next() -> None:
    done = run("reconcile", "before.jsonl", "after.jsonl", "--show-at-least", "40", "--currency", "EUR")
    assert done.exit_code == 3
    shown = done.stdout.splitlines()
    assert max(map(len, shown)) <= 80
    for told in (
        *("revisions, reconciliation line items of 2026-10", "quantity", "new", "22.00 EUR", "By customer"),
        *("On one side only: 1", "Line items that only after.jsonl has."),
    ):
        assert told in done.stdout
    assert "Listed are differences of at least 40.00 EUR; all figures count every one." in shown
    assert "Largest differences: 0 of 2" not in done.stdout
    assert "They differ by 44.00 EUR in 2 differences, all of it explained." in done.stderr
    assert "Next: counterfoil reconcile before.jsonl after.jsonl --currency EUR --to result" in done.stderr


@pytest.mark.usefixtures("two_files")
def test_json_says_all_and_the_filter_changes_no_figure() -> None:
    done = run(
        "reconcile", "before.jsonl", "after.jsonl", "--output", "json", "--by", "product", "--show-at-least", "50"
    )
    document = json.loads(done.stdout)
    assert (done.exit_code, document["difference"], document["differences"]) == (3, "44.00", 2)
    assert document["by"] == {"key": "product", "groups": []}
    assert document["displayFilter"] == {"atLeast": "50"}
    assert [each["cause"] for each in document["causes"]] == ["quantity", "new"]
    assert json.loads(done.stderr)["conclusion"]["exitCode"] == 3


@pytest.mark.usefixtures("two_files")
def test_equal_sides_end_with_0_and_a_result_is_written_where_it_was_asked_for(tmp_path: Path) -> None:
    done = run(
        "reconcile", "before.jsonl", "before.jsonl", "--to", "result", "--format", "csv,json", "--format", "parquet"
    )
    assert (done.exit_code, "agree to the last digit" in done.stderr) == (0, True)
    written = {path.name for path in (tmp_path / "result").iterdir()}
    differing = run("reconcile", "before.jsonl", "after.jsonl", "--to", "a report", "--format", "xlsx,html,json").stderr
    assert "Next: open 'a report/report.xlsx'" in differing
    assert (
        "Next: open tables"
        in run("reconcile", "before.jsonl", "after.jsonl", "--to", "tables", "--format", "csv").stderr
    )
    tables = {"differences", "causes", "left_lines", "right_lines"}
    assert written == {"comparison.json", *(f"{table}.{form}" for table in tables for form in ("csv", "parquet"))}
    again = run("reconcile", "before.jsonl", "before.jsonl", "--to", "result", "--format", "json")
    assert (again.exit_code, "is there already" in again.stderr) == (2, True)


def test_a_side_without_the_attribute_is_refused_before_anything_is_printed(tmp_path: Path) -> None:
    basic = pull_folder(tmp_path / "basic", [BEFORE], Kind.RECONCILIATION, attributeSet="basic")
    done = run("reconcile", str(basic), str(lines_file(tmp_path / "a.jsonl", [AFTER])), "--by", "meter")
    assert (done.exit_code, done.stdout, "holds no MeterDescription" in done.stderr) == (1, "", True)


WRONG: dict[str, tuple[str, ...]] = {
    "no folder": ("--format", "csv"),
    "no format": ("--format", "docx", "--to", "x"),
    "no amount": ("--show-at-least", "a bit"),
    "below zero": ("--show-at-least", "-1"),
    "no comparison": ("--as", "guess"),
    "no month": ("--period", "October"),
}


@pytest.mark.usefixtures("two_files")
@pytest.mark.parametrize("name", WRONG)
def test_wrong_use_ends_with_2_and_one_sentence(name: str) -> None:
    done = run("reconcile", "before.jsonl", "after.jsonl", *WRONG[name])
    assert (done.exit_code, done.stdout, done.stderr.count("Error: ")) == (2, "", 1)


@pytest.mark.usefixtures("two_files")
def test_changes_of_two_states_and_of_a_published_dataset() -> None:
    done = run("changes", "before.jsonl", "after.jsonl")
    assert (done.exit_code, "restated" in done.stdout, "What happened" in done.stdout) == (3, True, True)
    for state in ("before.jsonl", "after.jsonl"):
        assert run("publish", state, "--replace").exit_code == 0
        if state == "before.jsonl":
            alone = run("changes", f"invoice:{INVOICE}")
            assert (alone.exit_code, "has one revision only" in alone.stderr) == (1, True)
    published = run("changes", f"invoice:{INVOICE}", "--output", "json")
    document = json.loads(published.stdout)
    assert (published.exit_code, document["difference"]) == (3, "44.00")
    assert [(each["change"], each["amount"]) for each in document["changes"]] == [
        ("came", "22.00"),
        ("restated", "22.00"),
    ]
    first = document["left"]["revision"]
    assert json.loads(run("changes", f"invoice:{INVOICE}", "--since", first[:8], "--output", "json").stdout) == document

    def since(day: str, now: datetime) -> Callable[[], object]:
        return lambda: reconcile.changes(f"invoice:{INVOICE}", since=day, now=lambda: now)

    now = datetime.now(UTC)
    refused = {"first published": since("yesterday", now), "has not changed since": since("yesterday", now + 3 * DAY)}
    refused["no published dataset"] = lambda: reconcile.changes("before.jsonl")
    refused["not a revision"] = since("tomorrow", now)
    refused["no revision"] = since("abcdef", now)
    refused["same revision"] = lambda: reconcile.compare(f"revision:{first}", f"revision:{first}")
    for told, ask in refused.items():
        with pytest.raises(CounterfoilError, match=told):
            ask()


def test_the_command_line_offers_what_the_library_takes() -> None:
    """Their names are written out there, so that a help text does not wait for the library."""
    assert tuple(reconcile.By) == GROUPINGS
    assert tuple(reconcile.Comparing) == COMPARISONS


@pytest.mark.usefixtures("two_files")
def test_a_result_takes_the_place_of_nothing_and_what_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "comparison.json").symlink_to(tmp_path / "nowhere")
    refused = run("reconcile", "before.jsonl", "after.jsonl", "--to", "taken", "--format", "html,json")
    assert (refused.exit_code, [each.name for each in taken.iterdir()]) == (2, ["comparison.json"])
    assert (taken / "comparison.json").is_symlink()
    monkeypatch.setattr(result_output, "sync_file", full)
    failed = run("reconcile", "before.jsonl", "after.jsonl", "--to", "fresh", "--format", "csv,json")
    assert (failed.exit_code, "fresh: No space left" in failed.stderr) == (1, True)
    (tmp_path / "there").mkdir()
    run("reconcile", "before.jsonl", "after.jsonl", "--to", "there", "--format", "csv,json")
    assert (list((tmp_path / "there").iterdir()), (tmp_path / "fresh").exists()) == ([], False)


@pytest.mark.usefixtures("two_files")
def test_remedies_name_options_and_another_option_called_json_changes_no_output() -> None:
    written = run("reconcile", "before.jsonl", "after.jsonl", "--to", "result", "--format", "json")
    assert written.stderr.splitlines()[-1].startswith("They differ by 44.00 EUR")
    billed = run("reconcile", "before.jsonl", "after.jsonl", "--as", "unbilled-billed")
    assert "are both billed." in billed.stderr
    assert "(--as revisions)" in " ".join(billed.stderr.split())
    other = run("reconcile", "before.jsonl", "after.jsonl", "--partner", OTHER_PARTNER)
    assert f"before.jsonl holds no line items of the partner {OTHER_PARTNER}" in " ".join(other.stderr.split())
