"""The proof that lines are line items: what a reader refuses fails the pull, and the error says where and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import pyarrow as pa

from counterfoil.client.protocol.addresses import shown
from counterfoil.errors import ProofError
from counterfoil.line_items.blocks import Block
from counterfoil.line_items.line_reader import LineReader
from counterfoil.line_items.values import Refused


def read_all(reader: LineReader, lines: Sequence[bytes] | Block, where: str, *, coded: bool = False) -> pa.RecordBatch:
    """Return lines as columns of text, see `LineReader`; raises ProofError for the first bad one.

    `where` names the blob or page in errors.
    """

    def refuse(line: int, refused: Refused) -> None:
        fail(refused, f"{where}, line item {line:,}")

    if isinstance(lines, Block):
        return reader.read_block(bytes(lines.data), refuse, first_line=lines.first_line, coded=coded)
    return reader.read(lines, refuse, coded=coded)


def fail(refused: Refused, where: str) -> NoReturn:
    """Raise the ProofError for what was refused at a place."""
    attribute = f", {shown(refused.attribute)}" if refused.attribute else ""
    value = f" ({shown(refused.value)!r})" if refused.value is not None else ""
    raise ProofError(f"{where}{attribute}: {refused.reason}{value}.")
