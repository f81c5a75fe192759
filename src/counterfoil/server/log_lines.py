"""The server's log: lines of an event and its facts, as text or as JSON, written by a thread of its own.

No request waits for the log: what is written faster than its reader takes it is left out and counted. Only our own
loggers are written below WARNING, because libraries log addresses and headers.
"""

from __future__ import annotations

import io
import json
import logging
import queue
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TextIO, cast

OURS: Final = "counterfoil"
LINES_WAITING_MAX: Final = 10_000
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


def _as_text(fact: Fact) -> str:
    text = "-" if fact is None or fact == "" else str(fact)
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
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


FORMATTERS: Final[Mapping[str, type[logging.Formatter]]] = {"text": TextLines, "json": JsonLines}


@contextmanager
def logging_to(stream: TextIO, *, level: str, form: str) -> Iterator[None]:
    """Write what is logged to a stream for as long as the context lasts: ours from a level on, others' warnings."""
    writer = logging.StreamHandler(_unbuffered(stream))
    writer.setFormatter(FORMATTERS[form]())
    waiting: queue.Queue[logging.LogRecord | None] = queue.Queue(LINES_WAITING_MAX)
    thread = threading.Thread(target=_write, args=(waiting, writer), name="counterfoil-log", daemon=True)
    ours, handler = logging.getLogger(OURS), _Waiting(waiting)
    before = ours.level
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    ours.setLevel(level.upper())
    thread.start()
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        ours.setLevel(before)
        with suppress(queue.Full):
            waiting.put(None, timeout=_END_S)
            thread.join(_END_S)  # whoever does not read the log keeps nobody from stopping


def _write(waiting: queue.Queue[logging.LogRecord | None], writer: logging.Handler) -> None:
    while (record := waiting.get()) is not None:
        writer.handle(record)


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
    """Passes records on to the thread that writes them, as they are, if there is room."""

    def __init__(self, waiting: queue.Queue[logging.LogRecord | None]) -> None:
        super().__init__()
        self._waiting = waiting
        self._left_out = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record on, or count it; a handler is called by one thread at a time."""
        try:
            if self._left_out:
                told = LogLine("log lines left out", {"count": self._left_out})
                self._waiting.put_nowait(logging.makeLogRecord({**_OWN, "msg": told}))
                self._left_out = 0
            self._waiting.put_nowait(record)
        except queue.Full:
            self._left_out += 1


_OWN: Final = {"name": f"{OURS}.log", "levelno": logging.WARNING, "levelname": "WARNING"}
