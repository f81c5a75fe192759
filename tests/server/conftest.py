"""What several files of tests stand on: a server of the Graph routes, and a data folder to sign in to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from counterfoil.server.issuing import AuthorityKeys
from counterfoil.storage.catalog import Catalog
from tests.server import tokens
from tests.server.graph_answers import LINES
from tests.server.serving import BILLED, NOW, UNBILLED, Place, serving


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


@pytest.fixture(scope="session")
def signing_keys(tmp_path_factory: pytest.TempPathFactory) -> Mapping[bool, AuthorityKeys]:
    """Made once, and never changed: making and reading keys takes longer than all that is tested with them."""
    folder = tmp_path_factory.mktemp("keys")
    return {development: AuthorityKeys(folder, development=development) for development in (True, False)}


@pytest.fixture
def door(tmp_path: Path, signing_keys: Mapping[bool, AuthorityKeys]) -> Iterator[tokens.Place]:
    """A data folder with one partner, and what lets callers in."""
    with Catalog.open(tmp_path) as catalog:
        catalog.add_partner(tokens.PARTNER, tokens.NOW)
        yield tokens.Place(catalog, signing_keys)
