"""Auditing a side: every rule is asked once for each distinct tuple of what it reads, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
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
from counterfoil.reconcile.auditing.among_rules import AMONG_RULES, EXAMPLES_MAX, Collector
from counterfoil.reconcile.auditing.amount_rules import AMOUNT_RULES
from counterfoil.reconcile.auditing.audit_results import Audit, Example, RuleFinding
from counterfoil.reconcile.auditing.columns_read import BatchColumns, DistinctTuples, Texts
from counterfoil.reconcile.auditing.rounding_rules import ROUNDING_RULES, RoundingRule
from counterfoil.reconcile.auditing.roundings_seen import SEEN_RULES, RoundingsSeen
from counterfoil.reconcile.auditing.rule import NET, SIGN_MARK, AuditRule, Facts, own_names
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
_PLACE: Final = ("ChargeType", "ProductId", "ChargeStartDate")
_MONTH_LENGTH: Final = len("2026-11")
# What is plain is certainly a number; every other text, and every date, is asked about.
_CHECKED: Final = {
    Type.NUMBER: (PLAIN_NUMBER, numbers.why_not_a_number),
    Type.DATE: ("^$", why_not_a_date),
}
_VERDICTS_MAX: Final = 50_000


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
    lines = [_LineRule(rule, side, seen) for rule in mine if rule.check is not None]
    among: list[Collector] = [make(rule, side) for rule, make in AMONG_RULES if rule.id in ids]
    first = 1
    for batch in reading.batches(_names_read(mine, side.kind)):
        _check_values(batch, side)
        columns = BatchColumns(batch)
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
    names = {name.removeprefix(SIGN_MARK) for rule in rules for name in own_names(rule.reads, kind)}
    names |= {*own_names((NET, *_PLACE), kind)}
    return [column.name for column in table.columns if column.name in names]


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


class _LineRule:
    """Asks a rule about the line items of a side, and remembers what broke it."""

    def __init__(self, rule: AuditRule, side: Side, seen: RoundingsSeen) -> None:
        self._rule, self._kind, self._seen = rule, side.kind, seen
        self._reads = own_names(rule.reads, side.kind)
        place = own_names(_PLACE, side.kind) if isinstance(rule, RoundingRule) else ()
        self._more = tuple(name for name in place if name not in self._reads)
        [self._net] = own_names((NET,), side.kind)
        # What the facts are called: a sign stands for its amount.
        self._names = [name.removeprefix(SIGN_MARK) for name in (*self._reads, *self._more)]
        self._verdicts: dict[Texts, bool | None] = {}
        self._applied = self._found = 0
        self._stake = exact.ZERO
        self._examples: list[Example] = []

    def add(self, columns: BatchColumns, first_line_item: int) -> None:
        """Look at a batch, see `among_rules.Collector`."""
        found = columns.distinct([*self._reads, *self._more])
        broken = []
        for at, (texts, count) in enumerate(zip(found.texts, found.counts, strict=True)):
            verdict = self._verdict(texts, count, first_line_item + found.rows[at])
            if verdict is not None:
                self._applied += count
                if not verdict:
                    broken.append(at)
                    self._found += count
        if broken:
            self._remember(columns, found, broken, first_line_item)

    def _verdict(self, texts: Texts, count: int, line_item: int) -> bool | None:
        rule = self._rule
        if isinstance(rule, RoundingRule):
            facts = Facts(self._kind, dict(zip(self._names, texts, strict=True)))
            explained = rule.explain(facts)
            if explained is None or not explained.ways:
                return None if explained is None else False
            charge, product, start = (facts.text(name) for name in _PLACE)
            self._seen.add(rule.id, explained, (charge, product, start[:_MONTH_LENGTH]), count, line_item)
            return True
        if texts not in self._verdicts:
            if len(self._verdicts) >= _VERDICTS_MAX:
                self._verdicts.clear()
            assert rule.check is not None
            self._verdicts[texts] = rule.check(Facts(self._kind, dict(zip(self._names, texts, strict=True))))
        return self._verdicts[texts]

    def _remember(self, columns: BatchColumns, found: DistinctTuples, broken: Sequence[int], first: int) -> None:
        amounts = columns.texts(self._net, found.rows_of(broken))
        stake = exact.total(exact.magnitude(Decimal(text)) for text in amounts if text)
        self._stake = exact.add(self._stake, stake)
        for at in broken[: EXAMPLES_MAX - len(self._examples)]:
            row = pa.array([found.rows[at]], pa.int64())
            read = {name: columns.texts(name, row)[0] or "" for name in self._names[: len(self._reads)]}
            self._examples.append(Example(first + found.rows[at], read))

    def finding(self) -> RuleFinding:
        """Return what was found in all batches."""
        return RuleFinding(self._rule, self._applied, self._found, self._stake, tuple(self._examples))
