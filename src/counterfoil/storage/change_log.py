"""What is written beside the files, so that a catalog that was lost or set back is noticed and can be rebuilt.

`catalog.json` holds the catalog's random id and its counter of changes that must not be lost: commits, restores,
withdrawals, revocations, removals of partners. A change is committed first and then written here, before success is
reported. So after a crash the mark may be behind the catalog, never ahead of it: a catalog that is behind its mark has
lost something.

Each commit, restore and withdrawal also leaves a file of its own that says which revisions it put in force, and each
sealed publication a listing of what it holds. Together they are enough to rebuild the catalog.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final

from counterfoil.errors import DamagedError, LostCatalogError
from counterfoil.storage.files import Files
from counterfoil.storage.locks import Locks
from counterfoil.storage.places import CATALOG_MARK, LISTINGS, change_path

Document = Mapping[str, Any]
_FORM: Final = 2
_LOCK: Final = "the change log"
_REBUILD: Final = "Bring the newest catalog back from a backup, or make one of the sealed files: counterfoil rebuild"


@dataclass(frozen=True, slots=True)
class Mark:
    """Which catalog the files belong to, and how many changes it had made when it was last written here."""

    catalog: str
    counter: int


class ChangeLog:
    """The mark and the changes beside a store's files."""

    def __init__(self, files: Files, locks: Locks) -> None:
        self._files = files
        self._locks = locks

    def mark(self) -> Mark | None:
        """Return the mark, None where nothing was ever written; raises LostCatalogError for a damaged one."""
        content = self._files.get(CATALOG_MARK)
        if content is None:
            return None
        try:
            body = unsealed(content, CATALOG_MARK)
            return Mark(str(body["catalog"]), int(body["counter"]))
        except (DamagedError, KeyError, ValueError) as error:
            raise LostCatalogError(
                f"The stored file {CATALOG_MARK}, which says which catalog the files belong to, is damaged.",
                remedy="Bring it back from a backup, or take the catalog as it is with `counterfoil rebuild`.",
                parameter="keep_catalog",
            ) from error

    def alone(self) -> AbstractContextManager[None]:
        """Hold the log: nobody else writes to it meanwhile."""
        return self._locks.wait(_LOCK)

    def write(self, mark: Mark, changes: Mapping[int, Document]) -> None:
        """Write changes and then the mark, durably; `alone` must be held."""
        for counter, document in sorted(changes.items()):
            if document:
                self._files.put(change_path(counter), sealed(document))
        self._files.put(CATALOG_MARK, sealed({"catalog": mark.catalog, "counter": mark.counter}))

    def refuse_without_catalog(self) -> None:
        """Raise LostCatalogError if there are files that a new catalog would not list."""
        mark = self.mark()
        if (mark is not None and mark.counter) or next(iter(self._files.find(LISTINGS)), None) is not None:
            raise LostCatalogError(
                "The catalog of this data folder is missing, and its sealed files are there.", remedy=_REBUILD
            )

    def refuse_another(self, mark: Mark | None, catalog: str, counter: int) -> None:
        """Raise LostCatalogError unless the files belong to this catalog, in this state or an earlier one."""
        if mark is None:
            if counter == 0:
                self.refuse_without_catalog()
                return
            told = f"The stored file {CATALOG_MARK} is missing: these are not the files of this catalog."
            remedy = "Bring the files back from a backup, or take the catalog as it is with `counterfoil rebuild`."
            raise LostCatalogError(told, remedy=remedy, parameter="keep_catalog")
        if mark.catalog != catalog:
            raise LostCatalogError(
                "The catalog and the files of this data folder do not belong together.", remedy=_REBUILD
            )
        if mark.counter > counter:
            lost = mark.counter - counter
            raise LostCatalogError(
                f"The catalog went back in time: it lacks the last {lost} of {mark.counter} changes "
                "(publications, restores, withdrawals, revocations).",
                remedy=_REBUILD,
            )


def sealed(document: Document) -> bytes:
    """Return a JSON document with its form and the SHA-256 of itself."""
    body = {**document, "form": _FORM}
    return _text({**body, "sha256": hashlib.sha256(_text(body)).hexdigest()})


def unsealed(content: bytes, path: str) -> dict[str, Any]:
    """Return what `sealed` was given; raises DamagedError unless every byte is as written."""
    try:
        body = json.loads(content)
        said = body.pop("sha256")
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise DamagedError(f"The stored file {path} is damaged.") from error
    if said != hashlib.sha256(_text(body)).hexdigest() or body.pop("form", None) != _FORM:
        raise DamagedError(f"The stored file {path} is damaged, or of another form.")
    return dict(body)


def _text(body: Document) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")
