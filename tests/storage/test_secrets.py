"""Private files: made once, read by their owner alone, the same for everyone who starts at the same time."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from counterfoil.errors import DataFolderError, FullDiskError, UsageError
from counterfoil.storage.secrets import (
    load_or_create_keyring,
    load_or_create_private,
    read_private,
    replace_private,
)
from counterfoil.wire.tokens import Keyring


def test_a_keyring_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    data = tmp_path / "new" / "data"
    first = load_or_create_keyring(data)
    assert (data / "secret").stat().st_mode & 0o777 == 0o600
    assert [each.name for each in data.iterdir()] == ["secret"]
    again = load_or_create_keyring(data)
    assert first.sign("p", b"m") == again.sign("p", b"m")


def test_two_folders_have_two_keyrings(tmp_path: Path) -> None:
    one, two = load_or_create_keyring(tmp_path / "one"), load_or_create_keyring(tmp_path / "two")
    assert one.sign("p", b"m")[1] != two.sign("p", b"m")[1]


def test_many_that_start_at_once_read_one_secret(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        macs = set(threads.map(lambda _: load_or_create_keyring(tmp_path).sign("p", b"m"), range(64)))
    assert len(macs) == 1
    assert [each.name for each in tmp_path.iterdir()] == ["secret"]


def test_a_setting_takes_the_place_of_the_file(tmp_path: Path) -> None:
    keyring = load_or_create_keyring(tmp_path, "mine " + "A" * 43)
    assert keyring.signing_key_id == "mine"
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UsageError):
        load_or_create_keyring(tmp_path, "nonsense")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_secret_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    load_or_create_keyring(tmp_path)
    (tmp_path / "secret").chmod(mode)
    with pytest.raises(DataFolderError, match="chmod 600"):
        load_or_create_keyring(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"only-an-id", b"id short", b"\0" * 100])
def test_a_damaged_keyring_is_refused_and_never_replaced(tmp_path: Path, content: bytes) -> None:
    replace_private(tmp_path / "secret", content)
    with pytest.raises(DataFolderError, match="damaged"):
        load_or_create_keyring(tmp_path)
    assert (tmp_path / "secret").read_bytes() == content


def test_what_is_no_file_of_ours_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    with pytest.raises(DataFolderError):
        load_or_create_keyring(tmp_path)
    replace_private(tmp_path / "large", b"x" * 70_000)
    with pytest.raises(DataFolderError, match="not a file that Counterfoil wrote"):
        read_private(tmp_path / "large")


def test_a_data_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataFolderError, match="cannot be used"):
        load_or_create_keyring(tmp_path / "file")


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(FullDiskError):
        load_or_create_keyring(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_made_is_synced_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bool] = []
    real = os.fsync

    def watching(descriptor: int) -> None:
        synced.append((tmp_path / "secret").exists())
        real(descriptor)

    monkeypatch.setattr(os, "fsync", watching)
    load_or_create_keyring(tmp_path)
    assert synced == [False, True]  # the file before it is linked, the folder after


def test_replacing_leaves_a_private_file(tmp_path: Path) -> None:
    path = tmp_path / "leaf.pem"
    replace_private(path, b"one")
    replace_private(path, b"two")
    assert read_private(path) == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_or_create_private(path, lambda: b"three") == b"two"
    assert [each.name for each in tmp_path.iterdir()] == ["leaf.pem"]


def test_a_keyring_names_no_secret(tmp_path: Path) -> None:
    keyring = load_or_create_keyring(tmp_path)
    secret = (tmp_path / "secret").read_text().split()[1]
    assert secret not in repr(keyring)
    assert isinstance(keyring, Keyring)
