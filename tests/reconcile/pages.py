"""An HTML report as tests read it: its elements, the exact amounts of each row of a table, and its text."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path

_VOID = {"meta", "input", "link", "img", "br"}


class Page(HTMLParser):
    """Reads a page once. `tables` has the rows of each table by its id or grouping: texts, and exact amounts."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.source = path.read_text(encoding="utf-8")
        self.elements: list[tuple[str, Mapping[str, str]]] = []
        self.inner: dict[str, str] = {}
        self.tables: dict[str, list[tuple[str, list[str]]]] = {}
        self._open: list[str] = []
        self._table = ""
        self._texts: list[str] = []
        self.feed(self.source)
        self.close()
        assert not self._open, self._open
        self.text = re.sub(r"\s+", " ", "".join(self._texts))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        self.elements.append((tag, told))
        if tag not in _VOID:
            self._open.append(tag)
        if tag == "table":
            self._table = told.get("id") or told.get("data-by") or ""
            self.tables.setdefault(self._table, [])
        elif tag == "tr":
            self.tables.setdefault(self._table, []).append(("", []))
        elif tag == "data":
            self.tables[self._table][-1][1].append(told["value"]) if self.tables else None

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        if {"script", "style"} & {*self._open[-1:]}:
            self.inner[self._open[-1]] = data
            return
        self._texts.append(data)
        if "tr" in self._open and self.tables.get(self._table):
            text, amounts = self.tables[self._table][-1]
            self.tables[self._table][-1] = (text + data, amounts)

    def all(self, tag: str) -> list[Mapping[str, str]]:
        """The attributes of each element of this name."""
        return [told for name, told in self.elements if name == tag]

    def amounts(self, table: str) -> list[list[str]]:
        """The exact amounts of each row that has any."""
        return [amounts for _, amounts in self.tables[table] if amounts]

    def check(self) -> None:
        """Nothing on it can load or run anything but its one style and script, and every link leads somewhere."""
        names = [name for name, _ in self.elements]
        assert names.count("script") == names.count("style") == names.count("h1") == names.count("main") == 1
        assert not {"img", "iframe", "object", "embed", "link", "base", "form", "video", "audio"} & {*names}
        used = {name for _, told in self.elements for name in told}
        assert not {name for name in used if name.startswith("on") or name in {"style", "src", "srcset", "action"}}
        ids = [told["id"] for _, told in self.elements if "id" in told]
        assert len(ids) == len({*ids})
        for link in self.all("a"):
            assert link["href"].startswith("#")
            assert link["href"][1:] in ids, link
        [policy] = [told["content"] for told in self.all("meta") if told.get("http-equiv")]
        style, script = (_hash(self.inner[name]) for name in ("style", "script"))
        expected = (
            f"default-src 'none'; style-src '{style}'; script-src '{script}'; base-uri 'none'; form-action 'none'"
        )
        assert policy == expected


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
