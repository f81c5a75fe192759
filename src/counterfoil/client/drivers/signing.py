"""Where the token of a call comes from: a text, a function, a sign-in of our own, or an azure-identity credential.

A credential is asked before every call, so that one that ages is renewed in time; each kind keeps its own token as
long as it is good. When a source refuses a token, the credential is asked once more, and told to forget the old one
where it can be told. What a newcomer would get wrong: an azure-identity credential answers from its cache until it
is given the claims of the challenge.
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

_EARLY_S: Final = 300.0
_CLAIMS: Final = re.compile(r'\bclaims="([A-Za-z0-9+/=_-]+)"')
MICROSOFT_SCOPES: Final = {
    "graph.microsoft.com": "https://graph.microsoft.com/.default",
    "api.partnercenter.microsoft.com": "https://api.partnercenter.microsoft.com/.default",
}
COUNTERFOIL_SCOPE: Final = "api://counterfoil/.default"


class TokenCredential(Protocol):
    """What azure-identity calls a credential; its asynchronous ones are for `AsyncClient` alone."""

    @property
    def get_token(self) -> Callable[..., Any]:
        """Return a token for a scope."""


TokenSource = Callable[[], str]  # one with a method `forget()` is told so before it is asked again after a 401
Credential = str | Callable[[], Any] | TokenCredential


def scope_for(host: str) -> str:
    """Return the scope to ask for at a source."""
    return MICROSOFT_SCOPES.get(host, COUNTERFOIL_SCOPE)


class Signer:
    """A credential of any kind, asked for the token of a call; safe to share between threads."""

    def __init__(self, credential: Credential, scope: str) -> None:
        self._scope = scope
        self._credential: Any = checked_token(credential) if isinstance(credential, str) else credential
        self._lock = threading.Lock()
        self._token = ""
        self._good_until_s = 0.0
        if not isinstance(credential, str) and not callable(credential) and not hasattr(credential, "get_token"):
            raise UsageError(f"A {type(credential).__name__} is no credential.", remedy="Give a token or a function.")

    def token(self, refused: str | None = None) -> str:
        """Return a token; `refused` is the challenge of a source that does not take the last one.

        A text is all there is: '' where it was refused.
        """
        if isinstance(self._credential, str):
            return self._credential if refused is None else ""
        with _in_our_words(), self._lock:
            return self._taken(self._asked(refused))

    async def token_async(self, refused: str | None = None) -> str:
        """Return a token from a credential that may be asynchronous; one that is not is asked in a thread."""
        if isinstance(self._credential, str):
            return self._credential if refused is None else ""
        with _in_our_words():
            given = self._asked(refused) if self.is_asynchronous else await asyncio.to_thread(self._begun, refused)
            return self._taken(await given) if inspect.isawaitable(given) else self._taken(given)

    def _begun(self, refused: str | None) -> Any:
        """Return a token, or the awaitable of one: nobody can tell of `lambda: get_token()` before it was called."""
        with self._lock:
            given = self._asked(refused)
            return given if inspect.isawaitable(given) else self._taken(given)

    @property
    def is_asynchronous(self) -> bool:
        """Whether asking is known to give an awaitable, which only `AsyncClient` can wait for."""
        ask = getattr(self._credential, "get_token", self._credential)
        return inspect.iscoroutinefunction(ask) or inspect.iscoroutinefunction(getattr(ask, "__call__", None))  # noqa: B004

    def check_blocking(self) -> None:
        """Refuse a credential that only an event loop can ask."""
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
                given.close()  # Python complains of those that nobody awaits
            raise _for_the_other_client()
        if not isinstance(given, str):
            raise UsageError(f"The credential gave a {type(given).__name__}, and not a token.")
        return checked_token(given)


@contextmanager
def _in_our_words() -> Iterator[None]:
    """Raise an error of ours for whatever a credential raises: each library has its own, and a function any."""
    try:
        yield
    except CounterfoilError:
        raise
    except Exception as error:
        said = shown(str(error)) or type(error).__name__
        raise SourceError(
            f"The credential gave no token: {said}.", remedy="Nothing was asked of the source. Trying again is safe."
        ) from error


def _for_the_other_client() -> UsageError:
    return UsageError("An asynchronous credential is for AsyncClient.", remedy="Use the blocking one here.")


def checked_token(token: str) -> str:
    """Return a token as it may be sent; raises UsageError for what is none."""
    if not token:
        raise UsageError(
            "There is no token to send.", remedy="Give --token, COUNTERFOIL_TOKEN, or a profile that signs in."
        )
    if not all("!" <= char <= "~" for char in token):
        raise UsageError("The token holds characters that none has.", remedy="Copy it again, without line ends.")
    return token


def _claims(challenge: str) -> str:
    """Return the claims that a challenge asks for, or nothing."""
    found = _CLAIMS.search(challenge)
    if found is None:
        return ""
    try:
        return base64.b64decode(found[1] + "=" * (-len(found[1]) % 4), altchars=b"-_").decode()
    except (binascii.Error, ValueError):
        return ""
