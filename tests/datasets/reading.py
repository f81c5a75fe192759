"""Reading one input file for tests, without a data folder: its line items, what was left out and what was refused."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from counterfoil.datasets.csv_values import NOTHING_SAID, LocalForms
from counterfoil.datasets.input_formats import recognise
from counterfoil.datasets.source import Source
from counterfoil.line_items.values import Refused
from tests.datasets.line_items import INVOICE, PARTNER, batch_rows

USAGE_ITEM: Mapping[str, str] = {
    "PartnerId": PARTNER,
    "CustomerId": "c4e1a9d2-0b37-4d5f-8a61-90f2b3c4d5e6",
    "CustomerName": "Amberly Foods, Inc.",
    "InvoiceNumber": INVOICE,
    "SkuId": "0007",
    "UsageDate": "2026-10-05T00:00:00Z",
    "UnitPrice": "0.0209951014286867",
    "Quantity": "24.0",
    "BillingPreTaxTotal": "0.4902357653",
    "BillingCurrency": "EUR",
    "Tags": '{"env": "prod"}',
}
RECONCILIATION_ITEM: Mapping[str, str] = {
    "PartnerId": PARTNER,
    "CustomerName": "Amberly Foods, Inc.",
    "InvoiceNumber": INVOICE,
    "OrderDate": "2026-09-28T00:00:00Z",
    "SkuId": "0002",
    "UnitPrice": "22.00",
    "Quantity": "25",
    "Subtotal": "550.00",
    "TaxTotal": "0",
    "Total": "550.00",
    "Currency": "EUR",
    "ChargeStartDate": "2026-10-01T00:00:00Z",
}


@dataclass(frozen=True, slots=True)
class FileRead:
    """What was read of a file."""

    items: list[dict[str, str]]
    left_out: dict[str, int]
    refused: list[tuple[int, Refused]]


def rows(*each: Mapping[str, str], delimiter: str = ",", **more: str) -> str:
    """A CSV with a header, of line items with the same attributes; `more` are for all of them."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter)
    items = [{**item, **more} for item in each]
    writer.writerows([list(items[0]), *([item[name] for name in items[0]] for item in items)])
    return text.getvalue()


def read(path: Path, content: str | bytes, forms: LocalForms = NOTHING_SAID) -> FileRead:
    """Read a file with this content; raises InputError for what is refused as a whole."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    refused: list[tuple[int, Refused]] = []
    items: list[dict[str, str]] = []
    with Source(str(path)) as source:
        for batch in recognise(source).batches(lambda line, why: refused.append((line, why)), forms):
            items += [{name: text for name, text in row.items() if text} for row in batch_rows(batch)]
        return FileRead(items, {sort: count for sort, count in source.left_out.items() if count}, refused)


def everywhere(content: str | bytes) -> Sequence[bytes]:
    """The content plain, and packed."""
    data = content.encode() if isinstance(content, str) else content
    return data, gzip.compress(data, mtime=0)
