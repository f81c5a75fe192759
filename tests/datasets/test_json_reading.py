"""The quick way of reading JSON lines gives exactly what the plain way gives: the same texts, the same refusals."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from counterfoil.columns import Column, LineItemTable, Type, table_of
from counterfoil.datasets.json_lines import JsonLinesReader
from counterfoil.datasets.source import Chunk
from counterfoil.datasets.values import Refused, read_json_line
from counterfoil.model import Kind
from tests.datasets.exploring import examples
from tests.datasets.line_items import rows

GOOD_TEXTS = ['""', '"c1"', '"Ünï ∑ 漢 😀"', r'"a\"b\\c\/d\n\t\u00e9\ud83d\ude00"', r'"x\\"', r'"{\"k\":\"v\\\":\"}"']
ODD_TEXTS = ["null", "12", "-0", "1e2", "1.0", "0", "007", "true", "[]", '["AddOn"]', '[ "a" , {"b" : 1} ]', '{"k":1.0}']
ODD_TEXTS += [r'"\ud800"', r'"\udc00\ud800"', r'"\u0000"', r'["\ud800"]', r'{"\udfff":1}', '{"a":1,"a":2}', '"a\x01b"']
ODD_TEXTS += ["NaN", '"unended', "{", "[1,]", '"\\x"', '"\x7f\u2028"', "123456789012345678901234567890", '[["":1]]', "0.0"]
GOOD_NUMBERS = ["0", "24.0", "-1.50", "0.1999968000511991808131", "9999999999999.9", "0E-20", "1e3", "-0", "-0.0"]
GOOD_NUMBERS += ['"25"', '"-14.4"', '""', "null", '"0E-20"', r'"\u0031"']
ODD_NUMBERS = ["NaN", "Infinity", "-Infinity", "1_000", "007", "1e400", "1E-999999999", '"1e400"', '"text"', '"NaN"', "+1"]
ODD_NUMBERS += ["0x1F", '"0x1F"', '"1,000.00"', '" 1"', '"null"', "true", "[1]", "{}", "10000000000000", ".5", "5.", "1.e1"]
ODD_NUMBERS += ['"1"2', r'"\ud800"', r'"\u0000"', "9" * 65, '"' + "1" * 65 + '"', "-", '"-"', '"\\"', "0." + "1" * 41]
GOOD_DATES = ['"2026-11-20T00:00:00Z"', '"2021-05-20T18:30:06.6045692Z"', '"2019-02-04T09:22:40.1767993-08:00"']
GOOD_DATES += ['"2026-11-20"', '""', "null", '"0001-01-01T00:00:00"', '"2026-11-20t00:00:00z"']
ODD_DATES = ['"2026-02-30"', '"11/20/2026"', "20261120", '"2026-11-20T25:00:00Z"', '"tomorrow"', '"20261120"', "true", "[]"]
ODD_DATES += ['"2026-11-20T00:00:00Z "', r'"2026\u002d11-20"', r'"\ud800"', '"0000-01-01"', '"2026-11-20T24:00:00Z"']
GOOD_FLAGS = ["true", "false", "null", '"true"', '"FALSE"', '""']
ODD_FLAGS = ["1", '"yes"', "[]", '"null"', r'"tr\u0075e"', "TRUE", '"\\"true\\""', '"\\ud800"']
UNKNOWN = ["MeterGroup", "x", "", "Extra", "UnitPriceText", "ünknown", "a\\\\", "a\\u0062"]
SPACES = ["", "", "", " ", "\t", "  ", "\r"]


def odd_or_good(good: list[str], odd: list[str]) -> st.SearchStrategy[str]:
    return st.one_of(*[st.sampled_from(good)] * 9, st.sampled_from(odd))


VALUES = {
    Type.TEXT: odd_or_good(GOOD_TEXTS, ODD_TEXTS) | st.text(max_size=6).map(json.dumps),
    Type.NUMBER: odd_or_good(GOOD_NUMBERS, ODD_NUMBERS) | st.decimals(allow_nan=False, allow_infinity=False).map(str),
    Type.DATE: odd_or_good(GOOD_DATES, ODD_DATES),
    Type.FLAG: odd_or_good(GOOD_FLAGS, ODD_FLAGS),
}
ANYTHING = st.sampled_from(ODD_TEXTS + GOOD_NUMBERS + GOOD_TEXTS + ODD_NUMBERS)


def spelled(column: Column, v1: bool) -> str:
    return column.v1 if v1 and column.v1 is not None else column.name


@st.composite
def keys(draw: st.DrawFn, table: LineItemTable, v1: bool) -> list[tuple[str, Type | None]]:
    """The keys that most lines of one file share, in its order, and what their values should be."""
    columns = draw(st.lists(st.sampled_from(table.columns), min_size=1, max_size=12, unique_by=lambda c: c.name))
    names: list[tuple[str, Type | None]] = [(spelled(column, v1), column.type) for column in columns]
    constants = draw(st.lists(st.sampled_from(sorted(table.constants)), max_size=2, unique=True))
    return draw(st.permutations(names + [(name, None) for name in constants]))


@st.composite
def line(draw: st.DrawFn, table: LineItemTable, shared: list[tuple[str, Type | None]], v1: bool) -> bytes:
    """A line with most of the shared keys, and now and then with something that is not usual."""
    members = [(json.dumps(key), draw(VALUES[type_] if type_ else ANYTHING)) for key, type_ in shared]
    for change in draw(st.lists(st.sampled_from("drop shuffle case double other unknown escape".split()), max_size=2)):
        at = draw(st.integers(0, len(members) - 1)) if members else 0
        if change == "drop":
            del members[at : at + 1]
        elif change == "shuffle":
            members = draw(st.permutations(members))
        elif change == "case" and members:
            members[at] = (draw(st.sampled_from([members[at][0].upper(), members[at][0].lower()])), members[at][1])
        elif change == "double" and members:
            key = draw(st.sampled_from([members[at][0], members[at][0].swapcase(), members[at][0].lower()]))
            members.append((key, draw(ANYTHING)))
        elif change == "other":
            column = draw(st.sampled_from(table.columns))
            members.append((f'"{spelled(column, not v1)}"', draw(VALUES[column.type])))
        elif change == "unknown":
            members.insert(at, (f'"{draw(st.sampled_from(UNKNOWN))}"', draw(ANYTHING)))
        elif change == "escape" and members and len(members[at][0]) > 2:
            key = members[at][0]
            members[at] = (f'"\\u{ord(key[1]):04x}{key[2:]}', members[at][1])
    space = st.sampled_from(SPACES)
    body = ",".join(draw(space) + key + draw(space) + ":" + draw(space) + raw + draw(space) for key, raw in members)
    whole = (draw(space) + "{" + body + "}" + draw(space)).encode("utf-8", "surrogatepass")
    damage = draw(st.sampled_from([None] * 12 + ["cut", "byte", "after", "number"]))
    if damage == "cut":
        whole = whole[: draw(st.integers(0, len(whole)))]
    elif damage == "byte":
        at = draw(st.integers(0, len(whole) - 1))
        whole = whole[:at] + draw(st.sampled_from([b"\xff", b"\xc3", b"\x00", b"\xed\xa0\x80", b"\x80"])) + whole[at:]
    elif damage == "after":
        whole += draw(st.sampled_from([b"{}", b",", b"\x00", b"x", b"[", b"\xef\xbb\xbf"]))
    elif damage == "number":
        whole = draw(st.sampled_from([b"1", b'"a"', b"[]", b"null", b"[{}]", b'[["PartnerId","x"]]', b"   ", b""]))
    return whole.replace(b"\n", b" ")


@st.composite
def files(draw: st.DrawFn) -> tuple[Kind, list[bytes]]:
    kind, v1 = draw(st.sampled_from(Kind)), draw(st.booleans())
    table = table_of(kind)
    shared = draw(keys(table, v1))
    return kind, draw(st.lists(line(table, shared, v1), min_size=1, max_size=6))


def told(refused: Refused) -> tuple[Any, ...]:
    return refused.reason, refused.attribute, refused.value, refused.remedy


def by_reference(kind: Kind, lines: list[bytes]) -> tuple[dict[int, dict[str, str]], dict[int, tuple[Any, ...]]]:
    accepted, refusals = {}, {}
    for number, each in enumerate(lines, 1):
        if not each.strip():
            continue
        try:
            accepted[number] = dict(read_json_line(table_of(kind), each).values)
        except Refused as refused:
            refusals[number] = told(refused)
    return accepted, refusals


def by_reader(kind: Kind, lines: list[bytes]) -> tuple[dict[int, dict[str, str]], dict[int, tuple[Any, ...]]]:
    accepted: dict[int, dict[str, str]] = {}
    refusals: dict[int, tuple[Any, ...]] = {}

    def refuse(number: int, refused: Refused) -> None:
        assert number not in refusals
        refusals[number] = told(refused)

    for batch in JsonLinesReader(table_of(kind), refuse).read(Chunk(b"\n".join(lines), 1)):
        for number, row in zip(batch.lines.tolist(), rows(batch.items), strict=True):
            assert number not in accepted
            accepted[number] = row
    return accepted, refusals


@examples(400)
@given(files())
def test_quick_and_plain_reading_agree(file: tuple[Kind, list[bytes]]) -> None:
    assert by_reader(*file) == by_reference(*file)
