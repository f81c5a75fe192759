"""Reads all of a ledger through its mapping, and says what was understood: sums, customers, days, and what was odd."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Final

from counterfoil import numbers
from counterfoil.errors import InputError, UsageError
from counterfoil.reconcile.sides.ledgers.ledger_formats import mapped_table
from counterfoil.reconcile.sides.ledgers.ledger_keys import CUSTOMER
from counterfoil.reconcile.sides.ledgers.ledger_lines import Attributes, LedgerLines
from counterfoil.reconcile.sides.ledgers.ledger_mapping import NET, SALE_AMOUNT, LedgerMapping, mapping_at, read_mapping

_SUMMED: Final = (NET, "TaxTotal", "Total", SALE_AMOUNT)
_DATES: Final = ("UsageDate", "ChargeStartDate", "ChargeEndDate")
_DAY_LENGTH: Final = len("2026-11-28")
_COUNTED_AT_ONCE: Final = 1_000


@dataclass(slots=True)
class LedgerCheck:
    """What a ledger was understood to be. `sums` are by currency and then by attribute, exact."""

    ledger: str
    mapping: LedgerMapping
    lines: int = 0
    customers: int = 0
    first_day: str = ""
    last_day: str = ""
    sums: dict[str, dict[str, Decimal]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Return the check, amounts as texts with all their digits."""
        return {
            "ledger": self.ledger,
            "lines": self.lines,
            "customers": self.customers,
            "matchedBy": list(self.mapping.matched_by),
            "firstDay": self.first_day,
            "lastDay": self.last_day,
            "totals": {
                currency: {name: numbers.plain(amount) for name, amount in sums.items()}
                for currency, sums in sorted(self.sums.items())
            },
            "notes": list(self.notes),
        }


def check_ledger(
    mapping: Path | str, ledger: Path | str | None = None, *, progress: Callable[[int], None] = lambda _: None
) -> LedgerCheck:
    """Read a ledger whole: the one that its mapping names, or another that is mapped alike.

    Raises UsageError for a mapping that cannot be right, and SideError and InputError for a ledger that cannot be read.
    """
    if ledger is not None and not Path(ledger).is_file():
        raise UsageError(f"There is no file {ledger}.", remedy="Name the file that holds the ledger.")
    name = str(mapping)
    read = mapping_at(Path(mapping), name) if ledger is None else read_mapping(Path(mapping))
    table = mapped_table(read, name if ledger is None else str(ledger), None if ledger is None else Path(ledger))
    check = LedgerCheck(table.name, read)
    customer = next((each for each in CUSTOMER if each in read.columns), "")
    customers = set[int]()
    lines = LedgerLines(table, read)
    for _, line in lines:
        check.lines += 1
        if told := line.get(customer):
            customers.add(hash(told.casefold()))
        _add(check, line)
        if check.lines % _COUNTED_AT_ONCE == 0:
            progress(_COUNTED_AT_ONCE)
    if not check.lines:
        raise InputError("holds no lines", file=table.name, remedy="Name the file or sheet that holds the ledger.")
    progress(check.lines % _COUNTED_AT_ONCE)
    check.customers, check.notes = len(customers), lines.findings.told()
    return check


def _add(check: LedgerCheck, line: Attributes) -> None:
    sums = check.sums.setdefault(line["Currency"] or "", {})
    for name in _SUMMED:
        if text := line.get(name):
            numbers.add_to(sums, name, numbers.exact(text))
    for name in _DATES:
        if text := line.get(name):
            day = text[:_DAY_LENGTH]
            check.first_day = min(check.first_day or day, day)
            check.last_day = max(check.last_day, day)
