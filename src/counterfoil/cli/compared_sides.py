"""`counterfoil reconcile`: what two sides differ in, and why."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from counterfoil.cli.options import NamedPath, load_settings, with_amounts, with_output
from counterfoil.cli.output import Output
from counterfoil.cli.sides import GROUPINGS, note_data_folder, with_side_options
from counterfoil.errors import UsageError

if TYPE_CHECKING:
    from counterfoil.reconcile import Comparison
    from counterfoil.reconcile.comparing.result_output import ResultFormat

COMPARISONS: Final = ("unbilled-billed", "revisions", "plan", "copy", "ledger")


@click.command()
@click.argument("left", metavar="LEFT")
@click.argument("right", metavar="RIGHT")
@click.option(
    "--as",
    "comparing",
    type=click.Choice(COMPARISONS),
    help="What is compared, where it cannot be told from the sides.",
)
@click.option(
    "--mapping",
    metavar="FILE",
    type=NamedPath(),
    help="What a ledger's columns are: see `counterfoil mapping`. RIGHT is the ledger, unless LEFT alone is a file.",
)
@click.option("--period", metavar="YYYY-MM", help="The month that both are about.  [default: that of most line items]")
@click.option("--by", type=click.Choice(GROUPINGS), help="List the difference of each customer, day, ...")
@click.option("--top", metavar="N", type=click.IntRange(min=0), help="How many to list; 0 lists all.  [default: 5]")
@click.option("--show-at-least", metavar="AMOUNT", help="List nothing smaller. It changes no figure and no exit code.")
@click.option("--to", metavar="DIR", type=NamedPath(folder=True), help="Write the result into this folder.")
@click.option(
    "--format",
    "formats",
    metavar="FORMAT[,...]",
    multiple=True,
    help="How to write it: html, xlsx, parquet, csv, json.  [default: all that people read]",
)
@click.option("--breaks", is_flag=True, help="Keep the differences as breaks: see `counterfoil breaks`.")
@click.option(
    "--breaks-in",
    metavar="DIR",
    type=NamedPath(folder=True),
    help="Keep them in this folder.  [default: the data folder, or beside the pulls or files]",
)
@with_side_options
@with_amounts
@with_output
def reconcile(
    *,
    left: str,
    right: str,
    comparing: str | None,
    mapping: Path | None,
    period: str | None,
    by: str | None,
    top: int | None,
    show_at_least: str | None,
    to: Path | None,
    formats: tuple[str, ...],
    breaks: bool,
    breaks_in: Path | None,
    choice: Any,
    output: Output,
) -> int:
    """Compare two sides and give every cent of difference a cause.

    LEFT is what was expected and RIGHT what came. Each is a published dataset (invoice:ID, unbilled:YYYY-MM:CCC,
    revision:ID or etag:...), the folder of a pull, a file of line items, or a ledger: ledger:MAPPING.toml, or a file
    with --mapping. Amounts are exact, the causes sum to the difference, and what no rule explains is shown as
    unexplained. Of a ledger with sale prices, revenue, cost and margin are shown, and what leaks.

    Exit code 0 if both are equal, 3 if anything differs, however little; 1 if the sides are no two views of one thing.

    \b
    Examples:
      counterfoil reconcile unbilled:2026-10:EUR invoice:G016907411 --kind usage
      counterfoil reconcile invoice:G016907411 october.xlsx --mapping ledger.toml
      counterfoil reconcile before.jsonl after.jsonl --by product
      counterfoil reconcile invoice:G016907411 pulls/G016907411 --to result --format parquet
      counterfoil reconcile unbilled:2026-10:EUR invoice:G016907411 --breaks
    """
    from counterfoil.cli.comparison_display import amount_option, conclude, show, written_by
    from counterfoil.reconcile import compare

    at_least = amount_option(show_at_least)
    chosen = _formats(formats, to)
    note_data_folder((left, right), choice["data"])
    with output.progress("Line items") as advance:
        comparison = compare(
            left, right, comparing=comparing, mapping=mapping, period=period or "", progress=advance, **choice
        )
    with comparison:
        kept = None
        if breaks or breaks_in is not None:
            from counterfoil.cli.break_commands import record_breaks

            kept = record_breaks(comparison, breaks_in, load_settings(data=choice["data"]), output)
        show(comparison, output, by=by, top=top, at_least=at_least, breaks=kept)
        if to is not None:
            next_command = f"open {shlex.quote(str(write(comparison, to, chosen, output)))}"
        else:
            chosen_by = {name: choice[name] for name in ("kind", "currency", "partner", "data")}
            given = {"comparing": comparing, "period": period, "mapping": mapping}
            next_command = written_by(left, right, **given, **chosen_by)
        return conclude(comparison, output, next_command=next_command)


def _formats(given: tuple[str, ...], to: Path | None) -> list[ResultFormat]:
    from counterfoil.cli.comparison_display import formats_in
    from counterfoil.reconcile.comparing.result_output import ResultFormat, format_of

    chosen = [format_of(each) for each in formats_in(given)]
    if chosen and to is None:
        raise UsageError("There is no folder to write to.", remedy="Name it.", parameter="to")
    return chosen or [ResultFormat.HTML, ResultFormat.XLSX, ResultFormat.JSON]


def write(comparison: Comparison, to: Path, formats: list[ResultFormat], output: Output) -> Path:
    """Write a comparison into a folder, and say where it is; returns the report to open, or the folder if none is."""
    from counterfoil.reconcile.comparing.result_output import write_result

    paths = write_result(comparison, to, formats)
    for path in paths:
        output.note(f"Written: {path}")
    return next((path for path in paths if path.suffix in {".html", ".xlsx"}), to)
