"""The documentation is a test: what it names exists, what it shows runs, and what is made from code is fresh."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from counterfoil.cli import COMMANDS, main
from tools import write_docs

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
# Put together here, so that this file is not the first to break its own rule.
REGISTRIES = ["py" + "pi.org", "python" + "hosted.org", "npm" + "js.org", "npm" + "js.com", "deb." + "debian.org"]
MACHINE_PATHS = re.compile(r"(?<![\w.])/(?:work/(?:main|shared|steering)|far" + r"m/|opt/wh" + r"eels|tmp/bash_|root/)")


def each_page() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@pytest.mark.parametrize("page", write_docs.PARTS)
def test_pages_made_from_code_are_fresh(page: str) -> None:
    assert (ROOT / "docs" / page).read_text(encoding="utf-8") == write_docs.made(page), "run `make docs`"


def options(command: click.Command, path: str) -> Iterator[tuple[str, click.Option]]:
    yield from ((f"{path} {each.name}", each) for each in command.params if isinstance(each, click.Option))
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from options(inner, f"{path} {name}")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_says_what_it_does(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert command.help
    assert [path for path, option in options(command, name) if not option.help and not option.hidden] == []


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page()
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in link:
            path, _, anchor = link.partition("#")
            target = page.parent / path if path else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


def shown(page: Path) -> list[str]:
    """The commands of all console blocks that are marked to be run, each on one line."""
    blocks = re.findall(r"<!-- run -->\n```console\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", "").splitlines()
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


@pytest.mark.parametrize("page", [page for page in PAGES if shown(page)], ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_marked_to_be_run_run(page: Path, tmp_path: Path) -> None:
    environ = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for command in shown(page):
        done = subprocess.run(
            ["/bin/sh", "-c", command], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
        )
        assert (done.returncode, "Traceback" in done.stderr) == (0, False), f"{command}\n{done.stderr}"


@each_page()
def test_commands_and_options_that_are_shown_exist(page: Path) -> None:
    """Also in blocks that are not run: `counterfoil x --y` names a command, and an option of it."""
    text = page.read_text(encoding="utf-8").replace("\\\n", "")
    for line in re.findall(r"\$ (?:[A-Z]+=\$\()?counterfoil ([^)\n|]*)", text):
        name, *rest = line.split()
        command = main.get_command(click.Context(main), name)
        assert command is not None, line
        if isinstance(command, click.Group):
            command = command.commands[rest[0]]
        known = {spelling for parameter in command.params for spelling in parameter.opts}
        assert {word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)} <= known, line


def test_every_dependency_has_its_line_and_every_line_its_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    development = (ROOT / "requirements/development.in").read_text(encoding="utf-8").splitlines()
    declared = [
        [re.split(r"[<>=\[ ]", line)[0] for line in lines if not line.startswith("#")]
        for lines in (project["dependencies"], extras["server"], extras["postgres"], development)
    ]
    sections = (ROOT / "docs/dependencies.md").read_text(encoding="utf-8").split("\n## ")[1:]
    assert [re.findall(r"^\| `([^`]+)`", section, re.MULTILINE) for section in sections] == declared


def tracked() -> list[Path]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this is no clone")
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def test_no_file_names_a_package_registry_or_a_path_of_some_machine() -> None:
    for path in tracked():
        text = path.read_bytes().decode("utf-8", errors="replace")
        assert not [name for name in REGISTRIES if name in text], path
        assert not MACHINE_PATHS.search(text), path


@pytest.mark.parametrize("name", ["client", "server", "development"])
def test_locks_name_exact_versions_with_hashes_and_no_address(name: str) -> None:
    text = (ROOT / f"requirements/{name}.txt").read_text(encoding="utf-8")
    packages = [line for line in text.splitlines() if re.match(r"[a-z]", line)]
    assert len(packages) > 10
    for package in packages:
        assert re.match(r"[a-z0-9._-]+==[0-9a-z.]+( ; .*)? \\$", package), package
    entries = re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)[1:]
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text
    assert "--index" not in text
