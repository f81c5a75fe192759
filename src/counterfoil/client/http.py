"""The thin shell around httpx: calls with a token to one source, and nothing to anybody else.

What a newcomer would get wrong: httpx follows no redirect by itself, but it keeps cookies and it logs every URL at
level INFO, signed queries included; both are switched off here. A redirect of the source to itself is followed, one
to anywhere else is refused before anything is sent.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import Final
from urllib.parse import urljoin

import httpx

from counterfoil.client.addresses import QUERY, Base, Origin, shown, without_query
from counterfoil.client.messages import Answer, Request, request_ids, retry_after_s
from counterfoil.client.refusals import RETRIED, refused
from counterfoil.client.retries import Patience
from counterfoil.errors import CounterfoilError, NoAnswerError, ProofError, RefusedError

USER_AGENT: Final = "counterfoil"
ANSWER_BYTES_MAX: Final = 256 << 20
_TALKATIVE: Final = ("httpx", "httpcore.http11")
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
REDIRECTS_MAX: Final = 3

TokenSource = Callable[[], str]  # one with a method `forget()` is told so before it is asked again after a 401


def open_client(*, verify: ssl.SSLContext | bool = True, transport: httpx.BaseTransport | None = None) -> httpx.Client:
    """Return an httpx client that keeps no cookies, follows no redirects and logs no queries."""
    # These loggers are the whole process's, and so the only place to take the signatures out of what they write.
    for name in _TALKATIVE:
        logging.getLogger(name).addFilter(_hide_queries)
    client = httpx.Client(
        verify=verify,
        transport=transport,
        follow_redirects=False,
        timeout=httpx.Timeout(60.0, connect=20.0, read=180.0),
        headers={"User-Agent": USER_AGENT},
    )
    client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # httpx copies the cookies, not their policy
    return client


def _hide_queries(record: logging.LogRecord) -> bool:
    record.msg = QUERY.sub("", str(record.msg))
    if isinstance(record.args, tuple):
        record.args = tuple(without_query(str(each)) if isinstance(each, httpx.URL) else each for each in record.args)
    return True


class Connection:
    """Calls to one source. Nothing it sends leaves the origin of `base`."""

    def __init__(self, client: httpx.Client, base: Base, token: TokenSource | None, patience: Patience) -> None:
        self._client = client
        self._base = base
        self._token = token
        self._patience = patience

    def call(self, request: Request) -> Answer:
        """Return the answer of a call that succeeded; raises NoAnswerError, RefusedError or ProofError.

        What may pass is tried again, within the bounds of `Patience`.
        """
        attempts = 0
        token = self._token() if self._token else ""
        refreshed = False
        while True:
            attempts += 1
            outcome = self._attempt(request, token)
            if isinstance(outcome, Answer):
                return outcome
            failure, asked_s, again = outcome
            if isinstance(failure, RefusedError) and failure.status == 401 and self._token and not refreshed:
                refreshed = True
                stale, token = token, self._fresh_token()
                if token != stale:
                    continue
            wait_s = self._patience.wait_s(attempts, asked_s) if again else None
            if wait_s is None:
                raise _given_up(failure, attempts, asked_s) if again else failure
            self._patience.sleep(wait_s)

    def _fresh_token(self) -> str:
        assert self._token is not None
        forget = getattr(self._token, "forget", None)
        if callable(forget):
            forget()
        return self._token()

    def _attempt(self, request: Request, token: str) -> Answer | tuple[CounterfoilError, float | None, bool]:
        """Return the answer, or why there is none, how long the source asks to wait, and whether to try again."""
        try:
            answer = self._follow(request, token)
        except httpx.InvalidURL:
            raise ProofError(f"{shown(request.url)!r} is no address that can be asked.") from None
        except httpx.RequestError as error:
            return no_answer(request, error), None, not _is_hopeless(error)
        if 200 <= answer.status < 300:
            return answer
        asked_s = retry_after_s(answer.headers, self._patience.now())
        return refused(answer), asked_s, answer.status in RETRIED

    def _follow(self, request: Request, token: str) -> Answer:
        url = request.url
        for _ in range(REDIRECTS_MAX + 1):
            answer = self._once(Request(request.method, url, request.headers, request.body), token)
            if answer.status not in REDIRECTS:
                return answer
            location = urljoin(url, answer.headers.get("location", ""))
            if not self._is_own(location):
                raise RefusedError(
                    f"{self._base.origin} redirects to {_host_of(location)}, and the token is for {self._base.origin} "
                    f"only ({answer.request_ids}).",
                    status=answer.status,
                    request_ids=answer.request_ids,
                    remedy="Nothing was sent there. If that host is the source's own, use it as the base URL.",
                )
            if request.method != "GET":
                raise refused(answer)
            url = location
        raise ProofError(f"{without_query(request.url)} redirects in a circle ({answer.request_ids}).")

    def _once(self, request: Request, token: str) -> Answer:
        # The one gate through which a token leaves: whatever led here, another origin gets nothing.
        # Both readings of the URL must agree: the standard library's, and that of the library that sends.
        url = httpx.URL(request.url)
        sent_to = Origin.of(f"{url.scheme}://{url.netloc.decode('ascii')}")
        if not self._is_own(request.url) or sent_to != self._base.origin:
            raise ProofError(f"{_host_of(request.url)} is not {self._base.origin}; nothing was sent there.")
        headers = dict(request.headers)
        if token:
            headers["Authorization"] = f"Bearer {token}"
        with self._client.stream(request.method, url, headers=headers, content=request.body or None) as response:
            return Answer(request, response.status_code, lower(response.headers), _body(request, response))

    def _is_own(self, url: str) -> bool:
        try:
            return Origin.of(url) == self._base.origin
        except ValueError:
            return False


def lower(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers by lower-case name."""
    return {name.lower(): value for name, value in headers.items()}


def no_answer(request: Request, error: httpx.RequestError) -> NoAnswerError:
    """Return our error for a call that got no whole answer."""
    reason = shown(str(error)) or type(error).__name__
    remedy = "Trying again is safe."
    if _is_hopeless(error):
        remedy = "Its certificate is not trusted here: name the CA's file in SSL_CERT_FILE if it is your own."
    ids = request_ids(request)
    where = f"{request.method} {without_query(request.url)}"
    return NoAnswerError(f"{where} got no answer: {reason}" + (f" ({ids})." if ids else "."), remedy=remedy)


def _is_hopeless(error: httpx.RequestError) -> bool:
    return "CERTIFICATE_VERIFY_FAILED" in str(error) or isinstance(error, httpx.UnsupportedProtocol)


def _given_up(failure: CounterfoilError, attempts: int, asked_s: float | None) -> CounterfoilError:
    asked = f" The source asks to wait {asked_s:.0f} s." if asked_s else ""
    failure.message = f"{failure.message.rstrip('.')}, after {attempts} attempts.{asked}"
    return failure


def _body(request: Request, response: httpx.Response) -> bytes:
    pieces: list[bytes] = []
    size = 0
    for piece in response.iter_bytes():
        size += len(piece)
        if size > ANSWER_BYTES_MAX:
            raise ProofError(f"{without_query(request.url)} answers with more than {ANSWER_BYTES_MAX >> 20} MiB.")
        pieces.append(piece)
    return b"".join(pieces)


def _host_of(url: str) -> str:
    try:
        return str(Origin.of(url))
    except ValueError:
        return shown(url) or "nowhere"
