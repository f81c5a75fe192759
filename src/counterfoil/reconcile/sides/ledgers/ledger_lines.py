"""From the rows of a ledger to lines: attributes under our names, each the text of an exact value, None if not told.

Rows of totals are the trap. They look like charges and would count everything twice, so they are recognised by their
words or by having nothing but amounts. They are refused, or left out where the mapping says so and the rows above them
add up to them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from counterfoil import numbers
from counterfoil.errors import InputError
from counterfoil.line_items.values import UNSEEN, Refused
from counterfoil.reconcile.sides.ledgers.ledger_facts import LedgerFindings
from counterfoil.reconcile.sides.ledgers.ledger_forms import ValueReader
from counterfoil.reconcile.sides.ledgers.ledger_mapping import NET, TOTALS_SKIPPED, LedgerMapping, is_amount
from counterfoil.reconcile.sides.ledgers.ledger_table import LedgerRow, LedgerTable, Uncalculated, columns_in

Attributes = dict[str, str | None]
_TOTAL: Final = re.compile(
    r"(?:grand|sub|report|overall|zwischen|gesamt|end|sous)?[ -]?(?:totale?s?|summen?|ergebnis|r[ée]sultat)"
    r"|total g[ée]n[ée]ral|gesamt(?:betrag)?|somme|subtotaal|totaal|suma|razem|celkem|summa|yhteens[äa]|toplam"
    r"|итого|всего|合計|小計|总计|小计|i alt|sum",
    re.IGNORECASE,
)
_TOTAL_AT_END: Final = re.compile(r".+[ :-](?:total|ergebnis|r[ée]sultat|summe|totale|subtotal)", re.IGNORECASE)
_TOTAL_AT_START: Final = re.compile(r"(?:sub-?)?(?:total|summe|somme|totale)[: ].*", re.IGNORECASE)
_MARKUP: Final = re.compile(r"</?[a-z][^<>]*>|&(?:amp|lt|gt|quot|nbsp|#[0-9]{1,6});", re.IGNORECASE)
_SPREADSHEET_DIGITS: Final = 15
_SKIP: Final = f'Remove the row, or write totals = "{TOTALS_SKIPPED}" under [source] of the mapping.'


class LedgerLines:
    """Reads the lines of a ledger; `findings` are complete once the last has been read."""

    def __init__(self, table: LedgerTable, mapping: LedgerMapping) -> None:
        self.findings = LedgerFindings()
        self._table, self._mapping = table, mapping
        self._reader = ValueReader(mapping)
        self._amounts = frozenset(ours for ours in mapping.columns if is_amount(ours))
        self._keys = mapping.keys
        self._above = numbers.exact("0")  # what the rows so far come to, and those since the last row of totals
        self._since = numbers.exact("0")
        self._ids: dict[str, bool] = {}  # of ids of more than 15 digits: whether all so far ended in zeros

    def __iter__(self) -> Iterator[tuple[int, Attributes]]:
        """Yield the number of each row and its attributes; raises InputError."""
        places, found = columns_in(self._table, dict(self._mapping.columns))
        width = len(found.header.cells)
        for row in found.rows:
            if not any(cell.strip(UNSEEN) for cell in row.cells):
                continue
            self._check_width(row, width)
            cells = {ours: row.cells[at] if at < len(row.cells) else "" for ours, at in places.items()}
            attributes = self._attributes(row, cells)
            if attributes is not None:
                self.findings.lines += 1
                yield row.line, attributes
        self._check_ids()

    def _check_width(self, row: LedgerRow, width: int) -> None:
        if any(cell.strip(UNSEEN) for cell in row.cells[width:]):
            raise self._error(
                row.line,
                f"has {len(row.cells)} cells, where the header has {width}",
                remedy="Put quotes around texts that hold the sign between columns, such as amounts with a comma.",
            )

    def _attributes(self, row: LedgerRow, cells: dict[str, str]) -> Attributes | None:
        """Return what a row tells, None for a row of totals that is left out."""
        for ours, cell in cells.items():
            if isinstance(cell, Uncalculated):
                raise self._error(
                    row.line,
                    "a formula that was never calculated",
                    attribute=self._mapping.columns[ours],
                    value=cell,
                    remedy="Open the workbook in Excel or LibreOffice, save it, and give it again.",
                )
        told = {ours: cell for ours, cell in cells.items() if cell.strip(UNSEEN)}
        if self._amounts.isdisjoint(told):
            raise self._error(
                row.line, "a row without an amount", remedy="Remove it if it is a note, or fill in its amount."
            )
        totals = self._is_of_totals(row, told)
        if totals and self._mapping.source.totals != TOTALS_SKIPPED:
            raise self._error(row.line, "a row of totals, which would count its rows twice", value=totals, remedy=_SKIP)
        try:
            attributes = self._reader.read(told, skip_keys=bool(totals))
        except Refused as refused:
            raise self._refused(row.line, refused) from refused
        amount = numbers.exact(attributes[NET] or attributes["Total"] or "0")
        if totals:
            self._check_totals(row.line, amount, totals)
            return None
        self._above, self._since = numbers.add(self._above, amount), numbers.add(self._since, amount)
        self._look_at(row.line, told)
        return attributes

    def _is_of_totals(self, row: LedgerRow, told: dict[str, str]) -> str:
        """Return what says that a row is one of totals: its words, or that it has nothing but amounts."""
        keys = [told[name].strip(UNSEEN) for name in self._keys if name in told]
        first = next((text for cell in row.cells if (text := cell.strip(UNSEEN))), "")
        if not keys:
            return first if says_total(first) else "nothing but amounts"
        return keys[0] if len(keys) == 1 and says_total(keys[0]) else ""

    def _check_totals(self, line: int, amount: Decimal, told: str) -> None:
        if amount not in (self._above, self._since):
            above, since = map(numbers.plain, (self._above, self._since))
            sums = above if above == since else f"{above}, and those since the last such row to {since}"
            raise self._error(
                line,
                f"looks like a row of totals and is none: it says {numbers.plain(amount)}, and the rows above come to "
                f"{sums}",
                value=told,
                remedy="Remove the row, or fill in whose charge it is.",
            )
        self._since = numbers.exact("0")
        self.findings.totals_left_out.append(line)

    def _look_at(self, line: int, told: dict[str, str]) -> None:
        for name in self._keys:
            text = told.get(name, "")
            if len(text) > _SPREADSHEET_DIGITS and text.isascii() and text.isdecimal():
                ends_in_zeros = not text[_SPREADSHEET_DIGITS:].strip("0")
                self._ids[name] = self._ids.get(name, True) and ends_in_zeros
            if not self.findings.notes and _MARKUP.search(text):
                self.findings.notes.append(
                    f"Line {line} has markup in {name} ({text[:60]!r}). It counts as it stands: as another name."
                )

    def _check_ids(self) -> None:
        for name, all_end_in_zeros in self._ids.items():
            if all_end_in_zeros:
                raise InputError(
                    f"all ids of more than {_SPREADSHEET_DIGITS} digits end in zeros: a spreadsheet cut them",
                    file=self._table.name,
                    attribute=self._mapping.columns[name],
                    remedy="Import the column as text, from the file that the spreadsheet was given.",
                )

    def _refused(self, line: int, refused: Refused) -> InputError:
        theirs = self._mapping.columns.get(refused.attribute, refused.attribute)
        return self._error(line, refused.reason, attribute=theirs, value=refused.value, remedy=refused.remedy)

    def _error(
        self, line: int, reason: str, *, attribute: str = "", value: str | None = None, remedy: str = ""
    ) -> InputError:
        return InputError(reason, file=self._table.name, line=line, attribute=attribute, value=value, remedy=remedy)


def says_total(text: str) -> bool:
    """Whether a text is what a row of totals begins with, in one of several languages."""
    return any(pattern.fullmatch(text.rstrip(":")) for pattern in (_TOTAL, _TOTAL_AT_END, _TOTAL_AT_START))
