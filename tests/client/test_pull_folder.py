"""The folder of a pull: all of it appears or nothing, and only what pulls brought is ever replaced."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from counterfoil.client import Client, ask_billed
from counterfoil.errors import (
    ProofError,
    UsageError,
)
from counterfoil.model import Kind
from tests.client.folders import left_in
from tests.client.hostile_source import HostileSource, usage_line, written

ASK = ask_billed(Kind.USAGE, "G016907411")


def test_a_pull_of_the_same_replaces_the_former_and_another_is_refused(
    source: HostileSource, client: Client, tmp_path: Path
) -> None:
    client.pull(ASK, tmp_path)
    source.parts, source.etag = [[written(usage_line(1))]], "new"
    client.pull(ASK, tmp_path)
    assert left_in(tmp_path) == sorted([source.blob(0)[0], "receipt.json"])
    with pytest.raises(UsageError, match="holds another pull"):
        client.pull(ask_billed(Kind.USAGE, "G000000001"), tmp_path)
    assert len(left_in(tmp_path)) == 2


def test_another_partners_data_never_takes_the_place_of_ones_own(
    source: HostileSource, client: Client, tmp_path: Path
) -> None:
    client.pull(ASK, tmp_path)
    before = left_in(tmp_path)
    source.etag = "new"
    source.manifest_changes = {"partnerTenantId": "11111111-2222-3333-4444-555555555555"}
    with pytest.raises(UsageError, match="holds data of the partner 0e195b37"):
        client.pull(ASK, tmp_path)
    assert left_in(tmp_path) == before
    assert len(source.calls_of("blob")) == 2, "nothing was fetched of it"


def test_a_pull_that_fails_leaves_the_former_one_untouched(
    source: HostileSource, client: Client, tmp_path: Path
) -> None:
    client.pull(ASK, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    source.parts, source.etag = [[written(usage_line(1))]], "new"
    source.manifest_changes = {"@counterfoil.lineItemCount": 9}
    with pytest.raises(ProofError):
        client.pull(ASK, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_with_other_data_is_refused_before_anything_is_asked(
    source: HostileSource, client: Client, tmp_path: Path
) -> None:
    (tmp_path / "mine.parquet").write_bytes(b"x")
    with pytest.raises(UsageError, match=r"mine\.parquet"):
        client.pull(ASK, tmp_path)
    assert source.calls == []


def test_an_interrupted_switch_is_cleaned_up_by_the_next_pull(
    source: HostileSource, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.pull(ASK, tmp_path)
    old = source.blob(0)[0]
    source.parts, source.etag = [[written(usage_line(1))], [written(usage_line(2))]], "new"
    moved: list[str] = []
    replace = Path.replace

    def stop_at_second_blob(self: Path, target: Path) -> Path:
        if self.name.startswith("part-") and target.parent == tmp_path:
            moved.append(self.name)
            if len(moved) == 2:
                raise KeyboardInterrupt
        return replace(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", stop_at_second_blob)
        with pytest.raises(KeyboardInterrupt):
            client.pull(ASK, tmp_path)
    assert json.loads((tmp_path / "receipt.json").read_text())["proof"] == "unfinished"
    assert not (tmp_path / old).exists()
    fetched = len(source.calls_of("blob"))
    client.pull(ASK, tmp_path)
    assert len(source.calls_of("blob")) == fetched, "a verified blob was fetched again"
    assert left_in(tmp_path) == sorted([source.blob(0)[0], source.blob(1)[0], "receipt.json"])
