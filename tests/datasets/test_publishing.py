"""What a publication changes, and what it leaves as it was."""

from __future__ import annotations

import gzip
import json
import random
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from counterfoil.columns import table_of
from counterfoil.datasets import publish as publishing
from counterfoil.datasets import seal
from counterfoil.datasets.check import Assertions
from counterfoil.datasets.publish import Input, Receipt, Workshop, publish
from counterfoil.datasets.sort import Sorter
from counterfoil.errors import InputError, LockedError, MovedError, UsageError
from counterfoil.model import Contents, Dataset, Kind, Rendering, Scope, etag
from tests.datasets.conftest import NOW
from tests.datasets.line_items import (
    INVOICE,
    OTHER,
    PARTNER,
    PERIOD,
    UNBILLED,
    amounts,
    billed,
    blob_items,
    blob_lines,
    folder_of,
    in_force,
    lake_items,
    listed,
    paths,
    publish_bytes,
    raw_lines,
    v1_items,
    write,
)

BILLED = Assertions()
USAGE = Dataset(Kind.USAGE, PARTNER, Scope.unbilled(PERIOD, "EUR"))


def stored_amounts(workshop: Workshop, receipt: Receipt) -> list[str]:
    return [str(item["BillingPreTaxTotal"]) for item in blob_items(workshop, in_force(receipt))]


@pytest.mark.parametrize("kind", Kind)
def test_what_the_lines_tell_is_inferred(workshop: Workshop, tmp_path: Path, kind: Kind) -> None:
    receipt = publish_bytes(workshop, tmp_path / "a.json", billed(kind, "1.10", "2.20"), BILLED)
    assert receipt.dataset == Dataset(kind, PARTNER, Scope.billed(INVOICE))
    assert receipt.contents.currency == "EUR"
    assert workshop.catalog.has_partner(PARTNER)


def test_totals_are_exact_and_written_in_full(workshop: Workshop, tmp_path: Path) -> None:
    texts = ["0.1999968000511991808131", "0E-20", "-0.1", "24.0", "1e3", "-1000"]
    receipt = publish_bytes(workshop, tmp_path / "a.json", amounts(Kind.USAGE, *texts))
    assert receipt.contents.plain_totals() == {"BillingPreTaxTotal": "24.0999968000511991808131"}
    assert sorted(stored_amounts(workshop, receipt)) == sorted(texts)


@pytest.mark.parametrize(
    ("asserted", "attribute"),
    [
        (Assertions(partner=OTHER), "PartnerId"),
        (Assertions(issuer=OTHER), "PartnerId"),
        (Assertions(invoice="G1"), "InvoiceNumber"),
        (Assertions(period=PERIOD), "InvoiceNumber"),
        (Assertions(currency="USD"), "BillingCurrency"),
        (Assertions(kind=Kind.RECONCILIATION), ""),
    ],
)
def test_a_flag_is_an_assertion(workshop: Workshop, tmp_path: Path, asserted: Assertions, attribute: str) -> None:
    with pytest.raises(InputError) as refused:
        publish_bytes(workshop, tmp_path / "a.json", billed(Kind.USAGE, "1"), asserted)
    assert (refused.value.attribute, refused.value.file) == (attribute, str(tmp_path / "a.json"))
    assert refused.value.remedy
    assert (workshop.catalog.datasets(), folder_of(tmp_path / "data")) == ([], {})


def test_assertions_that_hold_change_nothing_and_letter_case_does_not_matter(
    workshop: Workshop, tmp_path: Path
) -> None:
    told = Assertions(PARTNER.upper(), PARTNER.upper(), Kind.USAGE, INVOICE.lower(), None, "eur")
    lines = billed(Kind.USAGE, "1").replace(PARTNER.encode(), PARTNER.upper().encode())
    receipt = publish_bytes(workshop, tmp_path / "a.json", lines, told)
    assert receipt.dataset == Dataset(Kind.USAGE, PARTNER, Scope.billed(INVOICE))


def test_an_issuer_may_sell_through_another_partner(workshop: Workshop, tmp_path: Path) -> None:
    receipt = publish_bytes(
        workshop, tmp_path / "a.json", amounts(Kind.USAGE, "1"), replace(UNBILLED, partner=OTHER, issuer=PARTNER)
    )
    assert receipt.dataset.partner == OTHER
    [segment] = workshop.catalog.segments(in_force(receipt).id)
    assert segment.issuer == PARTNER
    assert [partner.tenant for partner in workshop.catalog.partners()] == [OTHER]


def test_unbilled_line_items_need_a_period(workshop: Workshop, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="name no invoice") as refused:
        publish_bytes(workshop, tmp_path / "a.json", amounts(Kind.USAGE, "1"), BILLED)
    assert "--period" in refused.value.remedy


def test_an_invoice_may_be_named_where_the_lines_do_not(workshop: Workshop, tmp_path: Path) -> None:
    receipt = publish_bytes(workshop, tmp_path / "a.json", amounts(Kind.USAGE, "1"), Assertions(invoice="x/1~"))
    assert receipt.dataset.scope.invoice == "X/1~"


def test_a_dry_run_tells_the_receipt_and_changes_nothing(workshop: Workshop, tmp_path: Path, data: Path) -> None:
    foreseen = publish_bytes(workshop, tmp_path / "a.json", amounts(Kind.USAGE, "1", "2"), dry_run=True)
    assert (foreseen.revision, foreseen.changed, workshop.catalog.datasets(), folder_of(data)) == (None, True, [], {})
    real = publish_bytes(workshop, tmp_path / "a.json", amounts(Kind.USAGE, "1", "2"))
    assert replace(real, revision=None) == foreseen
    assert publish_bytes(workshop, tmp_path / "a.json", amounts(Kind.USAGE, "1", "2"), dry_run=True) == replace(
        real, changed=False
    )


def test_a_dry_run_of_segments_foresees_the_whole_dataset(workshop: Workshop, tmp_path: Path) -> None:
    publish_bytes(workshop, tmp_path / "0", amounts(Kind.USAGE, "1"), segment="2026-11-01")
    inputs = [Input(write(tmp_path / n, amounts(Kind.USAGE, n)), UNBILLED, f"2026-11-0{n}") for n in "23"]
    foreseen = publish(workshop, inputs, dry_run=True)
    real = publish(workshop, inputs)
    assert foreseen == [replace(receipt, revision=None) for receipt in real]
    assert {receipt.contents.line_items for receipt in real} == {3}


def test_publishing_the_same_again_prints_the_same_receipt(workshop: Workshop, tmp_path: Path, data: Path) -> None:
    first = publish_bytes(workshop, tmp_path / "a.json", amounts(Kind.USAGE, "1", "2"))
    before = folder_of(data)
    again = publish_bytes(workshop, tmp_path / "b.json.gz", amounts(Kind.USAGE, "2", "1"))
    assert again == replace(first, changed=False)
    assert folder_of(data) == before
    assert len(workshop.catalog.revisions(USAGE)) == 1


def test_older_content_published_again_is_a_new_revision(workshop: Workshop, tmp_path: Path) -> None:
    receipts = [publish_bytes(workshop, tmp_path / "a", amounts(Kind.USAGE, text)) for text in ("1", "2", "1")]
    assert [in_force(receipt).number for receipt in receipts] == [1, 2, 3]
    assert receipts[0].etag == receipts[2].etag != receipts[1].etag
    assert in_force(receipts[0]).id != in_force(receipts[2]).id


def test_a_new_publication_supersedes_and_the_old_revision_keeps_its_files(workshop: Workshop, tmp_path: Path) -> None:
    old = in_force(publish_bytes(workshop, tmp_path / "a", amounts(Kind.USAGE, "1")))
    new = in_force(publish_bytes(workshop, tmp_path / "a", amounts(Kind.USAGE, "2")))
    assert [str(item["BillingPreTaxTotal"]) for item in blob_items(workshop, old)] == ["1"]
    assert [revision.id for revision in workshop.catalog.revisions(USAGE)] == [new.id, old.id]


def test_a_segment_replaces_itself_and_adds_to_the_others(workshop: Workshop, tmp_path: Path) -> None:
    def day(name: str, *texts: str) -> list[str]:
        receipt = publish_bytes(workshop, tmp_path / name, amounts(Kind.USAGE, *texts), segment=name)
        assert receipt.segment_contents.line_items == len(texts)
        items = stored_amounts(workshop, receipt)
        assert receipt.contents.totals == {"BillingPreTaxTotal": sum(map(Decimal, items), Decimal(0))}
        return sorted(items)

    assert day("2026-11-01", "1", "2") == ["1", "2"]
    first_day = folder_of(tmp_path / "data")
    assert day("2026-11-02", "3") == ["1", "2", "3"]
    assert first_day.items() <= folder_of(tmp_path / "data").items(), "an unchanged segment's files are shared"
    assert day("2026-11-01", "4") == ["3", "4"]
    assert day("2026-11-02", "3") == ["3", "4"]
    assert len(workshop.catalog.revisions(USAGE)) == 3


def test_whole_and_named_segments_exclude_one_another(workshop: Workshop, tmp_path: Path, data: Path) -> None:
    publish_bytes(workshop, tmp_path / "a", amounts(Kind.USAGE, "1"))
    before = folder_of(data)
    for dry_run in (False, True):
        with pytest.raises(UsageError, match="whole"):
            publish_bytes(workshop, tmp_path / "b", amounts(Kind.USAGE, "2"), segment="day", dry_run=dry_run)
    assert folder_of(data) == before
    with pytest.raises(UsageError, match="whole"):
        publish(
            workshop,
            [
                Input(write(tmp_path / "3", amounts(Kind.USAGE, "3")), UNBILLED, "day"),
                Input(write(tmp_path / "4", amounts(Kind.USAGE, "4")), UNBILLED),
            ],
        )


def test_a_whole_replaces_all_named_segments(workshop: Workshop, tmp_path: Path) -> None:
    for name, amount in (("a", "2"), ("b", "3")):
        publish_bytes(workshop, tmp_path / name, amounts(Kind.USAGE, "1", amount), segment=name)
    receipt = publish_bytes(workshop, tmp_path / "w", amounts(Kind.USAGE, "5"))
    assert receipt.contents.line_items == 1
    assert [segment.name for segment in workshop.catalog.segments(in_force(receipt).id)] == ["whole"]


def test_several_datasets_are_published_in_one_go_or_not_at_all(workshop: Workshop, tmp_path: Path, data: Path) -> None:
    def inputs(last: bytes) -> list[Input]:
        return [
            Input(write(tmp_path / "u1", amounts(Kind.USAGE, "1")), UNBILLED),
            Input(write(tmp_path / "r", billed(Kind.RECONCILIATION, "2"))),
            Input(write(tmp_path / "u2", amounts(Kind.USAGE, "3")), UNBILLED),
            Input(write(tmp_path / "r2", last)),
        ]

    with pytest.raises(InputError):
        publish(workshop, inputs(billed(Kind.RECONCILIATION, "NaN", invoice="G2")))
    assert (workshop.catalog.datasets(), folder_of(data)) == ([], {})
    receipts = publish(workshop, inputs(billed(Kind.RECONCILIATION, "4", invoice="G2")))
    assert [receipt.contents.line_items for receipt in receipts] == [2, 1, 1]
    assert {in_force(receipt).published_at for receipt in receipts} == {NOW}
    assert {path.partition("/")[0] for path in listed(workshop)} == {next(iter(listed(workshop))).partition("/")[0]}


def test_a_dataset_that_did_not_change_gets_no_revision_when_another_did(workshop: Workshop, tmp_path: Path) -> None:
    kept = publish_bytes(workshop, tmp_path / "u", amounts(Kind.USAGE, "1"))
    inputs = [Input(str(tmp_path / "u"), UNBILLED), Input(write(tmp_path / "r", billed(Kind.USAGE, "2")))]
    receipts = publish(workshop, inputs)
    assert [receipt.changed for receipt in receipts] == [False, True]
    assert receipts[0] == replace(kept, changed=False)


def test_a_publication_that_holds_the_dataset_keeps_others_out(workshop: Workshop, tmp_path: Path, data: Path) -> None:
    with workshop.locks.hold([USAGE]):
        before = folder_of(data)
        with pytest.raises(LockedError, match="usage of 0e195b37") as refused:
            publish_bytes(workshop, tmp_path / "a", amounts(Kind.USAGE, "1"))
        assert refused.value.exit_code == 4
        assert folder_of(data) == before
        publish_bytes(workshop, tmp_path / "b", billed(Kind.USAGE, "1"), BILLED)


def test_publishing_to_a_moved_base_fails_and_names_both_revisions(
    workshop: Workshop, tmp_path: Path, data: Path
) -> None:
    base = in_force(publish_bytes(workshop, tmp_path / "a", amounts(Kind.USAGE, "1")))
    other = in_force(publish_bytes(workshop, tmp_path / "a", amounts(Kind.USAGE, "2")))

    def move(point: str) -> None:
        if point == "sealed":
            workshop.catalog.set_in_force(USAGE, base.id, other.id, NOW + timedelta(seconds=1))

    before = folder_of(data)
    with pytest.raises(MovedError) as refused:
        publish_bytes(replace(workshop, stop=move), tmp_path / "a", amounts(Kind.USAGE, "3"))
    assert base.id in refused.value.message
    assert other.id in refused.value.message
    assert folder_of(data) == before
    current = workshop.catalog.in_force(USAGE)
    assert current is not None
    assert current.id == base.id


def test_nothing_is_listed_before_the_commit_and_all_after_it(workshop: Workshop, tmp_path: Path) -> None:
    seen: dict[str, int] = {}
    watched = replace(workshop, stop=lambda point: seen.__setitem__(point, len(listed(workshop))))
    publish_bytes(watched, tmp_path / "a", amounts(Kind.USAGE, "1"))
    assert seen == {"locked": 0, "read": 0, "lake written": 0, "rendered": 0, "sealed": 0, "committed": 4}


def many(count: int) -> list[dict[str, str]]:
    chosen = random.Random(7)
    return [
        {
            "CustomerId": f'"c{chosen.randrange(9)}"',
            "SubscriptionId": f'"s{chosen.randrange(9)}\\u00e9"',
            "UsageDate": f'"2026-11-{chosen.randrange(1, 29):02}T00:00:00Z"',
            "BillingPreTaxTotal": f"{chosen.randrange(10**6)}.{chosen.randrange(100)}",
            "MeterName": f'"{"x" * chosen.randrange(50)}"',
        }
        for _ in range(count)
    ]


def test_line_items_are_sorted_by_customer_subscription_and_date(workshop: Workshop, tmp_path: Path) -> None:
    receipt = publish_bytes(workshop, tmp_path / "a", raw_lines(Kind.USAGE, *many(500)))
    keys = [
        tuple(item[name].encode() for name in ("CustomerId", "SubscriptionId", "UsageDate"))
        for item in blob_items(workshop, in_force(receipt))
    ]
    assert keys == sorted(keys)
    assert len(keys) == 500


def test_order_spelling_runs_and_repetition_change_neither_etag_nor_bytes(
    workshop: Workshop, tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seal, "ROW_GROUP_LINE_ITEMS", 60)
    monkeypatch.setattr(seal, "PART_LINE_ITEMS", 120)
    lines = many(500)
    first = publish_bytes(workshop, tmp_path / "a", raw_lines(Kind.USAGE, *lines))
    parts = [file.line_items for file in workshop.catalog.files(in_force(first).id, Rendering.LAKE)]
    assert parts == [120, 120, 120, 120, 20]

    v1_names = {column.name: column.v1 for column in table_of(Kind.USAGE).columns}
    shuffled = random.Random(1).sample(lines, len(lines))
    spelled = b""
    for at, line in enumerate(raw_lines(Kind.USAGE, *shuffled).splitlines()):
        members = json.loads(line, parse_float=str, parse_int=str)
        if at % 3 == 0:  # v1's names, quoted numbers, other order of keys
            members = {v1_names[name]: value for name, value in reversed(members.items())}
            spelled += json.dumps(members).encode() + b"\n"
        else:
            spelled += line + b"\n"
    cut = spelled.rindex(b"\n", 0, len(spelled) // 2) + 1
    tiny_runs: list[int] = []

    def tiny(path: Path) -> Sorter:
        tiny_runs.append(1)
        return Sorter(path, run_size_bytes=20_000)

    monkeypatch.setattr(publishing, "Sorter", tiny)
    monkeypatch.setattr("counterfoil.datasets.csv_lines.ROWS_PER_BATCH", 50)
    inputs = [
        Input(write(tmp_path / name, part), UNBILLED) for name, part in [("b", spelled[:cut]), ("c", spelled[cut:])]
    ]
    again = publish(workshop, inputs)
    assert (tiny_runs, again) == ([1], [replace(first, changed=False)])

    publish_bytes(workshop, tmp_path / "other", amounts(Kind.USAGE, "1"))
    [third] = publish(workshop, inputs)
    assert third.etag == first.etag

    def contents(receipt: Receipt) -> list[tuple[str, bytes]]:
        files = workshop.catalog.files(in_force(receipt).id)
        return [(file.path.partition("/")[2], (data / "files" / file.path).read_bytes()) for file in files]

    assert contents(third) == contents(first)
    assert in_force(third).id != in_force(first).id
    assert not list((data / "files").rglob("sorting-*"))


def test_the_etag_is_a_function_of_contents_alone(workshop: Workshop, tmp_path: Path) -> None:
    whole = publish_bytes(workshop, tmp_path / "a", amounts(Kind.USAGE, "1", "2", "3"))
    workshop.catalog.set_in_force(USAGE, None, in_force(whole).id, NOW)
    publish_bytes(workshop, tmp_path / "b", amounts(Kind.USAGE, "3"), segment="x")
    parts = publish_bytes(workshop, tmp_path / "c", amounts(Kind.USAGE, "2", "1"), segment="y")
    assert parts.etag == whole.etag == etag(USAGE, parts.contents)
    assert publish_bytes(workshop, tmp_path / "d", amounts(Kind.USAGE, "3", "2", "1.0"), segment="y").etag != whole.etag


def test_absent_null_and_empty_count_as_alike_and_every_other_difference_counts(
    workshop: Workshop, tmp_path: Path
) -> None:
    def tag(**values: str | None) -> str:
        return publish_bytes(workshop, tmp_path / "a", raw_lines(Kind.USAGE, values), dry_run=True).etag

    alike = {tag(), tag(SkuName="null"), tag(SkuName='""'), tag(skuName='""'), tag(UnitPrice="null")}
    assert len(alike) == 1
    different = [
        tag(SkuName='"a"'),
        tag(ProductName='"a"'),
        tag(SkuName='"A"'),
        tag(UnitPrice="1"),
        tag(UnitPrice="1.0"),
        tag(Quantity="1"),
        tag(PCToBCExchangeRateDate='"2026-01-01"'),
        tag(Strange="1"),
        tag(Strange='"1"'),
        tag(BillingPreTaxTotal="1E0"),
    ]
    assert len({*different, *alike}) == len(different) + 1


def test_blobs_are_one_gzip_member_and_empty_datasets_do_not_exist(workshop: Workshop, tmp_path: Path) -> None:
    revision = in_force(publish_bytes(workshop, tmp_path / "a", amounts(Kind.USAGE, "1", "2")))
    for rendering in (Rendering.GRAPH_FULL, Rendering.GRAPH_BASIC):
        [path] = paths(workshop, revision, rendering)
        assert path.read_bytes().count(b"\x1f\x8b\x08") == 1
        assert gzip.decompress(path.read_bytes()).count(b"\n") == 2


def test_billed_data_has_no_v1_form(workshop: Workshop, tmp_path: Path) -> None:
    revision = in_force(publish_bytes(workshop, tmp_path / "a", billed(Kind.USAGE, "1"), BILLED))
    assert workshop.catalog.files(revision.id, Rendering.V1) == []
    assert len(blob_lines(workshop, revision)) == len(lake_items(workshop, revision)) == 1


def test_unknown_attributes_are_kept_verbatim_emitted_last_in_full_and_counted(
    workshop: Workshop, tmp_path: Path
) -> None:
    lines = raw_lines(Kind.USAGE, {"Novel": ' { "b" : 1.00 , "a" : [ 1E5 , null ] } ', "Other": '"\\u00e9\\n"'}, {})
    receipt = publish_bytes(workshop, tmp_path / "a", lines)
    assert receipt.warnings == {"unknown Novel": 1, "unknown Other": 1, "inexact BillingPreTaxTotal": 2}
    [line] = [line for line in blob_lines(workshop, in_force(receipt)) if b"Novel" in line]
    assert line.endswith(b',"Novel":{"b":1.00,"a":[1E5,null]},"Other":"\\u00e9\\n"}')
    assert b"Novel" not in b"".join(blob_lines(workshop, in_force(receipt), Rendering.GRAPH_BASIC))
    [item] = [item for item in v1_items(workshop, in_force(receipt)) if "Novel" in item]
    assert item["Other"] == "é\n"


def test_rounded_decimals_are_counted_in_the_receipt(workshop: Workshop, tmp_path: Path) -> None:
    receipt = publish_bytes(workshop, tmp_path / "a", amounts(Kind.USAGE, "0.1999968000511991808131", "1.5"))
    assert receipt.warnings == {"inexact BillingPreTaxTotal": 1}


def test_contents_add_up_to_what_was_given(workshop: Workshop, tmp_path: Path) -> None:
    receipt = publish_bytes(workshop, tmp_path / "a", amounts(Kind.RECONCILIATION, "1", "2.5"))
    assert receipt.contents == Contents(
        2,
        receipt.contents.digest,
        "EUR",
        {"Subtotal": Decimal("3.5"), "TaxTotal": Decimal(0), "Total": Decimal("20.2")},
    )
