"""The output of a command: data on stdout, everything else on stderr, as a table or as JSON.

A command never prints by itself and never asks which form was chosen. It hands values to an `Output`. Values may come
from strangers' files, so nothing in them can move the cursor or colour the screen; and what goes through a pipe is
never cut to a width.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol, TextIO

import click

from counterfoil import numbers
from counterfoil.errors import CounterfoilError
from counterfoil.periods import timestamp

PLAIN_PROGRESS_EVERY_S: Final = 5.0
MESSAGE_CHARACTERS_MAX: Final = 2_000
# Options whose name is not the parameter's.
_OPTION_NAMES: Final = {"attributes": "attribute-set", "form": "format", "wait_s_max": "wait"}


class OutputForm(StrEnum):
    """The two forms data can be printed in."""

    TABLE = "table"
    JSON = "json"


class ProgressCounter(Protocol):
    """Receives the progress of a piece of work."""

    def advance(self, count: int) -> None:
        """Note that `count` more are done."""


@dataclass(frozen=True, slots=True)
class Output:
    """Where a command's data and remarks go.

    Columns and facts are given as a mapping from the name used in JSON to the heading used in a table.
    """

    form: OutputForm = OutputForm.TABLE
    stdout: TextIO = field(default_factory=lambda: sys.stdout)
    stderr: TextIO = field(default_factory=lambda: sys.stderr)

    def rows(self, columns: Mapping[str, str], rows: Iterable[Mapping[str, object]], *, none: str = "") -> None:
        """Print many things of one sort. `none` is the note to print if there are none (the data is then empty)."""
        listed = list(rows)
        if self.form is OutputForm.JSON:
            self._print_json([{name: _for_json(row[name]) for name in columns} for row in listed])
        elif listed:
            cells = [[row[name] for name in columns] for row in listed]
            self._print_table(list(columns.values()), cells)
        elif none:
            self.note(none)

    def facts(self, headings: Mapping[str, str], values: Mapping[str, object]) -> None:
        """Print what there is to say about one thing."""
        if self.form is OutputForm.JSON:
            self._print_json({name: _for_json(values[name]) for name in headings})
            return
        width = max(map(len, headings.values()), default=0)
        for name, heading in headings.items():
            first, *more = _lines(values[name])
            self._print(f"{heading.ljust(width)}  {first}".rstrip())
            for line in more:
                self._print(f"{'':{width}}  {line}")

    def text(self, name: str, value: str) -> None:
        """Print one bare value, so that a shell can take it as it is: `$(counterfoil token ...)`."""
        if self.form is OutputForm.JSON:
            self._print_json({name: value})
        else:
            self._print(value)

    def note(self, message: str) -> None:
        """Remark something, on stderr."""
        click.echo(printable(message), file=self.stderr)

    def warning(self, message: str) -> None:
        """Warn of something that does not stop the work, on stderr."""
        click.echo(click.style("Warning: ", fg="yellow") + printable(message), file=self.stderr)

    def error(self, error: CounterfoilError) -> None:
        """Say on stderr, in one line, what was refused and what to do about it."""
        message, remedy = _shortened(printable(error.message)), _shortened(printable(error.advice(as_option)))
        if self.form is OutputForm.JSON:
            body = {"type": type(error).__name__, "message": message, "remedy": remedy, "exitCode": error.exit_code}
            click.echo(json.dumps({"error": body}, ensure_ascii=False), file=self.stderr)
            return
        click.echo(click.style("Error: ", fg="red", bold=True) + f"{message} {remedy}".rstrip(), file=self.stderr)

    def conclude(self, message: str, *, remedy: str, exit_code: int) -> int:
        """Say on stderr how a command ended that did its work and found something; returns the exit code for it."""
        if self.form is OutputForm.JSON:
            body = {"message": printable(message), "remedy": printable(remedy), "exitCode": exit_code}
            click.echo(json.dumps({"conclusion": body}, ensure_ascii=False), file=self.stderr)
        else:
            self.note(f"{message} {remedy}".rstrip())
        return exit_code

    @contextmanager
    def progress(
        self, what: str, total: int | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> Iterator[ProgressCounter]:
        """Show progress: a bar on a terminal, otherwise a plain line now and then."""
        if not self.stderr.isatty():
            yield _PlainProgress(self, what, total, clock)
            return
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        counted = "{task.description} {task.completed:,}" + (" of {task.total:,}" if total is not None else "")
        shape = SpinnerColumn() if total is None else BarColumn()
        columns = (shape, TextColumn(counted, markup=False), TimeElapsedColumn())
        with Bar(*columns, console=Console(file=self.stderr), transient=True) as bar:
            task = bar.add_task(what, total=total)
            yield _BarProgress(lambda count: bar.advance(task, count))

    def _print(self, line: str) -> None:
        click.echo(printable(line), file=self.stdout)

    def _print_json(self, value: object) -> None:
        click.echo(json.dumps(value, ensure_ascii=False, indent=2), file=self.stdout)

    def _print_table(self, headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        right = [all(isinstance(row[at], int | Decimal) for row in rows) for at in range(len(headings))]
        texts = [[printable(_for_people(value)) for value in row] for row in rows]
        if self.stdout.isatty():
            self._print_ruled(headings, texts, right)
            return
        widths = [max(map(len, column)) for column in zip(headings, *texts, strict=True)]
        for line in (headings, *texts):
            cells = zip(line, widths, right, strict=True)
            self._print("  ".join(cell.rjust(w) if r else cell.ljust(w) for cell, w, r in cells).rstrip())

    def _print_ruled(self, headings: Sequence[str], texts: Sequence[Sequence[str]], right: Sequence[bool]) -> None:
        from rich.box import SIMPLE_HEAD
        from rich.cells import cell_len
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=SIMPLE_HEAD)
        for heading, to_right in zip(headings, right, strict=True):
            table.add_column(heading, justify="right" if to_right else "left", no_wrap=True)
        for line in texts:
            table.add_row(*map(Text, line))  # Text, because "[b]" in a customer's name is not markup
        # As wide as it needs to be, even if the terminal then wraps it: an id cut in pieces is useless. The height
        # does not matter, but rich takes a width only together with one.
        width = sum(max(map(cell_len, column)) + 3 for column in zip(headings, *texts, strict=True))
        Console(file=self.stdout, width=width + 3, height=1).print(table)


@dataclass(slots=True)
class _PlainProgress:
    """Progress where no terminal is watching: a line every few seconds, none for quick work."""

    output: Output
    what: str
    total: int | None
    clock: Callable[[], float]
    done: int = 0
    said_at: float = field(init=False)

    def __post_init__(self) -> None:
        self.said_at = self.clock()

    def advance(self, count: int) -> None:
        self.done += count
        if self.clock() - self.said_at >= PLAIN_PROGRESS_EVERY_S:
            self.said_at = self.clock()
            of = f" of {self.total:,}" if self.total is not None else ""
            self.output.note(f"{self.what}: {self.done:,}{of}")


@dataclass(frozen=True, slots=True)
class _BarProgress:
    """Progress on a terminal."""

    move: Callable[[int], None]

    def advance(self, count: int) -> None:
        self.move(count)


def printable(text: str) -> str:
    """Return `text` with every character that could steer a terminal written out, such as \\x1b."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def as_option(name: str, value: str = "") -> str:
    """Spell a parameter as an option of the command line: `--attribute-set full`."""
    return f"--{_OPTION_NAMES.get(name, name).replace('_', '-')} {value}".rstrip()


def counted(count: int, what: str) -> str:
    """Return a number and what it counts, such as `1 revision` and `1,200 line items`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _shortened(text: str) -> str:
    """Leave out the middle of a message that quotes something endless."""
    half = MESSAGE_CHARACTERS_MAX // 2
    return text if len(text) <= MESSAGE_CHARACTERS_MAX else f"{text[:half]} [...] {text[-half:]}"


def _for_people(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case Decimal():
            return numbers.plain(value)
        case datetime():
            return timestamp(value)
        case _:
            return str(value)


def _lines(value: object) -> list[str]:
    """The lines a fact takes: one, or one for each entry of a mapping or list."""
    if isinstance(value, Mapping):
        return [f"{key}: {_for_people(each)}" for key, each in value.items()] or [""]
    if isinstance(value, list | tuple):
        return [_for_people(each) for each in value] or [""]
    return [_for_people(value)]


def _for_json(value: object) -> object:
    match value:
        case None | bool() | int() | str():
            return value
        case Decimal():
            return numbers.plain(value)  # as text: most JSON readers would turn it into a float
        case datetime():
            return timestamp(value)
        case Path():
            return str(value)
        case Mapping():
            return {str(key): _for_json(each) for key, each in value.items()}
        case list() | tuple():
            return [_for_json(each) for each in value]
        case _:
            return str(value)
