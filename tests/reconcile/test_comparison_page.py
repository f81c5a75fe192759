"""The HTML report of a comparison: its exact amounts are those of the JSON, and its totals lead to their rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from counterfoil import numbers
from counterfoil.errors import CounterfoilError, UsageError
from counterfoil.reconcile import Cause, Comparing, Comparison, FoundDifference, ReportWarning, Stage
from counterfoil.reconcile.comparing.difference_files import DifferenceFiles
from counterfoil.reconcile.reports import comparison_page, difference_rows, report_facts
from counterfoil.reconcile.reports.cause_words import titles_of_causes, words_of
from counterfoil.reconcile.reports.side_words import words_of_sides
from tests.reconcile import made_reports as made
from tests.reconcile.pages import Page

Make = Callable[[Path], Comparison]
Shown = Callable[[Make], tuple[Page, dict[str, Any], list[int]]]


def page_of(comparison: Comparison, tmp_path: Path) -> Page:
    path = tmp_path / "report.html"
    comparison.write_html(path)
    page = Page(path)
    page.check()
    return page


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """The page of a made comparison, with its JSON and the numbers of its largest differences; it shows 40 at most."""

    @cache
    def show(make: Make) -> tuple[Page, dict[str, Any], list[int]]:
        folder = tmp_path_factory.mktemp(make.__name__)
        with make(folder / "result") as comparison, pytest.MonkeyPatch.context() as patch:
            patch.setattr(comparison_page, "DIFFERENCES_SHOWN_MAX", 40)
            largest = [each.number for each in comparison.differences(limit=40)]
            return page_of(comparison, folder), comparison.to_json(), largest

    return show


def empty(folder: Path) -> Comparison:
    return made.of_invoice(folder, [], equal=[made.charged("10.00"), made.charged("2.50", "c2")])


def to_nothing(folder: Path) -> Comparison:
    """Two differences that cancel each other out, and one in words alone."""
    return made.of_invoice(
        folder,
        [
            made.differing(1, "10.00", "12.00", {"quantity": "2.00"}),
            made.differing(2, "10.00", "8.00", {"discount": "-2.00"}, customer="c2"),
            made.differing(3, "1.00", "1.00", {}),
        ],
    )


def negative(folder: Path) -> Comparison:
    """Credit notes: both sides are below zero, and part of the difference is unexplained."""
    return made.of_invoice(
        folder,
        [
            made.differing(1, "-100.00", "-140.50", {"credit": "-30.00", "unexplained": "-10.50"}),
            made.differing(2, "", "-0.004", {"credit": "-0.004"}, customer="c2"),
        ],
    )


MADE: list[Make] = [made.two_causes, made.hostile, made.many, empty, to_nothing, negative]


@pytest.mark.parametrize("make", MADE, ids=lambda make: make.__name__)
def test_the_amounts_on_the_page_are_those_of_the_json_and_add_up(make: Make, shown: Shown) -> None:
    page, document, _ = shown(make)
    if not document["causes"]:
        assert "bridge" not in page.tables
        return
    left, *causes, right = (row[0] for row in page.amounts("bridge"))
    assert (left, right) == (document["left"]["total"], document["right"]["total"])
    assert sorted(causes) == sorted(each["amount"] for each in document["causes"])
    assert numbers.total(iter((left, *causes))) == Decimal(right)
    for by in ("customer", "product", "subscription"):
        *rows, last = page.amounts(by)
        assert last == [document["left"]["total"], document["right"]["total"], document["difference"]]
        assert [numbers.total(row[at] for row in rows) for at in range(3)] == [Decimal(text) for text in last]
        groups = document[f"by{by.capitalize()}"]
        listed = [[each["left"], each["right"], each["difference"]] for each in groups[:20]]
        assert rows[: len(listed)] == listed
    assert page_cents_add_up(page)


def page_cents_add_up(page: Page) -> bool:
    """Whether what a reader adds up, the shown cents, comes to the shown totals."""
    shown = re.findall(r"<data value=\"[^\"]*\"(?: class=\"\w*\")?>(?:<span class=\"cents\">)?([^<]+)<", page.source)
    cents = [Decimal(text.replace(",", "").replace("−", "-").replace("+", "")) for text in shown]
    causes = len(page.amounts("bridge")) - 2
    cards, bridge = cents[:3], cents[3 : 3 + causes + 2]
    return (
        numbers.total(str(each) for each in bridge[:-1]) == bridge[-1]
        and [cards[0], cards[1]] == [bridge[0], bridge[-1]]
        and numbers.total(str(each) for each in cards[::2]) == cards[1]
    )


@pytest.mark.parametrize(
    ("make", "title", "told"),
    [
        (
            made.two_causes,
            "Invoice G016907411 is 45.00 EUR lower than the unbilled amount of October 2026",
            (
                "Why: Missing line items −100.00; Quantity +55.00 EUR. Every cent is explained. "
                "Largest at Customer c2 −100.00; Customer c1 +55.00 EUR."
            ),
        ),
        (empty, "Invoice G016907411 equals the unbilled amount of October 2026", "All 2 line items of both sides are"),
        (
            to_nothing,
            "Invoice G016907411 and the unbilled amount of October 2026 both come to 21.00 EUR, but not with the same",
            "Why: Quantity +2.00; Discount −2.00 EUR.",
        ),
        (
            negative,
            "Invoice G016907411 is 40.50 EUR lower than the unbilled amount of October 2026",
            "Of this, −10.50 EUR is unexplained.",
        ),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_the_first_sentences_say_it_all(make: Make, title: str, told: str, shown: Shown) -> None:
    page, _, _ = shown(make)
    assert title in page.text
    assert told in page.text


def test_every_total_leads_to_its_rows_and_says_how_certain_it_is(shown: Shown) -> None:
    page, _, _ = shown(made.two_causes)
    leads = {(link["data-by"], link["data-number"]): link["href"] for link in page.all("a") if link.get("data-by")}
    assert leads[("causes", "vanished")] == "#d1"
    assert leads[("causes", "quantity")] == "#d2"
    assert (leads[("customer", "0")], leads[("customer", "1")]) == ("#d1", "#d2")
    rows = {each["id"]: each for each in page.all("tbody") if each.get("class") == "difference"}
    assert (rows["d1"]["data-causes"], rows["d1"]["data-customer"]) == ("vanished", "0")
    heads = [text for text, amounts in page.tables["customer"] if not amounts]
    assert ["open, proven" in text and "billed, proven" in text for text in heads] == [True]
    assert "From Unbilled, October 2026 (open, proven) to Invoice G016907411 (billed, proven)" in page.text


def test_what_was_earned_adds_up(shown: Shown) -> None:
    page, document, _ = shown(made.with_margins)
    told = document["margins"]
    for word in ("customer", "product"):
        *rows, last = page.amounts(f"margins-{word}")
        assert last == [told[name] for name in ("revenue", "cost", "boughtNotSold", "soldNotBought", "margin")]
        assert [numbers.total(row[at] for row in rows) for at in range(5)] == [Decimal(text) for text in last]
        assert len(rows) == 21
    assert page.amounts("margins-customer")[0] == ["0.00", "100.00", "100.00", "0.00", "-100.00"]


def test_every_cause_stage_and_comparison_has_its_words() -> None:
    titles = titles_of_causes("Left", "Right")
    assert set(titles) == set(Cause)
    assert len({*titles.values()}) == len(titles)
    meanings = {cause: words_of(cause, "Mine", "Theirs").meaning for cause in Cause}
    assert all(meanings.values())
    assert (meanings[Cause.NEW], meanings[Cause.VANISHED]) == (
        "Line items that only Theirs has.",
        "Line items that only Mine has.",
    )
    assert set(report_facts.MATCHED) == set(Stage)
    assert set(report_facts.COMPARING) == set(Comparing)


def test_names_from_strangers_stay_names(shown: Shown) -> None:
    page, _, _ = shown(made.hostile)
    assert made.HOSTILE in page.text
    assert made.FORMULA in page.text
    assert "{{ 7 * 7 }}{% raw %}" in page.text
    assert "Contoso \\u202e00.1 RUE" in page.text
    assert "\\x1b[2J\\x00" in page.text
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]", page.source)


def test_a_page_has_the_largest_differences_and_says_where_the_rest_is(shown: Shown) -> None:
    page, _, largest = shown(made.many)
    rows = [each["id"] for each in page.all("tbody") if each.get("class") == "difference"]
    assert rows == [f"d{number}" for number in largest]
    assert len(rows) == 40
    assert difference_rows.DIFFERENCES_SHOWN_MAX == 2_000
    assert "The 40 largest of 60 differences" in page.text
    assert "20 smaller differences are not on this page" in page.text
    assert "20 more with differences" in page.text


def test_two_revisions_are_told_apart_and_the_later_one_is_corrected(tmp_path: Path) -> None:
    with made.two_causes(tmp_path / "result") as comparison:
        side = replace(comparison.right, what="reconciliation, invoice G016907411, published 2026-11-08")
        left = replace(comparison.left, scope=made.INVOICE, what=side.what, revision="0badcafe00")
        told = replace(
            comparison,
            comparing=Comparing.REVISIONS,
            left=left,
            right=side,
            warnings=(ReportWarning("few-matched", "Fewer than half of the line items found a partner."),),
        )
        page = page_of(told, tmp_path)
    assert "Invoice G016907411, published 2026-11-08, revision 0badcafe (billed, proven)" in page.text
    assert "Invoice G016907411, published 2026-11-08, revision 9bdc4ace (corrected, proven)" in page.text
    assert page.text.index("Fewer than half") < page.text.index("Why:")


class TornFiles(DifferenceFiles):
    """Files of a result that end while they are read."""

    def __init__(self) -> None:
        pass

    def batches(self, table: str) -> Iterator[pa.RecordBatch]:
        yield pa.RecordBatch.from_pydict({"number": [1, 2], "difference": ["-1.00", "2.00"]})

    def differences(self, *_: object, **__: object) -> Iterator[FoundDifference]:
        yield made.differing(1, "1.00", "", {"vanished": "-1.00"})
        raise OSError("no more")


def test_charges_and_their_usage_are_called_so(tmp_path: Path) -> None:
    with made.two_causes(tmp_path / "result") as comparison:
        left = replace(comparison.left, scope=made.INVOICE)
        words = words_of_sides(replace(comparison, comparing=Comparing.PLAN, left=left))
    assert [each.title for each in words] == ["Invoice G016907411, metered charges", "Invoice G016907411, usage"]


def test_a_report_replaces_nothing_and_is_whole_or_not_there(tmp_path: Path) -> None:
    with made.two_causes(tmp_path / "result") as comparison:
        for write, name in ((comparison.write_html, "r.html"), (comparison.write_workbook, "r.xlsx")):
            path = tmp_path / name
            path.write_text("mine")
            with pytest.raises(UsageError, match="is there already"):
                write(path)
            assert path.read_text() == "mine"
            with pytest.raises(UsageError, match="There is no folder"):
                write(tmp_path / "none" / name)
        torn = replace(comparison, files=TornFiles())
        with pytest.raises(CounterfoilError, match=r"broken\.xlsx cannot be written: no more"):
            torn.write_workbook(tmp_path / "broken.xlsx")
        with pytest.raises(CounterfoilError, match="cannot be written"):
            comparison.write_html(tmp_path / ("n" * 300))
    assert sorted(each.name for each in tmp_path.iterdir() if each.is_file()) == ["r.html", "r.xlsx"]
