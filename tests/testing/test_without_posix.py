"""`serve --dev` and `counterfoil.testing` need nothing that only POSIX has."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_a_whole_export_is_served_without_posix(tmp_path: Path) -> None:
    script = [sys.executable, "-m", "tests.testing.without_posix_server", str(tmp_path)]
    done = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    exported, invoiced, has_page, requests = found["library"]
    assert (exported == invoiced > 5, has_page, requests) == (True, True, 1)
    assert found["command"] == [0, [200]]
    assert found["modules"] == []
