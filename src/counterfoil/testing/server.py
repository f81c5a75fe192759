"""`Server`: Counterfoil in a thread of your test process, on a free loopback port, in a folder of its own.

It is the real server in development mode, not a double: the same code, sockets, tokens and files. `travel` moves the
business clock only, which decides which month `current` is. Tokens and links age by the wall clock, which nobody can
move; for a token that has expired, ask for one that was issued long ago.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

from starlette.types import ASGIApp, Receive, Scope, Send

from counterfoil.datasets.check import Assertions
from counterfoil.datasets.csv_values import LocalForms
from counterfoil.datasets.data_folder import DataFolder
from counterfoil.datasets.gathering import Input
from counterfoil.datasets.publication_receipt import PublicationReceipt
from counterfoil.datasets.publishing import publish
from counterfoil.datasets.safeguards import Safeguards
from counterfoil.errors import UsageError
from counterfoil.model import WHOLE, tenant_id
from counterfoil.periods import Clocks, business_clock, utc_now
from counterfoil.server.app import create_app
from counterfoil.server.export_operations import Exports
from counterfoil.server.identity.signing_keys import mint_development_token
from counterfoil.server.server_parts import Service
from counterfoil.server.startup import endpoints, open_service
from counterfoil.server.web_server import running
from counterfoil.settings import Settings
from counterfoil.testing.faults.fault_plan import rule_of
from counterfoil.testing.faults.faulty_app import FaultyApp
from counterfoil.testing.scratch import scratch_folder

PARTNER = "0e195b37-4574-4539-bc42-0e539b9684c0"
_KEPT_ON_RESET = ("secret", "*.pem")

LineItem = Mapping[str, Any]
LineItems = str | Path | bytes | LineItem | Iterable[LineItem | bytes]


class Server:
    """A running server; a context manager.

    `partner` is the tenant that methods mean when none is named; it is registered from the start. `now` sets the
    business clock, `operation_delay_s` keeps exports `running` for that long. With `https=True` there is a second
    port, `https_url`, whose certificate authority is the file `ca`. Without `data` it works in a folder that is gone
    afterwards; with `data` it serves what is there already, and cannot be reset.
    """

    def __init__(
        self,
        *,
        partner: str = PARTNER,
        now: datetime | str | None = None,
        operation_delay_s: float = 0,
        https: bool = False,
        data: Path | None = None,
    ) -> None:
        self.partner = tenant_id(partner)
        self.url = ""
        self.https_url = ""
        self.ca: Path | None = None
        self._own_folder = data is None
        self._root = data
        self._now = now
        self._operation_delay_s = operation_delay_s
        self._https = https
        self._business = utc_now
        self._has_token: set[str] = set()
        self._stack = ExitStack()
        self._epoch = ExitStack()
        self._service: Service | None = None
        self._app: ASGIApp | None = None
        self._faults = FaultyApp(self._answer, utc_now)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            if self._root is None:
                self._root = stack.enter_context(scratch_folder())
            stack.callback(self._close_epoch)
            self._open()
            listening, certificate = endpoints(self.service)
            urls = stack.enter_context(running(self._faults, listening))
            self.url = urls[0]
            if certificate is not None:
                self.https_url, self.ca = urls[1], self._lasting(certificate.ca)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def service(self) -> Service:
        """The parts of the running server, for tests that look inside."""
        if self._service is None:
            raise UsageError("The server is not running.", remedy="Use it as a context manager.")
        return self._service

    @property
    def data(self) -> Path:
        """The data folder. The command line works on it too."""
        return self.service.settings.data

    def publish(
        self,
        *line_items: LineItems,
        partner: str = "",
        issuer: str = "",
        kind: str = "",
        invoice: str = "",
        period: str = "",
        currency: str = "",
        segment: str = WHOLE,
        replace_invoices: bool = True,
        max_change: Decimal | int | None = None,
        allow_copies: bool = False,
        date_order: str = "",
        decimal: str = "",
    ) -> list[PublicationReceipt]:
        """Publish files (paths), contents of files (bytes, gzip or not) or line items, as `counterfoil publish` does.

        Line items are mappings, or pieces of JSON lines such as `counterfoil.generator.generate` yields. Amounts may
        be Decimal, and keep their digits; a float has the digits that `repr` shows. Each argument is one file, and
        all are published together or not at all. `date_order` (mdy, dmy) and `decimal` (point, comma) say how a CSV
        writes local dates and numbers.

        An invoice in force is replaced freely, unlike on the command line: a test says what it wants. Without
        `replace_invoices`, and with a `max_change` in percent, SurpriseError is raised as for an operator. The same
        line items in two arguments or segments are refused without `allow_copies`. Raises what publishing raises:
        InputError names the line and attribute that cannot be right.
        """
        asserted = Assertions.read(
            partner=partner, issuer=issuer, kind=kind, invoice=invoice, period=period, currency=currency
        )
        forms = LocalForms.read(date_order=date_order, decimal=decimal)
        service = self.service
        data_folder = DataFolder(service.store, utc_now)
        with scratch_folder() as folder:
            inputs = [
                Input(_as_file(given, folder / f"argument-{number}"), asserted, segment)
                for number, given in enumerate(line_items, 1)
            ]
            limit = Decimal(max_change) if max_change is not None else None
            safeguards = Safeguards(replace=replace_invoices, max_change=limit, allow_copies=allow_copies)
            return publish(
                data_folder, inputs, date_order=forms.date_order, decimal=forms.decimal, safeguards=safeguards
            )

    def token(self, audience: str = "graph", *, partner: str = "", issued_at: datetime | None = None) -> str:
        """Return a bearer token for `graph`, `partner-center` or an audience of your own; registers the partner.

        It is good for an hour: one that was issued two hours ago is an expired one.
        """
        tenant = tenant_id(partner or self.partner)
        self.service.catalog.add_partner(tenant, utc_now())
        self._has_token.add(tenant)
        return mint_development_token(self.data, tenant, audience, issued_at or utc_now())

    def headers(self, audience: str = "graph", *, partner: str = "") -> dict[str, str]:
        """Return the Authorization header for a request."""
        return {"Authorization": f"Bearer {self.token(audience, partner=partner)}"}

    def travel(self, to: datetime | str) -> None:
        """Set the business clock: from now on it is `to` (an ISO time), and runs on from there."""
        moment = datetime.fromisoformat(to) if isinstance(to, str) else to
        self._business = business_clock(moment.replace(tzinfo=moment.tzinfo or UTC), utc_now)

    def delay_operations(self, delay_s: float) -> None:
        """Keep exports that are submitted from now on `running` for so long. 0 ends it."""
        service = self.service
        exports = Exports(service.catalog, service.keyring, service.clocks, delay_s)
        self._service = replace(service, exports=exports)
        self._app = create_app(self._service)

    def fail(self, fault: str, **where: object) -> None:
        """Have a fault of the catalogue strike from now on: one more rule (see docs/testing-your-client.md).

        `on` names kinds of request (`submit`, `operation`, `manifest`, `blob`, `page`, `token`), `at` the blobs or
        pages, counted from 1; it strikes `times` times after `skip`. Some faults take more. Raises UsageError.
        """
        self._faults.add(rule_of(fault, where, "fail"))

    def heal(self) -> None:
        """Forget all faults, and nothing else."""
        self._faults.reset()

    def struck(self) -> dict[str, int]:
        """Return how often each fault that was asked for has struck."""
        counts: dict[str, int] = {}
        for rule, times in self._faults.strikes():
            counts[rule.fault.name] = counts.get(rule.fault.name, 0) + times
        return counts

    def reset(self) -> None:
        """Forget everything published, every operation, all travelling, delays and faults. Tokens stay good."""
        self.heal()
        before = self.data
        self._open()
        if self._own_folder:
            shutil.rmtree(before, ignore_errors=True)

    def _open(self) -> None:
        """Open an empty data folder (or, the first time, the one that was given) and put it in place of the last."""
        assert self._root is not None
        before = self._service
        data = self._root
        if self._own_folder:
            data = Path(tempfile.mkdtemp(prefix="data-", dir=self._root))
            if before is not None:
                for pattern in _KEPT_ON_RESET:
                    for path in before.settings.data.glob(pattern):
                        shutil.copy2(path, data / path.name)
        elif before is not None:
            raise UsageError("A data folder of your own is not reset.", remedy="Let Server make one.")
        self._business = utc_now
        if self._now is not None:
            self.travel(self._now)
        settings = Settings(data=data, port=0, https_port=0 if self._https else None)
        epoch, clocks = ExitStack(), Clocks(business=self._business_now)
        opened = open_service(settings, clocks, development=True, operation_delay_s=self._operation_delay_s)
        service = epoch.enter_context(opened)
        for tenant in (self.partner, *self._has_token):
            service.catalog.add_partner(tenant, utc_now())
        last, self._epoch = self._epoch, epoch
        self._service, self._app = service, create_app(service)
        last.close()

    def _lasting(self, ca: Path) -> Path:
        """Return the certificate authority's file under a name that no reset takes away."""
        assert self._root is not None
        lasting = self._root / ca.name
        if lasting != ca:
            shutil.copy2(ca, lasting)
        return lasting

    def _close_epoch(self) -> None:
        self._service = self._app = None
        self._epoch.close()

    def _business_now(self) -> datetime:
        return self._business()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._app is not None
        await self._app(scope, receive, send)


def _as_file(given: LineItems, path: Path) -> str:
    if isinstance(given, str | Path):
        return str(given)
    with path.open("wb") as file:
        if isinstance(given, bytes):
            file.write(given)
        else:
            for each in [given] if isinstance(given, Mapping) else given:
                file.write(each if isinstance(each, bytes) else json.dumps(dict(each), default=_text).encode() + b"\n")
    return str(path)


def _text(value: object) -> str:
    """Write what JSON has no word for. A number in quotes is read as that number, digit for digit."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is nothing that a line item can hold: {value!r}")
