"""The identity of a line item: its canonical form, and the SHA-256 of that, defined once and in plain Python.

A line item is the set of its attributes that have a value. Absent, null and empty are alike. Attributes are ordered by
the UTF-8 bytes of their *identity*, the Graph name with A to Z in lower case:

    canonical form = SHA-256(identities, joined by U+0000), then the texts, joined by U+0000

Column numbers play no part, so a column added to the table, or an attribute that moves from Extra into a column of its
own, changes no hash. Texts hold no U+0000. `datasets.digest` computes the same in bulk; a test compares the two.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache

import msgspec

from counterfoil.columns import EXTRA, identity_of

DIGEST_SIZE_BYTES = 32


def digest(attributes: Mapping[str, str | None]) -> bytes:
    """Return the SHA-256 (32 bytes) of a line item, given as stored texts by Graph name, perhaps with `Extra`."""
    return hashlib.sha256(canonical_form(attributes)).digest()


def canonical_form(attributes: Mapping[str, str | None]) -> bytes:
    """Return the bytes that identify a line item, given as `digest` takes it."""
    texts = {identity_of(name): text for name, text in attributes.items() if text and name != EXTRA}
    texts |= {name: text for name, text in extra_texts(attributes.get(EXTRA)).items() if text}
    names = sorted(texts)  # by code points, which is the order of the UTF-8 bytes
    return names_digest(names) + "\0".join(texts[name] for name in names).encode()


def extra_texts(extra: str | None) -> dict[str, str]:
    """Return the attributes in an `Extra` object by identity, each as the text that a column of its own would store.

    A JSON text counts without its quotes, null as empty, and anything else as compact JSON.
    """
    if not extra:
        return {}
    members = msgspec.json.decode(extra, type=dict[str, msgspec.Raw])
    return {identity_of(name): _stored(bytes(raw)) for name, raw in members.items()}


def _stored(raw: bytes) -> str:
    if raw.startswith(b'"'):
        return msgspec.json.decode(raw, type=str)
    return "" if raw == b"null" else raw.decode()


def names_digest(identities: Iterable[str]) -> bytes:
    """Return the SHA-256 of identities that are in order."""
    return _names_digest("\0".join(identities))


@lru_cache(maxsize=4096)  # a file has few sets of attributes, and many lines
def _names_digest(joined: str) -> bytes:
    return hashlib.sha256(joined.encode()).digest()
