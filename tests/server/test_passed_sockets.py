"""Listening at sockets that were passed, as systemd does it: a restart refuses nobody; what is no socket is named."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from counterfoil.errors import UsageError
from counterfoil.server.listening import Endpoint, check_free, listeners, passed_sockets

PROGRAM = """
import os
from counterfoil.server.listening import Endpoint, passed_sockets
from counterfoil.server.web_server import WebServer
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
passed = passed_sockets(os.environ)
WebServer(app, [Endpoint("127.0.0.1", 0)], lambda urls: print(*urls, flush=True), passed=passed).run()
"""
PASSING = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[2], sys.argv[2:])
"""


@contextmanager
def listening(count: int = 1) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]


@contextmanager
def passing(*passed: socket.socket | int) -> Iterator[None]:
    """Have these as descriptors 3, 4, ... of this process, for as long as the context lasts."""
    numbers = [each if isinstance(each, int) else each.fileno() for each in passed]
    kept = [os.dup(3 + at) if _is_open(3 + at) else None for at in range(len(numbers))]
    copies = [os.dup(number) for number in numbers]
    try:
        for at, copy in enumerate(copies):
            os.dup2(copy, 3 + at)
        yield
    finally:
        for at, was in enumerate(kept):
            if was is None:
                os.close(3 + at)
            else:
                os.dup2(was, 3 + at)
                os.close(was)
        for copy in copies:
            os.close(copy)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def started(bound: socket.socket, program: list[str]) -> subprocess.Popen[str]:
    """Run a program with the socket as its descriptor 3, as a service manager does."""
    command = [sys.executable, "-c", PASSING, str(bound.fileno()), sys.executable, *program]
    return subprocess.Popen(
        command, pass_fds=[bound.fileno()], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_restart_refuses_nobody() -> None:
    with listening() as [bound]:
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        ended, answered, failed = threading.Event(), list[str](), list[str]()

        def call() -> None:
            while not ended.is_set():
                try:
                    answered.append(httpx.get(url, timeout=20).text)
                except httpx.HTTPError as error:
                    failed.append(repr(error))

        servers = [started(bound, ["-c", PROGRAM])]
        assert line_of(servers[0]) == url
        callers = [threading.Thread(target=call) for _ in range(3)]
        for each in callers:
            each.start()
        try:
            for _ in range(2):
                servers[-1].terminate()
                servers[-1].wait(20)
                before = len(answered)
                servers.append(started(bound, ["-c", PROGRAM]))
                assert line_of(servers[-1]) == url
                while len(answered) < before + 20 and not failed:
                    ended.wait(0.01)
        finally:
            ended.set()
            for each in callers:
                each.join()
            for server in servers:
                server.terminate()
                server.communicate(timeout=20)
        assert failed == []
        assert len(answered) > 40


def test_the_command_listens_there_and_nowhere_else(tmp_path: Path) -> None:
    with listening() as [bound], socket.create_server(("127.0.0.1", 0)) as other:
        taken = str(other.getsockname()[1])  # the port it would take by itself
        arguments = ["-m", "counterfoil", "serve", "--dev", "--port", taken, "--data", str(tmp_path / "data")]
        server = started(bound, arguments)
        try:
            url = f"http://127.0.0.1:{bound.getsockname()[1]}"
            assert line_of(server) == f"Counterfoil is serving at {url}"
            assert httpx.get(f"{url}/healthz").status_code == 200
        finally:
            server.terminate()
            server.communicate(timeout=20)


def variables(count: int, names: str = "") -> dict[str, str]:
    return {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(count), "LISTEN_FDNAMES": names}


def test_names_say_which_is_which() -> None:
    with listening(2) as bound:
        addresses = [each.getsockname() for each in bound]
        for names, order in (("http:https", [0, 1]), ("https:http", [1, 0]), ("a:b", [0, 1]), ("", [0, 1])):
            with passing(*bound):
                passed = passed_sockets(variables(2, names))
                assert [each.getsockname() for each in passed] == [addresses[at] for at in order]
                assert not any(each.get_inheritable() for each in passed)
                endpoints = [Endpoint("0.0.0.0", 1), Endpoint("0.0.0.0", 2)]
                check_free(endpoints, passed)
                found = listeners(endpoints, passed)
                assert [each.url for each in found] == [f"http://127.0.0.1:{addresses[at][1]}" for at in order]
                for each in passed:
                    each.detach()


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LISTEN_FDS": "1"},
        {"LISTEN_PID": "1", "LISTEN_FDS": "1"},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "many"},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "0"},
        {"LISTEN_PID": str(os.getpid())},
    ],
)
def test_what_was_passed_to_others_is_left_alone(environ: dict[str, str]) -> None:
    assert passed_sockets(environ) == []


def test_what_does_not_listen_for_tcp_is_named(tmp_path: Path) -> None:
    with (
        socket.socket() as idle,
        socket.socket(type=socket.SOCK_DGRAM) as datagrams,
        socket.socket(socket.AF_UNIX) as local,
        (tmp_path / "file").open("w") as file,
    ):
        local.bind(str(tmp_path / "local"))
        local.listen()
        for each in (idle, datagrams, local, file.fileno()):
            with passing(each), pytest.raises(UsageError, match="Descriptor 3, which was passed") as refused:
                passed_sockets(variables(1))
            assert "Pass sockets that listen for TCP" in str(refused.value)


def test_another_number_than_there_are_addresses_is_refused() -> None:
    with listening(2) as bound, pytest.raises(UsageError, match="2 sockets were passed to this server") as refused:
        listeners([Endpoint("127.0.0.1", 0)], bound)
    assert "https_port" in refused.value.parameter
