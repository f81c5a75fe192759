"""nginx and wrk, from Debian's packages: installed when missing, started on free loopback ports, stopped again."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.measure import LOAD_CORE, SERVER_CORE, pinned

_CONFIG = """
user root;
daemon off;
worker_processes 1;
error_log stderr crit;
pid {folder}/nginx.pid;
events {{ worker_connections 256; }}
http {{
  access_log off;
  sendfile on;
  keepalive_requests 1000000000;
  default_type application/json;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""


def ensure(*programs: str) -> None:
    """Install what is missing; needs root."""
    packages = {"nginx": "nginx-light", "wrk": "wrk", "taskset": "util-linux", "curl": "curl"}
    missing = [packages[program] for program in programs if shutil.which(program) is None]
    if missing:
        quiet = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *missing]
        subprocess.run(["apt-get", "update", "-q"], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(quiet, check=True, stdout=subprocess.DEVNULL)


@contextmanager
def nginx(root: Path, folder: Path) -> Iterator[str]:
    """Serve `root` by one nginx worker on the server's core; yields the base URL."""
    ensure("nginx")
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "nginx.conf"
    config.write_text(_CONFIG.format(folder=folder, root=root, port=port))
    process = subprocess.Popen(pinned(["nginx", "-p", str(folder), "-c", str(config)], SERVER_CORE))
    try:
        wait_for_port(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def requests_per_s(
    url: str, connections: int, seconds: float, headers: Mapping[str, str], script: Path | None = None
) -> float:
    """Load a URL with wrk from the load core; raises if any answer was not 200."""
    return _wrk(url, connections, seconds, headers, script)[0]


def latency_p50_ms(url: str, seconds: float, headers: Mapping[str, str], script: Path | None = None) -> float:
    """Return the median latency of one connection."""
    return _wrk(url, 1, seconds, headers, script)[1]


def take_turns_script(path: Path, header: str, values: Sequence[str]) -> Path:
    """Write a wrk script that sends another value of a header with each request, in order, over and over."""
    listed = ",".join(f'"{value}"' for value in values)
    path.write_text(
        f"local values = {{{listed}}}\nlocal at = 0\n"
        f'function request()\n  at = at % #values + 1\n  wrk.headers["{header}"] = values[at]\n'
        "  return wrk.format()\nend\n"
    )
    return path


def _wrk(
    url: str, connections: int, seconds: float, headers: Mapping[str, str], script: Path | None
) -> tuple[float, float]:
    ensure("wrk")
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--latency"]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    if script is not None:
        command += ["-s", str(script)]
    done = subprocess.run(pinned([*command, url], LOAD_CORE), check=True, capture_output=True, text=True)
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise RuntimeError(f"not every request was answered well:\n{done.stdout}")
    rate = re.search(r"Requests/sec:\s+([0-9.]+)", done.stdout)
    median = re.search(r"50%\s+([0-9.]+)(us|ms|s)", done.stdout)
    assert rate is not None, done.stdout
    assert median is not None, done.stdout
    return float(rate[1]), float(median[1]) * {"us": 0.001, "ms": 1, "s": 1000}[median[2]]


def download_mb_per_s(url: str) -> float:
    """Download once with curl from the load core."""
    ensure("curl")
    command = ["curl", "-sf", "-o", "/dev/null", "-w", "%{speed_download}", url]
    done = subprocess.run(pinned(command, LOAD_CORE), check=True, capture_output=True, text=True)
    return float(done.stdout) / 1e6


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, seconds: float = 15) -> None:
    """Wait until somebody listens."""
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)
        else:
            return
