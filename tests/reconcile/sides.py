"""Line items to sum and audit, made by hand, and the files and folders that hold them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from counterfoil.columns import table_of
from counterfoil.disk.hashing import measured
from counterfoil.line_items.lake import batch_to_lake, text_schema
from counterfoil.model import Kind
from tests.client.folders import seal

PARTNER = "0e195b37-4574-4539-bc42-0e539b9684c0"
OTHER_PARTNER = "7d1f2a33-91d2-4c0e-8a55-0e6a5a1c1111"
INVOICE = "G016907411"
Item = Mapping[str, str]


def usage(amount: str = "1.50", **more: str) -> dict[str, str]:
    return {
        "PartnerId": PARTNER,
        "CustomerId": "c1",
        "CustomerName": "Contoso",
        "SubscriptionId": "s1",
        "ProductId": "p1",
        "SkuId": "0001",
        "UsageDate": "2026-10-05T00:00:00Z",
        "BillingPreTaxTotal": amount,
        "BillingCurrency": "EUR",
    } | more


def licence(subtotal: str = "465.25", tax: str = "88.40", total: str = "553.65", **more: str) -> dict[str, str]:
    return {
        "PartnerId": PARTNER,
        "CustomerId": "c1",
        "CustomerName": "Contoso",
        "SubscriptionId": "s1",
        "ProductId": "p1",
        "SkuId": "0001",
        "ChargeType": "new",
        "ChargeStartDate": "2026-10-01T00:00:00Z",
        "Subtotal": subtotal,
        "TaxTotal": tax,
        "Total": total,
        "Currency": "EUR",
        "UnitType": "Licenses",
    } | more


def line(item: Item) -> str:
    """A line item as JSON, its numbers digit for digit."""
    kind = Kind.USAGE if "UsageDate" in item else Kind.RECONCILIATION
    numbers = {column.name for column in table_of(kind).columns if column.type.value == "number"}
    members = (f"{json.dumps(name)}:{value if name in numbers else json.dumps(value)}" for name, value in item.items())
    return "{" + ",".join(members) + "}"


def lines_file(path: Path, items: Iterable[Item]) -> Path:
    text = "".join(line(item) + "\n" for item in items)
    path.write_bytes(gzip.compress(text.encode()) if path.name.endswith(".gz") else text.encode())
    return path


def csv_file(path: Path, items: Iterable[Item], delimiter: str = ",") -> Path:
    listed = list(items)
    rows = [list(listed[0]), *([item[name] for name in listed[0]] for item in listed)]
    path.write_text("\ufeff" + "".join(delimiter.join(row) + "\r\n" for row in rows), encoding="utf-8", newline="")
    return path


def lake_file(path: Path, items: Iterable[Item], kind: Kind) -> Path:
    schema = text_schema(kind)
    batch, _ = batch_to_lake(kind, pa.RecordBatch.from_pylist([dict(item) for item in items], schema=schema))
    pq.write_table(pa.Table.from_batches([batch]), path)
    return path


def pull_folder(folder: Path, items: Iterable[Item], kind: Kind, *, form: str = "blobs", **request: str) -> Path:
    """A folder as a pull of an invoice leaves it."""
    folder.mkdir()
    listed = list(items)
    name = {"blobs": "part-0.json.gz", "parquet": "part-0.parquet", "csv": f"{kind}.csv", "xlsx": f"{kind}.xlsx"}[form]
    make: Any = {"blobs": lines_file, "csv": csv_file, "xlsx": lines_file}.get(form)
    path = make(folder / name, listed) if make else lake_file(folder / name, listed, kind)
    size_bytes, sha256 = measured(path)
    file = {"name": name, "sizeBytes": size_bytes, "sha256": sha256, "lineItems": len(listed)}
    table, now = table_of(kind), datetime(2026, 11, 20, tzinfo=UTC).isoformat()
    what = {"invoiceId": INVOICE} | request
    currencies = sorted({item[table.currency] for item in listed})
    receipt = {
        "version": 2,
        "source": "https://graph.example",
        "api": "graph",
        "request": {"kind": kind.value, "attributeSet": "full"} | (request if "month" in request else what),
        "operation": "o",
        "eTag": "e",
        "startedAt": now,
        "finishedAt": now,
        "format": form,
        "lineItems": len(listed),
        "totals": {code: dict.fromkeys(table.totals, "1") for code in currencies},
        "proof": "proven",
        "checked": [],
        "unchecked": [],
        "blobs": [],
        "files": [file],
        "requestIds": [],
        "inexact": {},
        "notes": [],
        "partnerTenantId": PARTNER,
    }
    seal(folder, receipt)
    return folder
