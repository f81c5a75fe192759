"""`counterfoil generate`: realistic line items for a first look, for tests and for measuring."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from counterfoil.cli.options import KINDS, with_output
from counterfoil.cli.output import Output, leave_standard_output
from counterfoil.errors import CounterfoilError, UsageError
from counterfoil.model import Kind, Scope
from counterfoil.periods import BillingPeriod
from counterfoil.printable_text import counted

if TYPE_CHECKING:
    from counterfoil.generator import BillingMonth
    from counterfoil.generator.scenarios import ScenarioPair

_HELP = """\
Write realistic line items, always the same ones.

The line items are invented, in Microsoft Graph's spelling, one JSON object a line. The same options give the same
bytes, today and next year: the clock is never read. Amounts are of ordinary size. With --special the first 64 line
items hold every special case (names in many scripts, tiny and huge amounts, credits, pairs of additions and
removals, refunds, late charges, identical twins), so that even a small file puts a program to the test. With
--hostile they also hold what is legal and unreadable for some SDKs: dates that are empty texts, tags that are no
JSON, nested additional information. Both kinds, and all months, of one partner and seed tell of the same customers.

With --scenario there are two sides: unbilled and billed with --period and --invoice, with one of them a dataset before
and after. NAME is `all`, or one way to differ, such as `quantity`; the answer to an unknown NAME lists them.
`truth.jsonl` says of each difference which line items it is about, its causes, and their exact amounts.

\b
An invoice, ready to publish:
  counterfoil generate --kind reconciliation --line-items 1000 \\
      --partner 0e195b37-4574-4539-bc42-0e539b9684c0 --invoice G016907411 -o invoice.jsonl.gz

\b
A month that is first unbilled and then invoiced, with late usage, credits and changes of seats:
  counterfoil generate --month 2026-10 --invoice G016907411 \\
      --partner 0e195b37-4574-4539-bc42-0e539b9684c0 -o october

\b
Two states of an invoice that differ in every way that Counterfoil can name, and where and why:
  counterfoil generate --scenario all --kind reconciliation --line-items 20000 \\
      --partner 0e195b37-4574-4539-bc42-0e539b9684c0 --invoice G016907411 -o all

\b
A look at a month of usage, not yet invoiced:
  counterfoil generate --kind usage --line-items 64 \\
      --partner 0e195b37-4574-4539-bc42-0e539b9684c0 --period 2026-10 --currency USD | head -n 3
"""


@click.command(help=_HELP)
@click.option("--kind", type=KINDS, help="What to generate.")
@click.option("--line-items", type=int, metavar="N", help="How many; any number, in flat memory.")
@click.option(
    "--month",
    metavar="YYYY-MM",
    help="In place of --kind and --line-items: a coherent month, unbilled and as --invoice, in files of a new folder.",
)
@click.option(
    "--scenario",
    metavar="NAME",
    help="Two sides that differ in a known way, and the truth about each difference, in files of a new folder.",
)
@click.option(
    "--one-in", type=int, default=25, show_default=True, metavar="N", help="With --scenario: how many differ."
)
@click.option("--customers", type=int, default=12, show_default=True, metavar="N", help="With --month: how many.")
@click.option("--seed", type=int, default=0, show_default=True, help="Another seed, other customers and charges.")
@click.option("--partner", required=True, metavar="TENANT", help="The PartnerId of all line items, a GUID.")
@click.option("--invoice", metavar="ID", help="Billed line items of this invoice; its month follows from its id.")
@click.option("--period", metavar="YYYY-MM", help="Unbilled line items of this month.")
@click.option("--currency", metavar="CCC", help="The billing currency.  [default: EUR]")
@click.option("--resellers", type=int, default=8, show_default=True, metavar="N", help="How many resellers sell.")
@click.option(
    "--special", is_flag=True, help="Begin with 64 line items that hold every special case, huge amounts too."
)
@click.option("--hostile", is_flag=True, help="As --special, and cases on which some of Microsoft's SDKs fail.")
@click.option(
    "--out",
    "-o",
    default="-",
    metavar="FILE",
    help="Where to; compressed if the name ends in .gz. Standard output if not given, or -.",
)
@with_output
def generate(
    kind: str | None,
    line_items: int | None,
    month: str | None,
    scenario: str | None,
    one_in: int,
    customers: int,
    seed: int,
    partner: str,
    invoice: str | None,
    period: str | None,
    currency: str | None,
    resellers: int,
    special: bool,
    hostile: bool,
    out: str,
    output: Output,
) -> None:
    """Generate what is asked for; see `_HELP`."""
    # Imported here, so that `--help` of the whole program stays quick.
    from counterfoil.generator import BillingMonth
    from counterfoil.generator import generate as line_items_of
    from counterfoil.generator.scenarios import ScenarioPair

    if not out or "\0" in out:
        raise UsageError("-o does not name a file.", remedy="Give a name, or - for standard output.")
    if month is not None:
        if kind or line_items or period or scenario or special or hostile or not invoice or out == "-":
            raise UsageError(
                "A coherent month has both kinds, an invoice and a folder, and no special line items.",
                remedy="Give --month, --invoice, --partner and -o FOLDER.",
            )
        made = BillingMonth(partner, month, invoice, currency or "EUR", seed, customers, resellers)
        _write_month(output, made, out)
        return
    if scenario is not None:
        if kind is None or line_items is None or special or hostile or out == "-":
            raise UsageError(
                "A scenario has a kind, a number of line items and a folder, and no special line items.",
                remedy="Give --scenario, --kind, --line-items, --partner, -o FOLDER, and --period, --invoice or both.",
            )
        pair = ScenarioPair(
            scenario,
            Kind(kind),
            line_items,
            partner,
            period or "",
            invoice or "",
            currency or "",
            seed,
            resellers,
            one_in,
        )
        _write_scenario(output, pair, out)
        return
    if kind is None or line_items is None:
        raise UsageError("It needs --kind and --line-items.", remedy="Give both, or --month for a coherent month.")
    chunks = line_items_of(
        Kind(kind),
        line_items,
        seed=seed,
        partner=partner,
        scope=_scope(invoice, period, currency),
        currency=currency,
        resellers=resellers,
        special=special,
        hostile=hostile,
    )
    _write_lines(output, chunks, line_items, out)


def _write_lines(output: Output, chunks: Iterator[bytes], line_items: int, out: str) -> None:
    from counterfoil.generator import write

    if out != "-":
        with output.progress("Generating line items", line_items) as advance:
            write(chunks, Path(out), _so_far(advance))
        output.done(f"Wrote {counted(line_items, 'line item')} to {out}.", {"file": out, "lineItems": line_items})
        return
    try:
        write(chunks, sys.stdout.buffer)
    except BrokenPipeError:
        leave_standard_output()  # the reader (`head`, say) has enough
    except CounterfoilError:
        leave_standard_output()
        raise


def _write_month(output: Output, month: BillingMonth, out: str) -> None:
    """Write a month's four files into a folder that is new or empty: nobody's files are replaced."""
    from counterfoil.generator import write

    folder = _new_folder(out, "unbilled", "invoice")
    files = []
    for kind in Kind:
        unbilled, invoice = f"unbilled/{kind}-{month.period}.jsonl.gz", f"invoice/{kind}-{month.invoice}.jsonl.gz"
        write(month.unbilled(kind), folder / unbilled)
        write(month.invoiced(kind), folder / invoice)
        files += [unbilled, invoice]
    sentence = f"{out}/unbilled is {month.period} before it is invoiced, and {out}/invoice is {month.invoice}."
    output.done(sentence, {"folder": out, "files": files})
    quoted = shlex.quote(str(folder))
    output.note(f"To publish the one: counterfoil publish {quoted}/unbilled --period {month.period}")
    output.note(f"To publish the other: counterfoil publish {quoted}/invoice --invoice {month.invoice}")


def _write_scenario(output: Output, pair: ScenarioPair, out: str) -> None:
    """Write both sides and the truth into a folder that is new or empty."""
    with output.progress("Generating line items", pair.line_items) as advance:
        written = pair.write(_new_folder(out), _so_far(advance))
    count, files = sum(written.differences.values()), (written.left, written.right, written.truth)
    values = {
        "folder": out,
        "files": [path.name for path in files],
        "period": written.period,
        "differences": count,
        "scenarios": written.differences,
    }
    sentence = (
        f"{written.left} and {written.right} differ in {counted(count, 'known place')}, which {written.truth} lists."
    )
    output.done(sentence, values)


def _new_folder(out: str, *inside: str) -> Path:
    """Make a folder, and others inside; one that is there must be empty, so that nobody's files are replaced."""
    folder = Path(out)
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(f"{out} is there already, and is no empty folder.", remedy="Name another folder.")
        for path in (folder, *(folder / name for name in inside)):
            path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CounterfoilError(f"{out} cannot be made: {error.strerror}.", remedy="Name another folder.") from error
    return folder


def _scope(invoice: str | None, period: str | None, currency: str | None) -> Scope:
    if (invoice is None) == (period is None):
        raise UsageError(
            "Line items are either billed or not.", remedy="Give --invoice ID or --period YYYY-MM, and not both."
        )
    if invoice is not None:
        return Scope.billed(invoice)
    return Scope.unbilled(BillingPeriod.parse(period or ""), currency or "EUR")


def _so_far(advance: Callable[[int], None]) -> Callable[[int], None]:
    """Return what is called with the number of line items written so far, and passes on by how many it grew."""
    last = 0

    def report(written: int) -> None:
        nonlocal last
        advance(written - last)
        last = written

    return report
