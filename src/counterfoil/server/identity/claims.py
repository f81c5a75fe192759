"""What is read of every token, whoever issued it and whether it is proven or only told of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

TOKEN_LENGTH_MAX: Final = 16 * 1024
_CLIENT: Final = ("azp", "appid", "client_id", "sub")
# PyJWT proves the signature and reads the claims. Their meaning is checked here, with our own clock.
SIGNATURE_ONLY: Final[Any] = {
    "verify_signature": True,
    **dict.fromkeys(("verify_exp", "verify_nbf", "verify_iat", "verify_aud", "verify_iss", "verify_sub"), False),
    "verify_jti": False,
}


def client_in(claims: Mapping[str, Any]) -> str:
    """Return the client that the claims name; '' where they name none."""
    named = (claims.get(name) for name in _CLIENT)
    return next((text for text in named if isinstance(text, str) and text), "")
