"""What holds a bill is readable by its owner alone, whatever the umask: in a data folder, and in a pull of any form."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from counterfoil.client import Api, Client, Format, ask_unbilled
from counterfoil.client.protocol.retries import Patience
from counterfoil.errors import CounterfoilError
from counterfoil.generator import generate
from counterfoil.model import Kind, Scope
from counterfoil.testing import PARTNER, Server

NOW = datetime(2026, 11, 20, tzinfo=UTC)
FOR_TRUST = {"development-ca.pem"}  # a certificate, which others are to read


@pytest.fixture(params=[0, 0o022], autouse=True)
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    old = os.umask(request.param)
    yield
    os.umask(old)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(data=tmp_path / "new" / "data", now=NOW, https=True) as server:
        server.publish(
            generate(Kind.USAGE, 300, special=True, partner=PARTNER, scope=Scope(period="2026-11", currency="EUR")),
            period="2026-11",
        )
        yield server


def open_to_others(folder: Path) -> list[str]:
    """What somebody else could read, or list."""
    found = [folder, *folder.rglob("*")]
    assert len(found) > 3
    return [str(path) for path in found if stat.S_IMODE(path.stat().st_mode) & 0o077 and path.name not in FOR_TRUST]


def test_a_data_folder(server: Server) -> None:
    with Client(server.url, server.token()) as client:
        client.pull(ask_unbilled(Kind.USAGE, "current", "EUR", now=NOW), server.data.parent / "pull")
    assert open_to_others(server.data.parent) == []


@pytest.mark.parametrize(
    ("api", "form"), [*((Api.GRAPH, form) for form in Format), (Api.V1, Format.BLOBS), (Api.V1, Format.CSV)]
)
def test_a_pull(server: Server, tmp_path: Path, api: Api, form: Format) -> None:
    to = tmp_path / "pulls" / "here"
    token = server.token("graph" if api is Api.GRAPH else "partner-center")
    with Client(server.url, token) as client:
        receipt = client.pull(ask_unbilled(Kind.USAGE, "current", "EUR", now=NOW), to, api=api, format=form)
    assert receipt.line_items == 300
    assert open_to_others(tmp_path / "pulls") == []


@pytest.mark.parametrize("api", list(Api))
def test_an_unfinished_pull(server: Server, tmp_path: Path, api: Api) -> None:
    to = tmp_path / "pulls" / "here"
    server.fail("flipped" if api is Api.GRAPH else "flipped-json", on="blob" if api is Api.GRAPH else "page", times=9)
    token = server.token("graph" if api is Api.GRAPH else "partner-center")
    with Client(server.url, token, patience=Patience(attempts_max=1)) as client, pytest.raises(CounterfoilError):
        client.pull(ask_unbilled(Kind.USAGE, "current", "EUR", now=NOW), to, api=api)
    if to.exists():
        assert not [path for path in (to, *to.rglob("*")) if path.stat().st_mode & 0o077]


def test_a_folder_that_is_there_keeps_its_mode(server: Server, tmp_path: Path) -> None:
    to = tmp_path / "shared"
    to.mkdir()
    to.chmod(0o755)
    with Client(server.url, server.token()) as client:
        client.pull(ask_unbilled(Kind.USAGE, "current", "EUR", now=NOW), to)
    assert stat.S_IMODE(to.stat().st_mode) == 0o755
    assert [path for path in to.iterdir() if path.stat().st_mode & 0o077] == []
