"""Walks through pages that were interrupted, or that go wrong in the middle, and how the next run goes on."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from counterfoil.client import Api, Client, Proof, ask_unbilled
from counterfoil.client.protocol.asking import Ask
from counterfoil.client.protocol.retries import Patience
from counterfoil.client.pull_folder import walk_journal
from counterfoil.client.pull_folder.contents import STAGING
from counterfoil.errors import ProofError, RefusedError, UsageError
from counterfoil.model import Kind
from tests.client.hostile_source import Canned, HostileSource, usage_line, written

NOVEMBER = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture
def walk_cut_short(source: HostileSource, client: Client, tmp_path: Path) -> Ask:
    """What was asked for; two of its three pages are kept."""
    ask = ask_unbilled(Kind.USAGE, "current", "EUR", now=NOVEMBER)
    source.parts = [[line.replace(b"PartnerId", b"partnerId") for line in source.lines]]
    original = source.page

    def failing(call: Any) -> Canned:
        return Canned(503) if call.headers.get("ms-continuationtoken") == "token-2" else original(call)

    source.page = failing  # type: ignore[method-assign]
    with pytest.raises(RefusedError, match="goes on from there"):
        client.pull(ask, tmp_path, api=Api.V1)
    source.page = original  # type: ignore[method-assign]
    return ask


def test_a_walk_goes_on_after_its_last_kept_page(
    source: HostileSource, client: Client, tmp_path: Path, walk_cut_short: Ask
) -> None:
    had = len(source.calls)
    receipt = client.pull(walk_cut_short, tmp_path, api=Api.V1)
    assert (receipt.line_items, len(source.calls)) == (5, had + 1)
    pages = {call.headers["ms-requestid"] for call in source.calls_of("page")}
    assert len(pages & set(receipt.request_ids)) == 3, "the receipt names the calls of both runs"


def test_a_walk_does_not_go_on_with_another_partners_token(source: HostileSource, tmp_path: Path) -> None:
    def token_of(tenant: str) -> str:
        claims = base64.urlsafe_b64encode(json.dumps({"tid": tenant}).encode()).decode().rstrip("=")
        return f"e30.{claims}.x"

    ask = ask_unbilled(Kind.USAGE, "current", "EUR", now=NOVEMBER)
    source.annotated = False
    source.parts = [[line.replace(b"PartnerId", b"partnerId") for line in source.lines]]
    first, second = (f"{digit}e195b37-4574-4539-bc42-0e539b9684c0" for digit in "01")
    original = source.page
    source.page = lambda call: Canned(503) if "token-1" in str(call) else original(call)  # type: ignore[method-assign]
    waits = Patience(sleep=lambda _: None)
    with Client(source.url, token_of(first), patience=waits) as client, pytest.raises(RefusedError):
        client.pull(ask, tmp_path, api=Api.V1)
    source.page = original  # type: ignore[method-assign]
    with Client(source.url, token_of(second), patience=waits) as client, pytest.raises(UsageError, match=first):
        client.pull(ask, tmp_path, api=Api.V1)
    with Client(source.url, token_of(first), patience=waits) as client:
        assert client.pull(ask, tmp_path, api=Api.V1).partner == first


def test_sign_in_pages_in_the_middle_of_a_walk_do_not_throw_it_away(
    source: HostileSource, client: Client, tmp_path: Path
) -> None:
    ask = ask_unbilled(Kind.USAGE, "current", "EUR", now=NOVEMBER)
    source.parts = [[line.replace(b"PartnerId", b"partnerId") for line in source.lines]]
    original = source.page

    def signing_in(call: Any) -> Canned:
        is_second = call.headers.get("ms-continuationtoken") == "token-1"
        return Canned(200, {}, b"<html>Sign in</html>") if is_second else original(call)

    source.page = signing_in  # type: ignore[method-assign]
    with pytest.raises(ProofError, match="goes on from there"):
        client.pull(ask, tmp_path, api=Api.V1)
    source.page = original  # type: ignore[method-assign]
    had = len(source.calls)
    assert client.pull(ask, tmp_path, api=Api.V1).line_items == 5
    assert len(source.calls) == had + 2


def test_a_page_that_comes_twice_is_asked_for_again_and_then_refused(
    source: HostileSource, client: Client, tmp_path: Path
) -> None:
    source.annotated = False
    ask = ask_unbilled(Kind.USAGE, "current", "EUR", now=NOVEMBER)
    again = [written(usage_line(n)) for n in range(2)]
    source.parts = [[*again, *again, written(usage_line(2))]]
    with pytest.raises(ProofError, match="Page 2 holds the line items of page 1 again"):
        client.pull(ask, tmp_path, api=Api.V1)
    assert len(source.calls) == 1 + 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "cut_bytes", "pages"), [("walk.jsonl", 1, 2), ("items-00000", 1, 3), ("items-00000", None, 3)]
)
def test_a_walk_of_which_a_power_cut_took_something_fetches_it_again(
    source: HostileSource, client: Client, tmp_path: Path, walk_cut_short: Ask, name: str, cut_bytes: int, pages: int
) -> None:
    path = tmp_path / STAGING / name
    path.write_bytes(path.read_bytes()[:-cut_bytes]) if cut_bytes else path.unlink()
    had = len(source.calls)
    receipt = client.pull(walk_cut_short, tmp_path, api=Api.V1)
    assert (receipt.line_items, receipt.proof) == (5, Proof.PROVEN)
    assert len(source.calls) == had + pages


def test_the_names_of_a_walks_files_are_brought_to_the_disk(
    source: HostileSource, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []
    monkeypatch.setattr(
        walk_journal, "sync_folder", lambda path: seen.append(sorted(each.name for each in path.iterdir()))
    )
    source.parts = [[line.replace(b"PartnerId", b"partnerId") for line in source.lines]]
    client.pull(ask_unbilled(Kind.USAGE, "current", "EUR", now=NOVEMBER), tmp_path, api=Api.V1)
    assert [("items-00000" in names, "walk.jsonl" in names) for names in seen] == [(True, False), (True, True)]
