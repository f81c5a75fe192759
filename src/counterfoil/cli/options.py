"""The options that commands share, each written once.

A command that touches data says `@with_settings()` and gets a `Settings`; one that prints says `@with_output` and
gets an `Output`. A command never reads the environment and never makes `Settings` itself. Options of its own that are
also settings (`--port`) are passed to `with_settings`, so that "not given" falls through to environment, file and
default.

The options of every run (`--config`, `--output`, `-q` ...) may stand before the command or behind it, so `counterfoil`
itself, each group and each command has them; the last one that is given counts.
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

LOG_FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"
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
    """The options of every run; kept as click's context object."""

    config: Path | None = None
    debug: bool = False
    quiet: bool = False
    exact: bool = False
    wide: bool = False
    form: OutputForm = OutputForm.TABLE
    command: str = ""  # as far as it is known when something goes wrong

    def output(self) -> Output:
        """Return where this run prints, and how."""
        return Output(self.form, quiet=self.quiet, exact=self.exact, wide=self.wide)


def invocation() -> Invocation:
    """Return the options of every run, as this run got them."""
    return click.get_current_context().find_root().ensure_object(Invocation)


def load_settings(**arguments: object) -> Settings:
    """Read the settings of this run; an argument of None was not given."""
    return Settings.load(
        arguments, environ=os.environ, directory=Path.cwd(), config=invocation().config, spelled=as_option
    )


def with_common(command: Callable[P, R]) -> Callable[P, R]:
    """Add the options of every run, which end in its `Invocation`."""
    for option in (
        click.option("--debug", is_flag=True, expose_value=False, callback=_keep, help="Show where an error arose."),
        click.option(
            "-v", "--verbose", count=True, expose_value=False, callback=_start_log, help="Log to stderr; -vv logs more."
        ),
        click.option("-q", "--quiet", is_flag=True, expose_value=False, callback=_keep, help="Print no notes."),
        click.option(
            "--config",
            metavar="FILE",
            type=NamedPath(),
            expose_value=False,
            callback=_keep,
            help="The settings file.  [default: counterfoil.toml, if it is there]",
        ),
        click.option(
            "--output",
            type=click.Choice([form.value for form in OutputForm], case_sensitive=False),
            expose_value=False,
            callback=_keep_form,
            help="How data is printed on stdout.  [default: table]",
        ),
    ):
        command = option(command)
    return command


def with_output(function: Callable[..., R]) -> Callable[..., R]:
    """Add the options of every run, and pass an `output: Output`."""

    @functools.wraps(function)
    def wrapped(**options: object) -> R:
        return function(output=current_output(), **options)

    return with_common(wrapped)


def with_amounts(command: Callable[..., R]) -> Callable[..., R]:
    """Add `--exact` and `--wide`, for a command that shows amounts in a table."""
    for option in (
        click.option("--wide", is_flag=True, expose_value=False, callback=_keep, help="Show every column, in full."),
        click.option("--exact", is_flag=True, expose_value=False, callback=_keep, help="Show every digit of amounts."),
    ):
        command = option(command)
    return command


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
    return invocation().output()


def refuse_nan(_: click.Context, option: click.Parameter, seconds: float) -> float:
    """Return the value of an option, as click's callback; raises UsageError for what no range refuses."""
    if math.isnan(seconds):  # it compares with nothing
        raise UsageError(f"{option.opts[0]} is not a number of seconds.", remedy="Give 0 or more.")
    return seconds


def _keep(context: click.Context, option: click.Parameter, value: object) -> None:
    if value:  # what is not given here may have been given before the command
        setattr(context.find_root().ensure_object(Invocation), option.name or "", value)


def _keep_form(context: click.Context, _: click.Parameter, form: str | None) -> None:
    if form is not None:
        context.find_root().ensure_object(Invocation).form = OutputForm(form)


def _start_log(_: click.Context, __: click.Parameter, times: int) -> None:
    if times:
        import logging

        logging.basicConfig(level=logging.INFO if times == 1 else logging.DEBUG, format=LOG_FORMAT)
