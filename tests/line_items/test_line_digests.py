"""The hash of a set of line items: its definition, whatever the order, the runs and the copies."""

from __future__ import annotations

import hashlib
import random
import tracemalloc

import numpy as np
import pyarrow as pa
import pytest

from counterfoil.datasets import digest
from counterfoil.line_items import line_digests
from counterfoil.line_items.line_digests import DIGEST_TYPE, LineDigests


def defined(digests: list[bytes]) -> str:
    return hashlib.sha256(b"".join(sorted(digests))).hexdigest()


def found(digests: list[bytes], chance: random.Random, run_digests: int) -> str:
    rest = list(digests)
    chance.shuffle(rest)
    with LineDigests(run_digests=run_digests, sort=chance.choice([digest.in_order, line_digests.in_order])) as given:
        while rest:
            count = chance.randrange(1, len(rest) + 1)
            # A slice that begins amid an array, as readers give them.
            given.add(pa.array([b"x" * 32, *rest[:count]], DIGEST_TYPE).slice(1))
            rest = rest[count:]
        assert len(given) == len(digests)
        assert given.hexdigest() == given.hexdigest()
        assert b"".join(each for some in given.sorted() for each in some.to_pylist()) == b"".join(sorted(digests))
        return given.hexdigest()


@pytest.mark.parametrize("run_digests", [1, 7, 100, 1 << 19])
def test_the_hash_is_that_of_the_sorted_digests(run_digests: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_digests, "_MERGED_DIGESTS", 8)
    monkeypatch.setattr(line_digests, "_BLOCK_DIGESTS_MIN", 2)
    chance = random.Random(20261127)
    alike = bytes(8) + chance.randbytes(24)  # the first eight bytes do not settle the order
    for count in (0, 1, 2, 50, 333):
        digests = [chance.randbytes(32) for _ in range(count)]
        digests += [chance.choice(digests) for _ in range(count // 3)]  # copies
        digests += [alike[:-1] + bytes([last]) for last in range(count % 20)] + [alike] * (count // 10)
        assert found(digests, chance, run_digests) == defined(digests)


def test_copies_count_and_do_not_cancel_out() -> None:
    one, other = (hashlib.sha256(text).digest() for text in (b"one", b"other"))
    hashes = set()
    for line, copies in ((one, 65_536), (other, 65_536), (one, 65_535), (one, 1)):
        with LineDigests() as given:
            given.add(pa.array([line] * copies, DIGEST_TYPE))
            hashes.add(given.hexdigest())
    assert len(hashes) == 4


def test_memory_does_not_grow_with_the_number_of_line_items() -> None:
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    with LineDigests(run_digests=1 << 14) as given:
        for seed in range(40):
            rows = np.random.default_rng(seed).integers(0, 256, (1 << 14, 32), dtype=np.uint8)
            given.add(digest.digest_array(rows))
        given.hexdigest()
        assert pa.total_allocated_bytes() - before < 8 << 20
    assert tracemalloc.get_traced_memory()[1] < 24 << 20
    tracemalloc.stop()
