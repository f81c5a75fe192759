"""A pull accepts the line items that publishing accepts, whatever its form, and says what is wrong with others."""

from __future__ import annotations

from pathlib import Path

import pytest

from counterfoil.client import Client, Form, ask_billed
from counterfoil.errors import ProofError
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


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize(("member", "told"), BAD.items(), ids=range(len(BAD)))
def test_every_form_looks_at_every_value_of_every_line(
    member: bytes, told: str, form: Form, source: HostileSource, client: Client, tmp_path: Path
) -> None:
    source.annotated = False
    source.parts = [[GOOD, with_member(member)]]
    with pytest.raises(ProofError, match=f"The blob part-.*, line item 2(, {told}|: {told})"):
        client.pull(ASK, tmp_path, form=form)
    assert left_in(tmp_path) == []


def test_an_object_without_attributes_is_read_and_does_not_break_anything(
    source: HostileSource, client: Client, tmp_path: Path
) -> None:
    source.annotated = False
    source.parts = [[b"{}", GOOD]]
    for form in Form:
        assert client.pull(ASK, tmp_path / form, form=form).line_items == 2
    first, second = client.line_items(ASK)
    assert set(first.values()) == {None}
    assert second["CustomerId"] == "customer-0"
