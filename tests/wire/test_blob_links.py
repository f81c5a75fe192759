"""Signed links: one directory, reading only, until an end; every parameter of the link signed, and no unknown one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import quote, unquote

import pytest
from azure.storage.blob import BlobClient
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.errors import ForbiddenError
from counterfoil.wire.blob_links import OWN_PARAMETERS, LinkQuery, open_directory, sign_directory
from counterfoil.wire.tokens import Keyring

KEYRING = Keyring({"k1": b"k" * 32})
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
END = NOW + timedelta(hours=12)
DIRECTORY = "/blobs/0e195b37-4574-4539-bc42-0e539b9684c0/0123456789abcdef0123456789abcdef/full"
BLOB = DIRECTORY + "/part-00000-abc.json.gz"
LINK = sign_directory(KEYRING, DIRECTORY, now=NOW, expires_at=END)


def opens(path: str = BLOB, query: str = LINK, *, keyring: Keyring = KEYRING, now: datetime = NOW) -> bool:
    try:
        open_directory(keyring, LinkQuery.parse(query), path, now=now)
    except ForbiddenError as error:
        told = error
    else:
        return True
    assert told.code == "AuthenticationFailed"
    assert "manifest" in told.message
    return False


def test_a_link_looks_like_a_directory_sas() -> None:
    names = [pair.partition("=")[0] for pair in LINK.split("&")]
    assert names == ["sv", "st", "se", "sr", "sp", "sdd", "si", "sig"]
    assert "&se=2026-11-22T00%3A00%3A00Z&sr=d&sp=rl&sdd=3&si=k1&sig=" in LINK


def test_a_link_opens_every_blob_of_its_directory_and_nothing_beside_it() -> None:
    assert opens()
    assert opens(DIRECTORY + "/other.json.gz")
    assert not opens(DIRECTORY)
    assert not opens(DIRECTORY + "/")
    assert not opens(DIRECTORY + "x/part.json.gz")
    assert not opens(DIRECTORY.replace("full", "basic") + "/part.json.gz")
    assert not opens(DIRECTORY.replace("0e195b37", "0e195b38") + "/part.json.gz")
    assert not opens("/blobs/part.json.gz")
    assert not opens("blobs/part.json.gz")
    assert not opens("")


@pytest.mark.parametrize("name", ["..", ".", "", "../basic/x", "x/../y", "/x"])
def test_dots_and_doubled_slashes_open_nothing(name: str) -> None:
    assert not opens(f"{DIRECTORY}/{name}")


def test_a_link_is_good_from_its_start_to_its_end_with_skew_for_the_start_only() -> None:
    assert opens(now=NOW - timedelta(minutes=5))
    assert not opens(now=NOW - timedelta(minutes=5, seconds=1))
    assert opens(now=END - timedelta(microseconds=1))
    assert not opens(now=END)


def test_an_expired_link_says_so_and_a_forged_one_does_not() -> None:
    with pytest.raises(ForbiddenError, match="expired"):
        open_directory(KEYRING, LinkQuery.parse(LINK), BLOB, now=END)
    with pytest.raises(ForbiddenError, match="signature"):
        open_directory(KEYRING, LinkQuery.parse(LINK[:-1]), BLOB, now=END)


def test_every_parameter_is_needed_once_and_no_other_is_taken() -> None:
    pairs = LINK.split("&")
    for pair in pairs:
        assert not opens(query="&".join(each for each in pairs if each != pair))
        assert not opens(query=f"{LINK}&{pair}")
    for more in (
        "",
        "x",
        "x=1",
        "timeout",
        "rsct=text/html",
        "rscd=attachment",
        "resource=filesystem",
        "saoid=x",
        "SV=2021-08-06",
        "&",
        "#",
    ):
        assert not opens(query=f"{LINK}&{more}")
        assert not opens(query=f"{more}&{LINK}")
    assert not opens(query=f"?{LINK}")
    assert not opens(query="")
    assert not opens(query=f"{LINK}&timeout=1&timeout=1")
    assert not opens(query=f"{LINK}&timeout=1&TIMEOUT=1")
    assert opens(query="&".join(reversed(pairs)))


def test_what_a_storage_client_adds_has_no_say_in_what_a_link_opens() -> None:
    """Azure signs none of these in a SAS: they travel beside the link and are checked after it."""
    for name in OWN_PARAMETERS:
        for pair in (f"{name}=30", f"{name.upper()}=%2Fa%26sp%3Drw", f"{name}=", f"{name}=%FF"):
            assert opens(query=f"{LINK}&{pair}")
            assert opens(query=f"{pair}&{LINK}")
            assert not opens(query=f"{LINK[:-1]}&{pair}")
            assert not opens(DIRECTORY.replace("full", "basic") + "/part.json.gz", f"{LINK}&{pair}")
    query = LinkQuery.parse(f"Timeout=30&{LINK}&prefix=a%2Fb&snapshot=")
    assert query.own == {"timeout": "30", "prefix": "a/b"}


def test_a_link_names_the_client_that_got_it_and_is_good_for_no_other() -> None:
    client, other = "6f1c5b0e-4a57-4c6e-9a1d-0c1b2a3d4e5f", "7f1c5b0e-4a57-4c6e-9a1d-0c1b2a3d4e5f"
    link = sign_directory(KEYRING, DIRECTORY, now=NOW, expires_at=END, client_id=client)
    assert f"&si=k1.{client}&" in link
    assert open_directory(KEYRING, LinkQuery.parse(link), BLOB, now=NOW).client_id == client
    assert open_directory(KEYRING, LinkQuery.parse(LINK), BLOB, now=NOW).client_id == ""
    for changed in (
        link.replace(client, other),
        link.replace(f".{client}", ""),
        LINK.replace("si=k1", f"si=k1.{client}"),
    ):
        assert changed not in (link, LINK)
        assert not opens(query=changed)


def test_the_directory_itself_is_opened_only_to_list_it() -> None:
    query = LinkQuery.parse(LINK)
    for path in (DIRECTORY, f"{DIRECTORY}/", BLOB, f"{DIRECTORY}/part-0"):
        assert open_directory(KEYRING, query, path, now=NOW, or_itself=True).path == DIRECTORY
    for path in (DIRECTORY[:-1], f"{DIRECTORY}//", f"{DIRECTORY}/..", DIRECTORY.rpartition("/")[0], "/blobs", "/", ""):
        with pytest.raises(ForbiddenError):
            open_directory(KEYRING, query, path, now=NOW, or_itself=True)


def test_every_parameter_is_signed() -> None:
    changes = {
        "sv": "2024-11-04",
        "st": "2026-11-20T12:00:00Z",
        "se": "2026-11-23T00:00:00Z",
        "sr": "b",
        "sp": "r",
    }
    changes |= {"sdd": "2", "si": "k2", "sig": "A" * 43}
    fields = dict(pair.split("=") for pair in LINK.split("&"))
    assert changes.keys() == fields.keys()
    for name, value in changes.items():
        assert not opens(query="&".join(f"{n}={v}" for n, v in (fields | {name: value}).items()))
    for depth in ("03", "+3", "-1", "", "99", "999999999999", "3.0", "%D9%A3"):
        assert not opens(query="&".join(f"{n}={v}" for n, v in (fields | {"sdd": depth}).items()))


def test_what_counts_is_the_decoded_text() -> None:
    """Clients escape and unescape as they like: `:` for `%3A`, or every character."""
    assert opens(query=LINK.replace("%3A", ":"))
    assert opens(query=LINK.replace("%3A", "%3a"))
    fields = [pair.split("=") for pair in LINK.split("&")]
    assert opens(query="&".join(f"{n}=" + "".join(f"%{ord(c):02X}" for c in unquote(v)) for n, v in fields))
    for bad in ("%", "%3", "%GG", "%u003A", "+"):
        assert not opens(query=LINK.replace("%3A", bad, 1))


def test_every_character_of_a_link_counts() -> None:
    for at, old in enumerate(LINK):
        if LINK[at - 2 : at] == "%3" or LINK[at - 1] == "%":
            continue  # the case of an escape's digits is free
        for new in "0Z9a&=%":
            if new != old:
                assert not opens(query=LINK[:at] + new + LINK[at + 1 :])


def test_links_survive_rotation_and_die_with_their_key() -> None:
    assert opens(keyring=Keyring({"k2": b"l" * 32, "k1": b"k" * 32}))
    assert not opens(keyring=Keyring({"k2": b"l" * 32}))


@given(st.text(), st.one_of(st.text(), st.text("sevtrpdkig=&%3A0", max_size=80)))
def test_any_path_and_query_are_refused_and_nothing_else_is_raised(path: str, query: str) -> None:
    assert not opens(path, query)
    assert not opens(BLOB, query)
    assert not opens("/" + path, LINK)


def test_the_storage_client_keeps_a_link_as_it_is() -> None:
    """azure-storage-blob takes the link apart and puts it together again; the result still opens the blob."""
    with BlobClient.from_blob_url(f"https://billing.example.com{quote(BLOB)}?{LINK}") as client:
        path, _, query = str(client.url).partition("?")
    assert opens(unquote(path.removeprefix("https://billing.example.com")), query)
