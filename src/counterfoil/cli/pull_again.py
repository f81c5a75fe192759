"""What a pull that ended early says: the command that goes on, and what to do about a folder.

What a newcomer would get wrong: a token is never repeated, so the command alone would not do, and that is said. Where
the same command would only fail the same way, none is named. And a profile has its folder, so advice to name another
with `--to` is no help there.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from counterfoil.cli.options import frame
from counterfoil.cli.output import Form, Output, as_option
from counterfoil.cli.publishing import Publishing
from counterfoil.errors import CounterfoilError, OperationFailedError, RefusedError, UsageError

if TYPE_CHECKING:
    from counterfoil.client import Ask

_OPTIONS: Final = {"api": "--api", "attribute_set": "--attribute-set", "to": "--to", "form": "--format"}
_WRONG: Final = frozenset({400, 404})


@dataclass(frozen=True, slots=True)
class Again:
    """The command that goes on with a pull. Whether a token was given is remembered, and the token is not."""

    words: tuple[str, ...]
    with_token: bool = False

    def said(self, when: str) -> str:
        """Return the command after the words that say when to give it."""
        command = subprocess.list2cmdline(self.words) if os.name == "nt" else shlex.join(self.words)
        return f"{when}{', with the same --token' if self.with_token else ''}: {command}"

    def advise(self, error: CounterfoilError) -> None:
        """Add to the remedy the command that goes on, where giving it again may help."""
        from counterfoil.wire.graph import NO_DATA_CODE

        if isinstance(error, UsageError) or (isinstance(error, OperationFailedError) and error.code == NO_DATA_CODE):
            return
        when = "To go on"
        if isinstance(error, RefusedError):
            if error.status in _WRONG:
                return
            when = "When that is mended" if error.is_about_who_asks else when
        error.remedy, error.parameter = f"{error.advice(as_option)} {self.said(when)}".strip(), ""


def again_for_one(
    source: str, ask: Ask, single: Mapping[str, Any], publishing: Publishing | None, token: str | None, output: Output
) -> Again:
    """Return the command for one thing. It names the month, which `last` will not mean for ever."""
    words = ["--kind", ask.kind.value]
    words += ["--invoice", ask.invoice] if ask.invoice else ["--period", ask.month, "--currency", ask.currency]
    for name, option in _OPTIONS.items():
        if single[name] is not None:
            words += [option, str(single[name])]
    return _again(source, words, publishing, token, output)


def again_for_all(source: str, publishing: Publishing | None, token: str | None, output: Output) -> Again:
    """Return the command for all that a profile lists."""
    return _again(source, ["--all"], publishing, token, output)


def _again(source: str, what: list[str], publishing: Publishing | None, token: str | None, output: Output) -> Again:
    config = frame().config
    words = ["counterfoil", *(["--config", str(config)] if config else []), "pull", source, *what]
    if publishing is not None:
        words += ["--publish", "--data", str(publishing.settings.data)]
    if output.form is Form.JSON:
        words += ["--output", "json"]
    return Again(tuple(words), token is not None)


def advise_for_profile(error: CounterfoilError, folder: Path) -> None:
    """Have the remedy be one that a profile leaves: it has its folder, and `--to` would make it lie elsewhere."""
    if isinstance(error, UsageError) and "--to" in error.remedy:
        error.remedy = f"Move {folder} away, and pull again."
    error.remedy = error.remedy.replace("name another folder with --to", "give the profile another folder, `to`")
