"""Texts become decimals digit for digit or not at all, and their sums by group are those of exact arithmetic."""

from __future__ import annotations

import random
from collections import defaultdict

import pyarrow as pa
import pytest

from counterfoil import numbers
from counterfoil.errors import InputError
from counterfoil.reconcile.grouped_sums import GroupedSums
from counterfoil.reconcile.text_decimals import decimals_of
from tests.reconcile.test_quick_audit import SHAPES

TYPES = [pa.decimal128(20, 2), pa.decimal128(38, 25), pa.decimal256(62, 49)]


def texts_of(count: int) -> list[str]:
    r = random.Random(count)
    return [r.choice(SHAPES)(r) for _ in range(count)]


@pytest.mark.parametrize("wanted", TYPES, ids=str)
@pytest.mark.parametrize("texts", [texts_of(500), ["1.50", "100", "-3"], ["1E-999999999", "2"], ["1.123", "5"]])
def test_a_text_becomes_the_same_number_or_null(texts: list[str], wanted: pa.DataType) -> None:
    for column in (pa.array(texts), pa.array(texts).dictionary_encode(), pa.array(["9", *texts]).slice(1)):
        found = decimals_of(column, wanted).to_pylist()
        assert len(found) == len(texts)
        for text, value in zip(texts, found, strict=True):
            if value is not None:
                assert value == numbers.exact(text)
            elif "E" not in text:
                whole, _, decimals = text.removeprefix("-").partition(".")
                assert len(decimals) > wanted.scale or len(whole) > wanted.precision - wanted.scale


def test_an_empty_text_and_none_are_null() -> None:
    assert decimals_of(pa.array(["", None, "1"]), TYPES[0]).to_pylist() == [None, None, 1]


@pytest.mark.parametrize("coded", [False, True])
def test_sums_by_group_keep_every_digit(coded: bool) -> None:
    sums, expected = GroupedSums(["Subtotal"], "side"), defaultdict[str, list[str]](list)
    for batch in range(3):
        texts = [*texts_of(400 + batch), *["9999999999999"] * 20]
        keys = [f"c{at % 7}" for at in range(len(texts))]
        column = pa.array(texts)
        sums.add([column.dictionary_encode() if coded else column], pa.array(keys))
        for key, text in zip(keys, texts, strict=True):
            expected[key].append(text)
    assert {key: group.amounts[0] for key, group in sums.groups.items()} == {
        key: numbers.total(texts) for key, texts in expected.items()
    }
    assert sum(group.line_items for group in sums.groups.values()) == sum(map(len, expected.values()))


def test_what_is_no_number_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="not a JSON number"):
        GroupedSums(["Subtotal"], "side").add([pa.array(["1.5", "1,5"])], pa.array(["a", "b"]))
