"""`counterfoil sweep`: remove what nobody can reach any more."""

from __future__ import annotations

from datetime import timedelta

import click

from counterfoil.cli.data_folder import opened
from counterfoil.cli.options import with_output, with_settings
from counterfoil.cli.output import Output
from counterfoil.datasets.sweep import sweep as sweep_all
from counterfoil.lifetimes import UNBILLED_KEPT
from counterfoil.periods import utc_now
from counterfoil.settings import Settings

_FOR_EVER = "forever"


@click.command(short_help="Remove what nobody can reach any more.")
@click.option(
    "--keep-billed", metavar="DAYS", default=_FOR_EVER, show_default=True, help="Keep superseded billed revisions."
)
@click.option(
    "--keep-unbilled",
    metavar="DAYS",
    default=str(UNBILLED_KEPT.days),
    show_default=True,
    help="Keep superseded unbilled revisions.",
)
@with_output
@with_settings()
def sweep(*, keep_billed: str, keep_unbilled: str, settings: Settings, output: Output) -> None:
    """Remove leftovers of publications that died, wire forms of old revisions, and revisions past their time.

    Never removes a revision in force, nor what a live link, export or continuation token leads to. Each publication
    sweeps too, with the default times: run this where you keep other times, or publish seldom.
    """
    with opened(settings) as workshop:
        swept = sweep_all(
            workshop.catalog,
            workshop.files,
            utc_now(),
            keep_billed=_days(keep_billed, "--keep-billed"),
            keep_unbilled=_days(keep_unbilled, "--keep-unbilled"),
        )
    output.facts(
        {
            "revisions": "Revisions forgotten",
            "operations": "Expired exports forgotten",
            "files": "Files deleted",
            "bytes": "Bytes freed",
            "atWork": "Publications at work, left alone",
        },
        {
            "revisions": swept.revisions,
            "operations": swept.operations,
            "files": swept.files,
            "bytes": swept.size_bytes,
            "atWork": swept.publications_at_work,
        },
    )


def _days(text: str, option: str) -> timedelta | None:
    if text.lower() == _FOR_EVER:
        return None
    if not text.isdecimal() or len(text) > 5:  # more reaches back before the calendar
        raise click.BadParameter(f"{text!r} is neither a number of days nor {_FOR_EVER}.", param_hint=option)
    return timedelta(days=int(text))
