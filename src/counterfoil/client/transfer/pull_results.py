"""The result of a pull before its receipt is written: totals, files, and what was checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from counterfoil.client.network.session import Session
from counterfoil.client.output_files.output_formats import Form, Proven, write_form
from counterfoil.client.output_files.pull_files import batches_of
from counterfoil.client.protocol.promised_totals import Promise
from counterfoil.client.pull_folder.target import PullFolder
from counterfoil.client.pull_folder.verified import VerifiedBlob
from counterfoil.client.receipt import Receipt, ReceiptFile
from counterfoil.client.transfer.progress import ProgressReport
from counterfoil.columns import table_of
from counterfoil.errors import ProofError
from counterfoil.line_items.line_reader import LineReader
from counterfoil.line_items.totals import Totals
from counterfoil.model import Kind


@dataclass(frozen=True, slots=True)
class PullResult:
    """What a pull brought, and what was and was not checked; the fields are those of `Receipt`."""

    operation: str
    partner: str
    etag: str
    tally: Totals
    checked: tuple[str, ...]
    unchecked: tuple[str, ...]
    blobs: tuple[ReceiptFile, ...]
    files: tuple[ReceiptFile, ...]
    inexact: Mapping[str, int] = field(default_factory=dict)


def together(facts: list[VerifiedBlob]) -> Totals:
    """Return the tally of all."""
    tally = Totals()
    for each in facts:
        tally.merge(each.tally)
    return tally


def rounded(facts: list[VerifiedBlob]) -> dict[str, int]:
    """Return how many decimals of each column had to be rounded, in all."""
    counts: dict[str, int] = {}
    for each in facts:
        for column, count in each.inexact.items():
            counts[column] = counts.get(column, 0) + count
    return counts


def agrees(held: Receipt, promise: Promise) -> bool:
    """Whether a receipt says of its data what the source says, and adds up; one that was edited does not."""
    line_items = sum(each.line_items for each in held.files)
    try:
        promise.check(Totals.of(held.line_items, held.totals))
    except ProofError:
        return False
    return line_items == held.line_items


def verdict(kind: Kind, promise: Promise, vouched: dict[str, bool]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what was checked, and what could not be because the source says nothing of it."""
    vouched = {
        **vouched,
        "the number of line items": promise.line_items is not None,
        "the exact totals": promise.covers(table_of(kind).totals),
    }
    return (
        tuple(name for name, known in vouched.items() if known),
        tuple(name for name, known in vouched.items() if not known),
    )


def written(
    session: Session,
    form: Form,
    kind: Kind,
    folder: PullFolder,
    facts: Sequence[VerifiedBlob],
    progress: ProgressReport,
) -> tuple[ReceiptFile, ...]:
    """Return the staged files of a pull; a form that is one file of everything is written now."""
    if form not in (Form.CSV, Form.XLSX):
        return tuple(each.file for each in facts)
    line_items = sum(each.file.line_items for each in facts)
    progress.expect("writing", line_items=line_items)
    reader = LineReader(kind)
    paths = [folder.staging / each.file.name for each in facts]
    batches = (batch for path in paths for batch in batches_of(path, path.name, reader))
    lines = Proven(kind, batches, line_items, progress.note)
    return (session.work(lambda: write_form(form, folder.staging, lines)),)
