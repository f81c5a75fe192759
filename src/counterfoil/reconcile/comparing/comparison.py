"""What comparing two sides gives. Always right minus left, in one currency, every amount exact.

The trap: differences may be as many as the line items, so they are in files and never in a list; `differences` and
`to_arrow` read them from there. The files go with the comparison: close it, or let it go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import pyarrow as pa

from counterfoil import numbers
from counterfoil.errors import UsageError, member_of
from counterfoil.model import Kind, Scope
from counterfoil.reconcile.comparing.difference_files import DifferenceFiles
from counterfoil.reconcile.comparing.found_difference import TABLES, FoundDifference, GroupDifference
from counterfoil.reconcile.comparing.group_sums import DifferenceSums
from counterfoil.reconcile.explaining import Cause, CauseTotal
from counterfoil.reconcile.ledger_matching.margins import Margins
from counterfoil.reconcile.matching import Stage
from counterfoil.reconcile.side_totals import By, amount_of, shown

_IN_JSON: Final = (By.CUSTOMER, By.SUBSCRIPTION, By.PRODUCT, By.RESELLER)


class Comparing(StrEnum):
    """What is compared, which decides what belongs together and what would be no answer."""

    UNBILLED_BILLED = "unbilled-billed"
    REVISIONS = "revisions"
    PLAN = "plan"
    COPY = "copy"
    LEDGER = "ledger"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedSide:
    """One side as a report names it: see `sides.side.Side` for the texts. `net` is before tax, `total` with it.

    `partner` is the tenant in lower case, '' where nothing tells it.
    Usage line items have no tax, so their `total` is their `net`.
    """

    name: str
    what: str
    origin: str = "file"
    proof: str = ""
    etag: str = ""
    revision: str = ""
    scope: Scope | None = None
    partner: str = ""
    line_items: int = 0
    total: Decimal = Decimal(0)
    net: Decimal = Decimal(0)

    def to_json(self) -> dict[str, object]:
        """Return what is known of the side, amounts as texts with all their digits."""
        known = {
            "name": self.name,
            "what": self.what,
            "origin": self.origin,
            "proof": self.proof,
            "eTag": self.etag,
            "revision": self.revision,
        }
        facts: dict[str, object] = {name: value for name, value in known.items() if value}
        return facts | {"lineItems": self.line_items, "total": shown(self.total), "net": shown(self.net)}


@dataclass(frozen=True, slots=True)
class ReportWarning:
    """Something a reader must know before the figures. `code` is for programs, such as `few-matched`."""

    code: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two sides, and why they differ: the amounts of `causes` sum to `difference`, to the last digit.

    `stages` counts what was found to belong together, by how it was found. `found` is the number of differences, those
    that come to nothing included. `margins` is what was earned, for a ledger with sale prices. Use it in a `with`, or
    call `close`: its files are removed then.
    """

    comparing: Comparing
    kind: Kind
    currency: str
    left: ComparedSide
    right: ComparedSide
    causes: Mapping[Cause, CauseTotal]
    stages: Mapping[Stage, int]
    found: int
    warnings: tuple[ReportWarning, ...] = ()
    conventions: tuple[str, ...] = ()
    margins: Margins | None = None
    period: str = ""
    files: DifferenceFiles = field(repr=False)
    groups: DifferenceSums = field(repr=False)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Remove the files of the result."""
        self.close()

    def close(self) -> None:
        """Remove the files of the result; the figures stay."""
        self.files.close()

    @property
    def difference(self) -> Decimal:
        """The total of the right less that of the left."""
        return numbers.subtract(self.right.total, self.left.total)

    @property
    def unexplained(self) -> Decimal:
        """What no rule explains."""
        total = self.causes.get(Cause.UNEXPLAINED)
        return Decimal(0) if total is None else total.amount

    @property
    def is_equal(self) -> bool:
        """Whether there is no difference at all, not even one that comes to nothing."""
        return not self.found

    def by(self, by: By | str, *, equal: bool = False) -> tuple[GroupDifference, ...]:
        """Return each group in which something differs, the largest difference first; with `equal`, all groups.

        A line item that moved from one customer to another stands in both groups, as `key changed`. Raises UsageError
        for what line items are not grouped by.
        """
        return self.groups.by(_grouping(by), equal=equal)

    def grouped_by(self, wanted: Iterable[By | str]) -> list[str]:
        """Return those of these groupings whose attribute both sides have: a ledger may lack the subscription."""
        return [grouping.value for grouping in map(_grouping, wanted) if self.groups.has(grouping)]

    def differences(
        self, cause: Cause | str | None = None, at_least: Decimal | str | None = None, limit: int | None = None
    ) -> Iterator[FoundDifference]:
        """Yield differences as they are read from the files; with a `limit`, so many of the largest, largest first.

        `cause` keeps those with this cause, and `at_least` those whose amount has this size, whatever its sign. With
        both, the amount is that of the cause. Raises UsageError for a cause that is none.
        """
        least = None if at_least is None else amount_of(at_least, "at_least")
        return self.files.differences(None if cause is None else _cause(cause), least, limit)

    def to_arrow(self, table: str) -> pa.Table:
        """Return `differences`, `causes`, `left_lines` or `right_lines`; rows of one difference share its number.

        Raises UsageError for another name.
        """
        if table not in TABLES:
            raise UsageError(f"There is no table {table!r}.", remedy=f"Take one of {', '.join(TABLES)}.")
        return self.files.to_arrow(table)

    def to_json(self, *, top: int | None = None) -> dict[str, object]:
        """Return all figures, amounts as texts with all their digits; `top` bounds the groups of each breakdown."""
        document: dict[str, object] = {
            "comparison": self.comparing.value,
            "kind": self.kind.value,
            "period": self.period,
            "currency": self.currency,
            "left": self.left.to_json(),
            "right": self.right.to_json(),
            "difference": shown(self.difference),
            "causes": [
                {"cause": each.cause.value, "amount": shown(each.amount), "differences": each.differences}
                for each in self.causes.values()
            ],
            "unexplained": shown(self.unexplained),
            "differences": self.found,
            "stages": {stage.value: count for stage, count in self.stages.items()},
            "warnings": [{"code": each.code, "text": each.text} for each in self.warnings],
            "conventions": list(self.conventions),
        }
        if self.margins is not None:
            document["margins"] = self.margins.to_json(top)
        for by in filter(self.groups.has, _IN_JSON):
            document[f"by{by.value.capitalize()}"] = [group.to_json() for group in self.by(by)[:top]]
        return document

    def write_html(self, path: Path | str) -> None:
        """Write one HTML file for people: what differs and why, with the line items of the largest differences.

        It asks for nothing from anywhere. Raises UsageError where there is something of that name already, or no folder
        to write to, and CounterfoilError if it cannot be written.
        """
        _report("comparison_page").write_comparison_page(self, path)

    def write_workbook(self, path: Path | str) -> None:
        """Write an Excel workbook whose sums are formulas, with the 100,000 largest differences; raises as above."""
        _report("comparison_workbook").write_comparison_workbook(self, path)


def _report(module: str) -> Any:
    """Load what writes a report: it stands above this room, so it is loaded by its name when one is written."""
    return import_module(f"counterfoil.reconcile.reports.{module}")


def _grouping(by: By | str) -> By:
    return member_of(By, by, f"Differences are not grouped by {by!r}.", "by")


def _cause(cause: Cause | str) -> Cause:
    return member_of(Cause, cause, f"{cause!r} is no cause.", "cause")
