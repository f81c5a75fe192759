"""Writing a page as one file: its template, its one style and one script, which its own policy names by hash.

The trap: what a name holds comes from strangers' files. The templates escape everything, and characters that cannot be
seen, or that turn the direction of a text round, are written as their codes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from counterfoil.printable_text import counted, printable
from counterfoil.reconcile.reports.report_file import new_file, private_text

_ROOM: Final = "counterfoil.reconcile.reports"
_FILES: Final = "page_files"
_BRIEF: Final = 200  # characters of a name
_PIECE: Final = 64  # pieces of a template that are written at once


def write_page(path: Path, template: str, values: Mapping[str, object]) -> None:
    """Write a page; raises UsageError where there is something of that name, and CounterfoilError."""
    style, script = _text("page.css"), _text("page.js")
    stream = (
        environment()
        .get_template(template)
        .stream(**values, style=style, script=script, style_hash=_hash(style), script_hash=_hash(script))
    )
    stream.enable_buffering(_PIECE)
    with new_file(path) as fresh, open(private_text(fresh), "w", encoding="utf-8", newline="\n") as file:  # noqa: PTH123
        file.writelines(stream)


def _brief(text: str, most: int = _BRIEF) -> str:
    return printable(text if len(text) <= most else f"{text[:most]} ...")


def _grouped(count: int) -> str:
    return f"{count:,}"


@cache
def _text(name: str) -> str:
    return files(_ROOM).joinpath(_FILES, name).read_text(encoding="utf-8")


@cache
def environment() -> Environment:
    """Return what pages are made by: names that are not given, and conditions without `else`, are errors in it."""
    environment = Environment(
        loader=PackageLoader(_ROOM, _FILES),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalized,
    )
    environment.filters |= {"brief": _brief, "grouped": _grouped, "counted": counted}
    return environment


def _finalized(value: Any) -> Any:
    """Keep a value that is no text as it is; `None` and lists in a page are a fault of its template."""
    assert isinstance(value, str | int), value
    return value


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
