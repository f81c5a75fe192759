"""`counterfoil pull --publish`: what was pulled becomes a revision in a local data folder.

What a newcomer would get wrong: whether that can be done at all is found out before anything is pulled. And a
schedule says `--publish` every day: what was published already is not read again, and a revision that somebody
withdrew is not brought back. A note beside the receipt remembers it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from counterfoil.cli import importing
from counterfoil.cli.output import Output
from counterfoil.errors import UsageError
from counterfoil.settings import Settings

if TYPE_CHECKING:
    from counterfoil.client import Receipt

NOTE: Final = ".counterfoil-published.json"


@dataclass(frozen=True, slots=True)
class Publishing:
    """Where pulled line items are published."""

    settings: Settings
    publish: Callable[[Receipt, Path, Settings, Output], None]

    def __call__(self, receipt: Receipt, folder: Path, output: Output) -> None:
        """Make what was pulled a revision; doing so again changes nothing."""
        self.publish(receipt, folder, self.settings, output)
        with suppress(OSError):  # without the note it is published again next time, which changes nothing
            (folder / NOTE).write_text(json.dumps(self._note(receipt)) + "\n", encoding="utf-8")

    def once(self, receipt: Receipt, folder: Path, output: Output) -> None:
        """Make what was pulled a revision, unless that was done before."""
        try:
            known = json.loads((folder / NOTE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            known = None
        if known != self._note(receipt):
            self(receipt, folder, output)

    def _note(self, receipt: Receipt) -> dict[str, str]:
        text = json.dumps(receipt.to_json(), sort_keys=True)
        return {"data": str(self.settings.data.resolve()), "receipt": hashlib.sha256(text.encode()).hexdigest()}


def publishing_in(settings: Settings, form: str, output: Output) -> Publishing:
    """Return how to publish in the data folder of the settings; raises UsageError where that cannot be done."""
    with importing("pull --publish"):
        from counterfoil.cli.mirror import publish_pulled
    if form == "xlsx":
        raise UsageError("A workbook cannot be published.", remedy="Pull with --format blobs or parquet.")
    output.note(f"Data folder: {settings.data.absolute()}")
    return Publishing(settings, publish_pulled)
