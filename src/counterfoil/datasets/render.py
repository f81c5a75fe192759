"""From stored texts to the wire forms: a plan of each line item's JSON, which a compiled kernel follows.

A plan is made from the table of columns and only joins texts: no number is ever parsed, so no digit changes. The forms
depend on the stored texts alone, however many line items are rendered at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from counterfoil import numbers
from counterfoil.columns import EXTRA, Codec, Column, LineItemTable, Type
from counterfoil.datasets import kernels
from counterfoil.datasets.records import names_of
from counterfoil.datasets.value_spans import PADDING, ValueSpans
from counterfoil.model import Rendering

_OUT_SIZE_BYTES: Final = 2 << 20
_LINE_BREAKS: Final = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}
_V1_CHARGE_TYPES: Final = {"purchase": "New", "refund": "Cancel"}


@dataclass(frozen=True, slots=True)
class Rendered:
    """Some consecutive line items in one form. Good until the next is asked for."""

    rendering: Rendering
    text: memoryview  # each line item of Graph is followed by a newline, of v1 by a comma
    ends: np.ndarray  # where in the text each ends


class Renderer:
    """Renders line items of one kind; not for several threads at once."""

    def __init__(self, table: LineItemTable, renderings: Collection[Rendering]) -> None:
        self._table = table
        self._names = names_of(table)
        self._plans = {rendering: _Plan(table, rendering) for rendering in Rendering if rendering in renderings}
        self._out = np.empty(_OUT_SIZE_BYTES, dtype=np.uint8)

    def render(self, items: ValueSpans) -> Iterator[Rendered]:
        """Yield the line items in order, in each form."""
        extra = self._names.index(EXTRA)
        if (items.starts[:, extra] >= 0).any():
            breaking = pc.any(pc.match_substring_regex(items.columns([extra])[0], "[\u0085\u2028\u2029]"))
            items = items.replaced({extra: _with_line_breaks_escaped} if breaking.as_py() else {})
            # The members of the object, without its braces; where there is none, the start stays below zero.
            items.starts[:, extra] += items.starts[:, extra] >= 0
            items.lengths[:, extra] -= 2
        for rendering, plan in self._plans.items():
            its = self._as_in_v1(items) if rendering is Rendering.V1 else items
            yield from self._follow(plan, rendering, its)

    def credit(self, items: ValueSpans) -> np.ndarray:
        """Return for each line item whether partner earned credit applies (v1 filters by it)."""
        found = np.zeros(len(items.starts), dtype=bool)
        for name, applies in (
            ("PartnerEarnedCreditPercentage", lambda text: numbers.exact(text) > 0),
            ("HasPartnerEarnedCredit", lambda text: text == "true"),
        ):
            if name in self._table.by_name:
                codes = pc.dictionary_encode(items.columns([self._names.index(name)])[0])
                applying = pa.array([applies(text) for text in codes.dictionary.to_pylist()], pa.bool_())
                found |= applying.take(codes.indices).fill_null(fill_value=False).to_numpy(zero_copy_only=False)
        return found

    def _as_in_v1(self, items: ValueSpans) -> ValueSpans:
        changes: dict[Codec, Callable[[str], str]] = {
            Codec.RATE: numbers.percent_to_rate,
            Codec.LIST: lambda text: _with_line_breaks_escaped(text_to_list(text)),
            Codec.CHARGE_TYPE: lambda text: _V1_CHARGE_TYPES.get(text.lower(), text),
        }
        columns = enumerate(self._table.columns)
        return items.replaced({number: changes[column.codec] for number, column in columns if column.codec in changes})

    def _follow(self, plan: _Plan, rendering: Rendering, items: ValueSpans) -> Iterator[Rendered]:
        words_of, render_rows = kernels.compiled.words_of, kernels.rendering.render_rows
        rows, begin = len(items.starts), 0
        ends = np.empty(rows, dtype=np.int64)
        while begin < rows:
            end, size = render_rows(
                items.text.array,
                items.text.words,
                items.starts,
                items.lengths,
                begin,
                plan.steps,
                plan.literals,
                plan.fixed_size_bytes,
                self._out,
                words_of(self._out),
                ends,
            )
            if end == begin:  # not even one has room
                self._out = np.empty(2 * len(self._out), dtype=np.uint8)
                continue
            yield Rendered(rendering, self._out.data[:size], ends[begin:end])
            begin = end


class _Plan:
    """How one form of a line item is written: one step after the other, as `kernels.rendering` reads it."""

    def __init__(self, table: LineItemTable, rendering: Rendering) -> None:
        rules = kernels.rendering
        self._bare, self._quoted, self._literal = rules.BARE, rules.QUOTED, rules.LITERAL
        self._not, self._as_others = rules.NOT, rules.AS_OTHERS
        self._literals = bytearray()
        self._steps: list[list[int]] = []
        if rendering is Rendering.V1:
            for number, column in enumerate(table.columns):
                if column.v1 is not None:
                    self._add_v1(number, column)
            self._add(len(table.columns), self._bare, ",", null=None)
            constants = {
                "invoiceLineItemType": table.v1_line_item_type,
                "billingProvider": table.v1_billing_provider,
                "attributes": {"objectType": table.v1_object_type},
            }
            self._add(0, self._literal, "," + json.dumps(constants, separators=(",", ":"))[1:] + ",", null="")
        else:
            full = rendering is Rendering.GRAPH_FULL
            for number, column in enumerate(table.columns):
                if column.graph and (full or column.basic):
                    self._add_graph(number, column)
            if full:
                self._add(len(table.columns), self._bare, ",", null=None)
            self._add(0, self._literal, "}\n", null="")
        # The first attribute is PartnerId, which is never absent: its comma becomes the opening brace.
        self._literals[self._steps[0][2]] = ord("{")
        self.steps = np.array(self._steps, dtype=np.int32)
        self.fixed_size_bytes = len(self._literals) + 8 * len(self._steps) + PADDING
        padded = np.zeros(len(self._literals) + PADDING, dtype=np.uint8)
        padded[: len(self._literals)] = np.frombuffer(bytes(self._literals), dtype=np.uint8)
        self.literals = kernels.compiled.words_of(padded)

    def _add_graph(self, number: int, column: Column) -> None:
        """Graph writes '' for a text that is absent, and leaves absent numbers and dates out.

        Microsoft's own C# sample throws on a null there, and Spark's JSON writer, which their file names point to,
        leaves null fields out.
        """
        style = self._bare if column.type is Type.NUMBER else self._quoted
        null = None if column.type in (Type.NUMBER, Type.DATE) else '""'
        self._add(number, style, f',"{column.name}":', null=null)

    def _add_v1(self, number: int, column: Column) -> None:
        """V1 leaves out what is absent."""
        bare = column.type in (Type.NUMBER, Type.FLAG) or column.codec is Codec.LIST
        null = '""' if column.codec is Codec.PRESENT else None
        empty = '"0"' if column.codec is Codec.RESELLER else None
        self._add(number, self._bare if bare else self._quoted, f',"{column.v1}":', null=null, empty=empty)

    def _add(self, number: int, style: int, prefix: str, *, null: str | None, empty: str | None = None) -> None:
        nulls = (0, self._not) if null is None else self._place(null)
        empties = (0, self._as_others) if empty is None else self._place(empty)
        self._steps.append([number, style, *self._place(prefix), *nulls, *empties])

    def _place(self, text: str) -> tuple[int, int]:
        start = len(self._literals)
        self._literals += text.encode()
        return start, len(self._literals) - start


def _with_line_breaks_escaped(text: str) -> str:
    """Escape in JSON what some readers break lines at, as the kernel does in texts: U+0085, U+2028 and U+2029."""
    return text.translate(_LINE_BREAKS)


def text_to_list(text: str) -> str:
    """Return the JSON array that v1 wants for a text that should hold one; any other text becomes its only member."""
    if not text:
        return "[]"
    try:
        members: Any = msgspec.json.decode(text)
    except msgspec.MsgspecError:
        members = None
    return text if isinstance(members, list) else json.dumps([text], ensure_ascii=False, separators=(",", ":"))
