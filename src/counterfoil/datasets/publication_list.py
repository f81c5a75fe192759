"""A list of what to publish: one file a line, with what is known of it beforehand, as CSV or TOML.

    file,partner,issuer,kind,invoice,period,currency,segment
    resellers/a.jsonl,aaaaaaaa-...,0e195b37-...,usage,,2026-11,EUR,

    [[dataset]]
    file = ["a-1.jsonl", "a-2.jsonl"]
    period = "2026-11"

Only `file` must be there. Paths are relative to the folder of the list, so that a list moves with its files. A list
with a mistake is refused whole, naming the line: half of a list is nobody's intention.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from counterfoil.datasets.check import Assertions
from counterfoil.datasets.csv_lists import refuse_unknown, rows_of, text_of
from counterfoil.datasets.gathering import Input
from counterfoil.errors import InputError, UsageError
from counterfoil.model import WHOLE, segment_name

_ASSERTED: Final = ("partner", "issuer", "kind", "invoice", "period", "currency")
_KEYS: Final = ("file", *_ASSERTED, "segment")
_TABLE: Final = "dataset"


def read_list(path: Path) -> list[Input]:
    """Return the inputs that a list names, in its order; raises InputError and UsageError, naming the line."""
    text = text_of(path)
    entries = _of_toml(text, path) if path.suffix.lower() == ".toml" else rows_of(text, path, _KEYS)
    inputs = [each for where, entry in entries for each in _inputs(entry, where, path)]
    if not inputs:
        raise InputError("lists no files", file=str(path), remedy="Give each file a line of its own.")
    return inputs


def _of_toml(text: str, path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        parsed = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"is not TOML: {error}", file=str(path)) from error
    entries = parsed.pop(_TABLE, [])
    if parsed or not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(
            f"holds other things than [[{_TABLE}]] tables", file=str(path), remedy=f"Give each a [[{_TABLE}]] table."
        )
    yield from enumerate(entries, 1)


def _inputs(entry: Mapping[str, Any], where: int, path: Path) -> Iterator[Input]:
    """Yield the files of an entry; `where` is its line, or which table it is."""
    refuse_unknown(entry, where, path, _KEYS)
    given = entry.get("file", "")
    files = given if isinstance(given, list) else [given]
    texts = {name: entry.get(name, "") for name in (*_ASSERTED, "segment")}
    if not files or not all(isinstance(each, str) for each in (*files, *texts.values())):
        raise InputError("names no file, or holds other things than texts", file=str(path), line=where)
    if any(not file or "\0" in file for file in files):
        raise InputError("names no file", file=str(path), line=where, attribute="file")
    segment = texts.pop("segment") or WHOLE
    try:
        asserted = Assertions.read(**texts)
        for file in files:
            yield Input(str(path.parent / file), asserted, segment_name(segment))
    except (UsageError, ValueError) as error:
        remedy = error.remedy if isinstance(error, UsageError) else "A kind is reconciliation or usage."
        reason = error.message if isinstance(error, UsageError) else f"{texts['kind']!r} is not a kind."
        raise InputError(reason.rstrip("."), file=str(path), line=where, remedy=remedy) from error
