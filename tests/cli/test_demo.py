"""`counterfoil demo` works whenever it is run, also while a month ends."""

from __future__ import annotations

import itertools
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from counterfoil.cli import demonstration
from tests.cli.pulling import run


def test_a_month_that_ends_while_the_demo_runs_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    looks = itertools.count()
    monkeypatch.setattr(
        demonstration, "utc_now", lambda: datetime(2027, 1, 31, 23, 59, 59, tzinfo=UTC) + timedelta(seconds=next(looks))
    )
    done = run("demo", "--line-items", "64")
    assert done.exit_code == 0, done.stderr
    assert "All 7 agree with what was published" in done.stderr
    [report] = re.findall(r"to the last digit. The report: (.*)", done.stderr)
    assert Path(report).read_text(encoding="utf-8").startswith("<!doctype html>")
    assert done.stderr.count("which was made to differ") == 1
    assert [path.name for path in tmp_path.iterdir()] == [Path(report).parent.name], "nothing else is left"
