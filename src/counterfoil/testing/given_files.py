"""What is given to a server for tests becomes files, and errors about those files speak of what was given.

The trap: an error that names the temporary file, or a parameter of another command, sends its reader looking for
something that does not exist.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from counterfoil.errors import CounterfoilError

LineItem = Mapping[str, Any]
LineItems = str | Path | bytes | LineItem | Iterable[LineItem | bytes]

_REMEDIES: Final = {  # where the usual remedy is an option that the caller does not have
    "allow_rejects": "Correct the line item.",
    "rejects": "Correct the line item.",
}


def as_file(given: LineItems, path: Path) -> str:
    """Return the name of a file with what was given; `path` is where one is made, if need be.

    Raises TypeError for a value that no line item can hold.
    """
    if isinstance(given, str | Path):
        return str(given)
    with path.open("wb") as file:
        if isinstance(given, bytes):
            file.write(given)
        else:
            for each in [given] if isinstance(given, Mapping) else given:
                file.write(each if isinstance(each, bytes) else json.dumps(dict(each), default=_text).encode() + b"\n")
    return str(path)


@contextmanager
def told_as(names: Mapping[str, str], parameters: Iterable[str]) -> Iterator[None]:
    """Have errors name files as the caller knows them, and parameters that the caller can give only.

    `names` gives, for the path of a temporary file, what the caller calls it.
    """
    try:
        yield
    except CounterfoilError as error:
        named = {each.partition("=")[0] for each in error.parameter.split()}
        if named - set(parameters):
            error.remedy = next((_REMEDIES[name] for name in sorted(named & _REMEDIES.keys())), error.remedy)
            error.parameter = ""
        for path, name in names.items():
            for known in (path, os.path.realpath(path)):
                _rename(error, known, name)
        raise


def _rename(error: CounterfoilError, path: str, name: str) -> None:
    error.args = tuple(each.replace(path, name) if isinstance(each, str) else each for each in error.args)
    for fact, value in vars(error).items():
        if isinstance(value, str) and path in value:
            setattr(error, fact, value.replace(path, name))


def _text(value: object) -> str:
    """Write what JSON has no word for. A number in quotes is read as that number, digit for digit."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is nothing that a line item can hold: {value!r}")
