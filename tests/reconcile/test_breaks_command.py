"""`counterfoil breaks` and `reconcile --breaks`: what they print, where breaks are, and who is recorded."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
from pathlib import Path

import pytest

from counterfoil.model import Kind
from counterfoil.reconcile import breaks
from counterfoil.reconcile.breaks import BREAKS_FILE
from tests.cli.pulling import rows, run
from tests.reconcile.sides import INVOICE, PARTNER, licence, lines_file, pull_folder

PAGE = (Path(__file__).parents[2] / "docs" / "breaks.md").read_text(encoding="utf-8")
SEATS = {"BillableQuantity": "8", "UnitPrice": "22", "EffectiveUnitPrice": "22"}
BEFORE = licence("176", "0", "176", InvoiceNumber=INVOICE, **SEATS)
AFTER = BEFORE | {"BillableQuantity": "9", "Subtotal": "198", "Total": "198"}


@pytest.fixture
def two_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    lines_file(tmp_path / "before.jsonl", [BEFORE])
    lines_file(tmp_path / "after.jsonl", [AFTER])
    return tmp_path


def test_breaks_are_kept_listed_noted_and_accepted(two_files: Path) -> None:
    done = run("reconcile", "before.jsonl", "after.jsonl", "--breaks")
    assert (done.exit_code, "Breaks: 1 new; 1 of this comparison to be seen to." in done.stderr) == (3, True)
    assert f"counterfoil breaks list --in {two_files}" in done.stderr
    told = json.loads(run("reconcile", "after.jsonl", "before.jsonl", "--breaks", "--output", "json").stdout)["breaks"]
    assert told == {
        "folder": str(two_files), "new": [], "changed": [], "reopened": [], "resolved": [], "unsettled": 1
    }  # fmt: skip
    assert re.search(r"1  open +quantity +22\.00 EUR  Contoso +s1 +2026-10", run("breaks", "list", "--in", ".").stdout)
    noted = run("breaks", "note", "1", "--in", ".", "--owner", "finance", "--note", "asked", "--explained")
    assert (noted.exit_code, "Amount explained  22.00 EUR" in noted.stdout) == (0, True)
    code, [found] = rows("breaks", "list", "--in", ".", "--owner", "finance", "--state", "explained")
    assert (code, found["amount"], found["note"], found["partner"]) == (0, "22.00", "asked", PARTNER)
    refused = run("breaks", "accept", "1", "--in", ".", "--note", "small", "--amount", "21")
    assert (refused.exit_code, "is about 22.00 EUR, and not 21.00" in refused.stderr) == (2, True)
    accepted = run("breaks", "accept", "1", "--in", ".", "--note", "small", "--amount", "22")
    assert "accepted, 22.00 EUR. small" in accepted.stdout
    assert "No break is open in ." in run("breaks", "list", "--in", ".").stderr
    lines_file(two_files / "after.jsonl", [BEFORE])
    run("reconcile", "before.jsonl", "after.jsonl", "--breaks")
    shown = run("breaks", "show", "1", "--in", ".").stdout
    assert "the file before.jsonl and the file after.jsonl no longer differ in it" in shown


REFUSED: dict[str, tuple[tuple[str, ...], int, str]] = {
    "no number": (("breaks", "show", "7", "--in", "."), 1, "There is no break 7"),
    "no reason": (("breaks", "accept", "1", "--in", "."), 2, "--note"),
    "nothing to note": (("breaks", "note", "1", "--in", "."), 2, "Give --note, --owner or --explained."),
    "no folder": (("breaks", "list", "--in", "nowhere"), 2, "There is no folder nowhere."),
    "no data folder": (("breaks", "list"), 2, "There is no folder counterfoil-data."),
    "two folders": (
        ("reconcile", "before.jsonl", "other/after.jsonl", "--breaks"),
        2,
        "Name the folder (--breaks-in).",
    ),
    "no amount": (("breaks", "list", "--in", ".", "--at-least", "much"), 2, "--at-least"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_done_is_one_sentence(two_files: Path, case: str) -> None:
    (two_files / "other").mkdir()
    lines_file(two_files / "other" / "after.jsonl", [AFTER])
    arguments, code, told = REFUSED[case]
    done = run(*arguments)
    assert (done.exit_code, done.stdout, told in done.stderr) == (code, "", True), done.stderr
    assert not (two_files / BREAKS_FILE).exists()


def test_breaks_of_pulls_are_beside_them_also_where_a_receipt_is_named(two_files: Path) -> None:
    (two_files / "pulls").mkdir()
    pulled = pull_folder(two_files / "pulls" / INVOICE, [AFTER], Kind.RECONCILIATION)
    for named in (pulled, pulled / "receipt.json"):
        assert run("reconcile", "before.jsonl", str(named), "--breaks").exit_code == 3
    assert [each.amount for each in breaks.listed(two_files / "pulls")] == [22]


def test_breaks_of_a_published_dataset_are_in_its_backup_and_in_the_record_of_activity(two_files: Path) -> None:
    assert run("publish", "after.jsonl").exit_code == 0
    done = run("reconcile", "before.jsonl", f"invoice:{INVOICE}", "--breaks")
    assert (done.exit_code, (two_files / "counterfoil-data" / BREAKS_FILE).exists()) == (3, True), done.stderr
    run("breaks", "note", "1", "--owner", "finance")
    run("breaks", "accept", "1", "--note", "small")
    _, recorded = rows("activity", "--partner", PARTNER)
    assert [(each["action"], each["subject"]) for each in recorded if each["action"].startswith("break")] == [
        ("breaks-record", ""),
        ("break-note", "1"),
        ("break-accept", "1"),
    ]
    assert recorded[-1]["details"] == {"amount": "22.00", "state": "accepted"}
    for kept in ("kept", "kept.tar"):
        assert run("backup", kept).exit_code == 0
        assert run("restore-backup", kept, "--data", f"of-{kept}").exit_code == 0
        assert breaks.listed(f"of-{kept}") == breaks.listed("counterfoil-data")
    run("partners", "remove", PARTNER, "--erase", "--yes")
    assert breaks.listed("counterfoil-data") == ()


def test_a_folder_with_breaks_in_it_can_be_published(two_files: Path) -> None:
    (two_files / "folder").mkdir()
    lines_file(two_files / "folder" / "after.jsonl", [AFTER])
    run("reconcile", "before.jsonl", "folder/after.jsonl", "--breaks-in", "folder")
    done = run("publish", "folder")
    assert (done.exit_code, (two_files / "folder" / BREAKS_FILE).exists()) == (0, True), done.stderr


def test_the_examples_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for block in re.findall(r"<!-- example -->\n```console\n(.*?)```", PAGE, re.DOTALL):
        for line in block.replace("\\\n", "").splitlines():
            _, *arguments = shlex.split(line.removeprefix("$ "))
            done = run(*arguments)
            assert done.exit_code == (3 if arguments[0] == "reconcile" else 0), done.stderr
    assert [each.state.value for each in breaks.listed("two")][:4] == ["open", "explained", "accepted", "open"]
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(re.findall(r"<!-- example -->\n```python\n(.*?)```", PAGE, re.DOTALL)[0], {})
    assert re.match(r"\(\) [0-9]+\n1 ", output.getvalue())
    assert breaks.show("two", 5).state == "accepted"


def test_every_state_is_described() -> None:
    assert [state for state in breaks.BreakState if f"| `{state}` |" not in PAGE] == []
