"""`counterfoil totals`: what line items add up to, exactly, and who costs how much of it."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from counterfoil.cli.options import NamedPath, with_amounts, with_output
from counterfoil.cli.output import Output
from counterfoil.cli.sides import GROUPINGS, note_data_folder, print_report, with_side_options
from counterfoil.errors import CounterfoilError
from counterfoil.money import Money

if TYPE_CHECKING:
    from counterfoil.reconcile import GroupTotal, SideTotals

_BAR_WIDTH: Final = 24


@click.command()
@click.argument("side", metavar="SIDE")
@click.option("--by", type=click.Choice(GROUPINGS), help="Show the totals of each customer, day, ...")
@click.option(
    "--top",
    metavar="N",
    type=click.IntRange(min=0),
    help="How many to show by name; the others are one row. 0 shows all.  [default: 10; by day: all]",
)
@click.option("--expect", metavar="AMOUNT", help="The gross of the invoice document, such as 1234.56.")
@click.option(
    "--to", metavar="DIR", type=NamedPath(folder=True), help="Write the totals as totals.html into this folder."
)
@with_side_options
@with_amounts
@with_output
def totals(
    *, side: str, by: str | None, top: int | None, expect: str | None, to: Path | None, choice: Any, output: Output
) -> int:
    """Add up the line items of SIDE exactly: no digit is rounded, whatever their number.

    SIDE is a published dataset (invoice:ID, unbilled:YYYY-MM:CCC, revision:ID or etag:...), the folder of a pull, or a
    file of line items. Amounts in two currencies are never added; --currency chooses one.

    With --expect the sum with tax is held against the invoice document. Usage line items have no tax, so their sum
    before tax is. Exit code 3 if it differs by any digit.

    \b
    Examples:
      counterfoil totals invoice:G016907411 --by customer
      counterfoil totals unbilled:2026-11:EUR --by day --to report
      counterfoil totals counterfoil-pulls/contoso/reconciliation/G016907411 --expect 553.65
    """
    from counterfoil.reconcile import totals as totals_of

    note_data_folder((side,), choice["data"])
    with output.progress("Line items") as advance:
        found = totals_of(side, by=by, top=top, expect=expect, progress=advance, **choice)
    print_report(
        output,
        found.to_json(),
        _facts(found),
        _rows(found, output),
        only_terminal=["bar"],
        less_needed=["bar", *list(found.totals)[:-1], "lineItems"],
    )
    if to is not None:
        _write(found, to, output)
    if found.expected is None or found.difference is None or found.is_as_expected:
        return 0
    return output.conclude(
        f"The sum of {found.gross_name} is {_told(found.gross, found)}, and {_told(found.expected, found)} was "
        f"expected: {_told(found.difference.copy_abs(), found)} {'more' if found.difference > 0 else 'less'}.",
        remedy="`counterfoil audit` looks for line items whose arithmetic is wrong.",
        exit_code=3,
    )


def _write(found: SideTotals, to: Path, output: Output) -> None:
    try:
        to.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CounterfoilError(
            f"{to} cannot be made: {error.strerror}.", remedy="Name another folder.", parameter="to"
        ) from error
    found.write_html(to / "totals.html")
    output.note(f"Written: {to / 'totals.html'}")


def _facts(found: SideTotals) -> dict[str, object]:
    facts: dict[str, object] = {"side": found.side.what}
    if found.side.proof:
        facts["proof"] = found.side.proof
    facts |= {"lineItems": found.line_items, "currency": found.currency}
    facts |= {name: Money(value, found.currency) for name, value in found.totals.items()}
    if found.expected is not None and found.difference is not None:
        facts |= {
            "expected": Money(found.expected, found.currency),
            "difference": Money(found.difference, found.currency),
        }
    return facts


def _rows(found: SideTotals, output: Output) -> list[dict[str, object]]:
    if found.by is None:
        return []
    listed = [*found.groups, *([found.others] if found.others else [])]
    largest = max((abs(Fraction(group.share)) for group in listed if group.share is not None), default=Fraction(0))
    block = "█" if "█".encode(output.stdout.encoding or "ascii", "replace") != b"?" else "#"
    return [_row(group, found, largest, block) for group in listed]


def _row(group: GroupTotal, found: SideTotals, largest: Fraction, block: str) -> dict[str, object]:
    assert found.by is not None
    share = group.share
    length = 0 if share is None or not largest else int(_BAR_WIDTH * abs(Fraction(share)) / largest)
    is_others = group is found.others
    row: dict[str, object] = {found.by.value.replace("-t", "T"): "" if is_others else group.key or "(none)"}
    if any(each.name for each in found.groups) or found.others:
        row["name"] = group.name
    row["lineItems"] = group.line_items
    row |= {name: Money(value, found.currency) for name, value in group.amounts.items()}
    row["share"] = "" if share is None else f"{share} %"
    row["bar"] = (block * length or ("" if not share else "|")) if share is None or share >= 0 else f"-{block * length}"
    return row


def _told(amount: Decimal, found: SideTotals) -> str:
    """Return an amount with every digit, because a difference of less than a cent is one, too."""
    return Money(amount, found.currency).shown(exact=True)
