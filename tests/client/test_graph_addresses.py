"""Where a token and a signed link may go: links renewed, redirects judged, nothing secret told."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from counterfoil.client import Client, Proof, ask_billed
from counterfoil.errors import (
    LinkExpiredError,
    ProofError,
    RefusedError,
)
from counterfoil.model import Kind
from tests.client.hostile_source import BILLING, TOKEN, Canned, HostileSource

ASK = ask_billed(Kind.USAGE, "G016907411")


def test_the_token_goes_to_the_api_and_never_to_blobs(source: HostileSource, client: Client, tmp_path: Path) -> None:
    source.canned["operation"].append(
        Canned(200, {"Set-Cookie": "session=1"}, json.dumps({"status": "running"}).encode())
    )
    client.pull(ASK, tmp_path)
    for call in source.calls:
        if call.what == "blob":
            assert not {"authorization", "cookie"} & set(call.headers)
            assert not any(TOKEN in value for value in call.headers.values())
        else:
            assert call.headers["authorization"] == f"Bearer {TOKEN}"
            assert "cookie" not in call.headers
    assert len(source.calls_of("blob")) == 2


def test_expired_links_are_renewed_for_the_same_data(source: HostileSource, client: Client, tmp_path: Path) -> None:
    source.expired = {source.blob(0)[0], source.blob(1)[0]}
    assert client.pull(ASK, tmp_path).proof is Proof.PROVEN
    assert len(source.calls_of("operation")) == 2


def test_links_renewed_for_other_data_are_said_and_the_pull_starts_over(
    source: HostileSource, client: Client, tmp_path: Path
) -> None:
    source.expired = {source.blob(0)[0]}
    first = json.dumps({"id": "the-operation", "status": "succeeded", "resourceLocation": source.manifest()})
    source.canned["operation"].append(Canned(200, {}, first.encode()))
    source.etag = "another"
    receipt = client.pull(ASK, tmp_path)
    assert (receipt.etag, receipt.proof) == ("another", Proof.PROVEN)
    assert "eTag was 0123456789abcdef0123456789abcdef and is another" in receipt.notes[0]


def test_links_that_cannot_be_renewed_say_so(source: HostileSource, client: Client, tmp_path: Path) -> None:
    source.expired = {source.blob(0)[0]}
    source.manifest_form = "inline"
    first = json.dumps({"id": "the-operation", "status": "succeeded", "resourceLocation": source.manifest()})
    source.canned["operation"] += [Canned(200, {}, first.encode()), Canned(410)]
    with pytest.raises(LinkExpiredError, match="410"):
        client.pull(ASK, tmp_path)


def test_a_link_refused_again_after_renewal_is_a_refusal_without_its_signature(
    source: HostileSource, client: Client, tmp_path: Path
) -> None:
    body = b"<Error><Code>AuthenticationFailed</Code><Message>http://x/y?sig=secret1 Bearer abc</Message></Error>"
    source.canned["blob"] += [Canned(403, {}, body)] * 9
    with pytest.raises(RefusedError, match="403, AuthenticationFailed") as caught:
        client.pull(ASK, tmp_path)
    assert "secret" not in str(caught.value)
    assert "abc" not in str(caught.value)


@pytest.mark.parametrize("what", ["export", "operation", "manifest"])
@pytest.mark.parametrize("status", [302, 307, 308])
def test_a_redirect_to_another_host_is_refused_and_nothing_arrives_there(
    source: HostileSource, stranger: HostileSource, client: Client, tmp_path: Path, what: str, status: int
) -> None:
    source.manifest_form = "text"
    source.canned[what].append(Canned(status, {"Location": f"{stranger.url}/v1.0/x?token=1"}))
    with pytest.raises(RefusedError, match=stranger.url):
        client.pull(ASK, tmp_path)
    assert stranger.calls == []


@pytest.mark.parametrize("place", ["location", "text", "annotation"])
def test_an_address_at_another_host_is_refused_and_nothing_arrives_there(
    source: HostileSource, stranger: HostileSource, client: Client, tmp_path: Path, place: str
) -> None:
    link = f"{stranger.url}{BILLING}/operations/the-operation"
    if place == "location":
        source.location = link
    else:
        name = "resourceLocation" if place == "text" else "resourceLocation@odata.navigationLink"
        source.canned["operation"].append(Canned(200, {}, json.dumps({"status": "succeeded", name: link}).encode()))
    with pytest.raises(ProofError, match=stranger.url):
        client.pull(ASK, tmp_path)
    assert stranger.calls == []


@pytest.mark.parametrize("what", ["operation", "blob"])
def test_a_redirect_to_no_address_is_refused(source: HostileSource, client: Client, tmp_path: Path, what: str) -> None:
    source.canned[what].append(Canned(302, {"Location": "http://[x"}))
    with pytest.raises(ProofError, match=r"redirects to 'http://\[x', which is not an http address"):
        client.pull(ASK, tmp_path)


def test_a_redirect_within_the_source_is_followed(source: HostileSource, client: Client, tmp_path: Path) -> None:
    source.canned["operation"].append(Canned(302, {"Location": f"{BILLING}/operations/the-operation"}))
    assert client.pull(ASK, tmp_path).proof is Proof.PROVEN


def test_a_blob_may_lie_at_another_host_which_gets_no_token(
    source: HostileSource, stranger: HostileSource, client: Client, tmp_path: Path
) -> None:
    source.manifest_changes = {"rootDirectory": f"{stranger.url}/blobs/elsewhere/"}
    assert client.pull(ASK, tmp_path).proof is Proof.PROVEN
    assert len(stranger.calls) == 2
    assert all("authorization" not in call.headers for call in stranger.calls)


def test_a_blob_redirected_to_its_storage_is_fetched_there(
    source: HostileSource, stranger: HostileSource, client: Client, tmp_path: Path
) -> None:
    source.parts = source.parts[:1]
    stranger.parts = stranger.parts[:1]
    location = f"{stranger.url}/blobs/bucket/{source.blob(0)[0]}?X-Signature=1"
    source.canned["blob"].append(Canned(307, {"Location": location}))
    assert client.pull(ASK, tmp_path).proof is Proof.PROVEN


def test_no_signature_and_no_token_is_logged(
    source: HostileSource, client: Client, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client.pull(ASK, tmp_path)
    logged = "\n".join(each.getMessage() for each in caplog.records if not each.name.startswith("uvicorn"))
    assert "/blobs/root/" in logged
    assert "secret1" not in logged
    assert TOKEN not in logged
