"""The recipes for other stacks run as they are printed, where their toolchains are installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parent.parent.parent / "docs" / "recipes.md"
JAVA_LIBRARIES = Path("/usr/share/java")
JUNIT = (
    "junit-jupiter-api",
    "junit-jupiter-engine",
    "junit-platform-commons",
    "junit-platform-console",
    "junit-platform-engine",
    "junit-platform-launcher",
    "junit-platform-reporting",
    "apiguardian-api",
    "opentest4j",
    "picocli",
    "univocity-parsers",
)
RUN_S_MAX = 300
pytestmark = pytest.mark.soak


def recipe(name: str) -> str:
    found = re.search(rf"<!-- recipe: {name} -->\n```\w+\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


def run(command: list[str], folder: Path) -> str:
    environ = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=RUN_S_MAX
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node")
def test_the_recipe_for_node_runs(tmp_path: Path) -> None:
    (tmp_path / "billing.test.mjs").write_text(recipe("node"), encoding="utf-8")
    assert re.search(r"pass 1\b", run(["node", "--test", "billing.test.mjs"], tmp_path))


@pytest.mark.skipif(not (JAVA_LIBRARIES / "junit-jupiter-api.jar").exists(), reason="there is no JUnit 5")
def test_the_recipe_for_junit_runs(tmp_path: Path) -> None:
    (tmp_path / "BillingTest.java").write_text(recipe("junit"), encoding="utf-8")
    jars = [str(path) for name in JUNIT if (path := JAVA_LIBRARIES / f"{name}.jar").exists()]
    classes = os.pathsep.join([*jars, str(tmp_path)])
    run(["javac", "-cp", classes, "BillingTest.java"], tmp_path)
    main = "org.junit.platform.console.ConsoleLauncher"
    told = run(["java", "-cp", classes, main, "--class-path", str(tmp_path), "--select-class", "BillingTest"], tmp_path)
    assert "1 tests successful" in told
