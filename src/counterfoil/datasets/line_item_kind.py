"""The kind of line items, told by the names of their attributes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from counterfoil.columns import RECONCILIATION, USAGE, folded
from counterfoil.datasets.source import input_error
from counterfoil.errors import InputError
from counterfoil.line_items.reference import parse_object
from counterfoil.line_items.values import Refused
from counterfoil.model import Kind

_USAGE_MARKS: Final = frozenset({"usagedate", "billingpretaxtotal", "billingcurrency"})
_RECONCILIATION_MARKS: Final = frozenset({"subtotal", "taxtotal", "orderid", "orderdate", "billablequantity"})


def kind_of_object(line: bytes, file: str) -> Kind:
    """Return the kind of a line item that is one JSON object; raises InputError."""
    try:
        return kind_of_pairs(parse_object(line), file)
    except Refused as refused:
        raise input_error(refused, file, 1) from refused


def kind_of_pairs(pairs: list[tuple[str, Any]], file: str) -> Kind:
    """Return the kind of a parsed line item, which v1 says in so many words; raises InputError."""
    for key, value in pairs:
        if key.lower() == "invoicelineitemtype" and isinstance(value, str):
            for table in (RECONCILIATION, USAGE):
                if value.lower() == table.v1_line_item_type:
                    return table.kind
    return kind_of_names([key for key, _ in pairs], file)


def kind_of_names(names: Iterable[str], file: str, line: int = 1) -> Kind:
    """Return the kind that has attributes of these names, which are on this line; raises InputError."""
    known = {folded(name) for name in names}
    usage, reconciliation = len(known & _USAGE_MARKS), len(known & _RECONCILIATION_MARKS)
    if usage == reconciliation:
        raise InputError(
            "the first line is not a recognisable line item",
            file=file,
            line=line,
            remedy=f"Usage needs {', '.join(USAGE.required)}; reconciliation {', '.join(RECONCILIATION.required)}.",
        )
    return Kind.USAGE if usage > reconciliation else Kind.RECONCILIATION
