"""The file of breaks: what is damaged or cannot be is refused, and whatever is killed or full leaves it as it was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from counterfoil.disk import documents
from counterfoil.disk.file_lock import FileLock
from counterfoil.errors import CounterfoilError, DamagedError, LockedError, MissingError, NewerDataError, UsageError
from counterfoil.reconcile import breaks
from counterfoil.reconcile.breaks import BREAKS_FILE, Break, break_file
from tests.reconcile.kept_breaks import OCTOBER, SAME, TEN, TWELVE, compared


def seal(folder: Path, change: Callable[[dict[str, object]], object], version: int = 1) -> None:
    """Change the file of breaks as a program would that seals it anew."""
    body = json.loads((folder / BREAKS_FILE).read_bytes())
    del body[documents.DIGEST]
    body[documents.VERSION] = version
    change(body)
    (folder / BREAKS_FILE).write_text(json.dumps(body | {documents.DIGEST: documents.digest_of(body)}))


def test_a_file_that_is_not_as_it_was_written_is_refused_and_left_alone(tmp_path: Path) -> None:
    compared(tmp_path, [SAME, TEN], [SAME, TWELVE])
    path = tmp_path / BREAKS_FILE
    sound = path.read_bytes()
    wrong = [b"", b"[]", sound[:-9], sound.replace(b'"amount": "2.00"', b'"amount": "3.00"', 1), b"\xff" + sound]
    for data in wrong:
        path.write_bytes(data)
        for use in (lambda: breaks.listed(tmp_path), lambda: breaks.note(tmp_path, 1, "x")):
            with pytest.raises(DamagedError, match=r"breaks\.json is damaged"):
                use()
        assert path.read_bytes() == data
    path.write_bytes(sound)
    seal(tmp_path, lambda body: body.update(next_number=1))
    with pytest.raises(DamagedError, match="not in order"):
        breaks.listed(tmp_path)
    seal(tmp_path, lambda _: None, version=2)
    with pytest.raises(NewerDataError, match="newer Counterfoil"):
        breaks.listed(tmp_path)


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "no such break": (lambda at: breaks.show(at, 9), "no break 9"),
    "another amount": (lambda at: breaks.accept(at, 1, note="x", amount="2.01"), r"about 2\.00 EUR, and not 2\.01"),
    "no amount": (lambda at: breaks.accept(at, 1, note="x", amount="2,00"), "not an amount"),
    "no reason": (lambda at: breaks.accept(at, 1, note=" "), "why it was accepted"),
    "nothing": (lambda at: breaks.note(at, 1), "nothing to note"),
    "too long": (lambda at: breaks.note(at, 1, "x" * 2_001), "too long"),
    "no text": (lambda at: breaks.note(at, 1, "\udcff"), "no text"),
    "no state": (lambda at: breaks.listed(at, states=["shut"]), "no state"),
    "no cause": (lambda at: breaks.listed(at, cause="weather"), "no cause"),
    "no folder": (lambda at: breaks.listed(at / "none"), "no folder"),
}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kept")
    compared(folder, [SAME, TEN], [SAME, TWELVE])
    return folder


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_right_is_refused(kept: Path, case: str) -> None:
    use, told = WRONG[case]
    before = (kept / BREAKS_FILE).read_bytes()
    with pytest.raises(CounterfoilError, match=told):
        use(kept)
    assert (kept / BREAKS_FILE).read_bytes() == before


def test_an_unknown_number_is_missing_and_more_breaks_than_a_file_keeps_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MissingError, match="none are recorded there"):
        breaks.note(tmp_path, 1, "x")
    monkeypatch.setattr(break_file, "BREAKS_MAX", 0)
    with pytest.raises(UsageError, match="at most 0"):
        compared(tmp_path, [SAME, TEN], [SAME, TWELVE])
    assert not (tmp_path / BREAKS_FILE).exists()


NOTE = "import sys; from counterfoil.reconcile import breaks; breaks.note(sys.argv[1], 1, sys.argv[2])"


def test_of_many_at_once_none_loses_what_another_noted(tmp_path: Path) -> None:
    """The lock is of an open file, so threads are to each other as processes are."""
    compared(tmp_path, [SAME, TEN], [SAME, TWELVE])
    with ThreadPoolExecutor(8) as threads:
        for _ in threads.map(lambda at: breaks.note(tmp_path, 1, str(at)), range(16)):
            pass
    assert {event.note for event in breaks.show(tmp_path, 1).history} == {"", *map(str, range(16))}


def test_a_lock_that_is_held_for_long_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("counterfoil.disk.file_lock.PATIENCE_S", 0.05)
    with FileLock.take(tmp_path / ".breaks.lock"), pytest.raises(LockedError, match="Another process"):
        breaks.note(tmp_path, 1, "x")


def test_a_process_killed_before_the_last_step_leaves_what_was_there(tmp_path: Path) -> None:
    compared(tmp_path, [SAME, TEN], [SAME, TWELVE])
    before = (tmp_path / BREAKS_FILE).read_bytes()
    kill = f"import os, pathlib; pathlib.Path.replace = lambda *_: os.kill(os.getpid(), {signal.SIGKILL:d}); "
    killed = subprocess.run([sys.executable, "-c", kill + NOTE, str(tmp_path), "lost"], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / BREAKS_FILE).read_bytes() == before
    assert breaks.note(tmp_path, 1, "again").history[-1].note == "again"


def test_what_cannot_be_written_is_told_and_nothing_is_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compared(tmp_path, [SAME, TEN], [SAME, TWELVE])
    before = (tmp_path / BREAKS_FILE).read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CounterfoilError, match="No space left"):
        breaks.note(tmp_path, 1, "x")
    assert (tmp_path / BREAKS_FILE).read_bytes() == before


def test_a_break_says_all_of_itself_in_json(kept: Path) -> None:
    [its] = breaks.listed(kept)
    assert isinstance(its, Break)
    told = its.to_json()
    assert (told["amount"], told["settledAmount"], told["state"], told["period"]) == ("2.00", None, "open", OCTOBER)
    assert json.loads(json.dumps(told)) == told
