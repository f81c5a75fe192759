"""A mirror: what is pulled from one Counterfoil and published into a second is the same there, and stays so."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner

from counterfoil import cli
from counterfoil.cli.output import Output
from counterfoil.cli.pull_publish import PullPublisher
from counterfoil.client import Api, Client, Format, Receipt, ask_billed, ask_unbilled
from counterfoil.datasets.data_folder import DataFolder
from counterfoil.datasets.folder import contents_of_folder
from counterfoil.datasets.publishing import publish
from counterfoil.errors import DamagedError, UsageError
from counterfoil.generator import generate
from counterfoil.mirror import pulled_inputs
from counterfoil.model import AttributeSet, Kind, Scope
from counterfoil.periods import BillingPeriod, utc_now
from counterfoil.settings import Settings
from counterfoil.testing import PARTNER, Server
from tests.end_to_end.fetching import Fetcher

NOW: Final = "2026-11-21T12:00:00+00:00"
MOMENT: Final = datetime.fromisoformat(NOW)
INVOICE: Final = "G016907411"
RESELLER: Final = "11111111-2222-3333-4444-555555555555"
LINE_ITEMS: Final = 400


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Server, Server]]:
    with Server(now=NOW) as source, Server(now=NOW) as mirror:
        yield source, mirror


@pytest.fixture
def source(servers: tuple[Server, Server]) -> Server:
    servers[0].reset()
    return servers[0]


@pytest.fixture
def mirror(servers: tuple[Server, Server]) -> Server:
    servers[1].reset()
    return servers[1]


def made(kind: Kind, seed: int = 0) -> bytes:
    scope = Scope.billed(INVOICE) if kind is Kind.RECONCILIATION else Scope.unbilled(BillingPeriod(2026, 11), "EUR")
    return b"".join(generate(kind, LINE_ITEMS, seed=seed, special=True, partner=PARTNER, scope=scope))


def published(server: Server, kind: Kind, seed: int = 0, **where: Any) -> None:
    period = "" if kind is Kind.RECONCILIATION else "2026-11"
    server.publish(made(kind, seed), period=period, **where)


def pulled(source: Server, to: Path, kind: Kind, form: Format, api: Api = Api.GRAPH, **how: Any) -> Receipt:
    audience = "graph" if api is Api.GRAPH else "partner-center"
    attributes = how.pop("attributes", AttributeSet.FULL)
    if kind is Kind.RECONCILIATION and api is Api.GRAPH:
        ask = ask_billed(kind, INVOICE, attributes)
    else:
        ask = ask_unbilled(kind, "current", "EUR", attributes, now=MOMENT)
    with Client(source.url, source.token(audience, **how)) as client:
        return client.pull(ask, to, api=api, format=form)


def output() -> Output:

    return Output(stdout=io.StringIO(), stderr=io.StringIO())


def mirrored(receipt: Receipt, folder: Path, mirror: Server) -> str:
    """Publish, and return what was said."""
    told = output()
    PullPublisher(Settings(data=mirror.data), told).publish(receipt, folder)
    assert told.stdout.getvalue() == ""  # type: ignore[attr-defined]
    return str(told.stderr.getvalue())  # type: ignore[attr-defined]


def manifest_of(server: Server, kind: Kind, partner: str = "") -> tuple[Fetcher, Any]:
    fetcher = Fetcher(server, partner)
    operation = fetcher.export(str(kind), invoice=INVOICE if kind is Kind.RECONCILIATION else "")
    return fetcher, operation["resourceLocation"]


def seen(server: Server, kind: Kind) -> tuple[str, dict[str, str], list[bytes]]:
    """The eTag, totals and blobs that a server gives for the data."""
    fetcher, manifest = manifest_of(server, kind)
    with closing(fetcher.client):
        return manifest["eTag"], manifest["@counterfoil.totals"], list(fetcher.blobs(manifest))


def lines(blobs: list[bytes]) -> list[bytes]:
    return sorted(line for blob in blobs for line in gzip.decompress(blob).splitlines())


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("form", [Format.BLOBS, Format.PARQUET])
def test_what_was_published_whole_is_byte_for_byte_the_same(
    source: Server, mirror: Server, tmp_path: Path, kind: Kind, form: Format
) -> None:
    published(source, kind)
    receipt = pulled(source, tmp_path / "to", kind, form)
    said = mirrored(receipt, tmp_path / "to", mirror)
    assert seen(mirror, kind) == seen(source, kind)
    assert receipt.etag in said
    assert "Warning" not in said


def test_pages_are_the_same_too(source: Server, mirror: Server, tmp_path: Path) -> None:
    published(source, Kind.USAGE)
    mirrored(pulled(source, tmp_path / "to", Kind.USAGE, Format.BLOBS), tmp_path / "to", mirror)
    walks = []
    for server in (source, mirror):
        fetcher = Fetcher(server)
        with closing(fetcher.client):
            walks.append([items for items, _ in fetcher.pages("usage", size=150)])
    assert walks[0] == walks[1]


def test_segments_become_one_whole_with_the_same_etag_and_lines(source: Server, mirror: Server, tmp_path: Path) -> None:
    published(source, Kind.USAGE, seed=1, segment="a")
    published(source, Kind.USAGE, seed=2, segment="b")
    mirrored(pulled(source, tmp_path / "to", Kind.USAGE, Format.BLOBS), tmp_path / "to", mirror)
    theirs, ours = seen(source, Kind.USAGE), seen(mirror, Kind.USAGE)
    assert (ours[:2], lines(ours[2])) == (theirs[:2], lines(theirs[2]))


def test_a_folder_of_pulls_is_published_by_their_receipts(source: Server, mirror: Server, tmp_path: Path) -> None:
    published(source, Kind.USAGE)
    published(source, Kind.RECONCILIATION)
    for kind in Kind:
        pulled(source, tmp_path / "pulls" / kind, kind, Format.BLOBS)
    found = contents_of_folder(tmp_path / "pulls", pulled_inputs)
    publish(DataFolder(mirror.service.store, utc_now), found.inputs)
    assert all(seen(source, kind)[:2] == seen(mirror, kind)[:2] for kind in Kind)


def test_doing_it_again_changes_nothing_and_a_new_state_is_a_new_revision(
    source: Server, mirror: Server, tmp_path: Path
) -> None:
    def revisions() -> list[str]:
        [(dataset, _)] = mirror.service.catalog.datasets()
        return [revision.etag for revision in mirror.service.catalog.revisions(dataset)]

    published(source, Kind.USAGE, seed=1)
    first = pulled(source, tmp_path / "to", Kind.USAGE, Format.BLOBS)
    assert "Published" in mirrored(first, tmp_path / "to", mirror)
    assert "nothing was changed" in mirrored(first, tmp_path / "to", mirror)
    again = pulled(source, tmp_path / "to", Kind.USAGE, Format.BLOBS)
    assert "nothing was changed" in mirrored(again, tmp_path / "to", mirror)
    assert revisions() == [first.etag]
    published(source, Kind.USAGE, seed=2)
    newer = pulled(source, tmp_path / "to", Kind.USAGE, Format.BLOBS)
    mirrored(newer, tmp_path / "to", mirror)
    assert revisions() == [newer.etag, first.etag]
    assert seen(mirror, Kind.USAGE) == seen(source, Kind.USAGE)


@pytest.mark.parametrize("api", Api)
def test_every_line_item_and_digit_arrives_however_it_was_pulled(
    source: Server, mirror: Server, tmp_path: Path, api: Api
) -> None:
    published(source, Kind.USAGE)
    forms = (Format.BLOBS, Format.PARQUET, Format.CSV) if api is Api.GRAPH else (Format.BLOBS, Format.PARQUET)
    for form in forms:
        mirror.reset()
        receipt = pulled(source, tmp_path / form, Kind.USAGE, form, api)
        mirrored(receipt, tmp_path / form, mirror)
        theirs, ours = seen(source, Kind.USAGE), seen(mirror, Kind.USAGE)
        assert Decimal(ours[1]["BillingPreTaxTotal"]) == Decimal(theirs[1]["BillingPreTaxTotal"])
        assert len(lines(ours[2])) == LINE_ITEMS


def test_a_mirror_of_fewer_attributes_says_that_it_is_one(source: Server, mirror: Server, tmp_path: Path) -> None:
    published(source, Kind.RECONCILIATION)
    receipt = pulled(source, tmp_path, Kind.RECONCILIATION, Format.BLOBS, attributes=AttributeSet.BASIC)
    said = mirrored(receipt, tmp_path, mirror)
    assert "it holds attributes that this pull did not bring" in said
    assert seen(mirror, Kind.RECONCILIATION)[0] != receipt.etag


@pytest.mark.parametrize(
    ("api", "form"),
    [(Api.GRAPH, Format.BLOBS), (Api.GRAPH, Format.CSV), (Api.V1, Format.BLOBS), (Api.V1, Format.PARQUET)],
)
def test_a_resellers_line_items_are_its_own_though_they_bear_their_distributors_id(
    source: Server, mirror: Server, tmp_path: Path, api: Api, form: Format
) -> None:
    """Whose they are stands in the receipt: the manifest tells it, or else the token."""
    published(source, Kind.USAGE, partner=RESELLER, issuer=PARTNER)
    receipt = pulled(source, tmp_path, Kind.USAGE, form, api, partner=RESELLER)
    assert receipt.partner == RESELLER
    mirrored(receipt, tmp_path, mirror)
    found = []
    for server in (source, mirror):
        fetcher, manifest = manifest_of(server, Kind.USAGE, RESELLER)
        with closing(fetcher.client):
            found.append((manifest["@counterfoil.totals"], len(lines(list(fetcher.blobs(manifest))))))
    assert found[1] == found[0] == (found[0][0], LINE_ITEMS)
    assert {dataset.partner for dataset, _ in mirror.service.catalog.datasets()} == {RESELLER}


def test_files_that_were_touched_since_are_not_published(source: Server, mirror: Server, tmp_path: Path) -> None:
    published(source, Kind.USAGE)
    receipt = pulled(source, tmp_path, Kind.USAGE, Format.BLOBS)
    path = tmp_path / receipt.files[0].name
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).replace(b'"Quantity":1', b'"Quantity":2', 1)))
    with pytest.raises(DamagedError, match="not the file of its receipt"):
        mirrored(receipt, tmp_path, mirror)
    path.unlink()
    with pytest.raises(DamagedError, match="is missing"):
        mirrored(receipt, tmp_path, mirror)
    assert mirror.service.catalog.datasets() == []


def test_a_workbook_is_no_source_of_numbers(source: Server, mirror: Server, tmp_path: Path) -> None:
    published(source, Kind.USAGE)
    receipt = pulled(source, tmp_path, Kind.USAGE, Format.XLSX)
    with pytest.raises(UsageError, match="blobs or parquet"):
        mirrored(receipt, tmp_path, mirror)


def test_nothing_there_is_nothing_to_publish(source: Server, mirror: Server, tmp_path: Path) -> None:
    receipt = pulled(source, tmp_path, Kind.USAGE, Format.BLOBS, Api.V1)
    assert "nothing to publish" in mirrored(receipt, tmp_path, mirror)


def test_the_command_does_it_in_one_line(source: Server, mirror: Server, tmp_path: Path) -> None:
    published(source, Kind.RECONCILIATION)
    line = ["pull", source.url, "--kind", "reconciliation", "--invoice", INVOICE, "--to", str(tmp_path / "to")]
    line += ["--token", source.token(), "--publish", "--data", str(mirror.data)]
    for said in ("Published", "nothing was changed"):
        done = CliRunner().invoke(cli.main, line, prog_name="counterfoil")
        assert done.exit_code == 0, done.stderr
        assert said in done.stderr
    assert seen(mirror, Kind.RECONCILIATION) == seen(source, Kind.RECONCILIATION)
