"""The one table of all faults. Plans, `Server.fail`, seeds and the documentation derive from it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from counterfoil.server.faults.blobs import BLOBS
from counterfoil.server.faults.bodies import BODIES
from counterfoil.server.faults.manifests import MANIFESTS
from counterfoil.server.faults.operations import OPERATIONS
from counterfoil.server.faults.paging import PAGES
from counterfoil.server.faults.refusing import ERRORS, OUTAGES
from counterfoil.server.faults.shapes import Fault
from counterfoil.server.faults.spelling import SPELLINGS

FAULTS: Final[tuple[Fault, ...]] = (
    *OUTAGES,
    *BODIES,
    *OPERATIONS,
    *MANIFESTS,
    *BLOBS,
    *PAGES,
    *SPELLINGS,
    *ERRORS,
)
BY_NAME: Final[Mapping[str, Fault]] = MappingProxyType({fault.name: fault for fault in FAULTS})
