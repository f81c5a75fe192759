"""Writes the result of a comparison while differences are found: files, and the sums of causes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Final, Self

from counterfoil.model import Kind
from counterfoil.reconcile.comparing.comparison import (
    ComparedSide,
    Comparing,
    Comparison,
    ReportWarning,
)
from counterfoil.reconcile.comparing.difference_files import DifferenceWriter
from counterfoil.reconcile.comparing.found_difference import FoundDifference
from counterfoil.reconcile.comparing.group_sums import DifferenceSums, SharesWriter
from counterfoil.reconcile.comparing.surveys import Survey
from counterfoil.reconcile.explaining import Cause, CauseTotal
from counterfoil.reconcile.explaining import arithmetic as exact
from counterfoil.reconcile.ledger_matching.margins import Margins
from counterfoil.reconcile.matching import Stage

_ORDER: Final = {cause: at for at, cause in enumerate(Cause)}


class ResultWriter:
    """Takes differences in the order of their numbers, until `finish`. Use it in a `with`."""

    def __init__(self, folder: Path, kind: Kind) -> None:
        """Write into an empty folder."""
        self._folder, self._kind = folder, kind
        self._sums: dict[Cause, tuple[Decimal, int]] = {}
        self.found = 0

    def __enter__(self) -> Self:
        """Open the files."""
        self._open = ExitStack()
        self._differences = self._open.enter_context(DifferenceWriter(self._folder, self._kind))
        self._shares = self._open.enter_context(SharesWriter(self._folder / "shares.arrow", self._kind))
        return self

    def __exit__(self, *_: object) -> None:
        """Close the files."""
        self._open.close()

    def add(self, found: FoundDifference) -> None:
        """Write a difference, and add up its causes."""
        self.found += 1
        self._differences.add(found)
        self._shares.add(found)
        for each in found.causes:
            amount, count = self._sums.get(each.cause, (exact.ZERO, 0))
            self._sums[each.cause] = exact.add(amount, each.amount), count + 1

    @property
    def explained(self) -> Decimal:
        """The sum of all causes so far."""
        return exact.total(amount for amount, _ in self._sums.values())

    def finish(
        self,
        comparing: Comparing,
        sides: tuple[ComparedSide, ComparedSide],
        surveys: tuple[Survey, Survey],
        remove: Callable[[], None],
        *,
        currency: str,
        period: str = "",
        stages: Mapping[Stage, int],
        warnings: tuple[ReportWarning, ...] = (),
        conventions: tuple[str, ...] = (),
        margins: Margins | None = None,
    ) -> Comparison:
        """Return the comparison, whose files these are; it calls `remove` when nobody needs them any more."""
        files = self._differences.finish(remove)
        self._open.close()
        totals = [CauseTotal(cause, exact.trimmed(amount), count) for cause, (amount, count) in self._sums.items()]
        totals.sort(key=lambda each: _ORDER[each.cause])
        totals.sort(key=lambda each: exact.magnitude(each.amount), reverse=True)
        return Comparison(
            comparing=comparing,
            kind=self._kind,
            currency=currency,
            left=sides[0],
            right=sides[1],
            causes={each.cause: each for each in totals},
            stages=stages,
            found=self.found,
            warnings=warnings,
            conventions=conventions,
            margins=margins,
            period=period,
            files=files,
            groups=DifferenceSums(self._kind, surveys, self._folder / "shares.arrow"),
        )
