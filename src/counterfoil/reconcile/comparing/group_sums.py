"""What each group comes to on either side, and the causes of its difference, read from files when somebody asks.

The trap: a line item that moved to another customer is in the totals of both. So each of the two customers gets half of
its causes, and `key changed` is what is then missing from its difference: the charge, gone from the one and come to the
other. With the sides swapped every sign is turned, and over all customers `key changed` comes to nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Self

import pyarrow as pa

from counterfoil.errors import SideError
from counterfoil.model import Kind
from counterfoil.reconcile.comparing.found_difference import FoundDifference, GroupDifference
from counterfoil.reconcile.comparing.surveys import KEYS, Survey, key_fields, name_field
from counterfoil.reconcile.explaining import Cause
from counterfoil.reconcile.explaining import arithmetic as exact
from counterfoil.reconcile.grouped_sums import GroupedSums, SummedGroup
from counterfoil.reconcile.matching import Line
from counterfoil.reconcile.side_totals import By, columns_of_key, shown

_DAY: Final = len("2026-11-28")
_GROUPS_HELD: Final = 20_000  # of causes, while they are found
_SHARES: Final = pa.schema(
    [*key_fields(), (By.DAY.value, pa.string()), ("cause", pa.string()), ("amount", pa.string())]
)
_ORDER: Final = {cause: at for at, cause in enumerate(Cause)}


class SharesWriter:
    """Adds up the causes of differences by their finest groups, and writes them to a file. Use it in a `with`."""

    def __init__(self, path: Path, kind: Kind) -> None:
        """Begin the file."""
        self._names = tuple(name for by in KEYS for name in columns_of_key(by, kind))
        self._day = columns_of_key(By.DAY, kind)[0]
        self._sums: dict[tuple[str, ...], dict[Cause, Decimal]] = {}
        self._writer = pa.ipc.new_file(str(path), _SHARES)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Write what is left, and close the file."""
        self._flush()
        self._writer.close()

    def add(self, found: FoundDifference) -> None:
        """Add the causes of a difference."""
        if not found.causes:
            return
        of_left, of_right = self._keys(found.left), self._keys(found.right)
        if of_left and of_right and _lowered(of_left) != _lowered(of_right):
            self._add_moved(found, of_left, of_right)
        else:
            self._add(of_right or of_left, ((each.cause, each.amount) for each in found.causes))

    def _add_moved(self, found: FoundDifference, of_left: tuple[str, ...], of_right: tuple[str, ...]) -> None:
        """Give the groups of either side half of the causes each."""
        halves = [(each.cause, exact.multiply(each.amount, exact.HALF)) for each in found.causes]
        self._add(of_left, halves)
        self._add(of_right, halves)

    def _add(self, keys: tuple[str, ...], causes: Iterable[tuple[Cause, Decimal]]) -> None:
        sums = self._sums.setdefault(keys, {})
        for cause, amount in causes:
            sums[cause] = exact.add(sums.get(cause, exact.ZERO), amount)
        if len(self._sums) == _GROUPS_HELD:
            self._flush()

    def _keys(self, lines: Sequence[Line]) -> tuple[str, ...]:
        """Return whose the lines are, as the first of them says it; () for no lines."""
        if not lines:
            return ()
        told = lines[0].attributes
        return *[told.get(name) or "" for name in self._names], (told.get(self._day) or "")[:_DAY]

    def _flush(self) -> None:
        rows = [(keys, cause, amount) for keys, sums in self._sums.items() for cause, amount in sums.items()]
        self._sums = {}
        columns: list[list[Any]] = [list(column) for column in zip(*(keys for keys, _, _ in rows), strict=True)]
        columns = columns or [[] for _ in range(len(_SHARES) - 2)]
        columns += [[cause.value for _, cause, _ in rows], [shown(amount) for _, _, amount in rows]]
        arrays = [pa.array(column, pa.string()) for column in columns]
        self._writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=_SHARES))


class DifferenceSums:
    """Reads what groups come to from the files of a comparison."""

    def __init__(self, kind: Kind, surveys: tuple[Survey, Survey], shares: Path) -> None:
        """Take the surveys of left and right, and the file that a `SharesWriter` wrote."""
        self._kind, self._surveys, self._shares = kind, surveys, shares

    def has(self, by: By) -> bool:
        """Whether both sides have the attribute that this grouping needs."""
        name = columns_of_key(by, self._kind)[0]
        return all(name in survey.held for survey in self._surveys)

    def by(self, by: By, *, equal: bool = False) -> tuple[GroupDifference, ...]:
        """Return the groups; see `Comparison.by`. Raises SideError where a side lacks the attribute."""
        if not self.has(by):
            raise SideError(
                f"One of the sides holds no {columns_of_key(by, self._kind)[0]}.",
                remedy="Name sides with the full attribute set, or group by something else.",
            )
        left, right = (self._totals(survey, by) for survey in self._surveys)
        causes = self._causes(by)
        found = []
        for key in left.keys() | right.keys() | causes.keys():
            sums = left.get(key), right.get(key)
            named = [group for group in (*sums[::-1], causes.get(key)) if group is not None]
            group = GroupDifference(
                key=named[0].key,
                name=next((each.name for each in named if each.name), ""),
                left=sums[0].amounts[0] if sums[0] else exact.ZERO,
                right=sums[1].amounts[0] if sums[1] else exact.ZERO,
            )
            its = causes[key].causes if key in causes else {}
            missing = exact.subtract(group.difference, exact.total(its.values()))
            if missing:
                its[Cause.KEY_CHANGED] = exact.add(its.get(Cause.KEY_CHANGED, exact.ZERO), missing)
            moving = {cause: exact.trimmed(amount) for cause, amount in its.items() if amount}
            if moving or equal:
                ordered = {cause: moving[cause] for cause in sorted(moving, key=_ORDER.__getitem__)}
                found.append(replace(group, causes=ordered))
        found.sort(key=lambda each: each.key.lower())
        found.sort(key=lambda each: each.difference.copy_abs(), reverse=True)
        return tuple(found)

    def _totals(self, survey: Survey, by: By) -> dict[str, SummedGroup]:
        if by is By.DAY:
            return {key: replace(group, amounts=group.amounts[-1:]) for key, group in survey.days.items()}
        sums = GroupedSums(["total"], survey.side.name)
        for batch in _batches(survey.sums):
            sums.add([batch.column("total")], batch.column(by.value), batch.column(name_field(by)))
        return sums.groups

    def _causes(self, by: By) -> dict[str, _CausesOfGroup]:
        found: dict[str, _CausesOfGroup] = {}
        names = (by.value, by.value if by is By.DAY else name_field(by), "cause", "amount")
        for batch in _batches(self._shares):
            for key, name, cause, amount in zip(*(batch.column(each).to_pylist() for each in names), strict=True):
                group = found.setdefault(key.lower(), _CausesOfGroup(key, "" if by is By.DAY else name))
                its = group.causes
                its[Cause(cause)] = exact.add(its.get(Cause(cause), exact.ZERO), Decimal(amount))
        return found


@dataclass(slots=True)
class _CausesOfGroup:
    key: str
    name: str
    causes: dict[Cause, Decimal] = field(default_factory=dict)


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    with pa.memory_map(str(path)) as source:
        file = pa.ipc.open_file(source)
        for at in range(file.num_record_batches):
            yield file.get_batch(at)


def _lowered(keys: tuple[str, ...]) -> list[str]:
    """Return the keys without what names them to people."""
    return [key.lower() for key in keys[::2]]
