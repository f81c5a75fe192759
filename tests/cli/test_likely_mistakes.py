"""Mistakes that people make when they pull, and the sentence that each gets."""

from __future__ import annotations

import pytest

from counterfoil.cli.pull_display import written
from counterfoil.client import Progress
from tests.cli.pulling import House, run

ONE = ("--kind", "usage", "--invoice", "G1", "--to", "out")


@pytest.mark.parametrize(
    ("source", "url"),
    [
        ("127.0.0.1:8081", "http://127.0.0.1:8081"),
        ("localhost:8080/", "http://localhost:8080/"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("graph.microsoft.com", "https://graph.microsoft.com"),
        ("billing-server:8443", "https://billing-server:8443"),
        ("source.example/v1.0", "https://source.example/v1.0"),
    ],
)
def test_an_address_without_its_scheme_is_told_from_a_profile(house: House, source: str, url: str) -> None:
    for command in (("pull", source, *ONE), ("doctor", source)):
        done = run(*command)
        assert (done.exit_code, done.stderr.rstrip().endswith(f"Write an address with http:// or https://: {url}")) == (
            2,
            True,
        )


def test_a_misspelt_profile_is_no_address(house: House) -> None:
    assert "Did you mean 'contoso'?" in run("pull", "contso", *ONE).stderr


@pytest.mark.parametrize("word", ["contoso", "fabrikam", "lst"])
def test_a_profile_in_place_of_a_command_about_pulls_gets_a_hint(house: House, word: str) -> None:
    done = run("pulls", word)
    assert (done.exit_code, f"counterfoil pulls status {word}" in done.stderr) == (2, True)
    assert ("Did you mean 'list'?" in done.stderr) == (word == "lst")


@pytest.mark.parametrize(("invoice", "hint"), [("016907411", True), ("16907411", True), ("G016907411", False)])
def test_an_invoice_id_without_its_letter_gets_a_hint(house: House, invoice: str, hint: bool) -> None:
    done = run("pull", "contoso", "--kind", "usage", "--invoice", invoice)
    assert (done.exit_code, f"did you mean G{invoice}?" in done.stderr) == (1, hint)


def test_what_is_written_is_no_page(house: House) -> None:
    assert written(Progress("writing", blobs_done=1, line_items_done=5))[0] == ""
    assert written(Progress("fetching", blobs_done=1))[0] == "1 page"


@pytest.mark.parametrize(("value", "said"), [("exel", "'exel' is not a format"), ("csv,,xlsx", "'' is not a format")])
def test_a_format_that_is_none_is_refused(house: House, value: str, said: str) -> None:
    done = run("pull", "contoso", *ONE, "--format", value)
    assert (done.exit_code, said in done.stderr) == (2, True)
