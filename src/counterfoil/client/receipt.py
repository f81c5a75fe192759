"""The receipt of a pull: what was asked, what came, and what of it is proven.

`proven` means: every line item, byte and total that the source vouches for was counted, hashed and summed here, and
agrees. `transport-checked` means: the source vouches for less; what it made checkable was checked, and the receipt
lists what could not be. There is no third word: a pull that fails a check writes no receipt.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final

from counterfoil.wire.graph import ExportRequest

FILE_NAME: Final = "receipt.json"
VERSION: Final = 1


class Proof(StrEnum):
    """How much is certain."""

    PROVEN = "proven"
    TRANSPORT_CHECKED = "transport-checked"


@dataclass(frozen=True, slots=True)
class ReceiptBlob:
    """One blob as the source delivered it."""

    name: str
    size_bytes: int
    sha256: str
    line_items: int


@dataclass(frozen=True, slots=True)
class ReceiptFile:
    """One file as it lies beside the receipt."""

    name: str
    size_bytes: int
    sha256: str
    line_items: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """What one pull brought. `totals` are exact, by currency and column; `inexact` counts rounded lake decimals."""

    source: str
    api: str
    request: Mapping[str, str]
    operation: str
    etag: str
    started_at: str
    finished_at: str
    format: str
    line_items: int
    totals: Mapping[str, Mapping[str, str]]
    proof: Proof
    checked: tuple[str, ...]
    unchecked: tuple[str, ...]
    blobs: tuple[ReceiptBlob, ...]
    files: tuple[ReceiptFile, ...]
    request_ids: tuple[str, ...]
    inexact: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """A form for the file beside the data, spelled as JSON is on the wire."""
        body = {"receiptVersion": VERSION} | {_camel(name): value for name, value in asdict(self).items()}
        for name in ("blobs", "files"):
            body[name] = [{_camel(key): value for key, value in each.items()} for each in body[name]]
        return body

    def text(self) -> str:
        """The receipt as it is written to disk."""
        return json.dumps(self.to_json(), ensure_ascii=False, indent=2) + "\n"


def request_facts(ask: ExportRequest, api: str) -> dict[str, str]:
    """Return what was asked, as a receipt says it."""
    facts = {"kind": ask.kind.value}
    if ask.invoice:
        facts["invoiceId"] = ask.invoice
    else:
        assert ask.period is not None
        facts |= {"billingPeriod": ask.period.value, "currencyCode": ask.currency}
    if api == "graph":
        facts["attributeSet"] = ask.attributes.value
    return facts


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
