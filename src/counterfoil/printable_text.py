"""Texts of strangers' files as terminals and reports show them, and counts in words.

A name may hold characters that cannot be seen, or that turn the direction of what follows it round: `\\u202e` before an
amount would show its digits backwards. They are shown as their codes.
"""

from __future__ import annotations


def printable(text: str) -> str:
    """Return a text in which whatever cannot be seen, or could steer a terminal, stands as its code: `\\x1b`."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def counted(count: int, word: str) -> str:
    """Return a count and its noun: `1 line item`, `2,000 line items`."""
    return f"{count:,} {word}{'s' * (count != 1)}"
