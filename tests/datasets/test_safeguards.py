"""What a publication refuses to change, and what it refuses to count twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from counterfoil.datasets.check import Assertions
from counterfoil.datasets.data_folder import DataFolder
from counterfoil.datasets.gathering import Input
from counterfoil.datasets.publication_receipt import PublicationReceipt
from counterfoil.datasets.publishing import publish
from counterfoil.datasets.safeguards import FOLLOWING, Safeguards, difference
from counterfoil.errors import InputError, SurpriseError
from counterfoil.line_items.line_digests import LineDigests
from counterfoil.model import Contents, Kind
from counterfoil.periods import BillingPeriod
from counterfoil.storage.store import Publication, Store
from tests.datasets.line_items import UNBILLED, amounts, billed, raw_line, raw_lines, write

Put = Callable[..., list[PublicationReceipt]]


def dated(*days: str, amount: int = 1) -> bytes:
    """Usage of some days, each line another amount."""
    return raw_lines(
        Kind.USAGE,
        *(
            {"UsageDate": f'"{day}T00:00:00Z"', "BillingPreTaxTotal": str(amount + number)}
            for number, day in enumerate(days)
        ),
    )


@pytest.fixture
def put(data_folder: DataFolder, tmp_path: Path) -> Put:
    """Publishes the contents of files, by name."""
    count = 0

    def publish_files(
        files: dict[str, bytes], asserted: Assertions = UNBILLED, segment: str = "whole", **options: object
    ) -> list[PublicationReceipt]:
        nonlocal count
        count += 1
        inputs = [
            Input(write(tmp_path / str(count) / name, content), asserted, segment) for name, content in files.items()
        ]
        return publish(data_folder, inputs, **options)  # type: ignore[arg-type]

    return publish_files


ROWS = [{"BillingPreTaxTotal": str(number), "InvoiceNumber": '"G1"'} for number in range(1, 6)]
AS_LINES = raw_lines(Kind.USAGE, *ROWS)
AS_ARRAY = b"[" + AS_LINES.replace(b"\n", b",")[:-1] + b"]"
AS_CSV = (
    "PartnerId,CustomerId,SubscriptionId,UsageDate,BillingPreTaxTotal,BillingCurrency,InvoiceNumber\n"
    + "".join(
        ",".join(json.loads(raw_line(Kind.USAGE, row), parse_int=str, parse_float=str).values()) + "\n" for row in ROWS
    )
).encode()


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"x (1).jsonl": AS_LINES}, id="the same bytes"),
        pytest.param({"x.jsonl.gz": AS_LINES}, id="a packed twin"),
        pytest.param({"x.json": AS_ARRAY}, id="an array"),
        pytest.param({"x.csv": AS_CSV}, id="as CSV"),
        pytest.param({"y.jsonl": b"".join(reversed(AS_LINES.splitlines(keepends=True)))}, id="another order"),
        pytest.param({"y.jsonl": AS_LINES + raw_lines(Kind.USAGE, {"InvoiceNumber": '"G1"'})}, id="one that holds it"),
        pytest.param({"y.jsonl": b"".join(AS_LINES.splitlines(keepends=True)[:3])}, id="a part of it"),
    ],
)
def test_a_file_that_repeats_another_is_refused_naming_both(put: Put, other: dict[str, bytes]) -> None:
    [name] = other
    files = {
        "x.jsonl": AS_LINES,
        "z.jsonl": raw_lines(Kind.USAGE, {"InvoiceNumber": '"G1"', "UsageDate": '"2026-11-09"'}),
    }
    with pytest.raises(InputError, match="would count twice") as refused:
        put(files | other, Assertions())
    assert "x.jsonl" in str(refused.value)
    assert name in str(refused.value)
    [receipt] = put(files | other, Assertions(), safeguards=Safeguards(allow_copies=True))
    assert receipt.contents.line_items > 6


def test_copies_within_a_file_are_the_issuers_own(put: Put) -> None:
    twice = billed(Kind.USAGE, "1", "1", "2")
    [receipt] = put({"a": twice, "b": billed(Kind.USAGE, "3", "4", "4"), "c": billed(Kind.USAGE, "5")}, Assertions())
    assert receipt.contents.line_items == 7


def test_a_month_to_date_that_is_published_by_days_is_refused(put: Put) -> None:
    until_5 = dated("2026-11-04", "2026-11-05")
    [first] = put({"a": until_5}, segment="2026-11-05")
    assert first.warnings["earlier 2026-11-05"] == 1
    with pytest.raises(InputError, match="segment 2026-11-06 repeats line items of segment 2026-11-05") as refused:
        put({"b": dated("2026-11-04", "2026-11-05", "2026-11-06")}, segment="2026-11-06")
    assert "without a segment" in refused.value.remedy
    # The new day alone is right, and so are the same charges where somebody says that they are others.
    [second] = put({"c": dated("2026-11-06", amount=9)}, segment="2026-11-06")
    assert second.contents.line_items == 3
    [third] = put({"d": until_5}, segment="2026-11-07", safeguards=Safeguards(allow_copies=True))
    assert third.warnings["repeated 2026-11-05"] == 2
    assert third.contents.line_items == 5


def test_a_few_line_items_of_another_segment_are_told(put: Put) -> None:
    put({"a": dated(*["2026-11-05"] * 6)}, segment="a")
    [receipt] = put({"b": dated("2026-11-05") + dated(*["2026-11-06"] * 5, amount=50)}, segment="b")
    assert receipt.warnings == {"repeated a": 1}


@pytest.mark.parametrize(
    ("segment", "day"),
    [
        ("2026-11-20", "2026-11-21"),
        ("usage-20261120", "2026-11-21"),
        ("2026-11-18_2026-11-20", "2026-11-30"),
        ("whole", "2026-12-01"),
        ("2026-12-05", "2026-12-05"),
    ],
)
def test_usage_of_a_later_day_than_the_name_says_is_refused(put: Put, segment: str, day: str) -> None:
    content = dated("2026-10-19", day)
    with pytest.raises(InputError, match=r"line 2, UsageDate: no usage is dated in .*later.*dates"):
        put({"a": content}, segment=segment)
    [receipt] = put({"a": content}, segment=segment, safeguards=FOLLOWING)
    assert any(warning.startswith("none dated") for warning in receipt.warnings)
    within = dated("2026-11-20", day, amount=50)
    if segment != "2026-12-05":
        [receipt] = put({"a": within}, segment=segment)
        assert any(warning.startswith("later") for warning in receipt.warnings), "a time zone on the way, perhaps"


def test_late_usage_is_summed_and_another_months_is_told(put: Put) -> None:
    [late] = put({"a": dated("2026-10-31", "2026-11-01")}, segment="2026-11-01")
    assert (late.contents.line_items, late.warnings) == (2, {"earlier 2026-11-01": 1})
    [other] = put({"b": dated("2026-10-30", "2026-10-31", amount=7)}, segment="b")
    assert other.warnings == {"none dated 2026-11": 2}
    offset = raw_lines(Kind.USAGE, {"UsageDate": '"2026-12-01T01:30:00+02:00"', "BillingPreTaxTotal": "77"})
    [within] = put({"c": offset}, segment="c")
    assert not within.warnings, "in UTC it is still November"
    [licences] = put({"d": amounts(Kind.RECONCILIATION, "1")}, Assertions(period=BillingPeriod(2026, 10)))
    assert licences.warnings == {"none dated 2026-10": 1}, "charges may begin at any time"


def test_an_invoice_in_force_changes_only_when_it_is_meant(put: Put, data_folder: DataFolder) -> None:
    [first] = put({"a": billed(Kind.USAGE, "1.10", "2")}, Assertions())
    assert first.before is None
    changed = {"a": billed(Kind.USAGE, "1.10", "0.4")}
    with pytest.raises(SurpriseError, match=r"3.10 becomes 1.50 EUR \(-1.60\)") as refused:
        put(changed, Assertions())
    assert refused.value.parameter == "replace"
    assert data_folder.catalog.in_force(first.dataset) == first.revision
    [foreseen] = put(changed, Assertions(), dry_run=True)
    assert foreseen.objection is not None
    [second] = put(changed, Assertions(), safeguards=Safeguards(replace=True))
    assert second.before == first.contents
    assert second.difference == foreseen.difference == {"BillingPreTaxTotal": Decimal("-1.60")}
    [again] = put(changed, Assertions())
    assert (again.changed, again.before) == (False, first.contents), "it is what is in force"
    [followed] = put({"a": billed(Kind.USAGE, "9")}, Assertions(), safeguards=FOLLOWING)
    assert followed.more_line_items == -1


def test_a_new_segment_of_an_invoice_replaces_nothing_and_another_state_of_one_does(put: Put) -> None:
    put({"a": billed(Kind.USAGE, "1")}, Assertions(), segment="a")
    [second] = put({"b": billed(Kind.USAGE, "2")}, Assertions(), segment="b")
    assert second.more_line_items == 1
    for segment in ("b", "whole"):
        with pytest.raises(SurpriseError, match="a bill does not change by itself"):
            put({"c": billed(Kind.USAGE, "3")}, Assertions(), segment=segment)
    [whole] = put({"d": billed(Kind.USAGE, "1", "2")}, Assertions())
    assert whole.contents == second.contents, "the same line items, in one segment now"


@pytest.mark.parametrize(
    ("more", "most", "passes"),
    [
        ("0.5", "5", True),
        ("0.5", "4.999", False),
        ("0", "0", True),
        ("-10", "100", True),
        ("-10.00000000000000000000000000000000000000001", "100", False),
    ],
)
def test_a_change_of_more_percent_than_allowed_is_refused(put: Put, more: str, most: str, passes: bool) -> None:
    put({"a": amounts(Kind.USAGE, "10", "0")})
    guarded = Safeguards(max_change=Decimal(most))
    if passes:
        put({"b": amounts(Kind.USAGE, "10", more)}, safeguards=guarded)
    else:
        with pytest.raises(SurpriseError, match="percent in BillingPreTaxTotal"):
            put({"b": amounts(Kind.USAGE, "10", more)}, safeguards=guarded)
    with pytest.raises(SurpriseError, match="percent in line items"):
        put({"c": amounts(Kind.USAGE, *["0.001"] * 10)}, safeguards=guarded)


def test_a_difference_keeps_every_digit() -> None:
    tiny, large = Decimal("0.0000000000000000000000000000000000000001"), Decimal(9999999999999)
    before, after = Contents(1, "a", "EUR", {"Total": large}), Contents(1, "b", "EUR", {"Total": large + 0})
    after = Contents(1, "b", "EUR", {"Total": Decimal("9999999999999.0000000000000000000000000000000000000001")})
    assert difference(before, after) == {"Total": tiny}


AFTER_THE_COMMIT = {
    "the point": (DataFolder, "at_point"),
    "the scratch": (Store, "delete_scratch"),
    "the publication": (Publication, "_clean"),
    "the digests": (LineDigests, "close"),
}


@pytest.mark.parametrize("step", AFTER_THE_COMMIT)
def test_a_fault_after_the_commit_is_told_in_the_receipt_and_is_no_failure(
    data_folder: DataFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    given = [Input(write(tmp_path / "a", amounts(Kind.USAGE, "1")), UNBILLED)]

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    def break_down(where: str) -> None:
        if where == "committed" and step == "the point":
            fail()
        if where == "committed":
            monkeypatch.setattr(*AFTER_THE_COMMIT[step], fail)

    [receipt] = publish(replace(data_folder, at_point=break_down), given)
    monkeypatch.undo()
    assert "No space left" in receipt.trouble
    assert receipt.revision == data_folder.catalog.in_force(receipt.dataset)


NAMELESS = ("", " ", "\t", "\u200b", "\ufeff", "\u3164", "\u00a0\u2800")


@pytest.mark.parametrize("name", NAMELESS)
def test_an_attribute_without_a_name_is_refused_before_anything_changes(
    put: Put, data_folder: DataFolder, name: str
) -> None:
    row = json.loads(raw_line(Kind.USAGE), parse_int=str, parse_float=str)
    header = ",".join([name, *row])
    files = {
        "a.jsonl": (json.dumps({name: "0", **row}) + "\n").encode(),
    }
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({name: ["0"], **{key: [value] for key, value in row.items()}}), sink)
    files["a.parquet"] = sink.getvalue().to_pybytes()
    for file, content in files.items():
        with pytest.raises(InputError, match="a value in an attribute without a name"):
            put({file: content})
    assert data_folder.catalog.datasets() == []
    # A CSV may have an index column, or commas at the end of each line: those are left out, and what is lost is told.
    table = f"{header},\n0,{','.join(row.values())},\n".encode()
    if name in ("\u3164", "\u00a0\u2800"):
        with pytest.raises(InputError, match="a value in an attribute without a name"):
            put({"b.csv": table})
        return
    [receipt] = put({"b.csv": table})
    assert receipt.warnings == {"inexact BillingPreTaxTotal": 1, "skipped unnamed value": 1}
