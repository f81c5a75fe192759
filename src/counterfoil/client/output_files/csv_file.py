"""CSV with Partner Center's own headings and order, so that queries made for its files keep working.

UTF-8 with a byte order mark, without which Excel assumes another encoding; CRLF; quotes only where they are needed.
Every value is the text that came, digit for digit. No quoting keeps a spreadsheet that opens the file itself from
computing a text that begins with `=`. The data is not changed for that; a note says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from counterfoil.client.output_files.headings import Note, OmittedValues, columns_of, quietly, texts_of
from counterfoil.client.output_files.pull_files import receipt_of
from counterfoil.client.receipt import ReceiptFile
from counterfoil.columns import Type
from counterfoil.disk.hashing import HashedFile
from counterfoil.model import Kind

_BOM: Final = b"\xef\xbb\xbf"
_TO_QUOTE: Final = '[",\r\n]'
_LIKE_A_FORMULA: Final = r"^[=+@\t\r-]"
_LINES_AT_ONCE: Final = 20_000  # joined texts must fit Arrow's 2 GiB, at a MiB a line at the very most


def write_csv(path: Path, kind: Kind, batches: Iterable[pa.RecordBatch], note: Note = quietly) -> ReceiptFile:
    """Write line items, given as columns of text, and return what the receipt says of the file.

    `note` receives what the file cannot hold. Whatever fails leaves no file.
    """
    left_out = OmittedValues(kind)
    like_formulas = line_items = 0
    try:
        with closing(HashedFile(path)) as file:
            file.write(_BOM + ",".join(columns_of(kind)).encode() + b"\r\n")
            for batch in batches:
                left_out.look(batch)
                for start in range(0, batch.num_rows, _LINES_AT_ONCE):
                    part = batch.slice(start, _LINES_AT_ONCE)
                    like_formulas += _write(file, kind, part)
                    line_items += part.num_rows
    except BaseException:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        raise
    left_out.tell(note)
    if like_formulas:
        begin = "values begin" if like_formulas != 1 else "value begins"
        note(
            f"{like_formulas:,} {begin} like a formula, with =, +, - or @. Excel may compute it when the CSV is "
            "opened by a double click. Import the file with Power Query instead, or take the format xlsx."
        )
    return receipt_of(file, line_items)


def _write(file: HashedFile, kind: Kind, batch: pa.RecordBatch) -> int:
    """Append some lines; returns how many of their values look like formulas."""
    columns = []
    like_formulas = 0
    for column in columns_of(kind).values():
        texts = texts_of(batch, column.name)
        if column.type is Type.TEXT:
            like_formulas += pc.sum(pc.match_substring_regex(texts, _LIKE_A_FORMULA)).as_py() or 0
        columns.append(_quoted(texts))
    columns[-1] = pc.binary_join_element_wise(columns[-1], "", "\r\n")
    lines = pc.binary_join_element_wise(*columns, ",")
    file.write(pc.binary_join(pa.ListArray.from_arrays([0, len(lines)], lines), "")[0].as_buffer())
    return like_formulas


def _quoted(texts: pa.Array) -> pa.Array:
    needy = pc.match_substring_regex(texts, _TO_QUOTE)
    if not pc.any(needy).as_py():
        return texts
    doubled = pc.replace_substring(texts, '"', '""')
    return pc.if_else(needy, pc.binary_join_element_wise('"', doubled, '"', ""), texts)
