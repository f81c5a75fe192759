"""Realistic, deterministic line items for demonstrations, tests and benchmarks.

`generate` yields JSON lines in Graph's spelling, `write` puts them into a file. The bytes are a promise: the same
arguments give the same bytes on every machine and Python version, and golden hashes in the tests check it. Changing
a single digit changes every benchmark and other people's fixtures.
"""

from counterfoil.generator.billing_month import BillingMonth
from counterfoil.generator.line_items import LINE_ITEMS_MAX, RESELLERS_MAX, generate, write

__all__ = ["LINE_ITEMS_MAX", "RESELLERS_MAX", "BillingMonth", "generate", "write"]
