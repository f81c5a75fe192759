"""Chromium without a window, driven by its command line: what a page looks like, computes, asks for and fails at.

What runs in a page is added to a copy of it, without the policy that would forbid that. No name is resolved, so the
housekeeping of the browser itself reaches nobody.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

_PACKAGES: Final = ("chromium", "nodejs", "npm")
_POLICY: Final = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
_FOUND: Final = re.compile(r'<pre id="found">(.*?)</pre>', re.DOTALL)
_WAIT_S: Final = 120


def program() -> str:
    """Return the browser; installs it where it is missing, which needs root."""
    if shutil.which("chromium") is None or shutil.which("npm") is None:
        subprocess.run(["apt-get", "update", "-q"], check=True, stdout=subprocess.DEVNULL)
        install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *_PACKAGES]
        subprocess.run(install, check=True, stdout=subprocess.DEVNULL)
    found = shutil.which("chromium")
    assert found is not None
    return found


class Browser:
    """Opens pages in a profile of its own, which is below `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._program = program()

    def run(self, page: Path, *options: str) -> subprocess.CompletedProcess[str]:
        """Open a page with these options; the browser ends by itself."""
        profile = f"--user-data-dir={self._folder / 'profile'}"
        always = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--host-resolver-rules=MAP * ~NOTFOUND",
        ]
        command = [self._program, *always, profile, *options, page.as_uri()]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=_WAIT_S)

    def picture(self, page: Path, into: Path, width: int, height: int, *, is_dark: bool = False) -> None:
        """Write a picture of a page; narrower ones than 500 pixels are shown in a frame, as no window is."""
        framed = self._folder / f"framed-{page.name}"
        frame = f'<iframe src="{page.as_uri()}" style="border:0;width:{width}px;height:{height}px"></iframe>'
        framed.write_text(f'<body style="margin:0">{frame}', encoding="utf-8")
        dark = ["--blink-settings=preferredColorScheme=0"] if is_dark else []
        self.run(framed, f"--window-size={max(width, 500)},{height}", f"--screenshot={into}", *dark)

    def printed(self, page: Path, into: Path) -> None:
        """Write a page as it is printed."""
        self.run(page, "--no-pdf-header-footer", f"--print-to-pdf={into}")

    def requests(self, page: Path) -> list[str]:
        """Return the address of every request that a page makes. The browser's own have no origin."""
        log = self._folder / "requests.json"
        self.run(page, f"--log-net-log={log}", "--dump-dom")
        events = json.loads(log.read_text(encoding="utf-8"))["events"]
        asked = [each["params"] for each in events if "initiator" in each.get("params", {})]
        return sorted(each["url"] for each in asked if each["initiator"] != "not an origin" and "url" in each)

    def complaints(self, page: Path) -> list[str]:
        """Return what the console says of a page: errors of its script, and what its policy refused."""
        done = self.run(page, "--enable-logging=stderr", "--v=0", "--dump-dom")
        return [line for line in done.stderr.splitlines() if "CONSOLE" in line]

    def evaluated(self, page: Path, script: str, *, scripts: Sequence[Path] = (), width: int = 1100) -> Any:
        """Return the JSON value of an expression, which may be a promise, after the page and `scripts` have run."""
        loaded = "".join(f"<script>{path.read_text(encoding='utf-8')}</script>" for path in scripts)
        tail = (
            '<pre id="found"></pre><script>(async () => { const into = document.getElementById("found"); into.remove();'
            f"let found; try {{ found = await ({script}); }} catch (error) {{ found = String(error); }}"
            "into.textContent = JSON.stringify(found); document.body.append(into); })();</script></body>"
        )
        source = _POLICY.sub("", page.read_text(encoding="utf-8"))
        copy = self._folder / f"copy-{page.name}"
        copy.write_text(source.replace("</body>", f"{loaded}{tail}"), encoding="utf-8")
        budget = "--virtual-time-budget=60000"
        done = self.run(copy, "--dump-dom", budget, f"--window-size={max(width, 500)},2000")
        found = _FOUND.search(done.stdout)
        assert found is not None, done.stderr
        return json.loads(html.unescape(found[1]))


def checker(folder: Path) -> Path:
    """Return the script of the accessibility checker axe."""
    subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder), "axe-core@4"],
        check=True,
        capture_output=True,
    )
    return folder / "node_modules" / "axe-core" / "axe.min.js"
