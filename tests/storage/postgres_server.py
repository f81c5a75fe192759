"""A PostgreSQL server for tests: of Debian's packages, in a folder of its own, on a free port of loopback.

It refuses to run as root, so then it runs as its package's user. It ends with the process that started it, however that
one ends.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Final, Self

import psycopg

PACKAGE: Final = "postgresql"
_DEATH_OF_PARENT: Final = 1  # PR_SET_PDEATHSIG of prctl(2)
_START_S: Final = 60


class PostgresServer:
    """Starts with the context and ends with it. `url()` names a new and empty database."""

    def __init__(self, *options: str) -> None:
        self._options = options
        self._bin = _programs()
        self._password = secrets.token_urlsafe(12)
        self._databases = 0
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="counterfoil-postgres-"))

    def __enter__(self) -> Self:
        password = self.folder / "password"
        password.write_text(self._password)
        if user := _user():
            for path in (self.folder, password):
                os.chown(path, user["user"], user["group"])
        subprocess.run(
            [
                *(f"{self._bin}/initdb", "-D", f"{self.folder}/data", "-U", "counterfoil", f"--pwfile={password}"),
                *("-A", "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8", "--data-checksums", "--no-sync"),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self.folder,
            **user,
        )
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Start it, or start it again, and wait until it answers."""
        settings = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.folder),
            "max_connections": "120",
            "fsync": "off",  # a test kills processes, never the machine
        }
        given = [f"--{name}={value}" for name, value in settings.items()]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self.folder / "data", *given, *self._options],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                preexec_fn=_ends_with_parent,  # noqa: PLW1509 - it takes no lock
                **_user(),
            )
        until = time.monotonic() + _START_S
        ready = [f"{self._bin}/pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(ready, check=False).returncode:
            if time.monotonic() > until or self._process.poll() is not None:
                raise RuntimeError((self.folder / "log").read_text()[-2_000:])
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT cuts all connections first, SIGQUIT is like a machine that stops."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None

    def url(self) -> str:
        """Make a new database, and return its URL."""
        self._databases += 1
        name = f"test{self._databases}"
        self.sql(f"CREATE DATABASE {name}")
        return self.url_of(name)

    def url_of(self, database: str) -> str:
        """Return the URL of a database."""
        return f"postgresql://counterfoil:{self._password}@127.0.0.1:{self.port}/{database}"

    def sql(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run a statement as the owner; return its rows."""
        with psycopg.connect(self.url_of(database), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        raise RuntimeError(f"There is no PostgreSQL here: apt-get install {PACKAGE}")
    return found[-1].parent


def _user() -> dict[str, Any]:
    if os.getuid():
        return {}
    its = pwd.getpwnam("postgres")
    return {"user": its.pw_uid, "group": its.pw_gid, "extra_groups": []}


def _ends_with_parent() -> None:
    ctypes.CDLL(None).prctl(_DEATH_OF_PARENT, signal.SIGINT)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
