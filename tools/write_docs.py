"""Writes the parts of docs/ that are made from the code: settings, commands, attributes.

`make docs` runs it, and a test fails when what it would write differs from what is there. Words that people should
choose belong into the hand-written parts; here is only what would otherwise go stale.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path

import click

from counterfoil.cli import COMMANDS, main
from counterfoil.columns import Codec, Column, LineItemTable, table_of
from counterfoil.model import Kind
from counterfoil.settings import OTHER_VARIABLES, PREFIX, Profile, Settings

DOCS = Path(__file__).parent.parent / "docs"
TICK, BOX = "✓", "☐"
CODECS = {
    Codec.SAME: "as it is",
    Codec.RATE: "as a rate: `15` is `0.15`",
    Codec.RESELLER: "empty is `0`",
    Codec.LIST: "as an array",
    Codec.CHARGE_TYPE: "`Purchase` is `New`, `Refund` is `Cancel`",
    Codec.PRESENT: 'as it is, and `""` where it is absent',
}


def pages() -> dict[Path, str]:
    """Return what each page should hold."""
    parts = {
        "settings.md": {"settings": settings(), "profiles": profiles(), "variables": variables()},
        "commands.md": {"commands": "\n\n".join(commands())},
        "apis.md": {kind.value: attributes(table_of(kind)) for kind in Kind},
    }
    return {DOCS / name: _filled((DOCS / name).read_text(encoding="utf-8"), made) for name, made in parts.items()}


def settings() -> str:
    """All settings: file, environment, default and what they are for."""
    rows = (
        (f"`{each.name}`", f"`{PREFIX}{each.name.upper()}`", _default(each.default), each.metadata["about"])
        for each in fields(Settings)
        if each.name != "profiles"
    )
    return _table(("In the file", "In the environment", "Default", "What it is"), rows)


def profiles() -> str:
    """What a `[profiles.NAME]` table may hold."""
    rows = ((f"`{e.name}`", _default(e.default), e.metadata["about"]) for e in fields(Profile) if e.name != "name")
    return _table(("Key", "Default", "What it is"), rows)


def variables() -> str:
    """The variables that are no settings."""
    return _table(
        ("In the environment", "What it is"), ((f"`{name}`", about) for name, about in OTHER_VARIABLES.items())
    )


def commands() -> Iterator[str]:
    """One section for each command: usage, text and options, as `--help` tells them."""
    context = click.Context(main, info_name="counterfoil")
    yield from _command("counterfoil", main, context, of_all=True)
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command is not None
        yield from _command(f"counterfoil {name}", command, context)


def _command(path: str, command: click.Command, parent: click.Context, *, of_all: bool = False) -> Iterator[str]:
    context = click.Context(command, info_name=path.rpartition(" ")[2], parent=None if of_all else parent)
    usage = " ".join(command.collect_usage_pieces(context))
    options = [each for each in command.get_params(context) if isinstance(each, click.Option)]
    records = [record for option in options if (record := option.get_help_record(context))]
    rows = [(f"`{spelled}`", _one_line(about)) for spelled, about in records]
    prose = re.sub(r"\x08\n", "\n", (command.help or "").strip())
    yield f"## `{path}`\n\n```text\n{path} {usage}\n```\n\n{_quoted(prose)}"
    yield _table(("Option", "What it does"), rows)
    if isinstance(command, click.Group) and not of_all:
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _command(f"{path} {name}", inner, context)


def attributes(table: LineItemTable) -> str:
    """The attributes of one kind of line item, in both APIs."""
    rows = (
        (
            f"`{column.name}`" if column.graph else BOX,
            column.type.value,
            TICK if column.graph else BOX,
            TICK if column.graph and column.basic else BOX,
            f"`{column.v1}`" if column.v1 else BOX,
            _v1_value(column),
        )
        for column in table.columns
    )
    return _table(("Graph", "Type", "`full`", "`basic`", "Partner Center v1", "Value in v1"), rows)


def _v1_value(column: Column) -> str:
    return CODECS[column.codec] if column.v1 else ""


def _default(value: object) -> str:
    return "" if value is None or value == "" else f"`{value}`"


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _quoted(prose: str) -> str:
    """Help texts hold examples as indented blocks; Markdown wants them fenced."""
    paragraphs = []
    for paragraph in prose.split("\n\n"):
        lines = paragraph.strip("\n").splitlines()
        indented = [line for line in lines if line.startswith("  ")]
        plain = [line for line in lines if not line.startswith("  ")]
        paragraphs += ["\n".join(plain)] if plain else []
        paragraphs += ["```text\n" + "\n".join(line[2:] for line in indented) + "\n```"] if indented else []
    return "\n\n".join(paragraphs)


def _table(headings: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (headings, tuple("---" for _ in headings), *rows))


def _filled(page: str, made: dict[str, str]) -> str:
    """Put each made part between its two marks."""
    for name, text in made.items():
        begin, end = f"<!-- made: {name} -->", f"<!-- end: {name} -->"
        before, _, rest = page.partition(begin)
        _, found, after = rest.partition(end)
        assert found, f"the page lacks {begin} and {end}"
        page = f"{before}{begin}\n\n{text}\n\n{end}{after}"
    return page


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path.relative_to(DOCS.parent)}")
