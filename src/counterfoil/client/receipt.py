"""The receipt of a pull: what was asked, what came, and what is proven.

`proven` means: every line item, byte and total that the source promises was counted, hashed and summed here, and
agrees. `transport-checked` means: the source promises less; what could be checked was checked, and the receipt lists
what could not be. There is no third level: a pull that fails a check writes no receipt. `last` is another month each
month, so a receipt always says which month it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import msgspec
from msgspec import Meta

from counterfoil.client.protocol.asking import Api, month_of
from counterfoil.disk import documents
from counterfoil.disk.hashing import Measured, measured
from counterfoil.errors import UsageError
from counterfoil.model import Kind
from counterfoil.profiles import FORMATS
from counterfoil.wire.graph import ExportRequest

FILE_NAME: Final = "receipt.json"
VERSION: Final = 2  # of the receipt's form, and of the other documents of a pull
UNFINISHED: Final = "unfinished"  # the proof while files are moved into place
_MONTH: Final = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])", re.ASCII)

Count = Annotated[int, Meta(ge=0)]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Total = Annotated[str, Meta(pattern=r"^-?(0|[1-9][0-9]{0,42})(\.[0-9]{1,100})?\Z")]  # what exact sums can hold, in full
TotalTexts = Mapping[str, Mapping[str, Total]]  # by currency and column


class Proof(StrEnum):
    """How much is certain."""

    PROVEN = "proven"
    TRANSPORT_CHECKED = "transport-checked"


class ReceiptFile(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """One file beside the receipt, or one blob as the source delivered it: size in bytes and SHA-256 in hex."""

    name: str
    size_bytes: Count
    sha256: Sha256
    line_items: Count

    @property
    def measured(self) -> Measured:
        """Its size and SHA-256."""
        return Measured(self.size_bytes, self.sha256)

    def is_in(self, folder: Path) -> bool:
        """Whether there is a file of this name and size; raises OSError."""
        path = folder / self.name
        return path.is_file() and path.stat().st_size == self.size_bytes

    def difference(self, folder: Path, *, read: bool = True) -> str:
        """Return how the file in a folder differs, '' if it does not; without `read`, only its size is compared."""
        path = folder / self.name
        try:
            size_bytes = path.stat().st_size
            if size_bytes != self.size_bytes:
                return f"{self.name} has {size_bytes:,} bytes, and the receipt says {self.size_bytes:,}"
            sha256 = measured(path).sha256 if read else self.sha256
        except FileNotFoundError:
            return f"{self.name} is missing"
        except (OSError, ValueError) as error:  # ValueError: a name that no file can have
            return f"{self.name} cannot be read: {getattr(error, 'strerror', None) or error}"
        return "" if sha256 == self.sha256 else f"{self.name} has other bytes than the receipt says (SHA-256 {sha256})"


class Receipt(
    msgspec.Struct, frozen=True, kw_only=True, eq=False, rename="camel", omit_defaults=True, forbid_unknown_fields=True
):
    """What one pull brought, and how certain it is; stored as `receipt.json` beside the data.

    - `source`, `api`, `request`: who was asked, and for what. For an unbilled period, `request` has its month.
    - `partner`: the tenant whose data it is, from the manifest or else from the token; empty if neither says.
    - `operation`, `etag`: the export, and the source's name for this state of the data.
    - `started_at`, `finished_at`: when, in UTC; for a pull that was interrupted, when its first run began.
    - `line_items`, `totals`: how many, and the exact sums by currency and column, as texts.
    - `proof`, `checked`, `unchecked`: how certain it is, what was checked, and what could not be.
    - `blobs`: what the source delivered, `files`: what is stored here; each with size, SHA-256 and line items.
    - `format`: the format of the files, or a list of several. `inexact`: how many decimals of each Parquet column were
      rounded (texts never).
    - `request_ids`: the ids of every call, for the source's support. `notes`: whatever else is worth knowing.
    - `set_aside`: where files of the former pull went that somebody had edited.
    - `already_held`: of this call, and not in the file: the source has nothing new, and this is the former receipt.
    """

    source: str
    api: str
    request: Mapping[str, str]
    operation: str
    etag: str = msgspec.field(name="eTag")
    started_at: str
    finished_at: str
    format: str | tuple[str, ...]
    line_items: Count
    totals: TotalTexts
    proof: Proof
    checked: tuple[str, ...]
    unchecked: tuple[str, ...]
    blobs: tuple[ReceiptFile, ...]
    files: tuple[ReceiptFile, ...]
    request_ids: tuple[str, ...]
    inexact: Mapping[str, Count]
    notes: tuple[str, ...]
    partner: str = msgspec.field(name="partnerTenantId")
    set_aside: tuple[str, ...] = ()
    already_held: bool = False

    @property
    def formats(self) -> tuple[str, ...]:
        """The formats of the files, one or several."""
        return (self.format,) if isinstance(self.format, str) else self.format

    @property
    def exact_formats(self) -> tuple[str, ...]:
        """The formats that keep every digit, which a workbook does not. Each has all line items."""
        return tuple(each for each in self.formats if each != "xlsx")

    def files_in(self, of: str) -> tuple[ReceiptFile, ...]:
        """Return the files of one format."""
        return tuple(file for file in self.files if format_of(file.name) == of)

    def line_items_by_format(self) -> dict[str, int]:
        """Return how many line items the files of each format have together."""
        return line_items_by_format(self.files)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Receipt) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash((self.source, self.finished_at))

    def to_json(self) -> dict[str, Any]:
        """Return the members of the file beside the data, with its version and digest."""
        return documents.sealed(msgspec.structs.replace(self, already_held=False), VERSION)

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Return the receipt of a folder, or None if no pull was finished there; raises UsageError."""
        found = read_receipt(folder)
        return found if isinstance(found, cls) else None


def line_items_by_format(files: Iterable[ReceiptFile]) -> dict[str, int]:
    """Return how many line items the files of each format, which their names tell, have together."""
    counts: dict[str, int] = {}
    for file in files:
        of = format_of(file.name)
        counts[of] = counts.get(of, 0) + file.line_items
    return counts


def format_of(file_name: str) -> str:
    """Return the format of a file of a pull, by its name."""
    suffix = file_name.rpartition(".")[2].lower()
    return suffix if suffix in FORMATS else "blobs"


class NamedFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file that a pull puts into place, or that a former pull did, and its SHA-256 ('' in older documents)."""

    name: str
    sha256: str = ""


class UnfinishedReceipt(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Takes the place of the receipt while files are moved into place, and names every file, old and new.

    If the move is interrupted, the next pull of the same knows from it which files are its own to replace.
    """

    source: str
    api: str
    request: Mapping[str, str]
    proof: Literal["unfinished"] = UNFINISHED
    files: tuple[NamedFile, ...]


def read_receipt(folder: Path) -> Receipt | UnfinishedReceipt | None:
    """Return what a folder has as its receipt, or None; raises UsageError that says what to do."""
    path = folder / FILE_NAME
    try:
        content = documents.checked(path.read_bytes(), VERSION, formerly="receiptVersion")
        receipt: Receipt | UnfinishedReceipt
        if content.get("proof") == UNFINISHED:
            receipt = documents.converted(content, UnfinishedReceipt)
        else:
            receipt = documents.converted(content, Receipt)
        _check(receipt, content)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}.", remedy="Give your user the right to read that folder."
        ) from None
    except documents.NewerDocumentError:
        raise UsageError(
            f"{path} was written by a newer Counterfoil.", remedy="Use that version, or update this one."
        ) from None
    except ValueError as error:
        flaw = "is not a receipt that can be read"
        if isinstance(error, documents.OlderDocumentError):
            flaw = "was written by an older Counterfoil, in a form that is no longer read"
        if isinstance(error, documents.ChangedDocumentError):
            flaw = "is not as it was written: its digest is of other content"
        raise UsageError(f"{path} {flaw}.", remedy=f"Move {folder} away, and pull again.") from None
    return receipt


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


def identity(api: str, request: Mapping[str, str]) -> dict[str, str]:
    """Return what two pulls of the same thing have in common, besides the partner.

    The address of the source is no part of it: http may become https, and a host get another name. A month may first
    be `current` and later `last`.
    """
    facts = {name: value for name, value in request.items() if name != "billingPeriod" or "month" not in request}
    return {"api": api, **facts}


def _check(receipt: Receipt | UnfinishedReceipt, content: Mapping[str, Any]) -> None:
    """Raise ValueError for what no type forbids."""
    request = receipt.request
    Api(receipt.api)
    Kind(request.get("kind", ""))
    if "invoiceId" in request:
        wrong = not request["invoiceId"]
    else:
        wrong = _MONTH.fullmatch(request.get("month", "")) is None or not request.get("currencyCode")
    if isinstance(receipt, Receipt):
        times = (receipt.started_at, receipt.finished_at)
        wrong = wrong or not receipt.formats or not {*receipt.formats} <= {*FORMATS} or "alreadyHeld" in content
        wrong = wrong or any(datetime.fromisoformat(time).utcoffset() is None for time in times)
    if wrong:
        raise ValueError(request)
