"""What is installed: a wheel with its types, its licence and nothing else, of the version it says."""

import subprocess
import sys
import zipfile
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest

from tests.client.elsewhere import tried

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    arguments = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *arguments], check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_the_wheel_is_for_any_platform_and_holds_the_package_alone(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert wheel.name == f"counterfoil-{version('counterfoil')}-py3-none-any.whl"
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"counterfoil"}
    sources = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src/counterfoil").rglob("*.py")}
    pages = {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src/counterfoil/reconcile/reports/page_files").iterdir()
    }
    assert len(pages) == 6
    other = {"counterfoil/server/openapi.json", "counterfoil/generator/vocabulary.toml"}
    assert sources | pages | other <= set(names)


def test_the_wheel_says_that_it_is_typed_and_under_which_licence(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "counterfoil/py.typed" in names
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_the_wheel_pulls_as_on_windows_with_the_plain_install(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(tmp_path / "package")
    (tmp_path / "pulls").mkdir()
    tried(tmp_path / "pulls", tmp_path / "package")


def test_the_command_is_installed() -> None:
    (command,) = entry_points(group="console_scripts", name="counterfoil")
    assert command.value == "counterfoil.cli:main"
