"""A backup is one moment of a data folder that is in use, whole or not there; a new folder of it is sound."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from counterfoil.errors import CounterfoilError, DamagedError, FullDiskError, UsageError
from counterfoil.lifetimes_and_sizes import UNBILLED_KEPT
from counterfoil.model import Rendering
from counterfoil.storage import sqlite
from counterfoil.storage.activity import Action
from counterfoil.storage.backup_restoring import restore_backup
from counterfoil.storage.backups import BackupFacts, back_up
from counterfoil.storage.engines import open_store
from counterfoil.storage.places import UNLISTED
from counterfoil.storage.secrets import load_or_create_keyring
from counterfoil.storage.store import Store
from tests.storage.preparing import INVOICES, NOW, PARTNER, USAGE, published

FORMS = ["backup", "backup.tar"]


@pytest.fixture(scope="module")
def kept_backups(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a partner, a client, keys and three publications, one superseded; and backups of it."""
    folder = tmp_path_factory.mktemp("kept")
    data = folder / "data"
    with open_store(data) as store:
        store.catalog.add_partner(PARTNER, NOW, name="Contoso")
        store.catalog.add_client(PARTNER, "billing", NOW)
        for amount, dataset in ((1, USAGE), (2, USAGE), (3, INVOICES[0])):
            published(store, amount, NOW + timedelta(seconds=amount), dataset)
    load_or_create_keyring(data)
    for form in FORMS:
        made(data, folder / form)
    return folder


@pytest.fixture
def data(kept_backups: Path, tmp_path: Path) -> Path:
    """A copy of the data folder."""
    return Path(shutil.copytree(kept_backups / "data", tmp_path / "data"))


def made(data: Path, target: Path, *, keys: bool = True) -> BackupFacts:
    with open_store(data) as store:
        return back_up(store, data, sqlite.database_path(data, None), target, NOW, keys=keys, progress=lambda *_: None)


def restored(source: Path, data: Path) -> BackupFacts:
    return restore_backup(source, data, NOW, lambda *_: None)


def faults(data: Path) -> list[str]:
    """All that is not as the catalog says, in files that hold no line items."""
    with open_store(data, create=False) as store:
        found = [*store.catalog.faults(), *(what for _, what in store.catalog.log.faults())]
        found += [each.path for each in store.unlisted() if not each.path.startswith(UNLISTED)]
        return found + [file.path for file in store.catalog.all_files() if store.files.get(file.path) is None]


def state(store: Store) -> object:
    catalog = store.catalog
    return catalog.partners(), catalog.clients(PARTNER), [catalog.revisions(each) for each, _ in catalog.datasets()]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("keys", [True, False])
def test_a_new_folder_of_a_backup_is_what_was_backed_up(data: Path, tmp_path: Path, form: str, *, keys: bool) -> None:
    target, new = tmp_path / "kept" / form, tmp_path / "new"
    facts = made(data, target, keys=keys)
    paths = [target, *target.rglob("*")]
    assert {path.stat().st_mode & 0o777 for path in paths if path.is_file()} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in paths if path.is_dir()} <= {0o700}
    assert restored(target, new) == facts
    assert faults(new) == []
    with open_store(data) as one, open_store(new, create=False) as two:
        assert state(one) == state(two)
        assert one.catalog.log.catalog() == two.catalog.log.catalog()
        published(two, 9, NOW + timedelta(hours=1))
        assert [each.action for each in one.catalog.activity(1)] == [Action.BACKUP]
        assert [each.action for each in two.catalog.activity(2)] == [Action.RESTORE_BACKUP, Action.PUBLISH]
    assert ((new / "secret").exists(), facts.has_keys) == (keys, keys)
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == [form]
    assert list((data / "scratch").iterdir()) == []


def test_what_a_sweep_takes_meanwhile_leaves_a_whole_backup_of_a_later_moment(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, swept = sqlite.copy, list[int]()

    def copy(source: Path, target: Path) -> None:
        real(source, target)
        if not swept:  # between the catalog and the files
            with open_store(data) as store:
                now = NOW + UNBILLED_KEPT + timedelta(days=1)
                swept.append(len(store.catalog.forget_revisions(now)))
                assert store.delete_forgotten().files >= 4

    monkeypatch.setattr(sqlite, "copy", copy)
    facts = made(data, tmp_path / "backup")
    assert swept == [1]
    assert facts.missing == ()
    restored(tmp_path / "backup", tmp_path / "new")
    assert faults(tmp_path / "new") == []


def test_a_publication_at_work_is_not_in_it_and_one_whose_record_is_late_is(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store(data) as store, store.begin(NOW) as at_work:
        with at_work.create(INVOICES[1], "whole", Rendering.LAKE) as writer:
            writer.write(b"half")

        def full(_: object) -> None:
            raise FullDiskError("no room")

        with monkeypatch.context() as patch:
            patch.setattr(type(store.catalog.log), "record", full)
            published(store, 5, NOW + timedelta(minutes=5))
        made(data, tmp_path / "backup")
    restored(tmp_path / "backup", tmp_path / "new")
    assert faults(tmp_path / "new") == []
    with open_store(tmp_path / "new") as store:
        revision = store.catalog.in_force(USAGE)
        assert revision is not None
        assert revision.contents.totals["Total"] == 5


def test_a_damaged_folder_is_backed_up_and_what_it_lacks_is_told(data: Path, tmp_path: Path) -> None:
    lost = next((data / "files" / "graph").rglob("*.gz"))
    lost.unlink()
    facts = made(data, tmp_path / "backup")
    assert facts.missing == (str(lost.relative_to(data / "files")),)
    assert restored(tmp_path / "backup", tmp_path / "new").missing == facts.missing


@pytest.mark.parametrize("form", FORMS)
def test_nothing_is_written_over(data: Path, tmp_path: Path, form: str) -> None:
    target = tmp_path / form
    made(data, target)
    with pytest.raises(UsageError, match="something at"):
        made(data, target)
    for occupied in (data, tmp_path / "file"):
        (tmp_path / "file").write_text("mine")
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(UsageError, match="is not empty"):
            restored(target, occupied)
        assert sorted(tmp_path.rglob("*")) == before
    (tmp_path / "empty").mkdir()
    restored(target, tmp_path / "empty")
    with pytest.raises(UsageError, match="There is no backup"):
        restored(tmp_path / "nowhere", tmp_path / "new")


def _cut(at: float) -> Callable[[Path], None]:
    def cut(tar: Path) -> None:
        with tar.open("rb+") as file:
            file.truncate(int(tar.stat().st_size * at) // 512 * 512)

    return cut


def _with_member(name: str, kind: bytes = tarfile.REGTYPE) -> Callable[[Path], None]:
    def add(tar: Path) -> None:
        with tarfile.open(tar, "a") as packed:
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.size = kind, "/etc/passwd", 1 if kind == tarfile.REGTYPE else 0
            packed.addfile(member, io.BytesIO(b"x"))

    return add


@pytest.mark.parametrize(
    "harm",
    [
        *(_cut(at) for at in (0, 0.1, 0.5, 0.9)),
        _with_member("../outside"),
        _with_member("/etc/outside"),
        _with_member("files/../../outside"),
        _with_member("catalog.sqlite-wal"),
        _with_member("files/link", tarfile.SYMTYPE),
        _with_member("files/hard", tarfile.LNKTYPE),
        _with_member("files/device", tarfile.CHRTYPE),
        _with_member("catalog.sqlite"),
        lambda tar: tar.write_bytes(b"no tar at all"),
        lambda tar: tar.write_bytes(tar.read_bytes().replace(b"Contoso", b"Fabrika")),
    ],
)
def test_a_file_that_is_no_whole_backup_makes_no_folder(
    kept_backups: Path, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    tar = Path(shutil.copy(kept_backups / "backup.tar", tmp_path))
    harm(tar)
    with pytest.raises(DamagedError):
        restored(tar, tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["backup.tar"]


@pytest.mark.parametrize("name", ["backup.json", "catalog.sqlite", "files/catalog.json", "a listing", "a blob"])
def test_a_folder_that_lacks_anything_makes_no_folder(kept_backups: Path, tmp_path: Path, name: str) -> None:
    folder = Path(shutil.copytree(kept_backups / "backup", tmp_path / "backup"))
    found = {"a listing": "publications", "a blob": "graph"}.get(name)
    lost = next((folder / "files" / found).rglob("*.*")) if found else folder / name
    lost.unlink()
    with pytest.raises(CounterfoilError):
        restored(folder, tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["backup"]


def test_a_killed_backup_leaves_nothing_that_looks_whole_and_the_next_one_is(data: Path, tmp_path: Path) -> None:
    target = tmp_path / "backup"
    program = (
        "import os, signal, sys; from pathlib import Path; from tests.storage import test_backups as t\n"
        "from counterfoil.storage import sqlite; from counterfoil.storage.backups import back_up\n"
        "from counterfoil.storage.engines import open_store\n"
        "data, target = map(Path, sys.argv[1:])\n"
        "def kill(_, count): count < 5 or os.kill(os.getpid(), signal.SIGKILL)\n"
        "with open_store(data) as store:\n"
        "    back_up(store, data, sqlite.database_path(data, None), target, t.NOW, keys=True, progress=kill)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, data, target],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    [left] = [path for path in tmp_path.iterdir() if path.name != "data"]
    assert ".unfinished-" in left.name
    with pytest.raises(DamagedError):
        restored(left, tmp_path / "new")
    with open_store(data) as store:
        store.clear_dead()
    assert list((data / "scratch").iterdir()) == []
    made(data, target)
    restored(target, tmp_path / "new")
    assert faults(tmp_path / "new") == []


def test_a_disk_without_hard_links_is_backed_up_too(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    made(data, tmp_path / "backup")
    shutil.rmtree(data)
    restored(tmp_path / "backup", data)
    assert faults(data) == []
