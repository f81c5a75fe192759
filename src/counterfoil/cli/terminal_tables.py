"""Tables on a terminal, as wide as it is: columns that are less needed are left out, then long texts are folded.

What goes through a pipe is never cut, folded or left out.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, TextIO

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

_BESIDE: Final = 3  # of each column, beside its text: a space on both sides, and what is between two columns
FOLDED_MIN: Final = 12  # a column is folded to no less


def print_table(
    out: TextIO,
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    to_right: Sequence[bool],
    less_needed: Sequence[str] = (),
    wide: bool = False,
) -> list[str]:
    """Print a table; returns the headings of the columns that were left out, the least needed first.

    A `wide` one has every column and folds nothing, even if the terminal then wraps its lines.
    """
    widths = [max(map(cell_len, column)) for column in zip(headings, *rows, strict=True)]
    room = Console(file=out).width
    kept = list(range(len(headings)))
    left_out: list[str] = []
    if not wide:
        for heading in less_needed:
            if _width(widths, kept) <= room:
                break
            if heading in headings:
                kept.remove(headings.index(heading))
                left_out.append(heading)
        widths = _folded(widths, kept, to_right, room)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for at in kept:
        side = "right" if to_right[at] else "left"
        table.add_column(headings[at], justify=side, width=widths[at], overflow="fold")  # type: ignore[arg-type]
    for line in rows:
        table.add_row(*(Text(line[at]) for at in kept))  # Text, because "[b]" in a customer's name is not markup
    # rich takes a width only together with a height, which does not matter.
    Console(file=out, width=max(room, _width(widths, kept)), height=1).print(table)
    return left_out


def _width(widths: Sequence[int], kept: Collection[int]) -> int:
    return sum(widths[at] + _BESIDE for at in kept) - 1


def _folded(widths: Sequence[int], kept: Collection[int], to_right: Sequence[bool], room: int) -> list[int]:
    """Return widths that fit: of columns of text, the widest is made narrower until all fit, or none can be."""
    fitting = list(widths)
    while (excess := _width(fitting, kept) - room) > 0:
        texts = sorted((fitting[at], at) for at in kept if not to_right[at] and fitting[at] > FOLDED_MIN)
        if not texts:
            break
        width, widest = texts[-1]
        next_width = texts[-2][0] if len(texts) > 1 else FOLDED_MIN
        fitting[widest] = max(FOLDED_MIN, width - excess, min(next_width, width - 1))
    return fitting
