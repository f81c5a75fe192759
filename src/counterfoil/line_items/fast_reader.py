"""The fast reader of the plain install: lines of one shape become columns together, see `line_shapes`.

Sources write most line items with the same attributes in the same order, without white space.

This reader never refuses. It returns the lines that it is sure of, and all others, which are for the reference: lines
of a rare shape, values that the rules refuse, control characters, escapes in keys. So it may be narrower than the
reference, and never wider.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from counterfoil.columns import LineItemTable
from counterfoil.line_items.blocks import is_utf8
from counterfoil.line_items.line_shapes import CutLines, HeldLines, LineShape

LINES_HELD_MAX: Final = 50_000
_HELD_SIZE_BYTES_MAX: Final = 24 << 20
CUT_SIZE_BYTES_MIN: Final = 128 << 10  # less of one shape is read sooner line by line
_SHAPES_KEPT_MAX: Final = 64


class FastReader:
    """Cuts lines of one kind: `add` them, then `take` what they are.

    What it learns of the shapes of lines serves later ones. Not thread-safe.
    """

    def __init__(self, table: LineItemTable) -> None:
        self._table = table
        self._shapes: dict[tuple[str, ...], LineShape | None] = {}
        self._usual: LineShape | None = None
        self.clear()

    def clear(self) -> None:
        """Forget the lines that were added."""
        self._held: dict[LineShape, HeldLines] = {}
        self._others: dict[int, bytes] = {}  # not of the usual shape
        self._refused: dict[int, bytes] = {}  # not UTF-8
        self._lines = self._others_size_bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether it is time to take the lines."""
        size_bytes = self._others_size_bytes + sum(held.size_bytes for held in self._held.values())
        return self._lines >= LINES_HELD_MAX or size_bytes >= _HELD_SIZE_BYTES_MAX

    def add(self, data: bytes, ends: Sequence[int], first_line: int) -> None:
        """Hold lines, numbered from `first_line`; `ends` are where each line ends in the data, behind its newline."""
        self._lines += len(ends)
        numbers: Sequence[int] = range(first_line, first_line + len(ends))
        is_clean = is_utf8(data)
        if is_clean and len(data) >= CUT_SIZE_BYTES_MIN:
            shape = self._usual or self._shape_of(data[: ends[0]])
            if shape is not None:
                bounds = pa.array([0, *ends], pa.int32()).buffers()[1]
                lines = pa.StringArray.from_buffers(len(ends), bounds, pa.py_buffer(data))
                odd = self._held.setdefault(shape, HeldLines(shape)).add(lines, numbers)
                numbers = [numbers[at] for at in pc.indices_nonzero(odd).to_pylist()]
            self._usual = shape if len(numbers) < len(ends) / 2 else None
        for number in numbers:
            at = number - first_line
            line = data[ends[at - 1] if at else 0 : ends[at] - 1]
            (self._others if is_clean or is_utf8(line) else self._refused)[number] = line
            self._others_size_bytes += len(line)

    def take(self) -> tuple[list[CutLines], dict[int, bytes]]:
        """Return the lines that are certain, and the others by number, in order; none is held afterwards."""
        held, others, refused = [*self._held.values()], self._others, self._refused
        self.clear()
        cuts: list[CutLines] = []
        for lines in held:
            cut, rest = lines.cut()
            cuts.append(cut)
            others |= rest
        found = defaultdict[LineShape, dict[int, bytes]](dict)
        for number, line in others.items():
            compacted = _compacted(line)
            shape = self._shape_of(compacted)
            if shape is not None:
                found[shape][number] = compacted
        for shape, alike in found.items():
            if sum(map(len, alike.values())) >= CUT_SIZE_BYTES_MIN:
                lines = HeldLines(shape)
                lines.add(pa.array([line + b"\n" for line in alike.values()], pa.string()), [*alike])
                cuts.append(lines.cut()[0])
        cuts = [cut for cut in cuts if cut.numbers]
        doubtful = (others.keys() | refused).difference(*(cut.numbers for cut in cuts))
        return cuts, {number: others[number] if number in others else refused[number] for number in sorted(doubtful)}

    def _shape_of(self, line: bytes) -> LineShape | None:
        try:
            keys = tuple(msgspec.json.decode(line, type=dict[str, msgspec.Raw]))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        if keys not in self._shapes:
            if len(self._shapes) >= _SHAPES_KEPT_MAX:
                self._shapes.clear()
            self._shapes[keys] = LineShape.of(self._table, keys)
        return self._shapes[keys]


def _compacted(line: bytes) -> bytes:
    """Return a line without white space between its parts, or as it is where that is not JSON."""
    try:
        return msgspec.json.format(line, indent=-1)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return line
