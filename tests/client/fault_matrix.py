"""One pull from a source with faults, compared with the right data: what our client makes of it, in a few words.

A fault may not have struck (no v1 walk asks for a blob), and then it must have no effect. And a pull that failed must
not block the next one: it is repeated, from a source without faults.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq

from counterfoil.client import Api, AsyncClient, Client, ClientCredentials, Format, Proof, Receipt, ask_unbilled
from counterfoil.client.protocol.retries import Patience
from counterfoil.columns import EXTRA, Type, table_of
from counterfoil.errors import CounterfoilError
from counterfoil.line_items.lake import text_name
from counterfoil.model import Kind
from counterfoil.testing import Server
from counterfoil.testing.faults.fault_plan import Rule
from tests.testing.fault_calls import NOW, PAGE_SIZE, publish, recoverable

USAGE: Final = table_of(Kind.USAGE)
MOMENT: Final = datetime.fromisoformat(NOW)
WAIT_S_MAX: Final = 60.0
NO_TLS: Final = False  # there is none here, and reading the system's authorities takes longer than a pull
ASK: Final = ask_unbilled(Kind.USAGE, "current", "EUR", now=MOMENT)
Rows = Counter[tuple[Any, ...]]
Puller = Callable[[Server, Path, Api], Receipt]


@contextmanager
def source() -> Iterator[Server]:
    """A server with three blobs of usage, and six pages of it."""
    with Server(now=NOW) as server:
        publish(server)
        yield server


def patience() -> Patience:
    """Waits that take no time, though the clock goes on."""
    now = [0.0]

    def sleep(wait_s: float) -> None:
        now[0] += wait_s

    async def async_sleep(wait_s: float) -> None:
        now[0] += wait_s

    return Patience(sleep=sleep, async_sleep=async_sleep, draw=lambda: 0.5, monotonic=lambda: now[0])


class _SigningIn:
    """Signs in at the server's own authority, and shows another token each time it had to.

    Entra's tokens are never twice the same; ours are, if they were issued in the same second.
    """

    def __init__(self, server: Server, waits: Patience) -> None:
        self._server = server
        self._forgotten = 0
        self._credentials = ClientCredentials(
            server.url, tenant=server.partner, client_id="matrix", client_secret="any", patience=waits, verify=NO_TLS
        )

    def __call__(self) -> str:
        token = self._credentials()
        if not self._forgotten:
            return token
        claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        issued_at = datetime.now(UTC) - timedelta(seconds=self._forgotten)
        return self._server.token(claims["aud"], issued_at=issued_at)

    def forget(self) -> None:
        self._forgotten += 1
        self._credentials.forget()


def pull(server: Server, to: Path, api: Api) -> Receipt:
    """Pull through the public surface."""
    with Client(server.url, **_with(server)) as client:
        return client.pull(ASK, to, api=api, format=Format.PARQUET)


def pull_async(server: Server, to: Path, api: Api) -> Receipt:
    """Pull through the other one."""

    async def pulled() -> Receipt:
        async with AsyncClient(server.url, **_with(server)) as client:
            return await client.pull(ASK, to, api=api, format=Format.PARQUET)

    return asyncio.run(pulled())


def _with(server: Server) -> dict[str, Any]:
    waits = patience()
    return {
        "credential": _SigningIn(server, waits),
        "wait_s_max": WAIT_S_MAX,
        "page_size_items": PAGE_SIZE,
        "patience": waits,
        "verify": NO_TLS,
    }


def rows_of(folder: Path, receipt: Receipt) -> Rows:
    """What a pull brought, with every spelling that means the same made the same."""
    rows: Rows = Counter()
    for file in receipt.files:
        table = pq.read_table(folder / file.name)
        columns = []
        for column in USAGE.columns:
            name = text_name(column)
            columns.append([_meaning(column.type, text) for text in table.column(name).to_pylist()])
        columns.append([_known(text) for text in table.column(EXTRA).to_pylist()])
        rows.update(zip(*columns, strict=True))
    return rows


def _meaning(kind: Type, text: str | None) -> object:
    if not text:
        return None
    if kind is Type.NUMBER:
        return Decimal(text)
    if kind is Type.DATE:
        moment = datetime.fromisoformat(text)
        return None if moment.year == 1 else moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    return text


def _known(extra: str | None) -> str | None:
    kept = {name: value for name, value in json.loads(extra or "{}").items() if name != "AttributeOfTheFuture"}
    return json.dumps(kept) if kept else None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a pull; `wrong` says why that must not be, and is empty where it may."""

    what: str
    wrong: str = ""


def judge(server: Server, rules: Sequence[Rule], right: Rows, to: Path, api: Api, pull: Puller = pull) -> Verdict:
    """Pull from a source with these faults; then, if that failed, once more when it is well."""
    server.heal()
    for rule in rules:
        given = {"on": rule.on, "times": rule.times, "skip": rule.skip, **rule.given}
        given |= {"at": rule.at} if rule.at else {}
        if rule.fault.remakes or rule.fault.steady:
            del given["times"], given["skip"]
        server.fail(rule.fault.name, **given)
    try:
        receipt = pull(server, to, api)
    except CounterfoilError as error:
        failed = f"{type(error).__name__}: {error}"
        verdict = Verdict(_public(type(error)), _not_to_fail(server, rules, failed))
        return verdict if verdict.wrong else _again(server, right, to, api, verdict, pull)
    except Exception as error:  # noqa: BLE001 - a client has one family of errors, and this is another
        return Verdict("crash", f"{type(error).__name__}: {error}")
    struck = server.struck()
    data_is_right = rows_of(to, receipt) == right
    if not data_is_right and "unannotated" in struck and receipt.proof is not Proof.PROVEN and receipt.unchecked:
        return Verdict("wrong, and says what could not be checked")
    if not data_is_right:
        return Verdict("success", f"success with wrong data ({receipt.proof}, {receipt.line_items} line items)")
    if struck.get("unannotated") and receipt.proof is Proof.PROVEN:
        return Verdict("success", "proven, and nothing was vouched for")
    if "unannotated" not in struck and "flipped-json" not in struck and receipt.proof is not Proof.PROVEN:
        return Verdict("success", f"{receipt.proof}, although all is vouched for: {receipt.unchecked}")
    return Verdict(str(receipt.proof))


def _public(kind: type[BaseException]) -> str:
    """Return the name of an error as `counterfoil.errors` has it: the client's own rooms know finer ones."""
    return next(each.__name__ for each in kind.__mro__ if each.__module__ == "counterfoil.errors")


def _not_to_fail(server: Server, rules: Sequence[Rule], failed: str) -> str:
    struck = server.struck()
    if not any(struck.values()) and not any(rule.fault.remakes for rule in rules):
        return f"failed, and nothing struck: {failed}"
    if all(recoverable(rule) or not struck[rule.fault.name] for rule in rules):
        return f"failed where a good client gets everything: {failed}"
    return ""


def _again(server: Server, right: Rows, to: Path, api: Api, verdict: Verdict, pull: Puller) -> Verdict:
    server.heal()
    try:
        receipt = pull(server, to, api)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is wrong
        return Verdict(verdict.what, f"and cannot go on when the source is well: {type(error).__name__}: {error}")
    if rows_of(to, receipt) != right:
        return Verdict(verdict.what, "and then brings wrong data when the source is well")
    return verdict
