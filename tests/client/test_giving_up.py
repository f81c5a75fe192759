"""What is given up ends soon, waits for what still writes, and leaves nothing behind."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from counterfoil.client.drivers.blocking import Driver, OpenSockets
from counterfoil.client.drivers.http import open_client
from counterfoil.client.flows.steps import Do, Fetch, Fetched, Flow, Together
from counterfoil.client.protocol.messages import Request
from counterfoil.client.protocol.retries import Patience
from tests.client.hostile_source import Canned, HostileSource


class Silent:
    """A host that lets everybody in and says nothing."""

    def __init__(self) -> None:
        self.let_in: list[socket.socket] = []
        self.somebody_came = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            connection, _ = self._listening.accept()
            if self._is_over:
                connection.close()
                return
            self.let_in.append(connection)
            self.somebody_came.set()

    _is_over = False

    def close(self) -> None:
        self._is_over = True
        socket.create_connection(self._listening.getsockname()).close()
        self._thread.join()
        for each in [*self.let_in, self._listening]:
            each.close()


@pytest.fixture
def silent() -> Iterator[Silent]:
    host = Silent()
    yield host
    host.close()


@pytest.mark.parametrize("parallel", [1, 3])
def test_a_pull_that_fails_waits_for_no_download_and_begins_none(
    silent: Silent, source: HostileSource, tmp_path: Path, parallel: int
) -> None:
    def fetched(url: str, name: str) -> Flow[None]:
        got = yield Fetch(Request("GET", f"{url}/blobs/{name}"), tmp_path / name)
        assert isinstance(got, Fetched)

    def failing() -> Flow[None]:
        yield Do(lambda: silent.somebody_came.wait(10))
        raise RuntimeError("no more")

    def all_of(*flows: Flow[None]) -> Flow[None]:
        yield Together(flows)

    with open_client() as http:
        driver = Driver(http, http, None, Patience(), parallel)
        began = time.monotonic()
        with pytest.raises(RuntimeError, match="no more"):
            driver.run(all_of(failing(), *(fetched(silent.url, str(each)) for each in range(parallel + 2))))
        assert time.monotonic() - began < 10
        assert len(silent.let_in) <= parallel
        # What was cut belonged to that pull: the next one over the same driver is not touched.
        source.canned["blob"].append(Canned(200, {}, b"whole"))
        driver.run(all_of(fetched(source.url, "next")))
    assert (tmp_path / "next").read_bytes() == b"whole"


@pytest.mark.parametrize("stopped", [True, False])
def test_a_connection_that_was_being_made_when_its_pull_was_given_up_is_ended(stopped: bool) -> None:
    sockets, stop = OpenSockets(), threading.Event()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        if stopped:
            stop.set()
            sockets.cut()
        made = SimpleNamespace(get_extra_info=lambda _: ours)
        sockets.traced(stop, "connection.connect_tcp.complete", {"return_value": made})
        theirs.settimeout(0)
        if stopped:
            assert theirs.recv(1) == b""
        else:
            with pytest.raises(BlockingIOError):
                theirs.recv(1)
