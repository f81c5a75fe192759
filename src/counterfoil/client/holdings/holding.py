"""What is held below a folder, and whether it is still what its receipts say.

A folder without a receipt holds nothing, or a pull that was not finished. Verifying makes no calls: sizes, hashes,
line counts and exact sums are computed again from the files alone, and compared with the receipt beside them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from counterfoil.client.holdings.counting import COUNTED, summed_columns
from counterfoil.client.output_files.output_formats import DATA_SUFFIXES
from counterfoil.client.pull_folder.inspection import staged_faults
from counterfoil.client.pull_folder.target import STAGING
from counterfoil.client.pull_folder.unfinished import FILE_NAME as UNFINISHED_NAME
from counterfoil.client.receipt import FILE_NAME, Receipt, ReceiptFile
from counterfoil.errors import ProofError, UsageError
from counterfoil.line_items.totals import Totals
from counterfoil.model import Kind, tenant_id


@dataclass(frozen=True, slots=True)
class Holding:
    """What a folder holds. `flaw` is what keeps it from counting as held, where that is known."""

    folder: Path
    receipt: Receipt | None = None  # of the pull that was finished there
    unfinished: bool = False  # a pull was begun there, and can be resumed
    flaw: str = ""

    @property
    def what(self) -> str:
        """The invoice, or the month and currency, as far as it is known."""
        request = self.receipt.request if self.receipt else {}
        month = request.get("month", request.get("billingPeriod", ""))
        return request.get("invoiceId") or f"{month} {request.get('currencyCode', '')}".strip()


def holding_at(folder: Path) -> Holding:
    """Return what a folder holds: neither a receipt nor an unfinished pull if it is not a pull's."""
    begun = (folder / STAGING / UNFINISHED_NAME).exists()
    try:
        receipt = Receipt.read(folder)
    except UsageError as error:
        return Holding(folder, None, begun, error.message)
    return Holding(folder, receipt, begun or (receipt is None and (folder / FILE_NAME).exists()))


def holdings_below(root: Path, *, ours: bool = False) -> Iterator[Holding]:
    """Yield what is held in a folder and below it, by name; raises UsageError if there is no such folder.

    `ours` is a folder with nothing but pulls: data without a receipt has lost it there. A folder that may not be read
    may hold anything, so it is yielded too.
    """
    if not root.is_dir():
        raise UsageError(f"There is no folder {root}.", remedy="Name the folder of a pull, one above it, or a profile.")
    closed: list[OSError] = []
    for path, folders, files in os.walk(root, onerror=closed.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        data = sorted(name for name in files if ours and name.endswith(DATA_SUFFIXES))
        holding = holding_at(Path(path))
        if holding.receipt or holding.unfinished or holding.flaw:
            yield holding
        elif data:
            yield Holding(Path(path), flaw=f"{data[0]} is there without a receipt")
    for error in closed:
        yield Holding(Path(error.filename), flaw=f"{error.filename} cannot be read: {error.strerror}")


def flaw_of(holding: Holding, tenant: str = "", *, read: bool = False) -> str:
    """Return what keeps a pull from counting as held, '' if nothing does.

    Without `read` it is a quick look at the files' sizes. `tenant` is whose data it should be, where that is known.
    """
    receipt = holding.receipt
    if receipt is None:
        return holding.flaw
    differences = (file.difference(holding.folder, read=read) for file in receipt.files)
    return partner_flaw(receipt, tenant) or next(filter(None, differences), "")


def partner_flaw(receipt: Receipt, tenant: str) -> str:
    """Return whose data it is, if it is another partner's; a tenant that is named by its domain cannot be compared."""
    try:
        wanted = tenant_id(tenant)
    except UsageError:
        return ""
    if receipt.partner.lower() in ("", wanted):
        return ""
    return f"it is the data of the partner {receipt.partner}, and the profile's tenant is {tenant}"


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
    tally = Totals()
    for file in receipt.files:
        faults += _file_faults(holding.folder, file, receipt, tally, advance)
    faults += _own_faults(receipt)
    named = {file.name for file in receipt.files}
    faults += [
        f"{each.name} is there, and the receipt does not name it"
        for each in sorted(holding.folder.iterdir())
        if each.name.endswith(DATA_SUFFIXES) and each.name not in named
    ]
    if receipt.format in COUNTED and not faults:
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
    if receipt.format not in COUNTED:
        return
    kind = Kind(receipt.request["kind"])
    before = tally.line_items
    try:
        for batch in summed_columns(folder / file.name, receipt, kind):
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
    """Yield where a receipt contradicts itself; that shows for every form."""
    for what, parts in (("files", receipt.files), ("blobs", receipt.blobs)):
        added = sum(part.line_items for part in parts)
        walked = what == "blobs" and not parts  # pages are not blobs
        if added != receipt.line_items and not walked:
            yield f"the receipt says {receipt.line_items:,} line items, and {added:,} of its {what} together"


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
