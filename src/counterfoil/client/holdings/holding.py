"""What is held below a folder, and whether it is still what its receipts say.

A folder without a receipt holds nothing, or a pull that was not finished. Verifying makes no calls: sizes, hashes,
line counts and exact sums are computed again from the files alone, and compared with the receipt beside them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
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
    """A folder with a pull. `receipt` is None where none was finished, `told` then says why."""

    folder: Path
    receipt: Receipt | None
    unfinished: bool = False  # a pull was begun there, and can be gone on with
    told: str = ""

    @property
    def what(self) -> str:
        """The invoice, or the month and currency, as far as it is known."""
        request = self.receipt.request if self.receipt else {}
        month = request.get("month", request.get("billingPeriod", ""))
        return request.get("invoiceId") or f"{month} {request.get('currencyCode', '')}".strip()


@dataclass(slots=True)
class Verdict:
    """What verifying one holding found: nothing, if all is as the receipt says."""

    holding: Holding
    files: int = 0
    line_items: int = 0
    faults: list[str] = field(default_factory=list)


def holding_at(folder: Path) -> Holding | None:
    """Return what a folder holds, or None if it is not a pull's."""
    begun = (folder / STAGING / UNFINISHED_NAME).exists()
    try:
        receipt = Receipt.read(folder)
    except UsageError as error:
        return Holding(folder, None, begun, error.message)
    begun = begun or (receipt is None and (folder / FILE_NAME).exists())
    if receipt is None and not begun:
        return None
    return Holding(folder, receipt, begun)


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
        if (holding := holding_at(Path(path))) is not None:
            yield holding
        elif data:
            yield Holding(Path(path), None, told=f"{data[0]} is there without a receipt")
    for error in closed:
        folder = Path(str(error.filename))
        yield Holding(folder, None, told=f"{folder} cannot be read: {error.strerror}")


def flaw_of(holding: Holding, tenant: str = "", *, read: bool = False) -> str:
    """Return what keeps a pull from counting as held, '' if nothing does.

    Without `read` it is a quick look at the files' sizes. `tenant` is whose data it should be, where that is known.
    """
    receipt = holding.receipt
    if receipt is None:
        return holding.told
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


def verify(holding: Holding, tenant: str = "", advance: Callable[[int], None] = lambda _: None) -> Verdict:
    """Compute everything again from the files, and hold it against the receipt; and it against the `tenant`, if any."""
    verdict = Verdict(holding)
    receipt = holding.receipt
    if holding.unfinished:
        verdict.faults += _staged_faults(holding.folder)
    if receipt is None:
        verdict.faults += [holding.told] if holding.told else []
        return verdict
    if flaw := partner_flaw(receipt, tenant):
        verdict.faults.append(flaw)
    tally = Totals()
    for file in receipt.files:
        verdict.files += 1
        verdict.faults += _file_faults(holding.folder, file, receipt, tally, advance)
    verdict.line_items = tally.line_items
    verdict.faults += _own_faults(receipt)
    named = {file.name for file in receipt.files}
    verdict.faults += [
        f"{each.name} is there, and the receipt does not name it"
        for each in sorted(holding.folder.iterdir())
        if each.name.endswith(DATA_SUFFIXES) and each.name not in named
    ]
    if receipt.format in COUNTED and not verdict.faults:
        verdict.faults += _sum_faults(receipt, tally)
    return verdict


def _staged_faults(folder: Path) -> list[str]:
    try:
        return list(staged_faults(folder / STAGING))
    except OSError as error:
        return [f"the unfinished pull cannot be read: {error.strerror}"]


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
