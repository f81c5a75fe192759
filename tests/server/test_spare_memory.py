"""What a rush of callers left behind is collected and given back to the system."""

from __future__ import annotations

import asyncio
import gc
import weakref

from counterfoil.server import spare_memory


class _Circle:
    def __init__(self) -> None:
        self.itself = self


def test_what_refers_to_itself_is_gone_soon_and_what_was_loaded_is_not_looked_through_again() -> None:
    async def serve() -> bool:
        gc.disable()
        with spare_memory.given_back(0.01):
            frozen = gc.get_freeze_count()
            left = weakref.ref(_Circle())
            for _ in range(500):
                await asyncio.sleep(0.01)
                if left() is None:
                    break
            assert frozen > 1_000
            return left() is None

    try:
        assert asyncio.run(serve())
        assert gc.get_freeze_count() == 0
    finally:
        gc.enable()
