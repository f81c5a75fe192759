"""Takes down who did what at a server, for the record in the catalog (`storage.activity`).

No request waits for it: what is noted is added together and written by a thread, once a second. So a server that is
killed loses the last second. Whoever wants to flood it is summed: refusals have an allowance of rows, and beyond it one
row a second says how many there were. A catalog that cannot be written is tried again, and meanwhile more is summed.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from counterfoil.disk.process_owner import NOBODY
from counterfoil.errors import CounterfoilError
from counterfoil.periods import Clocks
from counterfoil.server.lru_cache import LruCache
from counterfoil.storage.activity import Action, NewActivity
from counterfoil.storage.catalog import Catalog

EVERY_S: Final = 1.0
WAITING_MAX: Final = 1_000  # different rows that wait to be written; what is more is summed by action
REFUSALS_IN_A_ROW: Final = 60  # rows, then one a second
SAME_S: Final = 3_600  # for so long the ranges of one blob are one download
_SEEN_MAX: Final = 20_000
_REFUSALS: Final = frozenset({Action.SIGN_IN_FAILED, Action.REFUSED})
_LOG: Final = logging.getLogger("counterfoil.server")

_Key = tuple[Action, str, str, str]  # action, partner, actor, subject


@contextmanager
def recording(catalog: Catalog, clocks: Clocks) -> Iterator[ActivityRecorder]:
    """Give a recorder that writes for as long as the context lasts."""
    recorder = ActivityRecorder(catalog, clocks.wall)
    recorder.start()
    try:
        yield recorder
    finally:
        recorder.stop()


class ActivityRecorder:
    """Notes what is done at one server. Safe to use from several threads."""

    def __init__(self, catalog: Catalog, wall: Callable[[], datetime], every_s: float = EVERY_S) -> None:
        """Nothing is written before `start`, and `stop` writes what is left."""
        self._catalog, self._wall, self._every_s = catalog, wall, every_s
        self._waiting: dict[_Key, NewActivity] = {}
        self._seen: LruCache[tuple[str, ...], float] = LruCache(_SEEN_MAX)
        self._lock = threading.Lock()
        self._refusals, self._refusals_at = float(REFUSALS_IN_A_ROW), time.monotonic()
        self._noted, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="counterfoil-activity", daemon=True)
        self._failing = False
        self.counted: Callable[[Action], None] = lambda _: None  # told of each, for figures

    def note(
        self,
        action: Action,
        *,
        partner: str = "",
        actor: str = "",
        subject: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Note that something was done; what is alike within the second is one row."""
        self.counted(action)
        key = (action, partner, actor or NOBODY, subject)
        with self._lock:
            if key not in self._waiting and len(self._waiting) >= WAITING_MAX:
                key, details = (action, "", NOBODY, ""), None
            self._add(key, NewActivity(action, self._wall(), key[2], key[1], key[3], details or {}))
        self._noted.set()

    def note_once(self, action: Action, *which: str, partner: str, actor: str, **more: Any) -> None:
        """Note something that takes several requests, such as a download in ranges, once an hour: `which` names it."""
        now, key = time.monotonic(), (action.value, partner, actor, *which)
        before = self._seen.get(key)
        if before is None or now - before >= SAME_S:
            self._seen.put(key, now)
            self.note(action, partner=partner, actor=actor, **more)

    def note_outside_token(self, partner: str, client: str) -> None:
        """Note that a caller has a good token of another issuer, where it signed in: once an hour."""
        self.note_once(Action.SIGN_IN, partner=partner, actor=client, details={"by": "token"})

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write what is left, and end."""
        self._ended.set()
        self._noted.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.is_set():
            self._noted.wait()
            self._noted.clear()
            self._ended.wait(self._every_s)
            self._write()

    def _write(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, {}
            entries = self._bounded(list(waiting.values()))
        try:
            self._catalog.record_activity(entries)
            self._failing = False
        except CounterfoilError as error:
            if not self._failing:
                _LOG.warning("what was done cannot be recorded, and is kept for later: %s", error)
            self._failing = True
            with self._lock:
                for entry in entries:
                    key = (entry.action, entry.partner, entry.actor, entry.subject)
                    self._add(key if len(self._waiting) < WAITING_MAX else (entry.action, "", NOBODY, ""), entry)
            self._noted.set()

    def _add(self, key: _Key, entry: NewActivity) -> None:
        action, partner, actor, subject = key
        before = self._waiting.get(key)
        if before is not None:
            entry = replace(before, count=before.count + entry.count)
        elif (partner, actor, subject) != (entry.partner, entry.actor, entry.subject):
            entry = NewActivity(action, entry.at, actor, partner, subject, count=entry.count)
        self._waiting[key] = entry

    def _bounded(self, entries: list[NewActivity]) -> list[NewActivity]:
        """Return what may be written now: of refusals as many as are allowed, and the sum of the others."""
        now = time.monotonic()
        self._refusals = min(REFUSALS_IN_A_ROW, self._refusals + now - self._refusals_at)
        self._refusals_at = now
        kept, summed = list[NewActivity](), dict[Action, NewActivity]()
        for entry in entries:
            if entry.action not in _REFUSALS:
                kept.append(entry)
            elif self._refusals >= 1:
                self._refusals -= 1
                kept.append(entry)
            else:
                before = summed.get(entry.action) or NewActivity(entry.action, entry.at, count=0)
                callers = int(before.details.get("callers", 0)) + 1
                summed[entry.action] = replace(before, count=before.count + entry.count, details={"callers": callers})
        return [*kept, *summed.values()]
