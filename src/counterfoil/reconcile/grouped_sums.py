"""Exact sums by group, column by column: only the sums are held, however many line items there are.

An amount's text is cast to a decimal of 25 places, in which nothing is rounded: Arrow refuses a text that does not fit,
and then the batch is added by Decimal. Two traps: Arrow's parser crashes the process on `1E-999999999`, so a text with
an exponent never reaches it; and its sums of decimals wrap without a word, so a batch is added by Arrow only where its
largest amount, in every line, could not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from counterfoil import numbers
from counterfoil.errors import InputError

_ROOMY: Final = pa.decimal128(38, 25)
_WHOLE_LIMIT: Final = 10**12  # of the sum of a batch; the type holds 13 digits before the point
_ZERO: Final = Decimal(0)


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

    def add(self, amounts: Sequence[pa.Array], keys: pa.Array | None = None, names: pa.Array | None = None) -> None:
        """Add a batch: amounts in the order of the columns; without keys all are one group.

        Raises InputError for an amount that is missing or no number.
        """
        for texts, column in zip(amounts, self._columns, strict=True):
            if texts.null_count:
                raise InputError("line items without an amount", file=self._side, attribute=column)
        codes, found = _encoded(keys) if keys is not None else (None, [""])
        decimals = [_decimals(texts) for texts in amounts]
        if codes is None:
            sums = [
                [_plain_sum(each, texts, self._side, column)]
                for each, texts, column in zip(decimals, amounts, self._columns, strict=True)
            ]
            self._merge("", "", len(amounts[0]), [each[0] for each in sums])
            return
        for group in self._of_batch(codes, found, decimals, amounts, names):
            self._merge(group.key, group.name, group.line_items, group.amounts)

    def _of_batch(
        self,
        codes: pa.Int32Array,
        found: Sequence[str | None],
        decimals: Sequence[pa.Array | None],
        amounts: Sequence[pa.Array],
        names: pa.Array | None,
    ) -> Iterator[SummedGroup]:
        quick = {f"sum{at}": each for at, each in enumerate(decimals) if each is not None}
        columns = {"code": codes, "row": pa.array(range(len(codes)), pa.int32()), **quick}
        wanted = [("row", "min"), ("row", "count"), *((name, "sum") for name in quick)]
        table = pa.table(columns).group_by("code", use_threads=False).aggregate(wanted)
        in_order = table["code"].to_pylist()
        sums = [
            table[f"sum{at}_sum"].to_pylist()
            if each is not None
            else _slow_sums(amounts[at], codes, in_order, self._side, self._columns[at])
            for at, each in enumerate(decimals)
        ]
        named = names.take(table["row_min"].combine_chunks()).to_pylist() if names is not None else None
        counts = table["row_count"].to_pylist()
        for at, code in enumerate(in_order):
            name = named[at] if named is not None else None
            yield SummedGroup(found[code] or "", name or "", counts[at], [each[at] for each in sums])

    def _merge(self, key: str, name: str, line_items: int, amounts: list[Decimal]) -> None:
        group = self.groups.get(folded := key.lower())
        if group is None:
            self.groups[folded] = SummedGroup(key, name, line_items, amounts)
            return
        group.name = group.name or name
        group.line_items += line_items
        group.amounts = [numbers.add(mine, more) for mine, more in zip(group.amounts, amounts, strict=True)]


def _encoded(keys: pa.Array) -> tuple[pa.Int32Array, list[str | None]]:
    """Return the number of each key, and the keys; null is one of them."""
    coded = keys if pa.types.is_dictionary(keys.type) else keys.dictionary_encode()
    found = coded.dictionary.to_pylist()
    return coded.indices.cast(pa.int32()).fill_null(len(found)), [*found, None]


def _decimals(texts: pa.Array) -> pa.Array | None:
    """Return amounts that Arrow may add, or None."""
    if pa.types.is_dictionary(texts.type):
        dictionary = _cast(texts.dictionary)
        decimals = None if dictionary is None else dictionary.take(texts.indices)
    else:
        decimals = _cast(texts)
    if decimals is None or not len(decimals):
        return None
    extremes = pc.min_max(decimals)
    largest = max(extremes["max"].as_py().copy_abs(), extremes["min"].as_py().copy_abs())
    return decimals if int(largest) * len(decimals) < _WHOLE_LIMIT else None


def _cast(texts: pa.StringArray) -> pa.Decimal128Array | None:
    texts = texts if texts.type == pa.string() else texts.cast(pa.string())
    data = texts.buffers()[2]
    held = b"" if data is None else data.to_pybytes()
    if held.find(b"e") >= 0 or held.find(b"E") >= 0:
        return None
    try:
        return texts.cast(_ROOMY)
    except pa.ArrowInvalid:  # more digits than it holds, or no number
        return None


def _plain_sum(decimals: pa.Array | None, texts: pa.Array, side: str, column: str) -> Decimal:
    if decimals is not None:
        found: Decimal = pc.sum(decimals).as_py()
        return found
    return numbers.total(_checked(texts.to_pylist(), side, column))


def _slow_sums(texts: pa.Array, codes: pa.Int32Array, in_order: list[int], side: str, column: str) -> list[Decimal]:
    sums: dict[int, Decimal] = dict.fromkeys(in_order, _ZERO)
    for code, text in zip(codes.to_pylist(), _checked(texts.to_pylist(), side, column), strict=True):
        sums[code] = numbers.add(sums[code], numbers.exact(text))
    return [sums[code] for code in in_order]


def _checked(texts: Sequence[str], side: str, column: str) -> Iterator[str]:
    for text in texts:
        if reason := numbers.why_not_a_number(text):
            raise InputError(reason, file=side, attribute=column, value=text)
        yield text
