"""The output of a command: data on stdout, everything else on stderr, as a table or as JSON.

A command never prints by itself and never asks which form was chosen. It hands values to an `Output`. Values may come
from strangers' files, so nothing in them can move the cursor or colour the screen; and what goes through a pipe is
never cut to a width.

In JSON, stdout holds one JSON value and stderr one JSON object a line: an error, a warning, or a conclusion. Notes are
for people, so what a program needs is a value on stdout, whatever a note says beside it.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, TextIO

import click

from counterfoil import numbers
from counterfoil.errors import CounterfoilError
from counterfoil.money import Money
from counterfoil.periods import timestamp
from counterfoil.printable_text import printable

PLAIN_PROGRESS_EVERY_S: Final = 5.0
MESSAGE_CHARACTERS_MAX: Final = 2_000
_INNER_CAPITAL: Final = re.compile(r"(?<=[a-z])[A-Z]")
# Options whose name is not the parameter's.
_OPTION_NAMES: Final = {"attributes": "attribute-set", "comparing": "as", "rules": "rule", "wait_s_max": "wait"}


class OutputForm(StrEnum):
    """The two forms data can be printed in."""

    TABLE = "table"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Headed:
    """A value whose heading is not its name in JSON."""

    heading: str
    value: object


@dataclass(frozen=True, slots=True)
class Output:
    """Where a command's data and remarks go.

    Values are given by their names in JSON. The heading in a table is that name in words (`lineItems`: Line items),
    unless another is given.
    """

    form: OutputForm = OutputForm.TABLE
    stdout: TextIO = field(default_factory=lambda: sys.stdout)
    stderr: TextIO = field(default_factory=lambda: sys.stderr)
    quiet: bool = False
    exact: bool = False  # whether amounts are shown with every digit
    wide: bool = False  # whether tables are as wide as they need to be

    @property
    def is_json(self) -> bool:
        """Whether a program reads what is printed."""
        return self.form is OutputForm.JSON

    def rows(
        self,
        rows: Sequence[Mapping[str, object]],
        *,
        headings: Mapping[str, str] | None = None,
        only_json: Collection[str] = (),
        only_table: Collection[str] = (),
        less_needed: Sequence[str] = (),
        none: str = "",
    ) -> None:
        """Print many things of one sort. `none` is the note to print if there are none (the data is then empty).

        What is named in `only_json` has no column in a table, and what is in `only_table` is not in JSON. A terminal
        that has no room for them all lacks those that are `less_needed`, the first named first.
        """
        if self.is_json:
            self._print_json([{name: row[name] for name in row if name not in only_table} for row in rows])
        elif rows:
            columns = [name for name in rows[0] if name not in only_json]
            cells = [[row[name] for name in columns] for row in rows]
            given = headings or {}
            titles = {name: given.get(name) or _heading(name) for name in columns}
            self._print_table(list(titles.values()), cells, [titles[name] for name in less_needed if name in titles])
            self._note_rounded(cells)
        elif none:
            self.note(none)

    def facts(self, values: Mapping[str, object]) -> None:
        """Print what there is to say about one thing. A value may be a `Headed` one."""
        facts = {
            name: value if isinstance(value, Headed) else Headed(_heading(name), value)
            for name, value in values.items()
        }
        if self.is_json:
            self._print_json({name: fact.value for name, fact in facts.items()})
            return
        lines = {fact.heading: _lines(fact.value, exact=self.exact) for fact in facts.values()}
        width = max(map(len, lines), default=0)
        for heading, (first, *more) in lines.items():
            self._print(f"{heading.ljust(width)}  {first}".rstrip())
            for line in more:
                self._print(f"{'':{width}}  {line}")
        self._note_rounded([[fact.value for fact in facts.values()]])

    def findings(self, faults: Sequence[Mapping[str, object]], looked_at: Mapping[str, object]) -> None:
        """Print the faults that a check found; in JSON, what was looked at beside them."""
        if self.is_json:
            self._print_json({**looked_at, "faults": faults})
        else:
            self.rows(faults)

    def text(self, name: str, value: str) -> None:
        """Print one bare value, so that a shell can take it as it is: `$(counterfoil token ...)`."""
        if self.is_json:
            self._print_json({name: value})
        else:
            self._print(value)

    def done(self, sentence: str, values: Mapping[str, object]) -> None:
        """Say what a command did: to people in a sentence on stderr, to programs as `values`."""
        if self.is_json:
            self._print_json(values)
        else:
            self.note(sentence)

    def note(self, message: str) -> None:
        """Remark something to people, on stderr; a quiet run and one that prints JSON leave it out."""
        if not self.quiet and not self.is_json:
            click.echo(printable(message), file=self.stderr)

    def warning(self, message: str) -> None:
        """Warn of something that does not stop the work, on stderr."""
        if self.is_json:
            click.echo(_as_json({"warning": {"message": printable(message)}}), file=self.stderr)
            return
        click.echo(_styled("Warning: ", fg="yellow") + printable(message), file=self.stderr)

    def error(self, error: CounterfoilError) -> None:
        """Say on stderr, in one line, what was refused and what to do about it."""
        message, remedy = _shortened(printable(error.message)), _shortened(printable(error.advice(as_option)))
        if self.is_json:
            body = {"type": type(error).__name__, "message": message, "remedy": remedy, "exitCode": error.exit_code}
            click.echo(_as_json({"error": body}), file=self.stderr)
            return
        click.echo(_styled("Error: ", fg="red", bold=True) + f"{message} {remedy}".rstrip(), file=self.stderr)

    def conclude(self, message: str, *, remedy: str, exit_code: int) -> int:
        """Say on stderr how a command ended that did its work and found something; returns the exit code for it."""
        if self.is_json:
            body = {"message": printable(message), "remedy": printable(remedy), "exitCode": exit_code}
            click.echo(_as_json({"conclusion": body}), file=self.stderr)
        else:
            click.echo(printable(f"{message} {remedy}".rstrip()), file=self.stderr)
        return exit_code

    @contextmanager
    def progress(
        self, what: str, total: int | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> Iterator[Callable[[int], None]]:
        """Show progress: a bar on a terminal, otherwise a plain line now and then. Yields what counts work as done."""
        if self.quiet or self.is_json or not self.stderr.isatty():
            yield self._plain_progress(what, total, clock)
            return
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        counted = "{task.description} {task.completed:,}" + (" of {task.total:,}" if total is not None else "")
        shape = SpinnerColumn() if total is None else BarColumn()
        columns = (shape, TextColumn(counted, markup=False), TimeElapsedColumn())
        with Bar(*columns, console=Console(file=self.stderr), transient=True) as bar:
            task = bar.add_task(what, total=total)
            yield lambda count: bar.advance(task, count)

    def _plain_progress(self, what: str, total: int | None, clock: Callable[[], float]) -> Callable[[int], None]:
        """Return what notes progress every few seconds, and nothing of quick work."""
        done, noted_at = 0, clock()

        def advance(count: int) -> None:
            nonlocal done, noted_at
            done += count
            if clock() - noted_at >= PLAIN_PROGRESS_EVERY_S:
                noted_at = clock()
                self.note(f"{what}: {done:,}" + (f" of {total:,}" if total is not None else ""))

        return advance

    def _print(self, line: str) -> None:
        click.echo(printable(line), file=self.stdout)

    def _print_json(self, value: object) -> None:
        click.echo(_as_json(value, indent=2), file=self.stdout)

    def _note_rounded(self, rows: Sequence[Sequence[object]]) -> None:
        if not self.exact and any(each.is_rounded for row in rows for value in row for each in _amounts_in(value)):
            self.note("Amounts are rounded; --exact shows every digit.")

    def _print_table(
        self, headings: Sequence[str], rows: Sequence[Sequence[object]], less_needed: Sequence[str]
    ) -> None:
        right = [all(_is_number(row[at]) for row in rows) for at in range(len(headings))]
        texts = [[printable(_for_people(value, exact=self.exact)) for value in row] for row in rows]
        if self.stdout.isatty():
            from counterfoil.cli.terminal_tables import print_table

            left_out = print_table(
                self.stdout, headings, texts, to_right=right, less_needed=less_needed, wide=self.wide
            )
            if left_out:
                self.note(f"No room for {', '.join(left_out)}; --wide shows all columns.")
            return
        widths = [max(map(len, column)) for column in zip(headings, *texts, strict=True)]
        for line in (headings, *texts):
            cells = zip(line, widths, right, strict=True)
            self._print("  ".join(cell.rjust(w) if r else cell.ljust(w) for cell, w, r in cells).rstrip())


def leave_standard_output() -> None:
    """Let what is still buffered go nowhere: the reader is gone, and Python would try, and complain, at its end."""
    with suppress(OSError):  # a test's standard output is not a real file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _as_json(value: object, indent: int | None = None) -> str:
    """Return JSON that says the same and can be printed: what could steer a terminal is escaped."""
    text = json.dumps(value, ensure_ascii=False, indent=indent, default=_for_json)
    if text.replace("\n", "").isprintable():
        return text
    return "".join(c if c == "\n" or c.isprintable() else json.dumps(c)[1:-1] for c in text)


def as_option(name: str, value: str = "") -> str:
    """Spell a parameter as an option of the command line: `--attribute-set full`."""
    return f"--{_OPTION_NAMES.get(name, name).replace('_', '-')} {value}".rstrip()


def _shortened(text: str) -> str:
    """Leave out the middle of a message that quotes something endless."""
    half = MESSAGE_CHARACTERS_MAX // 2
    return text if len(text) <= MESSAGE_CHARACTERS_MAX else f"{text[:half]} [...] {text[-half:]}"


def _heading(name: str) -> str:
    """Return the words for a name of JSON: `Line items` for `lineItems`."""
    if name == "eTag":
        return name
    words = _INNER_CAPITAL.sub(lambda capital: f" {capital[0].lower()}", name)
    return words[:1].upper() + words[1:]


def _styled(text: str, **style: Any) -> str:
    """Colour a text, unless NO_COLOR or a dumb terminal forbids it; where nobody looks, click takes it out again."""
    is_plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    return text if is_plain else click.style(text, **style)


def _amounts_in(value: object) -> Sequence[Money]:
    match value:
        case Money():
            return [value]
        case list() | tuple():
            return [each for each in value if isinstance(each, Money)]
        case Mapping():
            return [each for each in value.values() if isinstance(each, Money)]
        case _:
            return []


def _is_number(value: object) -> bool:
    """Whether a value is to stand on the right of its column."""
    return value is None or isinstance(value, int | Decimal | Money) or (isinstance(value, list) and _all_money(value))


def _all_money(values: Sequence[object]) -> bool:
    return all(isinstance(each, Money) for each in values)


def _for_people(value: object, *, exact: bool = False) -> str:
    match value:
        case Money():
            return value.shown(exact=exact)
        case list():
            return ", ".join(_for_people(each, exact=exact) for each in value)
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
        case Mapping():
            return ", ".join(f"{name} {_for_people(each, exact=exact)}" for name, each in value.items())
        case _:
            return str(value)


def _lines(value: object, *, exact: bool = False) -> list[str]:
    """The lines a fact takes: one, or one for each entry of a mapping or list."""
    if isinstance(value, Mapping):
        return [f"{key}: {_for_people(each, exact=exact)}" for key, each in value.items()] or [""]
    if isinstance(value, list | tuple):
        return [_for_people(each, exact=exact) for each in value] or [""]
    return [_for_people(value, exact=exact)]


def _for_json(value: object) -> object:
    """Write what JSON has no form for."""
    match value:
        case Money():
            return numbers.plain(value.value)
        case Decimal():
            return numbers.plain(value)  # as text: most JSON readers would turn it into a float
        case datetime():
            return timestamp(value)
        case Mapping():
            return dict(value)
        case _:
            return str(value)
