"""Sides that no command may answer for as if they were good, and results of the smallest sizes."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from jinja2 import nodes

from counterfoil import reconcile
from counterfoil.errors import CounterfoilError, InputError, SideError
from counterfoil.model import Kind
from counterfoil.reconcile.reports.page_layout import environment
from tests.reconcile import made_reports as made
from tests.reconcile.sides import INVOICE, lake_file, licence, lines_file, usage

Item = dict[str, str]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_page_of_so_many_differences_is_written(tmp_path: Path, count: int) -> None:
    differing = [made.differing(number, "10.00", "12.00", {"quantity": "2.00"}) for number in range(1, count + 1)]
    with made.of_invoice(tmp_path / "result", differing, equal=[made.charged("5.00")]) as comparison:
        comparison.write_html(tmp_path / "report.html")
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_every_condition_within_a_page_says_what_holds_otherwise() -> None:
    """Without `else` it is undefined where the condition does not hold, which is seen only in such a page."""
    folder = files("counterfoil.reconcile.reports") / "page_files"
    for page in folder.iterdir():
        if page.name.endswith(".html"):
            parsed = environment().parse(page.read_text(encoding="utf-8"))
            assert not [each.lineno for each in parsed.find_all(nodes.CondExpr) if each.expr2 is None], page.name


@pytest.mark.parametrize("make", [licence, usage])
@pytest.mark.parametrize("given", ["", "null"])  # left out, and without a value
def test_a_line_item_without_an_amount_is_no_clean_audit(tmp_path: Path, make: Callable[..., Item], given: str) -> None:
    good = make("10")
    net = "Subtotal" if make is licence else "BillingPreTaxTotal"
    bad = {name: text for name, text in good.items() if name != net} | ({net: given} if given else {})
    side = str(lines_file(tmp_path / "side.jsonl", [good, bad]))
    with pytest.raises(InputError, match=f"line 2, {net}: a line item without an amount") as raised:
        reconcile.audit(side)
    assert raised.value.remedy
    with pytest.raises(InputError, match=f"{net}: line items without an amount"):
        reconcile.totals(side)


_ATTRIBUTE = {"role": "attribute", "name": "CustomerId", "type": "text", "basic": True, "graph": True, "v1": None}
DESCRIPTIONS = {
    "cut": b'{"columns": {"Cust',
    "no UTF-8": b"\xff\xfe{}",
    "no object": b"[]",
    "a number": b"5",
    "deep": b"[" * 100_000,
    "a list": b'{"columns": [1]}',
    "a text": b'{"columns": "x"}',
    "null": b'{"columns": null}',
    "texts for columns": b'{"columns": {"CustomerId": "attribute"}}',
    "no role": b'{"columns": {"CustomerId": {}}}',
    "no codec": json.dumps({"columns": {"CustomerId": _ATTRIBUTE}}).encode(),
    "a list for a type": json.dumps({"columns": {"CustomerId": _ATTRIBUTE | {"type": [], "codec": "same"}}}).encode(),
}


@pytest.mark.parametrize("description", DESCRIPTIONS.values(), ids=DESCRIPTIONS)
def test_a_lake_file_whose_description_is_damaged_is_told_to_be(tmp_path: Path, description: bytes) -> None:
    whole = pq.read_table(lake_file(tmp_path / "whole.parquet", [licence()], Kind.RECONCILIATION))
    described = whole.schema.metadata
    [key] = [name for name, text in described.items() if b'"columns"' in text]
    pq.write_table(whole.replace_schema_metadata(described | {key: description}), tmp_path / "damaged.parquet")
    with pytest.raises(CounterfoilError, match=r"damaged\.parquet is cut or damaged: it does not describe") as raised:
        reconcile.totals(str(tmp_path / "damaged.parquet"))
    assert raised.value.remedy


def test_line_items_without_dates_are_named_as_such(tmp_path: Path) -> None:
    dated = licence("10", "0", "10", InvoiceNumber=INVOICE)
    undated = {name: text for name, text in dated.items() if name != "ChargeStartDate"}
    left, right = (str(lines_file(tmp_path / name, [item])) for name, item in (("left", dated), ("right", undated)))
    with pytest.raises(SideError, match="most of its line items have no ChargeStartDate"):
        reconcile.compare(left, right)
