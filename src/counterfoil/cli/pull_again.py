"""What a pull that ended early says: the command that resumes it, and what to do about a folder.

A token is never repeated, so the command says where one has to be added. If the same command would only fail the same
way, none is named. A profile has a folder of its own, so advice to name another with `--to` would not help.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from counterfoil.cli.options import invocation
from counterfoil.cli.output import Output, as_option
from counterfoil.cli.pull_publish import PullPublisher
from counterfoil.errors import CounterfoilError, OperationFailedError, RefusedError, UsageError

if TYPE_CHECKING:
    from counterfoil.client import Ask

_WRONG: Final = frozenset({400, 404})


@dataclass(frozen=True, slots=True)
class PullCommand:
    """The command that resumes a pull. It records whether a token was given, never the token."""

    words: tuple[str, ...]
    with_token: bool = False

    def sentence(self, when: str) -> str:
        """Return the command after the words that say when to give it."""
        command = subprocess.list2cmdline(self.words) if os.name == "nt" else shlex.join(self.words)
        return f"{when}{', with the same --token' if self.with_token else ''}: {command}"

    def advise(self, error: CounterfoilError) -> None:
        """Add the command that resumes to the remedy, where repeating it may help."""
        from counterfoil.wire.graph import NO_DATA_CODE

        if isinstance(error, UsageError) or (isinstance(error, OperationFailedError) and error.code == NO_DATA_CODE):
            return
        when = "To go on"
        if isinstance(error, RefusedError):
            if error.status in _WRONG:
                return
            when = "When that is fixed" if error.is_about_who_asks else when
        error.remedy, error.parameter = f"{error.advice(as_option)} {self.sentence(when)}".strip(), ""


def options_for(ask: Ask, single: Mapping[str, Any]) -> list[str]:
    """Return the options that pull one thing. They name the month, which `last` will not mean for ever."""
    words = ["--kind", ask.kind.value]
    words += ["--invoice", ask.invoice] if ask.invoice else ["--period", ask.month, "--currency", ask.currency]
    for name in ("api", "attribute_set", "to", "keep"):
        if single[name] is not None:
            words += [as_option(name), str(single[name])]
    if single["format"] is not None:
        words += [as_option("format"), ",".join(single["format"])]
    return words


def resuming(
    source: str, what: list[str], publisher: PullPublisher | None, token: str | None, output: Output
) -> PullCommand:
    """Return the command that pulls `what`, words of the command line, from the source."""
    config = invocation().config
    words = ["counterfoil", *(["--config", str(config)] if config else []), "pull", source, *what]
    if publisher is not None:
        words += ["--publish", "--data", str(publisher.settings.data)]
    if output.is_json:
        words += ["--output", "json"]
    return PullCommand(tuple(words), token is not None)


def advise_on_invoice(error: CounterfoilError, invoice: str) -> None:
    """Say what invoice ids look like, where a source has nothing for one that is all digits."""
    from counterfoil.wire.graph import NO_DATA_CODE

    if isinstance(error, OperationFailedError) and error.code == NO_DATA_CODE and invoice.isdigit():
        error.remedy = f"Invoice ids begin with a letter, mostly G: did you mean G{invoice}?"


def advise_for_profile(error: CounterfoilError, folder: Path) -> None:
    """Give the error a remedy that fits a profile, which has a folder of its own: naming another would not help."""
    if "to" not in error.parameter.split():
        return
    error.parameter = ""
    error.remedy = f"Move {folder} away, and pull again."
    if not isinstance(error, UsageError):
        error.remedy = "Trying again is safe: make room, or give the profile another folder, `to`."
