"""The wire of Partner Center v1: what a query may be, and the exact text of envelopes and errors."""

import json
from decimal import Decimal
from typing import Any

import pytest

from counterfoil.errors import (
    BadRequestError,
    ForbiddenError,
    MethodNotAllowedError,
    NotFoundError,
    NotServedError,
    RequestError,
    UnauthenticatedError,
    UnavailableError,
)
from counterfoil.model import Contents, Kind
from counterfoil.wire import v1
from counterfoil.wire.v1 import Path, Query

USAGE = "provider=onetime&invoicelineitemtype=usagelineitems&currencycode=usd&period=current"


def read(query: str, path: Path | None = None) -> Query:
    return v1.read_query(path or Path(), query.encode())


@pytest.mark.parametrize(
    ("provider", "line_item_type", "kind"),
    [
        ("onetime", "billinglineitems", Kind.RECONCILIATION),
        ("OneTime", "BillingLineItems", Kind.RECONCILIATION),
        ("one_time", "BILLINGLINEITEMS", Kind.RECONCILIATION),
        ("all", "billinglineitems", Kind.RECONCILIATION),
        ("onetime", "usagelineitems", Kind.USAGE),
        ("all", "UsageLineItems", Kind.USAGE),
        ("Marketplace", "USAGELINEITEMS", Kind.USAGE),
    ],
)
def test_provider_and_type_decide_the_kind_whatever_their_case_and_in_both_forms(
    provider: str, line_item_type: str, kind: Kind
) -> None:
    rest = "currencycode=usd&period=current"
    query = read(f"provider={provider}&invoiceLineItemType={line_item_type}&{rest}")
    assert query.kind is kind
    assert read(rest, Path(provider, line_item_type)) == query


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "invoicelineitemtype must be billinglineitems or usagelineitems and is missing"),
        (USAGE.replace("usagelineitems", "DailyRatedUsageLineItems"), "invoicelineitemtype must be billinglineitems"),
        (
            USAGE.replace("onetime", ""),
            "for usagelineitems and is missing",
        ),
        (USAGE.replace("onetime", "azure"), "provider must be onetime, all or marketplace"),
        (USAGE.replace("onetime", "mar%E2%84%AAetplace"), "provider must"),  # the Kelvin sign lower-cases to k
        (USAGE.replace("onetime", "marketplace").replace("usage", "billing"), "provider must be onetime or all"),
        (USAGE.replace("usd", "us"), "currencycode must be three letters"),
        (USAGE.replace("usd", "u$d"), "currencycode"),
        (USAGE.replace("usd", "%C3%BC%C3%BC%C3%BC"), "currencycode"),
        (USAGE.replace("=usd", "="), "currencycode must be three letters of ISO 4217, such as USD and is missing"),
        (USAGE.replace("period=current", "period=last"), "period must be current or previous; it is 'last'"),
        (USAGE + "&size=0", "size must be a number from 1 to 2000; it is '0'"),
        (USAGE + "&size=000", "size"),
        (USAGE + "&size=-1", "size"),
        (USAGE + "&size=1.5", "size"),
        (USAGE + "&size=ten", "size"),
        (USAGE + "&size=%D9%A5", "size"),  # a digit, and not one of ours
        (USAGE + "&size=+5", "size"),
        (USAGE + "&seekOperation=Previous", "seekOperation must be Next"),
        (USAGE + "&hasPartnerEarnedCredit=1", "hasPartnerEarnedCredit must be true or false"),
        (USAGE + "&x=" + "y" * 5000, "longer than"),
    ],
)
def test_a_parameter_that_is_wrong_or_missing_is_named_with_what_it_may_be(query: str, said: str) -> None:
    with pytest.raises(BadRequestError, match=said.replace("$", r"\$")) as refused:
        read(query)
    assert refused.value.code == "3000"
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    ("given", "size"), [("", 2000), ("&size=", 2000), ("&size=1", 1), ("&size=0007", 7), ("&size=2000", 2000)]
)
def test_size_is_1_to_2000(given: str, size: int) -> None:
    assert read(USAGE + given).size_items == size


@pytest.mark.parametrize("given", ["2001", "99999", "9" * 4000])
def test_a_greater_size_is_clamped_and_the_links_say_so(given: str) -> None:
    query = read(f"{USAGE}&size={given}")
    assert query.size_items == 2000
    assert query.self_uri.endswith("&size=2000")


def test_the_first_of_a_repeated_name_counts_and_an_empty_one_is_absent() -> None:
    query = read(f"{USAGE}&CurrencyCode=eur&size=5&SIZE=9&seekOperation=&unknown=%FF&idparceiro=1&&=&period")
    assert (query.currency, query.size_items, query.seek) == ("USD", 5, False)
    with pytest.raises(BadRequestError, match="currencycode"):
        read("currencyCode=&" + USAGE)


def test_a_second_question_mark_begins_another_parameter() -> None:
    query = read(f"{USAGE}&size=2000?seekOperation=Next")
    assert (query.size_items, query.seek) == (2000, True)


def test_links_have_names_as_documented_and_values_as_the_caller_spelled_them() -> None:
    query = read(
        "hasPartnerEarnedCredit=True&Period=Current&CURRENCYCODE=Usd&invoiceLineItemType=UsageLineItems"
        "&provider=OneTime&size=3&seekoperation=next&extra=1"
    )
    assert query.self_uri == (
        "/invoices/unbilled/lineitems?provider=OneTime&invoicelineitemtype=UsageLineItems&currencycode=Usd"
        "&period=Current&size=3&hasPartnerEarnedCredit=True"
    )


@pytest.mark.parametrize(
    ("query", "credit"),
    [
        (USAGE, None),
        (USAGE + "&haspartnerearnedcredit=true", True),
        (USAGE + "&hasPartnerEarnedCredit=FALSE", False),
        (USAGE.replace("onetime", "all") + "&hasPartnerEarnedCredit=true", None),
        (USAGE.replace("usage", "billing") + "&hasPartnerEarnedCredit=true", None),
    ],
)
def test_partner_earned_credit_filters_onetime_usage_only(query: str, credit: bool | None) -> None:
    assert read(query).credit is credit


def test_a_token_is_bound_to_everything_but_size_and_spelling() -> None:
    same = [
        USAGE,
        USAGE + "&size=7",
        USAGE.upper(),
        USAGE + "&seekOperation=Next",
        USAGE.replace("onetime", "marketplace"),
        USAGE.replace("onetime", "all") + "&hasPartnerEarnedCredit=true",
    ]
    other = [
        USAGE.replace("usage", "billing"),
        USAGE.replace("usd", "eur"),
        USAGE.replace("=current", "=previous"),
        USAGE + "&hasPartnerEarnedCredit=true",
        USAGE + "&hasPartnerEarnedCredit=false",
    ]
    assert len({read(query).digest for query in same}) == 1
    assert len({read(query).digest for query in [USAGE, *other]}) == 1 + len(other)
    assert len(read(USAGE).digest) == 16


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/v1/invoices/unbilled/lineitems", Path()),
        ("/v1//invoices//Unbilled/lineItems/", Path()),
        ("/V1/INVOICES/UNBILLED/LINEITEMS", Path()),
        ("/v1/invoices/OneTime-unbilled/lineitems", Path()),
        ("/v1/invoices/Recurring-unbilled/lineitems", Path()),
        ("/v1/invoices/unbilled/lineitems/OneTime/BillingLineItems", Path("OneTime", "BillingLineItems")),
    ],
)
def test_paths_are_case_blind_and_empty_segments_do_not_count(path: str, found: Path) -> None:
    assert v1.read_path(path) == found


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/v1", NotServedError),
        ("/v1/invoices", NotServedError),
        ("/v1/invoices/G000024135", NotServedError),
        ("/v1/invoices/G000024135/lineitems", NotServedError),
        ("/v1/invoices/OneTime-G000024135/lineitems/OneTime/BillingLineItems", NotServedError),
        ("/v1/invoices/unbilled", NotServedError),
        ("/v1/customers", NotServedError),
        ("/v1/invoices/Sometime-unbilled/lineitems", NotFoundError),
        ("/v1/invoices/-unbilled/lineitems", NotFoundError),
        ("/v1/invoices/unbilled/lineitems/onetime", NotFoundError),
        ("/v1/invoices/unbilled/lineitems/a/b/c", NotFoundError),
    ],
)
def test_what_is_not_served_yet_is_told_from_what_does_not_exist(path: str, error: type[RequestError]) -> None:
    with pytest.raises(error):
        v1.read_path(path)


def test_root_token_and_next_link_go_together() -> None:
    query = read(USAGE + "&size=2")
    page = json.loads(v1.page_head(2, "t0ken-_") + b'{"a":1},{"a":2}' + v1.page_tail(query, "t0ken-_"))
    uri = "/invoices/unbilled/lineitems?" + USAGE + "&size=2"
    assert page == {
        "continuationToken": "t0ken-_",
        "totalCount": 2,
        "items": [{"a": 1}, {"a": 2}],
        "links": {
            "self": {"uri": uri, "method": "GET", "headers": []},
            "next": {
                "uri": uri + "&seekOperation=Next",
                "method": "GET",
                "headers": [{"key": "MS-ContinuationToken", "value": "t0ken-_"}],
            },
        },
        "attributes": {"objectType": "Collection"},
    }
    assert list(page) == ["continuationToken", "totalCount", "items", "links", "attributes"]
    last = json.loads(v1.page_head(0, "") + v1.page_tail(query, ""))
    assert last == {
        "totalCount": 0,
        "items": [],
        "links": {"self": {"uri": uri, "method": "GET", "headers": []}},
        "attributes": {"objectType": "Collection"},
    }


def test_proof_headers_carry_exact_totals() -> None:
    contents = Contents(3, "00" * 32, "EUR", {"Total": Decimal("12.340"), "TaxTotal": Decimal("0E-20")})
    headers = dict(v1.proof_headers("e" * 32, 3, contents))
    assert headers[b"counterfoil-etag"] == b"e" * 32
    assert headers[b"counterfoil-line-item-count"] == b"3"
    assert headers[b"counterfoil-totals"] == (
        b'{"currency":"EUR","Total":"12.340","TaxTotal":"0.00000000000000000000"}'
    )
    assert b"counterfoil-totals" not in dict(v1.proof_headers("e" * 32, 2, None))


class _ThrottledError(RequestError):
    status = 429
    retry_after_s = 57


@pytest.mark.parametrize(
    ("error", "status", "code", "header"),
    [
        (BadRequestError("no"), 400, "3000", None),
        (BadRequestError("no", code="BadRequest"), 400, "3000", None),
        (UnauthenticatedError("no"), 401, "400", (b"www-authenticate", b"Bearer")),
        (UnauthenticatedError("no", code="900421"), 401, "900421", (b"www-authenticate", b"Bearer")),
        (ForbiddenError("no", code="Authorization_RequestDenied"), 403, "2032", None),
        (NotFoundError("no"), 404, "1000", None),
        (MethodNotAllowedError("no", allow="GET"), 405, "3000", (b"allow", b"GET")),
        (NotServedError("no"), 501, "0", None),
        (UnavailableError("no", retry_after_s=9), 503, "0", (b"retry-after", b"9")),
        (UnavailableError("no", retry_after_s=0), 503, "0", (b"retry-after", b"1")),
    ],
)
def test_each_refusal_has_its_status_code_and_headers(
    error: RequestError, status: int, code: str, header: tuple[bytes, bytes] | None
) -> None:
    answered, headers, body = v1.error_answer(error)
    assert answered == status
    assert json.loads(body) == {"code": code, "description": "no", "data": [], "source": "Counterfoil"}
    assert headers == ([] if header is None else [header])


def test_a_throttled_caller_gets_the_form_of_the_gateway_and_when_to_try_again() -> None:
    status, headers, body = v1.error_answer(_ThrottledError("slow down"))
    expected: dict[str, Any] = {"statusCode": 429, "message": "Rate limit is exceeded. Try again in 57 seconds."}
    assert (status, headers, json.loads(body)) == (429, [(b"retry-after", b"57")], expected)


def test_a_description_is_never_empty_and_at_most_1024_characters() -> None:
    assert len(json.loads(v1.error_body("0", "ä" * 3000))["description"]) == 1024
    assert json.loads(v1.error_body("0", ""))["description"]


@pytest.mark.parametrize(
    ("accept", "good"),
    [
        (b"", True),
        (b"*/*", True),
        (b"application/json", True),
        (b"Application/JSON; charset=utf-8", True),
        (b"text/html, application/*;q=0.1", True),
        (b"application/pdf", False),
        (b"text/html, application/json;q=0", False),
        (b"*/*, application/json; q=0.000", False),
        (b"\xff", False),
    ],
)
def test_accept_may_exclude_json(accept: bytes, good: bool) -> None:
    assert v1.accepts_json(accept) is good


@pytest.mark.parametrize(
    ("accept", "good"),
    [
        (b"", False),
        (b"identity", False),
        (b"gzip", True),
        (b"gzip, deflate, br", True),
        (b"deflate;q=1, GZIP;q=0.5", True),
        (b"*", True),
        (b"gzip;q=0, *", False),
        (b"gzip;q=0", False),
    ],
)
def test_gzip_is_sent_to_those_who_ask_for_it(accept: bytes, good: bool) -> None:
    assert v1.accepts_gzip(accept) is good


@pytest.mark.parametrize("sent", [b"1234ecb8-37af-45f4-a1a1-358de3ca2b9e", b"{ABC}", b"run.7:1_x"])
def test_sane_ids_come_back(sent: bytes) -> None:
    assert v1.echo(sent) == sent


@pytest.mark.parametrize("sent", [b"", b"a b", b'"', b"\xff", b"x" * 129, b"a\x01", b"<script>", b"a\n"])
def test_other_ids_do_not(sent: bytes) -> None:
    assert v1.echo(sent) == b""
