"""Drafts a mapping for a ledger: by the names of its columns, and by what stands in them.

The trap is to be believed. So the draft marks what nobody has said with `?`, and leaves open what cannot be decided.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from counterfoil.errors import InputError, UsageError
from counterfoil.line_items.values import UNSEEN
from counterfoil.reconcile.sides.ledgers.heading_words import meant_by
from counterfoil.reconcile.sides.ledgers.ledger_formats import table_at
from counterfoil.reconcile.sides.ledgers.ledger_lines import says_total
from counterfoil.reconcile.sides.ledgers.ledger_mapping import (
    CREDIT,
    DEBIT,
    NET,
    SALE_AMOUNT,
    SALE_PRICE,
    TOTALS_SKIPPED,
    LedgerSource,
    column_of,
    is_amount,
)
from counterfoil.reconcile.sides.ledgers.ledger_table import LedgerRow, with_header
from counterfoil.reconcile.sides.ledgers.value_samples import (
    SampledColumn,
    currencies_in,
    date_orders,
    decimals_of,
    needs_decimal,
    sampled,
)

_KNOWN_WEIGHT: Final = 100  # a row with one name that is known is more of a header than any row of other texts
_SALES: Final = {SALE_AMOUNT: "amount", SALE_PRICE: "price"}
_LOOK: Final = "?"
_SAMPLED_ROWS: Final = 1_000


@dataclass(slots=True)
class DraftedLine:
    """A line of a draft: a key with its value, why it is so, and whether somebody must look at it."""

    key: str
    value: str
    why: str = ""
    is_sure: bool = True


@dataclass(slots=True)
class MappingDraft:
    """A drafted mapping. `open_questions` are sentences, each about what must be filled in before it can be used."""

    file: str
    source: list[DraftedLine] = field(default_factory=list)
    columns: list[DraftedLine] = field(default_factory=list)
    sale: list[DraftedLine] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    open_questions: list[str] = field(default_factory=list)

    @property
    def to_be_looked_at(self) -> list[str]:
        """What was inferred from little, as sentences."""
        lines = (*self.source, *self.columns, *self.sale)
        return [f"{line.key} = {line.value}: {line.why}." for line in lines if not line.is_sure]

    def to_toml(self) -> str:
        """Return the mapping file, with a comment beside each line that has a reason."""
        parts = [f"# Drafted from {_one_line(self.file)}. Lines with {_LOOK} are to be looked at."]
        parts += [f"# To be filled in: {_one_line(question)}" for question in self.open_questions]
        for name, lines in (("source", self.source), ("columns", self.columns), ("sale", self.sale)):
            if lines:
                width = max(len(line.key) + len(line.value) for line in lines)
                parts += ["", f"[{name}]", *(_toml_line(line, width) for line in lines)]
        if self.unused:
            parts += ["", f"# Not used: {_one_line(', '.join(self.unused))}"]
        return "\n".join(parts) + "\n"


def suggest_mapping(path: Path, *, sheet: str = "", written_to: Path | None = None) -> MappingDraft:
    """Draft the mapping of a ledger; the file is named as it is seen from the folder that the mapping is written to.

    Raises UsageError, SideError and InputError for a file that is no table.
    """
    if not path.exists() or path.is_dir():
        raise UsageError(f"There is no file {path}.", remedy="Name the file that holds the ledger.")
    table = table_at(path, str(path), LedgerSource(sheet=sheet), score=_score, is_wanted=lambda _: False)
    header, all_rows = with_header(table, _score)
    rows = list(islice(all_rows, _SAMPLED_ROWS))
    columns = [column for column in sampled(header.cells, rows) if column.heading]
    if not any(column.values for column in columns):
        raise InputError("has a header and no rows below it", file=table.name, remedy="Name the sheet with the rows.")
    name = os.path.relpath(path, written_to.parent) if written_to else str(path)
    draft = MappingDraft(str(path))
    draft.source.append(DraftedLine("file", _quoted(Path(name).as_posix())))
    if sheet:
        draft.source.append(DraftedLine("sheet", _quoted(sheet)))
    chosen = _choose(columns, draft)
    _write_columns(chosen, draft)
    _write_forms(chosen, draft)
    _ask(chosen, draft)
    _ask_of_totals(rows, draft)
    draft.unused = [column.heading for column in columns if column not in [each for each, _, _ in chosen.values()]]
    return draft


_Chosen = dict[str, tuple[SampledColumn, str, bool]]  # ours: the column, why, whether that is sure


def _score(cells: Sequence[str]) -> int:
    known = {ours for cell in cells if (ours := meant_by(cell))}
    return _KNOWN_WEIGHT * len(known) + len([cell for cell in cells if cell.strip()])


def _choose(columns: Sequence[SampledColumn], draft: MappingDraft) -> _Chosen:
    chosen: _Chosen = {}
    for column in columns:
        ours = meant_by(column.heading)
        if ours is None or ours in chosen or (is_amount(ours) and column.values and not column.are_amounts):
            continue
        why, is_sure = "", True
        if ours == "CustomerId" and not column.are_guids:
            why, is_sure = "the values are no tenant ids: translate them under [values.CustomerId]", False
        elif ours == "SubscriptionId" and not column.are_guids:
            why, is_sure = "the values are no GUIDs", False
        elif ours in ("CustomerName", "ProductName") and column.are_guids:
            ours, why = ours.replace("Name", "Id"), "all values are GUIDs"
        elif headings_alike(columns, column):
            why, is_sure = "two columns have this name", False
        chosen.setdefault(ours, (column, why, is_sure))
    _choose_by_values(columns, chosen)
    _settle_amounts(chosen, draft)
    return chosen


def headings_alike(columns: Sequence[SampledColumn], column: SampledColumn) -> bool:
    """Whether another column has the same heading."""
    return sum(each.heading.casefold() == column.heading.casefold() for each in columns) > 1


def _choose_by_values(columns: Sequence[SampledColumn], chosen: _Chosen) -> None:
    """Take columns of GUIDs and of currencies for what they may be, where no heading says what is."""
    taken = [column for column, _, _ in chosen.values()]
    free = [column for column in columns if column not in taken]
    guids = sorted((column for column in free if column.are_guids), key=lambda column: column.distinct)
    for ours in ("CustomerId", "SubscriptionId"):
        if ours not in chosen and guids:
            chosen[ours] = (guids.pop(0), "its values are GUIDs, and its name says nothing", False)
    codes = [column for column in free if column.are_currencies and column.values]
    if "Currency" not in chosen and len(codes) == 1:
        chosen["Currency"] = (codes[0], "its values look like currencies", False)


def _settle_amounts(chosen: _Chosen, draft: MappingDraft) -> None:
    """Leave one amount: debit and credit exclude the others, and one of them alone is none."""
    both = {DEBIT, CREDIT} <= chosen.keys()
    for name in (NET, "Total") if both and NET not in chosen else (DEBIT, CREDIT):
        chosen.pop(name, None)
    if both and NET in chosen:
        draft.open_questions.append(
            "the ledger has an amount, and debit and credit; the amount was taken. Map the others if they are right."
        )
    if "Total" in chosen and NET not in chosen and not both:
        column, why, _ = chosen["Total"]
        if "TaxTotal" not in chosen:
            chosen["Total"] = (column, why or "nothing tells tax: call it Subtotal if it is before tax", False)


def _write_columns(chosen: _Chosen, draft: MappingDraft) -> None:
    order = [*dict.fromkeys(ours for ours in _ORDER if ours in chosen)]
    for ours in order:
        column, why, is_sure = chosen[ours]
        if ours in _SALES:
            draft.sale.append(DraftedLine(_SALES[ours], _quoted(column.heading), why, is_sure))
        else:
            draft.columns.append(DraftedLine(ours, _quoted(column.heading), why, is_sure))


def _write_forms(chosen: _Chosen, draft: MappingDraft) -> None:
    amounts = [text for ours, (column, _, _) in chosen.items() if is_amount(ours) for text in column.values]
    if needs_decimal(amounts):
        signs = decimals_of(amounts)
        if len(signs) == 1:
            draft.source.append(DraftedLine("decimal", _quoted(signs), "the amounts can be read in this way only"))
        elif signs:
            draft.open_questions.append('which sign is before the decimals: decimal = "," or decimal = "."')
        else:
            draft.open_questions.append("not all amounts can be read; `counterfoil mapping check` names the first")
    dates = [text for ours, (column, _, _) in chosen.items() if _is_date(ours) for text in column.values]
    orders = date_orders(dates)
    if len(orders) == 1:
        draft.source.append(DraftedLine("date", _quoted(orders.pop()), "the dates can be read in this way only"))
    elif orders:
        draft.open_questions.append('whether dates have the day first (date = "dmy") or the month (date = "mdy")')
    if "Currency" not in chosen:
        signs_seen = currencies_in(amounts)
        if len(signs_seen) == 1:
            draft.source.append(
                DraftedLine("currency", _quoted(next(iter(signs_seen))), "from the amounts", is_sure=False)
            )
        else:
            draft.open_questions.append('the currency of the amounts, such as currency = "EUR"')


def _is_date(ours: str) -> bool:
    return not is_amount(ours) and column_of(ours).type.value == "date"


def _ask(chosen: _Chosen, draft: MappingDraft) -> None:
    if not {NET, "Total", DEBIT} & chosen.keys():
        draft.open_questions.append('which column is the amount before tax: Subtotal = "..." under [columns]')
    if not any(line.key.startswith(("Customer", "Subscription", "Product", "Sku")) for line in draft.columns):
        draft.open_questions.append('which column is the customer: CustomerId = "..." under [columns]')
    if SALE_PRICE in chosen and "Quantity" not in chosen and SALE_AMOUNT not in chosen:
        draft.open_questions.append("the quantity, by which the sale price is multiplied")


def _ask_of_totals(rows: Sequence[LedgerRow], draft: MappingDraft) -> None:
    for row in rows:
        first = next((text for cell in row.cells if (text := cell.strip(UNSEEN))), "")
        if says_total(first):
            draft.open_questions.append(
                f"what is to become of rows of totals, such as row {row.line} ({first!r}): remove them, or write "
                f'totals = "{TOTALS_SKIPPED}" under [source]'
            )
            return


_ORDER: Final = (
    *("CustomerId", "CustomerName", "CustomerDomainName", "SubscriptionId", "SubscriptionDescription"),
    *("ProductId", "ProductName", "SkuId", "SkuName", "ChargeType", "OrderId", "InvoiceNumber"),
    *("UsageDate", "ChargeStartDate", "ChargeEndDate", "Quantity", "EffectiveUnitPrice", "UnitPrice"),
    *(NET, DEBIT, CREDIT, "TaxTotal", "Total", "Currency", SALE_PRICE, SALE_AMOUNT),
)


def _toml_line(line: DraftedLine, width: int) -> str:
    if not line.why and line.is_sure:
        return f"{line.key} = {line.value}"
    space = " " * (width - len(line.key) - len(line.value))
    return f"{line.key} = {line.value}{space}  # {'' if line.is_sure else _LOOK + ' '}{line.why}"


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode().replace("\x7f", "\\u007f")


def _one_line(text: str) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in text)
