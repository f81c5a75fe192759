"""A mirror: what was pulled from a source becomes a revision in a local data folder, and can be served from there.

Publishing is what it always is, so doing it again changes nothing, a new state of the source becomes a new revision,
and the old one stays. What a newcomer would get wrong: files may have been touched since they were proven. They are
compared with the receipt first, and what is in force afterwards must have the receipt's totals.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec

from counterfoil.cli.data_folder import opened, progress_of
from counterfoil.cli.output import Output, counted
from counterfoil.client import Form, Proof, Receipt
from counterfoil.datasets.check import Assertions
from counterfoil.datasets.publish import Input, publish
from counterfoil.datasets.publish import Receipt as Published
from counterfoil.datasets.sweep import sweep
from counterfoil.errors import CounterfoilError, DamagedError, UsageError
from counterfoil.lake_files import LakeReader
from counterfoil.model import ETAG_LENGTH, Kind
from counterfoil.periods import BillingPeriod
from counterfoil.settings import Settings

_ROWS_AT_ONCE: Final = 10_000


def publish_pulled(receipt: Receipt, folder: Path, settings: Settings, output: Output) -> None:
    """Publish the line items of a pull in the data folder of the settings.

    Raises DamagedError if the files are not those of the receipt, UsageError for a workbook, and what publishing
    raises.
    """
    if receipt.format == Form.XLSX:
        raise UsageError(
            "A workbook cannot be published: Excel keeps 15 digits.", remedy="Pull with --format blobs or parquet."
        )
    if not receipt.line_items:
        output.note("The source has no such line items, so there is nothing to publish.")
        return
    check_files(receipt, folder)
    kind = Kind(receipt.request["kind"])
    with _as_lines(receipt, folder, kind) as paths:
        asserted = _assertions(receipt, kind, paths[0])
        inputs = [Input(str(path), asserted) for path in paths]
        with progress_of(output) as report, opened(settings, create=True, progress=report) as workshop:
            [published] = publish(workshop, inputs)
            _check_totals(receipt, published)
            if published.changed:
                try:
                    sweep(workshop.store, workshop.now())
                except CounterfoilError as error:  # it is published by now, whatever becomes of this
                    output.warning(f"Old files were not swept: {error} `counterfoil sweep` does it later.")
    _tell(receipt, published, output)


def check_files(receipt: Receipt, folder: Path) -> None:
    """Raise DamagedError if a file of the pull is not what its receipt says."""
    for file in receipt.files:
        path = folder / file.name
        try:
            with path.open("rb") as opened:
                sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
        except OSError as error:
            raise DamagedError(f"{path} cannot be read: {error.strerror}.", remedy="Pull it again.") from None
        if sha256 != file.sha256:
            raise DamagedError(f"{path} is not the file of its receipt any more.", remedy="Pull it again.")


def _assertions(receipt: Receipt, kind: Kind, first: Path) -> Assertions:
    """Return what the pull knows of its line items: the line items themselves do not tell their month."""
    # A distributor's reseller pulls line items that bear the distributor's id, and they are the reseller's own. Where
    # nobody told whose they are, their PartnerId has to.
    issuer = _issuer(first, receipt.format) if receipt.partner else ""
    request = receipt.request
    if "invoiceId" in request:
        return Assertions(receipt.partner, issuer, kind, invoice=request["invoiceId"])
    month = BillingPeriod.parse(request["month"])
    return Assertions(receipt.partner, issuer, kind, period=month, currency=request["currencyCode"])


def _issuer(path: Path, form: str) -> str:
    """Return the PartnerId of the first line item; '' where there is none."""
    if form == Form.CSV:
        with path.open(encoding="utf-8-sig", newline="") as rows:
            return next(csv.DictReader(rows), {}).get("PartnerId", "")
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        for line in file:
            if line.strip(b"\xef\xbb\xbf\r\n "):
                item = json.loads(line.decode("utf-8-sig"))
                return str(next((value for name, value in item.items() if name.lower() == "partnerid"), ""))
    return ""


@contextmanager
def _as_lines(receipt: Receipt, folder: Path, kind: Kind) -> Iterator[list[Path]]:
    """Yield the files as publishing reads them: Parquet is none of its inputs."""
    paths = [folder / file.name for file in receipt.files]
    if receipt.format != Form.PARQUET:
        yield paths
        return
    with tempfile.TemporaryDirectory(prefix="publishing-", dir=folder) as made:
        lines = Path(made) / "line-items.jsonl"
        with lines.open("wb") as file:
            for path in paths:
                for piece in _lines_of(path, kind):
                    file.write(piece)
        yield [lines]


def _lines_of(path: Path, kind: Kind) -> Iterator[bytes]:
    """Yield JSON lines of a lake file. A number in quotes is read as that number, digit for digit."""
    encoder = msgspec.json.Encoder()
    with LakeReader(path, kind) as lake:
        names = [column.name for column in lake.columns]
        for batch in lake.batches(line_items=_ROWS_AT_ONCE):
            *texts, extras = (column.to_pylist() for column in batch.columns)
            items = []
            for values, extra in zip(zip(*texts, strict=True), extras, strict=True):
                item: dict[str, object] = {
                    name: value for name, value in zip(names, values, strict=True) if value is not None
                }
                if extra:
                    item |= msgspec.json.decode(extra, type=dict[str, msgspec.Raw])
                items.append(item)
            yield encoder.encode_lines(items)


def _check_totals(receipt: Receipt, published: Published) -> None:
    contents = published.contents
    pulled = {name: Decimal(text) for name, text in receipt.totals.get(contents.currency, {}).items()}
    found = {name: Decimal(text) for name, text in contents.plain_totals().items()}
    if contents.line_items != receipt.line_items or pulled != {name: found.get(name) for name in pulled}:
        raise DamagedError(
            f"{published.dataset} was published with {contents.line_items:,} line items and {contents.plain_totals()}, "
            f"and {receipt.line_items:,} with {dict(receipt.totals)} were pulled.",
            remedy="`counterfoil withdraw` or `restore` takes it out of force.",
        )


def _tell(receipt: Receipt, published: Published, output: Output) -> None:
    assert published.revision is not None
    what = f"{published.dataset}: {counted(published.contents.line_items, 'line item')}"
    if published.changed:
        output.note(f"Published {what}, revision {published.revision.id}, eTag {published.etag}.")
    else:
        output.note(f"{what} were in force already; nothing was changed. eTag {published.etag}.")
    comparable = receipt.proof is Proof.PROVEN and len(receipt.etag) == ETAG_LENGTH  # Microsoft's say nothing
    if comparable and receipt.etag != published.etag:
        output.warning(
            f"The source's eTag is {receipt.etag}: it holds attributes that this pull did not bring. --api graph with "
            "--attribute-set full brings the most."
        )
