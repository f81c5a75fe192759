"""A pull accepts the line items that publishing accepts, whatever its form, and says what is wrong with others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from counterfoil.client import Client, Format, ask_billed
from counterfoil.client.holdings.holding import holding_at
from counterfoil.client.holdings.verifying import verify
from counterfoil.errors import ProofError
from counterfoil.line_items import line_reader
from counterfoil.model import Kind
from tests.client.folders import left_in
from tests.client.hostile_source import HostileSource, usage_line, written

ASK = ask_billed(Kind.USAGE, "G016907411")
GOOD = written(usage_line(0))
BAD = {
    b'"UsageDate":"yesterday"': "UsageDate: not an ISO 8601 date \\('yesterday'\\)",
    b'"UsageDate":"2026-02-30"': "UsageDate: not a date of the calendar",
    b'"CustomerName":7': "CustomerName: a number where a text belongs",
    b'"CustomerName":"a\\u0000b"': "CustomerName: holds the character U\\+0000",
    b'"CustomerName":"\\ud800"': "CustomerName: holds half a surrogate pair",
    b'"CustomerName":"x\\q } { [ not JSON': "not JSON",
    b'"CustomerName":"a\x01b"': "not JSON",
    b'"Novel":"Br\xffe"': "not UTF-8 at byte",
    b'"Novel":' + b"[" * 70 + b"]" * 70: "Novel: nested more than 64 deep",
    b'"Novel":"\\u0000"': "Novel: holds the character U\\+0000",
    b'"UnitPrice":123E9999': "UnitPrice: a number with an exponent out of range",
    b'"UnitPrice":1,"unitprice":1': "unitprice: given twice",
    b'"HasPartnerEarnedCredit":"yes"': "HasPartnerEarnedCredit: neither true nor false",
}


def with_member(member: bytes) -> bytes:
    name = member[: member.index(b":")]
    line = written({key: value for key, value in usage_line(1).items() if f'"{key}"'.encode() != name})
    return b"{" + member + b"," + line[1:]


AROUND: Final[dict[str, Callable[[bytes], bytes]]] = {
    "garbage before it": lambda line: b"garbage" + line,
    "garbage behind it": lambda line: line + b"garbage",
    "another object behind it": lambda line: line + line,
    "a comma behind it": lambda line: line + b",",
    "a bracket around it": lambda line: b"[" + line + b"]",
    "a NUL before it": lambda line: b"\0" + line,
    "a NUL behind it": lambda line: line + b"\0",
    "a byte order mark before it": lambda line: b"\xef\xbb\xbf" + line,
    "a no-break space before it": lambda line: b"\xc2\xa0" + line,
    "a form feed behind it": lambda line: line + b"\f",
    "a comma before its end": lambda line: line[:-1] + b",}",
    "no brace at its end": lambda line: line[:-1],
    "no brace at its beginning": lambda line: line[1:],
    "a number in its place": lambda line: b"7",
    "a comment behind it": lambda line: line + b"//",
    "an escape of nothing": lambda line: line.replace(b"customer-1", b"customer\\x31"),
    "half a character at its end": lambda line: line[:-1] + b',"Novel":"\xe2\x82"}',
    "a surrogate in bytes": lambda line: line[:-1] + b',"Novel":"\xed\xa0\x80"}',
    "an overlong slash": lambda line: line[:-1] + b',"Novel":"\xc0\xaf"}',
    "a bad byte in a name": lambda line: line[:-1] + b',"Nov\xff":1}',
}


@pytest.mark.parametrize("many", [1, 700], ids=["alone", "among many"])
@pytest.mark.parametrize("spoil", AROUND.values(), ids=AROUND)
def test_every_form_refuses_what_is_around_a_line(
    spoil: Callable[[bytes], bytes], many: int, source: HostileSource, client: Client, tmp_path: Path
) -> None:
    source.annotated = False
    source.parts = [[GOOD] * many + [spoil(written(usage_line(1)))] + [GOOD] * many]
    told = set()
    for form in Format:
        with pytest.raises(ProofError, match=f"The blob part-.*, line item {many + 1:,}[,:]") as caught:
            client.pull(ASK, tmp_path / form, format=form)
        told.add(caught.value.message)
        assert not (tmp_path / form / "receipt.json").exists()
    with pytest.raises(ProofError) as caught:
        list(client.line_items(ASK))
    assert {*told, caught.value.message} == {caught.value.message}, "each form says the same"


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize(("member", "told"), BAD.items(), ids=range(len(BAD)))
def test_every_form_looks_at_every_value_among_many_lines(
    member: bytes, told: str, form: Format, source: HostileSource, client: Client, tmp_path: Path
) -> None:
    source.annotated = False
    usual = with_member(member[: member.index(b":")] + b":null")
    source.parts = [[usual] * 1_500 + [with_member(member)]]
    with pytest.raises(ProofError, match=f"The blob part-.*, line item 1,501(, {told}|: {told})"):
        client.pull(ASK, tmp_path, format=form)
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize(("member", "told"), BAD.items(), ids=range(len(BAD)))
def test_every_form_looks_at_every_value_of_every_line(
    member: bytes, told: str, form: Format, source: HostileSource, client: Client, tmp_path: Path
) -> None:
    source.annotated = False
    source.parts = [[GOOD, with_member(member)]]
    with pytest.raises(ProofError, match=f"The blob part-.*, line item 2(, {told}|: {told})"):
        client.pull(ASK, tmp_path, format=form)
    assert left_in(tmp_path) == []


def test_the_shortest_lines_are_read_a_few_at_a_time_and_counted_right(
    source: HostileSource, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_reader, "LINES_HELD_MAX", 100)
    source.annotated = False
    for bad in (0, 99, 100, 101, 249):
        lines = [b"{}"] * 250
        lines[bad] = b"[]"
        source.parts = [lines]
        with pytest.raises(ProofError, match=f"line item {bad + 1}: not a JSON object"):
            client.pull(ASK, tmp_path)
    source.parts = [[b"{}"] * 250 + [GOOD]]
    assert client.pull(ASK, tmp_path).line_items == 251
    assert [row["CustomerId"] for row in client.line_items(ASK)] == [None] * 250 + ["customer-0"]


def test_a_line_of_very_many_attributes_is_read_and_breaks_nothing(
    source: HostileSource, client: Client, tmp_path: Path
) -> None:
    source.annotated = False
    wide = b"{" + b",".join(b'"a%d":%d' % (number, number) for number in range(1_500)) + b"}"
    source.parts = [[GOOD] * 700 + [wide] * 10]
    assert client.pull(ASK, tmp_path, format=Format.PARQUET).line_items == 710


def test_an_object_without_attributes_is_read_and_does_not_break_anything(
    source: HostileSource, client: Client, tmp_path: Path
) -> None:
    source.annotated = False
    source.parts = [[b"{}", GOOD]]
    for form in Format:
        assert client.pull(ASK, tmp_path / form, format=form).line_items == 2
        assert verify(holding_at(tmp_path / form)) == []
    first, second = client.line_items(ASK)
    assert set(first.values()) == {None}
    assert second["CustomerId"] == "customer-0"
