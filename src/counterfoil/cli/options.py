"""The options that commands share, each written once.

A command that touches data says `@with_settings()` and gets a `Settings`; one that prints says `@with_output` and
gets an `Output`. A command never reads the environment and never makes `Settings` itself. Options of its own that are
also settings (`--port`) are passed to `with_settings`, so that "not given" falls through to environment, file and
default.
"""

from __future__ import annotations

import functools
import math
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, ParamSpec, TextIO, TypeVar

import click

from counterfoil.cli.output import Output, OutputForm, as_option
from counterfoil.errors import UsageError
from counterfoil.model import Kind
from counterfoil.settings import Settings

KINDS: Final = click.Choice([kind.value for kind in Kind])
P = ParamSpec("P")
R = TypeVar("R")


class NamedPath(click.Path):
    """The path of a file or folder. An empty one, such as `"$UNSET"`, is a mistake and not the working directory."""

    def __init__(self, *, folder: bool = False, or_file: bool = False) -> None:
        super().__init__(file_okay=not folder or or_file, dir_okay=folder, path_type=Path)

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """Return the path; refuse an empty one, and one that no file can have."""
        text = os.fspath(value)
        if not text or "\0" in text:
            self.fail(f"{text!r} names no {'folder' if self.dir_okay else 'file'}.", param, ctx)
        return super().convert(value, param, ctx)


@dataclass(slots=True)
class Invocation:
    """The options of `counterfoil` itself, given before the command; kept as click's context object."""

    config: Path | None = None
    debug: bool = False
    output: Output | None = None
    command: str = ""  # as far as it is known when something goes wrong


def invocation() -> Invocation:
    """Return the options that this run of `counterfoil` got before its command."""
    return click.get_current_context().find_root().ensure_object(Invocation)


def load_settings(**arguments: object) -> Settings:
    """Read the settings of this run; an argument of None was not given."""
    return Settings.load(
        arguments, environ=os.environ, directory=Path.cwd(), config=invocation().config, spelled=as_option
    )


def with_output(function: Callable[P, R]) -> Callable[P, R]:
    """Add `--output table|json`, and pass an `output: Output`."""
    return click.option(
        "--output",
        type=click.Choice([form.value for form in OutputForm], case_sensitive=False),
        default=OutputForm.TABLE.value,
        show_default=True,
        is_eager=True,  # so that a mistake in any other option is already reported in this form
        callback=_make_output,
        help="How data is printed on stdout.",
    )(function)


def with_token(function: Callable[P, R]) -> Callable[P, R]:
    """Add `--token TOKEN`, which `sources.token_source` takes."""
    return click.option("--token", metavar="TOKEN", help="The bearer token; - reads it from standard input.")(function)


def with_wait(default_s: float) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Add `--wait SECONDS`, and pass `wait_s: float`."""
    return click.option(
        "--wait",
        "wait_s",
        metavar="SECONDS",
        type=click.FloatRange(min=0),
        callback=refuse_nan,
        default=default_s,
        show_default=True,
        help="How long an export may take.",
    )


def with_settings(*own: str) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Add `--data DIR`, and pass `settings: Settings`, with the command's `own` options among the arguments.

    The data folder is named on stderr: publishing into the wrong folder looks exactly like publishing.
    """

    def decorate(function: Callable[..., R]) -> Callable[..., R]:
        @functools.wraps(function)
        def wrapped(*, data: Path | None, **options: object) -> R:
            arguments = {name: options.pop(name) for name in own}
            settings = load_settings(data=data, **arguments)
            current_output().note(f"Data folder: {settings.data.absolute()}")
            return function(settings=settings, **options)

        return click.option(
            "--data",
            metavar="DIR",
            type=NamedPath(folder=True),
            help="The data folder.  [default: counterfoil-data]",
        )(wrapped)

    return decorate


def standard_input(remedy: str) -> TextIO:
    """Return standard input; raises UsageError with the remedy where this process was started without one."""
    if sys.stdin is None:
        raise UsageError("Standard input is closed.", remedy=remedy)
    return sys.stdin


def current_output() -> Output:
    """Return the output of this run; a table on the standard streams where no form was chosen."""
    return invocation().output or Output()


def refuse_nan(_: click.Context, option: click.Parameter, seconds: float) -> float:
    """Return the value of an option, as click's callback; raises UsageError for what no range refuses."""
    if math.isnan(seconds):  # it compares with nothing
        raise UsageError(f"{option.opts[0]} is not a number of seconds.", remedy="Give 0 or more.")
    return seconds


def _make_output(context: click.Context, _: click.Parameter, form: str) -> Output:
    output = Output(OutputForm(form))
    context.find_root().ensure_object(Invocation).output = output
    return output
