"""Whether what is held still is what its receipt says, to the last byte.

Nobody is asked: sizes, hashes, line counts and exact sums are computed again from the files alone, and compared with
the receipt beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa

from counterfoil.client.holdings.counting import COUNTED, summed_columns
from counterfoil.client.holdings.holding import Holding, partner_flaw
from counterfoil.client.output_files.output_formats import Format
from counterfoil.client.pull_folder.contents import DATA_SUFFIXES, STAGING
from counterfoil.client.pull_folder.inspection import staged_faults
from counterfoil.client.pull_folder.verified_blobs import parquet_name
from counterfoil.client.receipt import Receipt, ReceiptFile, format_of
from counterfoil.errors import ProofError
from counterfoil.line_items.totals import Totals
from counterfoil.model import Kind


def verify(holding: Holding, tenant: str = "", advance: Callable[[int], None] = lambda _: None) -> list[str]:
    """Compute everything again from the files, and return what is not as the receipt says.

    `tenant` is whose data it should be, if that is known. `advance` is given the number of line items that were
    counted since its last call.
    """
    faults: list[str] = []
    receipt = holding.receipt
    if holding.unfinished:
        try:
            faults += staged_faults(holding.folder / STAGING)
        except OSError as error:
            faults.append(f"the unfinished pull cannot be read: {error.strerror}")
    if receipt is None:
        return [*faults, holding.flaw] if holding.flaw else faults
    if flaw := partner_flaw(receipt, tenant):
        faults.append(flaw)
    tallies = {each: Totals() for each in receipt.formats}
    for file in receipt.files:
        tally = tallies.setdefault(format_of(file.name), Totals())
        faults += _file_faults(holding.folder, file, receipt, tally, advance)
    faults += _own_faults(receipt)
    named = {file.name for file in receipt.files}
    faults += [
        f"{each.name} is there, and the receipt does not name it"
        for each in sorted(holding.folder.iterdir())
        if each.name.endswith(DATA_SUFFIXES) and each.name not in named
    ]
    for counted, tally in tallies.items():
        if counted in COUNTED and not faults:
            faults += _sum_faults(receipt, tally)
    return faults


def _file_faults(
    folder: Path, file: ReceiptFile, receipt: Receipt, tally: Totals, advance: Callable[[int], None]
) -> Iterator[str]:
    if not file.name or Path(file.name).name != file.name:
        yield f"the receipt names {file.name!r}, which is not a file beside it"
        return
    if different := file.difference(folder):
        yield different
        return
    if format_of(file.name) not in COUNTED:
        return
    kind = Kind(receipt.request["kind"])
    before = tally.line_items
    try:
        for batch in summed_columns(folder / file.name, kind):
            tally.add_batch(kind, batch)
            advance(batch.num_rows)
    except ArithmeticError:
        yield f"{file.name} has an amount that is not a number"
        return
    except (OSError, ValueError, ProofError, pa.ArrowException) as error:
        yield f"{file.name} cannot be read: {getattr(error, 'message', error)}"
        return
    if tally.line_items - before != file.line_items:
        counted = tally.line_items - before
        yield f"{file.name} has {counted:,} line items, and the receipt says {file.line_items:,}"


def _own_faults(receipt: Receipt) -> Iterator[str]:
    """Yield where a receipt contradicts itself; that shows for every format."""
    by_format = dict.fromkeys(receipt.formats, 0) | receipt.line_items_by_format()
    sums = [("files", added) for added in by_format.values()]
    if receipt.blobs:  # pages are not blobs
        sums.append(("blobs", sum(blob.line_items for blob in receipt.blobs)))
    for what, added in sums:
        if added != receipt.line_items:
            yield f"the receipt says {receipt.line_items:,} line items, and {added:,} of its {what} together"
    for each in (Format.BLOBS, Format.PARQUET):
        if receipt.blobs and each in receipt.formats:
            yield from _blob_faults(receipt, is_parquet=each is Format.PARQUET)


def _blob_faults(receipt: Receipt, *, is_parquet: bool) -> Iterator[str]:
    wanted = Format.PARQUET if is_parquet else Format.BLOBS
    files = {file.name: file for file in receipt.files_in(wanted)}
    for blob in receipt.blobs:
        file = files.pop(parquet_name(blob.name) if is_parquet else blob.name, None)
        if file is None or file.line_items != blob.line_items or not (is_parquet or file == blob):
            yield f"the receipt has the blob {blob.name}, and none of its files is that"
    yield from (f"the receipt has the file {name}, and none of its blobs became that" for name in files)


def _sum_faults(receipt: Receipt, tally: Totals) -> Iterator[str]:
    if tally.line_items != receipt.line_items:
        yield f"there are {tally.line_items:,} line items, and the receipt says {receipt.line_items:,}"
    promised = Totals.of(receipt.line_items, receipt.totals)
    for currency in sorted({*tally.totals, *promised.totals}):
        mine, theirs = tally.totals.get(currency, {}), promised.totals.get(currency, {})
        for column in sorted({*mine, *theirs}):
            if mine.get(column) != theirs.get(column):
                text = receipt.totals.get(currency, {}).get(column, "nothing")
                yield f"the exact sum of {column} in {currency} is {mine.get(column)}, and the receipt says {text}"
