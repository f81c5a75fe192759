"""What several files of tests stand on: servers of Graph and of v1, and a data folder to sign in to."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from counterfoil.model import Dataset, Kind, Scope
from counterfoil.periods import BillingPeriod, Clocks
from counterfoil.server.identity.signing_keys import AuthorityKeys
from counterfoil.storage.engines import open_store
from tests.server import authority_house, tokens
from tests.server.authority_house import House, house
from tests.server.graph_answers import LINES
from tests.server.linked_blob import SIZE, Link
from tests.server.serving import BILLED, NOW, OTHER, UNBILLED, Place, serving
from tests.server.v1_walks import items, publish_v1


@pytest.fixture(scope="module")
def served_graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with serving(tmp_path_factory.mktemp("graph")) as place:
        place.publish(BILLED, [LINES, b'{"Total":0}\n'])
        place.publish(UNBILLED, [LINES])
        yield place


@pytest.fixture
def graph(served_graph: Place) -> Place:
    """The server of all tests of one file, its clocks turned back."""
    served_graph.wall = served_graph.business = NOW
    return served_graph


@pytest.fixture(scope="module")
def served_v1(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A served revision in blocks of four items, and one of the same line items for another partner."""
    with serving(tmp_path_factory.mktemp("v1")) as place:
        publish_v1(place, [items(30)], block_items=4)
        other = Dataset(Kind.USAGE, OTHER, Scope.unbilled(BillingPeriod(2026, 11), "USD"))
        publish_v1(place, [items(30)], dataset=other, block_items=4)
        yield place


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A server with nothing published, for one test."""
    with serving(tmp_path) as place:
        yield place


@pytest.fixture(scope="module")
def served_blob(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Link]:
    with serving(tmp_path_factory.mktemp("blobs")) as place:
        noise = random.Random(1).randbytes(SIZE)  # does not get smaller
        place.publish(BILLED, [b'{"Total":1}\n'], seal=lambda _: noise)
        manifest = place.get(place.export().headers["location"]).json()["resourceLocation"]
        yield Link(place, manifest["rootDirectory"], manifest["blobs"][0]["name"], manifest["sasToken"], noise)


@pytest.fixture
def link(served_blob: Link) -> Link:
    served_blob.place.wall = NOW
    return served_blob


@pytest.fixture(scope="session")
def signing_keys(tmp_path_factory: pytest.TempPathFactory) -> Mapping[bool, AuthorityKeys]:
    """Made once, and never changed: making and reading keys takes longer than all that is tested with them."""
    folder = tmp_path_factory.mktemp("keys")
    return {development: AuthorityKeys(folder, development=development) for development in (True, False)}


@pytest.fixture
def door(tmp_path: Path, signing_keys: Mapping[bool, AuthorityKeys]) -> Iterator[tokens.Place]:
    """A data folder with one partner, and what lets callers in."""
    with open_store(tmp_path).catalog as catalog:
        catalog.add_partner(tokens.PARTNER, tokens.NOW)
        yield tokens.Place(catalog, signing_keys)


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[House]:
    yield from house(tmp_path, development=True, clocks=Clocks(wall=lambda: authority_house.NOW))


@pytest.fixture
def real(tmp_path: Path) -> Iterator[House]:
    """Not in development: only registered clients."""
    yield from house(tmp_path, development=False, clocks=Clocks(wall=lambda: authority_house.NOW))
