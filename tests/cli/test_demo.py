"""`counterfoil demo` works whenever it is run, also while a month ends."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from counterfoil.cli import demonstration
from tests.cli.pulling import run


def test_a_month_that_ends_while_the_demo_runs_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = itertools.count()
    monkeypatch.setattr(
        demonstration, "utc_now", lambda: datetime(2027, 1, 31, 23, 59, 59, tzinfo=UTC) + timedelta(seconds=next(looks))
    )
    done = run("demo", "--line-items", "64")
    assert done.exit_code == 0, done.stderr
    assert "All 7 agree with what was published" in done.stderr
