"""Line items in scattered order: a walk over positions that visits each exactly once.

Real files are not sorted, and publishing must sort. A position names *what* a line item is about (for usage: a
resource and a day); the walk turns the running number of a line item into such a position by one multiplication,
so that nothing has to be remembered, however long the file is.
"""

from __future__ import annotations

from math import gcd


class Walk:
    """A permutation of range(length): `walk(number)` is the position of the line item `number`."""

    def __init__(self, length: int, key: int) -> None:
        assert length > 0
        self.length = length
        # About length / golden ratio: neighbours in the file are far apart in the order of positions.
        step = length * 618_033_989 // 10**9 | 1
        while gcd(step, length) != 1:
            step += 2
        self.step = step
        self.start = key % length

    def __call__(self, number: int) -> int:
        """Return the position of a line item."""
        return (number * self.step + self.start) % self.length
