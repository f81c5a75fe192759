"""Reading JSON lines to publish them: usual lines by the compiled scanner, the others as a pull reads them.

The scanner is several times faster. Every line it is not sure of goes to `LineReader`, whose verdict counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from counterfoil.columns import LineItemTable
from counterfoil.datasets.batch import Batch
from counterfoil.datasets.scan import Scanner
from counterfoil.datasets.value_spans import ValueSpans
from counterfoil.line_items.blocks import BYTE_ORDER_MARK, Block
from counterfoil.line_items.line_reader import LineReader
from counterfoil.line_items.reference import OnRefused, parse_object
from counterfoil.line_items.values import Refused
from counterfoil.model import Kind

_PIECE_SIZE_BYTES = 4 << 20
_LEARNED_LINES_MAX = 64


def without_dress(line: bytes) -> bytes:
    """Return a line without a byte order mark at its start, as joined files have, and without a comma at its end."""
    if line.startswith(BYTE_ORDER_MARK):
        line = line.removeprefix(BYTE_ORDER_MARK)
    bare = line.rstrip(b", \t\r") if line.rstrip().endswith(b",") else line
    return bare if bare.endswith(b"}") else line


class JsonLinesReader:
    """Reads the blocks of one file; refused lines go to `on_refused`, which raises to stop everything.

    `scanners` are kept from file to file: to make one takes longer than to read a small file. Files that share them are
    read one after another.
    """

    def __init__(
        self, table: LineItemTable, on_refused: OnRefused, scanners: dict[Kind, Scanner] | None = None
    ) -> None:
        self._table = table
        self._on_refused = on_refused
        self._scanners = {} if scanners is None else scanners
        self._scanner = self._scanners.get(table.kind)
        self._line_reader = LineReader(table.kind)
        self._learned_lines = 0

    def read(self, block: Block) -> Iterator[Batch]:
        """Yield the line items of a block, in no particular order."""
        yield from self._scan(block.data, b"\n", lambda lines: lines + block.first_line)

    def read_lines(self, lines: Sequence[bytes], line_numbers: Sequence[int]) -> Iterator[Batch]:
        """Yield the line items of `lines`, which may hold newlines; blank ones are passed over."""
        numbers = np.asarray(line_numbers, dtype=np.int64)
        begin = size_bytes = 0
        for end, line in enumerate(lines, 1):
            size_bytes += len(line)
            if size_bytes >= _PIECE_SIZE_BYTES or end == len(lines):
                yield from self._read_piece(lines[begin:end], numbers[begin:end])
                begin, size_bytes = end, 0

    def _read_piece(self, lines: Sequence[bytes], numbers: np.ndarray) -> Iterator[Batch]:
        # Newlines may be white space within these lines, so U+0000 parts them: no good line holds one.
        sure = [b"\0" not in line for line in lines]
        joined = b"\0".join(line if good else b"" for line, good in zip(lines, sure, strict=True))
        yield from self._scan(joined, b"\0", lambda places: numbers[places])
        rest = [at for at, good in enumerate(sure) if not good]
        if rest:
            yield self._by_line_reader([lines[at] for at in rest], numbers[rest])

    def _scan(
        self, data: bytes | memoryview, separator: bytes, numbered: Callable[[np.ndarray], np.ndarray]
    ) -> Iterator[Batch]:
        if self._scanner is None and Scanner.is_ready():
            self._scanner = self._scanners[self._table.kind] = Scanner(self._table)
        if self._scanner is None:  # it is being compiled, for seconds: read on without it
            lines = bytes(data).split(separator)
            yield self._by_line_reader(lines, numbered(np.arange(len(lines))))
            return
        for scanned in self._scanner.scan(data, separator):
            if len(scanned.lines):
                yield Batch(self._table, scanned.items, numbered(scanned.lines))
            if len(scanned.doubtful):
                lines = [bytes(data[start:end]) for _, start, end in scanned.doubtful.tolist()]
                yield self._by_line_reader(lines, numbered(scanned.doubtful[:, 0]))

    def _by_line_reader(self, lines: Sequence[bytes], numbers: np.ndarray) -> Batch:
        lines = [without_dress(line) for line in lines]
        good = np.array([bool(line.strip()) for line in lines])

        def on_refused(place: int, why: Refused) -> None:
            good[place] = False
            self._on_refused(int(numbers[place]), why)

        read = self._line_reader.read(lines, on_refused, first_line=0)
        if self._scanner is not None:
            for place in np.flatnonzero(good)[: _LEARNED_LINES_MAX - self._learned_lines]:
                self._learn(self._scanner, lines[place])
        return Batch(self._table, ValueSpans.of_columns(read.columns), numbers[good])

    def _learn(self, scanner: Scanner, line: bytes) -> None:
        """Teach the scanner how a good line spells its keys; only a number of times, because that takes time too."""
        self._learned_lines += 1
        for key, _ in parse_object(line):
            scanner.learn(key)
