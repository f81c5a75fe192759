"""Files made anonymous: read twice, for what names somebody and then line by line, so memory stays flat.

The result appears as a whole: it is made beside the folder and takes its name at the end. File names of the input are
not used, for they hold ids too.
"""

from __future__ import annotations

import csv
import io
import re
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

from counterfoil import numbers
from counterfoil.anonymizing.line_anonymizer import LineAnonymizer, ObjectPairs, TellingNames, parsed, spelled
from counterfoil.anonymizing.pseudonyms import KEY_BYTES_MIN, Pseudonyms
from counterfoil.client import Receipt
from counterfoil.datasets.csv_header import CsvHeader, header_of
from counterfoil.datasets.folder import contents_of_folder
from counterfoil.datasets.input_formats import recognise
from counterfoil.datasets.source import STANDARD_INPUT, Source
from counterfoil.disk.durability import create_durably
from counterfoil.errors import CounterfoilError, InputError, UsageError
from counterfoil.generator import write
from counterfoil.line_items.blocks import LINE_SIZE_BYTES_MAX
from counterfoil.line_items.values import ATTRIBUTES_MAX, Refused
from counterfoil.model import Kind

_GZIP: Final = b"\x1f\x8b"
_MONTH: Final = re.compile(r"(?<![0-9])[0-9]{4}-(?:0[1-9]|1[0-2])(?![0-9])", re.ASCII)
_ONE: Final = Decimal(1)
_KEY: Final = re.compile(r"[0-9a-f]{32,}", re.ASCII)


@dataclass(frozen=True, slots=True)
class AnonymizedFile:
    """A file that was written: its name in the folder, the kind of its line items, and how many there are."""

    name: str
    kind: Kind
    line_items: int


@dataclass(frozen=True, slots=True)
class _Original:
    path: Path
    month: str


def read_or_make_key(path: Path) -> tuple[bytes, bool]:
    """Return the key in a file, and whether it was made now because there was no such file. Raises UsageError."""
    is_new = not path.exists()
    try:
        if is_new:
            create_durably(path, secrets.token_hex(32).encode() + b"\n")
        text = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise UsageError(f"The key {path} cannot be read or made: {reason}.", remedy="Name another file.") from error
    if not _KEY.fullmatch(text):
        raise UsageError(
            f"{path} holds no key.", remedy="A key is 32 hexadecimal digits or more. Name a new file to have one made."
        )
    return bytes.fromhex(text if len(text) % 2 == 0 else text[:-1]), is_new


def anonymize(
    paths: Iterable[Path],
    to: Path,
    *,
    key: bytes,
    scale: Decimal = _ONE,
    keep: Iterable[str] = (),
    progress: Callable[[int], None] = lambda _: None,
) -> list[AnonymizedFile]:
    """Write files or pulls anew into a folder, which must be new or empty, without what says whose they are.

    The same value gets the same pseudonym under the same `key`. Amounts are multiplied by `scale`, exactly; attributes
    named in `keep` stay as they are. `progress` is told of line items as they are written. Raises UsageError, and
    InputError for a file that cannot be read; then nothing is written.
    """
    if len(key) < KEY_BYTES_MIN:
        raise UsageError(f"The key has {len(key)} bytes.", remedy=f"Give at least {KEY_BYTES_MIN}.", parameter="key")
    if not scale.is_finite() or scale <= 0 or numbers.why_not_a_number(str(scale)):
        raise UsageError(f"{scale} cannot scale amounts.", remedy="Give a number above 0.", parameter="scale")
    originals = [each for path in paths for each in _originals(path)]
    _refuse_used(to, originals)
    pseudonyms, names, kept = Pseudonyms(key), TellingNames(), frozenset(keep)
    for original in originals:
        with Source(str(original.path)) as source:
            reading = _Reading(source, pseudonyms, names, scale, kept)
            for pairs in reading.line_items():
                for name, value in pairs:
                    reading.anonymizer.learn(name, value)
    to.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{to.name}-", dir=to.parent))
    try:
        written = []
        for number, original in enumerate(originals, 1):
            with Source(str(original.path)) as source:
                reading = _Reading(source, pseudonyms, names, scale, kept)
                month = f"-{original.month}" if original.month else ""
                name = f"{reading.kind}{month}-{number:05}{reading.suffix}"
                write(reading.spelled(progress), made / name)
                written.append(AnonymizedFile(name, reading.kind, reading.count))
        made.chmod(0o700)
        if to.exists():
            to.rmdir()  # it is empty; Windows replaces no folder
        made.rename(to)
    except OSError as error:
        raise CounterfoilError(f"{to} cannot be written: {error.strerror}.", remedy="Name another folder.") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return written


class _Reading:
    """One file that is read, and how it is spelled anew."""

    def __init__(
        self, source: Source, pseudonyms: Pseudonyms, names: TellingNames, scale: Decimal, keep: frozenset[str]
    ) -> None:
        found = recognise(source)
        self.kind, self.count = found.kind, 0
        self.anonymizer = LineAnonymizer(found.kind, pseudonyms, names, scale=scale, keep=keep)
        self._source, self._found = source, found
        self._header = header_of(source.head, source.name) if found.csv_rows is not None else None
        packed = ".gz" if _is_packed(Path(source.name)) else ""
        self.suffix = (".csv" if self._header else ".jsonl") + packed

    def line_items(self) -> Iterator[Sequence[tuple[str, Any]]]:
        """Yield the attributes of each line item; raises InputError for what is none."""
        if self._header is not None:
            yield from self._rows(self._header)
            return
        for lines, line_numbers in self._lines():
            for line, number in zip(lines, line_numbers, strict=True):
                if line.strip():
                    yield _pairs(line, self._source.name, int(number))

    def spelled(self, progress: Callable[[int], None]) -> Iterator[bytes]:
        """Yield the file anew, in the format that it has: CSV, or else JSON lines."""
        lines = (self.anonymizer.line(pairs) for pairs in self.line_items())
        if self._header is not None:
            yield _csv_row([self.anonymizer.name(name) for name in self._header.names], self._header.delimiter)
        for pairs in lines:
            self.count += 1
            progress(1)
            if self._header is not None:
                yield _csv_row([value for _, value in pairs], self._header.delimiter)
            else:  # half a surrogate pair becomes an escape again
                yield spelled(ObjectPairs(pairs)).encode("utf-8", "backslashreplace") + b"\n"

    def _lines(self) -> Iterator[tuple[Sequence[bytes], Sequence[int]]]:
        if self._found.numbered_lines is not None:
            yield from self._found.numbered_lines(self._refuse)
            return
        for block in self._source.blocks():
            lines = block.lines()
            yield lines, range(block.first_line, block.first_line + len(lines))

    def _rows(self, header: CsvHeader) -> Iterator[Sequence[tuple[str, Any]]]:
        names = header.names
        if len(names) > ATTRIBUTES_MAX:
            raise InputError(f"the header has more than {ATTRIBUTES_MAX:,} columns", file=self._source.name, line=1)
        csv.field_size_limit(LINE_SIZE_BYTES_MAX)
        texts = islice(self._texts(), header.last_line, None)
        reader = csv.reader(texts, delimiter=header.delimiter, strict=True, skipinitialspace=header.is_padded)
        try:
            for row in reader:
                line = header.last_line + reader.line_num
                if row and len(row) != len(names):
                    reason = f"has {len(row)} fields where the header has {len(names)}"
                    raise InputError(reason, file=self._source.name, line=line)
                if row:
                    yield list(zip(names, row, strict=True))
        except csv.Error as error:
            line = header.last_line + reader.line_num
            raise InputError(f"not CSV: {error}", file=self._source.name, line=line) from error

    def _texts(self) -> Iterator[str]:
        for block in self._source.blocks():
            try:
                text = bytes(block.data).decode()
            except UnicodeDecodeError as error:
                remedy = "Save it as CSV UTF-8."
                raise InputError("not UTF-8", file=self._source.name, line=block.first_line, remedy=remedy) from error
            yield from io.StringIO(text + "\n", newline="")

    def _refuse(self, line: int, refused: Refused) -> None:
        raise InputError(
            refused.reason, file=self._source.name, line=line, attribute=refused.attribute, remedy=refused.remedy
        )


def _pairs(line: bytes, file: str, number: int) -> ObjectPairs:
    try:
        value = parsed(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InputError("not a line of JSON", file=file, line=number) from error
    if not isinstance(value, ObjectPairs):
        raise InputError("not a JSON object", file=file, line=number, remedy="Each line is one line item, {...}.")
    return value


def _csv_row(values: Iterable[str], delimiter: str) -> bytes:
    row = io.StringIO(newline="")
    csv.writer(row, delimiter=delimiter).writerow(values)
    return row.getvalue().encode("utf-8", "backslashreplace")


def _originals(path: Path) -> list[_Original]:
    """Return the files of a path: itself, the data of a pull, or all line item files of a folder."""
    if str(path) == STANDARD_INPUT:
        raise UsageError("Standard input cannot be read twice.", remedy="Name a file.")
    if not path.is_dir():
        return [_Original(path, _month_in(path.name))]
    receipt = Receipt.read(path)
    if receipt is None:
        found = [Path(given.name) for given in contents_of_folder(path).inputs]
        return [_Original(each, _month_in(str(each.relative_to(path)))) for each in found]
    if not receipt.exact_formats:
        raise UsageError(f"{path} holds a workbook, which is for people.", remedy="Pull as blobs, Parquet or CSV.")
    month = receipt.request.get("month", "")
    return [_Original(path / file.name, month) for file in receipt.files_in(receipt.exact_formats[0])]


def _month_in(name: str) -> str:
    return next(iter(reversed(_MONTH.findall(name))), "")


def _is_packed(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == _GZIP


def _refuse_used(to: Path, originals: Sequence[_Original]) -> None:
    """Raise UsageError for a folder that holds anything, or is where the originals are."""
    if not originals:
        raise UsageError("There is nothing to make anonymous.", remedy="Name files or pulls.")
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise UsageError(f"{to} is there already, and is no empty folder.", remedy="Name another folder.")
    within = {parent.resolve() for parent in chain.from_iterable(each.path.parents for each in originals)}
    if to.exists() and to.resolve() in within:
        raise UsageError(f"{to} holds the originals.", remedy="Name another folder.")
