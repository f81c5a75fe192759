"""What a source sends wrong is found before anything is put in place."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from counterfoil.client import Client, Format, Proof, ask_billed
from counterfoil.client.protocol.retries import Patience
from counterfoil.errors import ProofError
from counterfoil.model import Kind
from tests.client.folders import left_in
from tests.client.hostile_source import TOKEN, Canned, HostileSource, number, usage_line, written

ASK = ask_billed(Kind.USAGE, "G016907411")
TOTAL = "0.9999840002559959040655"


@pytest.mark.parametrize(
    ("annotation", "wrong", "said"),
    [
        ("@counterfoil.sizeBytes", 5, "arrived more than 5 bytes"),
        ("@counterfoil.sizeBytes", 5000, "of 5,000 bytes"),
        ("@counterfoil.sha256", "0" * 64, "SHA-256"),
    ],
)
def test_a_blob_that_is_not_as_annotated_is_fetched_again_and_then_refused(
    source: HostileSource, client: Client, tmp_path: Path, annotation: str, wrong: Any, said: str
) -> None:
    source.blob_changes[1] = {annotation: wrong}
    with pytest.raises(ProofError, match=said):
        client.pull(ASK, tmp_path)
    assert [call.path for call in source.calls_of("blob")].count(f"/blobs/root/{source.blob(1)[0]}") == 3
    assert left_in(tmp_path) == []


def test_a_bit_that_flipped_on_the_way_is_mended_by_fetching_again(
    source: HostileSource, client: Client, tmp_path: Path
) -> None:
    name, body = source.blob(0)
    source.parts = source.parts[:1]
    source.canned["blob"].append(Canned(200, {}, body[:-1] + bytes([body[-1] ^ 1])))
    assert client.pull(ASK, tmp_path).proof is Proof.PROVEN
    assert (tmp_path / name).read_bytes() == body


@pytest.mark.parametrize("form", [Format.BLOBS, Format.PARQUET])
@pytest.mark.parametrize("damage", ["cut", "flipped", "no gzip", "no bytes"])
def test_a_damaged_blob_is_found_without_any_annotation(
    source: HostileSource, client: Client, tmp_path: Path, damage: str, form: Format
) -> None:
    source.annotated = False
    name, body = source.blob(0)
    flipped = body[:-6] + bytes([body[-6] ^ 1]) + body[-5:]
    source.bodies[name] = {"cut": body[:-9], "flipped": flipped, "no gzip": b"<html>", "no bytes": b""}[damage]
    with pytest.raises(ProofError, match=r"cut or corrupt|page for people"):
        client.pull(ASK, tmp_path, format=form)
    assert left_in(tmp_path) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"blobCount": 3}, "lists 2 blobs and says that there are 3"),
        ({"@counterfoil.lineItemCount": 6}, "says 6 line items, and 5"),
        ({"@counterfoil.totals": {"currency": "EUR", "BillingPreTaxTotal": "1"}}, "exact sum of BillingPreTaxTotal"),
        ({"@counterfoil.totals": {"currency": "USD", "BillingPreTaxTotal": TOTAL}}, "arrived in EUR"),
        ({"@counterfoil.totals": {"BillingPreTaxTotal": "NaN"}}, "not a number"),
        ({"rootDirectory": "ftp://x/y"}, "not an http address"),
        ({"rootDirectory": "http://198.51.100.7/x"}, "plain http"),
        ({"blobs": "none"}, "no list of blobs"),
        ({"@counterfoil.lineItemCount": 10**18}, "not a count"),
        ({"eTag": "\ud800"}, "half a surrogate pair"),
        ({"rootDirectory": "https://xn--/"}, "not an http address"),
    ],
)
def test_a_manifest_that_cannot_be_right_is_refused(
    source: HostileSource, client: Client, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    source.manifest_changes = changes
    with pytest.raises(ProofError, match=said):
        client.pull(ASK, tmp_path)
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("name", ["@counterfoil.sizeBytes", "@counterfoil.lineItemCount"])
def test_a_count_that_nothing_can_have_is_refused(
    source: HostileSource, client: Client, tmp_path: Path, name: str
) -> None:
    source.blob_changes[0] = {name: 10**400}
    with pytest.raises(ProofError, match="not a count"):
        client.pull(ASK, tmp_path)


@pytest.mark.parametrize("span", [f"bytes {'0' * 5000}-1/9", f"bytes 40-41/{'9' * 5000}"])
def test_a_range_of_thousands_of_digits_is_no_range(
    source: HostileSource, client: Client, tmp_path: Path, span: str
) -> None:
    source.parts, source.blob_etag = source.parts[:1], '"first"'
    name, body = source.blob(0)
    source.cut_at[name] = 40
    source.canned["blob"].append(Canned(200, {"ETag": '"first"', "Content-Length": str(len(body))}, body[:40]))
    source.canned["blob"].append(Canned(206, {"ETag": '"first"', "Content-Range": span}, body[40:]))
    assert client.pull(ASK, tmp_path).proof is Proof.PROVEN


def test_a_count_that_differs_from_the_blob_is_refused(source: HostileSource, client: Client, tmp_path: Path) -> None:
    source.blob_changes[0] = {"@counterfoil.lineItemCount": 2}
    source.blob_changes[1] = {"@counterfoil.lineItemCount": 3}
    with pytest.raises(ProofError, match="line items, and"):
        client.pull(ASK, tmp_path)


@pytest.mark.parametrize("names", [("a.gz", "a.gz"), ("a.json.gz", "A.json.gz"), ("a.json.gz", "a.gz")])
def test_a_blob_listed_twice_as_names_of_files_go_is_refused(
    source: HostileSource, client: Client, tmp_path: Path, names: tuple[str, str]
) -> None:
    source.blob_changes[0], source.blob_changes[1] = {"name": names[0]}, {"name": names[1]}
    with pytest.raises(ProofError, match="twice"):
        client.pull(ASK, tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        *("../x.gz", "a/b.gz", "a\\b.gz", ".hidden.gz", "x.json", "x.gz\n", "", "C:x.gz", "x%2f.gz", "..gz", None),
        *("-rf.json.gz", "-.gz", "CON.gz", "nul.json.gz", "COM1.json.gz"),
    ],
)
def test_a_blob_name_that_is_no_plain_file_name_never_reaches_the_disk(
    source: HostileSource, client: Client, tmp_path: Path, name: Any
) -> None:
    source.blob_changes[0] = {"name": name}
    with pytest.raises(ProofError, match="safe file name"):
        client.pull(ASK, tmp_path / "inside")
    assert source.calls_of("blob") == []
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("form", [Format.BLOBS, Format.PARQUET])
@pytest.mark.parametrize("bad", [b"[1]", b'{"BillingPreTaxTotal":"1_0"}', b'{"BillingPreTaxTotal":NaN}', b"\xff", b"{"])
def test_a_line_that_cannot_be_read_exactly_is_refused(
    source: HostileSource, client: Client, tmp_path: Path, bad: bytes, form: Format
) -> None:
    source.annotated = False
    source.parts = [[*source.parts[0], bad]]
    with pytest.raises(ProofError, match=f"The blob {source.blob(0)[0]}"):
        client.pull(ASK, tmp_path, format=form)
    assert left_in(tmp_path) == []


def test_a_blob_of_several_members_with_a_mark_and_blank_lines_is_read(
    source: HostileSource, client: Client, tmp_path: Path
) -> None:
    source.annotated = False
    name, _ = source.blob(0)
    lines = source.parts[0]
    source.bodies[name] = gzip.compress(b"\xef\xbb\xbf" + lines[0] + b"\r\n\r\n") + gzip.compress(lines[1])
    assert client.pull(ASK, tmp_path).line_items == 4


def test_without_an_etag_what_was_fetched_is_not_mixed_with_another_operations(
    source: HostileSource, tmp_path: Path
) -> None:
    """Not either where the run that began the other operation was interrupted while it waited."""
    source.annotated, source.etag = False, ""
    names = [{"name": "a.json.gz"}, {"name": "b.json.gz"}]
    source.blob_changes = defaultdict(dict, enumerate(names))
    source.bodies = {"a.json.gz": source.blob(0)[1], "b.json.gz": b"spoilt"}
    quick = Patience(sleep=lambda _: None)
    with Client(source.url, TOKEN, patience=quick, parallel=1) as client, pytest.raises(ProofError):
        client.pull(ASK, tmp_path)

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    source.parts = [[written(usage_line(n, Quantity=number("7"))) for n in part] for part in ((10, 11, 12), (13,))]
    source.bodies = {"a.json.gz": source.blob(0)[1], "b.json.gz": source.blob(1)[1]}
    running = json.dumps({"id": "other", "status": "running"}).encode()
    source.canned["operation"].extend([Canned(410), Canned(200, {}, running)])
    with Client(source.url, TOKEN, patience=Patience(sleep=interrupt)) as client, pytest.raises(KeyboardInterrupt):
        client.pull(ASK, tmp_path)
    with Client(source.url, TOKEN, patience=quick) as client:
        receipt = client.pull(ASK, tmp_path)
        assert receipt.line_items == 4
    assert b"customer-10" in gzip.decompress((tmp_path / "a.json.gz").read_bytes())


def test_a_csv_that_cannot_be_written_of_what_came_does_not_hold_the_next_pull_up(
    source: HostileSource, client: Client, tmp_path: Path
) -> None:
    """A flaw where neither counting nor adding up looks is met all the same, as soon as the blob is there."""
    source.annotated, good = False, source.parts[:1]
    source.parts = [[line.replace(b'"customer-1"', b'""customer-1"') for line in good[0]]]
    source.blob_changes[0] = {"name": "a.json.gz"}
    source.bodies["a.json.gz"] = source.blob(0)[1]
    with pytest.raises(ProofError):
        client.pull(ASK, tmp_path, format=Format.CSV)
    assert len(source.calls_of("blob")) == 3, "it was asked for again, since it did not pass as a blob"
    source.parts = good
    source.bodies["a.json.gz"] = source.blob(0)[1]
    assert client.pull(ASK, tmp_path, format=Format.CSV).line_items == 3
