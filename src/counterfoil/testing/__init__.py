"""A real Counterfoil server for the tests of your own billing software.

    from counterfoil.testing import Server

    with Server() as server:
        server.publish(line_items, period="2026-11")
        requests.get(server.url + "/v1/invoices/unbilled/lineitems?...", headers=server.headers("partner-center"))

With pytest, ask for the fixture `counterfoil_server`: one server for the whole run, empty at the start of each test.

Nothing is imported before it is used: pytest loads this package in every run of everybody who has Counterfoil, also
where the server's libraries are not installed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from counterfoil.generator.billing_month import BillingMonth
    from counterfoil.generator.scenarios import ScenarioPair
    from counterfoil.testing.line_item_builders import PARTNER, reconciliation, usage
    from counterfoil.testing.request_journal import JournalEntry, RequestJournal
    from counterfoil.testing.server import Server

__all__ = [
    "PARTNER",
    "BillingMonth",
    "JournalEntry",
    "RequestJournal",
    "ScenarioPair",
    "Server",
    "reconciliation",
    "usage",
]

_MODULES = {
    "PARTNER": "counterfoil.testing.line_item_builders",
    "BillingMonth": "counterfoil.generator.billing_month",
    "ScenarioPair": "counterfoil.generator.scenarios",
    "reconciliation": "counterfoil.testing.line_item_builders",
    "usage": "counterfoil.testing.line_item_builders",
    "Server": "counterfoil.testing.server",
    "JournalEntry": "counterfoil.testing.request_journal",
    "RequestJournal": "counterfoil.testing.request_journal",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(_MODULES[name]), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "counterfoil":
            raise
        raise ImportError('counterfoil.testing needs the server: pip install "./counterfoil[server]"') from error
