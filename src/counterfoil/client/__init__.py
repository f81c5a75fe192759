"""The client: pull line items from Microsoft or any Counterfoil, and prove what can be proven.

It stands on the ground and on `wire` only, and installs without the server.
"""

from counterfoil.client.api import Api, Client, Form, Watcher
from counterfoil.client.asking import ask_billed, ask_unbilled
from counterfoil.client.credentials import ClientCredentials
from counterfoil.client.receipt import Proof, Receipt

__all__ = ["Api", "Client", "ClientCredentials", "Form", "Proof", "Receipt", "Watcher", "ask_billed", "ask_unbilled"]
