"""Values that a spreadsheet or a shell destroyed: what is left of them, and what they were is not to be had from it.

`6.12E+06` was an id of seven digits, `System.Collections.Hashtable` was a list of tags, `########` was whatever did not
fit its column. The type of a column decides what to look for. An id is the trap: it looks well without its zeros.
"""

from __future__ import annotations

import re
from typing import Final

_MONTH: Final = "(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_A_TYPE: Final = "a type's name in place of a value"
# What is left of any value: a pattern, and what it is.
_ANYWHERE: Final = {
    r"System\.[A-Z][A-Za-z]+[\w.`]*(?:\[.*\])?": _A_TYPE,
    r"(?:Newtonsoft|Microsoft\.\w+|java|scala)(?:\.\w+){2,}(?:\[\]|@[0-9a-f]+)?": _A_TYPE,
    r"\[L?(?:java|scala)[\w.$]*;?@[0-9a-f]+": _A_TYPE,
    r"\[object [A-Z]\w*\]": _A_TYPE,
    r"<(?:[A-Z]\w*|class '[^']*'|[^<>]* at 0x[0-9A-Fa-f]+)>": _A_TYPE,
    r"#(?:[A-Z][A-Z0-9/_]*[!?]|N/A|NV)": "a spreadsheet's error in place of a value",
    r"#{2,}": "signs that a spreadsheet shows where a column is too narrow",
}
_IN_IDS: Final = {
    r"[+-]?[0-9](?:[.,][0-9]+)?[Ee]\+[0-9]+": "a rounded number in place of an id",
    r"[0-9]+[.,]0+": "a number with decimals in place of an id",
    rf"[0-9]{{1,2}}[-./ ]+{_MONTH}(?:[-./ ]+[0-9]{{2,4}})?": "a date in place of an id",
    rf"{_MONTH}[-./ ]+[0-9]{{2,4}}": "a date in place of an id",
    r"[0-9]{1,4}[-./][0-9]{1,2}[-./][0-9]{2,4}(?:[T ][0-9:.]+Z?)?": "a date in place of an id",
}
_TEXT_PATTERNS: Final = [(re.compile(pattern, re.ASCII), what) for pattern, what in _ANYWHERE.items()]
_ID_PATTERNS: Final = [(re.compile(pattern, re.ASCII), what) for pattern, what in (_ANYWHERE | _IN_IDS).items()]
_ANY_OF: Final = {  # all patterns in one, because nearly every text is none of them
    is_id: re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.ASCII)
    for is_id, patterns in ((False, _ANYWHERE), (True, _ANYWHERE | _IN_IDS))
}
# How they begin, and how long they are, so that other texts are passed over at once.
TEXT_BEGINS: Final = "SNMjs[<#"
ID_BEGINS: Final = "0123456789+-JFAMSONDjfamsond"
LOST_LENGTH_MAX: Final = 250
LOST_ID_LENGTH_MAX: Final = 32  # of a number or date in place of an id: no GUID is so short
REMEDY: Final = "The value cannot be had from this file: take the file that the spreadsheet or script was given."


def why_lost(text: str, *, is_id: bool = False) -> str | None:
    """Return what a text is in place of the value that it was; None for one that nothing says is destroyed."""
    if len(text) > LOST_LENGTH_MAX or not _ANY_OF[is_id].fullmatch(text):
        return None
    return next(
        (what for pattern, what in (_ID_PATTERNS if is_id else _TEXT_PATTERNS) if pattern.fullmatch(text)), None
    )
