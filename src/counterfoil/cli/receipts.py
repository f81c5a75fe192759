"""Printing a receipt: in JSON with all its members and the folder; in a table without what few people ask for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from counterfoil.cli.output import Output, OutputForm

if TYPE_CHECKING:
    from counterfoil.client import Receipt


def show_receipt(
    output: Output, receipt: Receipt, folder: Path, *, in_full: bool = False, more: Mapping[str, object] | None = None
) -> None:
    """Print what came, and what is proven; in full with what was asked, checked and called. JSON has `more` too."""
    if output.form is OutputForm.JSON:
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
        ("Exact totals", _totals(receipt), True),
        ("eTag", receipt.etag, True),
        ("Operation", receipt.operation, True),
        ("Checked", list(receipt.checked), in_full),
        ("Not checkable", list(receipt.unchecked), True),
        ("Notes", list(receipt.notes), True),
        ("Folder", folder, True),
        ("Files", [file.name for file in receipt.files], True),
        ("Request ids", list(receipt.request_ids), in_full),
    ]
    output.facts({heading: value for heading, value, wanted in facts if wanted and value not in ("", [])})


def _totals(receipt: Receipt) -> list[str]:
    return [
        f"{column} {total} {currency}".rstrip()
        for currency, sums in receipt.totals.items()
        for column, total in sums.items()
    ]
