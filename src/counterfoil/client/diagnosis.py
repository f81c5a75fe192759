"""What is wrong with a source or a token, found by looking at the token and making one harmless call.

A token is read here, never verified: only its issuer's keys could do that, and the source does it anyway. What is
looked at is what people get wrong - audience, permission, lifetime, tenant - and each finding says how to mend it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any, Final

from counterfoil.client.addresses import Base
from counterfoil.client.http import Connection, TokenSource, open_client
from counterfoil.client.messages import Request
from counterfoil.client.retries import Patience
from counterfoil.errors import CounterfoilError, NoAnswerError, RefusedError
from counterfoil.periods import timestamp

PERMISSION: Final = "PartnerBilling.Read.All"
CLOCK_SKEW_S_MAX: Final = 120
_MFA_CODE: Final = "900421"
_AUDIENCES: Final[Mapping[str, frozenset[str]]] = {
    "graph.microsoft.com": frozenset({"https://graph.microsoft.com", "00000003-0000-0000-c000-000000000000"}),
    "api.partnercenter.microsoft.com": frozenset(
        {"https://api.partnercenter.microsoft.com", "fa3d9a0c-3fb0-42cc-9193-47c7ecd2edbd"}
    ),
}


class Health(StrEnum):
    """How it stands with one thing."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: how it is, and what to do where it is not good."""

    about: str
    health: Health
    told: str
    remedy: str = ""


def diagnose_source(url: str, api: str, token: TokenSource, now: datetime) -> list[Finding]:
    """Look at the token, then make one call that changes nothing; never raises for what is wrong out there."""
    base = Base.parse(url)
    try:
        text = token()
    except CounterfoilError as error:
        return [Finding("signing in", Health.BAD, error.message, error.remedy)]
    findings = diagnose_token(text, base.origin.host, now)
    findings.append(_call(base, api, text, now))
    return findings


def diagnose_token(token: str, host: str, now: datetime) -> list[Finding]:
    """Say what a bearer token claims, and what of it will not do."""
    claims = read_claims(token)
    if claims is None:
        told = "It is no JSON Web Token, so nothing can be told of it."
        return [Finding("token", Health.WARNING, told, "If the source refuses it, fetch a new one.")]
    return [_lifetime(claims, now), _audience(claims, host), _permission(claims), _tenant(claims)]


def read_claims(token: str) -> dict[str, Any] | None:
    """Return the claims of a JSON Web Token, unverified; None if it is none."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return None
    return claims if isinstance(claims, dict) else None


def _lifetime(claims: Mapping[str, Any], now: datetime) -> Finding:
    expires = claims.get("exp")
    if not isinstance(expires, int | float) or not 0 < expires < 1e11:
        return Finding("token: lifetime", Health.WARNING, "It does not say when it expires.")
    left_s = expires - now.timestamp()
    moment = timestamp(datetime.fromtimestamp(expires, UTC))
    if left_s <= 0:
        return Finding("token: lifetime", Health.BAD, f"It expired at {moment}.", "Fetch a new one.")
    return Finding("token: lifetime", Health.GOOD, f"It is good until {moment}, {left_s / 60:.0f} minutes more.")


def _audience(claims: Mapping[str, Any], host: str) -> Finding:
    audience = claims.get("aud")
    wanted = _AUDIENCES.get(host)
    if wanted is None or audience in wanted:
        return Finding("token: audience", Health.GOOD, f"It is made for {audience}.")
    best = min(wanted, key=len) if audience is None else next(name for name in wanted if name.startswith("https"))
    return Finding(
        "token: audience", Health.BAD, f"It is made for {audience}, not for {host}.", f"Ask for scope {best}/.default."
    )


def _permission(claims: Mapping[str, Any]) -> Finding:
    roles, scopes = claims.get("roles") or [], str(claims.get("scp") or "").split()
    held = [*roles, *scopes] if isinstance(roles, list) else scopes
    if PERMISSION in held:
        return Finding("token: permission", Health.GOOD, f"It holds {PERMISSION}.")
    remedy = f"Give the application the permission {PERMISSION} and have an administrator consent to it."
    return Finding("token: permission", Health.BAD, f"It does not hold {PERMISSION}.", remedy)


def _tenant(claims: Mapping[str, Any]) -> Finding:
    tenant = claims.get("tid")
    if tenant:
        return Finding("token: tenant", Health.GOOD, f"It speaks for tenant {tenant}.")
    return Finding("token: tenant", Health.WARNING, "It names no tenant (tid).", "Sign in to a tenant of your own.")


def _call(base: Base, api: str, token: str, now: datetime) -> Finding:
    if api == "v1":
        query = "provider=onetime&invoicelineitemtype=billinglineitems&currencycode=USD&period=current&size=1"
        url = base.join(f"v1/invoices/unbilled/lineitems?{query}")
    else:
        url = base.join("v1.0/reports/partners/billing/operations")
    request = Request("GET", url, {"Accept": "application/json"}, b"")
    try:
        with open_client() as client:
            answer = Connection(client, base, lambda: token, Patience()).call(request)
    except NoAnswerError as error:
        return Finding("source", Health.BAD, error.message, "Check the address, the network and the proxy settings.")
    except RefusedError as error:
        return Finding("source", Health.BAD, error.message, _remedy_for(error))
    except CounterfoilError as error:
        return Finding("source", Health.BAD, error.message, error.remedy)
    skew_s = _skew_s(answer.headers.get("date", ""), now)
    if abs(skew_s) > CLOCK_SKEW_S_MAX:
        told = f"It answers, but its clock and this machine's differ by {abs(skew_s):.0f} seconds."
        return Finding("source", Health.WARNING, told, "Set the clock: tokens and links are judged by it.")
    return Finding("source", Health.GOOD, f"{base.origin} answers, and takes the token.")


def _remedy_for(error: RefusedError) -> str:
    if error.code == _MFA_CODE:
        return "The signed-in user needs multi-factor authentication; an application token does not."
    match error.status:
        case 401:
            return "The token is not good here: look at its audience and lifetime above."
        case 403:
            return f"Give the application {PERMISSION}; on a Counterfoil, register the partner."
        case 404:
            return "The address is no Microsoft Graph, Partner Center or Counterfoil."
        case _:
            return error.remedy


def _skew_s(date: str, now: datetime) -> float:
    try:
        return (parsedate_to_datetime(date) - now).total_seconds()
    except (TypeError, ValueError):
        return 0.0
