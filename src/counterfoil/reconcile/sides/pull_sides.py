"""The folder of a pull as a side: only of a pull that was finished, and whose files are what its receipt says.

Microsoft promises less than can be proven (a pull of its data is `transport-checked`), so that is enough here; the
report says which it is. A workbook keeps 15 digits of a number, so its pull is no side.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa

from counterfoil.client.holdings.holding import holding_at
from counterfoil.client.output_files.output_formats import Format
from counterfoil.client.output_files.pull_files import batches_of
from counterfoil.client.receipt import Receipt, ReceiptFile, format_of
from counterfoil.columns import table_of
from counterfoil.errors import CounterfoilError, ProofError, SideError
from counterfoil.line_items.lake_files import LakeReader
from counterfoil.line_items.line_reader import LineReader
from counterfoil.model import Kind, Scope
from counterfoil.periods import BillingPeriod
from counterfoil.reconcile.sides.csv_lines import csv_batches
from counterfoil.reconcile.sides.side import Side, SidePart, Wants

_LINE_ITEMS_AT_ONCE: Final = 100_000
_READ_FIRST: Final = (Format.PARQUET.value, Format.BLOBS.value, Format.CSV.value)  # of a pull in several formats
_PULL_AGAIN: Final = "Move the folder away, and pull again."


def pull_side(folder: Path, name: str) -> Side:
    """Return what a pull brought, as a side; raises SideError for a folder that holds no finished pull."""
    holding = holding_at(folder)
    receipt = holding.receipt
    if receipt is None:
        if holding.flaw:
            raise SideError(f"{name} is damaged: {holding.flaw}", remedy=_PULL_AGAIN)
        if holding.unfinished:
            raise SideError(
                f"{name} holds a pull that was not finished, so nothing in it is proven.",
                remedy="Run the same pull again; it goes on where it stopped.",
            )
        raise SideError(
            f"{name} is a folder without the receipt of a pull.",
            remedy="Name the folder that holds receipt.json, or a file.",
        )
    chosen = next((each for each in _READ_FIRST if each in receipt.formats), None)
    if chosen is None:
        raise SideError(
            f"{name} is the pull of a workbook, whose numbers have 15 digits only.",
            remedy="Pull it again in a form that keeps every digit, such as parquet.",
            parameter="format=parquet",
        )
    kind = Kind(receipt.request["kind"])
    currencies = [code for code in receipt.totals if code]

    def batches(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        for file in receipt.files_in(chosen):
            yield from _batches(folder, file, kind, names, name)

    parts = (_part(folder, receipt.files_in(chosen), kind, name),) if chosen == Format.PARQUET.value else ()
    return Side(
        name=name,
        what=f"{kind} {holding.what}, pulled {receipt.finished_at[:10]}",
        origin="pull",
        kind=kind,
        batches=batches,
        proof=receipt.proof.value,
        etag=receipt.etag,
        scope=_scope(receipt),
        partner=receipt.partner.lower(),
        currency=currencies[0].upper() if len(currencies) == len(receipt.totals) == 1 else "",
        attributes=_attributes(receipt, kind),
        parts=parts,
    )


def _scope(receipt: Receipt) -> Scope | None:
    request = receipt.request
    try:
        if "invoiceId" in request:
            return Scope.billed(request["invoiceId"])
        return Scope.unbilled(BillingPeriod.parse(request["month"]), request["currencyCode"])
    except (CounterfoilError, KeyError):  # another source may name its invoices in ways that nothing is published under
        return None


def _attributes(receipt: Receipt, kind: Kind) -> frozenset[str] | None:
    if receipt.request.get("attributeSet") != "basic":
        return None
    return frozenset(column.name for column in table_of(kind).columns if column.basic)


def _part(folder: Path, files: Iterable[ReceiptFile], kind: Kind, side: str) -> SidePart:
    """Return all Parquet files as one part: a source that exports in order has them in order, one after the other."""
    listed = list(files)

    def stretches(
        names: Sequence[str], *, line_items: int, wants: Wants | None = None
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        begin = 0
        for file in listed:
            if wants is None or wants(begin, begin + file.line_items):
                place = begin
                for batch in _batches(folder, file, kind, names, side, line_items=line_items):
                    yield place, batch
                    place += batch.num_rows
            begin += file.line_items

    return SidePart(line_items=sum(file.line_items for file in listed), stretches=stretches)


def _batches(
    folder: Path, file: ReceiptFile, kind: Kind, names: Sequence[str], side: str, line_items: int = _LINE_ITEMS_AT_ONCE
) -> Iterator[pa.RecordBatch]:
    """Yield the line items of a file whose bytes are those of the receipt; raises SideError for any other."""
    path = folder / file.name
    if Path(file.name).name != file.name:
        raise SideError(f"{side} is damaged: its receipt names {file.name!r}, which is no file of it.")
    if different := file.difference(folder):
        raise SideError(f"{side} is damaged: {different}.", remedy=_PULL_AGAIN)
    try:
        if format_of(file.name) == Format.CSV:
            yield from csv_batches(path, str(path), kind, names)
        elif format_of(file.name) == Format.PARQUET:
            with LakeReader(path, kind) as lake:
                yield from lake.batches(names, line_items=line_items)
        else:
            for batch in batches_of(path, file.name, LineReader(kind), coded=True):
                yield batch.select(list(names))
    except (OSError, ValueError, ProofError, pa.ArrowException) as error:
        raise SideError(f"{side} is damaged: {file.name} cannot be read: {error}", remedy=_PULL_AGAIN) from error
