"""A pull that is killed with -9 at random moments ends with the same bytes, and fetches no verified blob twice."""

from __future__ import annotations

import itertools
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from counterfoil.client import Api, Form
from counterfoil.client.receipt import Proof, Receipt
from counterfoil.generator import generate, write
from counterfoil.model import Kind, Scope
from counterfoil.periods import BillingPeriod
from counterfoil.testing import PARTNER
from tests.client.killing import CountingServer, Victim, killed_often

SCOPE = Scope.unbilled(BillingPeriod.parse("2026-11"), "EUR")


@pytest.fixture(scope="module")
def server() -> Iterator[CountingServer]:
    """Five segments, so five blobs."""
    with CountingServer() as running:
        for day in range(1, 6):
            lines = generate(Kind.USAGE, 400, partner=PARTNER, scope=SCOPE, seed=day)
            running.publish(lines, period="2026-11", segment=f"2026-11-{day:02}")
        yield running


def check(server: CountingServer, folder: Path, kills: int, seed: int, events_max: int, api: Api, form: Form) -> int:
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
        shutil.rmtree(victim.to)
    return done


@pytest.mark.parametrize(
    ("api", "form"), [(Api.GRAPH, Form.BLOBS), (Api.GRAPH, Form.PARQUET), (Api.V1, Form.BLOBS), (Api.V1, Form.PARQUET)]
)
def test_a_killed_pull_goes_on_to_the_same_bytes(server: CountingServer, tmp_path: Path, api: Api, form: Form) -> None:
    assert check(server, tmp_path, 3, 20261121, 40, api, form) >= 3


def test_a_killed_walk_goes_on_with_the_next_page(server: CountingServer, tmp_path: Path) -> None:
    whole = Victim(server, tmp_path / "whole", Api.V1, Form.BLOBS, page_size=100)
    before = server.pages
    assert whole.run(random.Random(0), 10**9)
    pages = server.pages - before
    before = server.pages
    [victim, *_] = killed_often(iter([Victim(server, tmp_path / "to", Api.V1, Form.BLOBS, page_size=100)]), 1, 3, 60)
    assert server.pages - before <= pages + 2 * victim.kills  # the page it was on, and one that was under way


@pytest.mark.chaos
def test_a_million_line_items_killed_a_hundred_times(tmp_path: Path) -> None:
    seed, kills = 20261121, 100
    file = tmp_path / "usage.jsonl.gz"
    write(generate(Kind.USAGE, 1_000_000, partner=PARTNER, scope=SCOPE), file)
    with CountingServer() as server:
        server.publish(file, period="2026-11")
        file.unlink()
        done = check(server, tmp_path, kills, seed, 2_500, Api.GRAPH, Form.PARQUET)
    print(f"\n1,000,000 line items, {done} kills, seed {seed}: every pull ended with the same bytes.")  # noqa: T201
    assert done >= kills
