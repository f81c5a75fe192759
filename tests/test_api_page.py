"""docs/apis.md is a promise: each tick is served, each empty box is refused, and nothing is served that has no line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.serving import BILLED, Place, serving

PAGE = (Path(__file__).parent.parent / "docs/apis.md").read_text(encoding="utf-8")
ACTIONS = {"export", "microsoft.graph.partners.billing.export", "partners.billing.export"}
ACTION = re.compile("/(" + "|".join(map(re.escape, ACTIONS)) + ")$")
NO_ROUTE = "Resource not found for the segment"


def section(title: str) -> str:
    return PAGE.partition(f"# {title}\n")[2].partition("\n## ")[0].partition("\n### ")[0]


def rows(title: str) -> Iterator[tuple[list[str], bool]]:
    """The rows of a section's table: what is in code in the first cell, and whether it has a tick."""
    for line in section(title).splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) >= 2 and {"✓", "☐"} & set(cells):
            yield re.findall(r"`([^`]+)`", cells[0]), "✓" in cells


ROUTES = [
    (code[0], served)
    for title in ("Microsoft Graph", "Partner Center REST v1")
    for code, served in rows(title)
    if code and " " in code[0]
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with serving(tmp_path_factory.mktemp("apis")) as place:
        place.publish(BILLED, [b'{"Total":1}\n'])
        yield place


@pytest.mark.parametrize(("route", "served"), ROUTES)
def test_a_tick_is_served_and_an_empty_box_is_not(place: Place, route: str, served: bool) -> None:
    method, path = route.split()
    path = re.sub(r"\{[^}]+\}", "00000000-0000-4000-8000-000000000000", path.removesuffix("?..."))
    prefixes = [""] if path.startswith("/v1/") else ["/beta"] if "aggregated" in path else ["/v1.0", "/beta"]
    for prefix in prefixes:
        answer = place.client.request(method, f"{place.url}{prefix}{path}", headers=place.headers(), json=None)
        is_route = answer.status_code not in {405, 501} and NO_ROUTE not in answer.text
        assert is_route == served, f"{prefix}{path}: {answer.status_code} {answer.text}"


def test_every_route_that_is_served_has_its_line(place: Place) -> None:
    listed = {re.sub(r"\{[^}]+\}", "{}", route.split()[1].removesuffix("?...")) for route, served in ROUTES if served}
    for path in place.get("/openapi.json").json()["paths"]:
        if re.match(r"/(v1\.0|beta|v1)/", path):
            bare = re.sub(r"\{[^}]+\}", "{}", re.sub(r"^/(v1\.0|beta)", "", path))
            assert ACTION.sub("/export", bare) in listed, path


def ticked(title: str) -> set[str]:
    """The fields of a section: `blobs[].name` is `name`, and headers do not count."""
    lines = section(title).splitlines()
    code = [re.findall(r"`([^`]+)`", line.split("|")[1]) for line in lines if "| ✓ |" in line and "header" not in line]
    return {re.sub(r"^.*\[\]\.", "", name).partition(":")[0] for names in code for name in names}


def test_the_fields_of_operations_and_manifests_are_those_that_are_listed(place: Place) -> None:
    succeeded = place.get(place.export().headers["location"]).json()
    failed = place.get(place.export("G0").headers["location"]).json()
    manifest = succeeded["resourceLocation"]
    operation_fields = {*succeeded, *failed} - {"@odata.context"}
    assert ticked("Operations") == operation_fields
    manifest_fields = {*manifest, *manifest["blobs"][0]} - {"@odata.context", "blobs"}
    assert ticked("Manifests") == manifest_fields


def test_the_fields_of_a_page_are_those_that_are_listed(place: Place) -> None:
    query = "provider=onetime&invoicelineitemtype=usagelineitems&currencycode=USD&period=current"
    page = place.get(f"/v1/invoices/unbilled/lineitems?{query}").json()
    first_words = {name.partition(".")[0] for name in ticked("A page")} - {"Content-Encoding", "continuationToken"}
    assert first_words == page.keys()
