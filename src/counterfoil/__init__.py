"""Counterfoil: serve, pull and reconcile Microsoft partner billing data, exact to the last digit.

    from counterfoil import Client

Importing the package has no effect, and loads nothing before it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from counterfoil.client import (
        Api,
        AsyncClient,
        AttributeSet,
        Client,
        ClientCredentials,
        Format,
        Kind,
        Patience,
        Progress,
        Proof,
        Receipt,
        SigningCertificate,
        Watcher,
        ask_billed,
        ask_unbilled,
    )

__all__ = [
    "Api",
    "AsyncClient",
    "AttributeSet",
    "Client",
    "ClientCredentials",
    "Format",
    "Kind",
    "Patience",
    "Progress",
    "Proof",
    "Receipt",
    "SigningCertificate",
    "Watcher",
    "ask_billed",
    "ask_unbilled",
]


def __getattr__(name: str) -> Any:
    """Load the client when one of its names is first used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("counterfoil.client"), name)
