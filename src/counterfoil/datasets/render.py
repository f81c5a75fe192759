"""From stored texts to the wire forms: a plan of each line item's JSON, which a compiled kernel follows.

A plan is made from the table of columns and only joins texts: no number is ever parsed, so no digit changes. The forms
depend on the stored texts alone, however many line items are rendered at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow.compute as pc

from counterfoil import numbers
from counterfoil.columns import Codec, Column, LineItemTable, Type
from counterfoil.datasets import kernels
from counterfoil.datasets.batch import names_of
from counterfoil.datasets.coded import Coded
from counterfoil.datasets.dictionary import Entries, Group
from counterfoil.datasets.value_spans import PADDING, ValueSpans
from counterfoil.model import Rendering

_OUT_SIZE_BYTES: Final = 2 << 20
_PIECES_SIZE_BYTES: Final = 256 << 10
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
        self._renderings = [rendering for rendering in Rendering if rendering in renderings]
        self._out = np.empty(_OUT_SIZE_BYTES, dtype=np.uint8)

    def render(self, items: Coded) -> Iterator[Rendered]:
        """Yield the line items in order, in each form."""
        for rendering in self._renderings:
            pieces = _Pieces()
            plans = _plans_of(self._table, rendering, items.groups)
            for group, plan, entries in zip(items.groups, plans, items.entries, strict=True):
                values = (
                    self._extra_members(entries) if group is items.groups[-1] else entries.spans(len(group.columns))
                )
                pieces.add(plan, self._as_in_v1(values, group) if rendering is Rendering.V1 else values)
            yield from self._join(pieces, rendering, items)

    def credit(self, items: Coded) -> np.ndarray:
        """Return for each line item whether partner earned credit applies (v1 filters by it)."""
        found = np.zeros(len(items), dtype=bool)
        names = names_of(self._table)
        for name, applies in (
            ("PartnerEarnedCreditPercentage", lambda text: numbers.exact(text) > 0),
            ("HasPartnerEarnedCredit", lambda text: text == "true"),
        ):
            if name in self._table.by_name:
                column = names.index(name)
                for group, entries, codes in zip(items.groups, items.entries, items.codes, strict=True):
                    if column in group.columns:
                        texts = entries.spans(len(group.columns)).columns([column - group.columns[0]])[0]
                        applying = [bool(text) and applies(text) for text in texts.to_pylist()]
                        found |= np.array(applying, dtype=bool)[codes]
        return found

    def _extra_members(self, entries: Entries) -> ValueSpans:
        """Return the members of the objects in Extra, without braces; where there is none, a start below zero."""
        items = entries.spans(1)
        if (items.starts >= 0).any():
            breaking = pc.any(pc.match_substring_regex(items.columns([0])[0], "[\u0085\u2028\u2029]"))
            items = items.replaced({0: _with_line_breaks_escaped} if breaking.as_py() else {})  # a copy either way
            items.starts += items.starts >= 0
            items.lengths -= 2
        return items

    def _as_in_v1(self, items: ValueSpans, group: Group) -> ValueSpans:
        changes: dict[Codec, Callable[[str], str]] = {
            Codec.RATE: numbers.percent_to_rate,
            Codec.LIST: lambda text: _with_line_breaks_escaped(text_to_list(text)),
            Codec.CHARGE_TYPE: lambda text: _V1_CHARGE_TYPES.get(text.lower(), text),
        }
        columns = enumerate(self._table.columns[group.columns.start : group.columns.stop])
        its = {place: changes[column.codec] for place, column in columns if column.codec in changes}
        return items.replaced(its) if its else items

    def _join(self, pieces: _Pieces, rendering: Rendering, items: Coded) -> Iterator[Rendered]:
        words_of, join_pieces = kernels.compiled.words_of, kernels.coding.join_pieces
        text, places, bases = pieces.joined()
        begin, ends = 0, np.empty(len(items), dtype=np.int64)
        while begin < len(items):
            end = join_pieces(text, places, bases, items.codes, begin, words_of(self._out), ends)
            if end == begin:  # not even one has room
                self._out = np.empty(2 * len(self._out), dtype=np.uint8)
                continue
            yield Rendered(rendering, self._out.data[: ends[end - 1]], ends[begin:end])
            begin = end


class _Pieces:
    """The pieces of one form: what each entry of each group becomes."""

    def __init__(self) -> None:
        self._texts: list[np.ndarray] = []
        self._ends: list[np.ndarray] = []
        self._counts: list[int] = []
        self._size_bytes = 0

    def add(self, plan: _Plan, values: ValueSpans) -> None:
        """Add the pieces of the next group."""
        words_of, render_rows = kernels.compiled.words_of, kernels.rendering.render_rows
        begin, rows = 0, len(values.starts)
        self._counts.append(rows)
        out = np.empty(_PIECES_SIZE_BYTES, dtype=np.uint8)
        while begin < rows:
            ends = np.empty(rows, dtype=np.int64)
            end, size = render_rows(
                values.text.array,
                values.text.words,
                values.starts,
                values.lengths,
                begin,
                plan.steps,
                plan.literals,
                plan.fixed_size_bytes,
                out,
                words_of(out),
                ends,
            )
            if end == begin:  # not even one has room
                out = np.empty(2 * len(out), dtype=np.uint8)
                continue
            self._texts.append(out[:size].copy())
            self._ends.append(ends[begin:end] + self._size_bytes)
            self._size_bytes += size
            begin = end

    def joined(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return all pieces as words, where each begins, and the number of each group's first."""
        text = np.concatenate([*self._texts, np.zeros(PADDING, dtype=np.uint8)])
        places = np.concatenate([np.zeros(1, dtype=np.int64), *self._ends])
        counts = np.array(self._counts, dtype=np.int64)
        return kernels.compiled.words_of(text), places, np.cumsum(counts) - counts


class _Plan:
    """How one group of a line item is written in one form: one step after the other, as `kernels.rendering` reads it.

    The last group, of Extra alone, also ends the line item.
    """

    def __init__(self, table: LineItemTable, rendering: Rendering, group: Group) -> None:
        rules = kernels.rendering
        self._bare, self._quoted, self._literal = rules.BARE, rules.QUOTED, rules.LITERAL
        self._not, self._as_others = rules.NOT, rules.AS_OTHERS
        self._literals = bytearray()
        self._steps: list[list[int]] = []
        columns = enumerate(table.columns[group.columns.start : group.columns.stop])
        is_last = group.columns.start == len(table.columns)
        if rendering is Rendering.V1:
            for number, column in columns:
                if column.v1 is not None:
                    self._add_v1(number, column)
            if is_last:
                self._add(0, self._bare, ",", null=None)
                constants = {
                    "invoiceLineItemType": table.v1_line_item_type,
                    "billingProvider": table.v1_billing_provider,
                    "attributes": {"objectType": table.v1_object_type},
                }
                self._add(0, self._literal, "," + json.dumps(constants, separators=(",", ":"))[1:] + ",", null="")
        else:
            full = rendering is Rendering.GRAPH_FULL
            for number, column in columns:
                if column.graph and (full or column.basic):
                    self._add_graph(number, column)
            if is_last and full:
                self._add(0, self._bare, ",", null=None)
            if is_last:
                self._add(0, self._literal, "}\n", null="")
        if group.columns.start == 0:
            # The first attribute is PartnerId, which is never absent: its comma becomes the opening brace.
            self._literals[self._steps[0][2]] = ord("{")
        self.steps = np.array(self._steps, dtype=np.int32).reshape(-1, 8)
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


@lru_cache(maxsize=16)  # to make them takes as long as to render some thousand line items
def _plans_of(table: LineItemTable, rendering: Rendering, groups: tuple[Group, ...]) -> tuple[_Plan, ...]:
    return tuple(_Plan(table, rendering, group) for group in groups)


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
