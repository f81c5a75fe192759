"""LibreOffice without a screen: it opens a file, computes it anew, and tells what each sheet has."""

from __future__ import annotations

import csv
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

PACKAGE: Final = "libreoffice-calc-nogui"
ALWAYS_COMPUTE: Final = """<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry" xmlns:xs="http://www.w3.org/2001/XMLSchema"
    xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<item oor:path="/org.openoffice.Office.Calc/Formula/Load"><prop oor:name="OOXMLRecalcMode" oor:op="fuse">
<value>0</value></prop></item></oor:items>
"""


@pytest.fixture(scope="module")
def office() -> str:
    """The program; needs root where it is not installed."""
    if shutil.which("soffice") is None:
        subprocess.run(["apt-get", "update", "-q"], check=True, stdout=subprocess.DEVNULL)
        install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", PACKAGE]
        subprocess.run(install, check=True, stdout=subprocess.DEVNULL)
    found = shutil.which("soffice")
    assert found is not None
    return found


def opened(office: str, path: Path, *, reading: Sequence[str] = ()) -> dict[str, list[list[str]]]:
    """Return the cells of each sheet: values as they are, not as shown. `reading` are options for the file's format."""
    into, home = path.parent / f"seen-{path.suffix[1:]}", path.parent / "profile"
    settings = home / "user" / "registrymodifications.xcu"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(ALWAYS_COMPUTE)
    # Comma, quotes, UTF-8, from line 1.
    writing = "csv:Text - txt - csv (StarCalc):44,34,76,1,,1033,false,false,false,false,false,-1"
    command = [office, f"-env:UserInstallation=file://{home}", "--headless", "--convert-to", writing, *reading]
    subprocess.run([*command, "--outdir", str(into), str(path)], check=True, capture_output=True, timeout=500)
    found = {}
    for each in into.glob(f"{path.stem}-*.csv"):
        with each.open(encoding="utf-8-sig", newline="") as file:
            found[each.stem.removeprefix(f"{path.stem}-")] = list(csv.reader(file))
    return found
