"""The wire forms are those a plain reading of the rules would make, text for text."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil import numbers
from counterfoil.columns import EXTRA, RECONCILIATION, USAGE, Codec, Column, LineItemTable, Type, table_of
from counterfoil.datasets.render import text_to_list
from counterfoil.datasets.sizes import STANDARD_SIZES, Sizes
from counterfoil.model import Dataset, Kind, Rendering, Scope
from counterfoil.periods import BillingPeriod
from counterfoil.storage.engines import open_store
from tests.datasets.conftest import NOW
from tests.datasets.exploring import examples
from tests.datasets.line_items import PARTNER, Number, as_they_came, batch_of, blocks_of, strict, write_files

UNBILLED = Scope.unbilled(BillingPeriod(2026, 11), "EUR")
NUMBERS = ["24.0", "0E-20", "-0", "15", "0.15", "100", "7.50", "1e3", "-12.5", "0.1999968000511991808131", "1E-30"]
SPECIAL = [
    "'",
    '"',
    "\\",
    "','",
    '"}',
    "\n",
    "\x01",
    "\x1f",
    "\x7f",
    "\u2028",
    "\u2029",
    "\x85",
    "\x86",
    "\u2027",
    "\u202a",
    "é",
    "漢",
    "😀",
    "{",
    "null",
    "||",
    "%",
    "$1",
]
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5) | st.lists(
    st.sampled_from(SPECIAL), max_size=4
).map("".join)
LISTS = st.sampled_from(['["AddOn"]', "", "AddOn", '["a","é\\n"]', "[1.0]", "[", '{"a":1}', "[]", '"x"', " [1] "])
CHARGES = st.sampled_from(["Purchase", "refund", "REFUND", "new", "Renew", "", "purchase "])
NUMBER = st.sampled_from(NUMBERS) | st.from_regex(numbers.NUMBER, fullmatch=True).filter(
    lambda text: numbers.why_not_a_number(text) is None
)
UNKNOWN = st.dictionaries(TEXTS, st.sampled_from([1, None, True, "a'\"\\é\n", [1, {"b": []}]]), min_size=1, max_size=3)


def stored(column: Column) -> st.SearchStrategy[str | None]:
    of_type = {
        Type.TEXT: TEXTS,
        Type.NUMBER: NUMBER,
        Type.DATE: st.sampled_from(["2026-11-20T00:00:00Z", "0001-01-01T00:00:00"]),
        Type.FLAG: st.sampled_from(["true", "false"]),
    }[column.type]
    if column.codec is Codec.LIST:
        of_type = LISTS
    if column.codec is Codec.CHARGE_TYPE:
        of_type = CHARGES
    if column.codec is Codec.RESELLER:
        of_type = st.sampled_from(["", "0", "4649221", "x'\""])
    return of_type if column.name == "PartnerId" else st.none() | of_type


def extra_text(members: dict[str, Any] | None) -> str | None:
    return None if members is None else json.dumps(members, ensure_ascii=False, separators=(",", ":"))


def items(table: LineItemTable) -> st.SearchStrategy[list[dict[str, str]]]:
    known = set(table.spellings) | table.constants  # a known attribute is never kept in Extra
    unknown = UNKNOWN.filter(lambda members: not known & {name.lower() for name in members})
    each = st.fixed_dictionaries(
        {column.name: stored(column) for column in table.columns}
        | {EXTRA: (st.none() | st.none() | unknown).map(extra_text)}
    )
    with_values = each.map(lambda item: {name: text for name, text in item.items() if text is not None})
    return st.lists(with_values, min_size=1, max_size=3)


def graph(table: LineItemTable, item: dict[str, str], *, full: bool) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for column in table.columns:
        if not column.graph or not (full or column.basic):
            continue
        text = item.get(column.name)
        if text is None and column.type in (Type.NUMBER, Type.DATE):
            continue
        found.append((column.name, Number(text) if text and column.type is Type.NUMBER else text or ""))
    return found + (list(strict(item[EXTRA]).items()) if full and EXTRA in item else [])


def v1(table: LineItemTable, item: dict[str, str]) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for column in table.columns:
        text = item.get(column.name)
        if column.codec is Codec.PRESENT and text is None:
            text = ""
        if column.v1 is None or text is None:
            continue
        value: Any = Number(text) if column.type is Type.NUMBER else text
        if column.type is Type.FLAG:
            value = text == "true"
        if column.codec is Codec.RATE:
            value = Number(numbers.percent_to_rate(text))
        if column.codec is Codec.RESELLER:
            value = text or "0"
        if column.codec is Codec.CHARGE_TYPE:
            value = {"purchase": "New", "refund": "Cancel"}.get(text.lower(), text)
        if column.codec is Codec.LIST:
            try:
                value = strict(text) if text else []
            except ValueError:
                value = [text]
            value = value if isinstance(value, list) else [text]
        found.append((column.v1, value))
    found += list(strict(item[EXTRA]).items()) if EXTRA in item else []
    constants: list[tuple[str, Any]] = [
        ("invoiceLineItemType", table.v1_line_item_type),
        ("billingProvider", table.v1_billing_provider),
        ("attributes", {"objectType": table.v1_object_type}),
    ]
    return found + constants


def pairs(text: str | bytes) -> list[tuple[str, Any]]:
    return list(strict(text).items())


@dataclass(frozen=True, slots=True)
class Sealed:
    """What sealing made of some line items."""

    full: list[bytes]
    basic: list[bytes]
    v1: list[dict[str, Any]]
    credit: list[bool]


def sealed(
    folder: Path, table: LineItemTable, given_items: list[dict[str, str]], sizes: Sizes = STANDARD_SIZES
) -> Sealed:
    """Seal line items and read the wire forms back."""
    dataset = Dataset(table.kind, PARTNER, UNBILLED)
    with open_store(folder) as store, store.begin(NOW) as publication:
        files = write_files(store, publication, dataset, as_they_came(batch_of(table, given_items)), sizes)
        paths = {file.rendering: folder / "files" / file.path for file in files}
        blocks = blocks_of(paths[Rendering.V1])
        [block] = blocks.blocks
        return Sealed(
            gzip.decompress(paths[Rendering.GRAPH_FULL].read_bytes()).splitlines(),
            gzip.decompress(paths[Rendering.GRAPH_BASIC].read_bytes()).splitlines(),
            strict(b"[" + blocks.json(block) + b"]"),
            [bool(block.credit >> n & 1) for n in range(block.items)],
        )


@pytest.mark.parametrize("kind", Kind)
def test_rendering_makes_what_the_rules_say(kind: Kind, tmp_path: Path) -> None:
    table = table_of(kind)

    @examples(25)
    @given(items(table))
    def check(given_items: list[dict[str, str]]) -> None:
        made = sealed(tmp_path, table, given_items)
        assert [pairs(line) for line in made.full] == [graph(table, item, full=True) for item in given_items]
        assert [pairs(line) for line in made.basic] == [graph(table, item, full=False) for item in given_items]
        assert [list(item.items()) for item in made.v1] == [v1(table, item) for item in given_items]
        earned = "PartnerEarnedCreditPercentage"
        assert made.credit == [
            Decimal(item.get(earned, 0)) > 0 or item.get("HasPartnerEarnedCredit") == "true" for item in given_items
        ]

    check()


@pytest.mark.parametrize(
    ("text", "array"),
    [("", "[]"), ("[]", "[]"), ('["AddOn"]', '["AddOn"]'), ("AddOn", '["AddOn"]'), ('{"a":1}', r'["{\"a\":1}"]')],
)
def test_v1_has_an_array_where_graph_has_text(text: str, array: str) -> None:
    assert text_to_list(text) == array


@pytest.mark.parametrize("table", [USAGE, RECONCILIATION], ids=["usage", "reconciliation"])
def test_an_absent_line_item_has_every_graph_text_and_only_the_constants_of_v1(
    tmp_path: Path, table: LineItemTable
) -> None:
    made = sealed(tmp_path, table, [{"PartnerId": "p"}])
    [full] = made.full
    texts = [column.name for column in table.columns if column.graph and column.type is Type.TEXT]
    assert list(strict(full)) == texts
    assert len(strict(full)) == (33 if table is RECONCILIATION else 43)
    kept = {"tags", "additionalInfo"} if table is USAGE else set()
    constants = {"invoiceLineItemType", "billingProvider", "attributes"}
    assert set(made.v1[0]) == {"partnerId"} | kept | constants


def test_a_quote_in_a_later_row_group_is_escaped_too(tmp_path: Path) -> None:
    given_items = [{"PartnerId": "p", "SkuName": name} for name in ("a", "b", "c", 'd"', "e")]
    made = sealed(tmp_path, USAGE, given_items, Sizes(row_group_line_items=2))
    assert [strict(line)["SkuName"] for line in made.full] == ["a", "b", "c", 'd"', "e"]


def test_no_reader_of_lines_breaks_a_line_item_in_two(tmp_path: Path) -> None:
    breaks = {"PartnerId": "p", "SkuName": "a\x85b\u2028c\u2029d", EXTRA: '{"New":"\u2028","\x85":["\u2029"]}'}
    made = sealed(tmp_path, USAGE, [breaks])
    [full] = (line.decode().splitlines() for line in made.full)
    assert strict(full[0].encode())["SkuName"] == made.v1[0]["skuName"] == breaks["SkuName"]
    assert strict(full[0].encode())["New"] == made.v1[0]["New"] == "\u2028"


def test_an_ordinary_text_has_the_same_bytes_whether_or_not_its_column_is_escaped(tmp_path: Path) -> None:
    plain = {"PartnerId": "p", "SkuName": "Ünï\u2028/\x7f<>&'"}
    [alone] = sealed(tmp_path, USAGE, [plain]).full
    [beside, _] = sealed(tmp_path, USAGE, [plain, {"PartnerId": '"', "SkuName": "\\"}]).full
    assert alone == beside
