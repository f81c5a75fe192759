"""`counterfoil pull`: export or walk, download, prove, write; one thing, or all that a profile lists."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from counterfoil.cli.options import KINDS, NamedPath, load_settings, with_output, with_token, with_wait
from counterfoil.cli.output import Output, as_option
from counterfoil.cli.pull_again import PullCommand, advise_for_profile, options_for, resuming
from counterfoil.cli.pull_all import pull_all
from counterfoil.cli.pull_display import displayed
from counterfoil.cli.pull_publish import PullPublisher, publisher_in
from counterfoil.cli.receipts import show_receipt
from counterfoil.cli.sources import find_profile, token_source
from counterfoil.errors import CounterfoilError, UsageError
from counterfoil.model import AttributeSet, Kind
from counterfoil.periods import utc_now
from counterfoil.profiles import FORMS, Profile

if TYPE_CHECKING:
    from counterfoil.client import Ask, Client


@click.command()
@click.argument("source", metavar="PROFILE|URL")
@click.option("--api", type=click.Choice(["graph", "v1"]), help="Which API to use.  [default: the profile's, or graph]")
@click.option("--kind", type=KINDS, help="Which line items.")
@click.option("--invoice", metavar="ID", help="The invoice whose line items to pull.")
@click.option("--period", metavar="current|last|YYYY-MM", help="The month whose unbilled line items to pull.")
@click.option(
    "--currency",
    metavar="CCC",
    help="The currency of the unbilled line items.  [default: the profile's, if it lists one]",
)
@click.option(
    "--attribute-set",
    type=click.Choice([each.value for each in AttributeSet]),
    help="How many attributes each line item has (Graph only).  [default: the profile's, or full]",
)
@click.option("--all", "everything", is_flag=True, help="Pull what the profile lists and does not hold yet, once.")
@click.option(
    "--to",
    metavar="DIR",
    type=NamedPath(folder=True),
    help="The folder to write to; a former pull of the same in it is replaced.  [default: the profile's]",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMS),
    help="Line items as they came, exact Parquet, or one CSV or Excel file.  [default: the profile's, or blobs]",
)
@click.option("--publish", is_flag=True, help="Publish what was pulled in the data folder, so that it can be served.")
@click.option(
    "--data",
    metavar="DIR",
    type=NamedPath(folder=True),
    help="The data folder for --publish.  [default: counterfoil-data]",
)
@with_token
@click.option(
    "--parallel",
    metavar="N",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    help="How many blobs are fetched side by side.",
)
@with_wait(3600.0)
@with_output
def pull(
    source: str,
    everything: bool,
    publish: bool,
    data: Path | None,
    token: str | None,
    parallel: int,
    wait_s: float,
    output: Output,
    **single: Any,
) -> int:
    """Pull line items from a source, prove them, and write them to a folder with a receipt.

    A source is a profile of counterfoil.toml, or the base URL of Microsoft Graph, of Partner Center or of a
    Counterfoil. Nothing is put in place unless everything that can be checked agrees. Pulling the same again does
    nothing; where the source has a newer state, that takes the place of the older one.

    \b
    An invoice, or what was not yet invoiced of a month:
      counterfoil pull contoso --kind reconciliation --invoice G016907411
      counterfoil pull contoso --kind usage --period last --currency EUR
    All that the profile lists and that is not held yet, once; for cron, systemd or Windows' Task Scheduler:
      counterfoil pull contoso --all

    With a profile, everything has a folder of its own below the profile's: `usage/2026-10-EUR`. A month is written out
    there. With a URL, --to names the folder.

    A pull that is interrupted, by Ctrl-C (exit code 130) or anything else, keeps what it has: the same command goes on
    from there, and it says which. Exit code 4: not finished, run it again. Without --token, the token is the
    profile's or COUNTERFOIL_TOKEN.
    """
    from counterfoil.client import Client

    settings = load_settings(data=data)
    profile = find_profile(settings, source)
    now = utc_now()
    publisher = publisher_in(settings, single["form"] or profile.form, output) if publish else None
    if data is not None and not publish:
        raise UsageError("--data is the data folder to publish in, and goes with --publish.")
    if everything:
        _refuse_single(profile, single)
        what = ["--all"]
    else:
        ask = _what_to_ask(profile, single, now)
        to = _folder_for(profile, ask, single["to"], now)
        what = options_for(ask, single)
    again = resuming(source, what, publisher, token, output)
    with Client(profile.url, token_source(profile, token, os.environ), wait_s_max=wait_s, parallel=parallel) as client:
        if everything:
            return pull_all(profile, client, publisher, output, again)
        _pull_one(client, profile, ask, to, single, publisher, output, again)
    return 0


def _pull_one(
    client: Client,
    profile: Profile,
    ask: Ask,
    to: Path,
    single: Mapping[str, Any],
    publisher: PullPublisher | None,
    output: Output,
    again: PullCommand,
) -> None:
    from counterfoil.client import Api, Form

    api, form = Api(single["api"] or profile.api), Form(single["form"] or profile.form)
    try:
        with displayed(output, ask.kind.value) as display:
            receipt = client.pull(ask, to, api=api, form=form, watcher=display)
    except KeyboardInterrupt:
        output.note(again.sentence("To go on"))
        raise
    except CounterfoilError as error:
        if single["to"] is None:
            advise_for_profile(error, to)
        again.advise(error)
        raise
    more = {} if publisher is None else {"published": publisher.publish(receipt, to)}
    show_receipt(output, receipt, to, more=more)


def _refuse_single(profile: Profile, single: Mapping[str, Any]) -> None:
    if not profile.name:
        raise UsageError("--all is for a profile, which lists what is expected.", remedy="See docs/pulling.md.")
    given = [as_option(name) for name, value in single.items() if value is not None]
    if given:
        raise UsageError(f"{given[0]} does not go with --all: the profile says what is pulled, and how.")


def _what_to_ask(profile: Profile, single: Mapping[str, Any], now: datetime) -> Ask:
    """Check that the command line names one thing; raises UsageError."""
    from counterfoil.client import ask_billed, ask_unbilled

    invoice, period, currency = single["invoice"], single["period"], single["currency"]
    if single["kind"] is None:
        raise UsageError("Say which line items.", remedy="Give --kind reconciliation or --kind usage, or --all.")
    kind, attributes = Kind(single["kind"]), AttributeSet(single["attribute_set"] or profile.attribute_set)
    if invoice is not None:
        if period is not None or currency is not None:
            raise UsageError("--invoice goes without --period and --currency: an invoice has both.")
        return ask_billed(kind, invoice, attributes)
    if currency is None and len(profile.currencies) == 1:
        currency = profile.currencies[0]
    if period is None or currency is None:
        raise UsageError("Say what to pull.", remedy="Give --invoice ID, or --period and --currency.")
    return ask_unbilled(kind, period, currency, attributes, now=now)


def _folder_for(profile: Profile, ask: Ask, named: Path | None, now: datetime) -> Path:
    """Return the folder that a pull goes to; raises UsageError."""
    from counterfoil.client.holdings.expected import folder_of, root_of

    if named is None and not profile.name:
        raise UsageError("Say where to.", remedy="Name a folder with --to; a profile has its own.")
    return named or root_of(profile) / folder_of(ask, now)
