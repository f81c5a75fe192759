"""An ask means a month: the word that goes to the source is the one that means it when it is sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from counterfoil.client import Api, Client, ask_unbilled
from counterfoil.client.protocol.asking import Ask
from counterfoil.client.protocol.retries import Patience
from counterfoil.errors import ProofError, RefusedError, UsageError
from counterfoil.generator import generate
from counterfoil.model import Kind, Scope
from counterfoil.periods import BillingPeriod, utc_now
from counterfoil.testing import PARTNER, Server
from tests.client.hostile_source import TOKEN, Canned, HostileSource


class Passing:
    """Patience by a clock that only waits move, and that may be moved on."""

    def __init__(self, asked_at: str) -> None:
        self.began, self.passed_s, self.waits = utc_now(), 0.0, list[float]()
        self.asked_at = datetime.fromisoformat(asked_at).replace(tzinfo=UTC)
        self.patience = Patience(draw=lambda: 0.5, sleep=self.sleep, now=self.now, monotonic=lambda: self.passed_s)

    def now(self) -> datetime:
        return self.began + timedelta(seconds=self.passed_s)

    def sleep(self, wait_s: float) -> None:
        self.waits.append(wait_s)
        self.passed_s += wait_s

    def ask(self, period: str = "current") -> Ask:
        return ask_unbilled(Kind.USAGE, period, "EUR", now=self.asked_at)


@pytest.fixture
def october(source: HostileSource) -> HostileSource:
    """Its pages are spelled as v1 does."""
    source.parts = [[line.replace(b"PartnerId", b"partnerId") for line in source.lines]]
    return source


def words_of(source: HostileSource) -> list[str]:
    """By which words the source was asked, in order, and without repeating one."""
    words = [json.loads(call.body)["billingPeriod"] for call in source.calls_of("export")]
    words += [part for call in source.calls_of("page") for part in call.query.split("&") if part.startswith("period=")]
    return list(dict.fromkeys(words))


@pytest.mark.parametrize("api", Api)
def test_what_was_current_when_it_was_asked_for_is_asked_for_as_last_when_the_month_is_over(
    tmp_path: Path, api: Api
) -> None:
    clock = Passing("2026-10-31T23:50:00")
    ask = clock.ask()
    clock.passed_s = 900
    with Server(now="2026-11-01T00:05:00Z") as server:
        for month, count in (("2026-10", 5), ("2026-11", 3)):
            scope = Scope.unbilled(BillingPeriod.parse(month), "EUR")
            server.publish(generate(Kind.USAGE, count, special=True, partner=PARTNER, scope=scope), period=month)
        token = server.token("graph" if api is Api.GRAPH else "partner-center")
        with Client(server.url, token, patience=clock.patience) as client:
            receipt = client.pull(ask, tmp_path, api=api)
            streamed = list(client.line_items(ask, api=api))
    assert (receipt.line_items, receipt.request["month"], len(streamed)) == (5, "2026-10", 5)


@pytest.mark.parametrize("api", Api)
def test_nobody_asks_while_two_clocks_may_be_in_different_months(
    october: HostileSource, tmp_path: Path, api: Api
) -> None:
    clock = Passing("2026-10-31T23:59:30")
    with Client(october.url, TOKEN, patience=clock.patience) as client:
        client.pull(clock.ask(), tmp_path, api=api)
    assert clock.waits[0] == pytest.approx(90, abs=2)
    assert words_of(october) == (["last"] if api is Api.GRAPH else ["period=previous"])


def test_an_export_that_was_accepted_after_the_month_ended_is_made_again(source: HostileSource, tmp_path: Path) -> None:
    source.canned["export"].extend([Canned(429, {"Retry-After": "100"})] * 2)
    clock = Passing("2026-10-31T23:58:00")
    with Client(source.url, TOKEN, patience=clock.patience) as client:
        client.pull(clock.ask(), tmp_path)
    assert (len(source.calls_of("export")), words_of(source)) == (4, ["current", "last"])


def test_a_month_that_no_word_means_any_more_is_refused(source: HostileSource, tmp_path: Path) -> None:
    clock = Passing("2026-10-20T00:00:00")
    ask = clock.ask("last")
    clock.passed_s = 15 * 86400
    with Client(source.url, TOKEN, patience=clock.patience) as client, pytest.raises(UsageError, match="2026-09"):
        client.pull(ask, tmp_path / "to")
    assert (source.calls, list(tmp_path.iterdir())) == ([], [])


def failing_after(source: HostileSource, page: int) -> Callable[[], None]:
    """Let a source refuse all pages after one; returns what mends it."""
    original = source.page

    def refusing(call: object) -> Canned:
        answer = original(call)  # type: ignore[arg-type]
        return Canned(503) if f"token-{page}" in str(call) else answer

    source.page = refusing  # type: ignore[method-assign]
    return lambda: setattr(source, "page", original)


def test_a_walk_does_not_go_on_under_another_word(october: HostileSource, tmp_path: Path) -> None:
    mend = failing_after(october, 1)
    clock = Passing("2026-10-31T12:00:00")
    ask = clock.ask()
    with Client(october.url, TOKEN, patience=clock.patience) as client:
        with pytest.raises(RefusedError):
            client.pull(ask, tmp_path, api=Api.V1)
        mend()
        clock.passed_s += 86400
        receipt = client.pull(ask, tmp_path, api=Api.V1)
    assert receipt.line_items == 5
    assert "Starting over" in receipt.notes[0]
    assert words_of(october) == ["period=current", "period=previous"]


def test_a_stream_over_the_end_of_a_month_ends_with_an_error(october: HostileSource) -> None:
    clock = Passing("2026-10-31T12:00:00")
    with Client(october.url, TOKEN, patience=clock.patience) as client:
        streamed = client.line_items(clock.ask(), api=Api.V1)
        next(streamed)
        clock.passed_s += 86400
        with pytest.raises(ProofError, match="month ended"):
            list(streamed)
