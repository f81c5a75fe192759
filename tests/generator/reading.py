"""Reading generated line items strictly, and the samples that several tests look at."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction

from counterfoil.columns import Type, table_of
from counterfoil.generator import generate
from counterfoil.model import Kind, Scope
from counterfoil.periods import BillingPeriod

PARTNER = "0e195b37-4574-4539-bc42-0e539b9684c0"
BILLED = Scope.billed("G016907411")
UNBILLED = Scope.unbilled(BillingPeriod(2026, 10), "EUR")

Line = dict[str, str | None]


def generated(
    kind: Kind,
    line_items: int,
    *,
    seed: int = 0,
    scope: Scope = UNBILLED,
    resellers: int = 8,
    special: bool = True,
    hostile: bool = False,
) -> bytes:
    chunks = generate(
        kind, line_items, seed=seed, partner=PARTNER, scope=scope, resellers=resellers, special=special, hostile=hostile
    )
    return b"".join(chunks)


def parse(kind: Kind, spelled: bytes) -> Iterator[Line]:
    """Read lines strictly: no key twice, no NaN, numbers unquoted and kept as text, texts as texts."""
    numeric = {column.name for column in table_of(kind).columns if column.type is Type.NUMBER}

    def pairs(found: list[tuple[str, object]]) -> dict[str, object]:
        assert len({name.lower() for name, _ in found}) == len(found)
        return dict(found)

    def constant(name: str) -> object:
        raise AssertionError(name)

    class Number(str):
        __slots__ = ()

    for line in spelled.decode("utf-8").split("\n")[:-1]:
        parsed = json.loads(
            line, object_pairs_hook=pairs, parse_float=Number, parse_int=Number, parse_constant=constant
        )
        for name, value in parsed.items():
            assert value is None or isinstance(value, Number) == (name in numeric), (name, value)
        yield parsed


def fraction(text: str | None) -> Fraction:
    assert text is not None
    return Fraction(Decimal(text))


def cut(value: Fraction) -> Fraction:
    """The spreadsheet's ROUNDDOWN(value, 2): towards zero."""
    return Fraction(math.trunc(value * 100), 100)


def to_digits(value: Fraction, digits: int) -> Fraction:
    """Round to so many significant digits, half to even."""
    if not value:
        return value
    unit = Fraction(1)
    while abs(value) >= unit * 10**digits:
        unit *= 10
    while abs(value) < unit * 10 ** (digits - 1):
        unit /= 10
    return round(value / unit) * unit
