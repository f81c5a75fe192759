"""Lists that an operator keeps as CSV: a header with names that are known, the first of which must be there."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from counterfoil.errors import InputError

LIST_SIZE_BYTES_MAX: Final = 256 << 20


def text_of(path: Path) -> str:
    """Return the text of a list; raises InputError."""
    try:
        if path.stat().st_size > LIST_SIZE_BYTES_MAX:
            raise InputError("is too large for a list", file=str(path), remedy="Name the list, not the data.")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(
            f"cannot be read: {error.strerror or error}", file=str(path), remedy="Check the path."
        ) from error
    except UnicodeDecodeError as error:
        raise InputError("is not UTF-8 text", file=str(path), remedy="Save the list as UTF-8.") from error


def rows_of(text: str, path: Path, names: Sequence[str]) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Yield the rows of a list, each with its line; commas, semicolons or tabs separate. Raises InputError."""
    delimiter = next((each for each in ",;\t" if names[0] in _header(text, each)), "")
    header = _header(text, delimiter or ",")
    if not delimiter or len(set(header)) < len(header):
        raise InputError(
            "has two columns of one name" if delimiter else "has no header of its own",
            file=str(path),
            line=1,
            remedy=f"The first line names the columns: {','.join(names)}; only {names[0]} must be there.",
        )
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if reader.line_num == 1 or not any(cell.strip() for cell in row):
                continue
            if len(row) != len(header):
                raise InputError(
                    f"has {len(row)} fields where the header has {len(header)}", file=str(path), line=reader.line_num
                )
            values = {name: cell.strip() for name, cell in zip(header, row, strict=True) if name}
            refuse_unknown(values, reader.line_num, path, names)
            yield reader.line_num, values
    except csv.Error as error:
        raise InputError(f"is not CSV: {error}", file=str(path), line=reader.line_num) from error


def refuse_unknown(values: Mapping[str, Any], line: int, path: Path, names: Sequence[str]) -> None:
    """Raise InputError for a name that is not one of a list's."""
    if unknown := [name for name in values if name not in names]:
        raise InputError(
            f"{unknown[0]!r} is unknown in a list",
            file=str(path),
            line=line,
            remedy=f"It may hold {', '.join(names)}.",
        )


def _header(text: str, delimiter: str) -> list[str]:
    first = text.split("\n", 1)[0].rstrip("\r")
    return [name.strip().strip('"').lower() for name in first.split(delimiter)]
