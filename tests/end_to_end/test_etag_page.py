"""The program in docs/etags.md computes, with the standard library alone, the eTags that Counterfoil gives."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from counterfoil.generator import generate
from counterfoil.model import Kind, Rendering, Scope
from counterfoil.periods import BillingPeriod
from counterfoil.testing import Server

PAGE = Path(__file__).parents[2] / "docs" / "etags.md"
PARTNER = "0e195b37-4574-4539-bc42-0e539b9684c0"
COUNT = 1_500
# What only a reader of every byte gets right: escapes, spaces, an object, a number that no float holds, another case.
STRANGE = (
    b', "Novel": {"b": [1.00, "a, \\u00e9"] , "c": null}, "CARBON": 0.10000000000000000000001, "Empty": "", '
    b'"Note": "x\\u2028\\"y", "Gone": null, "Flag": true}\n'
)


@pytest.mark.parametrize("kind", Kind)
def test_a_stranger_computes_the_same_etag_from_the_blobs_and_from_the_input(kind: Kind, tmp_path: Path) -> None:
    [program] = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    script = tmp_path / "etag.py"
    script.write_text(program, encoding="utf-8")
    billed = kind is Kind.RECONCILIATION
    month = BillingPeriod(2026, 11)
    scope = Scope.billed("G016907411") if billed else Scope.unbilled(month, "EUR")
    lines = b"".join(generate(kind, COUNT, seed=3, special=True, partner=PARTNER, scope=scope)).splitlines(
        keepends=True
    )
    lines[::5] = [line.replace(b"}\n", STRANGE) for line in lines[::5]]
    given = tmp_path / "lines.jsonl"
    given.write_bytes(b"".join(lines))
    with Server(now="2026-11-21") as server:
        [receipt] = server.publish(given) if billed else server.publish(given, period="2026-11")
        assert receipt.revision is not None
        service = server.service
        blobs = [
            str(service.settings.data / "files" / file.path)
            for file in service.catalog.files(receipt.revision.id, Rendering.GRAPH_FULL)
        ]
        names = [kind.value, PARTNER, scope.invoice, scope.period, scope.currency]
        for paths in (blobs, [str(given)]):
            done = subprocess.run(
                [sys.executable, "-I", "-S", script, *names, *paths], capture_output=True, text=True, check=True
            )
            assert done.stdout.strip() == receipt.etag
