"""The client: pull line items from Microsoft or any Counterfoil, and prove what can be proven.

It imports the ground and `wire` only, and installs without the server. Each name is loaded when it is first used:
looking at what is held needs neither a network nor a reader of line items.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from counterfoil.client.api import Client
    from counterfoil.client.async_api import AsyncClient
    from counterfoil.client.client_options import Options
    from counterfoil.client.credentials import ClientCredentials
    from counterfoil.client.output_files.output_formats import Format
    from counterfoil.client.protocol.asking import Api, Ask, ask_billed, ask_unbilled
    from counterfoil.client.protocol.graph_answers import SourceBlob, SourceManifest
    from counterfoil.client.protocol.retries import Patience
    from counterfoil.client.receipt import Proof, Receipt
    from counterfoil.client.signing_certificate import SigningCertificate
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
    "Format",
    "Kind",
    "Options",
    "Patience",
    "Progress",
    "Proof",
    "Receipt",
    "SigningCertificate",
    "SourceBlob",
    "SourceManifest",
    "Watcher",
    "ask_billed",
    "ask_unbilled",
]

_MODULES: Final = {
    "api": ("Client",),
    "async_api": ("AsyncClient",),
    "client_options": ("Options",),
    "credentials": ("ClientCredentials",),
    "output_files.output_formats": ("Format",),
    "protocol.asking": ("Api", "Ask", "AttributeSet", "Kind", "ask_billed", "ask_unbilled"),
    "protocol.graph_answers": ("SourceBlob", "SourceManifest"),
    "protocol.retries": ("Patience",),
    "receipt": ("Proof", "Receipt"),
    "signing_certificate": ("SigningCertificate",),
    "transfer.graph_exports": ("Export",),
    "transfer.progress": ("Progress", "Watcher"),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
