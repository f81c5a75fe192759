"""Making line items for tests, publishing them, and reading back what was stored - strictly, number texts kept."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from counterfoil.columns import EXTRA, LineItemTable, table_of
from counterfoil.datasets import digest
from counterfoil.datasets.batch import Batch, names_of
from counterfoil.datasets.blob_parts import BlobPart, renderings_of, write_part
from counterfoil.datasets.check import Assertions
from counterfoil.datasets.coded import Coder
from counterfoil.datasets.data_folder import DataFolder
from counterfoil.datasets.dictionary import groups_of
from counterfoil.datasets.gathering import Input
from counterfoil.datasets.order import Ordered
from counterfoil.datasets.publication_receipt import PublicationReceipt
from counterfoil.datasets.publishing import publish
from counterfoil.datasets.safeguards import Safeguards
from counterfoil.datasets.sizes import STANDARD_SIZES, Sizes
from counterfoil.datasets.value_spans import ValueSpans
from counterfoil.line_items.lake import text_name
from counterfoil.model import WHOLE, Dataset, Kind, Rendering
from counterfoil.periods import BillingPeriod
from counterfoil.storage.catalog_rows import NewFile, Revision
from counterfoil.storage.store import Publication, Store
from counterfoil.storage.v1_blocks import BlockFile

PARTNER = "0e195b37-4574-4539-bc42-0e539b9684c0"
OTHER = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
INVOICE = "G016907411"
PERIOD = BillingPeriod(2026, 11)
UNBILLED = Assertions(period=PERIOD)
ALLOWING = Safeguards(allow_copies=True, follows=True)

_LEAST: dict[Kind, dict[str, str]] = {
    Kind.RECONCILIATION: {
        "PartnerId": f'"{PARTNER}"',
        "CustomerId": '"c1"',
        "SubscriptionId": '"s1"',
        "ChargeStartDate": '"2026-11-01T00:00:00Z"',
        "Subtotal": "10.10",
        "TaxTotal": "0",
        "Total": "10.10",
        "Currency": '"EUR"',
    },
    Kind.USAGE: {
        "PartnerId": f'"{PARTNER}"',
        "CustomerId": '"c1"',
        "SubscriptionId": '"s1"',
        "UsageDate": '"2026-11-01T00:00:00Z"',
        "BillingPreTaxTotal": "0.1999968000511991808131",
        "BillingCurrency": '"EUR"',
    },
}


def batch_of(table: LineItemTable, items: list[dict[str, str]]) -> Batch:
    """Return line items, given as stored texts by column name, as a batch."""
    arrays = [pa.array([item.get(name) for item in items], pa.string()) for name in names_of(table)]
    return Batch(table, ValueSpans.of_columns(arrays), np.arange(len(items)))


def batch_rows(batch: Batch) -> list[dict[str, str]]:
    """The stored texts of a batch's line items, by column; what is null is left out."""
    names = names_of(batch.table)
    return rows(pa.table(batch.items.columns(range(len(names))), names))


def as_they_came(batch: Batch) -> Ordered:
    """The line items of a batch, coded, in no other order."""
    coder = Coder(groups_of(batch.table.columns))
    codes, _ = coder.code(batch.items)
    coder.add(codes, digest.digests_of(batch.table, batch.items))
    return Ordered(coder, np.arange(len(batch)))


def write_files(
    store: Store, publication: Publication, dataset: Dataset, items: Ordered, sizes: Sizes = STANDARD_SIZES
) -> list[NewFile]:
    """Write the only part of a segment."""
    renderings = (Rendering.LAKE, *renderings_of(dataset.scope))
    paths = {rendering: publication.place(dataset, WHOLE, rendering) for rendering in renderings}
    part = BlobPart(0, table_of(dataset.kind), items, store.files, paths, sizes)
    return write_part(part, lambda _: None).files


class Number(str):
    """A JSON number as the text that stood there, and equal to no other text and no string."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Number) and str.__eq__(self, other)

    def __hash__(self) -> int:
        return hash(("number", str(self)))

    def __repr__(self) -> str:
        return f"<{self!s}>"


def strict(text: str | bytes) -> Any:
    """Parse JSON: no key twice, no NaN, and every number kept as its text."""

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(found)) == len(found), f"a key is given twice: {found}"
        return dict(found)

    def constant(name: str) -> Any:
        raise AssertionError(name)

    return json.loads(text, object_pairs_hook=pairs, parse_int=Number, parse_float=Number, parse_constant=constant)


def raw_line(kind: Kind, values: Mapping[str, str | None] | None = None) -> str:
    """A line item as JSON text. `values` are raw JSON by key; they come last, and None leaves a key out."""
    members = _LEAST[kind] | {name: raw for name, raw in (values or {}).items() if raw is not None}
    for name, raw in (values or {}).items():
        if raw is None:
            members.pop(name, None)
    return "{" + ",".join(f'"{name}":{raw}' for name, raw in members.items()) + "}"


def raw_lines(kind: Kind, *each: Mapping[str, str | None]) -> bytes:
    """JSON lines, one for each mapping."""
    return "".join(raw_line(kind, values) + "\n" for values in each).encode("utf-8", "surrogatepass")


def amounts(kind: Kind, *texts: str) -> bytes:
    """JSON lines that differ in their amounts only."""
    name = "Subtotal" if kind is Kind.RECONCILIATION else "BillingPreTaxTotal"
    return raw_lines(kind, *({name: text} for text in texts))


def billed(kind: Kind, *texts: str, invoice: str = INVOICE) -> bytes:
    """JSON lines of an invoice that differ in their amounts only."""
    name = "Subtotal" if kind is Kind.RECONCILIATION else "BillingPreTaxTotal"
    return raw_lines(kind, *({name: text, "InvoiceNumber": f'"{invoice}"'} for text in texts))


def write(path: Path, content: bytes) -> str:
    """Write a file and return its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, mtime=0) if path.name.endswith(".gz") else content)
    return str(path)


def publish_bytes(
    data_folder: DataFolder,
    path: Path,
    content: bytes,
    asserted: Assertions = UNBILLED,
    segment: str = "whole",
    **options: Any,
) -> PublicationReceipt:
    """Write `content` to `path`, publish it whatever it replaces or repeats, and return the only receipt."""
    given = [Input(write(path, content), asserted, segment)]
    [receipt] = publish(data_folder, given, **{"safeguards": ALLOWING, **options})
    return receipt


def in_force(receipt: PublicationReceipt) -> Revision:
    """The revision that a receipt names."""
    assert receipt.revision is not None
    return receipt.revision


def paths(data_folder: DataFolder, revision: Revision, rendering: Rendering) -> list[Path]:
    """The files of a rendering, in order."""
    root = data_folder.store.scratch.parent / "files"
    return [root / file.path for file in data_folder.catalog.files(revision.id, rendering)]


def blocks_of(path: Path) -> BlockFile:
    """A v1 file, read."""
    content = path.read_bytes()
    return BlockFile(path.name, len(content), lambda offset, length: content[offset : offset + length])


def unpacked(path: Path) -> bytes:
    """What a stored file holds: of a v1 file the JSON, since no two compressions need give the same bytes."""
    if path.suffix != ".v1":
        return path.read_bytes()
    blocks = blocks_of(path)
    return b"\n".join(blocks.json(block) for block in blocks.blocks)


def blob_lines(data_folder: DataFolder, revision: Revision, rendering: Rendering = Rendering.GRAPH_FULL) -> list[bytes]:
    """All lines of all blobs, without their newlines."""
    found: list[bytes] = []
    for path in paths(data_folder, revision, rendering):
        content = gzip.decompress(path.read_bytes())
        assert content.endswith(b"\n")
        found += content[:-1].split(b"\n")
    return found


def blob_items(data_folder: DataFolder, revision: Revision, rendering: Rendering = Rendering.GRAPH_FULL) -> list[Any]:
    """All line items of all blobs, parsed strictly."""
    return [strict(line) for line in blob_lines(data_folder, revision, rendering)]


def v1_items(data_folder: DataFolder, revision: Revision) -> list[Any]:
    """All line items of the v1 files, parsed strictly; their lengths checked."""
    found: list[Any] = []
    for path in paths(data_folder, revision, Rendering.V1):
        blocks = blocks_of(path)
        for block in blocks.blocks:
            text, position = blocks.json(block), 0
            for length in blocks.item_lengths(block):
                found.append(strict(text[position : position + length]))
                position += length + 1
            assert strict(b"[" + text + b"]") == found[-block.items :]
    return found


def credits_of(data_folder: DataFolder, revision: Revision) -> list[bool]:
    """For each v1 item: whether partner earned credit applies."""
    found: list[bool] = []
    for path in paths(data_folder, revision, Rendering.V1):
        for block in blocks_of(path).blocks:
            found += [bool(block.credit >> n & 1) for n in range(block.items)]
    return found


def lake_items(data_folder: DataFolder, revision: Revision) -> list[dict[str, str]]:
    """The stored texts of every line item in order, by column; what is null is left out."""
    kind = revision.dataset.kind
    names = {text_name(column): column.name for column in table_of(kind).columns} | {EXTRA: EXTRA}
    found: list[dict[str, str]] = []
    for path in paths(data_folder, revision, Rendering.LAKE):
        table = pq.read_table(path, columns=list(names))
        found += rows(table.rename_columns([names[name] for name in table.column_names]))
    return found


def rows(table: pa.Table) -> list[dict[str, str]]:
    """The rows of a table of texts; what is null is left out."""
    return [{name: text for name, text in row.items() if text is not None} for row in table.to_pylist()]


def folder_of(data: Path, below: str = "files") -> dict[str, bytes]:
    """Every file of line items in a data folder, by its relative path."""
    root = data / below
    found = (path for name in ("lake", "graph", "v1") for path in (root / name).rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in found}


def listed(data_folder: DataFolder) -> set[str]:
    """Every stored path the catalog knows."""
    return {file.path for file in data_folder.catalog.all_files()}
