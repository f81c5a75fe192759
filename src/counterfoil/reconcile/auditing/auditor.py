"""Auditing a side: every rule is asked once for each distinct tuple of what it reads, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from counterfoil import numbers
from counterfoil.columns import EXTRA, Type, table_of
from counterfoil.errors import InputError, SideError, UsageError
from counterfoil.line_items.dates import why_not_a_date
from counterfoil.line_items.line_shapes import PLAIN_NUMBER
from counterfoil.model import Kind
from counterfoil.reconcile.auditing.among_rules import AMONG_RULES, Collector
from counterfoil.reconcile.auditing.amount_rules import AMOUNT_RULES
from counterfoil.reconcile.auditing.audit_results import Audit, RuleFinding
from counterfoil.reconcile.auditing.columns_read import BatchColumns
from counterfoil.reconcile.auditing.excerpts import excerpt_and_name
from counterfoil.reconcile.auditing.line_checks import PLACE, line_check
from counterfoil.reconcile.auditing.rounding_rules import ROUNDING_RULES
from counterfoil.reconcile.auditing.roundings_seen import SEEN_RULES, RoundingsSeen
from counterfoil.reconcile.auditing.rule import NET, AuditRule, own_names
from counterfoil.reconcile.auditing.word_rules import WORD_RULES
from counterfoil.reconcile.explaining import arithmetic as exact
from counterfoil.reconcile.sides.opening import DATA, opened_side
from counterfoil.reconcile.sides.side import Reading, Side

RULES: Final[tuple[AuditRule, ...]] = (
    *ROUNDING_RULES,
    *AMOUNT_RULES,
    *WORD_RULES,
    *(rule for rule, _ in AMONG_RULES),
    *SEEN_RULES,
)
# What is plain is certainly a number; every other text, and every date, is asked about.
_CHECKED: Final = {
    Type.NUMBER: (PLAIN_NUMBER, numbers.why_not_a_number),
    Type.DATE: ("^$", why_not_a_date),
}


def rules_chosen(only: Iterable[str] = (), skipped: Iterable[str] = ()) -> tuple[AuditRule, ...]:
    """Return all rules, or only some, less those that are skipped; raises UsageError for an id that none has."""
    wanted, left_out = set(only), set(skipped)
    for id_ in sorted(wanted | left_out):
        rule_of(id_)
    chosen = tuple(rule for rule in RULES if (not wanted or rule.id in wanted) and rule.id not in left_out)
    if not chosen:
        raise UsageError("No rule is left to audit by.", remedy="Skip fewer of them.", parameter="skip")
    return chosen


def rule_of(id_: str) -> AuditRule:
    """Return the rule of this id; raises UsageError."""
    ids = [rule.id for rule in RULES]
    if id_ not in ids:
        near = get_close_matches(id_, ids, 1)
        meant = f" Did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"There is no rule {id_!r}.{meant}", remedy=f"The rules are {', '.join(ids)}.")
    return RULES[ids.index(id_)]


def audit(
    side: str,
    *,
    rules: Iterable[str] = (),
    skip: Iterable[str] = (),
    kind: Kind | str | None = None,
    currency: str = "",
    partner: str = "",
    data: Path | str = DATA,
    database_url: str = "",
    progress: Callable[[int], None] = lambda _: None,
) -> Audit:
    """Hold the line items of a side, named as in `totals`, against the rules, or against those with the ids `rules`.

    Raises UsageError for an argument that cannot be right, and SideError, MissingError or InputError for a side that
    cannot be audited.
    """
    chosen = rules_chosen(rules, skip)
    with opened_side(
        side, kind=kind, currency=currency, partner=partner, data=data, database_url=database_url
    ) as reading:
        return audited(reading, chosen, progress)


def audited(reading: Reading, chosen: Sequence[AuditRule], progress: Callable[[int], None]) -> Audit:
    """Return the audit of a side that is open, by some rules."""
    side = reading.side
    seen = RoundingsSeen()
    mine = [rule for rule in chosen if side.kind in rule.kinds]
    ids = frozenset(rule.id for rule in mine)
    lines = [line_check(rule, side, seen) for rule in mine if rule.check is not None]
    among: list[Collector] = [make(rule, side) for rule, make in AMONG_RULES if rule.id in ids]
    first = 1
    for batch in reading.batches(_names_read(mine, side.kind)):
        _check_values(batch, side)
        _refuse_no_amount(batch, side, first)
        columns = BatchColumns(batch, side.kind)
        for asked in (*lines, *among):
            asked.add(columns, first)
        first += batch.num_rows
        progress(batch.num_rows)
    found = {finding.rule.id: finding for finding in (each.finding() for each in (*lines, *among))}
    found |= {finding.rule.id: finding for finding in seen.findings(ids)}
    none = {rule.id: RuleFinding(rule, 0, 0, exact.ZERO) for rule in chosen}
    findings = tuple((none | found)[rule.id] for rule in chosen)
    if not any(finding.applied_to for finding in findings):
        raise SideError(
            f"No line item of {side.name} is one that these rules apply to, so nothing was audited.",
            remedy="Audit it by other rules, or by all of them.",
            parameter="rules",
        )
    return Audit(side, reading.currency, reading.line_items, findings, seen.counts())


def _names_read(rules: Sequence[AuditRule], kind: Kind) -> list[str]:
    """Return the attributes that some rules read; all of them where duplicates are looked for."""
    table = table_of(kind)
    if any(rule.id == "duplicates" for rule in rules):
        return [*(column.name for column in table.columns), EXTRA]
    names = {excerpt_and_name(read)[1] for rule in rules for read in own_names(rule.reads, kind)}
    names |= {*own_names((NET, *PLACE), kind)}
    return [column.name for column in table.columns if column.name in names]


def _refuse_no_amount(batch: pa.RecordBatch, side: Side, first_line_item: int) -> None:
    """Raise InputError for a line item without its amount before tax: no rule applies to it, so none would find it."""
    [net] = own_names((NET,), side.kind)
    column = batch.column(net)
    if column.null_count:
        at = pc.index(column.is_null(), True).as_py()
        raise InputError(
            "a line item without an amount",
            file=side.name,
            line=first_line_item + at,
            attribute=net,
            remedy="Fill the amount in, or fetch the line items again.",
        )


def _check_values(batch: pa.RecordBatch, side: Side) -> None:
    """Raise InputError for a number or date that is none: nobody vouches for the texts of a file."""
    if side.origin != "file":
        return
    for column in table_of(side.kind).columns:
        if column.type not in _CHECKED or column.name not in batch.schema.names:
            continue
        plain, why_not = _CHECKED[column.type]
        texts = batch.column(column.name).unique().cast(pa.string())
        for text in texts.filter(pc.invert(pc.match_substring_regex(texts, plain))).to_pylist():
            if text and (reason := why_not(text)):
                raise InputError(reason, file=side.name, attribute=column.name, value=text)
