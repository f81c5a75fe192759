"""What is wrong with a source, a sign-in or a token, found by looking at the token and making one harmless call.

The call asks for an operation that nobody has (or, in v1, for one line item): a caller who may pull is told that there
is none, and one who may not is refused. A proxy may answer in the source's name: a source answers in JSON with its
request ids, and an HTML page comes from something else.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from counterfoil.client.diagnosis.findings import Finding, Health
from counterfoil.client.diagnosis.token_claims import CLOCK_SKEW_S_MAX, diagnose_token
from counterfoil.client.network.bearer_tokens import TokenSource, checked_token
from counterfoil.client.network.session import open_session
from counterfoil.client.protocol.addresses import Base, host_of, shown
from counterfoil.client.protocol.advice import advice_by_status
from counterfoil.client.protocol.error_answers import RETRIED, error_of, refused
from counterfoil.client.protocol.graph_answers import get_request
from counterfoil.client.protocol.messages import PROXY_SIGN_IN, Answerer, Request, SourceAnswer, Unanswered, http_date
from counterfoil.client.transfer.source_calls import REDIRECTS
from counterfoil.errors import CounterfoilError, NoAnswerError
from counterfoil.wire.graph import BILLING
from counterfoil.wire.microsoft_ids import PARTNER_CENTER_HOST, PERMISSION

_NOBODYS: Final = str(uuid.UUID(int=0))
_NO_LINE: Final = "Check the address, the network and the proxy (HTTPS_PROXY, NO_PROXY)."


def diagnose_source(
    url: str, api: str, token: TokenSource, now: datetime, *, tenant: str = "", proxies: Mapping[str, str] | None = None
) -> list[Finding]:
    """Sign in, look at the token, make one call that changes nothing; never raises for what is wrong out there."""
    base = Base.parse(url)
    findings = list(_proxy(base, proxies or {}))
    try:
        text = checked_token(token())
    except CounterfoilError as error:
        return [*findings, Finding("signing in", Health.BAD, error.message, _sign_in_remedy(error))]
    findings += diagnose_token(text, base.origin.host, now, tenant, api)
    return [*findings, *_call(base, api, text, now)]


def _proxy(base: Base, proxies: Mapping[str, str]) -> Iterator[Finding]:
    proxy = "" if base.origin.is_loopback else proxies.get(base.origin.scheme) or proxies.get("all")
    if proxy and not _is_exempt(base.origin.host, proxies.get("no", "")):
        try:
            parts = urlsplit(proxy)
            port = parts.port
        except ValueError:
            text = f"Calls to {base.origin} would go through a proxy, and its address cannot be read."
            yield Finding("proxy", Health.BAD, text, "Write it as http://HOST:PORT.")
            return
        where = f"{parts.hostname}:{port}" if parts.hostname and port else parts.hostname or "somewhere"
        yield Finding("proxy", Health.GOOD, f"Calls to {base.origin} go through the proxy {where}.")


def _is_exempt(host: str, listed: str) -> bool:
    names = [each.strip().lower().lstrip(".") for each in listed.split(",") if each.strip()]
    return "*" in names or any(host == name or host.endswith(f".{name}") for name in names)


def _sign_in_remedy(error: CounterfoilError) -> str:
    return _NO_LINE if isinstance(error, NoAnswerError) and not error.hopeless else error.remedy


def _call(base: Base, api: str, token: str, now: datetime) -> Iterator[Finding]:
    try:
        with open_session() as session:
            answer = session.send(_harmless(base, api), base, token)
    except CounterfoilError as error:
        yield Finding("source", Health.BAD, error.message, error.remedy)
        return
    if isinstance(answer, Unanswered):
        remedy = answer.remedy if answer.hopeless or answer.remedy == PROXY_SIGN_IN else _NO_LINE
        yield Finding("source", Health.BAD, f"{base.origin} gave no answer: {shown(answer.reason)}.", remedy)
        return
    yield _judged(base, answer)
    yield _clock(answer, now)


def _harmless(base: Base, api: str) -> Request:
    if api == "v1":
        query = "provider=onetime&invoicelineitemtype=billinglineitems&currencycode=USD&period=current&size=1"
        return Request("GET", base.join(f"v1/invoices/unbilled/lineitems?{query}"), {"Accept": "application/json"})
    return get_request(base.join(f"v1.0/{BILLING}/operations/{_NOBODYS}"), client_request_id=str(uuid.uuid4()))


def _judged(base: Base, answer: SourceAnswer) -> Finding:
    status = answer.status
    code, _ = error_of(answer)
    if status in REDIRECTS:
        text = f"{base.origin} redirects to {host_of(answer.headers.get('location', ''))}."
        return Finding(
            "source", Health.BAD, text, "Use that address if it is the source's; a proxy's sign-in page is not."
        )
    if not _is_json(answer.body) and (status == 200 or answer.body.lstrip().startswith(b"<")):
        text = f"{status} and a page for people: something answers in the name of {base.origin}, such as a proxy."
        return Finding("source", Health.BAD, text, "Have your network's people let this address through.")
    if status == 200 or (status in (404, 410) and code and code != "BadRequest"):
        return Finding("source", Health.GOOD, f"{base.origin} answers, and takes the token.")
    error = refused(answer)
    if status in RETRIED:
        return Finding("source", Health.WARNING, error.message, "It is busy or ill. Try again later; that is safe.")
    says_no_more = error.remedy == advice_by_status(Answerer.API, status, is_passing=False)
    remedy = _remedy_for(base, status, error.remedy) if says_no_more else error.remedy
    return Finding("source", Health.BAD, error.message, remedy)


def _remedy_for(base: Base, status: int, otherwise: str) -> str:
    match status:
        case 401:
            return "The token is not good here: look at its audience and lifetime above."
        case 403 if base.origin.host == PARTNER_CENTER_HOST:
            return "Add the application in Partner Center under Account settings, App management."
        case 403:
            return (
                f"Give the application {PERMISSION} with admin consent, in the tenant of a direct partner; "
                "on a Counterfoil, register the partner."
            )
        case 404:
            return "The address is not Microsoft Graph, Partner Center or a Counterfoil; check `url` and `api`."
        case _:
            return otherwise


def _clock(answer: SourceAnswer, now: datetime) -> Finding:
    theirs = http_date(answer.headers.get("date", ""))
    if theirs is None:
        return Finding("clock", Health.WARNING, "The source does not say what time it has.")
    skew_s = (theirs - now).total_seconds()
    if abs(skew_s) <= CLOCK_SKEW_S_MAX:
        return Finding("clock", Health.GOOD, "The source and this machine have the same time.")
    way = "behind" if skew_s > 0 else "ahead"
    text = f"This machine's clock is {abs(skew_s):.0f} seconds {way} of the source's."
    return Finding("clock", Health.BAD, text, "Set it: tokens and signed links are judged by it.")


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True
