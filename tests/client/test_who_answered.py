"""What a refusal advises: by who answered, by its code and message in any spelling, and only then by the status."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Final

import pytest

from counterfoil.client import Api, Client, ClientCredentials, Format, Patience, Proof, ask_billed, ask_unbilled
from counterfoil.client.protocol.error_answers import answerer, read_error, refused
from counterfoil.client.protocol.messages import Answerer, Request, SourceAnswer, retry_after_s
from counterfoil.errors import CounterfoilError, ProofError, RefusedError
from counterfoil.model import Kind
from tests.client.folders import left_in
from tests.client.hostile_source import TOKEN, Canned, HostileSource, usage_line, written

ASK = ask_billed(Kind.USAGE, "G016907411")
WALKED = ask_unbilled(Kind.USAGE, "current", "EUR", now=datetime(2026, 11, 21, tzinfo=UTC))
ONCE = Patience(attempts_max=1)
NOW: Final = datetime(2026, 11, 28, 12, tzinfo=UTC)
SIGN_IN, STORAGE, API = Answerer.SIGN_IN, Answerer.STORAGE, Answerer.API
HTML: Final = b"<!DOCTYPE html><html><body>403</body></html>"
GATEWAY: Final = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


def entra(number: int, code: str, text: str = "x") -> bytes:
    return json.dumps({"error": code, "error_description": f"AADSTS{number}: {text}", "error_codes": [number]}).encode()


def storage(code: str, message: str = "m") -> bytes:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()


def graph(code: str, message: str = "m", spelled: str = "error code message") -> bytes:
    error, its_code, its_message = spelled.split()
    return json.dumps({error: {its_code: code, its_message: message}}).encode()


CASES: Final[list[tuple[Answerer, int, bytes, str]]] = [
    (API, 403, graph("Unauthorized_MissingMFA", "The token has no MFA claims.", "Error Code Message"), "multi-factor"),
    (API, 401, graph("AccessDenied", "Multi-factor authentication is required", "ERROR CODE MESSAGE"), "multi-factor"),
    (API, 403, b'{"Code":"900421","Description":"MFA is needed"}', "Code 900421: a person's token"),
    (API, 403, graph("AccessDenied", "Blocked by Conditional Access."), "Conditional Access policy"),
    (API, 403, graph("Forbidden", "The subscription of this tenant is disabled."), "is disabled: its administrator"),
    (API, 401, graph("InvalidAuthenticationToken", "Lifetime validation failed, the token is expired."), "new one"),
    (API, 403, graph("authorization_requestdenied"), "PartnerBilling.Read.All"),
    (API, 403, b"", "PartnerBilling.Read.All"),
    (
        API,
        403,
        b'{"odata.error":{"code":"Authorization_IdentityNotFound","message":{"lang":"en","value":"v"}}}',
        "`tenant`",
    ),
    (API, 502, GATEWAY, "gateway on the way answers"),
    (API, 403, HTML, "let through"),
    (API, 407, b"", "HTTPS_PROXY=http://NAME"),
    (API, 511, HTML, "wants a sign-in of its own"),
    (SIGN_IN, 401, entra(7000112, "unauthorized_client", "Application 'x' is disabled."), "Enabled for users to sign"),
    (SIGN_IN, 400, entra(53003, "access_denied"), "Conditional Access policy"),
    (SIGN_IN, 400, entra(530003, "interaction_required"), "Conditional Access policy"),
    (SIGN_IN, 400, entra(50076, "interaction_required"), "multi-factor"),
    (SIGN_IN, 400, entra(90002, "invalid_request"), "There is no such tenant"),
    (SIGN_IN, 401, entra(7000215, "invalid_client"), "take the secret's value"),
    (SIGN_IN, 401, entra(7000222, "invalid_client"), "has expired: make a new one"),
    (SIGN_IN, 401, entra(700027, "invalid_client"), "certificate is registered"),
    (SIGN_IN, 400, entra(9999999, "invalid_scope"), "`scope`"),
    (SIGN_IN, 401, b'{"Error":"Invalid_Client","Error_Description":"no"}', "`client_id`"),
    (SIGN_IN, 401, b"", "does not accept the application"),
    (SIGN_IN, 404, b"{}", "`authority`"),
    (SIGN_IN, 403, HTML, "let through"),
    (SIGN_IN, 503, GATEWAY, "gateway on the way answers"),
    (SIGN_IN, 503, entra(90033, "temporarily_unavailable"), "Trying again later is safe"),
    (STORAGE, 403, storage("AuthorizationFailure", "This address may not reach the account."), "firewall"),
    (STORAGE, 403, storage("authorizationsourceipmismatch"), "firewall"),
    (STORAGE, 403, storage("AuthenticationFailed", "Signature not valid in the specified time frame"), "new links"),
    (STORAGE, 403, storage("AccountIsDisabled"), "disabled, most often with its subscription"),
    (STORAGE, 403, storage("AuthorizationPermissionMismatch"), "other things than reading"),
    (STORAGE, 403, storage("KeyVaultEncryptionKeyNotFound"), "key vault"),
    (STORAGE, 404, storage("BlobNotFound"), "makes a new export"),
    (STORAGE, 409, storage("BlobArchived"), "archive"),
    (STORAGE, 409, storage("PublicAccessNotPermitted"), "not signed"),
    (STORAGE, 503, storage("ServerBusy"), "Trying again later is safe"),
    (
        STORAGE,
        403,
        b"<e:error xmlns:e='x'><e:CODE>AccountIsDisabled</e:CODE><e:message>m</e:message></e:error>",
        "disabled",
    ),
    (STORAGE, 403, HTML, "let through"),
    (STORAGE, 403, b"", "firewall of a storage answers so too"),
]


def answered(who: Answerer, status: int, body: bytes, **headers: str) -> SourceAnswer:
    return SourceAnswer(Request("GET", "https://host.example/p?sig=1", asked=who), status, headers, body)


@pytest.mark.parametrize(("who", "status", "body", "told"), CASES)
def test_the_advice_is_about_who_answered(who: Answerer, status: int, body: bytes, told: str) -> None:
    error = refused(answered(who, status, body))
    assert told in error.remedy
    if who is not API:
        assert "PartnerBilling" not in error.remedy


@pytest.mark.parametrize(("who", "status", "body", "told"), CASES)
def test_a_code_and_a_message_that_came_are_told(who: Answerer, status: int, body: bytes, told: str) -> None:
    code, message = read_error(body)
    error = refused(answered(who, status, body))
    assert (error.code, error.status) == (code, status)
    assert code in error.message
    assert message[:60] in error.message
    assert (code, message) != ("", "") or body in (b"", b"{}", HTML, GATEWAY)


def test_a_storage_names_its_code_in_a_header_where_there_is_no_body() -> None:
    error = refused(answered(STORAGE, 403, b"", **{"x-ms-error-code": "AccountIsDisabled"}))
    assert (error.code, "disabled" in error.remedy) == ("AccountIsDisabled", True)


def test_xml_of_a_storage_is_no_page_for_people() -> None:
    assert answerer(answered(STORAGE, 403, storage("AuthorizationFailure"))) is STORAGE
    assert answerer(answered(STORAGE, 403, HTML)) is Answerer.BETWEEN


# The same over the wire: each kind of call says of itself whom it asks.


def test_a_sign_in_asks_the_sign_in(source: HostileSource) -> None:
    source.canned["other"].append(Canned(401, {}, entra(7000112, "unauthorized_client")))
    signing_in = ClientCredentials(source.url, tenant="t", client_id="c", client_secret="s", patience=ONCE)
    with pytest.raises(RefusedError) as caught:
        signing_in()
    assert "application is disabled" in caught.value.remedy


@pytest.mark.parametrize("body", [b"<html>Sign in to the web gateway</html>", HTML])
def test_a_page_in_place_of_a_sign_in_is_called_what_it_is(source: HostileSource, body: bytes) -> None:
    source.canned["other"].append(Canned(200, {"Content-Type": "text/html"}, body))
    signing_in = ClientCredentials(source.url, tenant="t", client_id="c", client_secret="s", patience=ONCE)
    with pytest.raises(ProofError, match="answered the sign-in with a page for people") as caught:
        signing_in()
    assert "let through" in caught.value.remedy


def test_a_download_asks_the_storage(source: HostileSource, client: Client, tmp_path: Path) -> None:
    firewall = Canned(403, {"x-ms-error-code": "AuthorizationFailure"}, storage("AuthorizationFailure"))
    source.canned["blob"] += [firewall] * 8
    with pytest.raises(CounterfoilError) as caught:
        client.pull(ASK, tmp_path)
    assert "AuthorizationFailure" in caught.value.message
    assert "firewall" in caught.value.remedy


def test_an_export_asks_the_api(source: HostileSource, client: Client, tmp_path: Path) -> None:
    source.canned["export"].append(Canned(403, {}, graph("Unauthorized_MissingMFA", "No MFA.", "Error Code Message")))
    with pytest.raises(RefusedError, match="Unauthorized_MissingMFA: No MFA") as caught:
        client.pull(ASK, tmp_path)
    assert "multi-factor" in caught.value.remedy


def test_a_network_that_redirects_to_its_sign_in_is_named(
    source: HostileSource, client: Client, tmp_path: Path
) -> None:
    source.canned["export"].append(Canned(302, {"Location": "http://captive.example/login"}))
    with pytest.raises(RefusedError, match=r"redirects to http://captive\.example") as caught:
        client.pull(ASK, tmp_path)
    assert "sign-in of a network" in caught.value.remedy


# What stands where gzip should.

PLAIN: Final = b"".join(written(usage_line(n)) + b"\n" for n in range(3))
NO_GZIP: Final[dict[str, tuple[bytes, str]]] = {
    "JSON lines": (PLAIN, "was unpacked on the way"),
    "JSON lines with a mark": (b"\xef\xbb\xbf" + PLAIN, "was unpacked on the way"),
    "blank space first": (b"\r\n " + PLAIN, "was unpacked on the way"),
    "a page": (HTML, "a page for people"),
    "an error of a storage": (storage("ServerBusy"), "or an error, in place of gzip"),
    "a zip": (b"PK\x03\x04" + bytes(100), "a zip file"),
    "Parquet": (b"PAR1" + bytes(100), "a Parquet file"),
    "zstd": (b"\x28\xb5\x2f\xfd" + bytes(100), "zstd"),
    "zlib": (b"\x78\x9c" + bytes(100), "zlib without the head"),
    "UTF-16": (PLAIN.decode().encode("utf-16"), "text in UTF-16"),
    "noise": (b"\x01\x02\x03" * 50, "something else"),
}


@pytest.mark.parametrize("annotated", [True, False])
@pytest.mark.parametrize("form", [Format.BLOBS, Format.CSV])
@pytest.mark.parametrize("case", NO_GZIP)
def test_a_blob_that_is_no_gzip_is_called_what_it_is(
    source: HostileSource, client: Client, tmp_path: Path, case: str, form: Format, annotated: bool
) -> None:
    body, told = NO_GZIP[case]
    source.annotated, source.parts = annotated, source.parts[:1]
    source.bodies[source.blob(0)[0]] = body
    with pytest.raises(ProofError, match=told) as caught:
        client.pull(ASK, tmp_path, format=form)
    assert caught.value.remedy
    assert left_in(tmp_path) == []


def test_a_blob_that_is_cut_is_not_called_something_else(source: HostileSource, client: Client, tmp_path: Path) -> None:
    source.annotated, source.parts = False, source.parts[:1]
    for body in (b"", b"\x1f", gzip.compress(PLAIN)[:-3]):
        source.bodies[source.blob(0)[0]] = body
        with pytest.raises(ProofError, match="cut or corrupt"):
            client.pull(ASK, tmp_path)


@pytest.mark.parametrize(
    "name", ["-rf.json.gz", "--.gz", ".x.gz", "a/b.gz", "..gz", "a\\b.gz", "con.gz", "a\u202eb.gz"]
)
def test_a_blob_whose_name_a_shell_would_misread_is_refused(
    source: HostileSource, client: Client, tmp_path: Path, name: str
) -> None:
    source.blob_changes[0] = {"name": name}
    with pytest.raises(ProofError, match="not a safe file name"):
        client.pull(ASK, tmp_path)


# A walk whose place the source forgets.


@pytest.mark.parametrize("status", [400, 404, 410])
@pytest.mark.parametrize("at", ["token-1", "token-2"])
def test_a_walk_whose_token_is_refused_in_the_middle_starts_over(
    source: HostileSource, client: Client, tmp_path: Path, status: int, at: str
) -> None:
    page, refusals = source.page, [1]

    def refusing(call: Any) -> Canned:
        if call.headers.get("ms-continuationtoken") == at and refusals:
            refusals.pop()
            return Canned(status, {}, b'{"code":3000,"description":"The continuation token is invalid or expired."}')
        return page(call)

    source.page = refusing  # type: ignore[method-assign]
    receipt = client.pull(WALKED, tmp_path, api=Api.V1)
    assert (receipt.proof, receipt.line_items) == (Proof.PROVEN, 5)
    assert "Starting over" in receipt.notes[0]


def test_a_walk_whose_tokens_are_always_refused_ends_and_says_what_the_next_run_does(
    source: HostileSource, client: Client, tmp_path: Path
) -> None:
    page = source.page
    refusal = Canned(400, {}, b'{"code":3000,"description":"The continuation token is invalid or expired."}')

    def refusing(call: Any) -> Canned:
        return refusal if call.headers.get("ms-continuationtoken") else page(call)

    source.page = refusing  # type: ignore[method-assign]
    with pytest.raises(ProofError, match=r"no longer accepts where the walk was after page 1: .*3000") as caught:
        client.pull(WALKED, tmp_path, api=Api.V1)
    assert "the next run does that by itself" in caught.value.remedy
    assert len(source.calls_of("page")) == 6


def test_a_first_page_that_is_refused_is_a_refusal(source: HostileSource, client: Client, tmp_path: Path) -> None:
    source.canned["page"].append(Canned(400, {}, b'{"code":3000,"description":"d"}'))
    with pytest.raises(RefusedError, match="3000"):
        client.pull(WALKED, tmp_path, api=Api.V1)


# Dates of HTTP are of the source's clock.


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(hours=-1), timedelta(days=400), timedelta()])
@pytest.mark.parametrize("status", [429, 503])
def test_a_date_in_retry_after_is_held_against_the_answers_own(
    source: HostileSource, client: Client, tmp_path: Path, waits: list[float], ahead: timedelta, status: int
) -> None:
    theirs = datetime.now(UTC) + ahead
    until = format_datetime(theirs + timedelta(seconds=3), usegmt=True)
    source.canned["export"].append(
        Canned(status, {"Date": format_datetime(theirs, usegmt=True), "Retry-After": until}, graph("TooManyRequests"))
    )
    assert client.pull(ASK, tmp_path).proof is Proof.PROVEN
    assert 3.0 <= sum(waits) <= 4.0


HTTP_DATES: Final = [
    ({"date": "Sat, 28 Nov 2026 13:00:00 GMT", "retry-after": "Sat, 28 Nov 2026 13:00:07 GMT"}, 7.0),
    ({"date": "Saturday, 28-Nov-26 13:00:00 GMT", "retry-after": "Sat Nov 28 13:00:07 2026"}, 7.0),
    ({"date": "Sat, 28 Nov 2026 14:00:00 +0100", "retry-after": "Sat, 28 Nov 2026 13:00:07 GMT"}, 7.0),
    ({"date": "Sat, 28 Nov 2026 13:00:07 GMT", "retry-after": "Sat, 28 Nov 2026 13:00:00 GMT"}, 0.0),
    ({"retry-after": "Sat, 28 Nov 2026 12:00:07 GMT"}, 7.0),
    ({"date": "yesterday", "retry-after": "Sat, 28 Nov 2026 12:00:07 GMT"}, 7.0),
    ({"date": "Sat, 28 Nov 2026 99999999999999999999:00:00 GMT", "retry-after": "Sat, 28 Nov 2026 12:00:07 GMT"}, 7.0),
    ({"date": "Sat, 28 Nov 2026 13:00:00 GMT", "retry-after": "soon"}, None),
    ({"date": "Sat, 28 Nov 2026 13:00:00 GMT", "retry-after": "7"}, 7.0),
]


@pytest.mark.parametrize(("headers", "wait_s"), HTTP_DATES)
def test_every_form_of_a_date_is_read(headers: dict[str, str], wait_s: float | None) -> None:
    assert retry_after_s(headers, NOW) == wait_s


def test_a_client_is_told_nothing_of_the_token(source: HostileSource, client: Client, tmp_path: Path) -> None:
    source.canned["export"].append(Canned(403, {}, graph("AccessDenied", f"Bearer {TOKEN}")))
    with pytest.raises(RefusedError) as caught:
        client.pull(ASK, tmp_path)
    assert TOKEN not in str(caught.value)
