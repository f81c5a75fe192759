"""What our client makes of each fault alone: the table that the matrix is held against, and that the docs show.

A pull ends `proven` unless something else stands here, by fault, or by fault and the request that it strikes. An
error is as good an outcome as success where nobody can have the data. Success with other data must never happen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

PROVEN: Final = "proven"
VARYING: Final = frozenset({"flipped-json"})  # it may strike an id, which is another one each time
UNPROVEN: Final[Mapping[str, str]] = {
    "shortened token": "ProofError",
    "operation-stuck": "OperationTimeoutError",
    "operation-failed": "OperationFailedError",
    "operation-unknown": "ProofError",
    "submit-without-location": "ProofError",
    "submit-elsewhere": "ProofError",
    "redirected": "RefusedError",
    "manifest-miscounted": "ProofError",
    "manifest-short": "ProofError",
    "manifest-doubled": "ProofError",
    "manifest-empty": "ProofError",
    "manifest-elsewhere": "ProofError",
    "manifest-climbing": "ProofError",
    "unannotated": "transport-checked",
    "blob-missing": "RefusedError",
    "blob-swapped": "ProofError",
    "page-skipped": "ProofError",
    "page-looping": "ProofError",
    "page-ends-early": "ProofError",
    "graph-bad-request": "RefusedError",
    "graph-token-empty": "RefusedError",
    "graph-denied": "RefusedError",
    "graph-denied-silently": "RefusedError",
    "graph-not-found manifest": "RefusedError",
    "graph-unknown-segment": "RefusedError",
    "graph-wrong-method": "RefusedError",
    "graph-gone manifest": "RefusedError",
    "graph-wrong-media": "RefusedError",
    "v1-no-mfa": "RefusedError",
    "v1-denied": "RefusedError",
    "v1-not-found": "RefusedError",
    "v1-invalid": "RefusedError",
    "v1-invalid-query": "RefusedError",
    "v1-not-acceptable": "RefusedError",
    "v1-conflict": "RefusedError",
    "v1-precondition": "RefusedError",
    "v1-not-defined": "RefusedError",
    "storage-mismatch": "RefusedError",
    "token-wrong-secret": "RefusedError",
    "token-unknown-client": "RefusedError",
    "login-page": "ProofError",
}


def outcome_of(fault: str, route: str) -> str:
    """Return what comes of a pull that meets a fault on a kind of request."""
    return UNPROVEN.get(f"{fault} {route}", UNPROVEN.get(fault, PROVEN))


def outcomes_of(fault: str) -> str:
    """Return what comes of it wherever it strikes, as people read it."""
    if fault in VARYING:
        return f"{PROVEN}, or an error"
    said = [_shown(UNPROVEN.get(fault, PROVEN))]
    for name, outcome in UNPROVEN.items():
        struck, _, route = name.partition(" ")
        if struck == fault and route:
            said.append(f"on `{route}` {_shown(outcome)}")
    return "; ".join(said)


def _shown(outcome: str) -> str:
    return f"`{outcome}`" if outcome.endswith("Error") else outcome
