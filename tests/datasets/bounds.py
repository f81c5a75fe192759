"""Run by test_scan in a process of its own, with NUMBA_BOUNDSCHECK=1: read, sort and seal by checking kernels."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from counterfoil.columns import table_of
from counterfoil.datasets.json_lines import JsonLinesReader
from counterfoil.datasets.kernels.compiled import prepare
from counterfoil.datasets.kernels.lines import hash_of
from counterfoil.line_items.blocks import Block
from counterfoil.model import Dataset, Scope
from counterfoil.periods import BillingPeriod, utc_now
from counterfoil.storage.engines import open_store
from tests.datasets.line_items import PARTNER, as_they_came, write_files
from tests.datasets.mutations import files
from tests.datasets.test_json_reading import by_reader, by_reference


def _is_checked() -> bool:
    try:
        hash_of(np.zeros(1, dtype=np.uint8), 0, 7)
    except IndexError:
        return True
    return False


def main() -> None:
    """Compare with the reference, and seal what was accepted."""
    prepare(wait=True)
    scope = Scope.unbilled(BillingPeriod(2026, 11), "EUR")
    with TemporaryDirectory() as folder, open_store(Path(folder)) as store:
        for kind, lines in files(seed=7, lines=int(sys.argv[1])):
            if by_reader(kind, lines) != by_reference(kind, lines):
                raise SystemExit(f"not read alike: {lines}")
            for batch in JsonLinesReader(table_of(kind), lambda *_: None).read(Block(b"\n".join(lines), 1)):
                with store.begin(utc_now()) as publication:
                    write_files(store, publication, Dataset(kind, PARTNER, scope), as_they_came(batch))
    sys.stdout.write(json.dumps({"checked": _is_checked()}))


if __name__ == "__main__":
    main()
