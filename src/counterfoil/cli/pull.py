"""`counterfoil pull`: export or walk, download, prove, write; one thing, or all that a profile lists."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from counterfoil.cli.options import KINDS, NamedPath, load_settings, with_amounts, with_output, with_token, with_wait
from counterfoil.cli.output import Output, as_option
from counterfoil.cli.pull_again import PullCommand, advise_for_profile, advise_on_invoice, options_for, resuming
from counterfoil.cli.pull_all import pull_all
from counterfoil.cli.pull_display import displayed
from counterfoil.cli.pull_publish import PullPublisher, publisher_in
from counterfoil.cli.receipts import conclude_set_aside, show_receipt
from counterfoil.cli.sources import find_profile, token_source
from counterfoil.errors import CounterfoilError, UsageError
from counterfoil.model import AttributeSet, Kind
from counterfoil.periods import utc_now
from counterfoil.profiles import FORMATS, Profile
from counterfoil.setting_values import did_you_mean

if TYPE_CHECKING:
    from counterfoil.client import Ask, Client


def _read_formats(_: click.Context, __: click.Parameter, given: Sequence[str]) -> tuple[str, ...] | None:
    """Read `csv`, `csv,xlsx` or the option given twice; None where it was not given."""
    words = [word.strip() for each in given for word in each.split(",")]
    for word in words:
        if word not in FORMATS:
            raise UsageError(
                f"{word!r} is not a format.{did_you_mean(word, FORMATS)}",
                remedy=f"Give --format {', '.join(FORMATS)}, or several: --format csv,xlsx.",
            )
    return tuple(dict.fromkeys(words)) or None


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
    "format",
    metavar="blobs|parquet|csv|xlsx",
    multiple=True,
    callback=_read_formats,
    help="Line items as they came, exact Parquet, or one CSV or Excel file; several: csv,xlsx. A format that is there "
    "already is renewed too.  [default: the profile's, or blobs]",
)
@click.option(
    "--keep",
    metavar="N",
    type=click.IntRange(0),
    help="How many former states to keep, beside the folder.  [default: the profile's, or 30]",
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
@with_amounts
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
    nothing; where the source has a newer state, that takes the place of the older one, which is kept beside the folder
    (`pulls~former` beside `pulls`). So is a file that somebody edited; then the exit code is 3, once.

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
    publisher = publisher_in(settings, single["format"] or profile.format, output) if publish else None
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
        return _pull_one(client, profile, ask, to, single, publisher, output, again)


def _pull_one(
    client: Client,
    profile: Profile,
    ask: Ask,
    to: Path,
    single: Mapping[str, Any],
    publisher: PullPublisher | None,
    output: Output,
    again: PullCommand,
) -> int:
    from counterfoil.client import Api
    from counterfoil.client.holdings.expected import root_of
    from counterfoil.client.pull_folder.former_states import former_beside

    api, formats = Api(single["api"] or profile.api), single["format"] or profile.format
    keep = profile.keep if single["keep"] is None else single["keep"]
    root = root_of(profile) if profile.name else None
    former = former_beside(root) / to.relative_to(root) if root and to.is_relative_to(root) else None
    try:
        with displayed(output, ask.kind.value) as display:
            receipt = client.pull(ask, to, api=api, format=formats, keep=keep, former=former, watcher=display)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(again.sentence("To go on")) from None
    except CounterfoilError as error:
        if single["to"] is None:
            advise_for_profile(error, to)
        advise_on_invoice(error, ask.invoice)
        again.advise(error)
        raise
    more = {} if publisher is None else {"published": publisher.publish(receipt, to)}
    show_receipt(output, receipt, to, more=more)
    return conclude_set_aside(receipt.set_aside, output)


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
