"""A folder of input files, as the `load` option of `counterfoil serve` takes it.

Line items do not say which month an unbilled dataset is of, so a name must: `2026-11` anywhere in the file's name or in
a folder above it. A file without a month holds billed data, whose line items name the invoice. The first folder may be
a partner's tenant id, for a distributor's resellers.
"""

from __future__ import annotations

import re
from pathlib import Path

from counterfoil.datasets.check import Assertions
from counterfoil.datasets.gathering import Input
from counterfoil.errors import UsageError
from counterfoil.model import is_guid
from counterfoil.periods import BillingPeriod

_MONTH = re.compile(r"(?<![0-9])([0-9]{4}-(?:0[1-9]|1[0-2]))(?![0-9])", re.ASCII)
_SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv", ".json.gz", ".jsonl.gz", ".ndjson.gz", ".csv.gz", ".parquet")


def inputs_of_folder(folder: Path) -> list[Input]:
    """Return every line item file below `folder` with what its name says; raises UsageError if there is none."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder.", remedy="Name a folder of line item files.", parameter="load")
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name.lower().endswith(_SUFFIXES))
    if not files:
        raise UsageError(
            f"{folder} holds no line item files.",
            remedy=f"Their names end in {', '.join(_SUFFIXES[:4])} (or .gz), or in .parquet.",
        )
    return [Input(str(path), _named_by(path.relative_to(folder))) for path in files]


def _named_by(path: Path) -> Assertions:
    folder = path.parts[0].strip().lower()
    months = _MONTH.findall(str(path))
    period = BillingPeriod.parse(months[-1]) if months else None
    return Assertions(partner=folder if is_guid(folder) else "", period=period)
