"""Realistic line items of both dialects, changed in what they are made of: keys, values, and the JSON itself.

Unlike changed bytes, most of these lines stay JSON, so that each rule of line items is met, and not the parser alone.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

from counterfoil.columns import LineItemTable, Spelling, Type, table_of
from counterfoil.model import Kind
from tests.datasets.mutations import line_items, mutated

Members = list[tuple[str, str]]  # keys in their quotes, and values, as they are written

TEXTS = ['""', '"c1"', '"Ünï ∑ 漢 😀"', r'"a\"b\\c\/d\n\t\u00e9\ud83d\ude00"', r'"x\\"', '"a,"', '",\\"b\\":"']
TEXTS += [r'"\ud800"', r'"\u0000"', '"a\x01b"', '"\x7f\u2028"', '"\ud800"', '"\x00"', '"\\x"', '"unended', '"0"']
TEXTS += ['"' + "x" * 300 + '"', r'"\udc00\ud800"', "'x'", '"\u0130"', '" "', '"null"']
NUMBERS = ["0", "24.0", "-1.50", "0.1999968000511991808131", "9999999999999.9", "0E-20", "1e3", "-0", "-0.0", '"25"']
NUMBERS += ['"-14.4"', '"0E-20"', r'"\u0031"', "1E-7", "0E9000", "123E9999", '"123E9999"', "1e13", "1E-101"]
NUMBERS += ["NaN", "-Infinity", "1_000", "007", "+1", ".5", "5.", "0x1F", '"1,000.00"', '" 1"', "9" * 65, "1e400"]
NUMBERS += ["1E-999999999", "9e12", "1.e1", "--1", "1E0000000000000003", "0e" + "9" * 62, "1" * 13 + "." + "1" * 50]
NUMBERS += ["99999999999999", "0." + "1" * 62]
DATES = ['"2026-11-20T00:00:00Z"', '"2021-05-20T18:30:06.6045692Z"', '"2019-02-04T09:22:40.1767993-08:00"']
DATES += ['"0001-01-01T00:00:00"', '"2026-11-20t00:00:00z"', '"2026-11-20 10:00:00"', '"2024-02-29"', '"2026-11-20"']
DATES += ['"yesterday"', '"2026-02-30"', '"11/20/2026"', "20261120", '"2026-11-20T24:00:00Z"', '"0000-01-01"']
DATES += ['"2026-11-20T00:00:00Z "', r'"2026\u002d11-20"', '"2025-02-29"', '"2026-11-20T10:00:00+24:00"']
DATES += ['"2026-11-20T10:00:00+01:60"', '"2026-12-31T23:59:59.9+23:59"', '"2026-11-20T10:60:00Z"']
OTHERS = ["null", "true", "false", "TRUE", '"true"', '"FALSE"', '"yes"', "[]", "{}", '["AddOn"]', '["a","b"]']
OTHERS += ['{"k":1.0}', '{"a":1,"a":2}', r'["\ud800"]', r'{"\u0000":1}', "[1,]", "{", "[" * 70 + "]" * 70, ""]
OTHERS += ['[ "a" , {"b" : 1} ]', "[" * 2_000 + "]" * 2_000]
VALUES = {Type.TEXT: TEXTS, Type.NUMBER: NUMBERS, Type.DATE: DATES, Type.FLAG: OTHERS}
UNKNOWN = ["MeterGroup", "x", "", "Extra", "UnitPriceText", "ünknown", "a\\\\", "a\\u0062", "\\u0000", "\\ud800"]
UNKNOWN += ["attributes"]
SPACES = [" ", "\t", "  ", "\r", "\u00a0", "\v"]


def parsed(line: bytes) -> Members:
    """The members of a good line, as they are written."""
    text = line.decode()
    decoder = json.JSONDecoder()
    members: Members = []
    at = text.index("{") + 1
    while True:
        at += len(text[at:]) - len(text[at:].lstrip(" ,"))
        if text[at] == "}":
            return members
        _, end = decoder.raw_decode(text, at)
        key = text[at:end]
        begin = text.index(":", end) + 1
        begin += len(text[begin:]) - len(text[begin:].lstrip())
        _, at = decoder.raw_decode(text, begin)
        members.append((key, text[begin:at]))


class Mutator:
    """Changes lines of one kind by a seeded chance."""

    def __init__(self, kind: Kind, seed: int) -> None:
        self._table: LineItemTable = table_of(kind)
        self._chance = random.Random(f"{kind.value} {seed}")
        self._good = [parsed(line) for line in line_items(kind, 200)]

    def lines(self, count: int) -> Iterator[bytes]:
        """So many lines, most of them near to the ones before."""
        chance = self._chance
        members = self._good[0]
        for _ in range(count):
            if chance.random() < 0.01:
                members = chance.choice(self._good)
            changed = members
            for _ in range(chance.choice((0, 1, 1, 1, 1, 2))):
                changed = self._changed(changed)
            yield self._written(changed)

    def _changed(self, members: Members) -> Members:
        changes = [self._value] * 6 + [self._drop, self._case, self._dialect, self._double, self._unknown]
        changes += [self._escape, self._quote, self._shuffle]
        change = self._chance.choice(changes)
        return change(members, self._chance.randrange(len(members))) if members else members

    def _meaning(self, key: str) -> Spelling | None:
        return self._table.spellings.get(key.strip('"').lower())

    def _value(self, members: Members, at: int) -> Members:
        key, _ = members[at]
        meaning = self._meaning(key)
        own = VALUES[meaning.column.type] if meaning else OTHERS
        pool = self._chance.choice((own, own, self._chance.choice((TEXTS, NUMBERS, DATES, OTHERS))))
        return [*members[:at], (key, self._chance.choice(pool)), *members[at + 1 :]]

    def _drop(self, members: Members, at: int) -> Members:
        return [*members[:at], *members[at + 1 :]]

    def _case(self, members: Members, at: int) -> Members:
        key, raw = members[at]
        return [
            *members[:at],
            (self._chance.choice((key.upper(), key.lower(), key.swapcase())), raw),
            *members[at + 1 :],
        ]

    def _dialect(self, members: Members, at: int) -> Members:
        key, raw = members[at]
        meaning = self._meaning(key)
        column = meaning.column if meaning else self._table.columns[0]
        return [*members[:at], (f'"{self._chance.choice((column.name, column.v1))}"', raw), *members[at + 1 :]]

    def _double(self, members: Members, at: int) -> Members:
        column = self._chance.choice(self._table.columns)
        name = self._chance.choice((column.name, column.v1 or column.name, members[at][0].strip('"')))
        return [*members, (f'"{name}"', self._chance.choice(VALUES[column.type]))]

    def _unknown(self, members: Members, at: int) -> Members:
        values = self._chance.choice((TEXTS, NUMBERS, DATES, OTHERS))
        return [*members[:at], (f'"{self._chance.choice(UNKNOWN)}"', self._chance.choice(values)), *members[at:]]

    def _escape(self, members: Members, at: int) -> Members:
        key, raw = members[at]
        escaped = f'"\\u{ord(key[1]):04x}{key[2:]}' if len(key) > 2 else key
        return [*members[:at], (escaped, raw), *members[at + 1 :]]

    def _quote(self, members: Members, at: int) -> Members:
        key, raw = members[at]
        return [*members[:at], (key, f'"{raw}"' if raw[:1] != '"' else raw.strip('"')), *members[at + 1 :]]

    def _shuffle(self, members: Members, at: int) -> Members:
        return self._chance.sample(members, len(members))

    def _written(self, members: Members) -> bytes:
        chance = self._chance
        comma, colon, begin, end = ",", ":", "{", "}"
        if chance.random() < 0.1:
            comma, colon, begin, end = (
                mark + chance.choice(SPACES) if chance.random() < 0.7 else chance.choice(SPACES) + mark
                for mark in (comma, colon, begin, end)
            )
        text = begin + comma.join(key + colon + raw for key, raw in members) + end
        line = text.encode("utf-8", "surrogatepass")
        if chance.random() < 0.05:
            line = mutated(chance, line)
        return line.replace(b"\n", b" ")
