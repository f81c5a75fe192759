"""What is published stays provable: verify finds any change, restore gives equal contents, sweep takes nothing live."""

from __future__ import annotations

import gzip
import random
import shutil
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from counterfoil.datasets.data_folder import DataFolder
from counterfoil.datasets.restore import restore, withdraw
from counterfoil.datasets.sizes import Sizes
from counterfoil.datasets.sweep import Swept, sweep
from counterfoil.datasets.verify import verify
from counterfoil.errors import LockedError, MissingError
from counterfoil.model import Dataset, Kind, Rendering, Scope
from counterfoil.storage.engines import open_store
from tests.datasets.conftest import NOW
from tests.datasets.line_items import (
    PARTNER,
    PERIOD,
    amounts,
    billed,
    blob_items,
    folder_of,
    in_force,
    listed,
    paths,
    publish_bytes,
    raw_lines,
    unpacked,
    v1_items,
)

USAGE = Dataset(Kind.USAGE, PARTNER, Scope.unbilled(PERIOD, "EUR"))
LATER = NOW + timedelta(hours=49)
FLIPS = 400
SIZES = Sizes(part_line_items=20, row_group_line_items=1)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both kinds, in several parts and segments, one of them superseded: published once, and copied for each test."""
    folder = tmp_path_factory.mktemp("original")
    lines = raw_lines(Kind.USAGE, *({"SkuName": f'"\\u00e9{n}"', "CustomerId": f'"{n}"'} for n in range(30)))
    with open_store(folder / "data") as store:
        data_folder = DataFolder(store, lambda: NOW, sizes=SIZES)
        publish_bytes(data_folder, folder / "1", lines, segment="2026-11-01")
        publish_bytes(data_folder, folder / "2", lines, segment="2026-11-02")
        publish_bytes(data_folder, folder / "3", amounts(Kind.USAGE, "1"), segment="2026-11-02")
        told = replace(publish_bytes.__defaults__[0], period=None)  # type: ignore[index]
        publish_bytes(data_folder, folder / "4", billed(Kind.RECONCILIATION, "1", "2"), told)
        assert verify(store)[1] == []
    return folder / "data"


@pytest.fixture
def published(original: Path, data: Path) -> Iterator[DataFolder]:
    shutil.copytree(original, data)
    with open_store(data) as store:
        yield DataFolder(store, lambda: NOW, sizes=SIZES)


def test_a_sound_folder_is_counted_and_without_fault(published: DataFolder) -> None:
    seen, faults = verify(published.store)
    files = list(published.catalog.all_files())
    assert faults == []
    assert (seen.files, seen.size_bytes) == (len(files), sum(file.size_bytes for file in files))
    assert (seen.revisions, seen.line_items) == (4, 30 + 30 + 1 + 2)


def test_any_flipped_byte_of_any_file_is_found(published: DataFolder, data: Path) -> None:
    chosen = random.Random(20261121)
    kept = folder_of(data)
    kinds = {name.rpartition("/")[2].partition(".")[2] for name in kept}
    assert kinds == {"parquet", "full.json.gz", "basic.json.gz", "v1"}
    names = sorted(kept)
    for batch in range(FLIPS // len(names) + 1):
        for name in names:  # one flip in every file at once: verify must name them all
            content = bytearray(kept[name])
            content[chosen.randrange(len(content))] ^= 1 << chosen.randrange(8)
            (data / "files" / name).write_bytes(content)
        faults = verify(published.store)[1]
        assert {fault.where for fault in faults} >= set(names), batch
    for name, content_kept in kept.items():
        (data / "files" / name).write_bytes(content_kept)
    assert verify(published.store)[1] == []


@pytest.mark.parametrize("damage", ["cut", "longer", "missing", "empty"])
def test_files_of_another_length_or_none_are_found(published: DataFolder, data: Path, damage: str) -> None:
    for name, content in folder_of(data).items():
        path = data / "files" / name
        if damage == "missing":
            path.unlink()
        else:
            path.write_bytes({"cut": content[:-1], "longer": content + b"\0", "empty": b""}[damage])
    faults = verify(published.store)[1]
    assert {fault.where for fault in faults} == listed(published)


@pytest.mark.parametrize(
    "tampering",
    [
        """UPDATE segments SET contents = replace(contents, '"line_items":2', '"line_items":3')""",
        """UPDATE segments SET contents = replace(contents, '"20.20"', '"20.21"')""",
        """UPDATE segments SET contents = replace(contents, 'EUR', 'USD')""",
        """UPDATE revisions SET contents = replace(contents, '"line_items":2', '"line_items":3')""",
        """UPDATE revisions SET contents = replace(contents, '"digest":"', '"digest":"1')""",
        "UPDATE revisions SET etag = replace(etag, substr(etag, 1, 1), 'x')",
        "UPDATE files SET line_items = line_items + 1 WHERE rendering = 'v1'",
        "UPDATE files SET line_items = line_items + 1 WHERE rendering = 'graph-full'",
        "UPDATE files SET sha256 = replace(sha256, substr(sha256, 1, 1), 'x') WHERE rendering = 'graph-basic'",
        "UPDATE files SET length = length + 1 WHERE rendering = 'lake'",
        "DELETE FROM files WHERE rendering = 'graph-basic'",
        "DELETE FROM files WHERE rendering = 'v1'",
        "DELETE FROM files WHERE rendering = 'lake'",
        "DELETE FROM files WHERE rendering = 'v1' AND part = 1",
        "DELETE FROM revision_segments WHERE segment_id = (SELECT max(segment_id) FROM revision_segments)",
    ],
)
def test_a_catalog_that_was_tampered_with_is_found(published: DataFolder, data: Path, tampering: str) -> None:
    published.catalog.close()
    with closing(sqlite3.connect(data / "catalog.sqlite")) as database:
        assert database.execute(tampering).rowcount > 0
        database.commit()
    with open_store(data) as store:
        assert verify(store)[1]


def test_a_swap_of_two_whole_files_is_found(published: DataFolder, data: Path) -> None:
    first, second = sorted(name for name in folder_of(data) if name.endswith(".v1"))[:2]
    shutil.copy(data / "files" / first, data / "files" / second)
    assert [fault.where for fault in verify(published.store)[1]] == [second]


def test_restore_puts_an_older_revision_in_force_with_equal_contents_after_a_sweep(
    data_folder: DataFolder, tmp_path: Path, data: Path
) -> None:
    old = in_force(publish_bytes(data_folder, tmp_path / "a", amounts(Kind.USAGE, "1", "0E-20")))
    forms = {f.rendering: unpacked(data / "files" / f.path) for f in data_folder.catalog.files(old.id)}
    new = in_force(publish_bytes(data_folder, tmp_path / "b", amounts(Kind.USAGE, "2")))
    assert sweep(data_folder.store, LATER, trust_clock=True).files == 3
    assert [file.rendering for file in data_folder.catalog.files(old.id)] == [Rendering.LAKE]
    assert verify(data_folder.store)[1] == []

    restore(data_folder, old)
    again = data_folder.catalog.in_force(USAGE)
    assert again is not None
    assert (again.id, again.etag, len(data_folder.catalog.revisions(USAGE))) == (old.id, old.etag, 2)
    assert {f.rendering: unpacked(data / "files" / f.path) for f in data_folder.catalog.files(old.id)} == forms
    assert sorted(str(item["billingPreTaxTotal"]) for item in v1_items(data_folder, old)) == ["0E-20", "1"]
    assert verify(data_folder.store)[1] == []
    restore(data_folder, again)
    restore(data_folder, new)
    assert [str(item["BillingPreTaxTotal"]) for item in blob_items(data_folder, new)] == ["2"]
    assert listed(data_folder) == set(folder_of(data))


def test_a_failed_restore_leaves_no_orphan(data_folder: DataFolder, tmp_path: Path, data: Path) -> None:
    old = in_force(publish_bytes(data_folder, tmp_path / "a", amounts(Kind.USAGE, "1")))
    publish_bytes(data_folder, tmp_path / "b", amounts(Kind.USAGE, "2"))
    sweep(data_folder.store, LATER, trust_clock=True)
    [lake] = [file.path for file in data_folder.catalog.files(old.id)]
    (data / "files" / lake).unlink()
    before = folder_of(data)
    with pytest.raises(Exception, match=r"missing|No such file"):
        restore(data_folder, old)
    assert folder_of(data) == before


def test_withdraw_takes_a_dataset_out_of_force_and_keeps_it(
    data_folder: DataFolder, tmp_path: Path, data: Path
) -> None:
    revision = in_force(publish_bytes(data_folder, tmp_path / "a", amounts(Kind.USAGE, "1")))
    before = folder_of(data)
    assert withdraw(data_folder, USAGE).id == revision.id
    assert data_folder.catalog.in_force(USAGE) is None
    assert folder_of(data) == before
    with pytest.raises(MissingError):
        withdraw(data_folder, USAGE)
    again = publish_bytes(data_folder, tmp_path / "a", amounts(Kind.USAGE, "1"))
    assert again.changed
    assert in_force(again).id != revision.id


def test_restore_and_withdraw_wait_for_no_publication(data_folder: DataFolder, tmp_path: Path) -> None:
    revision = in_force(publish_bytes(data_folder, tmp_path / "a", amounts(Kind.USAGE, "1")))
    with data_folder.store.hold([USAGE]):
        with pytest.raises(LockedError):
            withdraw(data_folder, USAGE)
        with pytest.raises(LockedError):
            restore(data_folder, revision)


def test_sweep_leaves_alone_what_is_in_force_shared_or_young(published: DataFolder, data: Path) -> None:
    before = folder_of(data)
    assert sweep(published.store, NOW + timedelta(hours=47)) == Swept(0, 0, 0, 0, 0, NOW + timedelta(hours=12))
    assert folder_of(data) == before
    swept = sweep(published.store, LATER, trust_clock=True)
    gone = before.keys() - folder_of(data).keys()
    assert swept == Swept(0, 0, len(gone), sum(len(before[name]) for name in gone), 0, LATER)
    assert len(gone) == 2 * 3, "two parts of the superseded segment, in three forms"
    assert listed(published) == set(folder_of(data))
    assert verify(published.store)[1] == []


def test_sweep_forgets_revisions_by_retention_and_never_one_in_force(published: DataFolder, data: Path) -> None:
    swept = sweep(published.store, NOW + timedelta(days=91), trust_clock=True)
    assert swept.revisions == 2
    assert len(published.catalog.revisions(USAGE)) == 1
    assert listed(published) == set(folder_of(data))
    assert verify(published.store)[1] == []
    folders = {path.parent for path in (data / "files").rglob("*") if path.is_file() and "-" in path.name}
    assert folders == {(data / "files" / path).parent for path in listed(published)}


def test_two_sweeps_at_once_delete_everything_once_and_neither_fails(published: DataFolder, data: Path) -> None:
    for round_ in range(5):
        dead = published.store.begin(NOW)
        for part in range(30):
            with dead.create(USAGE, "whole", Rendering.LAKE, part=part) as left:
                left.write(b"left behind")
        dead._held.release()
        with ThreadPoolExecutor(4) as pool:
            swept = list(pool.map(lambda _: sweep(published.store, NOW), range(4)))
        assert sum(each.files for each in swept) >= 30, round_
        assert listed(published) == set(folder_of(data))


def test_sweep_deletes_the_leftovers_of_the_dead_and_not_of_the_living(published: DataFolder, data: Path) -> None:
    before = folder_of(data)
    alive = published.store.begin(NOW)
    with alive.create(USAGE, "whole", Rendering.V1) as writer:
        writer.write(b"being written")
    dead = published.store.begin(NOW)
    with dead.create(USAGE, "whole", Rendering.LAKE) as left:
        left.write(b"left behind")
    dead._held.release()
    swept = sweep(published.store, NOW)
    assert (swept.files, swept.publications_at_work) == (1, 1)
    assert folder_of(data) == before | {writer.path: b"being written"}
    alive._held.release()
    assert sweep(published.store, NOW).files == 1
    assert folder_of(data) == before


def test_a_death_at_any_point_leaves_the_old_truth_or_the_new_one(
    data_folder: DataFolder, tmp_path: Path, data: Path
) -> None:
    class Died(BaseException):
        pass

    old = publish_bytes(data_folder, tmp_path / "a", amounts(Kind.USAGE, "1"))
    before = folder_of(data)
    for point in ("locked", "read", "sealed", "committed"):

        def die(reached: str, wanted: str = point) -> None:
            if reached == wanted:
                raise Died

        with pytest.raises(Died):
            publish_bytes(replace(data_folder, at_point=die), tmp_path / "b", amounts(Kind.USAGE, "2"))
        assert verify(data_folder.store)[1] == []
        assert listed(data_folder) == set(folder_of(data))
        current = data_folder.catalog.in_force(USAGE)
        assert current is not None
        assert (current.id == in_force(old).id) == (point != "committed")
    assert before.items() <= folder_of(data).items()
    again = publish_bytes(data_folder, tmp_path / "b", amounts(Kind.USAGE, "2"))
    assert not again.changed
    assert again.contents.line_items == 1


def test_the_bytes_of_a_blob_are_those_of_its_line_items_alone(data_folder: DataFolder, tmp_path: Path) -> None:
    revision = in_force(publish_bytes(data_folder, tmp_path / "a", amounts(Kind.USAGE, "1")))
    [file] = data_folder.catalog.files(revision.id, Rendering.GRAPH_FULL)
    [content] = [path.read_bytes() for path in paths(data_folder, revision, file.rendering)]
    assert content[4:8] == b"\0\0\0\0", "no time of its making"
    assert gzip.decompress(content).endswith(b"}\n")
