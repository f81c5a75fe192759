"""Azure Blob Storage's way of listing a container, as far as it shows the blobs of one manifest.

Clients cut one address into container and blob name in different ways: a host with a name has the container `blobs`, a
numeric host is taken for an emulator (account `blobs`, container the partner), and who lists `rootDirectory` itself
takes all of it for the container. So any directory of ours may be the container: the prefix says what is behind it,
and names are told relative to it.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final, Self
from xml.sax.saxutils import escape, quoteattr

from counterfoil.errors import BadRequestError
from counterfoil.model import GUID_PATTERN, AttributeSet
from counterfoil.wire.blob_storage import (
    CACHE_CONTROL,
    CONTENT_TYPE,
    bad_parameter,
    check_own_parameters,
    decoded_path,
    invalid_uri,
)

SIZE_MAX: Final = 5_000
_CONTAINER: Final = re.compile(
    rf"/blobs(?:/{GUID_PATTERN}(?:/[0-9a-f]{{32}}(?:/(?:full|basic))?)?)?/?",
    re.ASCII,
)
_DIRECTORY: Final = re.compile(
    rf"/blobs/(?P<partner>{GUID_PATTERN})/(?P<revision>[0-9a-f]{{32}})/(?P<attributes>full|basic)", re.ASCII
)
_OWN: Final = frozenset(("restype", "comp", "prefix", "delimiter", "marker", "maxresults", "include"))


@dataclass(frozen=True, slots=True)
class BlobDirectory:
    """The directory of one manifest's blobs."""

    path: str
    partner: str
    revision_id: str
    attributes: AttributeSet

    @staticmethod
    def may_be(raw_path: bytes) -> bool:
        """Whether a path is that of a directory, or of one above, and not of a blob."""
        return _CONTAINER.fullmatch(decoded_path(raw_path)) is not None

    @classmethod
    def of(cls, path: str) -> Self:
        """Return the directory at a path that a link opens; raises BadRequestError if no manifest has it."""
        match = _DIRECTORY.fullmatch(path)
        if match is None:
            raise invalid_uri()
        return cls(path, match["partner"], match["revision"], AttributeSet(match["attributes"]))


@dataclass(frozen=True, slots=True)
class ListedBlob:
    """One blob of a listing: its name within the directory, and what is told of it."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class BlobListing:
    """What a client wants listed: the names of a container that begin with `prefix`, from `marker` on.

    A name that holds the delimiter behind the prefix stands for all that begin as it does up to there.
    """

    container: str
    prefix: str
    delimiter: str
    marker: str
    size: int  # -1 for what is no number
    more: Mapping[str, str]

    @staticmethod
    def is_wanted(own: Mapping[str, str]) -> bool:
        """Whether a request is one for a listing."""
        return own.get("comp") == "list" and own.get("restype") == "container"

    @classmethod
    def parse(cls, raw_path: bytes, own: Mapping[str, str]) -> Self:
        """Read the path, which `BlobDirectory` knows, and the parameters; `check` says whether they make sense."""
        size = own.get("maxresults", str(SIZE_MAX))
        whole = size.isascii() and size.isdecimal() and len(size) <= 9
        more = {name: value for name, value in own.items() if name not in _OWN}
        return cls(
            decoded_path(raw_path).removesuffix("/"),
            own.get("prefix", ""),
            own.get("delimiter", ""),
            own.get("marker", ""),
            min(int(size), SIZE_MAX) if whole else -1,
            more,
        )

    def check(self) -> None:
        """Raise BadRequestError for a parameter that cannot have its value; after the link was found to be good."""
        check_own_parameters(self.more)
        if self.size < 0:
            raise bad_parameter("maxresults")
        if not self.size:
            raise BadRequestError(
                "One of the query parameters specified in the request URI is outside the permissible range: "
                "maxresults is at least 1.",
                code="OutOfRangeQueryParameterValue",
            )

    @property
    def path(self) -> str:
        """The path that the prefix leads to: the directory that a link opens is a part of it."""
        return f"{self.container}/{self.prefix}"

    def entries(self, directory: BlobDirectory, blobs: Iterable[ListedBlob]) -> tuple[list[str | ListedBlob], str]:
        """Return one page of what is listed, in order, and the marker of the next one, empty at the end.

        A text is a prefix that stands for several blobs; a blob has its name within the container.
        """
        above = f"{directory.path}/".removeprefix(f"{self.container}/")
        entries: dict[str, str | ListedBlob] = {}
        for blob in blobs:
            name = above + blob.name
            if not name.startswith(self.prefix):
                continue
            first, found, _ = name[len(self.prefix) :].partition(self.delimiter) if self.delimiter else (name, "", "")
            if found:
                entries.setdefault(self.prefix + first + found, self.prefix + first + found)
            else:
                entries[name] = ListedBlob(name, blob.size_bytes, blob.sha256)
        names = sorted(entries)
        begin = bisect_left(names, self.marker)
        shown = names[begin : begin + self.size]
        following = names[begin + self.size : begin + self.size + 1]
        return [entries[name] for name in shown], "".join(following)


def listing_body(
    listing: BlobListing, entries: Iterable[str | ListedBlob], next_marker: str, *, base_url: str, modified_at: datetime
) -> bytes:
    """Write a listing as Azure Storage does. Times are those of the revision's publication."""
    endpoint, _, container = f"{base_url}{listing.container}".rpartition("/")
    moment = format_datetime(modified_at.astimezone(UTC), usegmt=True)
    parts = [
        '<?xml version="1.0" encoding="utf-8"?>',
        f"<EnumerationResults ServiceEndpoint={quoteattr(endpoint + '/')} ContainerName={quoteattr(container)}>",
        _element("Prefix", listing.prefix),
        _element("Marker", listing.marker),
        f"<MaxResults>{listing.size}</MaxResults>",
        _element("Delimiter", listing.delimiter),
        "<Blobs>",
    ]
    for entry in entries:
        if isinstance(entry, str):
            parts.append(f"<BlobPrefix><Name>{escape(entry)}</Name></BlobPrefix>")
            continue
        parts.append(
            f"<Blob><Name>{escape(entry.name)}</Name><Properties>"
            f"<Creation-Time>{moment}</Creation-Time><Last-Modified>{moment}</Last-Modified>"
            f"<Etag>{entry.sha256}</Etag><ResourceType>file</ResourceType>"
            f"<Content-Length>{entry.size_bytes}</Content-Length><Content-Type>{CONTENT_TYPE}</Content-Type>"
            "<Content-Encoding /><Content-Language /><Content-MD5 /><Content-Disposition />"
            f"<Cache-Control>{CACHE_CONTROL}</Cache-Control><BlobType>BlockBlob</BlobType>"
            "<LeaseStatus>unlocked</LeaseStatus><LeaseState>available</LeaseState>"
            "<ServerEncrypted>false</ServerEncrypted></Properties></Blob>"
        )
    parts += ["</Blobs>", f"<NextMarker>{escape(next_marker)}</NextMarker>", "</EnumerationResults>"]
    return "".join(parts).encode()


def _element(name: str, text: str) -> str:
    # Characters that XML cannot hold come only from the caller; nothing of ours begins with such a prefix.
    sent = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return f"<{name}>{escape(sent)}</{name}>" if sent else ""
