"""The server's log: lines of an event and its facts, as text or as JSON, written by a thread of its own.

No request waits for the log: what is written faster than its reader takes it is left out and counted. Only our own
loggers are written below WARNING, because libraries log addresses and headers.
"""

from __future__ import annotations

import io
import json
import logging
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, TextIO, cast

OURS: Final = "counterfoil"
LINES_WAITING_MAX: Final = 10_000
_TOGETHER_S: Final = 0.05
_END_S: Final = 2
_PLAIN: Final = re.compile(r"[!#-<>-~]+", re.ASCII)  # a text that needs no quotes

Fact = str | int | float | None


@dataclass(frozen=True, slots=True)
class LogLine:
    """The message of a record: what happened, and its facts by name. It is put into words when it is written."""

    event: str
    facts: Mapping[str, Fact]

    def __str__(self) -> str:
        return f"{self.event}: " + " ".join(f"{name}={_as_text(fact)}" for name, fact in self.facts.items())


def log_often(logger: logging.Logger, level: int, line: LogLine) -> None:
    """Log a line that every request logs. It takes a fifth of the time that a method of the logger takes."""
    if logger.isEnabledFor(level):
        logger.handle(_PlainRecord(logger.name, level, line))


# What `logging` finds out for each record: file, line, thread and process are no news here. Formats may name them.
_NOT_FOUND_OUT: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("exc_info", "exc_text", "stack_info", "processName", "threadName", "taskName")),
    **dict.fromkeys(("pathname", "filename", "module", "funcName"), ""),
    **dict.fromkeys(("lineno", "thread", "process", "msecs", "relativeCreated"), 0),
    "args": (),
}


class _PlainRecord(logging.LogRecord):
    """A record that is made without looking at who logs."""

    def __init__(self, name: str, level: int, line: LogLine) -> None:
        # LogRecord's own is not called: it is what takes the time.
        self.__dict__.update(_NOT_FOUND_OUT)
        self.name, self.levelno, self.levelname = name, level, logging.getLevelName(level)
        self.msg: Any = line
        self.created = time.time()


def _as_text(fact: Fact) -> str:
    if isinstance(fact, int | float):
        return str(fact)
    return _in_quotes(fact) if fact else "-"


@lru_cache(maxsize=256)  # partners, clients and paths come again and again
def _in_quotes(text: str) -> str:
    """Return a text in quotes if it needs them."""
    return text if _PLAIN.fullmatch(text) else json.dumps(text)


class TextLines(logging.Formatter):
    """One line of text for each record: time in UTC, level, logger, message."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's name
        """Return the time in UTC, to the millisecond."""
        return _time_of(record)


class JsonLines(logging.Formatter):
    """One JSON object in one line for each record; the facts of a `LogLine` are members of their own."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        told: dict[str, Any] = {"time": _time_of(record), "level": record.levelname.lower(), "logger": record.name}
        if isinstance(record.msg, LogLine):
            told |= {"event": record.msg.event, **record.msg.facts}
        else:
            told["message"] = record.getMessage()
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told)


def _time_of(record: logging.LogRecord) -> str:
    second, microseconds = divmod(round(record.created * 1_000_000), 1_000_000)
    return f"{_second(second)}.{microseconds // 1_000:03}Z"


@lru_cache(maxsize=2)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).replace(tzinfo=None).isoformat()


FORMATTERS: Final[Mapping[str, type[logging.Formatter]]] = {"text": TextLines, "json": JsonLines}


@contextmanager
def logging_to(stream: TextIO, *, level: str, form: str) -> Iterator[None]:
    """Write what is logged to a stream for as long as the context lasts: ours from a level on, others' warnings."""
    ours, handler = logging.getLogger(OURS), _Waiting(_unbuffered(stream), FORMATTERS[form]())
    before = ours.level
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    ours.setLevel(level.upper())
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        ours.setLevel(before)
        handler.end()


class _Unbuffered:
    """As much of a text stream as a log handler uses, without a buffer.

    Python cannot end while a thread waits in one.
    """

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw

    def write(self, text: str) -> None:
        """Write all of it."""
        left = memoryview(text.encode("utf-8", "backslashreplace"))
        while left:
            left = left[self._raw.write(left) or 0 :]

    def flush(self) -> None:
        """Nothing is kept back."""


def _unbuffered(stream: TextIO) -> TextIO:
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return cast("TextIO", _Unbuffered(raw)) if isinstance(raw, io.RawIOBase) else stream


class _Waiting(logging.Handler):
    """Keeps records, and has a thread word and write them together, some times a second.

    To wake the thread for each record would cost a request a third of a millisecond.
    """

    def __init__(self, stream: TextIO, formatter: logging.Formatter) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self._stream = stream
        self._waiting: list[logging.LogRecord] = []
        self._left_out = 0
        self._noted, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._write, name="counterfoil-log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record, or count it; a handler is called by one thread at a time."""
        if len(self._waiting) >= LINES_WAITING_MAX:
            self._left_out += 1
            return
        self._waiting.append(record)
        if not self._noted.is_set():
            self._noted.set()

    def end(self) -> None:
        """Write what is left; whoever does not read the log keeps nobody from stopping."""
        self._ended.set()
        self._noted.set()
        self._thread.join(_END_S)

    def _write(self) -> None:
        while not self._ended.is_set() or self._waiting:
            self._noted.wait()
            self._ended.wait(_TOGETHER_S)
            self._noted.clear()
            assert self.lock is not None
            with self.lock:
                records, self._waiting = self._waiting, []
                left_out, self._left_out = self._left_out, 0
            if left_out:
                told = LogLine("log lines left out", {"count": left_out})
                records.append(logging.makeLogRecord({**_OWN, "msg": told}))
            try:
                self._stream.write("".join(f"{self._worded(record)}\n" for record in records))
                self._stream.flush()
            except (OSError, ValueError):
                return  # there is nobody to tell

    def _worded(self, record: logging.LogRecord) -> str:
        try:
            return self.format(record)
        except (
            TypeError,
            ValueError,
            KeyError,
        ):  # whoever logged it gave the wrong arguments: that must not end the log
            record.msg, record.args = f"{record.msg!r} {record.args!r}", ()
            return self.format(record)


_OWN: Final = {"name": f"{OURS}.log", "levelno": logging.WARNING, "levelname": "WARNING"}
