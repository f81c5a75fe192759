"""What `Server.publish` says of line items that cannot be right: all at once, in the words of who called it."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from counterfoil.errors import CounterfoilError, InputError
from counterfoil.testing import PARTNER, Server, reconciliation, usage


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


def without(item: dict[str, object], *names: str) -> dict[str, object]:
    return {name: value for name, value in item.items() if name not in names}


CSV = b"PartnerId,UsageDate,BillingPreTaxTotal,BillingCurrency\n" + PARTNER.encode() + b",01/02/2026,1,EUR\n"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([usage(), without(usage(), "UsageDate")], "argument-1, line 2, UsageDate: is missing."),
        (
            [usage(), without(usage(), "UsageDate", "BillingPreTaxTotal", "PartnerId")],
            "argument-1, line 2, PartnerId, UsageDate and BillingPreTaxTotal: are missing.",
        ),
        ([reconciliation() | {"Total": None, "TaxTotal": ""}], "argument-1, line 1, TaxTotal and Total: are missing."),
        ([without(usage(), "PartnerId", "BillingCurrency")], "line 1, PartnerId and BillingCurrency: are missing."),
        ([without(usage(), "BillingCurrency")], "line 1, BillingCurrency: is missing."),
        (
            {"PartnerId": PARTNER},
            "Usage needs PartnerId, UsageDate, BillingPreTaxTotal, BillingCurrency; reconciliation PartnerId,",
        ),
        ([usage() | {"Quantity": "ten"}], "argument-1, line 1, Quantity: not a JSON number"),
        ([usage(), usage(BillingCurrency="USD")], "argument-1, line 2, BillingCurrency: not in EUR"),
        (gzip.compress(b"x" * 1000, mtime=0)[:-9], "argument-1"),
        (b"", "argument-1: the file is empty"),
        (b"<html>", "argument-1: holds no line items"),
        (CSV, "argument-1"),
    ],
)
def test_an_error_names_what_was_given_and_nothing_that_is_not_there(server: Server, given: object, said: str) -> None:
    with pytest.raises(InputError) as refused:
        server.publish(given, period="2026-10")  # type: ignore[arg-type]
    text = str(refused.value)
    assert said in text
    for absent in ("/tmp", "counterfoil-", "given-", "allow_rejects", "allow-rejects", "rejects", "--"):
        assert absent not in text, text
    assert refused.value.file.startswith("argument-1")


def test_a_file_of_ones_own_keeps_its_name(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "usage.jsonl"
    path.write_bytes(b"{")
    with pytest.raises(InputError, match=str(path)):
        server.publish(path, period="2026-10")
    with pytest.raises(CounterfoilError, match=r"none\.jsonl"):
        server.publish("none.jsonl", period="2026-10")


def test_what_the_builders_make_can_be_published(server: Server) -> None:
    [receipt] = server.publish(reconciliation(Total="10.10", InvoiceNumber="G1"), reconciliation(InvoiceNumber="G1"))
    assert receipt.contents.plain_totals() == {"Subtotal": "20.10", "TaxTotal": "0", "Total": "20.10"}
    [receipt] = server.publish([usage(), usage(Quantity="2.5")], period="2026-10")
    assert (receipt.contents.plain_totals(), receipt.warnings) == ({"BillingPreTaxTotal": "3.500"}, {})


def test_a_coherent_month_is_published_unbilled_and_as_an_invoice(server: Server) -> None:
    month = server.billing_month("2026-08", "G5", customers=4)
    first, second = ({str(each.dataset.scope) for each in server.publish_unbilled(month, day)} for day in (9, None))
    assert first == second
    assert len(first) == 1
    receipts = server.publish_invoice(month)
    assert {(each.dataset.kind.value, each.dataset.scope.invoice) for each in receipts} == {
        ("usage", "G5"),
        ("reconciliation", "G5"),
    }
