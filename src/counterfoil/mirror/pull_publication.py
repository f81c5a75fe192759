"""Publishing a pull. Publishing it again changes nothing; a new state of the source becomes a new revision.

Files may have been changed since they were proven. They are compared with the receipt first, and what is in force
afterwards must have the receipt's totals.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from counterfoil.client import Proof, Receipt
from counterfoil.datasets.check import Assertions, first_text
from counterfoil.datasets.data_folder import DataFolder
from counterfoil.datasets.gathering import Input
from counterfoil.datasets.input_formats import recognise
from counterfoil.datasets.publication_receipt import PublicationReceipt
from counterfoil.datasets.publishing import publish
from counterfoil.datasets.safeguards import FOLLOWING
from counterfoil.datasets.source import Source
from counterfoil.errors import CounterfoilError, DamagedError, UsageError
from counterfoil.model import Kind
from counterfoil.periods import BillingPeriod


def publish_pull(data_folder: DataFolder, receipt: Receipt, folder: Path) -> PublicationReceipt | None:
    """Publish the line items of the pull in `folder`; returns None if it has none.

    Raises DamagedError if the files are not those of the receipt, UsageError for a workbook, and what publishing
    raises.
    """
    if not receipt.exact_formats:
        raise UsageError(
            "A workbook cannot be published: Excel keeps 15 digits.",
            remedy="Pull as blobs or parquet.",
            parameter="format",
        )
    if not receipt.line_items:
        return None
    check_files(receipt, folder)
    [published] = publish(data_folder, _inputs_of(receipt, folder), safeguards=FOLLOWING)
    _check_totals(receipt, published)
    return published


def pulled_inputs(folder: Path) -> list[Input] | None:
    """Return the line item files that a pull left in `folder`; None where there is no receipt of a pull.

    A workbook is none of them. Raises DamagedError if a file is not what the receipt says.
    """
    try:
        receipt = Receipt.read(folder)
    except CounterfoilError:  # not ours, or of a newer version: its folder is like any other
        return None
    if receipt is None:
        return None
    if not receipt.line_items or not receipt.exact_formats:
        return []
    check_files(receipt, folder)
    return _inputs_of(receipt, folder)


def _inputs_of(receipt: Receipt, folder: Path) -> list[Input]:
    paths = [folder / file.name for file in receipt.files_in(receipt.exact_formats[0])]
    asserted = _assertions(receipt, Kind(receipt.request["kind"]), paths[0])
    return [Input(str(path), asserted, as_written=True) for path in paths]


def check_files(receipt: Receipt, folder: Path) -> None:
    """Raise DamagedError if a file of the pull is not what its receipt says."""
    for file in receipt.files:
        if difference := file.difference(folder):
            raise DamagedError(
                f"{folder / file.name} is not the file of its receipt: {difference}.", remedy="Pull it again."
            )


def lacks_attributes(receipt: Receipt, published: PublicationReceipt) -> bool:
    """Whether the source holds attributes that the pull did not bring: the eTags of two Counterfoils differ.

    Other sources have eTags of another length, which say nothing of the contents.
    """
    comparable = receipt.proof is Proof.PROVEN and len(receipt.etag) == len(published.etag)
    return comparable and receipt.etag != published.etag


def _assertions(receipt: Receipt, kind: Kind, first: Path) -> Assertions:
    """Return what the pull knows of its line items: the line items themselves do not say their month."""
    # A distributor's reseller pulls line items with the distributor's id, and they are the reseller's own. Where the
    # partner of a pull is not known, the PartnerId of its line items decides.
    issuer = _issuer(first, kind) if receipt.partner else ""
    request = receipt.request
    if "invoiceId" in request:
        return Assertions(receipt.partner, issuer, kind, invoice=request["invoiceId"])
    month = BillingPeriod.parse(request["month"])
    return Assertions(receipt.partner, issuer, kind, period=month, currency=request["currencyCode"])


def _issuer(path: Path, kind: Kind) -> str:
    """Return the PartnerId of the first line items; '' where they have none."""
    with Source(str(path)) as source:
        batches = recognise(source, kind).batches(lambda *_: None)
        return next((first_text(batch, "PartnerId") for batch in batches if len(batch)), "")


def _check_totals(receipt: Receipt, published: PublicationReceipt) -> None:
    contents = published.contents
    pulled = {name: Decimal(text) for name, text in receipt.totals.get(contents.currency, {}).items()}
    found = {name: Decimal(text) for name, text in contents.plain_totals().items()}
    if contents.line_items != receipt.line_items or pulled != {name: found.get(name) for name in pulled}:
        raise DamagedError(
            f"{published.dataset} was published with {contents.line_items:,} line items and {contents.plain_totals()}, "
            f"and {receipt.line_items:,} with {dict(receipt.totals)} were pulled.",
            remedy="`counterfoil withdraw` or `restore` takes it out of force.",
        )
