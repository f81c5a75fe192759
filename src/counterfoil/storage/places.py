"""Where each stored file is: a function of publication, dataset, segment, rendering and part, and of nothing else.

    lake/kind=usage/partner=TENANT/scope=2026-11.EUR/segment=whole/PUBLICATION-s0-p00000.parquet
    graph/TENANT/PUBLICATION-s0-p00000.full.json.gz
    v1/TENANT/PUBLICATION-s0-p00000.v1
    publications/PUBLICATION.json        what a sealed publication holds
    changes/000000000012.json            one change: a commit, restore, withdrawal or revocation
    catalog.json                         which catalog these files belong to, and its counter
    unlisted/...                         files that no catalog lists, kept until an operator deletes them

The lake has its own root, in folders that every engine reads as partition columns; their values are made of
`A-Za-z0-9._~-` only. Each attempt to publish uses new names, so no file is ever written twice.
"""

from __future__ import annotations

import re
from collections.abc import Container
from typing import Final

from counterfoil.errors import DamagedError
from counterfoil.model import Dataset, Rendering

CATALOG_MARK: Final = "catalog.json"
LISTINGS: Final = "publications/"
CHANGES: Final = "changes/"
UNLISTED: Final = "unlisted/"
_SUFFIXES: Final = {
    Rendering.LAKE: ".parquet",
    Rendering.GRAPH_FULL: ".full.json.gz",
    Rendering.GRAPH_BASIC: ".basic.json.gz",
    Rendering.V1: ".v1",
}
_PATH: Final = re.compile(r"(?:[A-Za-z0-9_~-][A-Za-z0-9._~=-]{0,254}/)*[A-Za-z0-9_~-][A-Za-z0-9._~=-]{0,254}", re.ASCII)
_CHANGE: Final = re.compile(r"(?:unlisted/(?:older/)*)?changes/([0-9]{12,})\.json", re.ASCII)
_OF_PUBLICATION: Final = re.compile(r"(?:.*/)?([0-9a-f]{32})[-.][^/]*", re.ASCII)
_PLAIN: Final = re.compile(r"[A-Za-z0-9._-]", re.ASCII)


def place_of(publication: str, dataset: Dataset, segment: str, rendering: Rendering, number: int, part: int) -> str:
    """Return the path of one part's file; `number` distinguishes the segments of one publication."""
    name = f"{publication}-s{number}-p{part:05}{_SUFFIXES[rendering]}"
    if rendering is not Rendering.LAKE:
        root = "v1" if rendering is Rendering.V1 else "graph"
        return f"{root}/{_value(dataset.partner)}/{name}"
    scope = dataset.scope
    covers = f"invoice.{_value(scope.invoice)}" if scope.is_billed else f"{scope.period}.{scope.currency}"
    folders = f"kind={dataset.kind}/partner={_value(dataset.partner)}/scope={covers}/segment={_value(segment)}"
    return f"lake/{folders}/{name}"


def listing_of(publication: str) -> str:
    """Return the path of a publication's listing."""
    return f"{LISTINGS}{publication}.json"


def change_path(counter: int) -> str:
    """Return the path of a change; they sort by their numbers."""
    return f"{CHANGES}{counter:012}.json"


def change_of(path: str) -> int | None:
    """Return the number of the change that a path is of, also of one set aside; None for what is no change."""
    found = _CHANGE.fullmatch(path)
    return None if found is None else int(found[1])


def set_aside(path: str, taken: Container[str]) -> str:
    """Return the path among the unlisted files for a file at `path`, where some paths are taken."""
    place = UNLISTED + path
    while place in taken:
        place = f"{UNLISTED}older/{place.removeprefix(UNLISTED)}"
    return place


def publication_of(path: str) -> str | None:
    """Return the publication that a path's name begins with; None if there is none."""
    found = _OF_PUBLICATION.fullmatch(path)
    return None if found is None else found[1]


def checked(path: str) -> str:
    """Return a stored path that cannot lead outside the files; raises DamagedError for any other."""
    if _PATH.fullmatch(path) is None:
        raise DamagedError(f"{path!r} is not the path of a stored file.")
    return path


def _value(text: str) -> str:
    """Write a text in characters that are safe in folder names and URLs: others become `~` and two hex digits."""
    return "".join(
        char if _PLAIN.fullmatch(char) else "".join(f"~{byte:02X}" for byte in char.encode()) for char in text
    )
