"""Private files: made once, read by their owner alone, the same for everyone who starts at the same time."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from counterfoil.errors import DataFolderError, FullDiskError, UsageError
from counterfoil.lifetimes_and_sizes import LINK, WALK
from counterfoil.periods import timestamp, utc_now
from counterfoil.storage import rotated_keys, secrets
from counterfoil.storage.private_files import load_or_create_private, read_private, replace_private
from counterfoil.storage.secrets import load_or_create_keyring, rotate_keyring
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


def test_a_new_key_signs_and_the_one_before_is_good_to_the_end_of_what_it_signed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "_LOOK_EVERY_S", 0.0)
    begin, one, two = utc_now(), load_or_create_keyring(tmp_path), load_or_create_keyring(tmp_path)
    before = one.sign("p", b"m")
    assert rotate_keyring(tmp_path, begin, at_once=False)
    after = one.sign("p", b"m")
    assert before[0] != after[0]
    for keyring in (one, two, load_or_create_keyring(tmp_path)):  # two servers, and one that starts
        assert keyring.verify("p", before[0], b"m", before[1])
        assert keyring.verify("p", after[0], b"m", after[1])
        assert keyring.signing_key_id == after[0]
    for passed, good in ((max(LINK, WALK), True), (max(LINK, WALK) + timedelta(minutes=6), False)):
        monkeypatch.setattr(rotated_keys, "utc_now", lambda passed=passed: begin + passed)
        assert one.verify("p", before[0], b"m", before[1]) is good
        assert load_or_create_keyring(tmp_path).verify("p", before[0], b"m", before[1]) is good
        assert one.verify("p", after[0], b"m", after[1])


def test_a_key_that_is_not_known_is_looked_for_at_once(tmp_path: Path) -> None:
    one = load_or_create_keyring(tmp_path)
    rotate_keyring(tmp_path, utc_now(), at_once=False)
    by_another = load_or_create_keyring(tmp_path).sign("p", b"m")
    assert one.verify("p", by_another[0], b"m", by_another[1])
    assert not one.verify("p", "unknown", b"m", by_another[1])


def test_a_key_that_leaked_is_ended_at_once_and_so_are_those_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "_LOOK_EVERY_S", 0.0)
    keyring = load_or_create_keyring(tmp_path)
    signed = [keyring.sign("p", b"m")]
    for at_once in (False, False, True):
        rotate_keyring(tmp_path, utc_now(), at_once=at_once)
        signed.append(keyring.sign("p", b"m"))
    assert [keyring.verify("p", key, b"m", mac) for key, mac in signed] == [False, False, False, True]
    assert len((tmp_path / "secret").read_text().splitlines()) == 1
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("damage", ["", "# until never\nnonsense", "x y", "\xff", "# until 2999-01-01T00:00:00Z\n"])
def test_a_damaged_keyring_changes_nothing_for_a_running_server_and_is_told_to_one_that_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    monkeypatch.setattr(secrets, "_LOOK_EVERY_S", 0.0)
    keyring = load_or_create_keyring(tmp_path)
    key, mac = keyring.sign("p", b"m")
    replace_private(tmp_path / "secret", damage.encode("latin-1"))
    assert keyring.sign("p", b"m") == (key, mac)
    with pytest.raises(DataFolderError, match="damaged"):
        load_or_create_keyring(tmp_path)


def test_a_keyring_that_an_operator_wrote_is_rotated_as_a_whole(tmp_path: Path) -> None:
    replace_private(tmp_path / "secret", f"a {'A' * 43}\nb {'E' * 43} # mine".encode())
    before = load_or_create_keyring(tmp_path)
    rotate_keyring(tmp_path, utc_now(), at_once=False)
    after = load_or_create_keyring(tmp_path)
    key, mac = before.sign("p", b"m")
    assert key == "a"
    assert after.verify("p", key, b"m", mac)
    assert after.has("b")
    assert after.signing_key_id not in "ab"
    assert timestamp(utc_now())[:3] in (tmp_path / "secret").read_text()


def test_a_new_key_is_known_to_all_threads_at_once(tmp_path: Path) -> None:
    for _ in range(10):
        keyring = load_or_create_keyring(tmp_path)
        rotate_keyring(tmp_path, utc_now(), at_once=False)
        key, mac = load_or_create_keyring(tmp_path).sign("p", b"m")
        with ThreadPoolExecutor(8) as threads:
            assert all(threads.map(partial(keyring.verify, "p", key, b"m"), [mac] * 32))
