"""What is kept of former states, and of files that somebody edited: nothing is lost, wherever a run is killed."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
import pytest

from counterfoil.client import Client, Format, ask_billed
from counterfoil.client.pull_folder.former_states import FormerStates, former_beside
from counterfoil.client.pull_folder.target import PullFolder
from counterfoil.client.receipt import FILE_NAME, Receipt, identity
from counterfoil.errors import LockedError, UsageError
from counterfoil.model import Kind
from tests.client.folders import left_in
from tests.client.hostile_source import HostileSource, usage_line, written

ASK = ask_billed(Kind.USAGE, "G016907411")
KILLED = 99
CHANGING = {"os.rename", "os.link", "os.mkdir", "os.remove", "os.rmdir", "shutil.copyfile", "shutil.rmtree"}


def change(source: HostileSource, number: int) -> None:
    """Give the source another state."""
    source.parts, source.etag = [[written(usage_line(each)) for each in range(number)]], f"state {number}"


def contents(*folders: Path) -> set[bytes]:
    return {path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


def test_former_states_are_kept_beside_the_folder_and_the_oldest_go(
    source: HostileSource, client: Client, tmp_path: Path
) -> None:
    to, former = tmp_path / "to", tmp_path / "to~former"
    counts = []
    for number in (1, 2, 3, 4, 5):
        change(source, number)
        client.pull(ASK, to, format=Format.CSV, keep=2)
        states = FormerStates(former).states()
        counts.append(len(states))
        kept = [Receipt.read(each) for each in states]
        assert [each.line_items for each in kept if each] == list(range(1, number))[-2:]
        for folder, each in zip(states, kept, strict=True):
            assert each is not None
            assert not any(file.difference(folder) for file in each.files)
    assert counts == [0, 1, 2, 2, 2]
    assert left_in(to) == [FILE_NAME, "usage.csv"]
    change(source, 6)
    client.pull(ASK, to, format=Format.CSV, keep=0)
    assert FormerStates(former).states() == []


def test_a_former_state_that_somebody_changed_is_not_deleted(
    source: HostileSource, client: Client, tmp_path: Path
) -> None:
    for number in (1, 2):
        change(source, number)
        client.pull(ASK, tmp_path / "to", format=Format.CSV)
    [first] = FormerStates(tmp_path / "to~former").states()
    (first / "notes.txt").write_text("mine")
    for number in (3, 4):
        change(source, number)
        client.pull(ASK, tmp_path / "to", format=Format.CSV, keep=1)
    assert (first / "notes.txt").read_text() == "mine"
    assert len(FormerStates(tmp_path / "to~former").states()) == 2


def test_the_same_line_items_written_anew_are_no_former_state(
    source: HostileSource, client: Client, tmp_path: Path
) -> None:
    client.pull(ASK, tmp_path / "to", format=Format.CSV)
    before = (tmp_path / "to" / "usage.csv").read_bytes()
    receipt = client.pull(ASK, tmp_path / "to", format=Format.XLSX)
    assert receipt.formats == ("csv", "xlsx")
    assert (tmp_path / "to" / "usage.csv").read_bytes() == before
    assert not (tmp_path / "to~former").exists()
    assert client.pull(ASK, tmp_path / "to", format="csv").already_held


def test_a_format_that_somebody_deleted_does_not_come_back_unasked(
    source: HostileSource, client: Client, tmp_path: Path
) -> None:
    client.pull(ASK, tmp_path / "to", format=[Format.CSV, "xlsx"])
    (tmp_path / "to" / "usage.xlsx").unlink()
    assert client.pull(ASK, tmp_path / "to", format="csv").format == "csv"
    assert left_in(tmp_path / "to") == [FILE_NAME, "usage.csv"]


@pytest.mark.parametrize("links", [True, False], ids=["links", "copies"])
def test_whatever_somebody_made_of_a_file_is_kept(
    source: HostileSource, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    """Edited, cut off, emptied, replaced by a link or a folder: each is there afterwards, and so is the new state."""

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EOPNOTSUPP, "no links here")

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    elsewhere = tmp_path / "elsewhere.csv"
    elsewhere.write_text("from elsewhere")
    to = tmp_path / "to"
    kept: set[bytes] = set()

    def as_link(path: Path) -> None:
        path.unlink()
        path.symlink_to(elsewhere)

    def as_folder(path: Path) -> None:
        path.unlink()
        path.mkdir()
        (path / "inside.txt").write_text("inside")

    deeds: list[tuple[Callable[[Path], Any], bytes | None]] = [
        (lambda path: path.write_bytes(b"edited"), b"edited"),
        (lambda path: path.write_bytes(path.read_bytes()[:40]), None),
        (lambda path: path.write_bytes(b""), b""),
        (as_link, b"from elsewhere"),
        (as_folder, b"inside"),
    ]
    client.pull(ASK, to, format="csv")
    for deed, content in deeds:
        deed(to / "usage.csv")
        kept.add(content if content is not None else (to / "usage.csv").read_bytes())
        receipt = client.pull(ASK, to, format="csv")
        assert len(receipt.set_aside) == 1
        assert not any(file.difference(to) for file in receipt.files)
        assert kept <= contents(tmp_path / "to~former")
        assert client.pull(ASK, to, format="csv").set_aside == ()
    assert elsewhere.read_text() == "from elsewhere"


def test_a_file_that_is_being_written_to_is_not_copied_half(
    source: HostileSource, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the disk has no links, the copy would lack what is still to be written; nothing is replaced then."""
    client.pull(ASK, tmp_path / "to", format="csv")
    mine = tmp_path / "to" / "usage.csv"
    mine.write_bytes(b"half")
    copyfile = shutil.copyfile

    def written_to(source: Path, target: Path) -> None:
        copyfile(source, target)
        mine.write_bytes(b"half and half")

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EXDEV, "another disk")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(shutil, "copyfile", written_to)
    with pytest.raises(LockedError, match="is being written to"):
        client.pull(ASK, tmp_path / "to", format="csv")
    assert mine.read_bytes() == b"half and half"
    monkeypatch.setattr(shutil, "copyfile", copyfile)
    client.pull(ASK, tmp_path / "to", format="csv")
    assert b"half and half" in contents(tmp_path / "to~former")


def test_a_changed_address_changes_nothing(source: HostileSource, client: Client, tmp_path: Path) -> None:
    client.pull(ASK, tmp_path / "to", format="csv")
    source.url = source.url.replace("127.0.0.1", "localhost")
    with Client(source.url, "token") as other:
        assert other.pull(ASK, tmp_path / "to", format="csv").already_held


def test_no_former_state_lies_where_tools_read(source: HostileSource, client: Client, tmp_path: Path) -> None:
    """What Power Query's `Folder.Files` and a `**/*.parquet` find sums to the receipts, also after changes."""
    root = tmp_path / "pulls"
    former = former_beside(root)
    asks = [ask_billed(Kind.USAGE, invoice) for invoice in ("G000000001", "G000000002")]
    for number in (3, 4, 5):
        change(source, number)
        for ask in asks:
            to = root / "usage" / ask.invoice
            receipt = client.pull(ask, to, format=["csv", "parquet"], former=former / "usage" / ask.invoice)
            if number == 4:
                (to / "usage.csv").write_bytes(b"edited")
    everything = [path for path in root.rglob("*") if path.is_file()]
    named = [path for path in everything if path.name == "usage.csv" and ".counterfoil-pull" not in path.parts]
    lines = sum(arrow_csv.read_csv(path).num_rows for path in named)
    stored = sum(pq.read_metadata(path).num_rows for path in everything if path.suffix == ".parquet")
    assert lines == stored == 2 * receipt.line_items == 10
    assert len(list(former.rglob(FILE_NAME))) == 4
    assert len(list(former.rglob("usage.edited-*.csv"))) == 2


def test_nothing_beside_a_root_is_refused(source: HostileSource, client: Client) -> None:
    with pytest.raises(UsageError, match="has no folder beside it"):
        former_beside(Path("/"))


@pytest.mark.parametrize("every", [9, pytest.param(1, marks=pytest.mark.chaos)])
def test_a_run_that_is_killed_at_any_step_loses_nothing(
    source: HostileSource, client: Client, tmp_path: Path, every: int
) -> None:
    """A child process replaces an edited state and ends before its first change of the disk, its second, and so on."""
    to, former, whole = tmp_path / "to", tmp_path / "to~former", tmp_path / "whole"
    change(source, 1)
    client.pull(ASK, whole, format=["csv", "parquet"])
    unchanged, edited = (whole / "usage.csv").read_bytes(), b"with notes"
    [mine] = whole.glob("*.parquet")
    mine.write_bytes(edited)
    change(source, 2)
    client.pull(ASK, tmp_path / "new", format=["csv", "parquet"])
    steps = 0
    while True:
        for each in (to, former):
            shutil.rmtree(each, ignore_errors=True)
        shutil.copytree(whole, to)
        steps += every
        is_done = replaced_by_a_child(to, tmp_path / "new", steps)
        assert {unchanged, edited} <= contents(to, *([former] if former.exists() else [])), steps
        receipt = client.pull(ASK, to, format=["csv", "parquet"])
        assert not any(file.difference(to) for file in receipt.files), steps
        assert left_in(to) == sorted([FILE_NAME, *(file.name for file in receipt.files)]), steps
        assert [path.read_bytes() for path in former.glob("part-*.edited-*.parquet")] == [edited], steps
        [state] = FormerStates(former).states()
        kept = Receipt.read(state)
        assert kept is not None
        assert (kept.formats, (state / "usage.csv").read_bytes()) == (("csv",), unchanged), steps
        assert not list(former.glob(".*")), steps
        if is_done:
            break
    assert steps > 12


def replaced_by_a_child(to: Path, new: Path, step: int) -> bool:
    """Put the files of a finished pull in place of those in a folder, in a child that ends before a step.

    Returns whether it came to its end.
    """
    receipt = Receipt.read(new)
    assert receipt is not None
    child = os.fork()
    if child == 0:
        left = step

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal left
            is_write = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
            if event in CHANGING or is_write:
                left -= 1
                if not left:
                    os._exit(KILLED)

        code = KILLED + 1
        try:
            folder = PullFolder(to, identity(receipt.api, receipt.request), receipt.source)
            folder.enter()
            for file in receipt.files:
                shutil.copyfile(new / file.name, folder.staging / file.name)
            sys.addaudithook(hook)
            folder.keep(receipt)
            folder.leave()
            code = 0
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, KILLED)
    return code == 0


def test_edited_copies_of_one_second_have_names_of_their_own(tmp_path: Path) -> None:
    states = FormerStates(tmp_path / "to~former")
    names = []
    for content in (b"one", b"two"):
        path = tmp_path / "usage.xlsx"
        path.unlink(missing_ok=True)
        path.write_bytes(content)
        names.append(states.set_aside(path, "2026-11-28T14:35:05Z").name)
        assert states.set_aside(path, "2026-11-28T14:35:06Z").name == names[-1], "kept twice"
    assert names == ["usage.edited-2026-11-28T14-35-05Z.xlsx", "usage.edited-2026-11-28T14-35-05Z-2.xlsx"]
