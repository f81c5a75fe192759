"""Two servers behind nginx are restarted in turn under load: a client that obeys Retry-After loses no request.

nginx runs with `deploy/nginx.conf`, but for its addresses and its certificate.
"""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from counterfoil.generator import generate
from counterfoil.model import Kind, Scope
from counterfoil.periods import BillingPeriod, utc_now
from counterfoil.server.identity.signing_keys import mint_development_token
from counterfoil.testing import PARTNER, Server

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
CONFIGURATION = Path(__file__).parents[2] / "deploy" / "nginx.conf"
BILLING = "/v1.0/reports/partners/billing"
LINES = "/v1/invoices/unbilled/lineitems?provider=onetime&invoicelineitemtype=usagelineitems&currencycode=EUR"
CALLERS = 6
ROUNDS = 3
ATTEMPTS_MAX = 20


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def nginx(folder: Path, servers: list[int]) -> Iterator[str]:
    """Run nginx in front of two servers; yields its address."""
    port = free_port()
    text = CONFIGURATION.read_text(encoding="utf-8")
    assert text.count("ssl") > 2
    text = re.sub(r"^ *ssl_.*\n", "", text, flags=re.MULTILINE).replace("443 ssl", f"127.0.0.1:{port}")
    text = text.replace("/var/log/nginx/counterfoil.log", str(folder / "access.log"))
    for written, real in zip(("8081", "8082"), servers, strict=True):
        text = text.replace(f"127.0.0.1:{written}", f"127.0.0.1:{real}")
    whole = folder / "nginx.conf"
    temporary = "\n".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    whole.write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/error.log;\nevents {{}}\nhttp {{\n{temporary}\n{text}\n}}\n"
    )
    assert NGINX is not None
    process = subprocess.Popen([NGINX, "-p", str(folder), "-c", str(whole)])
    try:
        for _ in range(100):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


class RestartedServer:
    """A server in a process of its own, always at the same port."""

    def __init__(self, data: Path, port: int) -> None:
        self._command = [
            sys.executable,
            "-m",
            "counterfoil",
            "serve",
            "--dev",
            "--port",
            str(port),
            "--data",
            str(data),
        ]
        self.start()

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._process.stdout is not None
        assert "serving at" in self._process.stdout.readline()

    def kill(self) -> None:
        """Kill it, if it is there."""
        with self._process:
            self._process.kill()

    def stop(self) -> None:
        """End it as a service manager does."""
        self._process.send_signal(signal.SIGTERM)
        with self._process:  # which closes its pipe
            assert self._process.wait(30) == 0


class Caller(threading.Thread):
    """Exports, downloads and walks until it is told to stop, and waits as it is told to; notes what went wrong."""

    def __init__(self, url: str, tokens: dict[str, str]) -> None:
        super().__init__(daemon=True)
        self._url, self._tokens = url, tokens
        self.stopping = threading.Event()
        self.counts = Counter[str]()
        self.lost: list[str] = []

    def run(self) -> None:
        with httpx.Client(base_url=self._url, timeout=60) as http:
            while not self.stopping.is_set() and not self.lost:
                body = {"currencyCode": "EUR", "billingPeriod": "current"}
                done = self._ask(http, "POST", f"{BILLING}/usage/unbilled/export", "graph", json=body)
                if done.is_error:
                    return
                manifest = self._ask(http, "GET", done.headers["location"], "graph").json()["resourceLocation"]
                for blob in manifest["blobs"]:
                    link = f"{manifest['rootDirectory']}/{blob['name']}?{manifest['sasToken']}"
                    content = self._ask(http, "GET", link, "").content
                    if len(content) == 0:
                        self.lost.append("an empty blob")
                self._ask(http, "GET", f"{LINES}&period=current&size=100", "partner-center")

    def _ask(self, http: httpx.Client, method: str, url: str, audience: str, **more: object) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._tokens[audience]}"} if audience else {}
        for _ in range(ATTEMPTS_MAX):
            try:
                answer = http.request(method, url, headers=headers, **more)  # type: ignore[arg-type]
            except httpx.HTTPError as error:
                self.lost.append(f"{method} {url.partition('?')[0]}: {error!r}")
                continue
            self.counts[str(answer.status_code)] += 1
            if answer.status_code in {429, 503} and answer.headers.get("retry-after", "").isdecimal():
                time.sleep(int(answer.headers["retry-after"]))
                continue
            if answer.is_error:
                self.lost.append(f"{method} {url.partition('?')[0]}: {answer.status_code} {answer.text[:200]}")
            return answer
        raise AssertionError(f"{method} {url} was never answered")


@pytest.mark.soak
@pytest.mark.skipif(NGINX is None, reason="nginx is not installed (Debian: nginx-light)")
def test_two_servers_restarted_in_turn_lose_no_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data"
    month = str(BillingPeriod.containing(utc_now()))
    with Server(data=data) as server:
        lines = generate(Kind.USAGE, 5_000, partner=PARTNER, scope=Scope.unbilled(BillingPeriod.parse(month), "EUR"))
        server.publish(lines, period=month)
    tokens = {name: mint_development_token(data, PARTNER, name, utc_now()) for name in ("graph", "partner-center")}
    ports = [free_port(), free_port()]
    with ExitStack() as stack:
        url = stack.enter_context(nginx(tmp_path, ports))
        monkeypatch.setenv("COUNTERFOIL_PUBLIC_URL", url)
        monkeypatch.setenv("COUNTERFOIL_LOG_LEVEL", "error")
        servers = [RestartedServer(data, port) for port in ports]
        for each in servers:
            stack.callback(each.kill)
        callers = [Caller(url, tokens) for _ in range(CALLERS)]
        for caller in callers:
            caller.start()
        for _ in range(ROUNDS):
            for each in servers:
                time.sleep(1)
                each.stop()
                each.start()
        for caller in callers:
            caller.stopping.set()
        for caller in callers:
            caller.join(60)
            assert not caller.is_alive()
        for each in servers:
            each.stop()
    counts = sum((caller.counts for caller in callers), Counter())
    sys.stdout.write(f"answers by status: {dict(counts)}\n")
    assert [lost for caller in callers for lost in caller.lost] == []
    assert counts["200"] > 100 * ROUNDS
    assert "sig=" not in (tmp_path / "access.log").read_text()
