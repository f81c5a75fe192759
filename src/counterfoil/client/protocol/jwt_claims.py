"""The claims of a bearer token. They are read here and never verified: only the source can do that."""

from __future__ import annotations

import base64
import json
from typing import Any

from counterfoil.errors import UsageError
from counterfoil.model import tenant_id


def read_claims(token: str) -> dict[str, Any] | None:
    """Return the claims of a JSON Web Token, unverified; None for any other text."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return None
    return claims if isinstance(claims, dict) else None


def as_tenant(value: object) -> str:
    """Return a tenant's id as it is written everywhere, in lower case; '' for anything else."""
    try:
        return tenant_id(value) if isinstance(value, str) else ""
    except UsageError:
        return ""
