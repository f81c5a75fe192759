"""What is held below a folder, and whether it looks like what its receipts say.

A folder without a receipt holds nothing, or a pull that was not finished.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from counterfoil.client.pull_folder.contents import DATA_SUFFIXES, FORMER_SUFFIX, STAGING, UNFINISHED
from counterfoil.client.receipt import FILE_NAME, Receipt
from counterfoil.errors import UsageError
from counterfoil.model import tenant_id


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
    begun = (folder / STAGING / UNFINISHED).exists()
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
        folders[:] = sorted(name for name in folders if not name.startswith(".") and not name.endswith(FORMER_SUFFIX))
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
