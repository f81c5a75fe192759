"""The keys that sign without a certificate, and the continuation tokens that they sign; `blob_links` has the links.

A token states what it grants in plain sight and carries a MAC; nothing about it is stored, so it is valid on any node
and after any restart. The partner of a continuation token is *not* in its bytes, only under its MAC: another partner's
token fails exactly as a forged one does, and neither a check nor an error text can distinguish the two.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import secrets
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Final, Self

from counterfoil.errors import BadRequestError, UsageError

SECRET_BYTES_MIN = 32
_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,16}", re.ASCII)
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_KEYS_MAX = 32
_HKDF_SALT: Final = b"counterfoil keyring 1"


class Keyring:
    """Secrets with ids; the first signs and all verify, so a new secret put in front forbids nothing that is out.

    Every purpose has a key of its own (HKDF-SHA256, RFC 5869): what was signed for one use is worthless in another.
    """

    __slots__ = ("_extracted", "_first", "_key")

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        if not keys:
            raise UsageError("The keyring holds no key.", remedy="A line is a key id, a space and a secret.")
        self._extracted = {name: hmac.digest(_HKDF_SALT, secret, "sha256") for name, secret in keys.items()}
        self._first = next(iter(keys))
        self._key = cache(self._derive)

    def __repr__(self) -> str:
        return f"Keyring({', '.join(self._extracted)})"

    def renew(self, keys: Mapping[str, bytes]) -> None:
        """Take other keys; one of the same id must be the same key. Other threads may be signing."""
        extracted = {name: hmac.digest(_HKDF_SALT, secret, "sha256") for name, secret in keys.items()}
        first, former = next(iter(keys)), self._extracted
        self._extracted = {**former, **extracted}
        self._first = first
        self._extracted = extracted

    def has(self, key_id: str) -> bool:
        """Whether there is a key of this id."""
        return key_id in self._extracted

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read a keyring; raises UsageError as `keys_of` does."""
        return cls(cls.keys_of(text))

    @staticmethod
    def keys_of(text: str) -> dict[str, bytes]:
        """Read keys: lines (or comma separated) of a key id and a base64url secret; `#` begins a comment.

        Raises UsageError, which never repeats a secret.
        """
        keys: dict[str, bytes] = {}
        lines = (part.split() for line in text.splitlines() for part in line.partition("#")[0].split(","))
        for words in filter(None, lines):
            if len(words) != 2 or _KEY_ID.fullmatch(words[0]) is None:
                raise UsageError(
                    "A line of the keyring is not a key id and a secret.",
                    remedy="Write `<key id> <base64url secret>`; an id has 1 to 16 of A-Z a-z 0-9 _ -.",
                )
            name, secret = words[0], unbase64url(words[1].rstrip("="))
            if secret is None or len(secret) < SECRET_BYTES_MIN:
                raise UsageError(
                    f"The secret of key {name} is not base64url of at least {SECRET_BYTES_MIN} bytes.",
                    remedy="`python3 -c 'import secrets; print(secrets.token_urlsafe(32))'` makes one.",
                )
            if name in keys:
                raise UsageError(f"The keyring holds key {name} twice.", remedy="Give each key its own id.")
            keys[name] = secret
        if len(keys) > _KEYS_MAX:
            raise UsageError(f"The keyring holds more than {_KEYS_MAX} keys.", remedy="Remove the oldest ones.")
        if not keys:
            raise UsageError("The keyring holds no key.", remedy="A line is a key id, a space and a secret.")
        return keys

    @staticmethod
    def fresh_text() -> str:
        """Return the text of a keyring with one new random key."""
        return f"{secrets.token_hex(4)} {base64url(secrets.token_bytes(SECRET_BYTES_MIN))}\n"

    def sign(self, purpose: str, message: bytes) -> tuple[str, bytes]:
        """Return the id of the key that signs today, and the 32-byte MAC of the message."""
        return self._first, hmac.digest(self._key(self._first, purpose), message, "sha256")

    def verify(self, purpose: str, key_id: str, message: bytes, mac: bytes) -> bool:
        """Whether the MAC is that of one of our keys; compared in constant time."""
        if key_id not in self._extracted:
            return False
        return hmac.compare_digest(hmac.digest(self._key(key_id, purpose), message, "sha256"), mac)

    @property
    def signing_key_id(self) -> str:
        """The id of the key that signs today."""
        return self._first

    def _derive(self, key_id: str, purpose: str) -> bytes:
        # One block of HKDF-Expand is all that 32 bytes need.
        return hmac.digest(self._extracted[key_id], purpose.encode() + b"\x01", "sha256")


def base64url(data: bytes) -> str:
    """Encode as base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def unbase64url(text: str) -> bytes | None:
    """Decode unpadded base64url, or None; one text for one value, so no bit of a token is free to change."""
    if _BASE64URL.fullmatch(text) is None:
        return None
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        return None
    return data if base64url(data) == text else None


CONTINUATION_HEADER = "MS-ContinuationToken"
CONTINUATION_LENGTH_MAX = 250
_CONTINUATION = "continuation token 1"
_CONTINUATION_VERSION = 1
_BODY = struct.Struct(">16s16sIIIQ")  # query, revision, file, block, item, expires at
_MAC_BYTES = 32
_START_OVER = "Start over with the first page, without this header."


@dataclass(frozen=True, slots=True)
class Position:
    """Where the next page begins: a file of the revision, a block in it, an item in that."""

    file: int
    block: int
    item: int


@dataclass(frozen=True, slots=True)
class Continuation:
    """What the next page of a walk needs: one partner, one query, one revision, a place in it, and an end.

    `query` is a 16-byte digest of the canonical query; `expires_at` was fixed at page 1, in Unix seconds.
    """

    partner: str
    query: bytes
    revision_id: str
    position: Position
    expires_at: int


def encode_continuation(keyring: Keyring, continuation: Continuation) -> str:
    """Return the token's text: at most 250 of A-Z a-z 0-9 - _."""
    at = continuation.position
    assert len(continuation.query) == 16
    revision = bytes.fromhex(continuation.revision_id)
    assert len(revision) == 16
    key_id = keyring.signing_key_id.encode("ascii")
    plain = bytes((_CONTINUATION_VERSION, len(key_id))) + key_id
    plain += _BODY.pack(continuation.query, revision, at.file, at.block, at.item, continuation.expires_at)
    _, mac = keyring.sign(_CONTINUATION, plain + continuation.partner.encode())
    return base64url(plain + mac)


def decode_continuation(keyring: Keyring, text: str, *, partner: str, query: bytes, now: datetime) -> Continuation:
    """Return what the token says once its MAC, query and age are good; raises BadRequestError and nothing else."""
    data = unbase64url(text) if len(text) <= CONTINUATION_LENGTH_MAX else None
    if data is None or len(data) < 2 or data[0] != _CONTINUATION_VERSION:
        raise _not_ours()
    body_at = 2 + data[1]
    mac_at = body_at + _BODY.size
    if len(data) != mac_at + _MAC_BYTES:
        raise _not_ours()
    # latin-1 cannot fail, and an id that is not in the keyring is refused whatever it spells.
    key_id = data[2:body_at].decode("latin-1")
    if not keyring.verify(_CONTINUATION, key_id, data[:mac_at] + partner.encode(), data[mac_at:]):
        raise _not_ours()
    signed_query, revision, file, block, item, expires_at = _BODY.unpack_from(data, body_at)
    if signed_query != query:
        raise _continuation_error("belongs to a query with other parameters")
    if now.timestamp() >= expires_at:
        raise _continuation_error("has expired")
    return Continuation(partner, query, revision.hex(), Position(file, block, item), expires_at)


def _not_ours() -> BadRequestError:
    return _continuation_error("is not one that this service issued to this partner")


def _continuation_error(what: str) -> BadRequestError:
    return BadRequestError(
        f"The {CONTINUATION_HEADER} {what}. {_START_OVER}", code="3000", parameter=CONTINUATION_HEADER
    )
