"""The HTML report in a browser: no request, no complaint, accessible, and its script filters, sorts and adds up.

`make soak` runs this. It installs Chromium where it is missing, and axe. Set `PICTURES` to a folder to look at the
page: light, dark, on a phone, printed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from counterfoil import numbers, reconcile
from tests.reconcile import made_reports as made
from tests.reconcile.browser import Browser, checker
from tests.reconcile.sides import lines_file

pytestmark = pytest.mark.soak
# What a page says of itself: exact amounts and shown cents of its tables, and which differences are shown.
FIGURES = """
(() => {
  const exact = (cell) => cell.querySelector("data").value;
  const rows = [...document.querySelectorAll("#bridge tbody tr")].filter((row) => row.querySelector("data"));
  const cents = rows.map((row) => BigInt(row.querySelector("data").innerText.replace(/[,.+]/g, "").replace("−", "-")));
  return {
    exact: rows.map(exact),
    addsUp: cents.slice(0, -1).reduce((sum, each) => sum + each, 0n) === cents.at(-1),
    differences: document.querySelectorAll("tbody.difference").length,
    told: document.getElementById("told").textContent,
    wide: document.documentElement.scrollWidth <= document.documentElement.clientWidth,
  };
})()
"""
USED = """
(() => {
  const shown = () => [...document.querySelectorAll("tbody.difference:not([hidden])")].map((row) => row.id);
  const seen = {};
  document.querySelector('a[data-by="causes"][data-number="quantity"]').click();
  seen.cause = shown();
  document.querySelector('a[data-by="customer"][data-number="0"]').click();
  seen.customer = shown();
  seen.only = document.getElementById("only").textContent;
  document.getElementById("only").click();
  seen.all = shown();
  const find = document.getElementById("find");
  find.value = "CUSTOMER c1";
  find.dispatchEvent(new Event("input"));
  seen.found = shown();
  find.value = "";
  find.dispatchEvent(new Event("input"));
  document.querySelector('button[data-key="amount"]').click();
  seen.ascending = shown();
  document.getElementById("open").click();
  seen.open = document.querySelectorAll("details[open]").length;
  document.getElementById("digits").click();
  seen.digits = getComputedStyle(document.querySelector("#bridge .digits") || document.body).display;
  return seen;
})()
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Browser:
    return Browser(tmp_path_factory.mktemp("browser"))


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, dict[str, Any]]]:
    """A page of each made comparison, and its JSON."""
    folder = tmp_path_factory.mktemp("pages")
    found = {}
    for make in (made.two_causes, made.hostile, made.many):
        with make(folder / make.__name__) as comparison:
            path = folder / f"{make.__name__}.html"
            comparison.write_html(path)
            found[make.__name__] = (path, comparison.to_json())
    with made.many(folder / "thousands", 2_500) as comparison:
        path = folder / "thousands.html"
        comparison.write_html(path)
        found["thousands"] = (path, comparison.to_json())
    side = lines_file(folder / "october.jsonl", [made.charged(f"{at}.005", f"c{at}") for at in range(30)])
    totals = reconcile.totals(str(side), by="customer")
    totals.write_html(folder / "totals.html")
    found["totals"] = (folder / "totals.html", totals.to_json())
    return found


@pytest.mark.parametrize("name", ["two_causes", "hostile", "many", "thousands", "totals"])
def test_the_page_asks_for_nothing_and_its_policy_refuses_nothing_of_its_own(
    browser: Browser, pages: dict[str, tuple[Path, dict[str, Any]]], name: str
) -> None:
    page, _ = pages[name]
    assert browser.complaints(page) == []
    assert browser.requests(page) == []


def test_a_request_or_a_refusal_would_be_seen(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text('<img src="http://127.0.0.1:9/image">', encoding="utf-8")
    assert browser.requests(page) == ["http://127.0.0.1:9/image"]
    page.write_text(
        """<meta http-equiv="Content-Security-Policy" content="default-src 'none'"><p style="color:red">""",
        encoding="utf-8",
    )
    assert len(browser.complaints(page)) == 1


@pytest.mark.parametrize("width", [1100, 500])
@pytest.mark.parametrize("name", ["two_causes", "hostile", "many", "thousands"])
def test_sums_recomputed_in_the_page_are_those_of_the_json(
    browser: Browser, pages: dict[str, tuple[Path, dict[str, Any]]], name: str, width: int
) -> None:
    page, document = pages[name]
    seen = browser.evaluated(page, FIGURES, width=width)
    left, *causes, right = seen["exact"]
    assert (left, right) == (document["left"]["total"], document["right"]["total"])
    assert numbers.total([left, *causes]) == numbers.exact(right)
    assert seen["addsUp"]
    assert seen["wide"], "the page is wider than its window"
    shown = min(document["differences"], 2_000)
    assert (seen["differences"], seen["told"]) == (shown, f"{shown:,} of {shown:,} shown")


def test_the_script_chooses_searches_and_sorts(browser: Browser, pages: dict[str, tuple[Path, dict[str, Any]]]) -> None:
    seen = browser.evaluated(pages["two_causes"][0], USED)
    assert seen == {
        "cause": ["d2"],
        "customer": ["d1"],
        "only": "Only Customer c2 ✕",
        "all": ["d1", "d2"],
        "found": ["d2"],
        "ascending": ["d2", "d1"],
        "open": 2,
        "digits": "block",  # of the body: no amount there has more digits than cents
    }
    assert browser.evaluated(pages["many"][0], USED.replace("quantity", "rounding"))["digits"] == "inline"


AXE = "axe.run().then((found) => found.violations.map((each) => [each.id, each.impact, each.nodes[0].html]))"


def test_axe_would_find_something(browser: Browser, tmp_path: Path, axe: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<!doctype html><html><body><img src=''><p>A picture</p></body></html>", encoding="utf-8")
    assert {"image-alt", "html-has-lang"} <= {each[0] for each in browser.evaluated(page, AXE, scripts=[axe])}


@pytest.mark.parametrize("look", ["light", "dark"])
@pytest.mark.parametrize("name", ["two_causes", "hostile", "many", "totals"])
def test_axe_finds_nothing(
    browser: Browser,
    pages: dict[str, tuple[Path, dict[str, Any]]],
    name: str,
    look: str,
    tmp_path: Path,
    axe: Path,
) -> None:
    page = tmp_path / "page.html"
    source = pages[name][0].read_text(encoding="utf-8").replace("<details>", "<details open>")
    if look == "dark":
        source = source.replace("@media (prefers-color-scheme: dark)", "@media all")
    page.write_text(source, encoding="utf-8")
    assert browser.evaluated(page, AXE, scripts=[axe]) == []


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checker(tmp_path_factory.mktemp("axe"))


def test_the_page_can_be_looked_at(
    browser: Browser, pages: dict[str, tuple[Path, dict[str, Any]]], tmp_path: Path
) -> None:
    into = Path(os.environ.get("PICTURES", tmp_path))
    page, _ = pages["two_causes"]
    for name, width, is_dark in (("light", 1100, False), ("dark", 1100, True), ("phone", 390, False)):
        browser.picture(page, into / f"{name}.png", width, 3_000, is_dark=is_dark)
    browser.printed(page, into / "print.pdf")
    pictures = {(into / f"{name}.png").read_bytes() for name in ("light", "dark", "phone")}
    assert len(pictures) == 3
    assert (into / "print.pdf").read_bytes().startswith(b"%PDF")
