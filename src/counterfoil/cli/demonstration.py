"""What `counterfoil demo` shows: the main job from end to end, on made-up data, with proof.

Everything is real: line items are published into a data folder, served over HTTP, fetched back by the client through
both APIs, counted, hashed and summed, and held against what was published. In the end an unbilled month is compared
with its invoice, and the difference explained.
"""

from __future__ import annotations

import shlex
import signal
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from counterfoil.cli.comparison_display import cause_rows
from counterfoil.cli.output import Output
from counterfoil.client import Api, Client, Format, Proof, Receipt, ask_billed, ask_unbilled
from counterfoil.columns import table_of
from counterfoil.datasets.publication_receipt import PublicationReceipt
from counterfoil.datasets.verify import verify
from counterfoil.disk.scratch import scratch_folder
from counterfoil.errors import ProofError
from counterfoil.generator import generate, write
from counterfoil.generator.scenarios import ScenarioPair
from counterfoil.model import AttributeSet, Dataset, Kind, Scope
from counterfoil.money import Money
from counterfoil.periods import BillingPeriod, utc_now
from counterfoil.reconcile import Comparing, compare
from counterfoil.testing import PARTNER, Server
from counterfoil.wire.graph import ExportRequest

INVOICE = "G016907411"
CURRENCY = "EUR"
_COMPARED_MAX = 5_000  # line items of each side of the comparison
_ONE_IN = 10  # of them differs


@dataclass(frozen=True, slots=True)
class DemoSystem:
    """One of the systems to show: what to ask of which API, and the dataset that must come back."""

    name: str
    api: Api
    dataset: Dataset
    attributes: AttributeSet = AttributeSet.FULL

    def ask(self, now: datetime) -> ExportRequest:
        """Return the request; `now` is what the clock of the source shows."""
        if self.dataset.scope.is_billed:
            return ask_billed(self.dataset.kind, self.dataset.scope.invoice, self.attributes)
        return ask_unbilled(self.dataset.kind, "current", CURRENCY, self.attributes, now=now)


def demonstrate(line_items: int, output: Output, *, keep: bool) -> None:
    """Publish so many line items in each dataset, serve them, fetch them back, and prove them.

    Where `keep` is set, the server stays until Ctrl-C.
    """
    began = time.monotonic()
    moment = mid_month(utc_now())
    systems = _systems(BillingPeriod.containing(moment))
    with scratch_folder() as root, Server(now=moment) as server:
        published = _publish(server, root, line_items, systems, output)
        output.note(f"Serving at {server.url}. Fetching it back, as a partner's tool would:")
        rows = [_row(system, _pull(server, system, root, published, moment), published) for system in systems]
        output.rows(rows, headings={"api": "API"})
        _verify(server, output)
        _explain(root, BillingPeriod.containing(moment), line_items, output)
        output.note(
            f"All {len(rows)} agree with what was published, to the last digit. {time.monotonic() - began:.0f} s."
        )
        if keep:
            _leave_serving(server, output)


def mid_month(now: datetime) -> datetime:
    """Return a time in the middle of this month: what the source's clock shows.

    The demo takes a while, and the month must not end between publishing and pulling.
    """
    return now.replace(day=15, hour=12, minute=0, second=0, microsecond=0)


def _systems(month: BillingPeriod) -> list[DemoSystem]:
    billed, billed_usage = (Dataset(kind, PARTNER, Scope.billed(INVOICE)) for kind in Kind)
    unbilled, usage = (Dataset(kind, PARTNER, Scope.unbilled(month, CURRENCY)) for kind in Kind)
    return [
        DemoSystem("unbilled reconciliation export", Api.GRAPH, unbilled),
        DemoSystem("billed reconciliation export", Api.GRAPH, billed),
        DemoSystem("unbilled reconciliation line items", Api.V1, unbilled),
        DemoSystem("unbilled consumption line items", Api.V1, usage),
        DemoSystem("unbilled usage export", Api.GRAPH, usage),
        DemoSystem("billed usage export", Api.GRAPH, billed_usage),
        DemoSystem("billed reconciliation export, basic", Api.GRAPH, billed, AttributeSet.BASIC),
    ]


def _publish(
    server: Server, root: Path, line_items: int, systems: list[DemoSystem], output: Output
) -> Mapping[Dataset, PublicationReceipt]:
    published: dict[Dataset, PublicationReceipt] = {}
    for number, dataset in enumerate(dict.fromkeys(system.dataset for system in systems)):
        began, scope, path = time.monotonic(), dataset.scope, root / f"{number}.jsonl.gz"
        write(generate(dataset.kind, line_items, partner=PARTNER, scope=scope, currency=CURRENCY), path)
        for receipt in server.publish(path, period=scope.period):
            published[receipt.dataset] = receipt
        took_s = time.monotonic() - began
        output.note(f"Publishing {line_items:,} {dataset.kind} line items, {scope}: {took_s:.1f} s")
    return published


def _pull(
    server: Server, system: DemoSystem, root: Path, published: Mapping[Dataset, PublicationReceipt], moment: datetime
) -> Receipt:
    audience = "graph" if system.api is Api.GRAPH else "partner-center"
    form = Format.PARQUET if system.api is Api.V1 else Format.BLOBS
    with Client(server.url, server.token(audience=audience)) as client:
        to = root / system.name.replace(" ", "-")
        pulled = client.pull(system.ask(moment), to, api=system.api, format=form)
    expected = published[system.dataset]
    totals = pulled.totals.get(CURRENCY, {})
    if (
        pulled.proof is not Proof.PROVEN
        or pulled.etag != expected.etag
        or pulled.line_items != expected.contents.line_items
        or any(totals[name] != text for name, text in expected.contents.plain_totals().items())
    ):
        raise ProofError(
            f"What came back from {system.name} is not what was published.", remedy="Please report this; it is a fault."
        )
    return pulled


def _row(system: DemoSystem, pulled: Receipt, published: Mapping[Dataset, PublicationReceipt]) -> dict[str, object]:
    main = table_of(system.dataset.kind).totals[-1]
    return {
        "system": system.name,
        "api": "Microsoft Graph" if system.api is Api.GRAPH else "Partner Center v1",
        "lineItems": pulled.line_items,
        "total": Money(published[system.dataset].contents.totals[main], CURRENCY),
        "eTag": pulled.etag[:8],
        "proof": pulled.proof.value,
    }


def _verify(server: Server, output: Output) -> None:
    seen, faults = verify(server.service.store)
    if faults:
        raise ProofError(f"{faults[0].where}: {faults[0].what}", remedy="Please report this; it is a fault.")
    output.note(f"The data folder was verified: {seen.files:,} files, {seen.size_bytes:,} bytes, every hash and sum.")


def _explain(root: Path, month: BillingPeriod, line_items: int, output: Output) -> None:
    """Compare a month that was unbilled with its invoice, and say why they differ; the report stays."""
    pair = ScenarioPair(
        "all",
        Kind.RECONCILIATION,
        min(line_items, _COMPARED_MAX),
        partner=PARTNER,
        period=str(month),
        invoice=INVOICE,
        currency=CURRENCY,
        one_in=_ONE_IN,
    )
    folder = root / "compared"
    folder.mkdir()
    files = pair.write(folder)
    with compare(str(files.left), str(files.right), comparing=Comparing.UNBILLED_BILLED) as comparison:
        report = Path(tempfile.mkdtemp(prefix="counterfoil-report-")) / "report.html"
        comparison.write_html(report)
        output.note(f"The unbilled line items of {month} against their invoice, which was made to differ:")
        if not output.is_json:
            output.rows(cause_rows(comparison))
        amount = Money(comparison.difference, comparison.currency).shown()
        output.note(f"The causes sum to the difference, {amount}, to the last digit. The report: {report}")


def _leave_serving(server: Server, output: Output) -> None:
    output.text("serving", f"Counterfoil is serving at {server.url}")
    output.stdout.flush()
    output.note(f"A token: counterfoil token --data {shlex.quote(str(server.data))} --partner {PARTNER}")
    output.note("Ctrl-C ends it and removes the sample data.")
    signal.sigwait({signal.SIGINT, signal.SIGTERM})
