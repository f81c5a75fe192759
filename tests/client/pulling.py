"""A pull in a process of its own, to be killed: `python -m tests.client.pulling '{"url": ..., "to": ...}'`.

It prints a line whenever it got further, so that whoever kills it can do so at any point of the way.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path

from counterfoil.client import Api, Client, Format, Progress, ask_unbilled
from counterfoil.client.pull_folder.contents import STAGING
from counterfoil.model import Kind


class Printing:
    """Says on standard output how far it has come."""

    def remark(self, message: str) -> None:
        self._say("remark")

    def advance(self, line_items: int) -> None:
        self._say("lines")

    def progress(self, progress: Progress) -> None:
        self._say("progress")

    def _say(self, word: str) -> None:
        sys.stdout.write(f"{word}\n")
        sys.stdout.flush()


def main() -> None:
    given = json.loads(sys.argv[1])
    ask = ask_unbilled(Kind.USAGE, "current", "EUR", now=datetime.fromisoformat(given["now"]))
    with Client(given["url"], given["token"], page_size_items=given["page_size"]) as client:
        client.pull(ask, Path(given["to"]), api=Api(given["api"]), format=Format(given["form"]), watcher=Printing())
    assert not (Path(given["to"]) / STAGING).exists()


if __name__ == "__main__":
    main()
