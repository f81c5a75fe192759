"""`counterfoil changes`: did a number change, and what happened to it."""

from __future__ import annotations

from typing import Any

import click

from counterfoil.cli.options import with_amounts, with_output
from counterfoil.cli.output import Output
from counterfoil.cli.sides import note_data_folder, with_side_options
from counterfoil.errors import UsageError


@click.command()
@click.argument("states", nargs=-1, metavar="DATASET | OLDER NEWER")
@click.option(
    "--since",
    metavar="DAY|REVISION",
    help="Compare with what was in force before 2026-11-20, before yesterday, or with a revision.  "
    "[default: the revision before]",
)
@click.option("--top", metavar="N", type=click.IntRange(min=0), help="How many to list; 0 lists all.  [default: 5]")
@click.option("--show-at-least", metavar="AMOUNT", help="List nothing smaller. It changes no figure and no exit code.")
@with_side_options
@with_amounts
@with_output
def changes(
    *,
    states: tuple[str, ...],
    since: str | None,
    top: int | None,
    show_at_least: str | None,
    choice: Any,
    output: Output,
) -> int:
    """Say what changed in a published DATASET: what came late, was restated, credited or vanished.

    DATASET is invoice:ID or unbilled:YYYY-MM:CCC. Two pulls, files or revisions are compared by naming both, the older
    one first.

    Exit code 0 if nothing changed, 3 if anything did.

    \b
    Examples:
      counterfoil changes invoice:G016907411
      counterfoil changes unbilled:2026-11:EUR --since yesterday
      counterfoil changes pulls/monday pulls/tuesday
    """
    from counterfoil.cli.comparison_display import amount_option, conclude, show, written_by
    from counterfoil.reconcile import Comparing, changes_in, compare
    from counterfoil.reconcile import changes as changes_of

    if len(states) not in {1, 2}:
        raise UsageError("There is nothing to compare.", remedy="Name one published dataset, or two states of one.")
    if since and len(states) == 2:
        raise UsageError(
            "Two states are named, so there is nothing to look up.", remedy="Leave it out.", parameter="since"
        )
    at_least = amount_option(show_at_least)
    note_data_folder(states, choice["data"])
    with output.progress("Line items") as advance:
        if len(states) == 1:
            comparison = changes_of(states[0], since=since or "", progress=advance, **choice)
        else:
            comparison = compare(*states, comparing=Comparing.REVISIONS, progress=advance, **choice)
    with comparison:
        show(comparison, output, by=None, top=top, at_least=at_least, changes=changes_in(comparison))
        kept = {name: choice[name] for name in ("currency", "partner", "data")}
        next_command = written_by(comparison.left.name, comparison.right.name, comparing="revisions", **kept)
        return conclude(comparison, output, next_command=next_command)
