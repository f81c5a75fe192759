"""What a publication changes, and what it leaves as it was."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from counterfoil.columns import table_of
from counterfoil.datasets.check import Assertions
from counterfoil.datasets.data_folder import DataFolder
from counterfoil.datasets.gathering import Input
from counterfoil.datasets.publication_receipt import PublicationReceipt
from counterfoil.datasets.publishing import publish
from counterfoil.errors import InputError, LockedError, MovedError, UsageError
from counterfoil.model import Dataset, Kind, Scope
from counterfoil.storage.places import publication_of
from tests.datasets.conftest import NOW
from tests.datasets.line_items import (
    ALLOWING,
    INVOICE,
    OTHER,
    PARTNER,
    PERIOD,
    UNBILLED,
    amounts,
    billed,
    blob_items,
    folder_of,
    in_force,
    listed,
    publish_bytes,
    write,
)

BILLED = Assertions()
USAGE = Dataset(Kind.USAGE, PARTNER, Scope.unbilled(PERIOD, "EUR"))


def stored_amounts(data_folder: DataFolder, receipt: PublicationReceipt) -> list[str]:
    return [str(item["BillingPreTaxTotal"]) for item in blob_items(data_folder, in_force(receipt))]


@pytest.mark.parametrize("kind", Kind)
def test_what_the_lines_tell_is_inferred(data_folder: DataFolder, tmp_path: Path, kind: Kind) -> None:
    receipt = publish_bytes(data_folder, tmp_path / "a.json", billed(kind, "1.10", "2.20"), BILLED)
    assert receipt.dataset == Dataset(kind, PARTNER, Scope.billed(INVOICE))
    assert receipt.contents.currency == "EUR"
    assert data_folder.catalog.has_partner(PARTNER)


def test_totals_are_exact_and_written_in_full(data_folder: DataFolder, tmp_path: Path) -> None:
    texts = ["0.1999968000511991808131", "0E-20", "-0.1", "24.0", "1e3", "-1000"]
    receipt = publish_bytes(data_folder, tmp_path / "a.json", amounts(Kind.USAGE, *texts))
    assert receipt.contents.plain_totals() == {"BillingPreTaxTotal": "24.0999968000511991808131"}
    assert sorted(stored_amounts(data_folder, receipt)) == sorted(texts)


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
def test_a_flag_is_an_assertion(data_folder: DataFolder, tmp_path: Path, asserted: Assertions, attribute: str) -> None:
    with pytest.raises(InputError) as refused:
        publish_bytes(data_folder, tmp_path / "a.json", billed(Kind.USAGE, "1"), asserted)
    assert (refused.value.attribute, refused.value.file) == (attribute, str(tmp_path / "a.json"))
    assert refused.value.remedy
    assert (data_folder.catalog.datasets(), folder_of(tmp_path / "data")) == ([], {})


def test_assertions_that_hold_change_nothing_and_letter_case_does_not_matter(
    data_folder: DataFolder, tmp_path: Path
) -> None:
    told = Assertions(PARTNER.upper(), PARTNER.upper(), Kind.USAGE, INVOICE.lower(), None, "eur")
    lines = billed(Kind.USAGE, "1").replace(PARTNER.encode(), PARTNER.upper().encode())
    receipt = publish_bytes(data_folder, tmp_path / "a.json", lines, told)
    assert receipt.dataset == Dataset(Kind.USAGE, PARTNER, Scope.billed(INVOICE))


def test_an_issuer_may_sell_through_another_partner(data_folder: DataFolder, tmp_path: Path) -> None:
    receipt = publish_bytes(
        data_folder, tmp_path / "a.json", amounts(Kind.USAGE, "1"), replace(UNBILLED, partner=OTHER, issuer=PARTNER)
    )
    assert receipt.dataset.partner == OTHER
    [segment] = data_folder.catalog.segments(in_force(receipt).id)
    assert segment.issuer == PARTNER
    assert [partner.tenant for partner in data_folder.catalog.partners()] == [OTHER]


def test_unbilled_line_items_need_a_period(data_folder: DataFolder, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="name no invoice") as refused:
        publish_bytes(data_folder, tmp_path / "a.json", amounts(Kind.USAGE, "1"), BILLED)
    assert "period" in refused.value.parameter.split()


def test_an_invoice_may_be_named_where_the_lines_do_not(data_folder: DataFolder, tmp_path: Path) -> None:
    receipt = publish_bytes(data_folder, tmp_path / "a.json", amounts(Kind.USAGE, "1"), Assertions(invoice="x/1~"))
    assert receipt.dataset.scope.invoice == "X/1~"


def test_a_dry_run_tells_the_receipt_and_changes_nothing(data_folder: DataFolder, tmp_path: Path, data: Path) -> None:
    foreseen = publish_bytes(data_folder, tmp_path / "a.json", amounts(Kind.USAGE, "1", "2"), dry_run=True)
    assert (foreseen.revision, foreseen.changed, data_folder.catalog.datasets(), folder_of(data)) == (
        None,
        True,
        [],
        {},
    )
    real = publish_bytes(data_folder, tmp_path / "a.json", amounts(Kind.USAGE, "1", "2"))
    assert replace(real, revision=None) == foreseen
    assert publish_bytes(data_folder, tmp_path / "a.json", amounts(Kind.USAGE, "1", "2"), dry_run=True) == replace(
        real, changed=False
    )


@pytest.mark.parametrize("kind", Kind)
def test_a_dry_run_warns_of_the_same_as_the_real_publication(
    data_folder: DataFolder, tmp_path: Path, kind: Kind
) -> None:
    fine, rounded = amounts(kind, "1").rstrip(b"\n"), amounts(kind, "0.1999968000511991808131")
    unknown = fine.rstrip(b"}") + b', "Novel": "new"}\n'
    inputs = [
        Input(write(tmp_path / "1", fine + b"\n" + rounded + rounded + unknown), UNBILLED, "2026-11-01"),
        Input(write(tmp_path / "2", rounded), UNBILLED, "2026-11-02"),
    ]
    foreseen = [receipt.warnings for receipt in publish(data_folder, inputs, safeguards=ALLOWING, dry_run=True)]
    assert [receipt.warnings for receipt in publish(data_folder, inputs, safeguards=ALLOWING)] == foreseen
    name = table_of(kind).totals[0]
    assert (foreseen[0][f"inexact {name}"], foreseen[0]["unknown Novel"], foreseen[1][f"inexact {name}"]) == (2, 1, 1)
    third = [inputs[0], Input(write(tmp_path / "3", rounded), UNBILLED, "2026-11-03")]
    again = [receipt.warnings for receipt in publish(data_folder, third, safeguards=ALLOWING, dry_run=True)]
    assert (
        again
        == [foreseen[0], foreseen[1]]
        == [receipt.warnings for receipt in publish(data_folder, third, safeguards=ALLOWING)]
    )


def test_a_dry_run_of_segments_foresees_the_whole_dataset(data_folder: DataFolder, tmp_path: Path) -> None:
    publish_bytes(data_folder, tmp_path / "0", amounts(Kind.USAGE, "1"), segment="2026-11-01")
    inputs = [Input(write(tmp_path / n, amounts(Kind.USAGE, n)), UNBILLED, f"2026-11-0{n}") for n in "23"]
    foreseen = publish(data_folder, inputs, dry_run=True)
    real = publish(data_folder, inputs)
    assert foreseen == [replace(receipt, revision=None) for receipt in real]
    assert {receipt.contents.line_items for receipt in real} == {3}


def test_publishing_the_same_again_prints_the_same_receipt(data_folder: DataFolder, tmp_path: Path, data: Path) -> None:
    first = publish_bytes(data_folder, tmp_path / "a.json", amounts(Kind.USAGE, "1", "2"))
    before = folder_of(data)
    again = publish_bytes(data_folder, tmp_path / "b.json.gz", amounts(Kind.USAGE, "2", "1"))
    assert again == replace(first, changed=False)
    assert folder_of(data) == before
    assert len(data_folder.catalog.revisions(USAGE)) == 1


def test_older_content_published_again_is_a_new_revision(data_folder: DataFolder, tmp_path: Path) -> None:
    receipts = [publish_bytes(data_folder, tmp_path / "a", amounts(Kind.USAGE, text)) for text in ("1", "2", "1")]
    assert [in_force(receipt).number for receipt in receipts] == [1, 2, 3]
    assert receipts[0].etag == receipts[2].etag != receipts[1].etag
    assert in_force(receipts[0]).id != in_force(receipts[2]).id


def test_a_new_publication_supersedes_and_the_old_revision_keeps_its_files(
    data_folder: DataFolder, tmp_path: Path
) -> None:
    old = in_force(publish_bytes(data_folder, tmp_path / "a", amounts(Kind.USAGE, "1")))
    new = in_force(publish_bytes(data_folder, tmp_path / "a", amounts(Kind.USAGE, "2")))
    assert [str(item["BillingPreTaxTotal"]) for item in blob_items(data_folder, old)] == ["1"]
    assert [revision.id for revision in data_folder.catalog.revisions(USAGE)] == [new.id, old.id]


def test_a_segment_replaces_itself_and_adds_to_the_others(data_folder: DataFolder, tmp_path: Path) -> None:
    def day(name: str, *texts: str) -> list[str]:
        receipt = publish_bytes(data_folder, tmp_path / name, amounts(Kind.USAGE, *texts), segment=name)
        assert receipt.segment_contents.line_items == len(texts)
        items = stored_amounts(data_folder, receipt)
        assert receipt.contents.totals == {"BillingPreTaxTotal": sum(map(Decimal, items), Decimal(0))}
        return sorted(items)

    assert day("2026-11-01", "1", "2") == ["1", "2"]
    first_day = folder_of(tmp_path / "data")
    assert day("2026-11-02", "3") == ["1", "2", "3"]
    assert first_day.items() <= folder_of(tmp_path / "data").items(), "an unchanged segment's files are shared"
    assert day("2026-11-01", "4") == ["3", "4"]
    assert day("2026-11-02", "3") == ["3", "4"]
    assert len(data_folder.catalog.revisions(USAGE)) == 3


def test_whole_and_named_segments_exclude_one_another(data_folder: DataFolder, tmp_path: Path, data: Path) -> None:
    publish_bytes(data_folder, tmp_path / "a", amounts(Kind.USAGE, "1"))
    before = folder_of(data)
    for dry_run in (False, True):
        with pytest.raises(UsageError, match="whole"):
            publish_bytes(data_folder, tmp_path / "b", amounts(Kind.USAGE, "2"), segment="day", dry_run=dry_run)
    assert folder_of(data) == before
    with pytest.raises(UsageError, match="whole"):
        publish(
            data_folder,
            [
                Input(write(tmp_path / "3", amounts(Kind.USAGE, "3")), UNBILLED, "day"),
                Input(write(tmp_path / "4", amounts(Kind.USAGE, "4")), UNBILLED),
            ],
        )


def test_a_whole_replaces_all_named_segments(data_folder: DataFolder, tmp_path: Path) -> None:
    for name, amount in (("a", "2"), ("b", "3")):
        publish_bytes(data_folder, tmp_path / name, amounts(Kind.USAGE, "1", amount), segment=name)
    receipt = publish_bytes(data_folder, tmp_path / "w", amounts(Kind.USAGE, "5"))
    assert receipt.contents.line_items == 1
    assert [segment.name for segment in data_folder.catalog.segments(in_force(receipt).id)] == ["whole"]


def test_several_datasets_are_published_in_one_go_or_not_at_all(
    data_folder: DataFolder, tmp_path: Path, data: Path
) -> None:
    def inputs(last: bytes) -> list[Input]:
        return [
            Input(write(tmp_path / "u1", amounts(Kind.USAGE, "1")), UNBILLED),
            Input(write(tmp_path / "r", billed(Kind.RECONCILIATION, "2"))),
            Input(write(tmp_path / "u2", amounts(Kind.USAGE, "3")), UNBILLED),
            Input(write(tmp_path / "r2", last)),
        ]

    with pytest.raises(InputError):
        publish(data_folder, inputs(billed(Kind.RECONCILIATION, "NaN", invoice="G2")))
    assert (data_folder.catalog.datasets(), folder_of(data)) == ([], {})
    receipts = publish(data_folder, inputs(billed(Kind.RECONCILIATION, "4", invoice="G2")))
    assert [receipt.contents.line_items for receipt in receipts] == [2, 1, 1]
    assert {in_force(receipt).published_at for receipt in receipts} == {NOW}
    assert len({publication_of(path) for path in listed(data_folder)}) == 1


def test_a_dataset_that_did_not_change_gets_no_revision_when_another_did(
    data_folder: DataFolder, tmp_path: Path
) -> None:
    kept = publish_bytes(data_folder, tmp_path / "u", amounts(Kind.USAGE, "1"))
    inputs = [Input(str(tmp_path / "u"), UNBILLED), Input(write(tmp_path / "r", billed(Kind.USAGE, "2")))]
    receipts = publish(data_folder, inputs)
    assert [receipt.changed for receipt in receipts] == [False, True]
    assert receipts[0] == replace(kept, changed=False)


def test_a_publication_that_holds_the_dataset_keeps_others_out(
    data_folder: DataFolder, tmp_path: Path, data: Path
) -> None:
    with data_folder.store.hold([USAGE]):
        before = folder_of(data)
        with pytest.raises(LockedError, match="usage of 0e195b37") as refused:
            publish_bytes(data_folder, tmp_path / "a", amounts(Kind.USAGE, "1"))
        assert refused.value.exit_code == 4
        assert folder_of(data) == before
        publish_bytes(data_folder, tmp_path / "b", billed(Kind.USAGE, "1"), BILLED)


def test_publishing_to_a_moved_base_fails_and_names_both_revisions(
    data_folder: DataFolder, tmp_path: Path, data: Path
) -> None:
    base = in_force(publish_bytes(data_folder, tmp_path / "a", amounts(Kind.USAGE, "1")))
    other = in_force(publish_bytes(data_folder, tmp_path / "a", amounts(Kind.USAGE, "2")))

    def move(point: str) -> None:
        if point == "sealed":
            data_folder.catalog.set_in_force(USAGE, base.id, other.id, NOW + timedelta(seconds=1))

    before = folder_of(data)
    with pytest.raises(MovedError) as refused:
        publish_bytes(replace(data_folder, at_point=move), tmp_path / "a", amounts(Kind.USAGE, "3"))
    assert base.id in refused.value.message
    assert other.id in refused.value.message
    assert folder_of(data) == before
    current = data_folder.catalog.in_force(USAGE)
    assert current is not None
    assert current.id == base.id


def test_nothing_is_listed_before_the_commit_and_all_after_it(data_folder: DataFolder, tmp_path: Path) -> None:
    seen: dict[str, int] = {}
    watched = replace(data_folder, at_point=lambda point: seen.__setitem__(point, len(listed(data_folder))))
    publish_bytes(watched, tmp_path / "a", amounts(Kind.USAGE, "1"))
    assert seen == {"locked": 0, "read": 0, "sealed": 0, "committed": 4}
