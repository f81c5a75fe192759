"""Somebody who pulls: a source with line items, a profile for it, and the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from counterfoil.cli import main
from counterfoil.model import Kind, Scope
from counterfoil.periods import BillingPeriod, utc_now
from counterfoil.testing import PARTNER, Server

INVOICE = "G016907411"
AMOUNT = "0.1999968000511991808131"


def this_month() -> BillingPeriod:
    """The month that is `current` by this machine's clock, and at the source."""
    return BillingPeriod.containing(utc_now())


def run(*arguments: str) -> Result:
    done = CliRunner().invoke(main, arguments, prog_name="counterfoil")
    assert "Traceback" not in done.stderr
    return done


def rows(*arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """Run a command with `--output json`; return its exit code and what it printed."""
    done = run(*arguments, "--output", "json")
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return done.exit_code, found


def line_items(kind: Kind, scope: Scope, count: int, amount: str = AMOUNT) -> Iterator[dict[str, Any]]:
    for number in range(count):
        common = {"PartnerId": PARTNER, "CustomerId": f"c{number}", "InvoiceNumber": scope.invoice}
        if kind is Kind.USAGE:
            yield common | {
                "UsageDate": "2026-11-01T00:00:00Z",
                "BillingPreTaxTotal": Decimal(amount),
                "BillingCurrency": scope.currency or "EUR",
            }
        else:
            yield common | {
                "ChargeStartDate": "2026-11-01T00:00:00Z",
                "Subtotal": Decimal(amount),
                "TaxTotal": Decimal(0),
                "Total": Decimal(amount),
                "Currency": scope.currency or "EUR",
            }


@dataclass(frozen=True)
class House:
    """A source, and the working directory of somebody who pulls from it under the name `contoso`."""

    server: Server

    def invoice(self, count: int = 3, *, kind: Kind = Kind.USAGE, invoice: str = INVOICE, amount: str = AMOUNT) -> None:
        """Publish an invoice at the source."""
        self.server.publish(list(line_items(kind, Scope.billed(invoice), count, amount)))

    def month(self, count: int = 3, *, kind: Kind = Kind.USAGE, last: bool = False, amount: str = AMOUNT) -> None:
        """Publish what was not yet invoiced of this month, or of the last."""
        month = this_month().last if last else this_month()
        self.server.publish(list(line_items(kind, Scope.unbilled(month, "EUR"), count, amount)), period=str(month))

    def profile(self, *lines: str, api: str = "graph") -> None:
        """Write the settings file: a profile `contoso` with these lines more."""
        if api != "v1" and not any(line.startswith("invoices") for line in lines):
            lines = (*lines, 'invoices = "none"')
        told = [f'url = "{self.server.url}"', f'api = "{api}"', 'token_env = "CONTOSO_TOKEN"', *lines]
        Path("counterfoil.toml").write_text("[profiles.contoso]\n" + "\n".join(told) + "\n", encoding="utf-8")


def receipt_in(folder: str | Path) -> dict[str, Any]:
    receipt: dict[str, Any] = json.loads((Path(folder) / "receipt.json").read_text(encoding="utf-8"))
    return receipt
