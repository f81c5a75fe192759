"""What must hold for all line items of a dataset together: one issuer, one currency, one invoice, all required.

A line without a required attribute is refused like any bad line. A foreign partner, a second currency or another
invoice's line is worse - the file is not what it was taken for - and always refuses the publication.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from counterfoil.columns import EXTRA, LineItemTable, table_of
from counterfoil.datasets.batch import Batch
from counterfoil.errors import InputError, UsageError
from counterfoil.lifetimes_and_sizes import LINE_ITEM_SIZE_BYTES_MAX
from counterfoil.line_items.reference import OnRefused
from counterfoil.line_items.values import Refused
from counterfoil.model import Dataset, Kind, Scope, tenant_id
from counterfoil.periods import BillingPeriod

_EMPTY = pa.scalar("", pa.string())  # made of a plain "", every time, Arrow would look for date libraries to import
_CERTAINLY_SMALL_BYTES = 128 << 10  # escapes make a text six times longer at most


@dataclass(frozen=True, slots=True)
class Assertions:
    """What the caller says about the input; what the line items say themselves may be left empty."""

    partner: str = ""
    issuer: str = ""
    kind: Kind | None = None
    invoice: str = ""
    period: BillingPeriod | None = None
    currency: str = ""

    @classmethod
    def read(cls, *, partner: str = "", issuer: str = "", kind: str = "", period: str = "", **others: str) -> Self:
        """Return what texts say, `others` the invoice and currency; empty ones say nothing. Raises UsageError."""
        return cls(
            partner=tenant_id(partner) if partner else "",
            issuer=tenant_id(issuer) if issuer else "",
            kind=Kind(kind) if kind else None,
            period=BillingPeriod.parse(period) if period else None,
            **others,
        )

    def __post_init__(self) -> None:
        if self.invoice and self.period:
            raise UsageError(
                "An invoice and a period exclude one another.",
                remedy="Billed data has an invoice, unbilled data a period.",
                parameter="invoice period",
            )


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose line items these are, once given or inferred."""

    dataset: Dataset
    issuer: str
    currency: str


def identify(table: LineItemTable, first: Batch, asserted: Assertions, file: str) -> Identity:
    """Infer from the first batch what was not asserted; raises InputError if neither says."""
    named_partner = first_text(first, "PartnerId")
    if not named_partner:
        raise InputError("is empty", file=file, line=int(first.lines[0]), attribute="PartnerId")
    issuer = asserted.issuer or asserted.partner or named_partner
    try:
        issuer = tenant_id(issuer)
        partner = tenant_id(asserted.partner or issuer)
    except UsageError as error:
        raise InputError(error.message, file=file, attribute="PartnerId", remedy=error.remedy) from error
    currency = (asserted.currency or first_text(first, table.currency)).upper()
    invoice = asserted.invoice or ("" if asserted.period else first_text(first, "InvoiceNumber"))
    if not invoice and asserted.period is None:
        raise InputError(
            "the line items name no invoice",
            file=file,
            attribute="InvoiceNumber",
            remedy="Give the invoice of billed data, or the period of unbilled data.",
            parameter="invoice period",
        )
    try:
        if asserted.period is not None:
            scope = Scope.unbilled(asserted.period, currency)
        else:
            scope = Scope.billed(invoice)
            Scope.unbilled(BillingPeriod(2000, 1), currency)  # checks the currency's form
    except UsageError as error:
        raise InputError(error.message, file=file, remedy=error.remedy) from error
    return Identity(Dataset(table.kind, partner, scope), issuer, currency)


def check(batch: Batch, identity: Identity, file: str, on_refused: OnRefused) -> Batch:
    """Return the line items that are complete and not too large; raises InputError where the whole file is in doubt."""
    table = table_of(identity.dataset.kind)
    batch = _complete(table, batch, on_refused)
    _all_alike(batch, "PartnerId", {identity.issuer}, file, "another partner's line item", *_PARTNER_REMEDY)
    _all_alike(batch, table.currency, {identity.currency}, file, f"not in {identity.currency}", _CURRENCY_REMEDY)
    invoice = identity.dataset.scope.invoice
    reason = f"not of invoice {invoice}" if invoice else "an invoice number in unbilled data"
    _all_alike(batch, "InvoiceNumber", {"", invoice}, file, reason, *_INVOICE_REMEDY)
    return _not_oversized(batch, on_refused)


# Each remedy with the parameters it is about.
_PARTNER_REMEDY = (
    "Publish one partner's line items in one file; for a distributor's resellers name partner and issuer.",
    "partner issuer",
)
_CURRENCY_REMEDY = "Publish each currency by itself."
_INVOICE_REMEDY = ("Publish each invoice by itself, and check the invoice or period.", "invoice period")


def _not_oversized(batch: Batch, on_refused: OnRefused) -> Batch:
    """Refuse line items that would be more than 1 MiB of JSON, and return the others."""
    kept = batch.text_sizes <= _CERTAINLY_SMALL_BYTES
    if kept.all():
        return batch
    for row in np.flatnonzero(~kept):
        rendered = json.dumps(batch.items.slice(row, 1).to_pylist()[0], ensure_ascii=False)
        kept[row] = len(rendered.encode()) <= LINE_ITEM_SIZE_BYTES_MAX - 1024
        if not kept[row]:
            on_refused(int(batch.lines[row]), Refused("a line item of more than 1 MiB"))
    return batch.keep(kept)


def unknown_attributes(batch: Batch) -> Counter[str]:
    """Count the attributes that only Extra could keep, by name."""
    found: Counter[str] = Counter()
    for text in batch.column(EXTRA).drop_null().to_pylist():
        found.update(f"unknown {name}" for name in json.loads(text, parse_int=str, parse_float=str))
    return found


def _complete(table: LineItemTable, batch: Batch, on_refused: OnRefused) -> Batch:
    missing = np.zeros(batch.num_rows, dtype=bool)
    for column in table.columns:
        if column.required:
            absent = pc.fill_null(pc.equal(batch.column(column.name), _EMPTY), fill_value=True)
            mask = absent.combine_chunks().to_numpy(zero_copy_only=False)
            for row in np.flatnonzero(mask & ~missing):
                on_refused(int(batch.lines[row]), Refused("is missing", column.name))
            missing |= mask
    return batch.keep(~missing) if missing.any() else batch


def _all_alike(
    batch: Batch, name: str, allowed: set[str], file: str, reason: str, remedy: str, parameter: str = ""
) -> None:
    texts = batch.column(name)
    for value in pc.unique(texts).to_pylist():
        text = value or ""
        if text not in allowed and text.lower() not in allowed and text.upper() not in allowed:
            row = pc.index(texts, value).as_py()
            line = int(batch.lines[row])
            raise InputError(
                reason, file=file, line=line, attribute=name, value=text, remedy=remedy, parameter=parameter
            )


def first_text(batch: Batch, name: str) -> str:
    """Return the first text in a watched column that is not empty; '' where there is none."""
    return next((text for text in pc.unique(batch.column(name)).to_pylist() if text), "")
