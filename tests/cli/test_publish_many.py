"""Folders and lists of many datasets, and what a publication says once it is in force."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from counterfoil.cli import publication_output
from counterfoil.cli import publish as publish_command
from counterfoil.errors import FullDiskError
from counterfoil.model import Kind
from tests.cli.pulling import run
from tests.datasets.line_items import OTHER, PARTNER, amounts, billed, raw_lines, write


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def in_force() -> dict[str, int]:
    listed = json.loads(run("list", "--output", "json").stdout)
    return {f"{each['kind']} {each['partner'][:3]} {each['scope']}": each["lineItems"] for each in listed}


def of_other(content: bytes) -> bytes:
    return content.replace(PARTNER.encode(), OTHER.encode())


CSV_LIST = f"""file,partner,issuer,kind,invoice,period,currency,segment
data/a.jsonl,,,,,2026-11,,
data/b.jsonl,{OTHER},{PARTNER},usage,,2026-11,EUR,2026-11-01
data/c.jsonl,,,usage,,,,
data/c2.jsonl,,,usage,,,,
"""
TOML_LIST = f"""
[[dataset]]
file = "data/a.jsonl"
period = "2026-11"
[[dataset]]
file = "data/b.jsonl"
partner = "{OTHER}"
issuer = "{PARTNER}"
kind = "usage"
period = "2026-11"
segment = "2026-11-01"
[[dataset]]
file = ["data/c.jsonl", "data/c2.jsonl"]
"""


@pytest.mark.parametrize(
    ("name", "text"), [("list.csv", CSV_LIST), ("list.toml", TOML_LIST), ("semi.csv", CSV_LIST.replace(",", ";"))]
)
def test_a_list_publishes_each_dataset_as_it_says(name: str, text: str) -> None:
    write(Path("data/a.jsonl"), amounts(Kind.RECONCILIATION, "1"))
    write(Path("data/b.jsonl"), amounts(Kind.USAGE, "2"))
    write(Path("data/c.jsonl"), billed(Kind.USAGE, "3", invoice="G1"))
    write(Path("data/c2.jsonl"), billed(Kind.USAGE, "4", "5", invoice="G1"))
    Path(name).write_text(text)
    done = run("publish", "--list", name, "--output", "json")
    assert done.exit_code == 0, done.stderr
    assert [receipt["segment"] for receipt in json.loads(done.stdout)] == ["whole", "2026-11-01", "whole"]
    assert in_force() == {
        "reconciliation 0e1 unbilled 2026-11 EUR": 1,
        "usage aaa unbilled 2026-11 EUR": 1,
        "usage 0e1 invoice G1": 3,
    }
    again = run("publish", "--list", name, "--output", "json")
    assert json.loads(again.stdout) == json.loads(done.stdout)


def test_one_that_is_refused_leaves_the_others_unless_together() -> None:
    for number in range(5):
        write(Path(f"in/{number}.jsonl"), billed(Kind.USAGE, str(number + 1), invoice=f"G{number}"))
    write(Path("in/bad.jsonl"), billed(Kind.USAGE, "1", invoice="G8") + b'{"PartnerId":1}\n')
    write(Path("in/worse.csv"), b"PartnerId,UsageDate,BillingPreTaxTotal,BillingCurrency\n")
    done = run("publish", "in", "--together")
    assert (done.exit_code, in_force()) == (1, {}), done.stderr
    done = run("publish", "in", "--output", "json")
    errors = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.exit_code == 1
    assert any("bad.jsonl, line 2" in each["error"]["message"] for each in errors if "error" in each)
    assert in_force() == {f"usage 0e1 invoice G{number}": 1 for number in range(5)}
    assert len(json.loads(done.stdout)) == 5


STRAYS = {
    ".hidden.jsonl": b"x",
    ".ipynb_checkpoints/a.jsonl": billed(Kind.USAGE, "1"),
    "__MACOSX/a.jsonl": billed(Kind.USAGE, "1"),
    "~$a.csv": b"x",
    "a.jsonl~": billed(Kind.USAGE, "1"),
    "a.bak": billed(Kind.USAGE, "1"),
    "a.bak.jsonl": billed(Kind.USAGE, "1"),
    "b.jsonl.part": billed(Kind.USAGE, "1"),
    "b.csv.crdownload": b"x",
    "c.tmp": b"x",
    "package.json": b'{"name": "x"}',
    "notes.csv": b"a,b\n1,2\n",
    "empty.jsonl": b"",
    "photo.csv": bytes(range(256)),
    "broken.json": b"{",
}


@pytest.mark.parametrize("how", ["publish", "serve"])
def test_what_lies_about_in_a_folder_is_told_and_stops_nothing(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write(Path("in/a.jsonl"), billed(Kind.USAGE, "1"))
    for name, content in STRAYS.items():
        write(Path("in", name), content)
    if how == "publish":
        done = run("publish", "in")
        assert done.exit_code == 0, done.stderr
    else:
        monkeypatch.setattr("counterfoil.server.web_server.WebServer.run", lambda _: None)
        done = run("serve", "--dev", "--port", "0", "--load", "in")
    for name in STRAYS:
        assert name.partition("/")[0] in done.stderr, name
    assert in_force() == {"usage 0e1 invoice G016907411": 1}


@pytest.mark.parametrize(
    ("name", "content", "scope"),
    [
        ("G099000123_2026-10-08.jsonl", billed(Kind.USAGE, "1"), "invoice G016907411"),
        ("2026-10/bill.jsonl", billed(Kind.RECONCILIATION, "1"), "invoice G016907411"),
        ("usage-2026-11-20.jsonl", amounts(Kind.USAGE, "1"), "unbilled 2026-11 EUR"),
        ("2026-10-08/usage_2026-11.jsonl", amounts(Kind.USAGE, "1"), "unbilled 2026-11 EUR"),
    ],
)
def test_a_date_in_a_name_is_a_month_only_where_the_line_items_name_no_invoice(
    name: str, content: bytes, scope: str
) -> None:
    write(Path("in", name), content)
    assert run("publish", "in").exit_code == 0
    assert [each.partition(" 0e1 ")[2] for each in in_force()] == [scope]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file,colour\na,red\n", "line 2: 'colour' is unknown in a list"),
        ("files\na\n", "line 1: has no header of its own"),
        ("file,file\na,b\n", "two columns of one name"),
        ("file,period\na,2026-13\n", "line 2: '2026-13' is not a billing period"),
        ("file,kind\na,invoice\n", "line 2: 'invoice' is not a kind"),
        ("file,partner\na,x\n", "line 2: 'x' is not a tenant id"),
        ("file,invoice,period\na,G1,2026-11\n", "line 2: An invoice and a period exclude one another"),
        ("file,segment\na,../x\n", "is not a segment name"),
        ("file,period\na\n", "line 2: has 1 fields where the header has 2"),
        ("file\n", "lists no files"),
        ("file,period\n,2026-11\n", "line 2, file: names no file"),
    ],
)
def test_a_list_with_a_mistake_is_refused_whole(text: str, said: str) -> None:
    Path("list.csv").write_text(text)
    done = run("publish", "--list", "list.csv")
    assert done.exit_code == 1
    assert said in done.stderr
    assert not Path("counterfoil-data").exists()


def test_options_that_a_list_would_contradict_are_refused() -> None:
    Path("list.csv").write_text("file\na\n")
    for option in (["--period", "2026-11"], ["--segment", "a"], ["--partner", PARTNER]):
        done = run("publish", "--list", "list.csv", *option)
        assert (done.exit_code, "A list says of each file what it is" in done.stderr) == (2, True)
    assert run("publish").exit_code == 2


@pytest.mark.parametrize("form", ["table", "json"])
@pytest.mark.parametrize("error", [FullDiskError("No room."), OSError(28, "No space left"), ValueError("odd")])
def test_what_fails_after_the_commit_is_told_and_the_receipt_printed(
    monkeypatch: pytest.MonkeyPatch, error: Exception, form: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(publish_command, "sweep_after_publishing", fail)
    done = run("publish", write(Path("a"), billed(Kind.USAGE, "1")), "--output", form)
    assert done.exit_code == 0, done.stderr
    assert "Everything is in force, but old files were not swept" in done.stderr
    assert "G016907411" in done.stdout
    monkeypatch.setattr(publication_output, "print_receipts", fail)
    done = run("publish", write(Path("b"), billed(Kind.USAGE, "2", invoice="G2")), "--output", form)
    assert (done.exit_code, "the receipt was not printed" in done.stderr) == (0, True)
    assert len(in_force()) == 2


def test_the_receipt_shows_before_after_and_difference() -> None:
    first = run("publish", write(Path("a"), amounts(Kind.USAGE, "1.10")), "--period", "2026-11")
    assert "Before" not in first.stdout
    name = write(Path("a"), amounts(Kind.USAGE, "1.10", "0.4"))
    done = run("publish", name, "--period", "2026-11")
    assert "Before      line items: 1\n            BillingPreTaxTotal: 1.10 EUR" in done.stdout
    assert "Difference  line items: 1\n            BillingPreTaxTotal: 0.40 EUR" in done.stdout
    [receipt] = json.loads(run("publish", name, "--period", "2026-11", "--output", "json").stdout)
    assert receipt["before"] == {"lineItems": 1, "totals": {"BillingPreTaxTotal": "1.10"}}
    assert receipt["difference"] == {"lineItems": 1, "totals": {"BillingPreTaxTotal": "0.40"}}


def test_a_change_that_is_not_allowed_is_refused_with_the_option_that_allows_it() -> None:
    run("publish", write(Path("a"), billed(Kind.USAGE, "1")))
    changed = write(Path("a"), billed(Kind.USAGE, "2"))
    foreseen = run("publish", changed, "--dry-run")
    assert (foreseen.exit_code, "(--replace)" in foreseen.stderr) == (1, True)
    assert "Difference" in foreseen.stdout
    assert "(--replace)" in run("publish", changed).stderr
    limited = run("publish", changed, "--replace", "--max-change", "99.9")
    assert (limited.exit_code, "(--max-change)" in limited.stderr) == (1, True)
    assert run("publish", changed, "--replace", "--max-change", "100%").exit_code == 0
    for wrong in ("x", "-1", "1e99", "nan"):
        assert run("publish", changed, "--max-change", wrong).exit_code == 2


def test_usage_of_another_month_is_refused_with_what_to_do() -> None:
    name = write(Path("a"), raw_lines(Kind.USAGE, {"UsageDate": '"2026-11-05T00:00:00Z"'}))
    done = run("publish", name, "--period", "2026-10")
    assert (done.exit_code, "no usage is dated in 2026-10, and some is dated later" in done.stderr) == (1, True)
    done = run("publish", name, "--period", "2026-12")
    assert (done.exit_code, "none of 1 line item is dated in 2026-12" in done.stderr) == (0, True)
