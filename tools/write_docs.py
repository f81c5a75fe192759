"""Writes the parts of docs/ that are made from the code: settings, commands, attributes, faults.

`make docs` runs it, and a test fails when what it would write differs from what is there. Words that people should
choose belong into the hand-written parts; here is only what would otherwise go stale.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from enum import Enum, StrEnum
from functools import partial
from inspect import Parameter, cleandoc, getdoc, isfunction, signature
from itertools import groupby
from pathlib import Path
from textwrap import dedent

import click

from counterfoil.cli import COMMANDS, main
from counterfoil.client import (
    Api,
    AsyncClient,
    Client,
    ClientCredentials,
    Export,
    Format,
    Options,
    Patience,
    Progress,
    Proof,
    Receipt,
    SigningCertificate,
    SourceBlob,
    SourceManifest,
    Watcher,
    ask_billed,
    ask_unbilled,
)
from counterfoil.columns import Codec, Column, LineItemTable, table_of
from counterfoil.errors import CounterfoilError, FullDiskError, LockedError, SourceError, UsageError
from counterfoil.model import AttributeSet, Kind
from counterfoil.reconcile.auditing.auditor import RULES
from counterfoil.reconcile.auditing.rule import AuditRule
from counterfoil.settings import OTHER_VARIABLES, PREFIX, Profile, Settings
from counterfoil.testing.faults.fault import Route, ServerFault
from counterfoil.testing.faults.fault_plan import FAULTS
from tests.client.fault_outcomes import outcomes_of

DOCS = Path(__file__).parent.parent / "docs"
REFERENCE: tuple[Callable[..., object], ...] = (
    Client,
    AsyncClient,
    Options,
    ask_billed,
    ask_unbilled,
    ClientCredentials,
    SigningCertificate,
    Kind,
    AttributeSet,
    Api,
    Format,
    Receipt,
    Proof,
    Export,
    SourceManifest,
    SourceBlob,
    Patience,
    Watcher,
    Progress,
)
MADE_BY_USERS = {Client, AsyncClient, ClientCredentials, SigningCertificate, Patience}
TICK, BOX = "✓", "☐"
CODECS = {
    Codec.SAME: "as it is",
    Codec.RATE: "as a rate: `15` is `0.15`",
    Codec.RESELLER: "empty is `0`",
    Codec.LIST: "as an array",
    Codec.CHARGE_TYPE: "`Purchase` is `New`, `Refund` is `Cancel`",
    Codec.PRESENT: 'as it is, and `""` where it is absent',
}


def made(page: str) -> str:
    """Return what a page should hold: its own words, and between its marks what is made from the code."""
    text = (DOCS / page).read_text(encoding="utf-8")
    for name, make in PARTS[page].items():
        begin, end = f"<!-- made: {name} -->", f"<!-- end: {name} -->"
        before, _, rest = text.partition(begin)
        _, found, after = rest.partition(end)
        assert found, f"{page} lacks {begin} and {end}"
        text = f"{before}{begin}\n\n{make()}\n\n{end}{after}"
    return text


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


def commands() -> str:
    """One section for each command: usage, text and options, as `--help` tells them."""
    context = click.Context(main, info_name="counterfoil")
    parts = list(_command("counterfoil", main, context, of_all=True))
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command is not None
        parts += _command(f"counterfoil {name}", command, context)
    return "\n\n".join(parts)


def _command(path: str, command: click.Command, parent: click.Context, *, of_all: bool = False) -> Iterator[str]:
    context = click.Context(command, info_name=path.rpartition(" ")[2], parent=None if of_all else parent)
    usage = " ".join(command.collect_usage_pieces(context))
    everywhere = set() if of_all else {each.name for each in main.params}
    options = [
        each for each in command.get_params(context) if isinstance(each, click.Option) and each.name not in everywhere
    ]
    records = [record for option in options if (record := option.get_help_record(context))]
    rows = [(f"`{_one_line(spelled)}`", _one_line(about)) for spelled, about in records if "--help" not in spelled]
    prose = cleandoc(command.help or "").replace("\b\n", "")
    yield f"## `{path}`\n\n```text\n{path} {usage}\n```\n\n{_quoted(prose)}"
    if rows:
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


def line_items(table: LineItemTable) -> str:
    """The attributes of one kind of line item: what each holds, and whether it may be left out."""
    holds = {"text": "a text", "number": "a number", "date": "an ISO 8601 date", "flag": "true or false"}
    rows = (
        (
            f"`{column.name}`",
            holds[column.type.value],
            "**required**" if column.required else "",
            "adds up to the dataset's total" if column.name in table.totals else "",
        )
        for column in sorted(table.columns, key=lambda column: not column.required)
    )
    return _table(("Attribute", "Holds", "Required", ""), rows)


def faults() -> str:
    """The faults that a server in development can be asked for, by what they are about."""
    headings = ("Fault", "What comes", "Strikes", "A good client", "Counterfoil's own")
    return "\n\n".join(
        f"### {group}\n\n{_table(headings, map(_fault, of_it))}"
        for group, of_it in groupby(FAULTS, key=lambda fault: fault.group)
    )


def _fault(fault: ServerFault) -> tuple[str, ...]:
    about = fault.about.replace("|", "\\|")
    for name, parameter in fault.parameters.items():
        about += f"; `{name}`: {parameter.about} (`{parameter.default}`)"
    where = "any" if len(fault.routes) == len(Route) else ", ".join(f"`{route}`" for route in fault.routes)
    at = f" {' and '.join(map(str, fault.at))}" if fault.at else ""
    often = {None: "", 1: ", once", 2: ", twice"}[fault.times]
    return f"`{fault.name}`", about, f"{where}{at}{often}", fault.outcome.value, outcomes_of(fault.name)


def _v1_value(column: Column) -> str:
    return CODECS[column.codec] if column.v1 else ""


def _default(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"`{each}`" for each in value)
    return "" if value is None or value == "" else f"`{value}`"


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _quoted(prose: str) -> str:
    """Help texts hold examples as indented lines; Markdown wants them fenced."""
    blocks = []
    for indented, lines in groupby(prose.splitlines(), key=lambda line: line.startswith("  ")):
        text = "\n".join(lines).strip("\n")
        blocks.append(f"```text\n{dedent(text)}\n```" if indented else text)
    return "\n\n".join(block for block in blocks if block)


def _table(headings: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (headings, tuple("---" for _ in headings), *rows))


def errors() -> str:
    """What a pull may raise, and whether it may be made again."""
    raised: list[type[CounterfoilError]] = [
        UsageError,
        LockedError,
        FullDiskError,
        SourceError,
        *SourceError.__subclasses__(),
    ]
    rows = ((f"`{each.__name__}`", str(each.exit_code), _one_line(getdoc(each) or "")) for each in raised)
    return _table(("Error", "`exit_code`", "What it means"), rows)


def clients() -> str:
    """The public names of the client: what they are made with, and what they can do."""
    return "\n\n".join(_class(each) if isinstance(each, type) else _function(each) for each in REFERENCE)


def _class(kind: type) -> str:
    parts = [f"### {kind.__name__}", getdoc(kind) or ""]
    if kind in MADE_BY_USERS:
        parts.insert(1, f"```text\n{kind.__name__}{_signature(kind, skipped=0)}\n```")
    if issubclass(kind, StrEnum):
        parts.append(", ".join(f"`{kind.__name__}.{each.name}`" for each in kind))
    for name, member in vars(kind).items():
        function = member.__func__ if isinstance(member, classmethod) else member
        if not name.startswith("_") and isfunction(function):
            parts += [f"`{name}{_signature(function)}`", getdoc(function) or ""]
    return "\n\n".join(part for part in parts if part)


def _function(function: Callable[..., object]) -> str:
    name = function.__name__
    return f"### {name}\n\n```text\n{name}{_signature(function, skipped=0)}\n```\n\n{getdoc(function)}"


def _signature(function: Callable[..., object], skipped: int = 1) -> str:
    """Names and, where they are short, defaults: types are for readers of the code, and for their editors."""
    words: list[str] = []
    for name, each in list(signature(function).parameters.items())[skipped:]:
        if each.kind is Parameter.KEYWORD_ONLY and "*" not in words:
            words.append("*")
        words.append(f"**{name}" if each.kind is Parameter.VAR_KEYWORD else f"{name}{_given(each.default)}")
    return f"({', '.join(words)})"


def _given(default: object) -> str:
    if default is Parameter.empty:
        return ""
    if isinstance(default, Enum):
        return f"={type(default).__name__}.{default.name}"
    return f"={default!r}" if default is None or isinstance(default, str | int | float) else "=..."


def audit_rules() -> str:
    """The table of the rules of the audit."""
    rows = [
        "| Rule | Demands | Severity | Line items | Source | Holds | Is broken by |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for rule in RULES:
        kinds = "both" if len(rule.kinds) > 1 else next(iter(rule.kinds)).value
        examples = f"{in_words(rule.passes, rule)} | {in_words(rule.fails, rule)}"
        rows.append(f"| `{rule.id}` | {rule.sentence} | {rule.severity.value} | {kinds} | {rule.source} | {examples} |")
    return "\n".join(rows)


def in_words(example: Mapping[str, str], rule: AuditRule) -> str:
    """An example of a rule, less what only tells the kind and the currency."""
    untold = {"UsageDate", "BillingCurrency", "Currency"} - set(rule.reads)
    told = {name: text for name, text in example.items() if name not in untold}
    return ", ".join(f"{name} {text or '(empty)'}".strip() for name, text in told.items())


PARTS: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "settings.md": {"settings": settings, "profiles": profiles, "variables": variables},
    "commands.md": {"commands": commands},
    "testing-your-client.md": {"faults": faults},
    "library.md": {"errors": errors, "clients": clients},
    "totals-and-audit.md": {"rules": audit_rules},
    "line-items.md": {kind.value: partial(line_items, table_of(kind)) for kind in Kind},
    "apis.md": {kind.value: partial(attributes, table_of(kind)) for kind in Kind},
}

if __name__ == "__main__":
    for page in PARTS:
        (DOCS / page).write_text(made(page), encoding="utf-8")
        print(f"wrote docs/{page}")
