"""What is seen of a pull: one display on a terminal, plain lines elsewhere, and only what is known."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from io import StringIO

import pytest

from counterfoil.cli.output import Output
from counterfoil.cli.pull_display import Pace, displayed, share, written
from counterfoil.client import Progress
from tests.cli.pulling import INVOICE, House, run

START = Progress("fetching", blobs=4, size_bytes=400_000_000, line_items=1_000_000)
HALF = replace(START, blobs_done=2, bytes_done=200_000_000, line_items_done=500_000)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (HALF, ("2 of 4 blobs, 200.0 of 400.0 MB", "500,000 line items")),
        (replace(HALF, size_bytes=None, line_items=None), ("2 of 4 blobs, 200.0 MB", "500,000 line items")),
        (Progress("fetching", blobs_done=1, line_items_done=1), ("1 page", "1 line item")),
        (Progress("waiting"), ("", "")),
    ],
)
def test_only_what_is_known_is_told(now: Progress, told: tuple[str, str]) -> None:
    assert written(now) == told


def test_rate_and_time_left_are_told_in_words() -> None:
    assert written(HALF, 84_312.4, 59.4) == (
        "2 of 4 blobs, 200.0 of 400.0 MB, 59 s left",
        "500,000 line items, 84,312/s",
    )
    assert written(HALF, 0, 61)[0].endswith("MB, 1 min 01 s left")
    assert written(HALF, 0, 7_321)[0].endswith("MB, 2 h 02 min left")


def test_what_a_former_run_had_fetched_is_no_speed() -> None:
    clock = Clock()
    pace = Pace(clock)
    assert pace.rate_and_time_left(START) == (0.0, None)
    assert pace.rate_and_time_left(HALF) == (0.0, None)  # in one leap: it was here before
    clock.now += 1
    assert pace.rate_and_time_left(HALF) == (0.0, None)
    clock.now += 10
    further = replace(HALF, blobs_done=3, bytes_done=300_000_000, line_items_done=750_000)
    assert pace.rate_and_time_left(further) == (25_000.0, 10.0)


def test_without_sizes_the_time_left_comes_from_line_items_or_else_from_blobs() -> None:
    by_items = replace(START, size_bytes=None)
    by_blobs = replace(by_items, line_items=None)
    for start, later in (
        (by_items, replace(by_items, line_items_done=250_000)),
        (by_blobs, replace(by_blobs, blobs_done=1)),
    ):
        clock = Clock()
        pace = Pace(clock)
        pace.rate_and_time_left(start)
        clock.now += 1
        pace.rate_and_time_left(start)
        clock.now += 10
        assert pace.rate_and_time_left(later)[1] == 30.0


def test_what_is_slowest_decides_how_much_time_is_left() -> None:
    clock = Clock()
    pace = Pace(clock)
    pace.rate_and_time_left(START)
    clock.now += 1
    pace.rate_and_time_left(START)
    clock.now += 10
    later = replace(START, bytes_done=400_000_000, line_items_done=250_000)
    assert (pace.rate_and_time_left(later)[1], share(later)) == (30.0, 0.25)
    assert pace.rate_and_time_left(replace(later, line_items_done=0))[1] is None


def test_the_share_is_of_what_is_known_and_never_more_than_all() -> None:
    assert share(HALF) == 0.5
    assert share(replace(HALF, bytes_done=10**12, line_items=None)) == 1.0
    assert share(replace(HALF, size_bytes=None, line_items=None)) == 0.5
    assert share(Progress("fetching", line_items_done=5)) is None


def test_elsewhere_a_line_is_written_every_few_seconds_and_what_happens_at_once() -> None:
    clock, stderr = Clock(), StringIO()
    with displayed(Output(stderr=stderr), "usage", clock=clock) as display:
        display.remark("The export has 4 blobs.")
        display.progress(START)
        clock.now += 1
        display.progress(START)
        assert re.fullmatch(r"20\d\d-\d\d-\d\dT\S+Z The export has 4 blobs\.\n", stderr.getvalue())
        clock.now += 5
        display.progress(HALF)
        display.progress(HALF)
    assert [line.partition("Z ")[2] for line in stderr.getvalue().splitlines()[1:]] == [
        "usage: 2 of 4 blobs, 200.0 of 400.0 MB, 5 s left; 500,000 line items, 100,000/s"
    ]


def test_on_a_terminal_there_is_one_display_and_waiting_does_not_scroll(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    terminal = Terminal()
    with displayed(Output(stderr=terminal), "usage") as display:
        display.remark("Above, with [brackets] and \x1b[2J.")
        display.progress(Progress("waiting"))
        for waited in range(0, 50, 10):
            display.remark(f"Waiting for the export, {waited} s so far.")
        display.progress(HALF)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    assert "Above, with [brackets] and \\x1b[2J." in shown
    for told in ("usage: fetching", "2 of 4 blobs, 200.0 of 400.0 MB", "500,000 line items"):
        assert told in shown
    assert not re.search(r"^Waiting", shown, re.MULTILINE)


def test_a_pull_for_a_script_prints_json_on_stdout_and_nothing_else_there(house: House) -> None:
    house.invoice()
    done = run("pull", "contoso", "--kind", "usage", "--invoice", INVOICE, "--output", "json")
    assert (done.exit_code, json.loads(done.stdout)["proof"]) == (0, "proven")
    assert done.stderr == ""
