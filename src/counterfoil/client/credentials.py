"""Signing in as an application: client id, and secret or certificate, for a token, renewed before it ends.

The secret goes to the authority only, over https or on this machine. The authority need not be the source: Microsoft's
tokens come from another host than its data; a Counterfoil gives its own.
"""

from __future__ import annotations

import json
import os
import ssl
import threading
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import urlencode

import httpx

from counterfoil.client.network.bearer_tokens import MICROSOFT_HOSTS, scope_for
from counterfoil.client.network.session import open_session
from counterfoil.client.protocol.addresses import Base
from counterfoil.client.protocol.messages import NOT_THE_SOURCE, Answerer, Request
from counterfoil.client.protocol.retries import Patience
from counterfoil.client.signing_certificate import ASSERTION_TYPE, SigningCertificate
from counterfoil.client.transfer.source_calls import CallLog, SourceCalls
from counterfoil.errors import ProofError, UsageError
from counterfoil.settings import Profile

MICROSOFT_AUTHORITY: Final = "https://login.microsoftonline.com"
_EARLY_S: Final = 120.0


class ClientCredentials:
    """Tokens for one application: calling it returns one that stays good for two minutes at least.

    Signs in at `authority`, by default Microsoft's for Microsoft's hosts and else the source itself. Raises UsageError
    for an empty text or an address that must not be given a secret. Threads may share it, and so may clients.
    """

    def __init__(
        self,
        source_url: str,
        *,
        tenant: str,
        client_id: str,
        client_secret: str = "",
        certificate: SigningCertificate | None = None,
        authority: str = "",
        scope: str = "",
        patience: Patience | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        verify: ssl.SSLContext | bool = True,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        needed: dict[str, object] = {"tenant": tenant, "client_id": client_id}
        needed["client_secret"] = client_secret or certificate
        for name, value in needed.items():
            if not value:
                raise UsageError(f"Signing in needs the {name}, and it is empty.")
        host = Base.parse(source_url).origin.host
        self._authority = Base.parse(authority or (MICROSOFT_AUTHORITY if host in MICROSOFT_HOSTS else source_url))
        self._form = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "scope": scope or scope_for(host),
        }
        if certificate is None:
            self._form["client_secret"] = client_secret
        self._certificate = certificate
        self._url = self._authority.join(f"{tenant}/oauth2/v2.0/token")
        self._patience = patience or Patience()
        self._monotonic = monotonic
        self._verify = verify
        self._transport = transport
        self._token = ""
        self._good_until_s = 0.0
        self._lock = threading.Lock()

    def __call__(self) -> str:
        """Return a token, a new one if the last is about to expire.

        Raises NoAnswerError, RefusedError, or ProofError for an answer without a token.
        """
        with self._lock:
            if not self._token or self._monotonic() >= self._good_until_s:
                self._sign_in()
            return self._token

    def forget(self) -> None:
        """Sign in again at the next call: the source refuses the token."""
        self._token = ""

    def _body(self) -> bytes:
        if self._certificate is None:
            return urlencode(self._form).encode()
        assertion = self._certificate.assertion(self._form["client_id"], self._url)
        signed = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}
        return urlencode(self._form | signed).encode()

    def _sign_in(self) -> None:
        request = Request(
            "POST",
            self._url,
            {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"},
            self._body(),
            asked=Answerer.SIGN_IN,
        )
        with open_session(patience=self._patience, verify=self._verify, transport=self._transport) as session:
            answer = SourceCalls(session, self._authority, CallLog()).call(request)
        try:
            body = json.loads(answer.body)
            token, lasts_s = body["access_token"], float(body.get("expires_in", 0))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            token, lasts_s = "", 0.0
        if answer.is_for_people:
            where = self._authority.origin
            raise ProofError(f"{where} answered the sign-in with a page for people.", remedy=NOT_THE_SOURCE)
        if not isinstance(token, str) or not token:
            raise ProofError(f"{self._authority.origin} answered the sign-in with no token that makes sense.")
        self._token = token
        self._good_until_s = self._monotonic() + max(0.0, lasts_s - _EARLY_S)


def _certificate_of(profile: Profile) -> SigningCertificate | None:
    if profile.client_certificate is None:
        return None
    variable = profile.client_certificate_password_env
    if variable and variable not in os.environ:
        raise UsageError(
            f"The environment has no {variable}, where the profile {profile.name!r} has its certificate's password.",
            remedy="Set it; a scheduled task has an environment of its own.",
        )
    return SigningCertificate(profile.client_certificate, os.environ.get(variable, "") if variable else "")


def of_profile(profile: Profile, verify: ssl.SSLContext | bool = True) -> str | ClientCredentials:
    """Return what a profile signs in with: its token, or its client id and secret or certificate; raises UsageError.

    `verify` is for its sign-in, which may be at a host whose certificate a private authority signed, like the source's.
    """
    if profile.token:
        return profile.token
    if profile.client_id:
        return ClientCredentials(
            profile.url,
            tenant=profile.tenant,
            client_id=profile.client_id,
            client_secret=profile.client_secret,
            certificate=_certificate_of(profile),
            authority=profile.authority,
            scope=profile.scope,
            verify=verify,
        )
    raise UsageError(
        f"The profile {profile.name!r} has neither a token nor a client id.",
        remedy="Give it token_env, or tenant, client_id and client_secret_env.",
    )
