"""A ledger in an Excel workbook (.xlsx), row by row, its numbers as Excel shows them.

A number is a double, of which 15 digits were entered. Two traps: a cell may hold a formula that nobody has calculated
since a program wrote it, and would look empty or like 0; and a workbook says how large a sheet is, often wrongly.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import date, datetime
from itertools import islice, repeat
from pathlib import Path
from typing import IO, Any, Final, Self

import openpyxl

from counterfoil.errors import InputError, SideError
from counterfoil.line_items.values import NumberText
from counterfoil.reconcile.sides.ledgers.ledger_table import LedgerRow, LedgerTable, Uncalculated, shown_double

_ROWS_AT_ONCE: Final = 1_000
_SHEET_SIZE_BYTES_MAX: Final = 8 << 30  # which is read as a stream
_HELD_SIZE_BYTES_MAX: Final = 256 << 20  # of all texts, for instance, which are held
_ROW_SIZE_BYTES_MAX: Final = 8 << 20  # of XML, unpacked; the library holds the whole of a row
_SHEETS: Final = "xl/worksheets/"
_SEARCHED_AT_ONCE_BYTES: Final = 1 << 20
_FORMULA_MARKS: Final = (b"<f>", b"<f ")
_MIDNIGHT: Final = "T00:00:00"


def workbook_ledger(path: Path, name: str, sheet: str) -> LedgerTable:
    """Return the table in a sheet, the only one where none is named; raises InputError and SideError."""
    has_formulas = _look_into(path, name)
    with _opened(path, name) as book:
        chosen = _chosen_sheet(book, name, sheet)
        is_stale = bool(book.calculation is not None and book.calculation.fullCalcOnLoad)
    where = f"{name}, sheet {chosen!r}"

    def rows() -> Iterator[LedgerRow]:
        with _opened(path, name) as values:
            shown = _cells(values[chosen], where)
            if not has_formulas:
                for line, cells in enumerate(shown, 1):
                    yield LedgerRow(line, [_text(cell.value) for cell in cells])
                return
            with _opened(path, name, formulas=True) as formulas:
                pairs = zip(shown, _cells(formulas[chosen], where), strict=True)
                for line, (cells, sources) in enumerate(pairs, 1):
                    yield LedgerRow(line, list(map(_calculated, cells, sources, repeat(is_stale))))

    return LedgerTable(where, rows)


def _look_into(path: Path, name: str) -> bool:
    """Return whether a workbook has formulas; raises InputError for a file that is none, or unpacks to too much."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if not any(each.startswith(_SHEETS) for each in names):
                raise InputError(
                    "is no Excel workbook that can be read (.xlsx)",
                    file=name,
                    remedy="Save it as Excel workbook (.xlsx) or as CSV UTF-8, and give that.",
                )
            for each in archive.infolist():
                most = _SHEET_SIZE_BYTES_MAX if each.filename.startswith(_SHEETS) else _HELD_SIZE_BYTES_MAX
                if each.file_size > most:
                    raise InputError(
                        f"unpacks to more than can be read: {each.filename}",
                        file=name,
                        remedy="Save the sheet as CSV UTF-8.",
                    )
            return any(_has_formulas(archive, each) for each in names if each.startswith(_SHEETS))
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise _damaged(name, error) from error


def _has_formulas(archive: zipfile.ZipFile, member: str) -> bool:
    with archive.open(member) as file:
        before = b""
        while piece := file.read(_SEARCHED_AT_ONCE_BYTES):
            if any(mark in before + piece for mark in _FORMULA_MARKS):
                return True
            before = piece[-2:]
    return False


@contextmanager
def _opened(path: Path, name: str, *, formulas: bool = False) -> Iterator[Any]:
    with path.open("rb") as file:  # of a path the library believes the end of the name
        try:
            with warnings.catch_warnings():  # of styles and of what only Excel can show
                warnings.simplefilter("ignore")
                book = openpyxl.load_workbook(file, read_only=True, data_only=not formulas, keep_links=False)
        except Exception as error:
            raise _damaged(name, error) from error
        with closing(book):
            yield book


def _chosen_sheet(book: Any, name: str, asked: str) -> str:
    titles = [str(sheet.title) for sheet in book.worksheets]
    if asked:
        found = next((title for title in titles if title.casefold() == asked.casefold()), None)
        if found is None:
            raise SideError(
                f"{name} has no sheet {asked!r}; it has {_listed(titles)}.",
                remedy="Name one of them, as sheet under [source] of the mapping.",
                parameter="sheet",
            )
        return found
    visible = [str(sheet.title) for sheet in book.worksheets if sheet.sheet_state == "visible"]
    if len(visible) != 1:
        raise SideError(
            f"{name} has {len(visible)} sheets: {_listed(visible)}.",
            remedy="Say which is the ledger, as sheet under [source] of the mapping.",
            parameter="sheet",
        )
    return visible[0]


def _listed(titles: Sequence[str]) -> str:
    return ", ".join(map(repr, titles[:8])) + (", ..." if len(titles) > 8 else "")


class SheetSource:
    """The XML of a sheet, of which the library may read so much from one row to the next: see `row_is_read`."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._left = file, _ROW_SIZE_BYTES_MAX

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the sheet."""
        self._file.close()

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes; raises ValueError where one row takes too many."""
        piece = self._file.read(size)
        self._left -= len(piece)
        if self._left < 0:
            raise ValueError(f"a row unpacks to more than {_ROW_SIZE_BYTES_MAX:,} bytes")
        return piece

    def row_is_read(self) -> None:
        """Begin to count anew."""
        self._left = _ROW_SIZE_BYTES_MAX


def _bounded_rows(sheet: Any) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a sheet, none of which takes unbounded memory however well it is packed."""
    source = SheetSource(sheet._get_source())  # noqa: SLF001 - the library has no limit of its own
    sheet._get_source = lambda: source  # noqa: SLF001
    for row in sheet.iter_rows():
        source.row_is_read()
        yield row


def _cells(sheet: Any, where: str) -> Iterator[tuple[Any, ...]]:
    sheet.reset_dimensions()
    rows = _bounded_rows(sheet)
    while True:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                some = list(islice(rows, _ROWS_AT_ONCE))
        except Exception as error:
            raise _damaged(where, error) from error
        if not some:
            return
        yield from some


def _calculated(cell: Any, source: Any, is_stale: bool) -> str:
    is_formula = source.data_type == "f"
    if is_formula and (cell.value is None or is_stale):
        return Uncalculated(source.value if isinstance(source.value, str) else "=")
    return _text(cell.value)


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return str(value).lower()
        case int() if abs(value) < 10**15:
            return NumberText(value)
        case int() | float():
            return NumberText(shown_double(float(value)))
        case datetime():
            return NumberText(value.isoformat(timespec="seconds").removesuffix(_MIDNIGHT))
        case date():
            return NumberText(value.isoformat())
        case _:
            return str(value)


def _damaged(name: str, error: BaseException) -> InputError:
    why = str(error).partition("\n")[0].rstrip(". ") or type(error).__name__
    return InputError(
        f"the workbook is damaged: {why}", file=name, remedy="Open it in Excel or LibreOffice, and save it again."
    )
