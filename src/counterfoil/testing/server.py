"""`Server`: Counterfoil in a thread of your test process, on a free loopback port, in a folder of its own.

It is the real server in development mode, not a double: the same code, sockets, tokens and files. `travel` moves the
business clock only, which decides which month `current` is. Tokens and links age by the wall clock, which nobody can
move; for a token that has expired, ask for one that was issued long ago.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from counterfoil.disk.scratch import scratch_folder
from counterfoil.errors import UsageError
from counterfoil.generator import BillingMonth
from counterfoil.model import WHOLE, Kind, tenant_id
from counterfoil.periods import moment_of, utc_now
from counterfoil.server.identity.signing_keys import mint_development_token
from counterfoil.server.server_parts import Service
from counterfoil.server.startup import endpoints
from counterfoil.server.web_server import running
from counterfoil.settings import Settings
from counterfoil.testing.control import Control
from counterfoil.testing.control_routes import ControlledApp
from counterfoil.testing.given_files import LineItems
from counterfoil.testing.line_item_builders import PARTNER
from counterfoil.testing.request_journal import JournalingApp, RequestJournal

if TYPE_CHECKING:
    from counterfoil.datasets.publication_receipt import PublicationReceipt


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
        self._data = data
        self._now = moment_of(now) if now is not None else None
        self._operation_delay_s = operation_delay_s
        self._https = https
        self._stack = ExitStack()
        self._control: Control | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            root = stack.enter_context(scratch_folder())
            data = self._data or Path(tempfile.mkdtemp(prefix="data-", dir=root))
            control = Control(
                Settings(data=data, port=0, https_port=0 if self._https else None),
                root,
                now=self._now,
                operation_delay_s=self._operation_delay_s,
                data_is_scratch=self._data is None,
            )
            stack.callback(setattr, self, "_control", None)
            self._control = stack.enter_context(control)
            control.register(self.partner)
            listening, certificate = endpoints(control.service)
            app = ControlledApp(control, JournalingApp(control.faults, control.journal))
            urls = stack.enter_context(running(app, listening))
            self.url = urls[0]
            if certificate is not None:
                # A reset must not take it away.
                self.https_url, self.ca = urls[1], Path(shutil.copy2(certificate.ca, root))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def control(self) -> Control:
        """What the methods here stand on, as the HTTP control does."""
        if self._control is None:
            raise UsageError("The server is not running.", remedy="Use it as a context manager.")
        return self._control

    @property
    def service(self) -> Service:
        """The parts of the running server, for tests that look inside."""
        return self.control.service

    @property
    def requests(self) -> RequestJournal:
        """What clients asked for and were answered, oldest first; the last 10,000. `reset` empties it."""
        return self.control.journal

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
        allow_copies: bool = True,
        date_order: str = "",
        decimal: str = "",
    ) -> list[PublicationReceipt]:
        """Publish files (paths), contents of files (bytes, gzip or not) or line items, as `counterfoil publish` does.

        Line items are mappings, or pieces of JSON lines such as `counterfoil.generator.generate` yields. Amounts may
        be Decimal, and keep their digits; a float has the digits that `repr` shows. Each argument is one file, and
        all are published together or not at all. `date_order` (mdy, dmy) and `decimal` (point, comma) say how a CSV
        writes local dates and numbers.

        An invoice in force is replaced freely, and the same line items may be in two arguments or segments, unlike on
        the command line: a test says what it wants. Without `replace_invoices`, and with a `max_change` in percent,
        SurpriseError is raised as for an operator; without `allow_copies`, InputError. Raises what publishing raises:
        InputError names the line and attribute that cannot be right.
        """
        from counterfoil.datasets.safeguards import Safeguards  # see `Control.publish`

        limit = Decimal(max_change) if max_change is not None else None
        return self.control.publish(
            *line_items,
            safeguards=Safeguards(replace=replace_invoices, max_change=limit, allow_copies=allow_copies),
            partner=partner,
            issuer=issuer,
            kind=kind,
            invoice=invoice,
            period=period,
            currency=currency,
            segment=segment,
            date_order=date_order,
            decimal=decimal,
        )

    def publish_unbilled(self, month: BillingMonth, day: int | None = None) -> list[PublicationReceipt]:
        """Publish a month as it is unbilled at the end of a day, by default its last: usage and reconciliation."""
        return self.publish(*(month.unbilled(kind, day) for kind in Kind), partner=month.partner, period=month.period)

    def publish_invoice(self, month: BillingMonth) -> list[PublicationReceipt]:
        """Publish a month's invoice: usage and reconciliation."""
        return self.publish(*map(month.invoiced, Kind), partner=month.partner, invoice=month.invoice)

    def billing_month(self, period: str, invoice: str = "G016907411", **others: Any) -> BillingMonth:
        """Return a coherent month of this server's partner, first unbilled and then invoiced. Publishes nothing."""
        return BillingMonth(self.partner, period, invoice, **others)

    def token(self, audience: str = "graph", *, partner: str = "", issued_at: datetime | None = None) -> str:
        """Return a bearer token for `graph`, `partner-center` or an audience of your own; registers the partner.

        It is good for an hour: one that was issued two hours ago is an expired one.
        """
        tenant = tenant_id(partner or self.partner)
        self.control.register(tenant)
        return mint_development_token(self.data, tenant, audience, issued_at or utc_now())

    def headers(self, audience: str = "graph", *, partner: str = "") -> dict[str, str]:
        """Return the Authorization header for a request."""
        return {"Authorization": f"Bearer {self.token(audience, partner=partner)}"}

    def travel(self, to: datetime | str | None) -> None:
        """Set the business clock: from now on it is `to` (an ISO time; None: the present), and runs on from there."""
        self.control.travel(to)

    def delay_operations(self, delay_s: float) -> None:
        """Keep exports that are submitted from now on `running` for so long. 0 ends it."""
        self.control.delay_operations(delay_s)

    def fail(self, fault: str, **where: object) -> None:
        """Have a fault of the catalogue strike from now on: one more rule (see docs/testing-your-client.md).

        `on` names kinds of request (`submit`, `operation`, `manifest`, `blob`, `page`, `token`), `at` the blobs or
        pages, counted from 1; it strikes `times` times after `skip`. Some faults take more. Raises UsageError.
        """
        self.control.fail(fault, where, "fail")

    def heal(self) -> None:
        """Forget all faults, and nothing else."""
        self.control.heal()

    def struck(self) -> dict[str, int]:
        """Return how often each fault that was asked for has struck."""
        return self.control.struck()

    def reset(self) -> None:
        """Forget everything published, every operation and request, all travelling, delays and faults.

        Tokens and snapshots stay. Raises UsageError for a server with a data folder of your own.
        """
        self._refuse_own_folder("reset")
        self.control.reset()

    def save_snapshot(self, name: str = "snapshot") -> None:
        """Save what is published and exported, and the business clock, under a name."""
        self.control.save_snapshot(name)

    def load_snapshot(self, name: str = "snapshot") -> None:
        """Serve what was saved under a name, as often as you like. Faults and requests are forgotten; tokens stay."""
        self._refuse_own_folder("replaced by a snapshot")
        self.control.load_snapshot(name)

    def _refuse_own_folder(self, done: str) -> None:
        if self._data is not None:
            raise UsageError(f"A data folder of your own is not {done}.", remedy="Let Server make one.")
