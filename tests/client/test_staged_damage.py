"""What was proven is looked at again when it is used, and no stored nonsense keeps a folder from being pulled to."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from counterfoil.client import Api, Client, Format, Proof, ask_unbilled
from counterfoil.client.holdings.holding import holding_at
from counterfoil.client.holdings.verifying import verify
from counterfoil.client.protocol.retries import Patience
from counterfoil.client.pull_folder import target, walk_journal
from counterfoil.client.pull_folder.contents import STAGING
from counterfoil.client.transfer import pull_task
from counterfoil.disk.documents import digest_of
from counterfoil.errors import CounterfoilError, ProofError
from counterfoil.model import Kind
from tests.client.folders import seal
from tests.client.hostile_source import TOKEN, Call, Canned, HostileSource

ASK = ask_unbilled(Kind.USAGE, "current", "EUR", now=datetime(2026, 11, 21, tzinfo=UTC))
WAITS = Patience(sleep=lambda _: None)
DATA: Final = (".gz", ".parquet", ".csv", ".xlsx")
SEED = 20261128


def flip_one(path: Path, bit: int | None = None) -> None:
    data = bytearray(path.read_bytes())
    bit = len(data) * 4 if bit is None else bit
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def faults_in(folder: Path) -> list[str]:
    return verify(holding_at(folder))


@pytest.mark.parametrize("when", ["before it is written out", "before it is put in place"])
@pytest.mark.parametrize(("api", "form"), [(api, form) for api in Api for form in Format])
def test_what_is_damaged_after_it_was_proven_is_never_put_in_place(
    source: HostileSource,
    client: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    api: Api,
    form: Format,
    when: str,
) -> None:
    struck: list[Path] = []

    def strike() -> None:
        staged = [each for each in sorted((tmp_path / STAGING).iterdir()) if each.suffix in DATA]
        struck.append(staged[-1])
        flip_one(staged[-1])

    def tally_of(facts: Any, tally_of: Any = pull_task.tally_of) -> Any:
        strike()
        return tally_of(facts)

    kept = target.PullFolder.keep

    def keep(folder: target.PullFolder, *given: Any) -> Any:
        strike()
        return kept(folder, *given)

    with monkeypatch.context() as patched:
        if when == "before it is put in place":
            patched.setattr(target.PullFolder, "keep", keep)
        else:
            patched.setattr(pull_task, "tally_of", tally_of)
        with pytest.raises(ProofError, match="is no longer as it was written") as caught:
            client.pull(ASK, tmp_path, api=api, format=form)
    assert caught.value.message.startswith(struck[-1].name)
    assert not (tmp_path / "receipt.json").exists()
    assert client.pull(ASK, tmp_path, api=api, format=form).proof is Proof.PROVEN
    assert faults_in(tmp_path) == []


def half_an_export(source: HostileSource, to: Path) -> Path:
    """Pull an export of which only the first blob is good."""
    source.bodies[source.blob(1)[0]] = b"spoilt"
    with Client(source.url, TOKEN, patience=WAITS, parallel=1) as client, pytest.raises(ProofError):
        client.pull(ASK, to)
    source.bodies.clear()
    return to / STAGING


def half_a_walk(source: HostileSource, to: Path) -> Path:
    """Pull a walk of which two pages of three are kept."""
    page = source.page

    def failing(call: Call) -> Canned:
        return Canned(503) if call.headers.get("ms-continuationtoken") == "token-2" else page(call)

    source.page = failing  # type: ignore[method-assign]
    with Client(source.url, TOKEN, patience=WAITS) as client, pytest.raises(CounterfoilError, match="goes on from"):
        client.pull(ASK, to, api=Api.V1)
    source.page = page  # type: ignore[method-assign]
    return to / STAGING


@pytest.mark.parametrize("flips", [40, pytest.param(5_000, marks=pytest.mark.soak)])
@pytest.mark.parametrize("api", Api)
def test_every_flipped_bit_of_an_unfinished_pull_is_found(
    source: HostileSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Any, api: Api, flips: int
) -> None:
    monkeypatch.setattr(walk_journal, "LINES_PER_FILE_MAX", 2)
    staging = half_a_walk(source, tmp_path) if api is Api.V1 else half_an_export(source, tmp_path)
    dice = random.Random(SEED)
    # A blob of which only a part is there is not proven yet, and is by the run that fetches the rest.
    paths = [each for each in sorted(staging.iterdir()) if each.stat().st_size and ".part" not in each.name]
    assert len(paths) >= 3
    assert faults_in(tmp_path) == []
    for _ in range(flips):
        path = dice.choice(paths)
        whole = path.read_bytes()
        flip_one(path, dice.randrange(len(whole) * 8))
        assert faults_in(tmp_path), (path.name, path.read_bytes())
        path.write_bytes(whole)
    if flips > 100:
        record_property("told", f"{flips} bits of an unfinished pull ({api}) flipped, seed {SEED}: all found")


def forge(path: Path, line: int, edit: Callable[[dict[str, Any]], None]) -> None:
    """Change one line of a stored document, and seal it again: bits do not do that, somebody does."""
    lines = path.read_bytes().splitlines(keepends=True)
    body = json.loads(lines[line])
    del body["digest"]
    edit(body)
    lines[line] = json.dumps(body | {"digest": digest_of(body)}, ensure_ascii=False).encode() + b"\n"
    path.write_bytes(b"".join(lines))


def setting(**members: Any) -> Callable[[dict[str, Any]], None]:
    return lambda body: body.update(members)


EXPORT_NONSENSE: Final[dict[str, tuple[str, Callable[[dict[str, Any]], None]]]] = {
    "an operation elsewhere": ("pull.json", setting(operation_url="https://elsewhere.example/operations/1")),
    "an operation that is no address": ("pull.json", setting(operation_url="::")),
    "an operation that is a file": ("pull.json", setting(operation_url="file:///etc/passwd")),
    "an operation that is none": ("pull.json", setting(operation_url="{url}/v1.0/other")),
    "a time that is none": ("pull.json", setting(started_at="yesterday")),
    "a time without a zone": ("pull.json", setting(started_at="2026-11-21T12:00:00")),
    "blobs that climb": ("pull.json", setting(blobs=[{"name": "../../x.gz"}])),
    "facts of another file": ("*.gz.json", lambda body: body["file"].update(name="../../stranger.txt")),
    "facts of another blob": ("*.gz.json", lambda body: body["blob"].update(name="part-00009.json.gz")),
    "facts with other totals": ("*.gz.json", lambda body: body["totals"]["EUR"].update(BillingPreTaxTotal="1")),
    "facts of more line items": ("*.gz.json", lambda body: body["blob"].update(line_items=10**30)),
}


@pytest.mark.parametrize("case", EXPORT_NONSENSE)
def test_nonsense_in_an_unfinished_export_keeps_no_pull_from_going_on(
    source: HostileSource, client: Client, tmp_path: Path, case: str
) -> None:
    name, edit = EXPORT_NONSENSE[case]
    stranger = tmp_path / "stranger.txt"
    stranger.write_bytes(b"not ours")
    staging = half_an_export(source, tmp_path / "to")
    [path] = [each for each in staging.glob(name) if not each.name.endswith(".part.json")]
    forge(path, 0, edit)
    path.write_bytes(path.read_bytes().replace(b"{url}", source.url.encode()))
    try:
        receipt = client.pull(ASK, tmp_path / "to")
    except ProofError:  # a blob that does not add up is noticed at the end, and everything is fetched again
        receipt = client.pull(ASK, tmp_path / "to")
    assert (receipt.proof, receipt.line_items) == (Proof.PROVEN, 5)
    assert faults_in(tmp_path / "to") == []
    assert stranger.read_bytes() == b"not ours"


WALK_NONSENSE: Final[dict[str, Callable[[dict[str, Any]], None]]] = {
    "a part far away": setting(part=10**9),
    "a part before the first": setting(part=0, partItems=1),
    "more bytes than a disk has": setting(sizeBytes=10**15, partBytes=10**15 + 1),
    "no items": setting(lineItems=0),
    "another hash": setting(sha256="0" * 64),
    "a total too many": setting(totals={"EUR": {"BillingPreTaxTotal": "1"}}),
    "a next page elsewhere": setting(following={"url": "https://elsewhere.example/v1/x", "headers": {}}),
    "a next page that is no address": setting(following={"url": "::", "headers": {}}),
    "a next page with a header that cannot be sent": setting(
        following={"url": "{url}/v1/x", "headers": {"a\n": "b\n"}}
    ),
    "another eTag": lambda body: body["annotations"].update(etag="another"),
    "an end too early": setting(following=None),
}


@pytest.mark.parametrize("case", WALK_NONSENSE)
def test_nonsense_in_a_journal_keeps_no_walk_from_going_on(
    source: HostileSource, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.setattr(walk_journal, "LINES_PER_FILE_MAX", 2)
    staging = half_a_walk(source, tmp_path)
    path = staging / walk_journal.FILE_NAME
    forge(path, 1, WALK_NONSENSE[case])
    path.write_bytes(path.read_bytes().replace(b"{url}", source.url.encode()))
    try:
        receipt = client.pull(ASK, tmp_path, api=Api.V1)
    except CounterfoilError:
        receipt = client.pull(ASK, tmp_path, api=Api.V1)
    assert (receipt.proof, receipt.line_items) == (Proof.PROVEN, 5)
    assert faults_in(tmp_path) == []


KEYS = ("source", "api", "request", "operation", "eTag", "startedAt", "finishedAt", "format", "lineItems", "totals")
MORE_KEYS = ("proof", "checked", "unchecked", "blobs", "files", "requestIds", "inexact", "notes", "partnerTenantId")


def test_every_key_of_a_receipt_is_required(source: HostileSource, client: Client, tmp_path: Path) -> None:
    client.pull(ASK, tmp_path)
    whole = json.loads((tmp_path / "receipt.json").read_bytes())
    assert set(whole) == {*KEYS, *MORE_KEYS, "version", "digest"}
    for key in whole:
        without = {name: value for name, value in whole.items() if name != key}
        if key == "digest":
            (tmp_path / "receipt.json").write_text(json.dumps(without))
        else:
            seal(tmp_path, without)
        assert faults_in(tmp_path), key


@pytest.mark.parametrize("form", [Format.BLOBS, Format.PARQUET])
@pytest.mark.parametrize(
    "edit",
    [
        {"name": "part-00009.json.gz"},
        {"lineItems": 4},
        {"sha256": "0" * 64},
        {"sizeBytes": 1},
        None,
    ],
)
def test_the_blobs_of_a_receipt_are_its_files(
    source: HostileSource, client: Client, tmp_path: Path, form: Format, edit: dict[str, Any] | None
) -> None:
    client.pull(ASK, tmp_path, format=form)
    receipt = json.loads((tmp_path / "receipt.json").read_bytes())
    if edit is None:
        receipt["blobs"] = receipt["blobs"][:1]
    else:
        receipt["blobs"][0] |= edit
    seal(tmp_path, receipt)
    only_the_source_knows = form is Format.PARQUET and edit is not None and ("sha256" in edit or "sizeBytes" in edit)
    assert bool(faults_in(tmp_path)) is not only_the_source_knows


@pytest.mark.parametrize("flips", [20, pytest.param(2_000, marks=pytest.mark.soak)])
@pytest.mark.parametrize(
    ("api", "form"), [*((Api.GRAPH, form) for form in Format), (Api.V1, Format.BLOBS)], ids=lambda each: each.value
)
def test_every_flipped_bit_of_a_finished_pull_is_found(
    source: HostileSource, client: Client, tmp_path: Path, record_property: Any, api: Api, form: Format, flips: int
) -> None:
    client.pull(ASK, tmp_path, api=api, format=form)
    dice = random.Random(SEED)
    paths = sorted(each for each in tmp_path.iterdir() if each.is_file())
    harmless = 0
    for _ in range(flips):
        path = dice.choice(paths)
        whole = path.read_bytes()
        flip_one(path, dice.randrange(len(whole) * 8))
        if not faults_in(tmp_path):
            assert path.name == "receipt.json"
            assert json.loads(path.read_bytes()) == json.loads(whole), path.read_bytes()
            harmless += 1
        path.write_bytes(whole)
    if flips > 100:
        told = f"{flips} bits of a finished pull ({api}, {form}) flipped, seed {SEED}: all found"
        record_property("told", f"{told}, but for {harmless} that change nothing")
