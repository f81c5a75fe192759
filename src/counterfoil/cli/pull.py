"""`counterfoil pull`: export or walk, download, prove, write."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from counterfoil.cli.options import NamedPath, load_settings, with_output
from counterfoil.cli.output import Output, Progress
from counterfoil.errors import UsageError
from counterfoil.model import AttributeSet, Kind
from counterfoil.settings import Profile, Settings

if TYPE_CHECKING:
    from counterfoil.client import Receipt
    from counterfoil.client.http import TokenSource
    from counterfoil.wire.graph import ExportRequest

TOKEN_VARIABLE: Final = "COUNTERFOIL_TOKEN"  # noqa: S105 - a variable's name


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asks for, before it is checked."""

    kind: Kind
    invoice: str | None
    period: str | None
    currency: str | None
    attribute_set: AttributeSet | None


@click.command()
@click.argument("source", metavar="PROFILE|URL")
@click.option("--api", type=click.Choice(["graph", "v1"]), help="Which API to use.  [default: the profile's, or graph]")
@click.option("--kind", type=click.Choice([each.value for each in Kind]), required=True, help="Which line items.")
@click.option("--invoice", metavar="ID", help="The invoice whose line items to pull.")
@click.option("--period", metavar="current|last|YYYY-MM", help="The month whose unbilled line items to pull.")
@click.option("--currency", metavar="CCC", help="The currency of the unbilled line items.")
@click.option(
    "--attribute-set",
    type=click.Choice([each.value for each in AttributeSet]),
    help="How many attributes each line item has (Graph only).  [default: full]",
)
@click.option(
    "--to",
    metavar="DIR",
    type=NamedPath(folder=True),
    required=True,
    help="The folder to write to; a former pull of the same in it is replaced.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["blobs", "parquet"]),
    default="blobs",
    show_default=True,
    help="Line items as they came, or exact Parquet.",
)
@click.option(
    "--token",
    metavar="TOKEN",
    help=f"The bearer token; - reads it from standard input. Without it: the profile, or {TOKEN_VARIABLE}.",
)
@click.option(
    "--wait",
    "wait_s",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    default=3600.0,
    show_default=True,
    help="How long an export may take.",
)
@with_output
def pull(
    source: str,
    api: str | None,
    kind: Kind,
    invoice: str | None,
    period: str | None,
    currency: str | None,
    attribute_set: AttributeSet | None,
    to: Path,
    form: str,
    token: str | None,
    wait_s: float,
    output: Output,
) -> None:
    """Pull line items from a source, prove them, and write them to a folder with a receipt.

    A source is a profile of counterfoil.toml, or the base URL of Microsoft Graph, of Partner Center or of a
    Counterfoil. Nothing is written unless everything that can be checked agrees.
    """
    from counterfoil.client import Api, Client, Form

    if math.isnan(wait_s):
        raise UsageError("--wait is not a number of seconds.", remedy="Give 0 or more.")
    profile = find_profile(load_settings(), source)
    wanted = Wanted(Kind(kind), invoice, period, currency, AttributeSet(attribute_set) if attribute_set else None)
    ask = what_to_ask(wanted)
    credentials = token_source(profile, token, os.environ)
    with Client(profile.url, credentials, wait_s_max=wait_s) as client, output.progress("Line items") as progress:
        receipt = client.pull(
            ask, to, api=Api(api or profile.api), form=Form(form), watcher=_Watching(output, progress)
        )
    show(output, receipt, to)


@dataclass(frozen=True, slots=True)
class _Watching:
    """Passes on what the client tells."""

    output: Output
    progress: Progress

    def remark(self, message: str) -> None:
        self.output.note(message)

    def advance(self, line_items: int) -> None:
        self.progress.advance(line_items)


def find_profile(settings: Settings, source: str) -> Profile:
    """Return the profile named, or a nameless one for a URL; raises UsageError."""
    return Profile("", url=source) if "://" in source else settings.profile(source)


def what_to_ask(wanted: Wanted) -> ExportRequest:
    """Check that the command line names one thing; raises UsageError."""
    from counterfoil.client import ask_billed, ask_unbilled
    from counterfoil.periods import utc_now

    attributes = wanted.attribute_set or AttributeSet.FULL
    if wanted.invoice is not None:
        if wanted.period is not None or wanted.currency is not None:
            raise UsageError("--invoice goes without --period and --currency: an invoice has both.")
        return ask_billed(wanted.kind, wanted.invoice, attributes)
    if wanted.period is None or wanted.currency is None:
        raise UsageError("Say what to pull.", remedy="Give --invoice ID, or --period and --currency.")
    return ask_unbilled(wanted.kind, wanted.period, wanted.currency, attributes, now=utc_now())


def token_source(profile: Profile, given: str | None, environ: Mapping[str, str]) -> str | TokenSource:
    """Return where tokens come from: the argument, the profile, then the environment; raises UsageError."""
    from counterfoil.client import ClientCredentials

    if given is not None:
        token = (sys.stdin.readline() if given == "-" else given).strip()
        if not token:
            raise UsageError("--token is empty.")
        return token
    if profile.token:
        return profile.token
    if profile.client_id:
        return ClientCredentials(
            profile.url,
            tenant=profile.tenant,
            client_id=profile.client_id,
            client_secret=profile.client_secret,
            authority=profile.authority,
            scope=profile.scope,
        )
    token = environ.get(TOKEN_VARIABLE, "").strip()
    if not token:
        raise UsageError(
            "There is no token to send.", remedy=f"Give --token, {TOKEN_VARIABLE}, or a profile that signs in."
        )
    return token


def show(output: Output, receipt: Receipt, to: Path) -> None:
    """Print what came, and what of it is certain."""
    values: dict[str, object] = {
        "proof": receipt.proof.value,
        "lineItems": receipt.line_items,
        "totals": [
            f"{column} {total} {currency}".rstrip()
            for currency, sums in receipt.totals.items()
            for column, total in sums.items()
        ],
        "etag": receipt.etag,
        "operation": receipt.operation,
        "unchecked": list(receipt.unchecked),
        "folder": to,
        "files": [file.name for file in receipt.files],
    }
    headings = {
        "proof": "Proof",
        "lineItems": "Line items",
        "totals": "Exact totals",
        "etag": "eTag",
        "operation": "Operation",
        "unchecked": "Not checkable",
        "folder": "Folder",
        "files": "Files",
    }
    if output.form == "json":
        body = receipt.to_json()
        output.facts({name: name for name in (*body, "folder")}, {**body, "folder": to})
        return
    told = {name: heading for name, heading in headings.items() if values[name] not in ("", [])}
    output.facts(told, values)
