"""An amount that a source does not give is not summed as nothing in silence: the receipt says whose sum lacks it."""

from __future__ import annotations

from pathlib import Path

import pytest

from counterfoil.client import Client, Format, ask_billed
from counterfoil.model import Kind
from tests.client.hostile_source import HostileSource, usage_line, written

ASK = ask_billed(Kind.USAGE, "G016907411")
TOTAL = "BillingPreTaxTotal"


def without_amount(number: int, how: object) -> bytes:
    line = {name: value for name, value in usage_line(number).items() if name.lower() != TOTAL.lower()}
    return written(line if how == "left out" else {**line, TOTAL: how})


@pytest.mark.parametrize("form", [Format.BLOBS, Format.PARQUET, Format.CSV])
@pytest.mark.parametrize("how", [None, "", "left out"])
def test_a_receipt_says_how_many_line_items_have_no_amount(
    how: object, form: Format, source: HostileSource, client: Client, tmp_path: Path
) -> None:
    source.annotated = False
    good = written(usage_line(0))
    source.parts = [[good, without_amount(1, how)], [without_amount(2, how), good]]
    receipt = client.pull(ASK, tmp_path / "to", format=form)
    assert f"2 line items have no {TOTAL}, so its total is without them." in receipt.notes
    source.parts = [[good, good]]
    assert not any("have no" in note for note in client.pull(ASK, tmp_path / "other", format=form).notes)


def test_one_line_item_of_another_currency_is_counted_too(
    source: HostileSource, client: Client, tmp_path: Path
) -> None:
    source.annotated = False
    other = {**usage_line(1), "BillingCurrency": "USD", TOTAL: None}
    source.parts = [[written(usage_line(0)), written(other)]]
    receipt = client.pull(ASK, tmp_path / "to")
    assert [note for note in receipt.notes if TOTAL in note] == [
        f"1 line item has no {TOTAL}, so its total is without it."
    ]
