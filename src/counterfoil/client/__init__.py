"""The client: pull line items from Microsoft or any Counterfoil, and prove what can be proven.

It imports the ground and `wire` only, and installs without the server.
"""

from counterfoil.client.api import Client
from counterfoil.client.async_api import AsyncClient
from counterfoil.client.client_options import Options
from counterfoil.client.credentials import ClientCredentials
from counterfoil.client.output_files.output_formats import Form
from counterfoil.client.protocol.asking import Api, Ask, ask_billed, ask_unbilled
from counterfoil.client.protocol.graph_answers import SourceBlob, SourceManifest
from counterfoil.client.protocol.retries import Patience
from counterfoil.client.receipt import Proof, Receipt
from counterfoil.client.transfer.graph_exports import Export
from counterfoil.client.transfer.progress import Progress, Watcher
from counterfoil.model import AttributeSet, Kind

__all__ = [
    "Api",
    "Ask",
    "AsyncClient",
    "AttributeSet",
    "Client",
    "ClientCredentials",
    "Export",
    "Form",
    "Kind",
    "Options",
    "Patience",
    "Progress",
    "Proof",
    "Receipt",
    "SourceBlob",
    "SourceManifest",
    "Watcher",
    "ask_billed",
    "ask_unbilled",
]
