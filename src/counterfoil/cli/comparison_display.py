"""What a comparison says on a terminal: what a reader must know first, the figures, and where to look next.

`show_at_least` hides what is smaller from the lists, is named where it hides something, and changes no figure.
"""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final

from counterfoil.cli.margin_display import show_margins
from counterfoil.cli.output import Headed, Output
from counterfoil.errors import UsageError
from counterfoil.money import Money
from counterfoil.printable_text import counted

if TYPE_CHECKING:
    from counterfoil.reconcile import Cause, ChangeTotal, Comparison, FoundDifference, GroupDifference

TOP_BY_DEFAULT: Final = 5
DIFFERENCES_MAX: Final = 1_000  # that are listed one by one; tables hold any number of them
_DATA: Final = Path("counterfoil-data")
_WIDTH: Final = 80
_SHORT: Final = 8  # characters of an id that tell it from others
_LISTED: Final = ("customer", "subscription")


def show(
    comparison: Comparison,
    output: Output,
    *,
    by: str | None,
    top: int | None,
    at_least: Decimal | None,
    changes: Sequence[ChangeTotal] = (),
    breaks: Mapping[str, object] | None = None,
) -> None:
    """Print a comparison; with `by`, the groups of one breakdown instead of customers and subscriptions.

    Where two states of one thing are compared, `changes` are what happened between them. `breaks` is what keeping the
    differences as breaks did, which programs are told.
    """
    most = TOP_BY_DEFAULT if top is None else top or None
    if output.is_json:
        document = document_of(comparison, by=by, top=top or None, at_least=at_least)
        further = {"changes": [each.to_json() for each in changes], "breaks": breaks}
        output.facts(document | {name: told for name, told in further.items() if told})
        return
    # Asked for before anything is printed: a side may lack the attribute, which is an error.
    breakdowns = {
        each: _shown(comparison.by(each), at_least) for each in ([by] if by else comparison.grouped_by(_LISTED))
    }
    for warning in comparison.warnings:
        for line in textwrap.wrap(f"Warning: {warning.text}", _WIDTH, subsequent_indent="  "):
            output.text("warning", line)
    if comparison.warnings:
        output.text("", "")
    # The last table alone notes that amounts are rounded.
    told, output = output, replace(output, quiet=True)
    output.facts(_facts(comparison))
    output.text("", "")
    (told if comparison.is_equal else output).rows(_side_rows(comparison))
    show_margins(comparison, output, top=most)
    if comparison.is_equal:
        return
    _section(output, "What happened", [_change_row(each, comparison.currency) for each in changes])
    _section(output, "Why", cause_rows(comparison))
    for each, groups in breakdowns.items():
        rows = [_group_row(each, group, comparison.currency) for group in groups[:most]]
        _section(told if by else output, _of(f"By {each}", len(rows), len(groups)), rows)
    if not by:
        found = comparison.differences(at_least=at_least, limit=most or DIFFERENCES_MAX)
        rows = [_difference_row(each, comparison.currency) for each in found]
        _section(told, _of("Largest differences", len(rows), comparison.found), rows)
    if at_least is not None:
        least = Money(at_least.copy_abs(), comparison.currency).shown(exact=True)
        output.text("", f"Listed are differences of at least {least}; all figures count every one.")


def document_of(
    comparison: Comparison, *, by: str | None, top: int | None, at_least: Decimal | None
) -> dict[str, object]:
    """Return the comparison for programs: all groups, or as many as were asked for."""
    document = comparison.to_json(top=top)
    if by:
        groups = _shown(comparison.by(by), at_least)
        document["by"] = {"key": by, "groups": [group.to_json() for group in groups[:top]]}
    if at_least is not None:
        document["displayFilter"] = {"atLeast": at_least.copy_abs()}
    return document


def conclude(comparison: Comparison, output: Output, *, next_command: str) -> int:
    """Say how it ended; returns the exit code."""
    left, right = comparison.left, comparison.right
    if comparison.is_equal:
        output.note(f"{left.name} and {right.name} agree to the last digit: {counted(right.line_items, 'line item')}.")
        return 0
    amount = Money(comparison.difference, comparison.currency).shown(exact=output.exact)
    unexplained = Money(comparison.unexplained, comparison.currency).shown(exact=output.exact)
    rest = f"; {unexplained} are unexplained" if comparison.unexplained else ", all of it explained"
    return output.conclude(
        f"They differ by {amount} in {counted(comparison.found, 'difference')}{rest}.",
        remedy=f"Next: {next_command}",
        exit_code=3,
    )


def written_by(left: str, right: str, **options: object) -> str:
    """Return the command that writes the result of this comparison, as a shell takes it."""
    given = [(f"--{'as' if name == 'comparing' else name}", value) for name, value in options.items() if value]
    told = [text for option, value in given if option != "--data" or value != _DATA for text in (option, str(value))]
    return shlex.join(["counterfoil", "reconcile", left, right, *told, "--to", "result"])


def amount_option(text: str | None) -> Decimal | None:
    """Return the amount of `--show-at-least`; raises UsageError for what is none."""
    if text is None:
        return None
    from counterfoil.reconcile.side_totals import amount_of

    found = amount_of(text, "show_at_least")
    if found < 0:
        raise UsageError(
            f"{text} is below zero.",
            remedy="Give a size such as 1.00; it counts whatever the sign.",
            parameter="show_at_least",
        )
    return found


def cause_rows(comparison: Comparison) -> list[dict[str, object]]:
    """Return a row for each cause: what it is called, its amount, the number of differences, and what it means."""
    from counterfoil.reconcile.reports.cause_words import words_of
    from counterfoil.reconcile.reports.side_words import words_of_sides

    left, right = (words.phrase for words in words_of_sides(comparison))
    return [
        {
            "cause": cause.value,
            "amount": Money(total.amount, comparison.currency),
            "differences": total.differences,
            "meaning": words_of(cause, left, right).meaning,
        }
        for cause, total in comparison.causes.items()
    ]


def _facts(comparison: Comparison) -> dict[str, object]:
    from counterfoil.reconcile.reports.report_facts import stages_in_words

    facts: dict[str, object] = {}
    for heading, side in (("Left", comparison.left), ("Right", comparison.right)):
        state = f" ({side.proof})" if side.proof else ""
        facts[heading] = Headed(heading, f"{side.what}{state}")
    compared = f"{comparison.comparing}, {comparison.kind} line items"
    facts["compared"] = f"{compared} of {comparison.period}" if comparison.period else compared
    facts["matched"] = dict(stages_in_words(comparison))
    return facts


def _side_rows(comparison: Comparison) -> list[dict[str, object]]:
    left, right = comparison.left, comparison.right
    rows = [
        ("left", left.line_items, left.total),
        ("right", right.line_items, right.total),
        ("difference", right.line_items - left.line_items, comparison.difference),
    ]
    return [
        {"side": name, "lineItems": count, "total": Money(amount, comparison.currency)} for name, count, amount in rows
    ]


def _change_row(each: ChangeTotal, currency: str) -> dict[str, object]:
    return {"change": each.change.value, "amount": Money(each.amount, currency), "differences": each.differences}


def _group_row(by: str, group: GroupDifference, currency: str) -> dict[str, object]:
    name = group.name or group.key or "(none)"
    # Most subscriptions are called alike, such as Azure plan.
    short = f" {group.key[:_SHORT]}" if by == "subscription" and group.name else ""
    return {
        by.replace("-t", "T"): f"{name}{short}",
        "id": group.key,
        "left": Money(group.left, currency),
        "right": Money(group.right, currency),
        "difference": Money(group.difference, currency),
        "mainCause": _main(group.causes),
    }


def _difference_row(found: FoundDifference, currency: str) -> dict[str, object]:
    return {
        "number": found.number,
        "customer": found.told("CustomerName") or found.customer or "(none)",
        "product": found.told("ProductName") or found.product or found.told("SkuName"),
        "difference": Money(found.amount, currency),
        "causes": ", ".join(each.cause.value for each in found.causes) or ", ".join(found.attributes),
    }


def _main(causes: Mapping[Cause, Decimal]) -> str:
    return max(causes, key=lambda cause: causes[cause].copy_abs()).value if causes else ""


def _shown(groups: Sequence[GroupDifference], at_least: Decimal | None) -> list[GroupDifference]:
    return [group for group in groups if at_least is None or group.difference.copy_abs() >= at_least]


def _of(heading: str, shown: int, count: int) -> str:
    return heading if shown == count else f"{heading}: {shown:,} of {count:,}"


def _section(output: Output, heading: str, rows: Sequence[Mapping[str, object]]) -> None:
    if not rows:
        return
    output.text("", "")
    output.text("", heading)
    output.rows(rows, less_needed=("id", "mainCause", "left", "right"))


def formats_in(given: Sequence[str]) -> Iterator[str]:
    """Yield the formats of `--format html,xlsx`, which may also be given again."""
    for text in given:
        yield from (each for part in text.split(",") if (each := part.strip().lower()))
