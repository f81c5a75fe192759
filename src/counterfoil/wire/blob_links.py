"""The signed links of a blob directory: what opens a partner's blobs, for a while, for whoever holds it.

A link has the shape of a directory SAS of Azure Storage: eight parameters, all of them signed. What a storage client
adds of its own (a `timeout`, what it wants listed) is covered by no signature there either: it is told apart here,
and never has a say in what the link opens. A parameter that is neither is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Self
from urllib.parse import unquote

from counterfoil.errors import ForbiddenError
from counterfoil.model import is_guid
from counterfoil.periods import timestamp
from counterfoil.wire.tokens import Keyring, base64url, unbase64url

_DIRECTORY: Final = "blob directory 1"
# The version whose directory tokens have this shape. We speak our own MAC under it, so only this one is good.
_SIGNED_VERSION: Final = "2021-08-06"
# Reading, and listing what may be read. Links that were given out without listing end by themselves.
_PERMISSIONS: Final = "rl"
_PERMISSIONS_TAKEN: Final = ("r", _PERMISSIONS)
# `si`, the signed identifier, holds our key id, and behind a dot the client that the link was given to: storage
# clients drop every parameter that Azure does not know.
LINK_PARAMETERS: Final = ("sv", "st", "se", "sr", "sp", "sdd", "si", "sig")
# What Azure Storage leaves unsigned beside a SAS, as far as reading and listing know it.
OWN_PARAMETERS: Final = (
    "timeout",
    "api-version",
    "snapshot",
    "versionid",
    "restype",
    "comp",
    "prefix",
    "delimiter",
    "marker",
    "maxresults",
    "include",
)
_QUERY_LENGTH_MAX: Final = 2048
_START_SKEW: Final = timedelta(minutes=5)  # between two nodes that sign and check; an end is never stretched
_PERCENT: Final = re.compile(r"%([0-9A-Fa-f]{2})", re.ASCII)
_VALUE: Final = re.compile(r"(?:[A-Za-z0-9._~:-]|%[0-9A-Fa-f]{2})*", re.ASCII)
_BAD_LINK: Final = (
    "The signature of the link is missing or not good for this blob. Ask for the manifest again to get another."
)
_NOT_SIGNED: Final = (
    "The link has a parameter that was not signed with it. Use the link exactly as the manifest gives it."
)
_NOT_NOW: Final = "The link has expired or is not valid yet. Ask for the manifest again to get another."


@dataclass(frozen=True, slots=True)
class LinkQuery:
    """The query of a blob's address: what is signed, and what the storage client adds of its own; both decoded."""

    signed: Mapping[str, str]
    own: Mapping[str, str]

    @classmethod
    def parse(cls, query: str) -> Self:
        """Split a raw query; each parameter of the link once, and none that nobody knows. Raises ForbiddenError.

        Names of a client's own parameters are taken in any letter case, as Azure Storage does; one without a value
        is as good as absent.
        """
        if len(query) > _QUERY_LENGTH_MAX:
            raise link_error(_BAD_LINK)
        signed: dict[str, str] = {}
        own: dict[str, str] = {}
        for pair in query.split("&"):
            name, equals, value = pair.partition("=")
            fields, name = (signed, name) if name in LINK_PARAMETERS else (own, name.lower())
            if pair and (name in fields or (fields is own and name not in OWN_PARAMETERS)):
                raise link_error(_NOT_SIGNED)
            if not equals or (fields is signed and _VALUE.fullmatch(value) is None):
                raise link_error(_BAD_LINK)
            # Clients may escape what needs no escape (`:` as `%3A`); what counts, and is signed, is the decoded text.
            fields[name] = unquote(value) if fields is own else _PERCENT.sub(lambda hit: chr(int(hit[1], 16)), value)
        if len(signed) != len(LINK_PARAMETERS):
            raise link_error(_BAD_LINK)
        return cls(signed, {name: value for name, value in own.items() if value})


@dataclass(frozen=True, slots=True)
class OpenedDirectory:
    """What a good link opens: every blob below `path`. `client_id` is empty where no registered client asked for it."""

    path: str
    client_id: str


def sign_directory(keyring: Keyring, path: str, *, now: datetime, expires_at: datetime, client_id: str = "") -> str:
    """Return a query string that opens every blob below `path` for reading and listing until `expires_at`.

    `path` is decoded and begins with a slash, such as `/blobs/<partner>/<revision>/full`. `client_id` names the
    registered client that gets it: the link is to end when that one is revoked.
    """
    segments = _segments(path)
    assert segments is not None, path
    assert not client_id or is_guid(client_id), client_id
    fields = {
        "sv": _SIGNED_VERSION,
        "st": timestamp(now),
        "se": timestamp(expires_at),
        "sr": "d",
        "sp": _PERMISSIONS,
        "sdd": str(len(segments) - 1),  # the first segment is the container, at depth 0
        "si": f"{keyring.signing_key_id}.{client_id}" if client_id else keyring.signing_key_id,
    }
    _, mac = keyring.sign(_DIRECTORY, _signed_text(path, fields))
    pairs = [f"{name}={value.replace(':', '%3A')}" for name, value in fields.items()]
    return "&".join([*pairs, f"sig={base64url(mac)}"])


def open_directory(
    keyring: Keyring, query: LinkQuery, path: str, *, now: datetime, or_itself: bool = False
) -> OpenedDirectory:
    """Return the directory that a link opens if `path` (decoded) is below it; raises ForbiddenError, looks nothing up.

    `or_itself` takes the path of the directory too, with or without a slash at its end.
    """
    fields = query.signed
    segments = _segments(path.removesuffix("/") if or_itself else path)
    mac = unbase64url(fields["sig"])
    depth = fields["sdd"]
    if segments is None or mac is None or len(depth) > 2 or not (depth.isascii() and depth.isdigit()):
        raise link_error(_BAD_LINK)
    if len(segments) < int(depth) + (1 if or_itself else 2):
        raise link_error(_BAD_LINK)
    directory = "/" + "/".join(segments[: int(depth) + 1])
    key_id, _, client_id = fields["si"].partition(".")
    granted = fields["sv"] == _SIGNED_VERSION and fields["sr"] == "d" and fields["sp"] in _PERMISSIONS_TAKEN
    if not granted or not keyring.verify(_DIRECTORY, key_id, _signed_text(directory, fields), mac):
        raise link_error(_BAD_LINK)
    if not _moment(fields["st"]) - _START_SKEW <= now < _moment(fields["se"]):
        raise link_error(_NOT_NOW)
    return OpenedDirectory(directory, client_id)


def may_list(query: LinkQuery) -> bool:
    """Whether a link was given for listing too."""
    return query.signed["sp"] == _PERMISSIONS


def link_error(message: str) -> ForbiddenError:
    """Return the error for a link that opens nothing, in storage's own code."""
    return ForbiddenError(message, code="AuthenticationFailed")


def _segments(path: str) -> list[str] | None:
    first, *segments = path.split("/")
    if first or not segments or any(segment in {"", ".", ".."} for segment in segments):
        return None
    return segments


def _signed_text(path: str, fields: Mapping[str, str]) -> bytes:
    """The text under the MAC: lengths precede values, so no two sets of fields give the same text."""
    parts = [path, *(fields[name] for name in LINK_PARAMETERS if name != "sig")]
    return "".join(f"{len(part)}:{part}" for part in parts).encode("utf-8", "surrogatepass")


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)  # cannot fail: it is only called on what we signed
