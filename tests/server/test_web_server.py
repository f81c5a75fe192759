"""Starting and stopping: ports, both schemes, signals, and what cannot be listened on."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import trustme
from starlette.types import Receive, Scope, Send

from counterfoil.errors import UsageError
from counterfoil.server.listening import Endpoint
from counterfoil.server.web_server import running


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the scheme."""
    text = scope["scheme"].encode()
    length = (b"content-length", str(len(text)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": text})


def test_port_0_is_told_and_served_and_let_go(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), running(hello, [Endpoint("127.0.0.1", 0)]) as [url]:
        port = urlsplit(url).port
        assert port
        assert url == f"http://127.0.0.1:{port}"
        answer = httpx.get(url)
        assert answer.text == "http"
        assert "server" not in answer.headers
        with pytest.raises(UsageError, match="`port`"), running(hello, [Endpoint("127.0.0.1", port)]):
            pass
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)
    assert not [record for record in caplog.records if record.name.startswith("uvicorn")]


def test_http_and_https_at_once(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    leaf = authority.issue_cert("127.0.0.1")
    leaf.private_key_pem.write_to_path(str(key))
    certificate.write_bytes(b"".join(each.bytes() for each in leaf.cert_chain_pems))
    endpoints = [Endpoint("127.0.0.1", 0), Endpoint("127.0.0.1", 0, certificate, key)]
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with running(hello, endpoints) as [plain, secure]:
        assert (urlsplit(plain).scheme, urlsplit(secure).scheme) == ("http", "https")
        assert httpx.get(plain).text == "http"
        assert httpx.get(secure, verify=context).text == "https"


def test_a_bad_certificate_or_address_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("nonsense")
    for endpoint in (
        Endpoint("127.0.0.1", 0, tmp_path / "cert.pem", tmp_path / "cert.pem"),
        Endpoint("127.0.0.1", 0, tmp_path / "none.pem", tmp_path / "none.pem"),
        Endpoint("256.256.256.256", 0),
    ):
        with pytest.raises(UsageError), running(hello, [endpoint]):
            pass


def test_an_address_of_version_6_is_written_in_brackets() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with running(hello, [Endpoint("::1", 0)]) as [url]:
        assert url == f"http://[::1]:{urlsplit(url).port}"
        assert httpx.get(url).text == "http"


def test_stopping_lets_a_running_answer_end() -> None:
    begun, finish = threading.Event(), threading.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        await asyncio.to_thread(finish.wait, 10)
        await hello(scope, receive, send)

    answers: list[str] = []
    with running(slow, [Endpoint("127.0.0.1", 0)]) as [url]:
        caller = threading.Thread(target=lambda: answers.append(httpx.get(url, timeout=20).text))
        caller.start()
        assert begun.wait(10)
        threading.Timer(0.3, finish.set).start()
    caller.join(10)
    assert answers == ["http"]


PROGRAM = """
from counterfoil.server.listening import Endpoint
from counterfoil.server.web_server import WebServer
async def app(scope, receive, send): ...
WebServer(app, [Endpoint("127.0.0.1", 0), Endpoint("127.0.0.1", 0)], lambda urls: print(*urls, flush=True)).run()
print("ended")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_well(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith("http://127.0.0.1:")
        process.send_signal(number)
        assert process.stdout.read() == "ended\n"
        assert process.stderr.read() == ""
    assert process.returncode == 0
