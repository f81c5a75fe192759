"""What both clients can be told, and how it is refused where it cannot be right."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from counterfoil import client
from counterfoil.client import AsyncClient, Client, ask_billed
from counterfoil.errors import UsageError
from tests.client.hostile_source import HostileSource

BOTH = pytest.mark.parametrize("made", [Client, AsyncClient])
URL = "http://127.0.0.1:1"


@BOTH
@pytest.mark.parametrize("version", ["v7", "V1.0", "", "v1.0/../x", 1])
def test_a_version_that_graph_does_not_have_is_refused(made: Any, version: object) -> None:
    with pytest.raises(UsageError, match=r"v1\.0 and beta"):
        made(URL, "token", version=version)


@BOTH
@pytest.mark.parametrize("version", ["v1.0", "beta", None])
def test_a_version_that_graph_has_is_taken_and_none_is_the_usual(made: Any, version: str | None) -> None:
    made(URL, "token", version=version)


@BOTH
@pytest.mark.parametrize("wrong", [{"wait_s_max": -1}, {"wait_s_max": float("nan")}, {"parallel": 0}])
def test_bounds_that_cannot_be_right_are_refused(made: Any, wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        made(URL, "token", **wrong)


@BOTH
def test_a_misspelt_option_is_told_with_those_there_are(made: Any) -> None:
    with pytest.raises(TypeError, match=r"Client .*no option 'paralel'; theirs are: version, .*parallel"):
        made(URL, "token", paralel=2)


def test_paths_and_words_may_be_given_as_text_and_others_are_refused(
    source: HostileSource, client: Client, tmp_path: Path
) -> None:
    ask = ask_billed("usage", "G016907411", "full")
    assert client.pull(ask, str(tmp_path / "to"), api="graph", format="csv").format == "csv"
    assert source.calls_of("export")
    for wrong in (
        lambda: ask_billed("usge", "G016907411"),
        lambda: ask_billed("usage", "G016907411", "bsc"),
        lambda: client.pull(ask, tmp_path / "other", format="cvs"),
        lambda: client.pull(ask, tmp_path / "other", api="v2"),
        lambda: next(client.line_items(ask, api="v2")),
    ):
        with pytest.raises(UsageError, match="is none of"):
            wrong()
    assert not (tmp_path / "other").exists()


def test_what_an_export_gives_can_be_named() -> None:
    export = get_type_hints(Client.export)["return"]
    manifest = get_type_hints(export)["manifest"]
    blobs = get_type_hints(manifest)["blobs"]
    for each in (export, manifest, *(part for part in get_args(blobs) if part is not Ellipsis)):
        assert getattr(client, each.__name__) is each
        assert each.__name__ in client.__all__
