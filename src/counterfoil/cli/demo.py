"""`counterfoil demo`: the main job from end to end, on made-up data, with proof.

It shows a stranger what Counterfoil does in half a minute, and it is the first thing to run on a machine where
something seems wrong.
"""

from __future__ import annotations

import click

from counterfoil.cli.options import with_amounts, with_output
from counterfoil.cli.output import Output


@click.command()
@click.option("--keep", is_flag=True, help="Leave it serving at the end, until Ctrl-C.")
@click.option(
    "--line-items",
    type=click.IntRange(64, 10_000_000),
    default=20_000,
    show_default=True,
    metavar="N",
    help="How many line items in each dataset.",
)
@with_amounts
@with_output
def demo(*, keep: bool, line_items: int, output: Output) -> None:
    """Publish made-up line items, serve them, fetch them back through both APIs, and prove every count and cent.

    In the end an unbilled month is compared with its invoice, and every cent of the difference is explained.

    Works in a temporary folder, on a free port of this machine, and leaves nothing behind but the report of that
    difference, whose path it prints.

    \b
    Examples:
      counterfoil demo
      counterfoil demo --keep
    """
    from counterfoil.cli.demonstration import demonstrate

    demonstrate(line_items, output, keep=keep)
