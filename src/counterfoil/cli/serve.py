"""`counterfoil serve`: the server, in the foreground."""

from __future__ import annotations

import logging
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from counterfoil.cli.open_folder import open_data_folder, progress_of
from counterfoil.cli.options import NamedPath, refuse_nan, with_output, with_settings
from counterfoil.cli.output import Output, as_option
from counterfoil.cli.publication_output import warn_of
from counterfoil.errors import InputError, SurpriseError, UsageError
from counterfoil.periods import Clocks, moment_of, utc_now
from counterfoil.printable_text import counted
from counterfoil.settings import Settings

if TYPE_CHECKING:
    from datetime import datetime

    from starlette.types import ASGIApp

    from counterfoil.server.identity.tls import DevelopmentCertificate
    from counterfoil.server.server_parts import Service
    from counterfoil.testing.control import Control
    from counterfoil.testing.faults.fault_plan import FaultPlan

_SWITCH_S = 0.0005
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
) -> None:
    """Serve what is published, in the APIs that everyone's tools already speak.

    Prints one line on stdout when it is ready. Several servers may share one data folder, and publishing goes on beside
    them: a reader sees the old data or the new, never a mixture.

    \b
    To look around, with a token for anybody who asks, on this machine only:
      counterfoil serve --dev
    For the tests of a program, on a free port, which is printed as JSON with all that the program needs:
      counterfoil serve --dev --port 0 --output json
    For others, behind a proxy that speaks https:
      counterfoil clients add --partner TENANT
      counterfoil serve --port 8080     (with COUNTERFOIL_PUBLIC_URL=https://billing.example.com)
    For others, with a certificate of your own:
      counterfoil serve --host 0.0.0.0 --https-port 8443 --tls-cert chain.pem --tls-key key.pem
    """
    from counterfoil.server.access_log import ACCESS_LOG
    from counterfoil.server.app import create_app
    from counterfoil.server.endings import endings
    from counterfoil.server.identity.tls import host_name
    from counterfoil.server.listening import passed_sockets
    from counterfoil.server.log_lines import logging_to
    from counterfoil.server.startup import check, endpoints, open_service
    from counterfoil.server.web_server import WebServer
    from counterfoil.testing.faults.fault_plan import plan_of

    # A thread that reads the catalog asks for the interpreter anew at each statement. When the event loop has much to
    # do, each time costs a whole interval: with the usual 5 ms, a page of a few milliseconds took a tenth of a second.
    sys.setswitchinterval(_SWITCH_S)
    names = [host_name(name.strip()) for name in dev_open.split(",") if name.strip()]
    _refuse_without_dev(dev, names or now is not None or operation_delay or faults is not None)
    plan = plan_of(faults) if faults is not None else None
    begins_at = moment_of(now) if now is not None else None
    passed = passed_sockets(os.environ)
    check(settings, Clocks(), development=dev, open_to=names, passed=passed)
    if load is not None:
        _load(settings, output, load)
    app: ASGIApp
    with ExitStack() as stack:
        form = "json" if output.is_json else settings.log_format
        stack.enter_context(logging_to(sys.stderr, level=_log_level(settings), form=form))
        if dev:
            control = stack.enter_context(_controlled(settings, begins_at, operation_delay, names, plan))
            service, app = control.service, _development_app(control, output)
            ACCESS_LOG.setLevel(logging.WARNING)  # each request is printed already
            _warn_of_development(output, names, plan)
        else:
            service = stack.enter_context(open_service(settings, Clocks(), development=False))
            app = create_app(service)
        for each in endings(settings, service.catalog, utc_now()):
            output.warning(f"{each.told} {each.remedy}")
        listening, certificate = endpoints(service)
        server = WebServer(app, listening, lambda urls: _announce(service, output, urls, certificate), passed=passed)
        if service.metrics is not None:
            service.metrics.state.connections = server.connections
        server.run()
    output.note("Stopped.")


def _refuse_without_dev(dev: bool, is_for_dev: object) -> None:
    if not dev and is_for_dev:
        raise UsageError(
            "--dev-open, --now, --operation-delay and --faults go with --dev.", remedy="Add --dev, or leave them."
        )
    if not dev and os.name == "nt":
        raise UsageError(
            "On Windows the server is for tests only: it cannot keep bills private there.",
            remedy="Add --dev, or serve on Linux, macOS or in WSL.",
        )


@contextmanager
def _controlled(
    settings: Settings, now: datetime | None, delay_s: float, names: Sequence[str], plan: FaultPlan | None
) -> Iterator[Control]:
    from counterfoil.disk.scratch import scratch_folder
    from counterfoil.testing.control import Control

    with (
        scratch_folder() as root,
        Control(settings, root, now=now, operation_delay_s=delay_s, open_to=names, plan=plan) as control,
    ):
        yield control


def _development_app(control: Control, output: Output) -> ASGIApp:
    """Return the application that prints each request, and may be controlled over HTTP."""
    from counterfoil.testing.control_routes import ControlledApp
    from counterfoil.testing.request_journal import JournalingApp

    if output.quiet or output.is_json:
        return ControlledApp(control, JournalingApp(control.faults, control.journal))
    printing = JournalingApp(control.faults, control.journal, lambda entry: output.note(entry.line()))
    return ControlledApp(control, printing)


def _warn_of_development(output: Output, names: Sequence[str], plan: FaultPlan | None) -> None:
    output.warning("Development mode: anybody who can reach this server gets a token for any partner.")
    if names:
        output.warning(f"It answers to {', '.join(names)} too, not only to this machine.")
    if plan is not None:
        _warn_of_faults(output, plan)


def _log_level(settings: Settings) -> str:
    """Return the level that was set, or a lower one that `-v` asks for."""
    asked = logging.getLogger().level if logging.getLogger().handlers else logging.CRITICAL
    return logging.getLevelName(min(asked, logging.getLevelNamesMapping()[settings.log_level.upper()])).lower()


def _warn_of_faults(output: Output, plan: FaultPlan) -> None:
    """Say what will go wrong, as a plan that can be kept in a file."""
    output.warning(f"It answers wrongly on purpose, by {counted(len(plan.rules), 'rule')}:")
    for line in plan.text().splitlines():
        output.note(line)


def _announce(
    service: Service, output: Output, urls: Sequence[str], certificate: DevelopmentCertificate | None
) -> None:
    if output.is_json:
        output.facts(_fields(service, urls, certificate))
    else:
        for url in urls:
            output.text("serving", f"Counterfoil is serving at {url}")
    output.stdout.flush()
    if certificate is not None:
        output.note(f"For https, trust this certificate authority: {certificate.ca.absolute()}")
    if service.development:
        _invite(service, output, urls[0])


def _fields(service: Service, urls: Sequence[str], certificate: DevelopmentCertificate | None) -> dict[str, object]:
    """Return what a program that started the server needs: where it is, and how to sign in."""
    url, https_url = urls[0], urls[1] if len(urls) > 1 else None
    return {
        "url": url,
        "port": urlsplit(url).port,
        "httpsUrl": https_url,
        "httpsPort": urlsplit(https_url).port if https_url else None,
        "ca": str(certificate.ca.absolute()) if certificate is not None else None,
        "tokenEndpoint": f"{url}/{{tenant}}/oauth2/v2.0/token",  # the tenant is the partner's
        "control": f"{url}/_counterfoil/" if service.development else None,
        "data": str(service.settings.data.absolute()),
        "development": service.development,
    }


def _invite(service: Service, output: Output, url: str) -> None:
    """Print three lines to paste: a token, an export, a page."""
    from counterfoil.server.identity.signing_keys import mint_development_token
    from counterfoil.server.sample_calls import export_call, page_call

    datasets = [dataset for dataset, revision in service.catalog.datasets() if revision is not None]
    if not datasets:
        output.note("Nothing is published yet: `counterfoil publish FILE`, or `counterfoil demo --keep` for a look.")
        return
    unbilled = [dataset for dataset in datasets if not dataset.scope.is_billed]
    partner = (unbilled or datasets)[0].partner
    mint_development_token(service.settings.data, partner, "graph", service.clocks.wall())  # makes the key, once
    output.note("Paste these:")
    output.note(f"  TOKEN=$({_token_line(service, partner)})")
    output.note(f"  {export_call(url, next(d for d in (unbilled or datasets) if d.partner == partner))}")
    page = next((dataset for dataset in unbilled if dataset.partner == partner), None)
    if page is not None:
        output.note(f"  {page_call(url, page, f'$({_token_line(service, page.partner)} --audience partner-center)')}")


def _token_line(service: Service, partner: str) -> str:
    """The data folder is an absolute path, because the other shell may be in another folder."""
    return f"counterfoil token --data {shlex.quote(str(service.settings.data.absolute()))} --partner {partner}"


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
