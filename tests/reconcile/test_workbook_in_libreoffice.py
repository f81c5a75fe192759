"""The workbook of a comparison, opened by LibreOffice without a screen: it computes the sums anew, and they are right.

Installing LibreOffice takes a minute and half a gigabyte, so `make soak` runs this, and installs it if it is missing.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

import pytest

from counterfoil import numbers
from counterfoil.reconcile.explaining import arithmetic as exact
from tests.client.spreadsheets import office, opened
from tests.reconcile import made_reports as made

pytestmark = pytest.mark.soak
__all__ = ["office"]


@pytest.mark.parametrize("make", [made.two_causes, made.many], ids=lambda make: make.__name__)
def test_libreoffice_computes_the_same_sums_from_falsified_results(make: Any, tmp_path: Path, office: str) -> None:
    path = tmp_path / "report.xlsx"
    with make(tmp_path / "result") as comparison:
        document: dict[str, Any] = comparison.to_json()
        comparison.write_workbook(path)
    assert falsify(path) > 15
    seen = opened(office, path)
    told = {row[0]: row for row in seen["Summary"] if row[0]}
    rows = [row for row in seen["Summary"] if len(row) > 4 and row[4] and row[4] != "Running total"]
    assert close(rows[-1][1], document["right"]["total"])
    assert close(rows[-1][4], document["right"]["total"])
    assert close(told["Difference"][1], document["difference"])
    assert close(told["Excel's sum less the exact total"][1], "0")
    running = numbers.exact(document["left"]["total"])
    for row, cause in zip(rows[1:-1], document["causes"], strict=True):
        running = numbers.add(running, numbers.exact(cause["amount"]))
        assert close(row[4], numbers.plain(running))
    for name in ("By customer", "By subscription"):
        sums = seen[name][-1]
        assert close(sums[2], document["left"]["total"])
        assert close(sums[3], document["right"]["total"])
        assert close(sums[4], document["difference"])
    assert close(seen["Lines"][-1][11], document["difference"])
    *bars, last = ([numbers.exact(text) for text in row[1:5]] for row in seen["Chart data"][2:])
    assert all(each >= 0 for bar in (*bars, last) for each in bar)
    begin = numbers.exact(seen["Chart data"][0][1])
    assert close(numbers.plain(numbers.add(begin, last[1])), document["right"]["total"])


def close(text: str, wanted: str) -> bool:
    """Whether a number is an exact amount, as far as Excel's fifteen digits go."""
    return exact.subtract(numbers.exact(text), numbers.exact(wanted)).copy_abs() < numbers.exact("0.000001")


def falsify(path: Path) -> int:
    """Put 1 in place of every computed value, so that only a program that computes finds the right one."""
    falsified, found = path.with_name("falsified.xlsx"), 0
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(falsified, "w", zipfile.ZIP_DEFLATED) as after:
        for name in before.namelist():
            body, count = re.subn(rb"</f><v>[^<]*</v>", b"</f><v>1</v>", before.read(name))
            found += count if name.startswith("xl/worksheets/") else 0
            after.writestr(name, body)
    falsified.replace(path)
    return found
