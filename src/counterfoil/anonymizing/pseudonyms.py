"""Pseudonyms under a key: the same value gets the same one, and without the key none leads back.

Ids keep their shape, and different ones stay different: an id of digits and letters is enciphered among all ids of its
shape (a Feistel network under HMAC-SHA-256, walked until it lands in the shape again). The trap in hashing them
instead: two of 3,000 seven-digit reseller ids would likely become one.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from functools import lru_cache
from string import ascii_lowercase, ascii_uppercase, digits
from typing import Final

KEY_BYTES_MIN: Final = 16
GUID: Final = re.compile(
    r"(?<![0-9A-Fa-f])[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}(?![0-9A-Fa-f])"
    r"|(?<![0-9A-Za-z])[0-9A-Fa-f]{32}(?![0-9A-Za-z])"
)
_ROUNDS: Final = 8
_ALPHABETS: Final = (digits, ascii_lowercase, ascii_uppercase)
_CACHED: Final = 100_000
_TOKEN_LENGTH: Final = 12


class Pseudonyms:
    """All pseudonyms under one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.id = lru_cache(_CACHED)(self._id)
        self.token = lru_cache(_CACHED)(self._token)
        self.guid = lru_cache(_CACHED)(self._guid)

    def guids_in(self, text: str) -> str:
        """Return a text with another GUID in the place of each, in the same letter case and with the same hyphens."""
        return GUID.sub(lambda found: self.guid(found[0]), text)

    def name(self, what: str, text: str) -> str:
        """Return another name, such as `Customer 3f9a2c41d07b`."""
        return f"{what} {self.token(what, text)}" if text else text

    def domain(self, text: str) -> str:
        """Return another domain, below `.example`."""
        return f"{self.token('domain', text.lower())}.example" if text else text

    def number(self, text: str) -> str:
        """Return a number with other digits, as many, for a number that is an id rather than an amount."""
        return "".join(self.id(part) if part.isdecimal() else part for part in re.split(r"([0-9]+)", text))

    def _guid(self, text: str) -> str:
        plain = text.replace("-", "")
        fresh = self._digest("guid", plain.lower()).hex()[:32]
        fresh = f"{fresh[:12]}4{fresh[13:]}"
        if "-" in text:
            fresh = f"{fresh[:8]}-{fresh[8:12]}-{fresh[12:16]}-{fresh[16:20]}-{fresh[20:]}"
        return fresh.upper() if text != text.lower() else fresh

    def _token(self, what: str, text: str) -> str:
        return self._digest(what, text).hex()[:_TOKEN_LENGTH]

    def _id(self, text: str) -> str:
        """Encipher the digits and the letters of A to Z of an id; what is neither stays."""
        shape = [next((each for each in _ALPHABETS if char in each), "") for char in text]
        size = 1
        for alphabet in shape:
            size *= len(alphabet) or 1
        if size == 1:
            return text if text.isascii() else f"id-{self.token('id', text)}"
        number = 0
        for char, alphabet in zip(text, shape, strict=True):
            if alphabet:
                number = number * len(alphabet) + alphabet.index(char)
        number = self._enciphered(number, size, repr([len(alphabet) for alphabet in shape]))
        written = []
        for char, alphabet in zip(reversed(text), reversed(shape), strict=True):
            if alphabet:
                number, at = divmod(number, len(alphabet))
                char = alphabet[at]  # noqa: PLW2901 - a char that is neither stays
            written.append(char)
        return "".join(reversed(written))

    def _enciphered(self, number: int, size: int, shape: str) -> int:
        """Return another number below `size`; different numbers stay different."""
        half = max((size - 1).bit_length() + 1 >> 1, 1)
        mask = (1 << half) - 1
        while True:
            left, right = number >> half, number & mask
            for step in range(_ROUNDS):
                drawn = int.from_bytes(self._digest(f"round {step} {shape}", str(right)), "big") & mask
                left, right = right, left ^ drawn
            number = left << half | right
            if number < size:
                return number

    def _digest(self, what: str, text: str) -> bytes:
        data = f"{what}\0{text}".encode("utf-8", "surrogatepass")
        return hmac.digest(self._key, data, hashlib.sha256) + hmac.digest(self._key, b"2" + data, hashlib.sha256)
