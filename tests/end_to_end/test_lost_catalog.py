"""A catalog that is lost, exchanged, emptied, older or damaged: nobody goes on with it, and no sealed file is lost."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from counterfoil.datasets.data_folder import DataFolder
from counterfoil.datasets.restore import withdraw
from counterfoil.datasets.sweep import sweep
from counterfoil.datasets.verify import verify
from counterfoil.errors import CounterfoilError, LostCatalogError
from counterfoil.model import Kind
from counterfoil.periods import utc_now
from counterfoil.storage.engines import open_store
from tests.datasets.line_items import PARTNER, amounts, folder_of, in_force, publish_bytes
from tests.end_to_end.lost_catalogs import USAGE, folder_to_lose, moved, run, state_of


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with segments, superseded revisions, a withdrawn dataset and a restored one whose rival was swept."""
    return folder_to_lose(tmp_path_factory.mktemp("original"))


@pytest.fixture
def data(original: Path, tmp_path: Path) -> Path:
    """That folder, beside the files that were published into it."""
    shutil.copytree(original.parent, tmp_path, dirs_exist_ok=True)
    return tmp_path / original.name


def emptied(data: Path) -> None:
    for path in data.glob("catalog.sqlite-*"):
        path.unlink()
    (data / "catalog.sqlite").write_bytes(b"")


def older(data: Path) -> None:
    copy = data.parent / "older.sqlite"
    shutil.copy(data / "catalog.sqlite", copy)
    with open_store(data) as store:
        withdraw(DataFolder(store, utc_now), USAGE)
    shutil.copy(copy, data / "catalog.sqlite")


def of_another_folder(data: Path) -> None:
    open_store(data.parent / "other").catalog.close()
    shutil.copy(data.parent / "other" / "catalog.sqlite", data / "catalog.sqlite")


def overwritten(data: Path) -> None:
    (data / "catalog.sqlite").write_bytes(b"\xff" * 50_000)


WAYS: list[Callable[[Path], None]] = [moved, emptied, older, of_another_folder, overwritten]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_nobody_goes_on_without_the_catalog_of_the_files_and_a_rebuilt_one_is_sound(
    data: Path, tmp_path: Path, way: Callable[[Path], None]
) -> None:
    before = state_of(data)
    way(data)
    files = folder_of(data)
    where = ("--data", str(data))
    for asked in (
        ("publish", str(tmp_path / "1"), "--period", "2026-11"),
        ("publish", str(tmp_path / "5")),
        ("sweep",),
        ("sweep", "--delete-unlisted"),
        ("serve", "--dev", "--port", "0"),
        ("list",),
    ):
        refused = run(*asked, *where)
        assert refused.exit_code == 1, refused.stdout
        assert "counterfoil rebuild" in refused.stderr
        assert "Traceback" not in refused.stderr
    assert folder_of(data) == files
    told = run("rebuild", *where)
    assert told.exit_code == 0, told.stderr
    assert "clients add" in told.stderr
    assert run("verify", *where).exit_code == 0
    assert files.items() <= folder_of(data).items()
    after = state_of(data)
    if way is not older:
        assert after.keys() == before.keys()
    for dataset, (current, revisions) in after.items():
        was, all_of_them = before[dataset]
        assert revisions == all_of_them
        if not (way is older and dataset == USAGE):
            assert current == was
    with open_store(data) as store:
        assert store.catalog.clients(PARTNER) == []
        assert store.unlisted() == []
        again = publish_bytes(
            DataFolder(store, utc_now), tmp_path / "7", amounts(Kind.USAGE, "7"), segment="2026-11-07"
        )
    usage, _ = before[USAGE]
    assert usage is not None
    assert in_force(again).number == usage.number + 1
    assert run("rebuild", *where).exit_code == 2, "there is nothing to rebuild"


def test_a_publication_that_may_never_have_been_committed_is_not_put_in_force_but_kept(
    data: Path, tmp_path: Path
) -> None:
    class Died(BaseException):
        pass

    def die(point: str) -> None:
        if point == "sealed":
            raise Died

    with open_store(data) as store, pytest.MonkeyPatch.context() as patch:
        patch.setattr("counterfoil.storage.store.Publication._clean", lambda _: None)  # as after kill -9
        with pytest.raises(Died):
            publish_bytes(
                DataFolder(store, utc_now, at_point=die), tmp_path / "8", amounts(Kind.USAGE, "8"), segment="x"
            )
        [lost] = store.catalog.unfinished_publications()
    before = state_of(data)
    moved(data)
    told = run("rebuild", "--data", str(data))
    assert (told.exit_code, lost in told.stdout) == (0, True)
    assert state_of(data) == before
    files = {name for name in folder_of(data) if lost in name}
    assert len(files) == 4
    named = run("verify", "--data", str(data))
    assert (named.exit_code, all(name in named.stdout for name in files)) == (1, True)
    doctor = run("doctor", "--data", str(data))
    assert "that the catalog does not list" in " ".join(doctor.stdout.split())
    assert run("sweep", "--data", str(data)).exit_code == 0
    kept = {str(path.relative_to(data / "files" / "unlisted")) for path in (data / "files/unlisted").rglob("*.*")}
    assert files < kept
    assert run("verify", "--data", str(data)).exit_code == 0
    assert run("sweep", "--data", str(data), "--delete-unlisted").exit_code == 0
    assert not (data / "files" / "unlisted").exists()


def test_a_catalog_that_went_back_can_be_kept_and_what_it_lost_is_set_aside(data: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite"
    shutil.copy(data / "catalog.sqlite", copy)
    with open_store(data) as store:
        lost = publish_bytes(DataFolder(store, utc_now), tmp_path / "9", amounts(Kind.USAGE, "9"), segment="y")
    shutil.copy(copy, data / "catalog.sqlite")
    files = folder_of(data)
    assert "went back in time" in run("list", "--data", str(data)).stderr
    assert run("rebuild", "--keep-catalog", "--data", str(data)).exit_code == 0
    assert run("verify", "--data", str(data)).exit_code == 1
    with open_store(data) as store:
        again = publish_bytes(DataFolder(store, utc_now), tmp_path / "9", amounts(Kind.USAGE, "9"), segment="y")
        assert again.etag == lost.etag
        sweep(store, utc_now())
    assert files.items() <= folder_of(data).items()


def test_a_backup_made_while_a_publication_was_open_deletes_no_file_of_it(tmp_path: Path) -> None:
    data, copy = tmp_path / "data", tmp_path / "copy.sqlite"

    def back_up(point: str) -> None:
        if point == "sealed":
            with closing(sqlite3.connect(data / "catalog.sqlite")) as now, closing(sqlite3.connect(copy)) as backup:
                now.backup(backup)

    with open_store(data) as store:
        publish_bytes(DataFolder(store, utc_now, at_point=back_up), tmp_path / "1", amounts(Kind.USAGE, "1"))
    shutil.copy(copy, data / "catalog.sqlite")
    files = folder_of(data)
    assert run("rebuild", "--keep-catalog", "--data", str(data)).exit_code == 0
    named = run("verify", "--data", str(data))
    assert (named.exit_code, ".parquet" in named.stdout) == (1, True)
    (tmp_path / "2").write_bytes(amounts(Kind.USAGE, "2"))
    told = run("publish", str(tmp_path / "2"), "--period", "2026-11", "--data", str(data))
    assert told.exit_code == 0, told.stderr
    assert run("sweep", "--data", str(data)).exit_code == 0
    assert files.items() <= (folder_of(data) | folder_of(data / "files" / "unlisted", "")).items()


def test_catalog_and_mark_set_back_together_are_noticed_and_nothing_is_written_over(data: Path, tmp_path: Path) -> None:
    for name in ("catalog.sqlite", "files/catalog.json"):
        shutil.copy(data / name, tmp_path / Path(name).name)
    with open_store(data) as store:
        withdraw(DataFolder(store, utc_now), USAGE)
    shutil.copy(tmp_path / "catalog.sqlite", data / "catalog.sqlite")
    shutil.copy(tmp_path / "catalog.json", data / "files/catalog.json")
    files = folder_of(data)
    for asked in (("list",), ("publish", str(tmp_path / "1"), "--period", "2026-11")):
        refused = run(*asked, "--data", str(data))
        assert (refused.exit_code, "went back in time" in refused.stderr) == (1, True)
    assert folder_of(data) == files
    assert run("rebuild", "--data", str(data)).exit_code == 0
    assert state_of(data)[USAGE][0] is None


def damaged(path: Path, chosen: random.Random) -> None:
    content = bytearray(path.read_bytes())
    written = [at for at, byte in enumerate(content) if byte]  # most of an almost empty page is never looked at
    content[chosen.choice(written)] ^= 1 << chosen.randrange(8)
    path.write_bytes(content)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder as a killed process leaves it: with its write-ahead log, after a publication and a revocation."""
    folder = tmp_path_factory.mktemp("sound")
    with open_store(folder / "data") as store:
        data_folder = DataFolder(store, utc_now)
        publish_bytes(data_folder, folder / "1", amounts(Kind.USAGE, "1"))
        one, _ = store.catalog.add_client(PARTNER, "one", utc_now())
        publish_bytes(data_folder, folder / "2", amounts(Kind.USAGE, "2"))
        store.catalog.revoke_client(PARTNER, one.id, utc_now())
        assert (folder / "data" / "catalog.sqlite-wal").stat().st_size
        shutil.copytree(folder / "data", folder / "copy")
        yield folder / "copy"


def what_is_found(data: Path) -> str:
    """Say whether the last publication and the revocation are there; if not, who says so, or nothing."""
    try:
        with open_store(data, create=False) as store:
            try:
                [client] = store.catalog.clients(PARTNER)
                revision = store.catalog.in_force(USAGE)
                assert revision is not None
                if client.revoked_at and revision.contents.plain_totals() == {"BillingPreTaxTotal": "2"}:
                    return "nothing is lost"
            except Exception as error:  # noqa: BLE001 - whatever reading damage raises
                return f"reading fails: {error!r}"
            return "".join(fault.what for fault in verify(store)[1])
    except CounterfoilError as error:
        return f"it does not open: {error}"


@pytest.mark.parametrize("flips", [15, pytest.param(200, marks=pytest.mark.soak)])
@pytest.mark.parametrize("which", ["catalog.sqlite", "catalog.sqlite-wal"])
def test_damage_of_the_catalog_or_its_log_loses_no_sealed_file_and_is_not_overlooked(
    sound: Path, tmp_path: Path, which: str, flips: int
) -> None:
    """Either the publication and the revocation are there, or opening or verifying says that something is wrong."""
    chosen, noticed = random.Random(15), 0
    (tmp_path / "more").write_bytes(amounts(Kind.USAGE, "3"))
    files = folder_of(sound)
    for number in range(flips):
        data = tmp_path / str(number)
        shutil.copytree(sound, data)
        damaged(data / which, chosen)
        found = what_is_found(data)
        assert found, f"damage {number} was overlooked"
        noticed += found != "nothing is lost"
        run("publish", str(tmp_path / "more"), "--period", "2026-11", "--data", str(data))
        run("sweep", "--data", str(data))
        aside = folder_of(data / "files" / "unlisted", "") if (data / "files" / "unlisted").exists() else {}
        assert files.items() <= (folder_of(data) | aside).items(), "a sealed file was lost"
        shutil.rmtree(data)
    assert noticed or which.endswith("wal"), "the log holds nothing that could be lost"


def test_nothing_that_must_not_be_lost_is_in_the_log_alone(sound: Path, tmp_path: Path) -> None:
    """The file without its log holds the last publication and the last revocation."""
    shutil.copy(sound / "catalog.sqlite", tmp_path / "catalog.sqlite")
    with closing(sqlite3.connect(tmp_path / "catalog.sqlite")) as database:
        assert database.execute("SELECT value FROM meta WHERE key = 'counter'").fetchall() == [("3",)]
        assert database.execute("SELECT count(*) FROM revisions WHERE superseded_at IS NULL").fetchall() == [(1,)]
        assert database.execute("SELECT count(*) FROM clients WHERE revoked_at IS NOT NULL").fetchall() == [(1,)]


def test_a_catalog_that_was_replaced_while_it_was_open_is_told(data: Path, tmp_path: Path) -> None:
    with open_store(data) as store:
        moved(data)
        assert run("rebuild", "--data", str(data)).exit_code == 0
        with pytest.raises(LostCatalogError):
            publish_bytes(DataFolder(store, utc_now), tmp_path / "8", amounts(Kind.USAGE, "8"), segment="x")
    assert run("list", "--data", str(data)).exit_code == 0
