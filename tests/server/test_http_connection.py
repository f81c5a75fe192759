"""What a connection may hold, and for how long: requests in a row, answers that nobody reads, and too many callers."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
import trustme
from starlette.types import Receive, Scope, Send

from counterfoil.errors import FullDiskError
from counterfoil.server.connection_bounds import ConnectionBounds
from counterfoil.server.error_responses import as_refusal
from counterfoil.server.export_operations import Exports
from counterfoil.server.listening import Endpoint
from counterfoil.server.web_server import running
from counterfoil.storage import folder_files
from tests.server.raw_callers import PATIENCE_S, answers, connected, read_to_the_end
from tests.server.serving import BILLED, BILLING, PARTNER, Place, serving

BIG_BYTES = 32 << 20
HASTY = ConnectionBounds(stalled_s=0.4)
HEALTH = b"GET /healthz HTTP/1.1\r\nHost:a\r\n\r\n"
PROGRAM = """
import sys
from counterfoil.server.listening import Endpoint
from counterfoil.server.web_server import WebServer
async def app(scope, receive, send):
    body = bytes(int(scope["path"][1:]))
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
WebServer(app, [Endpoint("127.0.0.1", 0)], lambda urls: print(*urls, flush=True)).run()
"""


class BigAnswer:
    """Answers with 32 MB, and says what became of it."""

    def __init__(self, pieces: int = 1) -> None:
        self.pieces, self.ended = pieces, threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        length = (b"content-length", str(BIG_BYTES).encode())
        try:
            await send({"type": "http.response.start", "status": 200, "headers": [length]})
            for number in range(self.pieces, 0, -1):
                body = bytes(BIG_BYTES // self.pieces)
                await send({"type": "http.response.body", "body": body, "more_body": number > 1})
        finally:
            self.ended.set()


@contextmanager
def apart(program: str = PROGRAM, limits: str = "true") -> Iterator[tuple[str, Path]]:
    """Run a server in a process of its own, under limits set by a shell: its URL, and what the system tells of it."""
    command = ["sh", "-c", f'{limits}; exec "$@"', "sh", sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip(), Path(f"/proc/{process.pid}")
        finally:
            process.terminate()


def memory_mb(process: Path) -> float:
    lines = (process / "status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


# --- requests in a row --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 200_000])
def test_requests_in_a_row_cost_one_read_and_starve_nobody(size: int) -> None:
    """Before there was a bound each byte sent cost 62 of memory: 8 MB were half a gigabyte."""
    row = (b"GET /%d HTTP/1.1\r\nHost:a\r\n\r\n" % size) * 8_000
    with apart() as (url, process), ExitStack() as stack:
        httpx.get(f"{url}/2")
        before = memory_mb(process)
        for _ in range(8):
            caller = stack.enter_context(connected(url, receive_bytes=4_096))
            caller.settimeout(0)
            try:
                while True:
                    caller.send(row)
            except BlockingIOError:
                pass
        began = time.monotonic()
        for _ in range(5):
            assert httpx.get(f"{url}/2", timeout=PATIENCE_S).status_code == 200
        assert time.monotonic() - began < 2
        assert memory_mb(process) - before < 24


def test_requests_in_a_row_are_all_answered() -> None:
    with apart() as (url, _), connected(url) as caller:
        sender = threading.Thread(target=caller.sendall, args=(b"GET /3 HTTP/1.1\r\nHost:a\r\n\r\n" * 3_000,))
        sender.start()
        assert answers(caller, 3_000) == [(200, bytes(3))] * 3_000
        sender.join()


# --- answers that nobody reads ------------------------------------------------------------------------------------


@pytest.mark.parametrize("pieces", [1, 64])
def test_an_answer_that_nobody_reads_is_cut_off(pieces: int) -> None:
    app = BigAnswer(pieces)
    with running(app, [Endpoint("127.0.0.1", 0)], bounds=HASTY) as [url], connected(url, receive_bytes=4_096) as caller:
        caller.sendall(HEALTH)
        assert app.ended.wait(PATIENCE_S)
        assert read_to_the_end(caller) < BIG_BYTES


def test_over_https_too(tmp_path: Path) -> None:
    authority = trustme.CA()
    leaf = authority.issue_cert("127.0.0.1")
    leaf.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "own.pem"))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    app = BigAnswer(8)
    endpoint = Endpoint("127.0.0.1", 0, tmp_path / "own.pem", tmp_path / "own.pem")
    with (
        running(app, [endpoint], bounds=HASTY) as [url],
        connected(url, receive_bytes=4_096) as caller,
        context.wrap_socket(caller, server_hostname="127.0.0.1") as secure,
    ):
        secure.sendall(HEALTH)
        assert app.ended.wait(PATIENCE_S)


def test_an_answer_read_in_drips_is_cut_off_and_one_read_slowly_is_not() -> None:
    """What counts is how much left within the time, not that something did."""
    for piece, whole in ((2_000, False), (1 << 20, True)):
        app = BigAnswer(8)
        with running(app, [Endpoint("127.0.0.1", 0)], bounds=HASTY) as [url], connected(url) as caller:
            caller.sendall(HEALTH.replace(b"Host:a", b"Host:a\r\nConnection: close"))
            began, count = time.monotonic(), 0
            while not app.ended.is_set() and time.monotonic() - began < PATIENCE_S:
                count += len(caller.recv(piece))
                time.sleep(0.05 if whole else 0.02)
            count += read_to_the_end(caller)
            assert (count > BIG_BYTES) is whole
            assert not whole or time.monotonic() - began > 2 * HASTY.stalled_s


def test_a_server_that_stops_does_not_wait_for_such_a_caller() -> None:
    """`Connection: close` and a stop end by closing, which waits for the caller to read."""
    app = BigAnswer()
    with ExitStack() as stack:
        with running(app, [Endpoint("127.0.0.1", 0)], bounds=HASTY, grace_s=20) as [url]:
            caller = stack.enter_context(connected(url, receive_bytes=4_096))
            caller.sendall(HEALTH.replace(b"Host:a", b"Host:a\r\nConnection: close"))
            caller.recv(1)
            began = time.monotonic()
        assert time.monotonic() - began < 10
    assert app.ended.is_set()


# --- too many callers ---------------------------------------------------------------------------------------------


def test_idle_connections_give_way_and_the_file_limit_is_raised() -> None:
    with apart(limits="ulimit -S -n 256; ulimit -H -n 700") as (url, process), ExitStack() as stack:
        limits = (process / "limits").read_text()
        assert "700                  700" in next(line for line in limits.splitlines() if "open files" in line)
        idle = [stack.enter_context(connected(url)) for _ in range(400)]
        assert httpx.get(f"{url}/2").status_code == 200
        assert len(list((process / "fd").iterdir())) < 200
        assert idle[0].recv(1) == b""  # the longest waited for went first
        idle[-1].sendall(b"GET /3 HTTP/1.1\r\nHost:a\r\n\r\n")
        assert answers(idle[-1], 1) == [(200, bytes(3))]


def slow_head(caller: socket.socket) -> None:
    caller.sendall(b"GET /2 HTTP/1.1\r\nX: ")


def slow_body(caller: socket.socket) -> None:
    caller.sendall(b"POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n1")


def unread(caller: socket.socket) -> None:
    caller.sendall(b"GET /30000000 HTTP/1.1\r\nHost: a\r\n\r\n")


def answered(caller: socket.socket) -> None:
    caller.sendall(b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
    answers(caller, 1)


@pytest.mark.parametrize("begin", [slow_head, slow_body, unread, answered])
def test_whoever_keeps_the_server_waiting_gives_way(begin: object) -> None:
    program = PROGRAM.replace("print(*urls, flush=True))", "print(*urls, flush=True), bounds=B)").replace(
        "import sys",
        "from counterfoil.server.connection_bounds import ConnectionBounds\nB=ConnectionBounds(connections=4)",
    )
    with apart(program) as (url, _), ExitStack() as stack:
        for _ in range(6):
            begin(stack.enter_context(connected(url, receive_bytes=4_096)))  # type: ignore[operator]
            time.sleep(0.02)
        with connected(url) as caller:
            answered(caller)


@pytest.fixture
def busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A server with room for two, both of whom it works for."""
    go_on = threading.Event()
    submit = Exports.submit

    def slow(*args: object, **kwargs: object) -> object:
        go_on.wait(PATIENCE_S)
        return submit(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(Exports, "submit", slow)
    with serving(tmp_path, bounds=ConnectionBounds(connections=2)) as place:
        statuses: list[int] = []

        def ask(invoice: str) -> None:
            url = f"{place.url}{BILLING}/usage/billed/export"
            answer = httpx.post(url, json={"invoiceId": invoice}, headers=place.headers(), timeout=PATIENCE_S)
            statuses.append(answer.status_code)

        asking = [threading.Thread(target=ask, args=(invoice,)) for invoice in ("G1", "G2")]
        for each in asking:
            each.start()
        time.sleep(0.3)
        try:
            yield place
        finally:
            go_on.set()
            for each in asking:
                each.join()
        assert statuses == [202, 202]


def test_when_the_server_works_for_all_a_newcomer_is_told_to_come_back(busy: Place) -> None:
    for path, named in (
        (f"{BILLING}/operations", '"code": "ServiceUnavailable"'),
        ("/v1/invoices/unbilled/lineitems", '"code":"'),
        (f"/blobs/{PARTNER}/x", "<Code>ServerBusy</Code>"),
        ("/healthz", '"error"'),
    ):
        answer = httpx.get(f"{busy.url}{path}", headers=busy.headers())
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert named in answer.text
        assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS])
def test_what_the_machine_is_short_of_is_not_an_error_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    with serving(tmp_path) as place:
        place.publish(BILLED, [b'{"Total":1}\n'])
        manifest = place.get(place.export().headers["location"]).json()["resourceLocation"]
        link = f"{manifest['rootDirectory']}/{manifest['blobs'][0]['name']}?{manifest['sasToken']}"

        def refuse(*_: object) -> int:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(folder_files, "os", type("Os", (), {**vars(os), "open": staticmethod(refuse)}))
        answer = place.get(link)
        assert (answer.status_code, answer.headers["x-ms-error-code"]) == (503, "ServerBusy")
        assert int(answer.headers["retry-after"]) > 0
        monkeypatch.undo()
        assert place.get(link).status_code == 200


def test_every_shortage_is_answered_with_503() -> None:
    for error in (MemoryError(), RuntimeError("can't start new thread"), FullDiskError("full")):
        assert as_refusal(error).status == 503
    assert as_refusal(RuntimeError("something else")).status == 500
    assert as_refusal(OSError(errno.ENOENT, "")).status == 500
