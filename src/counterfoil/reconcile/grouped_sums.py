"""Exact sums by group, column by column: only the sums are held, however many line items there are.

An amount's text becomes a decimal of 25 places, in which nothing is rounded. The few that do not fit are added with 55
places, and what has an exponent by Decimal. The trap: Arrow's sums of decimals wrap without a word, so amounts that
could make a batch do that are added with the few.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from counterfoil import numbers
from counterfoil.errors import InputError
from counterfoil.reconcile.text_decimals import decimals_of

_ZERO: Final = Decimal(0)
_ROOMY: Final = pa.decimal128(38, 25)
_SUM_LIMIT: Final = 10**13  # of a batch: the type holds 13 digits before the point
_ROOMIER: Final = pa.decimal256(69, 55)  # a sum of it holds 21 digits before the point, and so ten million of these


@dataclass(slots=True)
class SummedGroup:
    """What was added for one key: the key and the name beside it as they were first seen."""

    key: str
    name: str
    line_items: int
    amounts: list[Decimal]


class GroupedSums:
    """Adds amounts by the key of each line item. Keys count in any letter case.

    `columns` names the amounts, and `side` where they come from in errors.
    """

    def __init__(self, columns: Sequence[str], side: str) -> None:
        self.groups: dict[str, SummedGroup] = {}
        self._columns, self._side = tuple(columns), side
        self._rows = pa.array([], pa.int32())  # 0, 1, 2 ..., as many as the largest batch so far has line items

    def add(self, amounts: Sequence[pa.Array], keys: pa.Array | None = None, names: pa.Array | None = None) -> None:
        """Add a batch: amounts in the order of the columns; without keys all are one group.

        Raises InputError for an amount that is missing or no number.
        """
        for texts, column in zip(amounts, self._columns, strict=True):
            if texts.null_count:
                raise InputError(
                    "line items without an amount",
                    file=self._side,
                    attribute=column,
                    remedy="Fill the amounts in, or fetch the line items again.",
                )
        quick = [_Addends.of(texts) for texts in amounts]
        found: list[str | None]
        if keys is None:
            codes, found = pa.repeat(pa.scalar(0, pa.int32()), len(amounts[0])), [""]
        else:
            codes, found = _encoded(keys)
        columns = {f"sum{at}": each.decimals for at, each in enumerate(quick)}
        if len(self._rows) < len(codes):
            self._rows = pa.array(range(len(codes)), pa.int32())
        rows = self._rows.slice(0, len(codes))
        wanted = [("row", "min"), ("row", "count"), *((name, "sum") for name in columns)]
        table = pa.table({"code": codes, "row": rows, **columns}).group_by("code", use_threads=False).aggregate(wanted)
        in_order = table["code"].to_pylist()
        sums = [table[f"{name}_sum"].to_pylist() for name in columns]
        for mine, each, texts, column in zip(sums, quick, amounts, self._columns, strict=True):
            self._add_odd(mine, each, texts, column, codes, in_order)
        first = table["row_min"].combine_chunks()
        named = names.take(first).cast(pa.string()).to_pylist() if names is not None else [""] * len(in_order)
        for at, (code, count) in enumerate(zip(in_order, table["row_count"].to_pylist(), strict=True)):
            self._merge(found[code] or "", named[at] or "", count, [each[at] for each in sums])

    def _add_odd(
        self,
        sums: list[Decimal],
        addends: _Addends,
        texts: pa.Array,
        column: str,
        codes: pa.Int32Array,
        in_order: Sequence[int],
    ) -> None:
        """Add the amounts that do not fit: with more digits where that is enough, otherwise one by one."""
        if addends.odd is None:
            return
        places = {code: at for at, code in enumerate(in_order)}
        codes, texts = codes.take(addends.odd), texts.take(addends.odd).cast(pa.string())
        decimals = decimals_of(texts, _ROOMIER)
        added = (
            pa.table({"code": codes, "sum": decimals}).group_by("code", use_threads=False).aggregate([("sum", "sum")])
        )
        for code, more in zip(added["code"].to_pylist(), added["sum_sum"].to_pylist(), strict=True):
            sums[places[code]] = numbers.add(sums[places[code]], more or _ZERO)
        left = pc.is_null(decimals)
        for code, text in zip(codes.filter(left).to_pylist(), texts.filter(left).to_pylist(), strict=True):
            if reason := numbers.why_not_a_number(text):
                raise InputError(reason, file=self._side, attribute=column, value=text)
            sums[places[code]] = numbers.add(sums[places[code]], numbers.exact(text))

    def _merge(self, key: str, name: str, line_items: int, amounts: list[Decimal]) -> None:
        group = self.groups.get(folded := key.lower())
        if group is None:
            self.groups[folded] = SummedGroup(key, name, line_items, amounts)
            return
        group.name = group.name or name
        group.line_items += line_items
        mine = group.amounts
        for at, more in enumerate(amounts):
            mine[at] = numbers.add(mine[at], more)


def _encoded(keys: pa.Array) -> tuple[pa.Int32Array, list[str | None]]:
    """Return the number of each key, and the keys; null is one of them."""
    coded = keys if pa.types.is_dictionary(keys.type) else keys.dictionary_encode()
    found = coded.dictionary.to_pylist()
    return coded.indices.cast(pa.int32()).fill_null(len(found)), [*found, None]


@dataclass(frozen=True, slots=True)
class _Addends:
    """The amounts of a batch for Arrow to add, and which of them are zero there because it must not: `odd`."""

    decimals: pa.Decimal128Array
    odd: pa.UInt64Array | None = None

    @classmethod
    def of(cls, texts: pa.Array) -> _Addends:
        decimals = decimals_of(texts, _ROOMY)
        if not decimals.null_count:
            return cls(decimals).bounded()
        odd = pc.indices_nonzero(pc.is_null(decimals))
        return cls(pc.fill_null(decimals, pa.scalar(_ZERO, _ROOMY)), odd).bounded()

    def bounded(self) -> _Addends:
        """Leave out what is so large that the sum of as many could not be held."""
        if not len(self.decimals):
            return self
        extremes = pc.min_max(self.decimals)
        largest = max(extremes["max"].as_py().copy_abs(), extremes["min"].as_py().copy_abs())
        bound = _SUM_LIMIT // len(self.decimals)
        if largest < bound:
            return self
        large = pc.greater_equal(pc.abs(self.decimals), pa.scalar(Decimal(bound), _ROOMY))
        rows = pc.indices_nonzero(large)
        odd = rows if self.odd is None else pa.concat_arrays([self.odd, rows]).unique()
        return _Addends(pc.if_else(large, pa.scalar(_ZERO, _ROOMY), self.decimals), odd)
