"""The receipt of a pull: what was asked, what came, and what of it is proven.

`proven` means: every line item, byte and total that the source vouches for was counted, hashed and summed here, and
agrees. `transport-checked` means: the source vouches for less; what it made checkable was checked, and the receipt
lists what could not be. There is no third word: a pull that fails a check writes no receipt. What a newcomer would
get wrong: `last` is another month each month, so a receipt always says which month it was.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Self

from counterfoil.client.protocol.asking import Api, month_of
from counterfoil.client.protocol.promised_totals import is_total
from counterfoil.errors import UsageError
from counterfoil.model import Kind
from counterfoil.profiles import FORMS
from counterfoil.wire.graph import ExportRequest

FILE_NAME: Final = "receipt.json"
VERSION: Final = 1
_MONTH: Final = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])", re.ASCII)
_SHA256: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_SPELLED: Final = {"etag": "eTag", "partner": "partnerTenantId"}  # as the manifest spells it; all else in camel case


class Proof(StrEnum):
    """How much is certain."""

    PROVEN = "proven"
    TRANSPORT_CHECKED = "transport-checked"


class _Written:
    """What is the same for all parts of a receipt: how they are spelled."""

    __slots__ = ()

    def to_json(self) -> dict[str, Any]:
        """Return it spelled as JSON is on the wire."""
        return {_camel(name): value for name, value in asdict(self).items()}  # type: ignore[call-overload]

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Self:
        """Read it; raises KeyError, TypeError or ValueError where something is missing or is no such thing."""
        return cls(**{each.name: _READ[each.name](body[_camel(each.name)]) for each in fields(cls)})  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class ReceiptBlob(_Written):
    """One blob as the source delivered it."""

    name: str
    size_bytes: int
    sha256: str
    line_items: int


@dataclass(frozen=True, slots=True)
class ReceiptFile(_Written):
    """One file as it lies beside the receipt."""

    name: str
    size_bytes: int
    sha256: str
    line_items: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """What one pull brought, and how certain it is; as `receipt.json` it lies beside the data.

    - `source`, `api`, `request`: what was asked, and of whom. An unbilled period is there with the month it was.
    - `partner`: the tenant whose data it is, as the manifest says or else the token; empty if neither does.
    - `operation`, `etag`: the export, and what the source calls this state of the data.
    - `started_at`, `finished_at`: when, in UTC; of a pull that was interrupted, when its first run began.
    - `line_items`, `totals`: how many, and the exact sums by currency and column, as texts.
    - `proof`, `checked`, `unchecked`: how certain it is, what was checked, and what could not be.
    - `blobs`: what the source delivered, each with size, SHA-256 and line items; `files`: what lies here.
    - `format`: in which form; `inexact`: how many decimals of each Parquet column had to be rounded (the texts never).
    - `request_ids`: the ids of every call, for the source's support. `notes`: whatever else is worth knowing.
    - `already_held`: of this call, not of the receipt: the source has nothing new, and this is the former receipt.
    """

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
    notes: tuple[str, ...] = ()
    partner: str = ""
    already_held: bool = field(default=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """A form for the file beside the data, spelled as JSON is on the wire."""
        body = {"receiptVersion": VERSION} | {_camel(name): value for name, value in asdict(self).items()}
        del body["alreadyHeld"]
        for name, listed in (("blobs", self.blobs), ("files", self.files)):
            body[name] = [each.to_json() for each in listed]
        return body

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Self:
        """Read a receipt; raises ValueError, KeyError or TypeError if it is none."""
        if body["receiptVersion"] != VERSION:
            raise ValueError(body["receiptVersion"])
        spelled = {each.name: _camel(each.name) for each in fields(cls) if each.name != "already_held"}
        return cls(**{name: _READ[name](body[key]) for name, key in spelled.items() if key in body})

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Return the receipt of a folder, or None where no pull was finished there; raises UsageError."""
        path = folder / FILE_NAME
        try:
            body = json.loads(path.read_text(encoding="utf-8"))
            if body["proof"] != UNFINISHED:
                return cls.from_json(body)
            _check_note(body)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise UsageError(
                f"{path} may not be read: {error.strerror}.", remedy="Give your user the right to read that folder."
            ) from None
        except (ValueError, KeyError, TypeError, RecursionError):
            raise UsageError(
                f"{path} is not a receipt that can be read.", remedy="Name an empty folder with --to."
            ) from None
        return None

    def as_held(self) -> Self:
        """Return this receipt as the answer of a pull that found nothing new."""
        return replace(self, already_held=True)

    def text(self) -> str:
        """The receipt as it is written to disk."""
        return json.dumps(self.to_json(), ensure_ascii=False, indent=2) + "\n"


UNFINISHED: Final = "unfinished"  # what stands for the proof while files are moved into place


def request_facts(ask: ExportRequest, api: str, now: datetime) -> dict[str, str]:
    """Return what was asked, as a receipt says it; a period with the month it was."""
    facts = {"kind": ask.kind.value}
    if ask.invoice:
        facts["invoiceId"] = ask.invoice
    else:
        assert ask.period is not None
        facts |= {"billingPeriod": ask.period.value, "month": month_of(ask, now), "currencyCode": ask.currency}
    if api == "graph":
        facts["attributeSet"] = ask.attributes.value
    return facts


def identity(source: str, api: str, request: Mapping[str, str]) -> dict[str, str]:
    """Return what two pulls have in common that are of the same thing. A month may be `current` and later `last`."""
    facts = {name: value for name, value in request.items() if name != "billingPeriod" or "month" not in request}
    return {"source": source, "api": api, **facts}


def _check_note(body: Mapping[str, Any]) -> None:
    """Raise ValueError, KeyError or TypeError for what `Folder.keep` leaves of no pull that it moves into place."""
    for name in ("source", "api", "request"):
        _READ[name](body[name])
    for each in _listed(body["files"]):
        _text(each["name"])


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError(value)
    return value


def _listed(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(value)
    return value


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(_text, _listed(value)))


def _table(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(value)
    return value


def _request(value: object) -> Mapping[str, str]:
    """Read what was asked: a kind, and an invoice or a month and its currency."""
    facts = {name: _text(each) for name, each in _table(value).items()}
    Kind(facts["kind"])
    if "invoiceId" in facts:
        wrong = not facts["invoiceId"]
    else:
        wrong = _MONTH.fullmatch(facts["month"]) is None or not facts["currencyCode"]
    if wrong:
        raise ValueError(facts)
    return facts


def _time(value: object) -> str:
    if datetime.fromisoformat(_text(value)).utcoffset() is None:
        raise ValueError(value)
    return _text(value)


def _one_of(words: tuple[str, ...]) -> Callable[[object], str]:
    def read(value: object) -> str:
        if value not in words:
            raise ValueError(value)
        return _text(value)

    return read


def _sha256(value: object) -> str:
    if _SHA256.fullmatch(_text(value)) is None:
        raise ValueError(value)
    return _text(value)


def _totals(value: object) -> Mapping[str, Mapping[str, str]]:
    """Read exact sums, by currency and column."""
    totals = {
        currency: {column: _text(text) for column, text in _table(sums).items()}
        for currency, sums in _table(value).items()
    }
    for text in (text for sums in totals.values() for text in sums.values()):
        if not is_total(text):
            raise ValueError(text)
    return totals


# How each field is read. Whoever edits a receipt, or cuts it off, has a receipt that cannot be read, and no crash.
_READ: Final[Mapping[str, Callable[[Any], Any]]] = {
    "source": _text,
    "api": _one_of(tuple(Api)),
    "request": _request,
    "operation": _text,
    "etag": _text,
    "started_at": _time,
    "finished_at": _time,
    "format": _one_of(FORMS),
    "line_items": _count,
    "totals": _totals,
    "proof": Proof,
    "checked": _texts,
    "unchecked": _texts,
    "blobs": lambda value: tuple(ReceiptBlob.from_json(_table(each)) for each in _listed(value)),
    "files": lambda value: tuple(ReceiptFile.from_json(_table(each)) for each in _listed(value)),
    "request_ids": _texts,
    "inexact": lambda value: {_text(name): _count(count) for name, count in _table(value).items()},
    "notes": _texts,
    "partner": _text,
    "name": _text,
    "size_bytes": _count,
    "sha256": _sha256,
}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return _SPELLED.get(name) or first + "".join(word.capitalize() for word in rest)
