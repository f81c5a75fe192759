"""`make bench`: one line for each row - name, ours, peer, ratio, floor, and `ok` or `BELOW`.

Ours and the peer take turns, and the median counts, so that whatever else the machine does hits both. Absolute
figures mean little on a shared machine; ratios hold.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version

from bench import client, compute, crowd, matching, memory, published_side, serving, startup
from bench.data import Sample, prepared
from bench.measure import Row, os_release

ROWS: dict[str, Callable[[Sample, int], Iterator[Row]]] = {
    "render": compute.render,
    "publish": compute.publish,
    "command": compute.command,
    "hash": compute.hashing,
    "export": serving.export,
    "pages": serving.pages,
    "blob": serving.blob,
    "client": client.client,
    "crowd": crowd.crowd,
    "small": crowd.small,
    "totals": published_side.totals,
    "audit": published_side.audit,
    "startup": startup.startup,
    "many": startup.many,
    "kernels": startup.kernels,
    "match": matching.match,
    "memory": memory.memory,
    "client-memory": client.client_memory,
}


def main() -> int:
    """Measure what was asked for; returns 1 if any floor was missed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("rows", nargs="*", choices=[*ROWS, []], help="which rows (all, if none is named)")
    parser.add_argument("--line-items", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5, help="how often ours and the peer take turns")
    options = parser.parse_args()
    parts = ", ".join(f"{name} {version(name)}" for name in ("duckdb", "pyarrow", "msgspec", "isal", "uvicorn"))
    print(f"{os_release()}; Python {platform.python_version()}; {parts}")
    # A row would count what compiles them as its own.
    subprocess.run([sys.executable, "-m", "counterfoil", "warm-up"], check=True, stdout=subprocess.DEVNULL)
    print(f"{options.line_items:,} line items, {options.rounds} rounds\n")
    print(f"{'what':<68} {'ours':>12} {'peer':>12} {'ratio':>7} {'floor':>7}")
    missed = False
    with prepared(options.line_items) as sample:
        for name in options.rows or ROWS:
            for row in ROWS[name](sample, options.rounds):
                print(row, flush=True)
                missed = missed or not row.good
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
