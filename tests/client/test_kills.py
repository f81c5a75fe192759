"""A pull that is killed with -9 at random moments ends with the same bytes, and fetches no verified blob twice."""

from __future__ import annotations

import itertools
import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from counterfoil.client import Api, Format
from counterfoil.client.receipt import Proof, Receipt
from counterfoil.generator import generate, write
from counterfoil.model import Kind, Scope
from counterfoil.periods import BillingPeriod
from counterfoil.testing import PARTNER
from tests.client.killing import CountingServer, Victim, killed_often

SEGMENTS = 8
SCOPE = Scope.unbilled(BillingPeriod.parse("2026-11"), "EUR")


@pytest.fixture(scope="module")
def server() -> Iterator[CountingServer]:
    """Five segments, so five blobs."""
    with CountingServer() as running:
        for day in range(1, 6):
            lines = generate(Kind.USAGE, 400, special=True, partner=PARTNER, scope=SCOPE, seed=day)
            running.publish(lines, period="2026-11", segment=f"2026-11-{day:02}")
        yield running


@dataclass
class Toll:
    """What the kills came to."""

    pulls: int = 0
    kept: int = 0  # blobs that were verified when a run was killed


def check(
    server: CountingServer,
    folder: Path,
    kills: int,
    seed: int,
    events_max: int,
    api: Api,
    form: Format,
    toll: Toll | None = None,
) -> int:
    whole = Victim(server, folder / "whole", api, form, page_size=100)
    assert next(killed_often(iter([whole]), 0, seed, 1), None) is None
    assert whole.run(random.Random(0), 10**9)
    right = whole.files()
    victims = (Victim(server, folder / str(number), api, form, page_size=100) for number in itertools.count())
    done = 0
    for victim in killed_often(victims, kills, seed, events_max):
        receipt = Receipt.read(victim.to)
        assert receipt is not None
        assert receipt.proof is Proof.PROVEN
        assert victim.files() == right
        done += victim.kills
        if toll is not None:
            toll.pulls, toll.kept = toll.pulls + 1, toll.kept + victim.kept
        shutil.rmtree(victim.to)
    return done


@pytest.mark.parametrize(
    ("api", "form"),
    [
        (Api.GRAPH, Format.PARQUET),
        (Api.V1, Format.BLOBS),
        pytest.param(Api.GRAPH, Format.BLOBS, marks=pytest.mark.chaos),
        pytest.param(Api.V1, Format.PARQUET, marks=pytest.mark.chaos),
    ],
)
def test_a_killed_pull_goes_on_to_the_same_bytes(
    server: CountingServer, tmp_path: Path, api: Api, form: Format
) -> None:
    assert check(server, tmp_path, 3, 20261121, 40, api, form) >= 3


def test_a_killed_walk_goes_on_with_the_next_page(server: CountingServer, tmp_path: Path) -> None:
    whole = Victim(server, tmp_path / "whole", Api.V1, Format.BLOBS, page_size=100)
    before = server.pages
    assert whole.run(random.Random(0), 10**9)
    pages = server.pages - before
    before = server.pages
    [victim, *_] = killed_often(iter([Victim(server, tmp_path / "to", Api.V1, Format.BLOBS, page_size=100)]), 1, 3, 60)
    assert server.pages - before <= pages + 2 * victim.kills  # the page it was on, and one that was under way


@pytest.mark.chaos
def test_a_million_line_items_killed_a_hundred_times(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """CHAOS_LINE_ITEMS, CHAOS_RUNS (kills) and CHAOS_SEED say otherwise."""
    line_items, kills = int(os.environ.get("CHAOS_LINE_ITEMS", "1000000")), int(os.environ.get("CHAOS_RUNS", "100"))
    seed = int(os.environ.get("CHAOS_SEED", "20261121"))
    file = tmp_path / "usage.jsonl.gz"
    with CountingServer() as server:
        for day in range(1, SEGMENTS + 1):
            write(
                generate(Kind.USAGE, line_items // SEGMENTS, special=True, partner=PARTNER, scope=SCOPE, seed=day), file
            )
            server.publish(file, period="2026-11", segment=f"2026-11-{day:02}")
            file.unlink()
        toll = Toll()
        done = check(server, tmp_path, kills, seed, max(40, line_items // 800), Api.GRAPH, Format.PARQUET, toll)
        blobs = len(server.blobs)
    with capsys.disabled():
        print(  # noqa: T201 - this is what it is run for
            f"\n{line_items:,} usage line items, seed {seed}: {done} kills at random moments over {toll.pulls} pulls; "
            f"all ended with the same bytes, proven. {blobs} requests for blobs in all; {toll.kept} times a run found "
            "a blob verified by one that was killed, and none of them was asked for again."
        )
    assert done >= kills
    assert toll.kept, "no kill came after a blob was verified"
