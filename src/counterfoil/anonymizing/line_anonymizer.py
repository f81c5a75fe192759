"""One line item made anonymous, and the names that are looked for in the texts that stay.

The trap is a name where nobody expects one: in the name of a product, in a tag, escaped in JSON that is itself in a
text. So texts of customers are never patched but replaced whole, and texts of Microsoft's stay only if they hold none
of the names that were met anywhere in the input.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Context, Decimal
from functools import lru_cache, partial
from json.encoder import encode_basestring
from typing import Any, Final
from urllib.parse import unquote

from counterfoil import numbers
from counterfoil.anonymizing.attribute_rules import CONSTANTS, PUBLIC_INFO, TELLING, AttributeRule, rules_of, word_for
from counterfoil.anonymizing.pseudonyms import GUID, Pseudonyms
from counterfoil.columns import Spelling, Type, table_of
from counterfoil.errors import UsageError
from counterfoil.line_items.dates import why_not_a_date
from counterfoil.line_items.values import NumberText
from counterfoil.model import Kind

NAMES_MAX: Final = 200_000  # different names and domains that are looked for; with more, no text of Microsoft's stays
_NAME_LENGTH_MIN: Final = 3
_LOCAL_DATE: Final = re.compile(r"[0-9]{1,4}[/.-][0-9]{1,2}[/.-][0-9]{1,4}(?:[ T][0-9:.]{1,16} ?(?:[AaPp][Mm])?Z?)?")
_PROVIDER: Final = re.compile(r"microsoft\.[A-Za-z.]{1,40}", re.IGNORECASE)
_WORD: Final = re.compile(r"[A-Za-z]{1,60}")
_INFO_VALUE: Final = re.compile(r"[A-Za-z0-9_ .:-]{0,60}")
_PREFIXES: Final = ("org:",)
_REFERENCE: Final = ("osId", "id", "v")  # the members of a ReferenceId
_INVOICE: Final = re.compile(r"(?<![0-9A-Za-z])[A-Za-z][0-9]{9}(?![0-9A-Za-z])")
_KEYWORDS: Final = ("subscriptions", "resourcegroups", "providers")
_ID_LENGTH_MIN: Final = 5
_EXACT: Final = Context(prec=300)
_CACHED: Final = 50_000


class ObjectPairs(list[tuple[str, Any]]):
    """A JSON object as its members, in order."""


_DECODER: Final = json.JSONDecoder(object_pairs_hook=ObjectPairs, parse_float=NumberText, parse_int=NumberText)


def parsed(text: str) -> Any:
    """Parse JSON with numbers as their own text; raises ValueError and RecursionError."""
    return _DECODER.decode(text)


def spelled(value: Any) -> str:
    """Write what `parsed` returned."""
    if isinstance(value, NumberText):
        return str(value)
    if isinstance(value, ObjectPairs):
        return "{" + ",".join(f"{spelled(name)}:{spelled(each)}" for name, each in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(spelled, value)) + "]"
    return encode_basestring(value) if isinstance(value, str) else json.dumps(value)


class TellingNames:
    """The names and domains that were met: what may give somebody away in a text that would stay."""

    def __init__(self) -> None:
        self._names = set[str]()
        self._overflown = False
        self.are_in = lru_cache(_CACHED)(self._are_in)

    def learn(self, column: str, value: object) -> None:
        """Note a value of an attribute that names somebody."""
        if not isinstance(value, str):
            return
        found = {value, value.partition(".")[0] if column == "CustomerDomainName" else value}
        self._names |= {each for name in found if len(each := _folded(name)) >= _NAME_LENGTH_MIN}
        self._overflown = self._overflown or len(self._names) > NAMES_MAX
        if self._overflown:
            self._names.clear()

    def _are_in(self, text: str) -> bool:
        if self._overflown:
            return True
        forms = {_folded(text), _folded(unquote(text))}
        return any(name in form for form in forms for name in self._names)


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


class LineAnonymizer:
    """Makes line items of one kind anonymous. `keep` names attributes that stay as they are."""

    def __init__(
        self, kind: Kind, pseudonyms: Pseudonyms, names: TellingNames, *, scale: Decimal, keep: frozenset[str]
    ) -> None:
        self._spellings: Mapping[str, Spelling] = table_of(kind).spellings
        self._rules = rules_of(kind)
        self._pseudonyms, self._names, self._scale = pseudonyms, names, scale
        self._keep = frozenset(name.lower() for name in keep)
        self._ids = {
            name for name, each in self._spellings.items() if self._rules[each.column.name] is AttributeRule.ID
        }
        self._telling = {
            name: each.column.name for name, each in self._spellings.items() if each.column.name in TELLING
        }
        self._changes: Mapping[AttributeRule, Callable[[str], str]] = {
            AttributeRule.ID: self._id,
            AttributeRule.GROUP: self._group,
            AttributeRule.DOMAIN: pseudonyms.domain,
            AttributeRule.URI: self._uri,
            AttributeRule.JSON: partial(self._json_text, self._free),
            AttributeRule.INFO: partial(self._json_text, self._info),
            AttributeRule.FREE: self._free,
        }

    def learn(self, name: str, value: object) -> None:
        """Look at an attribute before anything is written."""
        column = self._telling.get(name.lower())
        if column is not None:
            self._names.learn(column, value)

    def line(self, pairs: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
        """Return a line item as it may leave the house, attribute by attribute."""
        pairs = list(pairs)
        ids = [
            value.casefold()
            for name, value in pairs
            if name.lower() in self._ids and isinstance(value, str) and len(value) >= _ID_LENGTH_MIN
        ]
        return [self._attribute(name, value, ids) for name, value in pairs]

    def name(self, name: str) -> str:
        """Return what an attribute is called outside."""
        lowered = name.lower()
        if lowered in self._keep or lowered in CONSTANTS or lowered in self._spellings:
            return name
        return f"attribute_{self._pseudonyms.token('attribute', name)}"

    def _attribute(self, name: str, value: Any, ids: Sequence[str]) -> tuple[str, Any]:
        lowered, outside = name.lower(), self.name(name)
        if lowered in self._keep or value is None or value == "":
            return outside, value
        spelling = self._spellings.get(lowered)
        if spelling is None:
            return outside, self._public(value, ids) if lowered in CONSTANTS else self._free(value)
        column = spelling.column.name
        rule = self._rules[column]
        if rule in (AttributeRule.KEEP, AttributeRule.AMOUNT):
            return outside, self._measured(spelling, rule, value)
        if rule in (AttributeRule.PUBLIC, AttributeRule.CATALOGUE):
            return outside, self._public(value, ids, has_guids=rule is AttributeRule.CATALOGUE)
        if not isinstance(value, str):
            return outside, self._info(value) if rule is AttributeRule.INFO else self._free(value)
        if rule is AttributeRule.NAME:
            return outside, self._pseudonyms.name(word_for(column), value)
        changed = self._changes[rule](value)
        return outside, NumberText(changed) if isinstance(value, NumberText) and _is_json_number(changed) else changed

    def _measured(self, spelling: Spelling, rule: AttributeRule, value: Any) -> Any:
        """Keep a number, date or flag digit for digit; what is none of these is replaced."""
        text = str(value) if isinstance(value, str) else ""
        kind = spelling.column.type
        if kind is Type.FLAG:
            return value if isinstance(value, bool) or text.lower() in ("true", "false") else self._free(value)
        if kind is Type.DATE:
            is_date = why_not_a_date(text) is None or _LOCAL_DATE.fullmatch(text) is not None
            return value if is_date and not isinstance(value, NumberText) else self._free(value)
        if not text or numbers.why_not_a_number(text):
            return self._free(value)
        if rule is AttributeRule.AMOUNT and self._scale != 1:
            scaled = numbers.plain(_EXACT.multiply(numbers.exact(text), self._scale))
            if reason := numbers.why_not_a_number(scaled):
                raise UsageError(
                    f"{spelling.column.name} {text} x {self._scale} is {reason}.",
                    remedy="Scale by another number.",
                    parameter="scale",
                )
            return type(value)(scaled)
        return value

    def _public(self, value: Any, ids: Sequence[str], *, has_guids: bool = False) -> Any:
        """Return a value of Microsoft's as it is, unless a name or an id of somebody's is in it."""
        text = str(value) if isinstance(value, str) else spelled(value)
        folded = text.casefold()
        if self._names.are_in(text) or any(each in folded for each in ids) or _INVOICE.search(text):
            return self._free(value)
        if has_guids or not GUID.search(text):
            return value
        return self._pseudonyms.guids_in(text) if isinstance(value, str) else self._free(value)

    def _id(self, text: str) -> str:
        """Return another id of the same shape; `0` and the empty text mean that there is none."""
        if text == "0":
            return str(text)
        if text[:1] in "{[":  # ReferenceId is JSON around an id, on newer orders
            return self._json_text(self._ids_within, text)
        prefix = next((each for each in _PREFIXES if text.lower().startswith(each)), "")
        rest = text[len(prefix) :]
        if GUID.fullmatch(rest):
            return text[: len(prefix)] + self._pseudonyms.guid(rest)
        # The letter in front of an invoice's digits is part of its form.
        lead = rest[:1] if rest[:1].isalpha() and rest[1:].isdecimal() else ""
        return text[: len(prefix)] + lead + self._pseudonyms.id(rest[len(lead) :])

    def _ids_within(self, value: Any) -> Any:
        if isinstance(value, ObjectPairs):
            return ObjectPairs(
                (name, each if name == "v" and len(str(each)) <= 2 else self._ids_within(each))
                if name in _REFERENCE
                else (self._free(name), self._free(each))
                for name, each in value
            )
        return self._id(value) if isinstance(value, str) and not isinstance(value, NumberText) else self._free(value)

    def _group(self, text: str) -> str:
        return f"group-{self._pseudonyms.token('group', text.lower())}"  # Azure does not mind the case

    def _uri(self, text: str) -> str:
        """Return another URI of a resource with the same words of Azure's in it."""
        written: list[str] = []
        expected = ""  # what stands before a name, or `type` behind a provider
        for part in unquote(text).split("/"):
            lowered = part.lower()
            if lowered in _KEYWORDS or not part:
                written.append(part)
                expected = lowered
            elif _PROVIDER.fullmatch(part) and expected == "providers" and not self._names.are_in(part):
                written.append(part)
                expected = "type"
            elif expected == "type" and _WORD.fullmatch(part) and not self._names.are_in(part):
                written.append(part)
                expected = "name"
            else:
                written.append(self._named(part, expected))
                expected = "type" if expected == "name" else ""
        return "/".join(written)

    def _named(self, part: str, expected: str) -> str:
        if GUID.fullmatch(part):
            return self._pseudonyms.guid(part)
        if expected == "resourcegroups":
            return self._group(part)
        return f"resource-{self._pseudonyms.token('resource', part.lower())}"

    def _json_text(self, change: Callable[[Any], Any], text: str) -> str:
        """Return a text with the JSON in it changed; one that is no JSON is replaced whole."""
        try:
            value = parsed(text)
        except (ValueError, RecursionError):
            value = None
        return spelled(change(value)) if isinstance(value, list) else str(self._free(str(text)))

    def _info(self, value: Any) -> Any:
        """Return Microsoft's additional information: its own words stay, everything else is replaced."""
        if not isinstance(value, ObjectPairs):
            return self._free(value)
        return ObjectPairs(
            (name, self._info_value(each)) if name in PUBLIC_INFO else (self._free(name), self._free(each))
            for name, each in value
        )

    def _info_value(self, value: Any) -> Any:
        if value is None or isinstance(value, bool):
            return value
        is_safe = isinstance(value, str) and _INFO_VALUE.fullmatch(value) and not self._names.are_in(str(value))
        return value if is_safe and not GUID.search(str(value)) else self._free(value)

    def _free(self, value: Any) -> Any:
        """Return something of the same form in the place of anything."""
        if isinstance(value, ObjectPairs):
            return ObjectPairs((self._free(name), self._free(each)) for name, each in value)
        if isinstance(value, list):
            return [self._free(each) for each in value]
        if isinstance(value, NumberText):
            number = self._pseudonyms.number(str(value))
            return NumberText(number) if _is_json_number(number) else NumberText(f"1{number.lstrip('-0')}")
        if isinstance(value, str) and value:
            return self._pseudonyms.guid(value) if GUID.fullmatch(value) else f"text-{self._token_of(value)}"
        return value

    def _token_of(self, text: str) -> str:
        return self._pseudonyms.token("text", text)


def _is_json_number(text: str) -> bool:
    return re.fullmatch(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", text) is not None
