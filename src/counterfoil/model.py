"""The nouns of the product: kinds, scopes, datasets, what a revision contains, and what a publication reports.

All values are frozen. A *dataset* is named by kind, partner and scope; a *revision* is one state of it; its
*contents* (line count, digest, totals) are what the eTag is made of, and are the same whatever the order of the
line items, the segments they came in, or the engine and compressor that wrote them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Self

from counterfoil import numbers
from counterfoil.errors import UsageError
from counterfoil.periods import BillingPeriod

WHOLE = "whole"  # the segment that is the whole dataset
NO_LINE_ITEMS = hashlib.sha256().hexdigest()  # the digest of an empty set
GUID_PATTERN = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_GUID = re.compile(GUID_PATTERN, re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_SEGMENT = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
INVOICE_ID_LENGTH_MAX = 64


class Kind(StrEnum):
    """The two kinds of line items."""

    RECONCILIATION = "reconciliation"
    USAGE = "usage"


class AttributeSet(StrEnum):
    """How many attributes an export holds."""

    FULL = "full"
    BASIC = "basic"


class Rendering(StrEnum):
    """The stored forms of a segment: the lake, and the wire forms made from it."""

    LAKE = "lake"
    GRAPH_FULL = "graph-full"
    GRAPH_BASIC = "graph-basic"
    V1 = "v1"

    @classmethod
    def of(cls, attributes: AttributeSet) -> Rendering:
        """Return the rendering that holds an attribute set."""
        return cls.GRAPH_BASIC if attributes is AttributeSet.BASIC else cls.GRAPH_FULL


def is_guid(text: str) -> bool:
    """Whether a text is a GUID in lower case."""
    return _GUID.fullmatch(text) is not None


def tenant_id(text: str) -> str:
    """Return a tenant id in lower case; raises UsageError if it is not a GUID."""
    lowered = text.strip().lower()
    if not is_guid(lowered):
        raise UsageError(
            f"{text!r} is not a tenant id.",
            remedy="A tenant id is a GUID such as 0e195b37-4574-4539-bc42-0e539b9684c0.",
        )
    return lowered


def segment_name(text: str) -> str:
    """Return a checked segment name; raises UsageError."""
    if _SEGMENT.fullmatch(text) is None or text.startswith("."):
        raise UsageError(
            f"{text!r} is not a segment name.", remedy="Use 1 to 64 of A-Z a-z 0-9 . _ -, such as 2026-11-20."
        )
    return text


@dataclass(frozen=True, slots=True, order=True)
class Scope:
    """What a dataset covers: one invoice, or one period in one currency.

    Build it with `billed` or `unbilled`; both check what they are given and raise UsageError.
    """

    invoice: str = ""
    period: str = ""
    currency: str = ""

    @classmethod
    def billed(cls, invoice: str) -> Self:
        """The line items of one invoice. Ids are compared case-blind and kept in upper case."""
        if not 1 <= len(invoice) <= INVOICE_ID_LENGTH_MAX or not all("!" <= char <= "~" for char in invoice):
            raise UsageError(
                f"{invoice!r} is not an invoice id.",
                remedy=f"An id has 1 to {INVOICE_ID_LENGTH_MAX} printable characters without spaces.",
            )
        return cls(invoice=invoice.upper())

    @classmethod
    def unbilled(cls, period: BillingPeriod, currency: str) -> Self:
        """The line items not yet invoiced of one month in one currency."""
        code = currency.upper()
        if _CURRENCY.fullmatch(code) is None:
            raise UsageError(f"{currency!r} is not a currency.", remedy="Use three letters, such as EUR.")
        return cls(period=str(period), currency=code)

    @property
    def is_billed(self) -> bool:
        """Whether this is an invoice."""
        return bool(self.invoice)

    def __str__(self) -> str:
        return f"invoice {self.invoice}" if self.invoice else f"unbilled {self.period} {self.currency}"


@dataclass(frozen=True, slots=True, order=True)
class Dataset:
    """All line items of one kind, for one partner, in one scope."""

    kind: Kind
    partner: str
    scope: Scope

    def __str__(self) -> str:
        return f"{self.kind} of {self.partner}, {self.scope}"


@dataclass(frozen=True, slots=True)
class Contents:
    """What a set of line items holds: how many, the hash of the set, and exact totals in one currency.

    `digest` is the SHA-256, in hex, of the line items' SHA-256 digests in ascending order (`line_items.line_digests`).
    It does not add up: the digest of two sets together is computed from all their digests. `currency` is empty only
    for no line items at all.
    """

    line_items: int = 0
    digest: str = NO_LINE_ITEMS
    currency: str = ""
    totals: Mapping[str, Decimal] = field(default_factory=dict)

    @classmethod
    def together(cls, parts: Iterable[Contents], digest: str) -> Contents:
        """Add up counts and totals; `digest` is that of all parts. Raises UsageError for two currencies."""
        line_items, currency, totals = 0, "", dict[str, Decimal]()
        for part in parts:
            if not part.line_items:
                continue
            if currency not in ("", part.currency):
                raise UsageError(f"Amounts in {currency} and {part.currency} cannot be added.")
            currency = part.currency
            line_items += part.line_items
            for name, value in part.totals.items():
                numbers.add_to(totals, name, value)
        return cls(line_items, digest, currency, totals)

    def plain_totals(self) -> dict[str, str]:
        """The totals, written out in full."""
        return {name: numbers.plain(value) for name, value in self.totals.items()}


def etag(dataset: Dataset, contents: Contents) -> str:
    """Return the eTag: 64 hex digits that name what a dataset contains, and nothing about how it is stored."""
    scope = dataset.scope
    parts = (
        "counterfoil-etag-2",
        dataset.kind.value,
        dataset.partner,
        scope.invoice,
        scope.period,
        scope.currency,
        str(contents.line_items),
        contents.digest,
    )
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
