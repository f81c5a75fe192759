"""Realistic, deterministic line items for demonstrations, tests and benchmarks.

`generate` yields JSON lines in Graph's spelling, `write` puts them into a file. What a newcomer would get wrong:
the bytes are a promise (same arguments, same bytes, on every machine and Python), and golden hashes in the tests
keep it. A change that moves a single digit is a change of every benchmark and of other people's fixtures.
"""

from counterfoil.generator.line_items import LINE_ITEMS_MAX, RESELLERS_MAX, generate, write

__all__ = ["LINE_ITEMS_MAX", "RESELLERS_MAX", "generate", "write"]
