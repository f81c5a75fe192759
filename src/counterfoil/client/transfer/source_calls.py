"""Calls to one source: which token goes along, what is tried again, and which redirect is followed.

Every call of these APIs only reads, the submit of an export too (it has an Idempotency-Key), so each may be repeated
as it is, with the same ids. A redirect of the source to itself is followed; one to anywhere else is refused before
anything is sent there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from counterfoil.client.network.session import Session
from counterfoil.client.protocol.addresses import Base, host_of, redirected, without_query
from counterfoil.client.protocol.error_answers import RETRIED, refused
from counterfoil.client.protocol.jwt_claims import as_tenant, read_claims
from counterfoil.client.protocol.messages import (
    Request,
    SourceAnswer,
    Unanswered,
    own_ids,
    request_ids,
    retry_after_s,
)
from counterfoil.client.protocol.promised_totals import GarbledError
from counterfoil.errors import CounterfoilError, NoAnswerError, ProofError, RefusedError

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
REDIRECTS_MAX: Final = 3
WRONG_MAX: Final = 3  # a bit may flip on the way; data that arrives wrong this often is wrong at the source

Got = TypeVar("Got")
Read = TypeVar("Read")


class CallLog:
    """The ids of every call, in order, each once, and the tenant of the token; threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[str, None] = {}
        self.tenant = ""  # of the token, if it names one

    def note(self, request: Request) -> None:
        """Keep the ids of a call."""
        self.remember(own_ids(request))

    def remember(self, ids: Iterable[str]) -> None:
        """Keep the ids of a call, or of those that an earlier run made."""
        with self._lock:
            self._seen.update(dict.fromkeys(ids))

    @property
    def ids(self) -> tuple[str, ...]:
        """All ids so far."""
        with self._lock:
            return tuple(self._seen)


@dataclass(frozen=True, slots=True)
class SourceCalls:
    """Calls to the source at `base`, with the session's token, if it has one. Nothing it sends leaves that origin."""

    session: Session
    base: Base
    log: CallLog

    def call(self, request: Request) -> SourceAnswer:
        """Return the answer of a call that succeeded; raises NoAnswerError, RefusedError or ProofError.

        What may pass is tried again, within the bounds of `Patience`; a 401 once, with a new token.
        """
        session = self.session
        self.log.note(request)
        attempts = Attempts(session)
        token = session.token()
        self.log.tenant = as_tenant((read_claims(token) or {}).get("tid")) or self.log.tenant
        refreshed = False
        while True:
            attempts.made += 1
            answer = self._follow(request, token)
            if isinstance(answer, SourceAnswer) and 200 <= answer.status < 300:
                return answer
            if isinstance(answer, SourceAnswer) and answer.status == 401 and not refreshed:
                refreshed = True
                if fresh := session.token(refused=answer.headers.get("www-authenticate", "")):
                    token = fresh
                    continue
            attempts.failed(request, answer)

    def read(self, make: Callable[[], Request], reader: Callable[[SourceAnswer], Read]) -> Read:
        """Make a call and read its answer; one that cannot be read is asked for again, as a new call."""
        return until_right(self.session, lambda: self.call(make()), reader, GarbledError)

    def _follow(self, request: Request, token: str) -> SourceAnswer | Unanswered:
        url = request.url
        for _ in range(REDIRECTS_MAX + 1):
            asked = replace(request, url=url)
            answer = self.session.send(asked, self.base, token)
            if isinstance(answer, Unanswered) or answer.status not in REDIRECTS:
                return answer
            location = redirected(url, answer.headers.get("location", ""))
            if not self.base.is_at(location):
                raise RefusedError(
                    f"{self.base.origin} redirects to {host_of(location)}, and the token is for {self.base.origin} "
                    f"only ({answer.request_ids}).",
                    status=answer.status,
                    request_ids=answer.request_ids,
                    remedy="Nothing was sent there. If that host is the source's own, use it as the base URL; if it is "
                    "the sign-in of a network, sign in there first.",
                )
            if request.method != "GET":
                raise refused(answer)
            url = location
        raise ProofError(f"{without_query(request.url)} redirects in a circle ({request_ids(request)}).")


@dataclass(slots=True)
class Attempts:
    """The attempts of one call, and the waits between them. `retried`: the statuses after which there is another."""

    session: Session
    retried: frozenset[int] = RETRIED
    made: int = 0

    def failed(self, request: Request, answer: SourceAnswer | Unanswered) -> None:
        """Wait before the next attempt; raises the error for the answer where there is none."""
        patience = self.session.patience
        failure: CounterfoilError
        if isinstance(answer, Unanswered):
            failure, asked_s, again = _no_answer(request, answer), None, not answer.hopeless
        else:
            failure, again = refused(answer), answer.status in self.retried
            asked_s = retry_after_s(answer.headers, patience.now())
        if not again:
            raise failure
        wait_s = patience.wait_s(self.made, asked_s)
        if wait_s is None:
            asked = f" The source asks to wait {asked_s:.0f} s." if asked_s else ""
            times = f"{self.made} attempt{'s' * (self.made != 1)}"
            failure.message = f"{failure.message.rstrip('.')}, after {times}.{asked}"
            raise failure
        self.session.wait(wait_s)


def until_right(session: Session, get: Callable[[], Got], read: Callable[[Got], Read], wrong: type[ProofError]) -> Read:
    """Get something and read it, again while that finds it `wrong`; raises the error once that was often enough."""
    times = 0
    while True:
        got = get()
        try:
            return read(got)
        except wrong:
            times += 1
            wait_s = session.patience.wait_s(times, None)
            if wait_s is None or times == WRONG_MAX:
                raise
        session.wait(wait_s)


def _no_answer(request: Request, failed: Unanswered) -> NoAnswerError:
    ids = request_ids(request)
    where = f"{request.method} {without_query(request.url)}"
    message = f"{where} got no answer: {failed.reason}" + (f" ({ids})." if ids else ".")
    return NoAnswerError(message, remedy=failed.remedy, hopeless=failed.hopeless)
