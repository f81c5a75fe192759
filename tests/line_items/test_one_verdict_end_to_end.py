"""Three hundred changed lines through everything that reads line items: publish, pull, mirror and `line_items()`."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from counterfoil.client import Client, Format, ask_billed
from counterfoil.client.output_files.headings import columns_of
from counterfoil.client.protocol.retries import Patience
from counterfoil.columns import LineItemTable, table_of
from counterfoil.datasets.check import Assertions
from counterfoil.datasets.data_folder import DataFolder
from counterfoil.errors import ProofError
from counterfoil.line_items.reference import read_json_line
from counterfoil.line_items.values import Refused
from counterfoil.model import Kind
from tests.cli.pulling import run
from tests.client.hostile_source import TOKEN, HostileSource, serving
from tests.datasets.line_items import INVOICE, in_force, lake_items, publish_bytes
from tests.datasets.mutations import PARTNER
from tests.line_items.mutator import Mutator

LINES = 300
BILLED = Assertions(invoice=INVOICE)
SEED = int(os.environ.get("SEED", "9"))


@dataclass(frozen=True)
class Judged:
    """Changed lines of a kind, as the reference judges them; what it accepts can be published together."""

    kind: Kind
    lines: list[bytes]
    items: dict[int, dict[str, str]]  # by number, from 1

    @property
    def good(self) -> list[bytes]:
        return [self.lines[number - 1] for number in self.items]


def belongs(table: LineItemTable, item: dict[str, str]) -> bool:
    """Whether a line item is complete, and of the dataset that the others make."""
    complete = all(item.get(column.name) for column in table.columns if column.required)
    issuer, currency = item.get("PartnerId", "").lower(), item.get(table.currency, "")
    return complete and (issuer, currency, item.get("InvoiceNumber", "")) == (PARTNER, "EUR", "")


@pytest.fixture(scope="module", params=list(Kind))
def judged(request: pytest.FixtureRequest) -> Judged:
    kind = request.param
    table = table_of(kind)
    good, bad = list[tuple[bytes, dict[str, str]]](), list[bytes]()
    for line in Mutator(kind, SEED).lines(20 * LINES):
        try:
            item = read_json_line(table, line)
        except Refused:
            if line.strip():
                bad.append(line)
        else:
            if belongs(table, item):
                good.append((line, item))
    half = LINES // 4
    mixed = [pair for pairs in zip(good[:half], bad[:half], strict=True) for pair in pairs]
    lines = [each if isinstance(each, bytes) else each[0] for each in mixed]
    items = {number: each[1] for number, each in enumerate(mixed, 1) if not isinstance(each, bytes)}
    return Judged(kind, lines, items)


@pytest.fixture
def source() -> Iterator[HostileSource]:
    with serving(HostileSource()) as started:
        started.annotated = False
        yield started


def mirrored(kind: Kind, form: str, source: HostileSource, folder: Path) -> dict[str, Any]:
    """Pull and publish in one go; returns what `show` says of the dataset."""
    done = run(
        *("pull", source.url, "--token", TOKEN, "--kind", kind.value, "--invoice", INVOICE, "--publish"),
        *("--to", str(folder / "pulled"), "--format", form, "--data", str(folder / "mirror")),
    )
    assert done.exit_code == 0, done.stderr
    named = ("--partner", PARTNER, "--kind", kind.value, "--invoice", INVOICE)
    row: dict[str, Any]
    [row] = json.loads(run("show", *named, "--data", str(folder / "mirror"), "--output", "json").stdout)
    return row


def as_set(items: list[dict[str, str]]) -> list[str]:
    return sorted(json.dumps(item, sort_keys=True) for item in items)


def test_publish_judges_every_line_as_the_reference_does(
    judged: Judged, data_folder: DataFolder, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    rejects = tmp_path / "rejects"
    receipt = publish_bytes(
        data_folder, tmp_path / "a", b"\n".join(judged.lines), BILLED, rejects=rejects, allow_rejects=LINES
    )
    refused = {json.loads(line)["line"] for line in rejects.read_text(encoding="utf-8").splitlines()}
    assert refused == {*range(1, len(judged.lines) + 1)} - judged.items.keys()
    assert as_set(lake_items(data_folder, in_force(receipt))) == as_set(list(judged.items.values()))
    told = f"{len(judged.lines)} changed {judged.kind} lines (seed {SEED}), {len(judged.items)} of them accepted"
    record_property("told", f"{told}: one verdict by publish, pull, mirror and line_items()")


def test_pull_and_line_items_refuse_every_line_that_the_reference_refuses(
    judged: Judged, source: HostileSource, tmp_path: Path
) -> None:
    ask = ask_billed(judged.kind, INVOICE)
    bad = [line for number, line in enumerate(judged.lines, 1) if number not in judged.items]
    with Client(source.url, TOKEN, patience=Patience(sleep=lambda _: None)) as client:
        for line in bad:
            source.parts = [[judged.good[0], line]]
            with pytest.raises(ProofError):
                list(client.line_items(ask))
        for line in bad[::15]:
            source.parts = [[judged.good[0], line]]
            for form in (Format.BLOBS, Format.PARQUET, Format.CSV):
                with pytest.raises(ProofError):
                    client.pull(ask, tmp_path / form.value, format=form)
                assert not (tmp_path / form.value / "receipt.json").exists()


@pytest.mark.parametrize("form", ["blobs", "parquet"])
def test_what_is_pulled_and_mirrored_is_what_is_published(
    judged: Judged, form: str, source: HostileSource, data_folder: DataFolder, tmp_path: Path
) -> None:
    source.parts = [judged.good[::2], judged.good[1::2]]
    published = publish_bytes(data_folder, tmp_path / "a", b"\n".join(judged.good), BILLED)
    with Client(source.url, TOKEN) as client:
        streamed = client.line_items(ask_billed(judged.kind, INVOICE))
        texts = [{name: text for name, text in item.items() if text is not None} for item in streamed]
    assert as_set(texts) == as_set(list(judged.items.values()))
    assert mirrored(judged.kind, form, source, tmp_path)["eTag"] == published.etag


def test_a_csv_gives_what_its_texts_give_published_and_mirrored(
    judged: Judged, source: HostileSource, data_folder: DataFolder, tmp_path: Path
) -> None:
    named = [(heading, column.name) for heading, column in columns_of(judged.kind).items()]
    names = {name for _, name in named}
    written = io.StringIO(newline="")
    rows = csv.writer(written)
    rows.writerow([heading for heading, _ in named])
    items = [{name: text for name, text in item.items() if name in names} for item in judged.items.values()]
    rows.writerows([[item.get(name, "") for _, name in named] for item in items])
    receipt = publish_bytes(data_folder, tmp_path / "a.csv", written.getvalue().encode(), BILLED)
    stored = [
        {name: text for name, text in item.items() if text} for item in lake_items(data_folder, in_force(receipt))
    ]
    assert as_set(stored) == as_set([{name: text for name, text in item.items() if text} for item in items])
    source.parts = [judged.good]
    assert mirrored(judged.kind, "csv", source, tmp_path)["eTag"] == receipt.etag
