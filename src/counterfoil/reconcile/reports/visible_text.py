"""Texts of strangers' files as a report shows them, and counts in words.

A name may hold characters that cannot be seen, or that turn the direction of what follows it round: `\\u202e` before an
amount would show its digits backwards. They are shown as their codes.
"""

from __future__ import annotations


def visible(text: str) -> str:
    """Return a text in which whatever cannot be seen is written as its code."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def counted(count: int, word: str) -> str:
    """Return a count and its noun: `1 line item`, `2,000 line items`."""
    return f"{count:,} {word}{'s' * (count != 1)}"
