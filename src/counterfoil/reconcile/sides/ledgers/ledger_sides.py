"""A ledger as a side: its lines under the names of line items, with null for whatever it does not tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import pyarrow as pa

from counterfoil.errors import SideError, UsageError
from counterfoil.model import Kind
from counterfoil.reconcile.sides.ledgers.ledger_facts import LedgerFacts
from counterfoil.reconcile.sides.ledgers.ledger_formats import mapped_table
from counterfoil.reconcile.sides.ledgers.ledger_keys import stand_ins
from counterfoil.reconcile.sides.ledgers.ledger_lines import Attributes, LedgerLines
from counterfoil.reconcile.sides.ledgers.ledger_mapping import (
    IN_USAGE,
    NET,
    PRICES,
    LedgerMapping,
    mapping_at,
    read_mapping,
)
from counterfoil.reconcile.sides.ledgers.ledger_table import LedgerTable
from counterfoil.reconcile.sides.side import Side

FORM: Final = "ledger:"
_MAPPING_NAMES: Final = ".toml"
_LINES_AT_ONCE: Final = 10_000


def is_ledger(name: str) -> bool:
    """Whether a side is named as a ledger: `ledger:FILE`."""
    return name.lower().startswith(FORM)


def ledger_side(name: str, *, mapping: Path | str | None, kind: Kind | None, partner: str) -> Side:
    """Return a ledger as a side: `ledger:FILE` or a file, read through a mapping, or `ledger:MAPPING.toml` alone.

    Its net is in the attribute of the other side's kind. Raises UsageError, SideError and InputError.
    """
    given = name[len(FORM) :] if is_ledger(name) else name
    if not given or "\0" in given:
        raise UsageError(f"{name!r} names no ledger.", remedy="Write ledger: and the file, or its mapping.")
    path = Path(given)
    if not path.exists():
        raise UsageError(f"There is no {given}.", remedy="Name the file that holds the ledger, or its mapping.")
    if path.is_dir():
        raise UsageError(f"{given} is a folder.", remedy="Name the file that holds the ledger, or its mapping.")
    if mapping is not None:
        read = read_mapping(Path(mapping))
        table = mapped_table(read, given, path)
    elif path.suffix.lower() == _MAPPING_NAMES:
        read = mapping_at(path, given)
        table = mapped_table(read, given)
    else:
        raise UsageError(
            f"{name} needs a mapping, which says which of its columns are what.",
            remedy=f"Draft one with: counterfoil mapping suggest {given}",
            parameter="mapping",
        )
    told = read.kind
    if kind is not None and told not in (None, kind):
        raise SideError(
            f"{name} tells of {told} line items, and {kind} was expected.",
            remedy="Compare it with a side of that kind, or leave UsageDate and its like out of the mapping.",
            parameter="kind",
        )
    return _side(name, table, read, kind or told or Kind.RECONCILIATION, partner)


def _side(name: str, table: LedgerTable, mapping: LedgerMapping, kind: Kind, partner: str) -> Side:
    facts = LedgerFacts(mapping)
    in_usage = IN_USAGE if kind is Kind.USAGE else {}
    ours = {theirs: mine for mine, theirs in in_usage.items()} | stand_ins(mapping.keys)
    untold = frozenset(PRICES) if mapping.tells_gross_only else frozenset[str]()

    def batches(wanted: Sequence[str]) -> Iterator[pa.RecordBatch]:
        lines = LedgerLines(table, mapping)
        each_line = iter(lines)
        while some := list(islice(each_line, _LINES_AT_ONCE)):
            columns = [
                pa.nulls(len(some), pa.string())
                if each in untold
                else pa.array([_text(line, ours.get(each, each)) for _, line in some], pa.string())
                for each in wanted
            ]
            yield pa.RecordBatch.from_arrays(columns, names=list(wanted))
        facts.findings = lines.findings

    told = {*mapping.columns, "Currency", NET, "Total", *(["TaxTotal"] if mapping.tells_tax else [])}
    return Side(
        name=name,
        what=f"the ledger {table.name}",
        origin="ledger",
        kind=kind,
        batches=batches,
        partner="" if "PartnerId" in mapping.columns else partner,
        currency="" if "Currency" in mapping.columns else mapping.source.currency.upper(),
        attributes=frozenset({in_usage.get(name, name) for name in told} | stand_ins(mapping.keys).keys()),
        ledger=facts,
    )


def _text(line: Attributes, name: str) -> str | None:
    """Return what is told. Where tax is not, net and total are the same amount: the one that is told."""
    if name == NET:
        return line[NET] or line["Total"]
    if name == "Total":
        return line["Total"] or line[NET]
    return line.get(name)
