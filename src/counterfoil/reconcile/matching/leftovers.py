"""The lines that found nobody at their own place, until all are known: in memory, or on disk once they are too many.

On disk they are cut by what all keys of a stage have in common, so that what may belong together is in one part.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from zlib import crc32

import pyarrow as pa

from counterfoil.reconcile.matching.line_keys import Key, LineKeys
from counterfoil.reconcile.matching.matched_lines import Line
from counterfoil.reconcile.matching.staging import Unmatched

LINES_HELD_MAX: Final = 100_000
_PARTS: Final = 64
_WRITTEN_AT_ONCE: Final = 250  # of each part of each side
_NUMBER: Final = "#"


class Leftovers:
    """Lines to be read again in parts; `key` says which belong into one. Use it as a context.

    A part may be as large as all lines of one key.
    """

    def __init__(self, keys: LineKeys, key: Key, folder: Path, *, held_max: int) -> None:
        self._names, self._key, self._folder, self._held_max = keys.names, key, folder, held_max
        self._held = Unmatched()
        self._files: dict[tuple[int, int], _LinesFile] = {}
        self._stack = ExitStack()

    def add(self, lines: Unmatched) -> None:
        """Take lines."""
        for mine, more in ((self._held.left, lines.left), (self._held.right, lines.right)):
            mine += [_shared(line) for line in more]
        if self._files or len(self._held) > self._held_max:
            self._write()

    def parts(self) -> Iterator[Unmatched]:
        """Yield the lines part by part, and forget them."""
        if not self._files:
            held, self._held = self._held, Unmatched()
            yield held
            return
        for part in range(_PARTS):
            sides = [self._files.get((side, part)) for side in range(2)]
            yield Unmatched(*(list(file.read()) if file else [] for file in sides))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    def _write(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        for side, lines in enumerate((self._held.left, self._held.right)):
            for line in lines:
                part = crc32(self._key(line.attributes).encode()) % _PARTS
                file = self._files.get((side, part))
                if file is None:
                    file = _LinesFile(self._folder / f"{side}-{part}.arrow", self._names)
                    self._files[side, part] = self._stack.enter_context(file)
                file.add(line)
        self._held = Unmatched()


class _LinesFile:
    def __init__(self, path: Path, names: tuple[str, ...]) -> None:
        self._path, self._names = path, names
        self._schema = pa.schema([(_NUMBER, pa.int64()), *((name, pa.string()) for name in names)])
        self._waiting: list[Line] = []
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        self._writer = pa.ipc.new_stream(str(path), self._schema, options=options)

    def add(self, line: Line) -> None:
        self._waiting.append(line)
        if len(self._waiting) >= _WRITTEN_AT_ONCE:
            self._write()

    def read(self) -> Iterator[Line]:
        """Yield all lines; none can be added after."""
        self._write()
        self._writer.close()
        with pa.ipc.open_stream(str(self._path)) as batches:
            for batch in batches:
                numbers, *columns = (column.to_pylist() for column in batch.columns)
                for number, *texts in zip(numbers, *columns, strict=True):
                    yield _shared(Line(number, dict(zip(self._names, texts, strict=True))))
        self._path.unlink()

    def _write(self) -> None:
        if self._waiting:
            numbers = pa.array([line.number for line in self._waiting], pa.int64())
            columns = zip(*(line.attributes.values() for line in self._waiting), strict=True)
            arrays = [numbers, *(pa.array(column, pa.string()) for column in columns)]
            self._writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
            self._waiting = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._writer.close()


def _shared(line: Line) -> Line:
    """Return the line with texts that it shares with others: names, ids and dates repeat in most lines."""
    return Line(line.number, {name: sys.intern(text) for name, text in line.attributes.items()})
