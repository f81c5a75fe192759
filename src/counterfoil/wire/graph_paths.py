"""The addresses of Microsoft Graph's billing exports, in every spelling that clients are known to use.

The generated SDKs never POST to `.../export`, as the documentation has it, but to
`.../microsoft.graph.partners.billing.export`; another one drops `microsoft.graph.`. A base URL that ends with a slash
leads to a double slash.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, TypeAlias
from urllib.parse import quote, unquote

from counterfoil.errors import NotFoundError, shortened
from counterfoil.wire.graph import NAMESPACE, VERSIONS

EXPORT_ACTIONS: Final = ("export", f"{NAMESPACE}.export", "partners.billing.export")

_KEYED: Final = re.compile(r"(operations|manifests)\((.*)\)", re.IGNORECASE | re.DOTALL)
_ACTIONS: Final = dict.fromkeys(EXPORT_ACTIONS, "export")
_ANY: Final = "*"  # an object id

_Tree: TypeAlias = "dict[str, _Tree]"


def _tree(version: str) -> _Tree:
    export: _Tree = {"export": {}}
    collection: _Tree = {"$count": {}, _ANY: {}}
    billing: _Tree = {
        "reconciliation": {"billed": export, "unbilled": export},
        "usage": {"billed": export, "unbilled": export},
        "operations": collection,
        "manifests": collection,
    }
    if version == "beta":
        billing["aggregatedUsage"] = {"billed": export}
    return {"reports": {"partners": {"billing": billing}}}


_TREES: Final = {version: _tree(version) for version in VERSIONS}


def canonical_path(raw_path: str) -> str:
    """Return the one spelling of a Graph path that our routes know; raises NotFoundError for a foreign segment.

    `raw_path` is still percent-encoded. Any letter case, doubled and trailing slashes, the three names of the
    export action and `operations('id')` are accepted. An object id stays encoded, so that a slash in it is not
    taken for a separator, and becomes lower case: ours are GUIDs.
    """
    first, *rest = [unquote(part) for part in raw_path.split("/") if part]
    version = first.lower()
    node = _TREES.get(version, {})
    found = [version]
    for segment in _keys_apart(rest):
        lowered = segment.lower()
        lowered = _ACTIONS.get(lowered, lowered)
        name = next((name for name in node if name.lower() == lowered), _ANY if _ANY in node else None)
        if name is None:
            raise NotFoundError(f"Resource not found for the segment '{shortened(segment)}'.", code="BadRequest")
        found.append(quote(lowered, safe="") if name == _ANY else name)
        node = node[name]
    return "/" + "/".join(found)


def _keys_apart(segments: Sequence[str]) -> list[str]:
    apart: list[str] = []
    for segment in segments:
        match = _KEYED.fullmatch(segment)
        if match is None:
            apart.append(segment)
        else:
            apart += [match[1], match[2].removeprefix("'").removesuffix("'")]
    return apart
