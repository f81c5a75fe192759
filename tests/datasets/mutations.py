"""Lines that are nearly right: real line items in both dialects, changed here and there by a seeded chance."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

from counterfoil.generator import generate
from counterfoil.model import Kind, Scope
from counterfoil.periods import BillingPeriod

PARTNER = "0e195b37-4574-4539-bc42-0e539b9684c0"
SPEC = Path(__file__).parent.parent / "golden" / "spec"
# What makes a scanner stumble: structure, escapes, white space, parts of characters, digits, the signs around them.
SIGNS = [*b'{}[]:,"\\/ \t\r\x00\x01\x0b\x0c\x1f\x7f0123456789+-.eEtTzZuUnNbfrlsaA', 0x80, 0xC3, 0xA9, 0xED, 0xA0, 0xF0]
PIECES = [b"null", b"true", b'""', b"1e5", b"1E-7", b"-0", b"00", b"\\u00e9", b"\\ud83d\\ude00", b"\\ud800", b"\\u0000"]
PIECES += [b"\\n", b"\\/", b"[]", b'["a","b"]', b'["a" ]', b'{"objectType":"x"}', b'"2026-02-30"', b"\xf0\x9f\x98\x80"]
PIECES += [b'"0"', b'"Tier2MpnId":"0",', b'"RESELLERMPNID":0,', b'"attributes":{"a":"b"},', b'"Novel":[1,{"x":null}],']


def line_items(kind: Kind, count: int) -> list[bytes]:
    """Whole lines: generated ones in Graph's spelling, and the specification's examples in v1's, in turns."""
    scope = Scope.unbilled(BillingPeriod(2026, 11), "EUR")
    graph = b"".join(generate(kind, count, special=True, partner=PARTNER, scope=scope)).splitlines()
    v1 = [
        json.dumps(item, ensure_ascii=escaped, separators=separators).encode()
        for page in sorted(SPEC.glob(f"{kind.value}*.json"))
        for item in json.loads(page.read_bytes())["items"]
        for escaped in (False, True)
        for separators in ((",", ":"), (",", ": "))
    ]
    return [(v1[n // 2 % len(v1)] if n % 2 else graph[n]) for n in range(count)]


def mutated(chance: random.Random, line: bytes) -> bytes:
    """The line with a few changes, or none."""
    text = bytearray(line)
    for _ in range(chance.choice((0, 0, 1, 1, 1, 2, 3))):
        at = chance.randrange(len(text) + 1)
        match chance.randrange(8):
            case 0:
                text[at : at + 1] = bytes([chance.choice(SIGNS)])
            case 1:
                text[at:at] = bytes([chance.choice(SIGNS)])
            case 2:
                del text[at : at + chance.choice((1, 1, 1, 2, 8, 40))]
            case 3:
                text[at:at] = chance.choice(PIECES)
            case 4:
                text[at:at] = text[at : at + chance.randrange(60)]
            case 5:
                text[at : at + 20] = bytes(text[at : at + 20]).swapcase()
            case 6:
                members = bytes(text).strip(b"{}").split(b',"')
                chance.shuffle(members)
                text = bytearray(b'{"' + b',"'.join(member.removeprefix(b'"') for member in members) + b"}")
            case _:
                del text[at:]
    return bytes(text).replace(b"\n", b" ")


def files(seed: int, lines: int) -> Iterator[tuple[Kind, list[bytes]]]:
    """Files of a few dozen lines, `lines` in all, half of each kind."""
    chance = random.Random(seed)
    for kind in Kind:
        good = line_items(kind, 200)
        for _ in range(lines // 100):
            yield kind, [mutated(chance, chance.choice(good)) for _ in range(50)]
