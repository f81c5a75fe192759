"""The claims of a bearer token, and which of them a source will refuse.

A token is read here, never verified: only its issuer's keys could do that, and the source does it anyway. The checks
are for what people often miss: audience, permission, consent, lifetime, clock, tenant, second factor. An
application's permissions are in `roles`, a person's in `scp`; at Partner Center itself an application has neither: it
is registered there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from counterfoil.client.diagnosis.findings import Finding, Health
from counterfoil.client.network.bearer_tokens import scope_for
from counterfoil.client.protocol.addresses import shown
from counterfoil.client.protocol.advice import NO_MFA
from counterfoil.client.protocol.jwt_claims import read_claims
from counterfoil.periods import timestamp
from counterfoil.wire.microsoft_ids import (
    GRAPH_AUDIENCES,
    GRAPH_HOST,
    PARTNER_CENTER_AUDIENCES,
    PARTNER_CENTER_HOST,
    PERMISSION,
)

CLOCK_SKEW_S_MAX: Final = 120
_HOSTS: Final[Mapping[str, str]] = {"graph": GRAPH_HOST, "v1": PARTNER_CENTER_HOST}
_AUDIENCES: Final[Mapping[str, frozenset[str]]] = {
    GRAPH_HOST: frozenset(GRAPH_AUDIENCES),
    PARTNER_CENTER_HOST: frozenset(PARTNER_CENTER_AUDIENCES),
}


def diagnose_token(token: str, host: str, now: datetime, tenant: str = "", api: str = "") -> list[Finding]:
    """Say what a bearer token claims, and which claims a host will refuse, for one of the two APIs.

    `tenant` is the one that is expected.
    """
    claims = read_claims(token)
    if claims is None:
        text = "It is not a JSON Web Token, so its claims cannot be read."
        return [Finding("token", Health.WARNING, text, "If the source refuses it, fetch a new one.")]
    return [
        _owner(claims),
        _lifetime(claims, now),
        _audience(claims, host, api),
        _permission(claims, host),
        _tenant(claims, tenant),
        *_second_factor(claims, host),
    ]


def _is_a_persons(claims: Mapping[str, Any]) -> bool:
    return bool(claims.get("scp")) and claims.get("idtyp") != "app"


def _owner(claims: Mapping[str, Any]) -> Finding:
    whose = "a person's, through the application" if _is_a_persons(claims) else "the application's own,"
    application = _named(claims.get("appid") or claims.get("azp"))
    return Finding("token", Health.GOOD, f"It is {whose} {application}, issued by {_named(claims.get('iss'))}.")


def _lifetime(claims: Mapping[str, Any], now: datetime) -> Finding:
    about = "token: lifetime"
    expires, begins = _moment(claims.get("exp")), _moment(claims.get("nbf") or claims.get("iat"))
    if begins is not None and (begins - now).total_seconds() > CLOCK_SKEW_S_MAX:
        text = f"It is good from {timestamp(begins)} on, and this machine's clock says {timestamp(now)}."
        return Finding(about, Health.BAD, text, "Set this machine's clock: it is behind.")
    if expires is None:
        return Finding(about, Health.WARNING, "It does not say when it expires.")
    left_s = (expires - now).total_seconds()
    if left_s <= 0:
        text = f"It expired at {timestamp(expires)}, and this machine's clock says {timestamp(now)}."
        return Finding(about, Health.BAD, text, "Fetch a new one; if it is new, set this machine's clock.")
    return Finding(about, Health.GOOD, f"It is good until {timestamp(expires)}, {left_s / 60:.0f} minutes more.")


def _moment(seconds: object) -> datetime | None:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < 1e11:
        return None
    return datetime.fromtimestamp(seconds, UTC)


def _audience(claims: Mapping[str, Any], host: str, api: str) -> Finding:
    audience = claims.get("aud")
    named = [audience] if isinstance(audience, str) else _texts(audience)  # one, or several
    made_for = _named(", ".join(named))
    # A Counterfoil has an audience of its own, and takes Microsoft's for the API that is theirs.
    wanted_host = host if host in _AUDIENCES else _HOSTS.get(api, host)
    wanted = _AUDIENCES.get(wanted_host, frozenset())
    others = frozenset().union(*_AUDIENCES.values()) - wanted
    if wanted.intersection(named) or (host not in _AUDIENCES and not others.intersection(named)):
        return Finding("token: audience", Health.GOOD, f"It is made for {made_for}.")
    text = f"It is made for {made_for}, and not for {wanted_host}."
    return Finding("token: audience", Health.BAD, text, f"Ask for the scope {scope_for(host)}.")


def _permission(claims: Mapping[str, Any], host: str) -> Finding:
    about = "token: permission and consent"
    scopes = claims.get("scp")
    held = [*_texts(claims.get("roles")), *(scopes.split() if isinstance(scopes, str) else ())]
    if PERMISSION in held:
        return Finding(about, Health.GOOD, f"It holds {PERMISSION}.")
    if host == PARTNER_CENTER_HOST:
        text = "It names no permission; Partner Center has its own list of the applications that it admits."
        return Finding(
            about, Health.WARNING, text, "If it is refused: add the application in Partner Center, App management."
        )
    if held:
        text = f"It holds {shown(', '.join(held))}, and not {PERMISSION}."
        remedy = f"Add the permission {PERMISSION} to the application and have an administrator consent to it."
        return Finding(about, Health.BAD, text, remedy)
    remedy = (
        f"Add {PERMISSION} as an application permission, then Grant admin consent: without the consent a permission "
        "that was added does not count. A token fetched before that does not have it."
    )
    return Finding(about, Health.BAD, "It holds no permission at all.", remedy)


def _tenant(claims: Mapping[str, Any], expected: str) -> Finding:
    about, tenant = "token: tenant", claims.get("tid")
    if not isinstance(tenant, str) or not tenant:
        return Finding(about, Health.WARNING, "It names no tenant (tid).", "Sign in to a tenant of your own.")
    is_id = expected.count("-") == 4  # a tenant may be named by a domain too, which cannot be compared
    if is_id and tenant.lower() != expected.strip().lower():
        text = f"It is for tenant {_named(tenant)}, and the profile names {expected}."
        return Finding(about, Health.BAD, text, "Sign in to the partner's own tenant.")
    return Finding(about, Health.GOOD, f"It is for tenant {_named(tenant)}.")


def _second_factor(claims: Mapping[str, Any], host: str) -> Iterator[Finding]:
    methods = claims.get("amr")
    if host == PARTNER_CENTER_HOST and _is_a_persons(claims) and not (isinstance(methods, list) and "mfa" in methods):
        text = "It comes from a sign-in without multi-factor authentication."
        yield Finding("token: second factor", Health.BAD, text, NO_MFA)


def _texts(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _named(value: object) -> str:
    return shown(value) if isinstance(value, str) and value else "nobody it names"
