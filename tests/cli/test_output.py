"""What an `Output` prints: data and remarks, for people and for programs."""

import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO

import pytest

from counterfoil.cli.output import Headed, Output, OutputForm
from counterfoil.errors import UsageError
from counterfoil.printable_text import printable

TOTALS = {"total": Decimal("0.1999968000511991808131"), "lines": 1234567, "at": datetime(2026, 11, 5, 9, tzinfo=UTC)}


def printed(form: OutputForm) -> tuple[Output, StringIO, StringIO]:
    stdout, stderr = StringIO(), StringIO()
    return Output(form, stdout, stderr), stdout, stderr


def test_a_table_through_a_pipe_is_aligned_and_never_cut() -> None:
    output, stdout, _ = printed(OutputForm.TABLE)
    output.rows([{"name": "x" * 300, "lineItems": 1234}, {"name": "b\x1b", "lineItems": 5}])
    assert (
        stdout.getvalue()
        == f"{'Name':300}  Line items\n{'x' * 300}       1,234\n{'b' + chr(92) + 'x1b':300}           5\n"
    )


def test_json_keeps_every_digit_of_an_amount_as_text() -> None:
    output, stdout, _ = printed(OutputForm.JSON)
    output.rows([{"totals": TOTALS}])
    assert json.loads(stdout.getvalue()) == [
        {"totals": {"total": "0.1999968000511991808131", "lines": 1234567, "at": "2026-11-05T09:00:00Z"}}
    ]


def test_facts_are_one_to_a_line_and_a_mapping_takes_one_for_each_entry() -> None:
    output, stdout, _ = printed(OutputForm.TABLE)
    output.facts({"totals": TOTALS, "inForce": True, "c": Headed("Note", None)})
    assert stdout.getvalue() == (
        "Totals    total: 0.1999968000511991808131\n"
        "          lines: 1,234,567\n"
        "          at: 2026-11-05T09:00:00Z\n"
        "In force  yes\n"
        "Note\n"
    )


def test_nothing_to_list_is_said_on_stderr_and_is_an_empty_list_in_json() -> None:
    output, stdout, stderr = printed(OutputForm.TABLE)
    output.rows([], none="Nothing is published.")
    assert (stdout.getvalue(), stderr.getvalue()) == ("", "Nothing is published.\n")
    output, stdout, stderr = printed(OutputForm.JSON)
    output.rows([], none="Nothing is published.")
    assert (stdout.getvalue(), stderr.getvalue()) == ("[]\n", "")


def test_progress_without_a_terminal_is_a_plain_line_now_and_then() -> None:
    output, stdout, stderr = printed(OutputForm.TABLE)
    ticks = iter([0.0, 1.0, 6.0, 6.0, 7.0])
    with output.progress("Reading", 3_000, clock=lambda: next(ticks)) as advance:
        for _ in range(3):
            advance(1_000)
    assert (stdout.getvalue(), stderr.getvalue()) == ("", "Reading: 2,000 of 3,000\n")


def test_on_a_terminal_a_customers_name_is_no_markup_and_steers_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    output, stdout, _ = printed(OutputForm.TABLE)
    monkeypatch.setattr(stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    output.rows([{"name": "[red]Contoso[/red]\x1b[2J", "id": "0123456789" * 20}])
    assert r"[red]Contoso[/red]\x1b[2J" in stdout.getvalue()
    assert re.sub(r"\D", "", stdout.getvalue().partition("[2J")[2]) == "0123456789" * 20, "folded, and nothing left out"
    assert "\x1b" not in stdout.getvalue()


def test_progress_on_a_terminal_counts_and_leaves_the_screen_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    output, stdout, stderr = printed(OutputForm.TABLE)
    monkeypatch.setattr(stderr, "isatty", lambda: True)
    for total in (None, 3_000):
        with output.progress("Reading", total) as advance:
            advance(1_234)
    assert stdout.getvalue() == ""
    assert "Reading 1,234 " in stderr.getvalue()
    assert "Reading 1,234 of 3,000" in stderr.getvalue()
    assert stderr.getvalue().rstrip().endswith("\x1b[2K")


def test_printable_leaves_other_scripts_alone() -> None:
    assert printable("Łódź 東京 \u202e\n") == "Łódź 東京 \\u202e\\n"


STEERING = [
    chr(code)
    for code in (*range(0x20), *range(0x7F, 0xA0), 0xAD, 0x200B, 0x2028, 0x202E, 0x2066, 0xD800, 0xFEFF, 0xE0001)
]


@pytest.mark.parametrize("form", OutputForm)
@pytest.mark.parametrize("char", STEERING, ids=lambda char: f"U+{ord(char):04X}")
def test_nothing_that_steers_a_terminal_is_ever_printed(char: str, form: OutputForm) -> None:
    said = f"Łódź {char}[31m"
    output, stdout, stderr = printed(form)
    output.rows([{"eTag": said}])
    output.facts({"eTag": said, f"name {char}": [said, {"deep": said}]})
    output.text("eTag", said)
    output.note(said)
    output.warning(said)
    output.error(UsageError(said, remedy=said))
    output.conclude(said, remedy=said, exit_code=4)
    for stream in (stdout, stderr):
        assert char not in stream.getvalue().replace("\n", "")
        assert "Łódź" in stream.getvalue()
    if form is OutputForm.JSON:
        decoder, text = json.JSONDecoder(), stdout.getvalue()
        rows, end = decoder.raw_decode(text)
        facts, _ = decoder.raw_decode(text[end:].lstrip())
        assert (rows, facts["eTag"]) == ([{"eTag": said}], said), "what is escaped means the same"
