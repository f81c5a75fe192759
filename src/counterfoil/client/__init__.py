"""The client: pull line items from Microsoft or any Counterfoil, and prove what can be proven.

It stands on the ground and on `wire` only, and installs without the server.
"""

from counterfoil.client.api import Client
from counterfoil.client.asking import Ask, ask_billed, ask_unbilled
from counterfoil.client.async_api import AsyncClient
from counterfoil.client.credentials import ClientCredentials
from counterfoil.client.outcomes import Api, Form
from counterfoil.client.receipt import Proof, Receipt
from counterfoil.client.watching import Progress, Watcher

__all__ = [
    "Api",
    "Ask",
    "AsyncClient",
    "Client",
    "ClientCredentials",
    "Form",
    "Progress",
    "Proof",
    "Receipt",
    "Watcher",
    "ask_billed",
    "ask_unbilled",
]
