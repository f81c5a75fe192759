"""What must hold for all line items of a dataset together: one issuer, one currency, one invoice, all required.

A line without a required attribute is refused like any bad line. A foreign partner, a second currency or another
invoice's line is worse - the file is not what it was taken for - and always refuses the publication.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from counterfoil.columns import LineItemTable, Type, table_of
from counterfoil.datasets.batch import Batch, names_of
from counterfoil.datasets.coded import Coder
from counterfoil.datasets.flagged import Flagged
from counterfoil.datasets.line_item_findings import Findings
from counterfoil.datasets.value_spans import ValueSpans
from counterfoil.errors import InputError, UsageError
from counterfoil.lifetimes_and_sizes import LINE_ITEM_SIZE_BYTES_MAX
from counterfoil.line_items.reference import OnRefused
from counterfoil.line_items.values import Refused
from counterfoil.model import Dataset, Kind, Scope, tenant_id
from counterfoil.periods import BillingPeriod

_EMPTY = pa.scalar("", pa.string())  # made of a plain "", every time, Arrow would look for date libraries to import
UNKNOWN_ATTRIBUTES_MAX = 200  # different ones in all line items of a segment
UNKNOWN_SIZE_BYTES_MAX = 64 << 10  # of one line item together, as JSON; what Microsoft sends has some hundred
_UNKNOWN = "unknown "  # of a warning: the name of the attribute follows
_CERTAINLY_SMALL_BYTES = 128 << 10  # escapes make a text six times longer at most


@dataclass(frozen=True, slots=True)
class Assertions:
    """What the caller says about the input; what the line items say themselves may be left empty.

    `period_if_unbilled` is what a file's name says, which counts only where the line items name no invoice.
    """

    partner: str = ""
    issuer: str = ""
    kind: Kind | None = None
    invoice: str = ""
    period: BillingPeriod | None = None
    currency: str = ""
    period_if_unbilled: BillingPeriod | None = None

    @classmethod
    def read(
        cls,
        *,
        partner: str = "",
        issuer: str = "",
        kind: str = "",
        invoice: str = "",
        period: str = "",
        currency: str = "",
    ) -> Self:
        """Return what texts say; empty ones say nothing. Raises UsageError."""
        return cls(
            partner=tenant_id(partner) if partner else "",
            issuer=tenant_id(issuer) if issuer else "",
            kind=_kind(kind) if kind else None,
            invoice=invoice,
            period=BillingPeriod.parse(period) if period else None,
            currency=currency,
        )

    def with_given(self, given: Assertions) -> Assertions:
        """Return these with what was given for all files in place of what a name says."""
        told = {field.name: value for field in fields(given) if (value := getattr(given, field.name))}
        return replace(self, **told)

    def __post_init__(self) -> None:
        if self.invoice and self.period:
            raise UsageError(
                "An invoice and a period exclude one another.",
                remedy="Billed data has an invoice, unbilled data a period.",
                parameter="invoice period",
            )


def _kind(text: str) -> Kind:
    if text not in list(Kind):
        raise UsageError(f"{text!r} is not a kind of line items.", remedy=f"Use {' or '.join(Kind)}.", parameter="kind")
    return Kind(text)


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose line items these are, once given or inferred."""

    dataset: Dataset
    issuer: str
    currency: str


def identify(table: LineItemTable, first: Batch, asserted: Assertions, file: str) -> Identity:
    """Infer from the first batch what was not asserted; raises InputError if neither says."""
    named_partner = first_text(first, "PartnerId")
    if not named_partner or not (asserted.currency or first_text(first, table.currency)):
        refused = missing([name for name in table.required if not first_text(first, name)])
        raise InputError(refused.reason, file=file, line=int(first.lines[0]), attribute=refused.attribute)
    issuer = asserted.issuer or asserted.partner or named_partner
    try:
        issuer = tenant_id(issuer)
        partner = tenant_id(asserted.partner or issuer)
    except UsageError as error:
        raise InputError(error.message, file=file, attribute="PartnerId", remedy=error.remedy) from error
    currency = (asserted.currency or first_text(first, table.currency)).upper()
    invoice = asserted.invoice or ("" if asserted.period else first_text(first, "InvoiceNumber"))
    period = asserted.period or (None if invoice else asserted.period_if_unbilled)
    if not invoice and period is None:
        raise InputError(
            "the line items name no invoice",
            file=file,
            attribute="InvoiceNumber",
            remedy="Give the invoice of billed data, or the period of unbilled data.",
            parameter="invoice period",
        )
    try:
        if period is not None:
            scope = Scope.unbilled(period, currency)
        else:
            scope = Scope.billed(invoice)
            Scope.unbilled(BillingPeriod(2000, 1), currency)  # checks the currency's form
    except UsageError as error:
        raise InputError(error.message, file=file, remedy=error.remedy) from error
    return Identity(Dataset(table.kind, partner, scope), issuer, currency)


def missing(names: Sequence[str]) -> Refused:
    """Return the verdict on a line item without attributes that are required; it names all of them."""
    if len(names) == 1:
        return Refused("is missing", names[0])
    return Refused("are missing", f"{', '.join(names[:-1])} and {names[-1]}")


@dataclass(frozen=True, slots=True)
class _Alike:
    """What all values of a column must be, in any case of letters, and what is said where one is not."""

    column: int
    allowed: set[str]
    reason: str
    remedy: str
    parameter: str


class Checks:
    """The checks of one segment's line items. Each entry of a dictionary is looked at once, whatever refers to it."""

    def __init__(self, identity: Identity, coder: Coder) -> None:
        self._coder = coder
        table = table_of(identity.dataset.kind)
        names = names_of(table)
        self._required = [names.index(name) for name in table.required]
        invoice = identity.dataset.scope.invoice
        reason = f"not of invoice {invoice}" if invoice else "an invoice number in unbilled data"
        currency = identity.currency
        self._alike = [
            _Alike(names.index("PartnerId"), {identity.issuer}, "another partner's line item", *_PARTNER_REMEDY),
            _Alike(names.index(table.currency), {currency}, f"not in {currency}", _CURRENCY_REMEDY, ""),
            _Alike(names.index("InvoiceNumber"), {"", invoice}, reason, *_INVOICE_REMEDY),
        ]
        texts = {number for number, column in enumerate(table.columns) if column.type is Type.TEXT}
        self._flagged = Flagged(coder, texts | {alike.column for alike in self._alike})
        self.findings = Findings(identity.dataset, self._flagged)

    def passed(
        self, batch: Batch, codes: np.ndarray, sizes: np.ndarray, file: str, on_refused: OnRefused
    ) -> np.ndarray:
        """Return which line items are complete and not too large, and tell `on_refused` of the others.

        Raises InputError where the whole file is in doubt.
        """
        items, names = batch.items, names_of(batch.table)
        absent = (items.starts[:, self._required] < 0) | (items.lengths[:, self._required] == 0)
        kept: np.ndarray = ~absent.any(axis=1)
        for row in np.flatnonzero(~kept):
            lacking = [names[column] for column, lacks in zip(self._required, absent[row], strict=True) if lacks]
            on_refused(int(batch.lines[row]), missing(lacking))
        new = self._flagged.new_rows(codes)
        if len(new):
            self._look(items, codes, new)
            self.findings.look(batch, codes, new)
        for alike in self._alike:
            for column, flags in self._flagged.rows(alike.reason, codes):
                other = np.flatnonzero(flags & kept)
                if len(other):
                    raise InputError(
                        alike.reason,
                        file=file,
                        line=int(batch.lines[other[0]]),
                        attribute=names[column],
                        value=batch.column(names[column])[int(other[0])].as_py() or "",
                        remedy=alike.remedy,
                        parameter=alike.parameter,
                    )
        kept &= ~self.findings.lost(batch, codes, kept, on_refused)
        for row in np.flatnonzero(kept & (sizes > _CERTAINLY_SMALL_BYTES)):
            if _is_oversized(batch, int(row)):
                kept[row] = False
                on_refused(int(batch.lines[row]), Refused("a line item of more than 1 MiB"))
        return kept

    def _look(self, items: ValueSpans, codes: np.ndarray, rows: np.ndarray) -> None:
        """Flag the entries in some rows that are not what all must be."""
        some = ValueSpans(items.text, items.starts[rows], items.lengths[rows])
        for alike, texts in zip(self._alike, some.columns([alike.column for alike in self._alike]), strict=True):
            other = rows[_other_than(alike.allowed, texts)]
            if len(other):
                self._flagged.add(alike.reason, alike.column, codes[self._flagged.group_of[alike.column], other])

    def unknown_attributes(self, batch: Batch, codes: np.ndarray, file: str) -> Counter[str]:
        """Count the attributes that only Extra could keep, by name; raises InputError if there are too many."""
        found: Counter[str] = Counter()
        entries = self._coder.entries[-1]
        used, rows, counts = np.unique(codes[-1], return_index=True, return_counts=True)
        there = entries.nulls[used] == 0
        for code, row, count in zip(used[there].tolist(), rows[there].tolist(), counts[there].tolist(), strict=True):
            text, line = entries.texts(code)[0], int(batch.lines[row])
            names = json.loads(text, parse_int=str, parse_float=str)
            refuse_large_unknown(text, names, file, line)
            for name in names:
                found[_UNKNOWN + name] += count
            refuse_many_unknown(found, file, line)
        return found


def refuse_large_unknown(text: bytes, names: Iterable[str], file: str, line: int) -> None:
    """Raise InputError if the attributes that only Extra could keep are larger than anything Microsoft sends."""
    if len(text) > UNKNOWN_SIZE_BYTES_MAX:
        raise InputError(
            f"the attributes that Microsoft has not documented take more than {UNKNOWN_SIZE_BYTES_MAX >> 10} KiB",
            file=file,
            line=line,
            attribute=next(iter(names)),
            remedy="Leave out what is no attribute of a line item.",
        )


def refuse_many_unknown(warnings: Mapping[str, int], file: str, line: int | None = None) -> None:
    """Raise InputError if more attributes are unknown than anybody would look at."""
    if sum(name.startswith(_UNKNOWN) for name in warnings) > UNKNOWN_ATTRIBUTES_MAX:
        raise InputError(
            f"more than {UNKNOWN_ATTRIBUTES_MAX} attributes are none that Microsoft has documented",
            file=file,
            line=line,
            remedy="Are names and values mixed up? Leave out what is no attribute of a line item.",
        )


def _other_than(allowed: set[str], texts: pa.StringArray) -> np.ndarray:
    """Flag the texts that are none of the allowed ones, whatever their case."""
    encoded = pc.dictionary_encode(texts.fill_null(_EMPTY))
    distinct = encoded.dictionary.to_pylist()
    flags = np.array([allowed.isdisjoint({text, text.lower(), text.upper()}) for text in distinct], dtype=bool)
    found: np.ndarray = flags[encoded.indices.to_numpy()]
    return found


# Each remedy with the parameters it is about.
_PARTNER_REMEDY = (
    "Publish one partner's line items in one file; for a distributor's resellers name partner and issuer.",
    "partner issuer",
)
_CURRENCY_REMEDY = "Publish each currency by itself."
_INVOICE_REMEDY = ("Publish each invoice by itself, and check the invoice or period.", "invoice period")


def _is_oversized(batch: Batch, row: int) -> bool:
    """Tell whether a line item would be more than 1 MiB of JSON."""
    items = batch.keep(np.arange(len(batch)) == row).items
    names = names_of(batch.table)
    texts = {name: texts[0].as_py() for name, texts in zip(names, items.columns(range(len(names))), strict=True)}
    spaces = 2 * len(texts)  # behind signs
    return len(msgspec.json.encode(texts)) + spaces > LINE_ITEM_SIZE_BYTES_MAX - 1024


def first_text(batch: Batch, name: str) -> str:
    """Return the first text in a watched column that is not empty; '' where there is none."""
    return next((text for text in pc.unique(batch.column(name)).to_pylist() if text), "")
