"""JSON documents that carry the version of their form and a digest of themselves.

The digest is the SHA-256 of the canonical content: all other members, sorted by name, without spaces, as UTF-8. So a
flipped bit is found even where the result is still JSON, and reformatting a document by hand does no harm. Amounts are
texts, written out in full.
"""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from typing import Any, Final, TypeVar

import msgspec

from counterfoil.numbers import plain

T = TypeVar("T")

VERSION: Final = "version"
DIGEST: Final = "digest"


class DocumentError(ValueError):
    """The bytes are not a document of the wanted form."""


class ChangedDocumentError(DocumentError):
    """The content is not the content of which the document has the digest."""


class NewerDocumentError(DocumentError):
    """A newer Counterfoil wrote the document."""


class OlderDocumentError(DocumentError):
    """The document has a form that is no longer supported."""


def sealed(content: msgspec.Struct, version: int) -> dict[str, Any]:
    """Return the members of a document: the version, those of the content, and the digest of them all."""
    body = {VERSION: version, **_members(content)}
    return {**body, DIGEST: digest_of(body)}


def encode(content: msgspec.Struct, version: int, *, indent: int | None = None) -> bytes:
    """Return a document as JSON: one line that ends with a newline, or several where `indent` is given."""
    return json.dumps(sealed(content, version), default=plain, ensure_ascii=False, indent=indent).encode() + b"\n"


def checked(data: bytes, version: int, *, formerly: str = VERSION) -> dict[str, Any]:
    """Return the content of a document, which has this version and its own digest; raises DocumentError.

    `formerly` is the member that had the version in older forms.
    """
    try:
        body = msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DocumentError(str(error)) from None
    found = body.get(VERSION, body.get(formerly))
    if not isinstance(found, int) or isinstance(found, bool):
        raise DocumentError("it has no version")
    if found != version:
        raise (NewerDocumentError if found > version else OlderDocumentError)(f"it has version {found}")
    if body.pop(DIGEST, None) != digest_of(body):
        raise ChangedDocumentError("it has the digest of other content")
    del body[VERSION]
    return body


def decode(data: bytes, version: int, kind: type[T]) -> T:
    """Return a document as a struct; raises DocumentError."""
    return converted(checked(data, version), kind)


def converted(content: dict[str, Any], kind: type[T]) -> T:
    """Return the content of a document as a struct; raises DocumentError."""
    try:
        return msgspec.convert(content, kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise DocumentError(str(error)) from None


def digest_of(body: dict[str, Any]) -> str:
    """Return the digest of a document that has these other members."""
    return hashlib.sha256(canonical(body).encode("utf-8", "surrogatepass")).hexdigest()


def canonical(content: object) -> str:
    """Return content as JSON that equal contents share: sorted by name, without spaces."""
    return json.dumps(_members(content), default=plain, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _members(content: object) -> Any:
    return msgspec.to_builtins(content, builtin_types=(Decimal,))
