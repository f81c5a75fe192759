"""What a rule may read of an attribute in place of its text, because it repeats far more often than the text does.

An excerpt stands for its text: whatever a rule asks of the excerpt, it would answer alike for the text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

_EXPONENT: Final = "[eE]"
_WHOLE: Final = r"^-?[0-9]+(\.0*)?$"
# What a spreadsheet leaves of an id: an exponent, or zeros for the digits after the fifteenth.
DAMAGED_ID: Final = r"^([0-9](\.[0-9]+)?[Ee]\+[0-9]{1,3}|[0-9]\.[0-9]+[Ee][0-9]{1,3}|[1-9][0-9]{14}0{2,})$"
ID_LENGTH_MIN: Final = 4


class Excerpt(StrEnum):
    """Which excerpt of an attribute; a rule writes it before the attribute's name."""

    SIGN = "sign of "
    PRESENCE = "presence of "
    BEGINNING = "beginning of "
    WHOLENESS = "wholeness of "
    HEALTH = "health of "

    def of(self, name: str) -> str:
        """Return what a rule reads that needs this excerpt of an attribute."""
        return f"{self.value}{name}"


def excerpt_and_name(read: str) -> tuple[Excerpt | None, str]:
    """Return which excerpt of an attribute a rule reads, None for all of it, and the attribute."""
    for excerpt in Excerpt:
        if read.startswith(excerpt):
            return excerpt, read.removeprefix(excerpt)
    return None, read


def excerpts_of(excerpt: Excerpt, texts: pa.Array) -> pa.Array:
    """Return this excerpt of each text; what is null stays null, and what is empty stays empty."""
    if pa.types.is_dictionary(texts.type):
        excerpts = excerpts_of(excerpt, texts.dictionary.cast(pa.string())).dictionary_encode()
        return pa.DictionaryArray.from_arrays(excerpts.indices.take(texts.indices), excerpts.dictionary)
    return pc.if_else(pc.equal(texts, ""), "", _MAKE[excerpt](texts))


def _sign(texts: pa.Array) -> pa.Array:
    """Return -1, 0 or 1. A digit behind an exponent makes no zero an amount."""
    digits = pc.ascii_ltrim(texts, "-0.")
    is_zero = pc.or_(pc.equal(digits, ""), pc.starts_with(digits, "e", ignore_case=True))
    return pc.if_else(is_zero, "0", pc.if_else(pc.starts_with(texts, "-"), "-1", "1"))


def _presence(texts: pa.Array) -> pa.Array:
    return pc.if_else(pc.is_valid(texts), "present", pa.scalar(None, pa.string()))


def _beginning(texts: pa.Array) -> pa.Array:
    return pc.utf8_slice_codeunits(texts, 0, 1)


def _wholeness(texts: pa.Array) -> pa.Array:
    """Return 1 for a whole number and 0.5 for another; one with an exponent stays as it is."""
    broken = pc.if_else(pc.match_substring_regex(texts, _EXPONENT), texts, "0.5")
    return pc.if_else(pc.match_substring_regex(texts, _WHOLE), "1", broken)


def _health(texts: pa.Array) -> pa.Array:
    """Return one text for all ids that a spreadsheet left alone; the others, and short ones, stay as they are."""
    short = pc.less(pc.utf8_length(texts), ID_LENGTH_MIN)
    return pc.if_else(pc.or_(short, pc.match_substring_regex(texts, DAMAGED_ID)), texts, "whole")


_MAKE: Final[Mapping[Excerpt, Callable[[pa.Array], pa.Array]]] = {
    Excerpt.SIGN: _sign,
    Excerpt.PRESENCE: _presence,
    Excerpt.BEGINNING: _beginning,
    Excerpt.WHOLENESS: _wholeness,
    Excerpt.HEALTH: _health,
}
