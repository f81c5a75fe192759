"""Explaining one line item of a side, or one difference of a result that was written: `counterfoil explain`.

A line item is named by its number in its side, from 1 as everywhere (`october.csv:17`), or by the beginning of its
SHA-256. The trap: a side that begins with `invoice:` has colons of its own, so the number is what follows the last.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from counterfoil.errors import SideError, UsageError
from counterfoil.line_items.canonical import digest
from counterfoil.model import Kind
from counterfoil.reconcile.auditing.line_audit import ReckonedAmount, broken_rules, reckoned
from counterfoil.reconcile.line_places import Attributes, Found, line_by_digest, line_by_number
from counterfoil.reconcile.sides.opening import DATA, opened_side

FORMS: Final = "SIDE:NUMBER, the beginning of a digest and its SIDE, or the number of a difference and its folder"
_DIGEST: Final = re.compile(r"[0-9a-f]{6,64}", re.ASCII)
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,11}", re.ASCII)
_SHOWN: Final = ("CustomerName", "SubscriptionId", "ProductName", "SkuName", "MeterName", "ChargeType", "UsageDate",
                 "ChargeStartDate", "ChargeEndDate")  # fmt: skip
_TABLES: Final = ("differences", "causes", "left_lines", "right_lines")


@dataclass(frozen=True, slots=True)
class ExplainedLine:
    """A line item, how each of its amounts comes about, and the ids of the rules of the audit that it breaks."""

    side: str
    line_item: int
    kind: Kind
    attributes: Attributes
    amounts: tuple[ReckonedAmount, ...]
    broken: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Its SHA-256."""
        return digest(self.attributes).hex()

    @property
    def told(self) -> dict[str, str]:
        """The few attributes that say what it is for."""
        return {name: text for name in _SHOWN if (text := self.attributes.get(name))}

    def to_json(self) -> dict[str, object]:
        """Return everything, amounts as texts with all their digits."""
        return {
            "side": self.side,
            "lineItem": self.line_item,
            "kind": self.kind.value,
            "digest": self.digest,
            "amounts": [each.to_json() for each in self.amounts],
            "breaks": list(self.broken),
            "attributes": {name: text for name, text in self.attributes.items() if text},
        }


@dataclass(frozen=True, slots=True)
class ExplainedDifference:
    """A difference of a result: its line items on either side, and its causes with their amounts."""

    number: int
    difference: str
    causes: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    left: tuple[ExplainedLine, ...]
    right: tuple[ExplainedLine, ...]

    def to_json(self) -> dict[str, object]:
        """Return everything, amounts as texts with all their digits."""
        return {
            "number": self.number,
            "difference": self.difference,
            "causes": [{"cause": cause, "amount": amount} for cause, amount in self.causes],
            "notes": list(self.notes),
            "left": [line.to_json() for line in self.left],
            "right": [line.to_json() for line in self.right],
        }


def explain_line(
    line: str,
    side: str = "",
    *,
    kind: Kind | str | None = None,
    currency: str = "",
    partner: str = "",
    data: Path | str = DATA,
    database_url: str = "",
    progress: Callable[[int], None] = lambda _: None,
) -> ExplainedLine | ExplainedDifference:
    """Explain a line item, or a difference.

    `line` is `SIDE:NUMBER`; or, with a `side`, the beginning of a line item's digest, of which 6 digits are enough; or
    the number of a difference, and for the side the folder that a comparison was written to as Parquet.

    Raises UsageError for a line that is not named so or is not there, and SideError, MissingError or InputError for a
    side or line item that cannot be read.
    """
    if side and _is_result(Path(side)):
        return _difference(Path(side), line)
    number, name, wanted = _named(line, side)
    with opened_side(
        name, kind=kind, currency=currency, partner=partner, data=data, database_url=database_url
    ) as reading:
        found = line_by_digest(reading, wanted, progress) if wanted else line_by_number(reading, number, progress)
        return _explained(name, reading.side.kind, found)


def _named(line: str, side: str) -> tuple[int, str, str]:
    """Return the number of a line item, its side, and the beginning of its digest if it is named by that."""
    if side:
        wanted = line.strip().lower()
        if _DIGEST.fullmatch(wanted) is None:
            raise UsageError(
                f"{line!r} is not the beginning of a digest.",
                remedy=f"Give at least 6 of its digits; or write {side}:17 for the 17th line item.",
            )
        return 0, side, wanted
    name, _, number = line.rpartition(":")
    if not name or _NUMBER.fullmatch(number) is None:
        raise UsageError(f"{line!r} names no line item.", remedy=f"Write {FORMS}.")
    return int(number), name, ""


def _explained(side: str, kind: Kind, found: Found) -> ExplainedLine:
    number, attributes = found
    amounts = reckoned(attributes, kind)
    return ExplainedLine(
        side, number, kind, attributes, amounts, tuple(rule.id for rule in broken_rules(attributes, kind))
    )


def _is_result(folder: Path) -> bool:
    return (folder / f"{_TABLES[0]}.parquet").is_file()


def _difference(folder: Path, line: str) -> ExplainedDifference:
    if _NUMBER.fullmatch(line) is None:
        raise UsageError(
            f"{line!r} is not the number of a difference.",
            remedy=f"They are counted from 1; {folder / _TABLES[0]}.parquet lists them.",
        )
    number = int(line)
    differences, causes, left, right = (_rows(folder, table, number) for table in _TABLES)
    if not differences:
        raise UsageError(
            f"{folder} holds no difference {number:,}.",
            remedy=f"{folder / _TABLES[0]}.parquet lists them.",
        )
    [found] = differences
    return ExplainedDifference(
        number,
        found["difference"],
        tuple((each["cause"], each["amount"]) for each in causes),
        tuple(found.get("notes") or ()),
        tuple(_line_of("left", row) for row in left),
        tuple(_line_of("right", row) for row in right),
    )


def _rows(folder: Path, table: str, number: int) -> list[dict[str, Any]]:
    """Return the rows of one difference, read batch by batch."""
    path, found = folder / f"{table}.parquet", list[dict[str, Any]]()
    key = "number" if table == "differences" else "difference"
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches():
                found += batch.filter(pc.equal(batch.column(key), number)).to_pylist()
    except (OSError, KeyError, pa.ArrowException) as error:
        raise SideError(
            f"{path} is not a table of a comparison: {error}", remedy="Write the result again, as Parquet."
        ) from error
    return found


def _line_of(side: str, row: dict[str, Any]) -> ExplainedLine:
    attributes = {name: text for name, text in row.items() if name not in ("difference", "lineItem")}
    kind = Kind.RECONCILIATION if "Subtotal" in attributes else Kind.USAGE
    return _explained(side, kind, (row["lineItem"], attributes))
