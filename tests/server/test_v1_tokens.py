"""A continuation token is good for one partner, one query and 24 hours; anything else is told to start over."""

import random
import string

import pytest

from tests.server.serving import OTHER, PARTNER, Place
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


def test_a_token_gives_the_same_page_every_time(served_v1: Place) -> None:
    token = first_token(served_v1)
    assert len({page(served_v1, NEXT, token).content for _ in range(5)}) == 1


def test_a_token_is_short_and_of_plain_characters(served_v1: Place) -> None:
    token = first_token(served_v1)
    assert len(token) <= 250
    assert set(token) <= set(string.ascii_letters + string.digits + "-_")


def test_a_forged_token_is_refused_wherever_it_was_changed(served_v1: Place) -> None:
    token = first_token(served_v1)
    chance = random.Random(1)
    for at in range(len(token)):
        other = chance.choice([char for char in string.ascii_letters + string.digits if char != token[at]])
        refused = page(served_v1, NEXT, token[:at] + other + token[at + 1 :], status=400)
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
def test_what_is_no_token_of_ours_is_refused(served_v1: Place, token: str) -> None:
    headers = {b"MS-ContinuationToken": token.encode("latin-1"), b"Authorization": f"Bearer {PARTNER}".encode()}
    refused = served_v1.client.get(f"{served_v1.url}{LINE_ITEMS}?{NEXT}", headers=headers)
    assert refused.status_code == 400
    check_error(refused.json())
    assert refused.json()["code"] == "3000"
    assert GONE in refused.json()["description"]


def test_two_tokens_in_one_request_are_none(served_v1: Place) -> None:
    token = first_token(served_v1)
    header = f"MS-ContinuationToken: {token}\r\n"
    assert raw_get(served_v1, f"{LINE_ITEMS}?{NEXT}", more=header + header)[0] == 400
    assert raw_get(served_v1, f"{LINE_ITEMS}?{NEXT}", more=header)[0] == 200


def test_another_partners_token_answers_as_a_forged_one_does(served_v1: Place) -> None:
    token = first_token(served_v1)
    page(served_v1, NEXT, token)  # so that the page is at hand, for its own partner
    foreign = page(served_v1, NEXT, token, partner=OTHER, status=400)
    forged = page(served_v1, NEXT, token[:-1] + ("A" if token[-1] != "A" else "Q"), partner=OTHER, status=400)
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
def test_a_token_used_with_other_filters_is_refused(served_v1: Place, query: str) -> None:
    refused = page(served_v1, query, first_token(served_v1), status=400)
    assert "other parameters" in refused.json()["description"]
    filtered = first_token(served_v1, USAGE + "&hasPartnerEarnedCredit=true")
    page(served_v1, NEXT, filtered, status=400)


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
def test_seek_operation_next_needs_a_token(served_v1: Place, headers: dict[str, str]) -> None:
    refused = page(served_v1, NEXT, status=400, headers=headers)
    assert "MS-ContinuationToken" in refused.json()["description"]
    assert refused.json()["code"] == "3000"
