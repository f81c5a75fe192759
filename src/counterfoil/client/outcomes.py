"""What one way of pulling found, before the receipt is written; and how certain it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from counterfoil.client.blobs import Facts
from counterfoil.client.proof import Promise, Tally
from counterfoil.client.receipt import ReceiptBlob, ReceiptFile
from counterfoil.columns import table_of
from counterfoil.model import Kind


class Api(StrEnum):
    """The two APIs that a source may speak."""

    GRAPH = "graph"
    V1 = "v1"


class Form(StrEnum):
    """What a pull leaves on disk.

    The line items as they came; exact Parquet with the lake's columns; or one file with Partner Center's own headers
    and order, as CSV or as an Excel workbook.
    """

    BLOBS = "blobs"
    PARQUET = "parquet"
    CSV = "csv"
    XLSX = "xlsx"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a pull brought: the data, and what could be said for it."""

    operation: str
    etag: str
    tally: Tally
    checked: tuple[str, ...]
    unchecked: tuple[str, ...]
    blobs: tuple[ReceiptBlob, ...]
    files: tuple[ReceiptFile, ...]
    inexact: Mapping[str, int] = field(default_factory=dict)


def together(facts: list[Facts]) -> Tally:
    """Return the tally of all."""
    tally = Tally()
    for each in facts:
        tally.merge(each.tally)
    return tally


def rounded(facts: list[Facts]) -> dict[str, int]:
    """Return how many decimals of each column had to be rounded, in all."""
    counts: dict[str, int] = {}
    for each in facts:
        for column, count in each.inexact.items():
            counts[column] = counts.get(column, 0) + count
    return counts


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
