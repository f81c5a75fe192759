"""A continuation token is good for one partner, one query and 24 hours; anything else is told to start over."""

import random
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

from counterfoil.model import Dataset, Kind, Scope
from counterfoil.periods import BillingPeriod
from tests.server.serving import OTHER, PARTNER, Place, serving
from tests.server.v1_walks import (
    LINE_ITEMS,
    NEXT,
    USAGE,
    check_error,
    first_token,
    items,
    page,
    publish_v1,
    raw_get,
    walk,
)

GONE = "Start over with the first page"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A served revision in blocks of four items, and one of the same line items for another partner."""
    with serving(tmp_path_factory.mktemp("v1")) as place:
        publish_v1(place, [items(30)], block_items=4)
        other = Dataset(Kind.USAGE, OTHER, Scope.unbilled(BillingPeriod(2026, 11), "USD"))
        publish_v1(place, [items(30)], dataset=other, block_items=4)
        yield place


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with serving(tmp_path) as place:
        yield place


def test_a_token_gives_the_same_page_every_time(shared: Place) -> None:
    token = first_token(shared)
    assert len({page(shared, NEXT, token).content for _ in range(5)}) == 1


def test_a_token_is_short_and_of_plain_characters(shared: Place) -> None:
    token = first_token(shared)
    assert len(token) <= 250
    assert set(token) <= set(string.ascii_letters + string.digits + "-_")


def test_a_forged_token_is_refused_wherever_it_was_changed(shared: Place) -> None:
    token = first_token(shared)
    chance = random.Random(1)
    for at in range(len(token)):
        other = chance.choice([char for char in string.ascii_letters + string.digits if char != token[at]])
        refused = page(shared, NEXT, token[:at] + other + token[at + 1 :], status=400)
        assert GONE in refused.json()["description"]


@pytest.mark.parametrize(
    "token",
    [
        "AQAAAA==",
        "x",
        "\N{POUND SIGN}",
        "d19617b8-fbe5-4684-a5d8-0230972fb0cf,0705c4a9-39f7-4261-ba6d-53e24a9ce47d_a4ayc/80/OGda4BO=,x",
        "A" * 8000,
        "null",
    ],
)
def test_what_is_no_token_of_ours_is_refused(shared: Place, token: str) -> None:
    headers = {b"MS-ContinuationToken": token.encode("latin-1"), b"Authorization": f"Bearer {PARTNER}".encode()}
    refused = shared.client.get(f"{shared.url}{LINE_ITEMS}?{NEXT}", headers=headers)
    assert refused.status_code == 400
    check_error(refused.json())
    assert refused.json()["code"] == "3000"
    assert GONE in refused.json()["description"]


def test_two_tokens_in_one_request_are_none(shared: Place) -> None:
    token = first_token(shared)
    header = f"MS-ContinuationToken: {token}\r\n"
    assert raw_get(shared, f"{LINE_ITEMS}?{NEXT}", more=header + header)[0] == 400
    assert raw_get(shared, f"{LINE_ITEMS}?{NEXT}", more=header)[0] == 200


def test_another_partners_token_answers_as_a_forged_one_does(shared: Place) -> None:
    token = first_token(shared)
    page(shared, NEXT, token)  # so that the page is at hand, for its own partner
    foreign = page(shared, NEXT, token, partner=OTHER, status=400)
    forged = page(shared, NEXT, token[:-1] + ("A" if token[-1] != "A" else "Q"), partner=OTHER, status=400)
    assert foreign.content == forged.content


@pytest.mark.parametrize(
    "query",
    [
        NEXT.replace("usage", "billing"),
        NEXT.replace("usd", "eur"),
        NEXT.replace("=current", "=previous"),
        NEXT + "&hasPartnerEarnedCredit=true",
        NEXT + "&hasPartnerEarnedCredit=false",
    ],
)
def test_a_token_used_with_other_filters_is_refused(shared: Place, query: str) -> None:
    refused = page(shared, query, first_token(shared), status=400)
    assert "other parameters" in refused.json()["description"]
    filtered = first_token(shared, USAGE + "&hasPartnerEarnedCredit=true")
    page(shared, NEXT, filtered, status=400)


def test_a_token_lives_24_hours_from_page_1_on(place: Place) -> None:
    publish_v1(place, [items(30)], block_items=4)
    begun = first_token(place)
    place.travel(hours=23, minutes=59)
    later = page(place, NEXT, begun).json()["continuationToken"]
    place.travel(minutes=2)
    for token in (begun, later):  # the end was fixed at page 1, and having the page at hand does not stretch it
        refused = page(place, NEXT, token, status=400)
        assert "has expired" in refused.json()["description"]
        assert GONE in refused.json()["description"]
    assert len(walk(place)) == 8


@pytest.mark.parametrize("headers", [{}, {"MS-ContinuationToken": ""}])
def test_seek_operation_next_needs_a_token(shared: Place, headers: dict[str, str]) -> None:
    refused = page(shared, NEXT, status=400, headers=headers)
    assert "MS-ContinuationToken" in refused.json()["description"]
    assert refused.json()["code"] == "3000"
