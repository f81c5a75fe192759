"""The other side of a comparison: the same usage line items, of which 1.6 % changed in eight ways, chosen by number.

Its arithmetic is its own: nothing here is imported from what is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import ROUND_DOWN, Context, Decimal
from pathlib import Path

import msgspec

Line = dict[str, msgspec.Raw]
_LINE = msgspec.json.Decoder(Line)
_WIDE = Context(prec=120)
_CENT = Decimal("0.01")
_OF = 10_000
_MASK = (1 << 64) - 1


def write_changed(source: Path, target: Path) -> None:
    """Write the line items of a file of JSON lines again, some of them changed."""
    with source.open("rb") as lines, target.open("wb") as out:
        for number, line in enumerate(lines):
            draw = _draw(number)
            change = next((change for below, change in _CHANGES if draw < below), None)
            if change is None:
                out.write(line)
            else:
                out.writelines(msgspec.json.encode(each) + b"\n" for each in change(_LINE.decode(line)))


def _draw(number: int) -> int:
    """Return a number below 10,000 that looks drawn, always the same one."""
    mixed = (number + 1) * 0x9E3779B97F4A7C15 & _MASK
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    return (mixed ^ mixed >> 27) % _OF


def _number(line: Line, name: str) -> Decimal:
    return Decimal(bytes(line[name]).decode())


def _scaled(name: str, factor: str) -> Callable[[Line], Iterator[Line]]:
    """Return the change of one factor of an amount, and of the amounts."""

    def change(line: Line) -> Iterator[Line]:
        for each in (name, "PricingPreTaxTotal", "BillingPreTaxTotal"):
            value = _WIDE.multiply(_number(line, each), Decimal(factor))
            line[each] = msgspec.Raw(format(value, "f")[:60].encode())
        yield line

    return change


def _vanished(_: Line) -> Iterator[Line]:
    yield from ()


def _twice(line: Line) -> Iterator[Line]:
    yield line
    yield line


def _late(line: Line) -> Iterator[Line]:
    yield line
    yield {**line, "UsageDate": msgspec.Raw(b'"2026-01-31T00:00:00Z"'), "Quantity": msgspec.Raw(b"3.000001")}


def _rounded(line: Line) -> Iterator[Line]:
    amount = _number(line, "BillingPreTaxTotal").quantize(_CENT, ROUND_DOWN, _WIDE)
    yield {**line, "BillingPreTaxTotal": msgspec.Raw(format(amount, "f").encode())}


def _moved(line: Line) -> Iterator[Line]:
    yield {**line, "SubscriptionId": msgspec.Raw(b'"00000000-aaaa-4aaa-8aaa-000000000000"')}


def _in_other_words(line: Line) -> Iterator[Line]:
    yield {**line, "Tags": msgspec.Raw(b'"{\\"env\\":\\"changed\\"}"')}


# What a number below so many of 10,000 becomes.
_CHANGES: tuple[tuple[int, Callable[[Line], Iterator[Line]]], ...] = (
    (70, _scaled("Quantity", "1.25")),
    (85, _scaled("EffectiveUnitPrice", "1.05")),
    (105, _vanished),
    (125, _late),
    (135, _twice),
    (145, _rounded),
    (150, _moved),
    (160, _in_other_words),
)
