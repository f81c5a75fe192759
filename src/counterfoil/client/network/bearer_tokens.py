"""The bearer token of a call: from a text, a function, a sign-in of our own, or an azure-identity credential.

A credential is asked before every call, so that a token that ages is renewed in time; each kind caches its own. When
a source refuses a token, the credential is asked once more: a function's `forget` is called first, and an
azure-identity credential is given the claims of the challenge, without which it answers from its cache.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import inspect
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol

from counterfoil.client.protocol.addresses import shown
from counterfoil.errors import CounterfoilError, SourceError, UsageError
from counterfoil.wire.microsoft_ids import GRAPH_HOST, PARTNER_CENTER_HOST

_EARLY_S: Final = 300.0
_CLAIMS: Final = re.compile(r'\bclaims="([A-Za-z0-9+/=_-]+)"')
MICROSOFT_HOSTS: Final = (GRAPH_HOST, PARTNER_CENTER_HOST)
COUNTERFOIL_SCOPE: Final = "api://counterfoil/.default"


class TokenCredential(Protocol):
    """A credential of azure-identity; its asynchronous ones are for `AsyncClient` alone."""

    @property
    def get_token(self) -> Callable[..., Any]:
        """Return a token for a scope, or an awaitable of one."""


TokenSource = Callable[[], str]  # if it has a method `forget()`, that is called before it is asked again after a 401
Credential = str | Callable[[], Any] | TokenCredential


def scope_for(host: str) -> str:
    """Return the scope to ask a credential for, by the source's host."""
    return f"https://{host}/.default" if host in MICROSOFT_HOSTS else COUNTERFOIL_SCOPE


class BearerTokens:
    """The tokens of one credential of any kind; threads may share it."""

    def __init__(self, credential: Credential, scope: str) -> None:
        self._scope = scope
        self._credential: Any = checked_token(credential) if isinstance(credential, str) else credential
        self._lock = threading.Lock()
        self._token = ""
        self._good_until_s = 0.0
        if not isinstance(credential, str) and not callable(credential) and not hasattr(credential, "get_token"):
            raise UsageError(
                f"A {type(credential).__name__} is not a credential.", remedy="Give a token or a function."
            )

    def token(self, refused: str | None = None) -> str:
        """Return a token, or '' where there is no other; `refused` is the challenge of a source that refused the last.

        Raises UsageError for what is not a token, SourceError for whatever a credential raises.
        """
        if isinstance(self._credential, str):
            return self._credential if refused is None else ""
        with _credential_errors(), self._lock:
            return self._taken(self._asked(refused))

    async def token_async(self, refused: str | None = None) -> str:
        """Return what `token` does, of an asynchronous credential too; a blocking one is asked in a thread."""
        if isinstance(self._credential, str):
            return self._credential if refused is None else ""
        with _credential_errors():
            given = self._asked(refused) if self.is_asynchronous else await asyncio.to_thread(self._begun, refused)
            return self._taken(await given) if inspect.isawaitable(given) else self._taken(given)

    def _begun(self, refused: str | None) -> Any:
        """Return a token, or the awaitable of one: what `lambda: get_token()` gives is known only once it is called."""
        with self._lock:
            given = self._asked(refused)
            return given if inspect.isawaitable(given) else self._taken(given)

    @property
    def is_asynchronous(self) -> bool:
        """Whether the credential is known to give awaitables, which only `AsyncClient` can await."""
        ask = getattr(self._credential, "get_token", self._credential)
        return inspect.iscoroutinefunction(ask) or inspect.iscoroutinefunction(getattr(ask, "__call__", None))  # noqa: B004

    def check_blocking(self) -> None:
        """Raise UsageError for a credential that only `AsyncClient` can use."""
        if self.is_asynchronous:
            raise _for_the_other_client()

    def _asked(self, refused: str | None) -> Any:
        """Ask the credential: a text, an AccessToken, or an awaitable of either."""
        if not hasattr(self._credential, "get_token"):
            forget = getattr(self._credential, "forget", None)
            if refused is not None and callable(forget):
                forget()
            return self._credential()
        if refused is None and self._token and time.time() < self._good_until_s:
            return self._token
        claims = _claims(refused or "")
        return self._credential.get_token(self._scope, **({"claims": claims} if claims else {}))

    def _taken(self, given: Any) -> str:
        if not isinstance(given, str) and hasattr(given, "token"):
            self._token = checked_token(given.token)
            self._good_until_s = float(given.expires_on) - _EARLY_S
            return self._token
        if inspect.isawaitable(given):
            if inspect.iscoroutine(given):
                given.close()  # Python warns of coroutines that nobody awaits
            raise _for_the_other_client()
        if not isinstance(given, str):
            raise UsageError(f"The credential gave a {type(given).__name__}, and not a token.")
        return checked_token(given)


@contextmanager
def _credential_errors() -> Iterator[None]:
    """Raise an error of ours for whatever a credential raises: each library has its own errors."""
    try:
        yield
    except CounterfoilError:
        raise
    except Exception as error:
        reason = shown(str(error)) or type(error).__name__
        raise SourceError(
            f"The credential gave no token: {reason}.", remedy="Nothing was asked of the source. Trying again is safe."
        ) from error


def _for_the_other_client() -> UsageError:
    return UsageError("An asynchronous credential is for AsyncClient.", remedy="Use its blocking counterpart here.")


def checked_token(token: str) -> str:
    """Return a token as it may be sent; raises UsageError for anything else."""
    if not token:
        raise UsageError(
            "There is no token to send.",
            remedy="Give a token, set COUNTERFOIL_TOKEN, or use a profile that signs in.",
            parameter="token",
        )
    if not all("!" <= char <= "~" for char in token):
        raise UsageError("The token holds characters that none has.", remedy="Copy it again, without line ends.")
    return token


def _claims(challenge: str) -> str:
    """Return the claims that a challenge asks for, or an empty text."""
    found = _CLAIMS.search(challenge)
    if found is None:
        return ""
    try:
        return base64.b64decode(found[1] + "=" * (-len(found[1]) % 4), altchars=b"-_").decode()
    except (binascii.Error, ValueError):
        return ""
