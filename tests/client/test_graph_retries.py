"""What is tried again, how often and when; and what is not, and is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from counterfoil.client import Client, Proof, ask_billed
from counterfoil.errors import NoAnswerError, ProofError, RefusedError
from counterfoil.model import Kind
from tests.client.hostile_source import TOKEN, Canned, HostileSource

ASK = ask_billed(Kind.USAGE, "G016907411")


@pytest.mark.parametrize(("retry_after", "first_wait_s"), [("11", 11.25), ("", 0.375)])
@pytest.mark.parametrize("what", ["export", "operation", "blob"])
def test_throttling_is_waited_out(
    source: HostileSource,
    client: Client,
    tmp_path: Path,
    waits: list[float],
    what: str,
    retry_after: str,
    first_wait_s: float,
) -> None:
    source.parts = source.parts[:1]
    source.canned[what].append(Canned(429, {"Retry-After": retry_after} if retry_after else {}))
    assert client.pull(ASK, tmp_path).proof is Proof.PROVEN
    assert sum(waits) == pytest.approx(first_wait_s)


def test_throttling_without_end_is_bounded_and_may_be_tried_later(
    source: HostileSource, client: Client, tmp_path: Path, waits: list[float]
) -> None:
    source.canned["operation"] += [Canned(503, {"request-id": "r-1"})] * 50
    with pytest.raises(RefusedError, match=r"503.*r-1.*after 4 attempts") as caught:
        client.pull(ASK, tmp_path)
    assert caught.value.exit_code == 4
    assert len(source.calls_of("operation")) == 4
    assert waits == [0.375, 0.75, 1.5]


def test_a_wait_longer_than_our_patience_is_not_cut_short_but_passed_on(
    source: HostileSource, client: Client, tmp_path: Path, waits: list[float]
) -> None:
    source.canned["export"].append(Canned(429, {"Retry-After": "3600"}))
    with pytest.raises(RefusedError, match="asks to wait 3600 s"):
        client.pull(ASK, tmp_path)
    assert waits == []
    assert len(source.calls_of("export")) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_a_refusal_is_not_repeated_and_tells_what_to_do(
    source: HostileSource, client: Client, tmp_path: Path, status: int
) -> None:
    body = b'{"error":{"code":"TheCode","message":"The message."}}'
    source.canned["export"].append(Canned(status, {"request-id": "r-2"}, body))
    with pytest.raises(RefusedError, match=f"{status}, TheCode: The message.*r-2.*client-request-id") as caught:
        client.pull(ASK, tmp_path)
    assert caught.value.remedy
    assert TOKEN not in str(caught.value)
    assert len(source.calls_of("export")) == 1


def test_no_answer_names_the_call_and_that_trying_again_is_safe(tmp_path: Path, patience: Any) -> None:
    with Client("http://127.0.0.1:1", TOKEN, patience=patience) as client, pytest.raises(NoAnswerError) as caught:
        client.pull(ASK, tmp_path)
    assert "POST http://127.0.0.1:1/v1.0/" in str(caught.value)
    assert "client-request-id" in str(caught.value)
    assert "safe" in str(caught.value)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("what", ["export", "operation"])
def test_a_sign_in_page_is_called_what_it_is(source: HostileSource, client: Client, tmp_path: Path, what: str) -> None:
    source.canned[what].extend([Canned(200, {"Content-Type": "text/html"}, b"<html>Sign in</html>")] * 3)
    with pytest.raises(ProofError, match="a page for people") as caught:
        client.pull(ASK, tmp_path)
    assert "let through" in str(caught.value)
