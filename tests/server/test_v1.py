"""What v1 answers to those who ask wrongly, who try another's token, and when something is broken."""

import gzip
import json
import logging
import zlib
from pathlib import Path

import pytest
from msgspec import structs

from counterfoil.errors import UnavailableError
from counterfoil.model import Rendering
from counterfoil.server.openapi import resolved
from counterfoil.storage.v1_blocks import BlockFile
from tests.server.serving import Place, StubAuthenticator, serving
from tests.server.v1_walks import (
    LINE_ITEMS,
    NEXT,
    USAGE,
    check_error,
    first_token,
    items,
    joined,
    page,
    publish_v1,
    raw_get,
    texts,
)

# Spellings


@pytest.mark.parametrize(
    "target",
    [
        f"/v1//invoices/unbilled/lineitems?{USAGE}",
        f"//v1///invoices//Unbilled/LineItems/?{USAGE.upper()}",
        f"/V1/Invoices/UNBILLED/lineitems?{USAGE}",
        f"/v1/invoices/OneTime-unbilled/lineitems?{USAGE}",
        "/v1/invoices/unbilled/lineitems/OneTime/UsageLineItems?currencyCode=USD&period=CURRENT",
        "/v1/invoices/Unbilled/lineitems/marketplace/usagelineitems/?period=current&currencycode=usd",
        f"/v1/invoices/unbilled/lineitems?size=2000&{USAGE}&idparceiro=1&currencycode=eur",
        f"/v1/invoices/unbilled/lineitems?%70rovider=%6Fnetime&{USAGE}",
        f"/v1/invoices/unbilled/lineitems?{USAGE}&size=&seekOperation=&hasPartnerEarnedCredit=",
    ],
)
def test_every_spelling_of_a_request_gets_the_same_items(served_v1: Place, target: str) -> None:
    status, body = raw_get(served_v1, target)
    assert status == 200, body
    assert [item["n"] for item in json.loads(body)["items"]] == [0, 1, 2, 3]


def test_both_forms_give_the_same_page_and_either_goes_on_with_the_others_token(served_v1: Place) -> None:
    path_form = f"{LINE_ITEMS}/onetime/usagelineitems?currencycode=usd&period=current"
    one, other = page(served_v1), served_v1.get(path_form)
    assert one.json()["items"] == other.json()["items"]
    assert one.json()["links"]["self"] == other.json()["links"]["self"]
    token = first_token(served_v1)
    onwards = served_v1.get(path_form, **{"MS-ContinuationToken": token})
    assert onwards.content == page(served_v1, NEXT, token).content


def test_every_page_says_that_its_form_depends_on_the_callers_encodings(served_v1: Place) -> None:
    token = first_token(served_v1)
    for encoding in ("gzip", "identity", "br", "gzip;q=0"):
        sent = {"Accept-Encoding": encoding}
        nothing = f"{LINE_ITEMS}?{USAGE}".replace("period=current", "period=previous")
        for answer in (
            served_v1.get(f"{LINE_ITEMS}?{USAGE}&size=1", **sent),
            served_v1.get(f"{LINE_ITEMS}?{NEXT}", **sent, **{"MS-ContinuationToken": token}),
            served_v1.get(f"{LINE_ITEMS}?{USAGE}&hasPartnerEarnedCredit=true", **sent),
            served_v1.get(nothing, **sent),
        ):
            assert (answer.status_code, answer.headers["vary"]) == (200, "Accept-Encoding")


def test_a_next_link_with_a_second_question_mark_works(served_v1: Place) -> None:
    token = first_token(served_v1)
    assert page(served_v1, USAGE + "?seekOperation=Next", token).content == page(served_v1, NEXT, token).content


def test_a_token_goes_on_without_a_seek_operation(served_v1: Place) -> None:
    assert [item["n"] for item in page(served_v1, USAGE, first_token(served_v1)).json()["items"]] == [4, 5, 6, 7]


# Refusals


def test_no_token_is_401_and_no_permission_403(served_v1: Place) -> None:
    anonymous = served_v1.client.get(f"{served_v1.url}{LINE_ITEMS}?{USAGE}")
    assert anonymous.status_code == 401
    check_error(anonymous.json())
    assert anonymous.json()["code"] == "400"
    assert anonymous.headers["WWW-Authenticate"].startswith("Bearer")
    assert page(served_v1, partner="no-permission", status=403).json()["code"] == "2032"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_line_items_can_only_be_read(served_v1: Place, method: str) -> None:
    refused = served_v1.client.request(method, f"{served_v1.url}{LINE_ITEMS}?{USAGE}", headers=served_v1.headers())
    assert refused.status_code == 405
    assert refused.headers["Allow"] == "GET"
    check_error(refused.json())


def test_head_is_refused_without_a_body(served_v1: Place) -> None:
    assert raw_get(served_v1, f"{LINE_ITEMS}?{USAGE}", "HEAD") == (405, b"")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/invoices", 501, "0"),
        ("/v1/invoices/G000024135/lineitems?provider=onetime", 501, "0"),
        ("/v1/invoices/summaries", 501, "0"),
        ("/v1/customers/1/orders", 501, "0"),
        ("/v1/", 501, "0"),
        ("/v1/invoices/Sometime-unbilled/lineitems", 404, "1000"),
        ("/v1/invoices/unbilled/lineitems/onetime", 404, "1000"),
    ],
)
def test_other_routes_are_refused_in_the_same_dialect(served_v1: Place, path: str, status: int, code: str) -> None:
    refused = served_v1.get(path)
    assert refused.status_code == status
    check_error(refused.json())
    assert refused.json()["code"] == code


@pytest.mark.parametrize(
    "query", ["", USAGE.replace("onetime", "azure"), USAGE + "&size=0", USAGE + "&size=x", NEXT.replace("Next", "Last")]
)
def test_a_wrong_query_is_400_with_code_3000(served_v1: Place, query: str) -> None:
    for token in ("", first_token(served_v1)):
        assert page(served_v1, query, token, status=400).json()["code"] == "3000"


def test_an_accept_header_without_json_is_406(served_v1: Place) -> None:
    assert page(served_v1, status=406, headers={"Accept": "application/pdf"}).json()["code"] == "3000"
    page(served_v1, headers={"Accept": "application/pdf, application/*;q=0.1"})


@pytest.mark.parametrize(("version", "status"), [("v1", 200), ("V1", 200), ("", 200), ("v2", 400), ("v1, v2", 400)])
def test_the_contract_version_is_v1_or_nothing(served_v1: Place, version: str, status: int) -> None:
    page(served_v1, status=status, headers={"MS-Contract-Version": version})


def test_a_service_that_is_not_ready_says_when_to_try_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unavailable(*_: object, **__: object) -> None:
        raise UnavailableError("The keys of the issuer cannot be read.", retry_after_s=7)

    monkeypatch.setattr(StubAuthenticator, "authenticate", unavailable)
    with serving(tmp_path) as place:
        refused = page(place, status=503)
    assert refused.headers["Retry-After"] == "7"
    assert refused.json()["code"] == "0"


# Headers


def test_ids_come_back_or_are_made(served_v1: Place) -> None:
    ids = {"MS-RequestId": "1234ecb8-37af-45f4-a1a1-358de3ca2b9e", "MS-CorrelationId": "run-7", "X-Locale": "de-DE"}
    for query, status in ((USAGE, 200), ("", 400)):
        answer = page(served_v1, query, status=status, headers=ids)
        assert {name: answer.headers[name] for name in ids} == ids
    made = [page(served_v1).headers for _ in range(2)]
    assert made[0]["MS-RequestId"] != made[1]["MS-RequestId"]
    assert len(made[0]["MS-RequestId"]) == 36
    assert made[0]["MS-CorrelationId"]
    assert made[0]["X-Locale"] == "en-US"
    assert made[0]["MS-ServerId"].isdigit()
    assert made[0]["MS-CV"] != made[1]["MS-CV"]
    assert len(made[0]["MS-CV"]) == 18
    assert made[0]["MS-CV"].endswith(".0")


@pytest.mark.parametrize("sent", ["<script>", "a b", "x" * 500])
def test_an_id_that_is_not_sane_is_replaced(served_v1: Place, sent: str) -> None:
    answer = page(served_v1, headers={"MS-RequestId": sent, "MS-CorrelationId": sent, "X-Locale": sent})
    assert sent not in {answer.headers[name] for name in ("MS-RequestId", "MS-CorrelationId", "X-Locale")}


# Damage


def _damage(place: Place, revision_id: str) -> None:
    [stored] = place.catalog.files(revision_id, Rendering.V1)
    path = place.path(stored.path)
    reader = place.files.open(stored.path)
    block = BlockFile(stored.path, reader.size_bytes, reader.read).blocks[0]
    data = bytearray(path.read_bytes())
    data[block.offset + block.deflated_length // 2] ^= 0x10
    path.chmod(0o600)
    path.write_bytes(data)


def test_damaged_bytes_are_never_served_as_line_items(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    _damage(place, publish_v1(place, [items(50)]).id)
    for query in (USAGE, USAGE + "&size=3", USAGE + "&hasPartnerEarnedCredit=true"):
        with caplog.at_level(logging.CRITICAL, "counterfoil.server"):
            broken = page(place, query, status=500, headers={"MS-RequestId": "mine", "Accept-Encoding": "identity"})
        assert broken.json()["code"] == "0"
        assert "mine" in broken.json()["description"]
        assert str(place.data) not in broken.text
    url = f"{place.url}{LINE_ITEMS}?{USAGE}"
    with place.client.stream("GET", url, headers=place.headers() | {"Accept-Encoding": "gzip"}) as response:
        packed = b"".join(response.iter_raw())
    with pytest.raises((OSError, EOFError, zlib.error)):  # the reader's own checksum tells it
        gzip.decompress(packed)


def test_an_unexpected_error_is_logged_under_the_id_that_the_caller_sees(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("secret detail")

    monkeypatch.setattr(place.catalog, "in_force", broken)
    answer = page(place, status=500)
    assert answer.json()["code"] == "0"
    assert "secret detail" not in answer.text
    assert answer.headers["MS-RequestId"] in answer.json()["description"]
    assert answer.headers["MS-RequestId"] in caplog.text
    assert "secret detail" in caplog.text


def test_renderings_that_were_made_again_elsewhere_are_found(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_v1(place, [items(4), items(8)[4:]], block_items=2)
    revision = place.catalog.datasets()[0][1]
    assert revision is not None
    token = first_token(place)  # now the server knows where the files were, and has the first of them open
    moved = []
    for stored in place.catalog.files(revision.id, Rendering.V1):
        path = place.path(stored.path)
        path.rename(path.with_suffix(".again"))
        moved.append(structs.replace(stored, path=stored.path.replace(".v1", ".again")))
    monkeypatch.setattr(place.catalog, "files", lambda *_: moved)
    pages = [page(place, NEXT, token)]
    while following := pages[-1].json().get("continuationToken"):
        pages.append(page(place, NEXT, following))
    assert texts(pages) == joined(items(8)[2:])


def test_a_revision_whose_files_are_not_all_there_is_not_walked(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    publish_v1(place, [items(3), items(3)])
    [first, _] = place.catalog.files(place.catalog.datasets()[0][1].id, Rendering.V1)  # type: ignore[union-attr]
    monkeypatch.setattr(place.catalog, "files", lambda *_: [first])
    with caplog.at_level(logging.CRITICAL, "counterfoil.server"):
        page(place, status=500)


# The document


def test_every_status_is_documented_and_both_forms_are_there(served_v1: Place) -> None:
    document = served_v1.client.get(f"{served_v1.url}/openapi.json").json()
    mine = {path: item for path, item in document["paths"].items() if path.startswith("/v1/")}
    assert len(mine) == 2
    for item in mine.values():
        assert set(item) == {"get"}
        responses = set(item["get"]["responses"])
        assert responses == {"200", "400", "401", "403", "404", "405", "406", "413", "429", "500", "501", "503"}
        parameters = [resolved(document, one) for one in item["get"]["parameters"]]
        in_path = [one["name"] for one in parameters if one["in"] == "path"]
        assert in_path in ([], ["provider", "invoicelineitemtype"])
