"""`counterfoil serve`: the server, in the foreground."""

from __future__ import annotations

import logging
import os
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from counterfoil.cli.open_folder import open_data_folder, progress_of
from counterfoil.cli.options import LOG_FORMAT, NamedPath, refuse_nan, with_output, with_settings
from counterfoil.cli.output import Output, as_option, counted
from counterfoil.cli.publication_output import warn_of
from counterfoil.errors import InputError, SurpriseError, UsageError
from counterfoil.periods import Clocks, business_clock, utc_now
from counterfoil.settings import Settings

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from counterfoil.model import Dataset
    from counterfoil.server.identity.tls import DevelopmentCertificate
    from counterfoil.server.server_parts import Service
    from counterfoil.testing.faults.fault_plan import FaultPlan

_SWITCH_S = 0.0005
_YEARS = (2000, 2999)
_LOAD_REMEDIES = {
    "invoice period": "Put the month into the file's name, such as usage-2026-11.jsonl.",
    "allow_rejects": "Correct the line, or publish without it: counterfoil publish --allow-rejects.",
}


@click.command()
@click.option("--host", metavar="ADDRESS", help="Listen there.  [default: 127.0.0.1]")
@click.option("--port", metavar="N", type=int, help="The port for http; 0 picks a free one.  [default: 8080]")
@click.option("--https-port", metavar="N", type=int, help="Listen for https too; 0 picks a free port.")
@click.option("--tls-cert", metavar="FILE", type=NamedPath(), help="The certificate for https and its chain, PEM.")
@click.option("--tls-key", metavar="FILE", type=NamedPath(), help="The certificate's private key, PEM.")
@click.option(
    "--load",
    metavar="DIR",
    type=NamedPath(folder=True),
    help="Publish a folder of files first, or of pulls. Names of unbilled files give their month: usage-2026-11.jsonl.",
)
@click.option("--dev", is_flag=True, help="Development: any secret gets a token, on this machine only.")
@click.option("--dev-open", metavar="NAMES", default="", help="With --dev: answer to these host names too: a,b.")
@click.option("--now", metavar="TIME", help="With --dev: the time by which `current` and `last` go: 2026-11-05T09:00Z.")
@click.option(
    "--operation-delay",
    metavar="S",
    type=click.FloatRange(min=0, max=86_400),
    callback=refuse_nan,
    default=0.0,
    help="With --dev: exports stay `running` for so many seconds.",
)
@click.option(
    "--faults",
    metavar="FILE|SEED",
    help="With --dev: answer wrongly, as a JSON plan says or as drawn from a number. See docs/testing-your-client.md.",
)
@click.option("--access-log", is_flag=True, help="Log a line for each request; query strings are never in it.")
@with_output
@with_settings("host", "port", "https_port", "tls_cert", "tls_key")
def serve(
    *,
    settings: Settings,
    output: Output,
    load: Path | None,
    dev: bool,
    dev_open: str,
    now: str | None,
    operation_delay: float,
    faults: str | None,
    access_log: bool,
) -> None:
    """Serve what is published, in the APIs that everyone's tools already speak.

    Prints one line on stdout when it is ready. Several servers may share one data folder, and publishing goes on beside
    them: a reader sees the old data or the new, never a mixture.

    \b
    To look around, with a token for anybody who asks, on this machine only:
      counterfoil serve --dev
    For others, behind a proxy that speaks https:
      counterfoil clients add --partner TENANT
      counterfoil serve --port 8080     (with COUNTERFOIL_PUBLIC_URL=https://billing.example.com)
    For others, with a certificate of your own:
      counterfoil serve --host 0.0.0.0 --https-port 8443 --tls-cert chain.pem --tls-key key.pem
    """
    from counterfoil.server.access_log import ACCESS_LOG
    from counterfoil.server.app import create_app
    from counterfoil.server.identity.tls import host_name
    from counterfoil.server.listening import passed_sockets
    from counterfoil.server.security_log import SECURITY_LOG
    from counterfoil.server.startup import check, endpoints, open_service
    from counterfoil.server.web_server import WebServer
    from counterfoil.testing.faults.fault_plan import plan_of
    from counterfoil.testing.faults.faulty_app import FaultyApp

    # A thread that reads the catalog asks for the interpreter anew at each statement. When the event loop has much to
    # do, each time costs a whole interval: with the usual 5 ms, a page of a few milliseconds took a tenth of a second.
    sys.setswitchinterval(_SWITCH_S)
    logging.basicConfig(level=logging.WARNING, format=LOG_FORMAT)
    SECURITY_LOG.setLevel(logging.INFO)
    if access_log:
        ACCESS_LOG.setLevel(logging.INFO)
    names = [host_name(name.strip()) for name in dev_open.split(",") if name.strip()]
    if not dev and (names or now is not None or operation_delay or faults is not None):
        raise UsageError(
            "--dev-open, --now, --operation-delay and --faults go with --dev.", remedy="Add --dev, or leave them."
        )
    plan = plan_of(faults) if faults is not None else None
    clocks = Clocks(business=business_clock(_time(now), utc_now)) if now is not None else Clocks()
    passed = passed_sockets(os.environ)
    check(settings, clocks, development=dev, open_to=names, passed=passed)
    if load is not None:
        _load(settings, output, load)
    with open_service(settings, clocks, development=dev, operation_delay_s=operation_delay, open_to=names) as service:
        listening, certificate = endpoints(service)
        if dev:
            output.warning("Development mode: anybody who can reach this server gets a token for any partner.")
            if names:
                output.warning(f"It answers to {', '.join(names)} too, not only to this machine.")
        app: ASGIApp = create_app(service)
        if plan is not None:
            app = FaultyApp(app, clocks.wall, plan)
            _warn_of_faults(output, plan)
        WebServer(app, listening, lambda urls: _announce(service, output, urls, certificate), passed=passed).run()
    output.note("Stopped.")


def _warn_of_faults(output: Output, plan: FaultPlan) -> None:
    """Say what will go wrong, as a plan that can be kept in a file."""
    output.warning(f"It answers wrongly on purpose, by {counted(len(plan.rules), 'rule')}:")
    for line in plan.text().splitlines():
        output.note(line)


def _announce(
    service: Service, output: Output, urls: Sequence[str], certificate: DevelopmentCertificate | None
) -> None:
    for url in urls:
        output.text("serving", f"Counterfoil is serving at {url}")
    output.stdout.flush()
    if certificate is not None:
        output.note(f"For https, trust this certificate authority: {certificate.ca.absolute()}")
    if service.development:
        _invite(service, output, urls[0])


def _invite(service: Service, output: Output, url: str) -> None:
    """Print three lines to paste: a token, an export, a page."""
    from counterfoil.server.identity.signing_keys import mint_development_token

    datasets = [dataset for dataset, revision in service.catalog.datasets() if revision is not None]
    if not datasets:
        output.note("Nothing is published yet: `counterfoil publish FILE`, or `counterfoil demo --keep` for a look.")
        return
    unbilled = [dataset for dataset in datasets if not dataset.scope.is_billed]
    partner = (unbilled or datasets)[0].partner
    mint_development_token(service.settings.data, partner, "graph", service.clocks.wall())  # makes the key, once
    output.note("Paste these:")
    output.note(f"  TOKEN=$({_token_line(service, partner)})")
    output.note(f"  {_export_line(url, next(d for d in (unbilled or datasets) if d.partner == partner))}")
    page = next((dataset for dataset in unbilled if dataset.partner == partner), None)
    if page is not None:
        output.note(f"  {_page_line(service, url, page)}")


def _token_line(service: Service, partner: str) -> str:
    """The data folder is an absolute path, because the other shell may be in another folder."""
    return f"counterfoil token --data {shlex.quote(str(service.settings.data.absolute()))} --partner {partner}"


def _export_line(url: str, dataset: Dataset) -> str:
    state, body = "billed", f'{{"invoiceId":"{dataset.scope.invoice}"}}'
    if not dataset.scope.is_billed:
        state, body = "unbilled", f'{{"currencyCode":"{dataset.scope.currency}","billingPeriod":"current"}}'
    address = f"{url}/v1.0/reports/partners/billing/{dataset.kind}/{state}/export"
    headers = '-H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json"'
    return f"curl -si {headers} -d '{body}' {address}"


def _page_line(service: Service, url: str, dataset: Dataset) -> str:
    kind = "usagelineitems" if dataset.kind == "usage" else "billinglineitems"
    token = f"{_token_line(service, dataset.partner)} --audience partner-center"
    query = f"provider=onetime&invoicelineitemtype={kind}&currencycode={dataset.scope.currency}&period=current&size=2"
    return f'curl -s -H "Authorization: Bearer $({token})" "{url}/v1/invoices/unbilled/lineitems?{query}"'


def _load(settings: Settings, output: Output, folder: Path) -> None:
    from counterfoil.datasets.folder import contents_of_folder
    from counterfoil.datasets.publishing import publish
    from counterfoil.mirror import pulled_inputs

    found = contents_of_folder(folder, pulled_inputs)

    def skip(name: str, why: str) -> None:
        output.note(f"Passed over {name}: {why}.")

    for name, why in found.skipped:
        skip(name, why)
    with (
        progress_of(output) as report,
        open_data_folder(settings, create=True, progress=report, jobs=None) as data_folder,
    ):
        try:
            receipts = publish(data_folder, found.inputs, on_skipped=skip)
        except (InputError, SurpriseError) as error:
            # `serve` has none of the options of `publish`.
            error.remedy = _LOAD_REMEDIES.get(error.parameter) or error.advice(_as_option_of_publish)
            error.parameter = ""
            raise
    for receipt in receipts:
        what = "Published" if receipt.changed else "In force already:"
        output.note(f"{what} {receipt.dataset}: {counted(receipt.contents.line_items, 'line item')}.")
        warn_of(output, receipt)


def _as_option_of_publish(name: str, value: str) -> str:
    return f"counterfoil publish {as_option(name, value)}"


def _time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(f"{text!r} is not a time.", remedy="Write it as 2026-11-05T09:00Z.") from None
    if not _YEARS[0] <= moment.year <= _YEARS[1]:  # the clock runs on from there, and `last` looks back
        raise UsageError(f"{text!r} is not a time of billing.", remedy=f"Give a year from {_YEARS[0]} to {_YEARS[1]}.")
    return moment
