"""Writes the stored folders of version 2: `python -m tests.stored.write_version_2 FOLDER`.

What is in `version-2/` was made by this once and is never made again: later programs must be able to use what this one
wrote. The line items are the same in every run; ids, keys and compressed bytes are not. The secrets in it were made for
it, and open nothing else.
"""

from __future__ import annotations

import gzip
import json
import sys
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from counterfoil.client import Api, Format
from counterfoil.datasets.check import Assertions
from counterfoil.datasets.data_folder import DataFolder
from counterfoil.datasets.gathering import Input
from counterfoil.datasets.publishing import publish
from counterfoil.datasets.restore import withdraw
from counterfoil.datasets.safeguards import Safeguards
from counterfoil.datasets.sizes import Sizes
from counterfoil.datasets.sweep import sweep
from counterfoil.disk.documents import canonical
from counterfoil.errors import SourceError
from counterfoil.generator import generate
from counterfoil.model import Dataset, Rendering
from counterfoil.periods import BillingPeriod
from counterfoil.storage.catalog_rows import Revision
from counterfoil.storage.engines import open_store
from counterfoil.storage.store import Store
from counterfoil.storage.v1_blocks import BlockFile
from tests.stored.stored_folders import (
    INVOICE,
    INVOICED_USAGE,
    LICENCES,
    NOW,
    PARTNER,
    USAGE,
    WITHDRAWN,
    Served,
    ask_for,
    serving,
    texts_of,
)

SIZES: Final = Sizes(part_line_items=8)
Line = Mapping[str, object]
LINE_BREAKS: Final = 'next\u0085line\u2028separator\u2029paragraph \U0001f9fe "quoted" back\\slash'
USAGE_LINE: Final = {
    "PartnerId": PARTNER,
    "CustomerId": "0f0e0d0c-0b0a-4908-8706-050403020100",
    "SubscriptionId": "d5d5d5d5-0000-4000-8000-000000000001",
    "UsageDate": "2026-11-20T00:00:00Z",
    "ProductName": "Storage",
    "BillingCurrency": "EUR",
}
LICENCE_LINE: Final = {
    "PartnerId": PARTNER,
    "CustomerId": "0f0e0d0c-0b0a-4908-8706-050403020100",
    "SubscriptionId": "d5d5d5d5-0000-4000-8000-000000000002",
    "ChargeStartDate": "2026-11-01T00:00:00Z",
    "ChargeType": "Purchase",
}


ALLOWING = Safeguards(replace=True, allow_copies=True)


class Raw(str):
    """A value as JSON has it: a number with all of its digits."""

    __slots__ = ()


def lines(common: Line, *each: Line) -> bytes:
    """Return JSON lines."""
    return b"".join(_line({**common, **values}) + b"\n" for values in each)


def _line(values: Line) -> bytes:
    members = (f"{json.dumps(name)}:{v if isinstance(v, Raw) else json.dumps(v)}" for name, v in values.items())
    return f"{{{','.join(members)}}}".encode()


def usage(*each: Line) -> bytes:
    """Return usage line items, each with an amount of its own or the one of all."""
    return lines({**USAGE_LINE, "BillingPreTaxTotal": Raw("1.50")}, *each)


def licences(*each: Line, currency: str = "EUR") -> bytes:
    """Return reconciliation line items."""
    amounts = {"Subtotal": Raw("10.00"), "TaxTotal": Raw("1.90"), "Total": Raw("11.90"), "Currency": currency}
    return lines({**LICENCE_LINE, **amounts}, *each)


def special_usage() -> bytes:
    """Return one line item for each thing that is easily lost, and three that are equal."""
    copy = {"ResourceGroup": "copies", "Quantity": Raw("24.0")}
    return usage(
        {"SavingsPlanName": "Compute \u00e9", "Zone": Raw("1.50"), "Nested": {"list": [1, None, "x"]}},
        {"savingsplanname": "Compute \u00e9", "Zone": "1.50"},
        {"BillingPreTaxTotal": Raw("0.1999968000511991808131"), "UnitPrice": Raw("0E-20"), "Quantity": Raw("-3")},
        {"UsageDate": "2026-11-20T00:00:00+05:30", "ChargeStartDate": "2026-11-20T00:00:00.1234567Z"},
        {"ResourceGroup": LINE_BREAKS, "Tags": '{"costCentre":"42"}', "MeterName": None, "MeterType": ""},
        {"HasPartnerEarnedCredit": True, "PartnerEarnedCreditPercentage": Raw("15"), "Tier2MpnId": "0012345"},
        *[copy] * 3,
    )


def special_licences() -> bytes:
    """Return reconciliation line items with what only they have."""
    return licences(
        {"ProductQualifiers": '["Trial","Promo"]', "Tier2MpnId": "", "UnitPrice": Raw("10.0000000000000000001")},
        {"ChargeType": "Refund", "Subtotal": Raw("-10.00"), "TaxTotal": Raw("-1.90"), "Total": Raw("-11.90")},
        {"DiscountDetails": "none", "OrderDate": "2026-10-31T23:30:00-02:00", "NewAttribute": {"amount": Raw("1")}},
    )


def at(day: int, hour: int = 9) -> datetime:
    """Return a time of November."""
    return NOW.replace(day=day, hour=hour)


class Writer:
    """Publishes into one store, at times of its own."""

    def __init__(self, store: Store, scratch: Path) -> None:
        self._store = store
        self._scratch = scratch
        self._files = 0
        self.texts: dict[str, dict[str, list[dict[str, str]]]] = {}  # of each revision, by API

    def publish(self, now: datetime, dataset: Dataset, content: bytes, segment: str = "whole") -> None:
        """Publish line items as a segment."""
        self._files += 1
        file = self._scratch / f"input-{self._files}.jsonl"
        file.write_bytes(content)
        period = dataset.scope.period
        asserted = Assertions(
            kind=dataset.kind, invoice=dataset.scope.invoice, period=BillingPeriod.parse(period) if period else None
        )
        [receipt] = publish(
            DataFolder(self._store, lambda: now, sizes=SIZES),
            [Input(str(file), asserted, segment)],
            safeguards=ALLOWING,
        )
        revision = receipt.revision
        assert revision is not None
        v1 = [] if dataset.scope.is_billed else v1_texts(self._store, revision)
        self.texts[revision.id] = {"graph": graph_texts(self._store, revision), "v1": v1}


def write_data(writer: Writer, store: Store) -> dict[str, str]:
    """Publish everything; return the registered client's id and secret."""
    generated = b"".join(generate(USAGE.kind, 9, seed=2, special=True, partner=PARTNER, scope=USAGE.scope))
    writer.publish(at(16), USAGE, generated, "2026-11-19")
    writer.publish(at(16, 10), USAGE, usage({"ProductName": "Superseded"}), "2026-11-20")
    writer.publish(at(17), USAGE, special_usage(), "2026-11-20")
    writer.publish(at(17), WITHDRAWN, licences({"ChargeStartDate": "2026-10-01T00:00:00Z"}, currency="USD"))
    sweep(store, at(20))
    writer.publish(at(20), INVOICE, licences({"InvoiceNumber": "G016907411"}))
    writer.publish(at(20), LICENCES, special_licences())
    writer.publish(at(20), INVOICED_USAGE, usage({"InvoiceNumber": "G016907411"}))
    corrected = {"InvoiceNumber": "G016907411", "CreditReasonCode": "Corrected"}
    writer.publish(at(21), INVOICE, licences(corrected, {**corrected, "ChargeType": "Renew"}))
    withdraw(DataFolder(store, lambda: at(21, 10)), WITHDRAWN)
    client, secret = store.catalog.add_client(PARTNER, "billing program", at(21, 10))
    revoked, _ = store.catalog.add_client(PARTNER, "revoked program", at(21, 10))
    store.catalog.revoke_client(PARTNER, revoked.id, at(21, 11))
    store.catalog.add_partner("aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee", at(21, 11))
    return {"id": client.id, "secret": secret, "revoked": revoked.id}


def listing(store: Store, writer: Writer) -> list[dict[str, Any]]:
    """Return what every revision is, and the texts of its line items in each API."""
    return [
        {
            "dataset": str(dataset),
            "revision": revision.id,
            "eTag": revision.etag,
            "inForce": revision.in_force,
            "rendered": all(segment.rendered for segment in store.catalog.segments(revision.id)),
            "contents": json.loads(canonical(revision.contents)),
            **writer.texts[revision.id],
        }
        for dataset, _ in store.catalog.datasets()
        for revision in store.catalog.revisions(dataset)
    ]


def graph_texts(store: Store, revision: Revision) -> list[dict[str, str]]:
    """Return the texts of all line items of the `full` blobs."""
    blobs = [_content(store, file.path) for file in store.catalog.files(revision.id, Rendering.GRAPH_FULL)]
    return [texts_of(line) for blob in blobs for line in gzip.decompress(blob).splitlines()]


def v1_texts(store: Store, revision: Revision) -> list[dict[str, str]]:
    """Return the texts of all line items of the v1 pages."""
    found = []
    for file in store.catalog.files(revision.id, Rendering.V1):
        content = store.files.open(file.path)
        blocks = BlockFile(file.path, content.size_bytes, content.read)
        for block in blocks.blocks:
            text, position = blocks.json(block), 0
            for length in blocks.item_lengths(block):
                found.append(texts_of(text[position : position + length]))
                position += length + 1
    return found


def _content(store: Store, path: str) -> bytes:
    reader = store.files.open(path)
    return reader.read(0, reader.size_bytes)


def submit(served: Served) -> list[str]:
    """Submit exports: one with data, one of the basic set under a key, one that fails; return their addresses."""
    beginning = "/v1.0/reports/partners/billing"
    asked: list[tuple[str, dict[str, str], dict[str, str]]] = [
        ("usage/unbilled", {"currencyCode": "EUR", "billingPeriod": "current"}, {}),
        ("reconciliation/billed", {"invoiceId": "G016907411", "attributeSet": "basic"}, {"Idempotency-Key": "stored"}),
        ("usage/unbilled", {"currencyCode": "JPY", "billingPeriod": "last"}, {}),
    ]
    found = []
    for path, body, headers in asked:
        answer = served.ask("POST", f"{beginning}/{path}/export", Api.GRAPH, json=body, headers=headers)
        assert answer.status_code == 202, answer.text
        found.append(answer.headers["location"])
    return found


def pull(served: Served, to: Path, dataset: Dataset, form: Format, api: Api = Api.GRAPH) -> None:
    """Pull a dataset to its end."""
    with served.client(api) as client:
        client.pull(ask_for(dataset), to, api=api, format=form)


@contextmanager
def cut_after(served: Served, requests: int) -> Iterator[None]:
    """Cut the line after some requests; what is pulled meanwhile fails."""
    served.transport.requests_max = len(served.transport.paths) + requests
    try:
        yield
    except SourceError:
        served.transport.requests_max = None
    else:
        raise AssertionError("it ended before the line was cut")


def write_pulls(served: Served, pulls: Path) -> None:
    """Pull in every form, and leave two pulls unfinished."""
    pull(served, pulls / "usage-blobs", USAGE, Format.BLOBS)
    pull(served, pulls / "usage-parquet", INVOICED_USAGE, Format.PARQUET)
    pull(served, pulls / "licences-csv", LICENCES, Format.CSV)
    pull(served, pulls / "usage-walk", USAGE, Format.BLOBS, Api.V1)
    with cut_after(served, 3):  # submitted, looked at, one blob of three
        pull(served, pulls / "unfinished-export", USAGE, Format.BLOBS)
    with cut_after(served, 3):
        pull(served, pulls / "unfinished-walk", USAGE, Format.BLOBS, Api.V1)


def write_all(folder: Path) -> None:
    """Write the archives of the data folder and of the pulls, and what they hold."""
    with TemporaryDirectory() as scratch:
        data, pulls = Path(scratch, "data"), Path(scratch, "pulls")
        with open_store(data) as store:
            writer = Writer(store, Path(scratch))
            client = write_data(writer, store)
        with serving(data) as served:
            operations = submit(served)
            write_pulls(served, pulls)
        with open_store(data, create=False) as store:
            holds = {"client": client, "operations": operations, "revisions": listing(store, writer)}
        (data / "development-authority.pem").unlink()  # it is made when it is needed
        assert not [*data.glob("catalog.sqlite-*")], "the catalog was not closed"
        folder.mkdir(parents=True, exist_ok=True)
        pack(data, folder / "data.tar.gz")
        pack(pulls, folder / "pulls.tar.gz")
    said = json.dumps(holds).replace("}, {", "},\n{")  # a line item a line
    assert json.loads(said) == holds
    (folder / "holds.json").write_text(said + "\n", encoding="utf-8")


def pack(folder: Path, archive: Path) -> None:
    """Pack a folder: its names, modes and bytes, and no times or owners."""
    content = BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.PAX_FORMAT) as packed:
        for path in sorted(folder.rglob("*")):
            member = tarfile.TarInfo(str(path.relative_to(folder)))
            member.mode = path.stat().st_mode & 0o777
            if path.is_dir():
                member.type = tarfile.DIRTYPE
                packed.addfile(member)
            else:
                member.size = path.stat().st_size
                packed.addfile(member, BytesIO(path.read_bytes()))
    archive.write_bytes(gzip.compress(content.getvalue(), mtime=0))


if __name__ == "__main__":
    write_all(Path(sys.argv[1]))
