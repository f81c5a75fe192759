"""`counterfoil explain`: how the amount of one line item, or of one difference, comes about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from counterfoil.cli.options import with_output
from counterfoil.cli.output import Output
from counterfoil.cli.sides import note_data_folder, with_side_options

if TYPE_CHECKING:
    from counterfoil.reconcile import ExplainedDifference, ExplainedLine


@click.command()
@click.argument("line", metavar="LINE")
@click.argument("side", metavar="[SIDE]", required=False, default="")
@with_side_options
@with_output
def explain(*, line: str, side: str, choice: Any, output: Output) -> int:
    """Say how the amount of one line item comes about: the rule, the numbers put into it, and the result.

    LINE is the number of a line item behind its side (invoice:G016907411:17 or october.csv:17), counted from 1 in the
    order of the side as `counterfoil audit` counts; or, with a SIDE, the beginning of its digest, at least 6 digits; or
    the number of a difference, with the folder that `counterfoil reconcile --to` wrote as Parquet for a SIDE.

    Where several roundings lead to the amount, it is told by one, and the others are named. The rules of the audit that
    the line item breaks are named as well; those that look at its neighbours need `counterfoil audit`.

    \b
    Examples:
      counterfoil explain october.csv:17
      counterfoil explain 3f9a1c invoice:G016907411
      counterfoil explain 12 compared --output json
    """
    from counterfoil.reconcile import ExplainedLine, explain_line

    note_data_folder((side or line.rpartition(":")[0],), choice["data"])
    with output.progress("Line items") as advance:
        found = explain_line(line, side, progress=advance, **choice)
    if output.is_json:
        output.facts(found.to_json())
    else:
        output.facts(_of_line(found) if isinstance(found, ExplainedLine) else _of_difference(found))
    return 0


def _of_line(found: ExplainedLine) -> dict[str, object]:
    facts: dict[str, object] = {"side": found.side, "lineItem": found.line_item, "digest": found.digest}
    facts |= found.told
    return facts | _sentences(found)


def _sentences(found: ExplainedLine) -> dict[str, object]:
    facts: dict[str, object] = {}
    for each in found.amounts:
        rounding = each.reckoning.rule.value
        if each.reckoning.also:
            rounding += f"; or {', '.join(each.reckoning.also)}"
        facts |= {each.attribute: each.reckoning.sentence, f"{each.attribute}Rounding": rounding}
    if found.broken:
        facts["breaks"] = ", ".join(found.broken)
    return facts


def _of_difference(found: ExplainedDifference) -> dict[str, object]:
    facts: dict[str, object] = {"number": found.number, "difference": found.difference}
    facts["causes"] = [f"{cause}: {amount}" for cause, amount in found.causes] or ["none"]
    if found.notes:
        facts["notes"] = list(found.notes)
    for line in (*found.left, *found.right):
        facts |= line.told
        facts[line.side] = [
            *_as_list(facts.get(line.side)),
            *(f"line item {line.line_item:,}: {each.attribute} {each.reckoning.sentence}" for each in line.amounts),
        ]
    return facts


def _as_list(lines: object) -> list[str]:
    return list(lines) if isinstance(lines, list) else []
