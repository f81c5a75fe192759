"""Printing a receipt: in JSON with all its members and the folder; in a table without what few people ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from counterfoil.cli.output import Output
from counterfoil.columns import table_of
from counterfoil.model import Kind
from counterfoil.money import Money, money_of
from counterfoil.printable_text import counted

if TYPE_CHECKING:
    from counterfoil.client import Receipt


def show_receipt(
    output: Output, receipt: Receipt, folder: Path, *, in_full: bool = False, more: Mapping[str, object] | None = None
) -> None:
    """Print what came, and what is proven; in full with what was asked, checked and called. JSON has `more` too."""
    if output.is_json:
        output.facts({**receipt.to_json(), "folder": folder, **(more or {})})
        return
    asked = ", ".join(f"{name} {value}" for name, value in receipt.request.items())
    facts: list[tuple[str, object, bool]] = [
        ("Source", f"{receipt.source}, API {receipt.api}", in_full),
        ("Asked for", asked, in_full),
        ("Partner", receipt.partner, in_full),
        ("Pulled", f"{receipt.started_at} to {receipt.finished_at}", in_full),
        ("Proof", receipt.proof.value, True),
        ("Line items", receipt.line_items, True),
        ("Totals", _totals(receipt), True),
        ("eTag", receipt.etag, True),
        ("Operation", receipt.operation, True),
        ("Checked", list(receipt.checked), in_full),
        ("Not checkable", list(receipt.unchecked), True),
        ("Notes", list(receipt.notes), in_full),
        ("Set aside", list(receipt.set_aside), True),
        ("Folder", folder, True),
        ("Files", [file.name for file in receipt.files], True),
        ("Request ids", list(receipt.request_ids), in_full),
    ]
    output.facts({heading: value for heading, value, wanted in facts if wanted and value not in ("", [], {})})


def conclude_set_aside(paths: Sequence[str], output: Output) -> int:
    """Say that files which somebody had edited were set aside, and return exit code 3; 0 if there are none."""
    if not paths:
        return 0
    more = f", and {counted(len(paths) - 1, 'more')}" if len(paths) > 1 else ""
    return output.conclude(
        f"A file that was edited or damaged is kept as {paths[0]}{more}.",
        remedy="The pull itself is complete. Keep notes in a copy outside the folder of the pulls.",
        exit_code=3,
    )


def total_of(receipt: Receipt | None) -> list[Money]:
    """Return the amount that a pull comes to, in each of its currencies: the last of its kind's totals."""
    if receipt is None:
        return []
    return money_of(receipt.totals, table_of(Kind(receipt.request["kind"])).totals[-1])


def _totals(receipt: Receipt) -> dict[str, Money | list[Money]]:
    columns = dict.fromkeys(column for sums in receipt.totals.values() for column in sums)
    return {column: money_of(receipt.totals, column) for column in columns}
