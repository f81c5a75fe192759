"""`counterfoil audit`: whether the arithmetic of line items is right, rule by rule, and what is at stake."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from counterfoil.cli.options import with_amounts, with_output
from counterfoil.cli.output import Output
from counterfoil.cli.sides import note_data_folder, print_report, with_side_options
from counterfoil.errors import UsageError
from counterfoil.money import Money
from counterfoil.printable_text import counted

if TYPE_CHECKING:
    from counterfoil.reconcile import Audit, RuleFinding


@click.command()
@click.argument("sides", nargs=-1, metavar="SIDE...")
@click.option("--rule", "rules", metavar="ID", multiple=True, help="Only this rule. May be given again.")
@click.option("--skip", metavar="ID", multiple=True, help="All rules but this one. May be given again.")
@click.option("--explain", metavar="RULE", help="Say what a rule demands, with an example. No SIDE is needed.")
@with_side_options
@with_amounts
@with_output
def audit(
    *,
    sides: tuple[str, ...],
    rules: tuple[str, ...],
    skip: tuple[str, ...],
    explain: str | None,
    choice: Any,
    output: Output,
) -> int:
    """Hold the line items of each SIDE against the documented arithmetic, and against one another.

    SIDE is a published dataset (invoice:ID, unbilled:YYYY-MM:CCC, revision:ID or etag:...), the folder of a pull, or a
    file of line items. Each rule tells what it applied to, how much it found, and the amount before tax at stake. A
    rule that applied to nothing has proved nothing. Line items are counted from 1, in the order of the side.

    No single rounding is Microsoft's, so the audit counts which rounding explains how many line items; those that
    several explain are undecided.

    Exit code 3 if an error or a warning was found; notes do not count.

    \b
    Examples:
      counterfoil audit invoice:G016907411
      counterfoil audit october.csv --skip duplicates --output json
      counterfoil audit --explain subtotal-licence
    """
    from counterfoil.reconcile import audit as audit_of

    if explain:
        return _explain(explain, output)
    if not sides:
        raise UsageError("There is nothing to audit.", remedy="Name a SIDE, or a rule to explain.", parameter="explain")
    note_data_folder(sides, choice["data"])
    with output.progress("Line items") as advance:
        found = [audit_of(side, rules=rules, skip=skip, progress=advance, **choice) for side in sides]
    if len(found) > 1 and output.is_json:
        output.rows([each.to_json() for each in found])
    else:
        for each in found:
            if each is not found[0]:
                output.text("", "")
            _print(each, output)
    return _conclude(found, output)


def _explain(rule_id: str, output: Output) -> int:
    from counterfoil.reconcile.auditing.auditor import rule_of
    from counterfoil.reconcile.auditing.line_audit import in_numbers

    rule = rule_of(rule_id)
    facts: dict[str, object] = {
        "rule": rule.id,
        "sentence": rule.sentence,
        "severity": rule.severity.value,
        "source": rule.source,
        "kinds": sorted(kind.value for kind in rule.kinds),
        "holds": _example(rule.passes),
        "isBrokenBy": _example(rule.fails),
    }
    if computed := in_numbers(rule):
        facts["computed"] = computed
    output.facts(facts)
    return 0


def _example(example: Any) -> str:
    return ", ".join(f"{name} {text}".strip() for name, text in example.items())


def _print(found: Audit, output: Output) -> None:
    facts: dict[str, object] = {"side": found.side.what}
    if found.side.proof:
        facts["proof"] = found.side.proof
    facts |= {"lineItems": found.line_items, "currency": found.currency}
    if found.roundings:
        facts["roundings"] = [
            f"{each.rule}: {each.rounding.value if each.rounding else 'undecided'}, "
            f"{counted(each.line_items, 'line item')}"
            for each in found.roundings
        ]
    if broken := [_first(finding) for finding in found.findings if finding.found]:
        facts["examples"] = broken
    if idle := [finding.rule.id for finding in found.findings if not finding.applied_to]:
        facts["appliedToNothing"] = ", ".join(idle)
    rows: list[dict[str, object]] = [
        {
            "rule": finding.rule.id,
            "severity": finding.rule.severity.value,
            "appliedTo": finding.applied_to,
            "found": finding.found,
            "atStake": Money(finding.at_stake, found.currency),
        }
        for finding in found.findings
        if finding.applied_to
    ]
    print_report(output, found.to_json(), facts, rows)


def _first(finding: RuleFinding) -> str:
    """Return the first line item that breaks a rule, in words."""
    if not finding.examples:
        return f"{finding.rule.id}: {finding.told or finding.rule.sentence}"
    example = finding.examples[0]
    where = f"line item {example.line_item:,}: " if example.line_item else ""
    return f"{finding.rule.id}: {where}{_example(example.attributes)}"


def _conclude(found: Sequence[Audit], output: Output) -> int:
    from counterfoil.reconcile import Severity

    errors, warnings, notes = (sum(each.found(severity) for each in found) for severity in Severity)
    told = f"{counted(errors, 'error')}, {counted(warnings, 'warning')}, {counted(notes, 'note')}."
    if all(each.is_clean for each in found):
        output.note(f"Nothing is wrong by these rules: {told}")
        return 0
    rule = next(
        finding.rule.id
        for each in found
        for finding in each.findings
        if finding.found and finding.rule.severity is not Severity.NOTE
    )
    return output.conclude(
        f"Found: {told}", remedy=f"What a rule demands: counterfoil audit --explain {rule}", exit_code=3
    )
