"""`counterfoil init`: write a profile into the settings file, asking for what the options leave out, and check it.

Nothing is overwritten: a profile of that name is refused, and a settings file that is there gets one more table at its
end. The secret itself is not asked for: it belongs into the environment, under a name that is.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click

from counterfoil.cli.doctor import report_source
from counterfoil.cli.options import invocation, load_settings, with_output
from counterfoil.cli.output import Output, OutputForm
from counterfoil.disk.durability import write_durably
from counterfoil.errors import UsageError
from counterfoil.profiles import FORMATS, read_profiles
from counterfoil.setting_values import is_variable_name
from counterfoil.settings import FILE_NAME, PREFIX

_MICROSOFT: Final = "https://graph.microsoft.com"
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


@click.command()
@click.argument("name", required=False, metavar="[PROFILE]")
@click.option("--url", help="The source's base URL.  [default: Microsoft Graph]")
@click.option("--tenant", metavar="TENANT", help="The partner's tenant id.")
@click.option("--client-id", metavar="ID", help="The application that signs in.")
@click.option("--client-secret-env", metavar="NAME", help="The environment variable that holds its secret.")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(["usage", "reconciliation"]), help="Repeat for both.")
@click.option(
    "--currency", "currencies", metavar="CCC", multiple=True, help="A currency that you are billed in; repeat."
)
@click.option("--format", "formats", type=click.Choice(FORMATS), multiple=True, help="What a pull leaves; repeat.")
@click.option("--to", metavar="DIR", help="The folder for what is pulled, beside the settings file.")
@with_output
def init(*, name: str | None, output: Output, **given: Any) -> None:
    """Write the profile of a source to counterfoil.toml, and check it.

    \b
    Examples:
      counterfoil init
      counterfoil init contoso --tenant TENANT --client-id ID --currency EUR --format csv --format xlsx

    The secret is never asked for and never written: put it into the environment variable that the profile names.
    """
    asks = can_ask()
    name = name or (_asked("Name of the profile", "contoso") if asks else "")
    if not name:
        raise UsageError("Name the profile.", remedy="Such as: counterfoil init contoso --tenant TENANT --client-id ID")
    file = Path.cwd() / (invocation().config or os.environ.get(f"{PREFIX}CONFIG") or FILE_NAME)
    if file.exists() and name in load_settings().profiles:
        raise UsageError(
            f"There is a profile {name!r} already, and nothing is overwritten.",
            remedy="Edit it in the settings file, or give the new one another name.",
        )
    table = _answers(name, given, asks=asks)
    profile = read_profiles({name: table}, file, os.environ)[name]
    _add(file, name, table)
    shown = {re.sub("_(.)", lambda after: after[1].upper(), member): value for member, value in table.items()}
    output.facts({"profile": name, "file": file, **shown})
    output.note(f'Add each invoice when it comes, below [profiles.{name}.invoices]: "2026-10" = ["G..."]')
    if not profile.client_secret:
        output.note(f"Put the secret into the environment variable {profile.client_secret_env}; then: {_next(name)}")
        return
    output.note(f"To pull: {_next(name)}")
    if output.form is OutputForm.TABLE:  # JSON has one value, and `counterfoil doctor` has its own
        report_source(profile, None, output)


def can_ask() -> bool:
    """Whether somebody is there to answer."""
    return sys.stdin is not None and sys.stdin.isatty()


def _next(name: str) -> str:
    return f"counterfoil doctor {name}, and counterfoil pull {name} --all"


def _answers(name: str, given: Mapping[str, Any], *, asks: bool) -> dict[str, object]:
    """Return the members of the profile, asked for or given; raises UsageError for what is missing or wrong."""
    variable = re.sub(r"[^A-Z0-9]", "_", name.upper()) + "_CLIENT_SECRET"
    if variable[0].isdigit():
        variable = f"_{variable}"

    def answer(option: str, question: str, default: str = "") -> str:
        value = given[option] or (_asked(question, default) if asks else default)
        if not value:
            raise UsageError(f"{question}: it is missing.", parameter=option, remedy="Give it.")
        return str(value)

    def answers(option: str, question: str, default: str) -> list[str]:
        listed = given[option] or re.split(r"[,\s]+", _asked(question, default) if asks else default)
        return list(dict.fromkeys(each for each in listed if each))

    url = answer("url", "Address of the source", _MICROSOFT)
    if not urlsplit(url).scheme:
        raise UsageError(f"{url!r} is no address.", remedy=f"Write it with https://, such as {_MICROSOFT}.")
    table: dict[str, object] = {
        "url": url,
        "tenant": answer("tenant", "Directory (tenant) ID of the partner"),
        "client_id": answer("client_id", "Application (client) ID"),
        "client_secret_env": answer("client_secret_env", "Environment variable for its secret", variable),
        "to": answer("to", "Folder for what is pulled", "pulls"),
        "format": answers("formats", "Formats: csv, xlsx, parquet, blobs", "csv"),
        "kinds": answers("kinds", "Kinds of line items", "usage, reconciliation"),
        "currencies": [each.upper() for each in answers("currencies", "Currencies you are billed in", "EUR")],
    }
    if not is_variable_name(str(table["client_secret_env"])):
        raise UsageError(
            "client_secret_env must be the name of an environment variable, and what was given is none.",
            remedy=f"Give a name, such as {variable}. The secret itself belongs into that variable.",
        )
    return table


def _asked(question: str, default: str) -> str:
    return str(click.prompt(question, default=default or None, err=True)).strip()


def _add(file: Path, name: str, table: Mapping[str, object]) -> None:
    """Put a table at the end of the settings file; all of it or nothing, and nothing else is changed."""
    try:
        before = file.read_bytes() if file.exists() else b""
    except OSError as error:
        raise UsageError(
            f"{file} cannot be read: {error.strerror}.", remedy="Name another file with --config."
        ) from None
    separator = b"" if not before else b"\n" if before.endswith(b"\n") else b"\n\n"
    key = name if _BARE_KEY.fullmatch(name) else json.dumps(name, ensure_ascii=False)
    lines = [f"[profiles.{key}]", *(f"{member} = {_toml(value)}" for member, value in table.items())]
    try:
        mode = file.stat().st_mode & 0o777 if file.exists() else 0o600
        write_durably(file, before + separator + ("\n".join(lines) + "\n").encode(), mode=mode)
    except OSError as error:
        raise UsageError(
            f"{file} cannot be written: {error.strerror}.", remedy="Change to a folder of your own."
        ) from None


def _toml(value: object) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
