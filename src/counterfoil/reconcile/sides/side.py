"""A side: the line items that somebody named, as batches of text, and what is known of them beforehand.

The trap: what is known beforehand (currency, partner) is known for published datasets and pulls only. Of a file, the
line items alone say it, so `read` looks at every one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from counterfoil.columns import table_of
from counterfoil.errors import SideError
from counterfoil.model import Kind, Scope
from counterfoil.reconcile.sides.ledgers.ledger_facts import LedgerFacts

PARTNER: Final = "PartnerId"
Batches = Callable[[Sequence[str]], Iterator[pa.RecordBatch]]
Wants = Callable[[int, int], bool]  # whether any of the line items from one place to another are wanted


class Stretches(Protocol):
    """Reads a file of a side: batches of texts by attribute, each with the place of its first line item, from 0."""

    def __call__(
        self, names: Sequence[str], *, line_items: int, wants: Wants | None = None
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Yield so many line items at once; stretches that are not wanted may be left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SidePart:
    """Line items of a side of which single attributes and stretches can be read quickly.

    - `identity`: equal for two parts that hold the same line items, '' where that is not known.
    - `in_order`: whether they are certain to be sorted by customer, subscription and date.
    - `digests`: whether `lake.DIGEST` may be read as well, see there.
    """

    line_items: int
    stretches: Stretches = field(repr=False)
    identity: str = ""
    in_order: bool = False
    digests: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """Line items of one kind. `batches` yields the attributes that it is given, as texts or dictionaries of texts.

    - `name`: as it was named; `what`: in words, such as `invoice G016907411 of ..., published`.
    - `origin`: `published`, `pull`, `file` or `ledger`; `proof`: how certain a pull is, see `client.receipt`.
    - `partner`, `currency`: empty where only the line items say.
    - `attributes`: those that its files hold, None where that is not known before they are read.
    - `parts`: the same line items in the same order, where parts of them can be read apart; or none.
    - `ledger`: of a ledger only, whose lines may tell of fewer things than line items do.
    """

    name: str
    what: str
    origin: str
    kind: Kind
    batches: Batches = field(repr=False)
    proof: str = ""
    etag: str = ""
    revision: str = ""
    scope: Scope | None = None
    partner: str = ""
    currency: str = ""
    attributes: frozenset[str] | None = None
    parts: tuple[SidePart, ...] = field(default=(), repr=False)
    ledger: LedgerFacts | None = None

    @property
    def amounts(self) -> tuple[str, ...]:
        """The amounts that line items of its kind add up to, as far as they are told: a ledger may tell no tax."""
        names = table_of(self.kind).totals
        if self.ledger is None or self.attributes is None:
            return names
        return tuple(name for name in names if name in self.attributes)

    def to_json(self) -> dict[str, str]:
        """Return what a report says of the side; what is not known is left out."""
        facts = {
            "name": self.name,
            "what": self.what,
            "origin": self.origin,
            "kind": self.kind.value,
            "proof": self.proof,
            "eTag": self.etag,
            "revision": self.revision,
        }
        return {name: value for name, value in facts.items() if value}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A published dataset as people name it: by its scope, a revision or an eTag, of which the beginning is enough."""

    scope: Scope | None = None
    revision: str = ""
    etag: str = ""


@dataclass(frozen=True, slots=True)
class PublishedState:
    """One revision of a dataset: its id, and when it was published, in UTC."""

    revision: str
    published_at: datetime


class PublishedDatasets(Protocol):
    """What the reconciler may know of a data folder."""

    def find(self, wanted: Wanted, name: str, *, kind: Kind | None, partner: str) -> list[Side]:
        """Return each published dataset that fits, as a side; `partner` is a tenant, '' for any.

        Raises UsageError and MissingError for a revision that is not one.
        """

    def states(self, side: Side) -> list[PublishedState]:
        """Return the revisions of the dataset that a side is a state of, the newest first."""


class Reading:
    """Reads the line items of a side that are of one currency and one partner; `currency` is known afterwards."""

    def __init__(self, side: Side, *, currency: str = "", partner: str = "") -> None:
        self.side = side
        self.currency = side.currency or currency.upper()
        self.line_items = 0
        self._table = table_of(side.kind)
        self._asked_currency, self._asked_partner = currency.upper(), partner.lower()
        self._partner = partner.lower()
        self._currencies_seen = set[str]()
        self._must_look = not (side.currency and side.partner)

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield the attributes of these names; raises SideError for a side that cannot be answered for."""
        self._check_currency()
        for batch in self.side.batches(self._looked_at(names)):
            chosen = self._chosen(batch) if self._must_look else batch
            self.line_items += chosen.num_rows
            if chosen.num_rows:
                yield chosen
        self.refuse_none()

    @property
    def takes_all(self) -> bool:
        """Whether it reads all line items of the side, without looking for partner and currency."""
        return not self._must_look

    def stretches(
        self, part: SidePart, names: Sequence[str], *, line_items: int, wants: Wants | None = None
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Yield the attributes of a part, see `Stretches`; places count line items of the currency and partner only.

        It may be read several times, so `line_items` is left to whoever reads. Raises SideError as `batches` does,
        except for a side without line items, see `refuse_none`.
        """
        self._check_currency()
        if self.takes_all:
            yield from part.stretches(names, line_items=line_items, wants=wants)
            return
        place = 0
        for _, batch in part.stretches(self._looked_at(names), line_items=line_items):
            chosen = self._chosen(batch).select(list(names))
            if chosen.num_rows and (wants is None or wants(place, place + chosen.num_rows)):
                yield place, chosen
            place += chosen.num_rows

    def refuse_none(self) -> None:
        """Raise SideError where there were no line items."""
        if not self.line_items:
            if self._currencies_seen:
                raise self._nothing_in(sorted(self._currencies_seen))
            if self._asked_partner and not self.side.partner:
                raise SideError(
                    f"{self.side.name} holds no line items of the partner {self._asked_partner}.",
                    remedy="Name a side of that partner, or leave the partner out.",
                    parameter="partner",
                )
            raise SideError(f"{self.side.name} holds no line items.", remedy="Name a side that holds some.")

    def _check_currency(self) -> None:
        if self.side.currency and self._asked_currency not in ("", self.side.currency):
            raise self._nothing_in([self.side.currency])

    def _looked_at(self, names: Sequence[str]) -> list[str]:
        looked_at = (self._table.currency, PARTNER) if self._must_look else ()
        return [*names, *(name for name in looked_at if name not in names)]

    def _nothing_in(self, currencies: Sequence[str]) -> SideError:
        whose = f" of the partner {self._asked_partner}" if self._asked_partner else ""
        amounts = f" in {self._asked_currency}" if self._asked_currency else ""
        return SideError(
            f"{self.side.name} holds no line items{amounts}{whose}; its amounts are in {_listed(currencies)}.",
            remedy="Name one of its own currencies and partners, or leave the choice out.",
            parameter="currency" if self._asked_currency else "partner",
        )

    def _chosen(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        if not self.side.partner:
            batch = self._of_the_partner(batch)
        return batch if self.side.currency else self._of_the_currency(batch)

    def _of_the_partner(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        found = _distinct(batch, PARTNER)
        lowered = {text.lower() for text in found if text}
        if self._asked_partner:
            return _only(batch, PARTNER, [text for text in found if (text or "").lower() == self._asked_partner])
        if lowered:
            self._partner = self._partner or min(lowered)
            if others := lowered - {self._partner}:
                raise SideError(
                    f"{self.side.name} holds line items of several partners: {_listed([self._partner, *others])}.",
                    remedy="Name the partner whose line items count.",
                    parameter="partner",
                )
        return batch

    def _of_the_currency(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        column = self._table.currency
        found = _distinct(batch, column)
        codes = {(text or "").upper() for text in found}
        self._currencies_seen |= codes
        if "" in codes:
            raise SideError(
                f"{self.side.name} holds line items without a {column}.", remedy="An amount without a currency is none."
            )
        if self._asked_currency:
            return _only(batch, column, [text for text in found if (text or "").upper() == self._asked_currency])
        if len(self._currencies_seen) > 1:
            raise SideError(
                f"{self.side.name} holds amounts in {_listed(sorted(self._currencies_seen))}, which cannot be added.",
                remedy="Name the currency that counts.",
                parameter="currency",
            )
        self.currency = next(iter(codes), self.currency)
        return batch


def _distinct(batch: pa.RecordBatch, name: str) -> list[str | None]:
    found: list[str | None] = pc.unique(batch.column(name)).to_pylist()
    return found


def _only(batch: pa.RecordBatch, name: str, texts: Sequence[str | None]) -> pa.RecordBatch:
    column = batch.column(name)
    plain = column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
    return batch.filter(pc.is_in(plain, pa.array(texts, pa.string())))


def _listed(texts: Sequence[str]) -> str:
    *before, last = texts[:8]
    return f"{', '.join(before)} and {last}" if before else last
