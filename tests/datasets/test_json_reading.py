"""The quick way of reading JSON lines gives exactly what the plain way gives: the same texts, the same refusals."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.columns import Column, LineItemTable, Type, table_of
from counterfoil.datasets.json_lines import JsonLinesReader
from counterfoil.line_items.blocks import Block
from counterfoil.line_items.line_reader import LineReader
from counterfoil.line_items.reference import read_json_line
from counterfoil.line_items.values import Refused
from counterfoil.model import Kind
from tests.datasets.exploring import examples
from tests.datasets.line_items import batch_rows

GOOD_TEXTS = ['""', '"c1"', '"Ünï ∑ 漢 😀"', r'"a\"b\\c\/d\n\t\u00e9\ud83d\ude00"', r'"x\\"', r'"{\"k\":\"v\\\":\"}"']
ODD_TEXTS = [
    "null",
    "12",
    "-0",
    "1e2",
    "1.0",
    "0",
    "007",
    "true",
    "[]",
    '["AddOn"]',
    '[ "a" , {"b" : 1} ]',
    '{"k":1.0}',
]
ODD_TEXTS += [r'"\ud800"', r'"\udc00\ud800"', r'"\u0000"', r'["\ud800"]', r'{"\udfff":1}', '{"a":1,"a":2}', '"a\x01b"']
ODD_TEXTS += [
    "NaN",
    '"unended',
    "{",
    "[1,]",
    '"\\x"',
    '"\x7f\u2028"',
    "123456789012345678901234567890",
    '[["":1]]',
    "0.0",
]
GOOD_NUMBERS = ["0", "24.0", "-1.50", "0.1999968000511991808131", "9999999999999.9", "0E-20", "1e3", "-0", "-0.0"]
GOOD_NUMBERS += ['"25"', '"-14.4"', '""', "null", '"0E-20"', r'"\u0031"']
ODD_NUMBERS = [
    "NaN",
    "Infinity",
    "-Infinity",
    "1_000",
    "007",
    "1e400",
    "1E-999999999",
    '"1e400"',
    '"text"',
    '"NaN"',
    "+1",
]
ODD_NUMBERS += [
    "0x1F",
    '"0x1F"',
    '"1,000.00"',
    '" 1"',
    '"null"',
    "true",
    "[1]",
    "{}",
    "10000000000000",
    ".5",
    "5.",
    "1.e1",
]
ODD_NUMBERS += ['"1"2', r'"\ud800"', r'"\u0000"', "9" * 65, '"' + "1" * 65 + '"', "-", '"-"', '"\\"', "0." + "1" * 41]
GOOD_DATES = ['"2026-11-20T00:00:00Z"', '"2021-05-20T18:30:06.6045692Z"', '"2019-02-04T09:22:40.1767993-08:00"']
GOOD_DATES += ['"2026-11-20"', '""', "null", '"0001-01-01T00:00:00"', '"2026-11-20t00:00:00z"']
ODD_DATES = [
    '"2026-02-30"',
    '"11/20/2026"',
    "20261120",
    '"2026-11-20T25:00:00Z"',
    '"tomorrow"',
    '"20261120"',
    "true",
    "[]",
]
ODD_DATES += ['"2026-11-20T00:00:00Z "', r'"2026\u002d11-20"', r'"\ud800"', '"0000-01-01"', '"2026-11-20T24:00:00Z"']
GOOD_FLAGS = ["true", "false", "null", '"true"', '"FALSE"', '""']
ODD_FLAGS = ["1", '"yes"', "[]", '"null"', r'"tr\u0075e"', "TRUE", '"\\"true\\""', '"\\ud800"']
UNKNOWN = ["MeterGroup", "x", "", "Extra", "UnitPriceText", "ünknown", "a\\\\", "a\\u0062"]
CHANGES = ["odd", "odd", "odd", "drop", "shuffle", "case", "double", "other", "unknown", "escape"]
SPACES = ["", " ", "\t", "  ", "\r"]


GOOD = {
    Type.TEXT: st.sampled_from(GOOD_TEXTS) | st.text(max_size=6).map(json.dumps),
    Type.NUMBER: st.sampled_from(GOOD_NUMBERS),
    Type.DATE: st.sampled_from(GOOD_DATES),
    Type.FLAG: st.sampled_from(GOOD_FLAGS),
    None: st.sampled_from(['"x"', "null", '{"objectType":"x"}', "1"]),
}
EVERYTHING = sorted({*GOOD_TEXTS, *ODD_TEXTS, *GOOD_NUMBERS, *ODD_NUMBERS, *GOOD_DATES, *ODD_DATES})
EVERYTHING += [*GOOD_FLAGS, *ODD_FLAGS]
ANYTHING = st.sampled_from(EVERYTHING) | st.decimals(allow_nan=False, allow_infinity=False).map(str)
USUAL = {Type.TEXT: '"x"', Type.NUMBER: "1.50", Type.DATE: '"2026-11-20T00:00:00Z"', Type.FLAG: "true", None: '"x"'}


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
def changed(
    draw: st.DrawFn, table: LineItemTable, members: list[tuple[str, str]], change: str, v1: bool
) -> list[tuple[str, str]]:
    """The members of a line after one change; keys come in their quotes."""
    at = draw(st.integers(0, len(members) - 1)) if members else 0
    key, raw = members[at] if members else ('"PartnerId"', '"x"')
    before, after = members[:at], members[at + 1 :]
    match change:
        case "odd":
            return [*before, (key, draw(ANYTHING)), *after]
        case "shuffle":
            return draw(st.permutations(members))
        case "case":
            return [*before, (draw(st.sampled_from([key.upper(), key.lower()])), raw), *after]
        case "double":
            return [*members, (draw(st.sampled_from([key, key.swapcase(), key.lower()])), draw(ANYTHING))]
        case "other":
            column = draw(st.sampled_from(table.columns))
            return [*members, (f'"{spelled(column, not v1)}"', draw(GOOD[column.type]))]
        case "unknown":
            return [*before, (f'"{draw(st.sampled_from(UNKNOWN))}"', draw(ANYTHING)), *members[at:]]
        case "escape" if len(key) > 2:
            return [*before, (f'"\\u{ord(key[1]):04x}{key[2:]}', raw), *after]
    return [*before, *after]


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """Now and then no line item any more."""
    at = draw(st.integers(0, len(whole)))
    match draw(st.sampled_from([None] * 16 + ["cut", "byte", "after", "other"])):
        case "cut":
            return whole[:at]
        case "byte":
            return (
                whole[:at] + draw(st.sampled_from([b"\xff", b"\xc3", b"\x00", b"\xed\xa0\x80", b"\x80"])) + whole[at:]
            )
        case "after":
            return whole + draw(st.sampled_from([b"{}", b",", b"\x00", b"x", b"[", b"\xef\xbb\xbf"]))
        case "other":
            return draw(st.sampled_from([b"1", b'"a"', b"[]", b"null", b"[{}]", b'[["PartnerId","x"]]', b"   ", b""]))
    return whole


@st.composite
def line(draw: st.DrawFn, table: LineItemTable, shared: list[tuple[str, Type | None]], v1: bool) -> bytes:
    """A line with most of the shared keys, and now and then with something that is not usual."""
    members = [(json.dumps(key), draw(GOOD[type_])) for key, type_ in shared]
    for change in draw(st.lists(st.sampled_from(CHANGES), max_size=2)):
        members = draw(changed(table, members, change, v1))
    space = draw(st.sampled_from([st.just("")] * 3 + [st.sampled_from(SPACES)]))
    body = ",".join(draw(space) + key + draw(space) + ":" + draw(space) + raw + draw(space) for key, raw in members)
    whole = (draw(space) + "{" + body + "}" + draw(space)).encode("utf-8", "surrogatepass")
    return draw(damaged(whole)).replace(b"\n", b" ")


@st.composite
def files(draw: st.DrawFn) -> tuple[Kind, list[bytes]]:
    kind, v1 = draw(st.sampled_from(Kind)), draw(st.booleans())
    table = table_of(kind)
    shared = draw(keys(table, v1))
    return kind, draw(st.lists(line(table, shared, v1), min_size=1, max_size=6))


def one_of_each_sort(table: LineItemTable, v1: bool) -> list[str]:
    """One key for each way in which attributes are treated, and a constant."""
    found = {(column.type, column.codec, column.digits): spelled(column, v1) for column in table.columns}
    return [*found.values(), "attributes"]


def written(members: Iterable[tuple[str, str]]) -> str:
    return "{" + ",".join(f'"{key}":{raw}' for key, raw in members) + "}"


def told(refused: Refused) -> tuple[Any, ...]:
    return refused.reason, refused.attribute, refused.value, refused.remedy


def by_reference(kind: Kind, lines: list[bytes]) -> tuple[dict[int, dict[str, str]], dict[int, tuple[Any, ...]]]:
    accepted, refusals = {}, {}
    for number, each in enumerate(lines, 1):
        if not each.strip():
            continue
        bare = each.removeprefix(b"\xef\xbb\xbf")  # what stands around lines that were joined, or cut from a list
        stripped = bare.rstrip(b", \t\r")
        bare = stripped if stripped.endswith(b"}") and bare.rstrip().endswith(b",") else bare
        try:
            accepted[number] = read_json_line(table_of(kind), bare)
        except Refused as refused:
            refusals[number] = told(refused)
    return accepted, refusals


def by_reader(kind: Kind, lines: list[bytes]) -> tuple[dict[int, dict[str, str]], dict[int, tuple[Any, ...]]]:
    accepted: dict[int, dict[str, str]] = {}
    refusals: dict[int, tuple[Any, ...]] = {}

    def refuse(number: int, refused: Refused) -> None:
        assert number not in refusals
        refusals[number] = told(refused)

    for batch in JsonLinesReader(table_of(kind), refuse).read(Block(b"\n".join(lines), 1)):
        for number, row in zip(batch.lines.tolist(), batch_rows(batch), strict=True):
            assert number not in accepted
            accepted[number] = row
    return accepted, refusals


@pytest.mark.parametrize("count", [80, pytest.param(200, marks=pytest.mark.soak)])
def test_quick_and_plain_reading_agree(count: int) -> None:
    @examples(count)
    @given(files())
    def agree(file: tuple[Kind, list[bytes]]) -> None:
        assert by_reader(*file) == by_reference(*file)

    agree()


@pytest.mark.parametrize("v1", [False, True], ids=["graph", "v1"])
@pytest.mark.parametrize("kind", Kind)
def test_they_agree_on_every_value_for_every_attribute(kind: Kind, v1: bool) -> None:
    table = table_of(kind)
    usual = {spelled(column, v1): USUAL[column.type] for column in table.columns} | {"attributes": '"x"'}
    for key in one_of_each_sort(table, v1):
        lines = [usual, *(usual | {key: raw} for raw in EVERYTHING), *({key: raw} for raw in EVERYTHING)]
        file = [written(each.items()).encode("utf-8", "surrogatepass") for each in lines]
        broken = [b'"\xff"'.join(line.rsplit(b'"x"', count)) for line in file[:2] for count in (1, -1)]
        for several in (file, [*file, *broken], [line.replace(b":", b" :") for line in file]):
            assert by_reader(kind, several) == by_reference(kind, several)


@pytest.mark.parametrize("v1", [False, True], ids=["graph", "v1"])
@pytest.mark.parametrize("kind", Kind)
def test_they_agree_on_every_key_given_twice(kind: Kind, v1: bool) -> None:
    table = table_of(kind)
    usual = {spelled(column, v1): USUAL[column.type] for column in table.columns} | {"attributes": '"x"'}
    first = written(usual.items())
    for key in one_of_each_sort(table, v1):
        raw = usual[key]
        other = next((spelled(column, not v1) for column in table.columns if spelled(column, v1) == key), key)
        names = [key, key.lower(), key.upper(), other, f"\\u{ord(key[0]):04x}{key[1:]}"]
        doubled = [f'{{"{name}" {space}:{raw},{first[1:]}' for name in names for space in ("", "\t")]
        nested = [first.replace('"attributes":"x"', f'"attributes":{{"{name}":1}}') for name in names]
        file = [line.replace('" :', '":').encode() for line in [first, *doubled, *nested]]
        assert by_reader(kind, file) == by_reference(kind, file)
        refused = by_reference(kind, file)[1]
        assert [refused[number][0] for number in range(2, 2 + len(doubled))] == ["given twice"] * len(doubled)


def test_usual_lines_never_need_the_plain_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """The agreement above would prove little if all lines went one way."""
    went = list[bytes]()

    monkeypatch.setattr(LineReader, "read", lambda _, lines, *__, **___: went.extend(lines))
    for kind in Kind:
        for v1 in (False, True):
            usual = {spelled(column, v1): USUAL[column.type] for column in table_of(kind).columns}
            odd = {spelled(column, v1): '""' for column in table_of(kind).columns}
            null = dict.fromkeys(usual, "null")
            lines = [written(each.items()).encode() for each in (usual, odd, null, {next(iter(usual)): '"\\":\\\\"'})]
            assert len(by_reader(kind, lines)[0]) == 4
    assert not went
