"""What a person sees of a pull: one display on a terminal, otherwise a plain line now and then.

A resumed pull starts with everything that was fetched before, at once. That jump is not speed, so rates and the time
left are computed from the first report after it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from counterfoil.cli.output import PLAIN_PROGRESS_EVERY_S, Output
from counterfoil.periods import timestamp, utc_now
from counterfoil.printable_text import counted, printable

if TYPE_CHECKING:
    from counterfoil.client import Progress

SETTLED_AFTER_S: Final = 0.25
_WAITING: Final = "waiting"
_WRITING: Final = "writing"


@dataclass(slots=True)
class Pace:
    """The speed of a pull, computed from its progress reports."""

    clock: Callable[[], float]
    stage: str = ""
    began_at: float = 0.0
    first: tuple[float, Progress] | None = None  # the report to compare with, and when it came

    def rate_and_time_left(self, now: Progress) -> tuple[float, float | None]:
        """Return line items a second, and how many seconds are left, None if unknown."""
        at = self.clock()
        if now.stage != self.stage:
            self.stage, self.began_at, self.first = now.stage, at, None
        if self.first is None and at - self.began_at >= SETTLED_AFTER_S:
            self.first = at, now
        first_at, first = self.first or (at, now)
        passed_s = at - first_at
        if passed_s <= 0:
            return 0.0, None
        rate = (now.line_items_done - first.line_items_done) / passed_s
        lefts = [
            max(0, whole - done) * passed_s / (done - before) if done > before else None
            for whole, done, before in zip(_wholes(now), _dones(now), _dones(first), strict=True)
            if whole is not None
        ]
        known = [left_s for left_s in lefts[:2] if left_s is not None]
        return rate, max(known) if known and None not in lefts[:2] else None


def _wholes(now: Progress) -> tuple[int | None, ...]:
    """What is known of the whole; blobs only where nothing better is."""
    better = now.size_bytes is not None or now.line_items is not None
    return now.size_bytes, now.line_items, None if better else now.blobs


def _dones(now: Progress) -> tuple[int, ...]:
    return now.bytes_done, now.line_items_done, now.blobs_done


def written(now: Progress, rate: float = 0.0, left_s: float | None = None) -> tuple[str, str]:
    """Write how far a pull has come: what was fetched and the time left, and what was read; only what is known."""
    fetched: list[str] = []
    if now.blobs is not None:
        fetched.append(f"{now.blobs_done:,} of {counted(now.blobs, 'blob')}")
    elif now.blobs_done and now.stage != _WRITING:
        fetched.append(counted(now.blobs_done, "page"))
    if now.bytes_done:
        whole = f" of {now.size_bytes / 1e6:,.1f}" if now.size_bytes is not None else ""
        fetched.append(f"{now.bytes_done / 1e6:,.1f}{whole} MB")
    if left_s is not None:
        fetched.append(f"{_duration(left_s)} left")
    read: list[str] = []
    if now.line_items_done:
        read.append(counted(now.line_items_done, "line item"))
    if rate >= 1:
        read.append(f"{rate:,.0f}/s")
    return ", ".join(fetched), ", ".join(read)


def share(now: Progress) -> float | None:
    """Return which part of the whole is done, 0 to 1; None where nobody knows."""
    return min(
        (min(1.0, done / all_) for all_, done in zip(_wholes(now), _dones(now), strict=True) if all_), default=None
    )


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, seconds_left = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds_left:02} s"


def log_line(output: Output, message: str) -> None:
    """Note what happens; where no terminal is watching, as in the log of a scheduler, with the time in UTC."""
    output.note(message if output.stderr.isatty() else f"{timestamp(utc_now())} {message}")


@contextmanager
def displayed(output: Output, what: str, *, clock: Callable[[], float] = time.monotonic) -> Iterator[Display]:
    """Show the progress of a pull; `what` names it."""
    if not output.stderr.isatty():
        yield _Plain(what, Pace(clock), output, noted_at=clock())
        return
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar
    from rich.table import Column

    console = Console(file=output.stderr)
    # Three short lines beside the bar, so that a window of eighty columns has room for them.
    text = TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis"))
    columns = (SpinnerColumn(), text, BarColumn(12), TimeElapsedColumn())
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(f"{what}: asking", total=None)

        def show(description: str, done: float | None) -> None:
            bar.update(task, description=description, total=None if done is None else 1.0, completed=done or 0.0)

        yield _OnTerminal(what, Pace(clock), partial(console.print, markup=False, highlight=False), show)


@dataclass(slots=True)
class _Display:
    """Shows the progress of a pull, `what`, that it watches: see `counterfoil.client.Watcher`."""

    what: str
    pace: Pace

    def advance(self, line_items: int) -> None:
        """Do nothing: `progress` reports line items too."""

    def in_words(self, now: Progress) -> list[str]:
        """Write how far the pull is, as far as that is known."""
        return [each for each in written(now, *self.pace.rate_and_time_left(now)) if each]


@dataclass(slots=True)
class _Plain(_Display):
    """Where no terminal is watching: what happens as it happens, and every few seconds how far it is."""

    output: Output
    noted_at: float = 0.0

    def remark(self, message: str) -> None:
        log_line(self.output, message)
        self.noted_at = self.pace.clock()

    def progress(self, now: Progress) -> None:
        words = self.in_words(now)
        if words and self.pace.clock() - self.noted_at >= PLAIN_PROGRESS_EVERY_S:
            self.noted_at = self.pace.clock()
            log_line(self.output, f"{self.what}: {'; '.join(words)}")


@dataclass(slots=True)
class _OnTerminal(_Display):
    """One line that changes. While an export is waited for, so do the remarks; all others stay above it."""

    print_above: Callable[[str], Any]
    show: Callable[[str, float | None], None]

    def remark(self, message: str) -> None:
        if self.pace.stage == _WAITING:
            self.show(f"{self.what}: {printable(message)}", None)
        else:
            self.print_above(printable(message))

    def progress(self, now: Progress) -> None:
        is_new = now.stage != self.pace.stage
        words = self.in_words(now)
        if words or is_new:
            self.show("\n".join([f"{self.what}: {now.stage}", *words]), share(now))


Display = _Plain | _OnTerminal
