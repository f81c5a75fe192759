"""Control over HTTP, under `/_counterfoil/`: what `counterfoil.testing.Server` offers, for tests in other languages.

The trap is in who may call it, see `control_requests`.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from counterfoil.errors import (
    BadRequestError,
    CounterfoilError,
    LockedError,
    MissingError,
    MovedError,
    NotFoundError,
    RequestError,
    UnavailableError,
)
from counterfoil.model import Dataset
from counterfoil.periods import timestamp
from counterfoil.server.error_responses import LOG, ApiDialect, as_refusal, refusal
from counterfoil.testing.control import Control
from counterfoil.testing.control_requests import json_body, parameters_of, refuse_strangers, spool, whole_number
from counterfoil.testing.faults.fault_plan import read_plan

if TYPE_CHECKING:
    from counterfoil.datasets.publication_receipt import PublicationReceipt

PREFIX: Final = "/_counterfoil"
ENTRIES_SHOWN_MAX: Final = 1_000
_RETRY_S: Final = 1
_ASSERTED: Final = ("partner", "issuer", "kind", "invoice", "period", "currency", "segment", "date_order", "decimal")
_CALLS: Final = {
    "GET /_counterfoil/": "the state: time, datasets, faults, snapshots, and this list",
    "POST /_counterfoil/reset": "forget everything published, exported, travelled, delayed and made to fail",
    "POST /_counterfoil/publish?invoice=ID": "publish the body: JSON lines, a JSON array, CSV, gzip or not",
    "POST /_counterfoil/travel": '{"to": "2026-12-01T00:00Z"} sets the business clock; null is the present',
    "POST /_counterfoil/delay": '{"seconds": 5} keeps exports running for so long, from now on',
    "GET /_counterfoil/faults": "how often each fault has struck",
    "POST /_counterfoil/faults": '{"fault": "throttled", "times": 2} strikes from now on; a plan of rules is taken too',
    "DELETE /_counterfoil/faults": "heal: forget all faults",
    "GET /_counterfoil/snapshots": "what was saved",
    "PUT /_counterfoil/snapshots/NAME": "save what is published and exported, and the time",
    "POST /_counterfoil/snapshots/NAME/load": "serve what was saved; faults and journal are forgotten",
    "DELETE /_counterfoil/snapshots/NAME": "forget what was saved",
    "GET /_counterfoil/requests?kind=blob&after=N": "the journal: what clients asked, and what they were answered",
    "DELETE /_counterfoil/requests": "empty the journal",
}

Json = dict[str, Any]
Answer = Callable[[Request], Awaitable[Response]]


class ControlledApp:
    """An application whose paths under `/_counterfoil` are control; all others are passed on."""

    def __init__(self, control: Control, app: ASGIApp) -> None:
        self._control, self._app = control, app
        self._router = Router(_routes(control), redirect_slashes=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = scope["path"]
        if path != PREFIX and not path.startswith(f"{PREFIX}/"):
            await self._app(scope, receive, send)
            return
        scope["app"] = self._router  # without one, Starlette would word 404 and 405 itself
        try:
            refuse_strangers(scope, self._control.open_to)
            await self._router(scope, receive, send)
        except ClientDisconnect:
            LOG.debug("the caller left")
        except Exception as error:  # noqa: BLE001 - a development server answers, whatever happens
            await self._refuse(error, scope, send)

    async def _refuse(self, error: Exception, scope: Scope, send: Send) -> None:
        refused = _as_answer(error)
        if refused.status == 500:
            LOG.error("%s %s failed", scope["method"], ascii(scope["path"]), exc_info=error)
        status, headers, body = refusal(ApiDialect.PLAIN, refused, scope, self._control.service.clocks.wall())
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _as_answer(error: Exception) -> RequestError:
    """Return what a caller of the control sees of an error: all of it, for it is the developer's own server."""
    if isinstance(error, LockedError | MovedError):
        return UnavailableError(str(error), retry_after_s=_RETRY_S)
    if isinstance(error, MissingError):
        return NotFoundError(str(error))
    if isinstance(error, CounterfoilError) and not isinstance(error, RequestError):
        return BadRequestError(str(error))
    refused = as_refusal(error)
    if isinstance(refused, NotFoundError) and refused is not error:
        return NotFoundError(f"There is no such control. GET {PREFIX}/ lists all.")
    return refused


def _routes(control: Control) -> list[Route]:
    routes = [
        *(Route(path, _state(control), methods=["GET"]) for path in (PREFIX, f"{PREFIX}/")),
        *_changes(control),
        *_faults(control),
        *_snapshots(control),
        *_journal(control),
    ]
    for route in routes:
        assert route.methods is not None
        route.methods.discard("HEAD")  # Starlette adds it to each GET
    return routes


def state_of(control: Control) -> Json:
    """Return what is served, and how."""
    service = control.service
    datasets = [(dataset, revision) for dataset, revision in service.catalog.datasets() if revision is not None]
    return {
        "now": timestamp(control.now),
        "data": str(service.settings.data.absolute()),
        "datasets": [
            {**_named(dataset), "lineItems": revision.contents.line_items, "eTag": revision.etag}
            for dataset, revision in datasets
        ],
        "faults": control.struck(),
        "snapshots": [each.name for each in control.snapshots()],
        "requests": {"seen": control.journal.seen, "kept": len(control.journal)},
    }


def _state(control: Control) -> Answer:
    async def state(request: Request) -> Response:
        parameters_of(request, ())
        return JSONResponse({**await run_in_threadpool(state_of, control), "calls": _CALLS})

    return state


def _changes(control: Control) -> list[Route]:
    async def reset(request: Request) -> Response:
        await json_body(request, ())
        await run_in_threadpool(control.reset)
        return JSONResponse(await run_in_threadpool(state_of, control))

    async def publish(request: Request) -> Response:
        given = parameters_of(request, _ASSERTED)
        with tempfile.TemporaryDirectory(prefix="counterfoil-body-") as folder:
            body = Path(folder) / "body"
            await spool(request, body)
            receipts = await run_in_threadpool(_publish, control, body, given)
        return JSONResponse({"published": receipts}, status_code=201)

    async def travel(request: Request) -> Response:
        body = await json_body(request, ("to",), required=("to",))
        control.travel(body["to"])
        return JSONResponse({"now": timestamp(control.now)})

    async def delay(request: Request) -> Response:
        body = await json_body(request, ("seconds",), required=("seconds",))
        seconds = body["seconds"]
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise BadRequestError(f"`seconds` is {seconds!r}, and must be a number.")
        await run_in_threadpool(control.delay_operations, seconds)
        return JSONResponse({"seconds": seconds})

    answers = {"reset": reset, "publish": publish, "travel": travel, "delay": delay}
    return [Route(f"{PREFIX}/{name}", answer, methods=["POST"]) for name, answer in answers.items()]


def _publish(control: Control, body: Path, given: Mapping[str, Any]) -> list[Json]:
    return [receipt_json(receipt) for receipt in control.publish(body, names=["the body"], **given)]


def receipt_json(receipt: PublicationReceipt) -> Json:
    """Return a receipt; amounts are texts, digit for digit."""
    return {
        **_named(receipt.dataset),
        "segment": receipt.segment,
        "revision": receipt.revision.id if receipt.revision is not None else None,
        "lineItems": receipt.contents.line_items,
        "totals": receipt.contents.plain_totals(),
        "currency": receipt.contents.currency,
        "eTag": receipt.etag,
        "changed": receipt.changed,
        "warnings": receipt.warnings,
    }


def _named(dataset: Dataset) -> Json:
    scope = dataset.scope
    where = {"invoice": scope.invoice} if scope.is_billed else {"period": scope.period, "currency": scope.currency}
    return {"partner": dataset.partner, "kind": dataset.kind.value, **where}


def _faults(control: Control) -> list[Route]:
    async def struck(request: Request) -> Response:
        parameters_of(request, ())
        return JSONResponse({"struck": control.struck()})

    async def fail(request: Request) -> Response:
        body = await json_body(request, None)
        if "rules" in body:
            for rule in read_plan(json.dumps(body), "The plan").rules:
                control.faults.add(rule)
        else:
            control.fail(body.pop("fault", None), body, "The fault")
        return JSONResponse({"struck": control.struck()}, status_code=201)

    async def heal(request: Request) -> Response:
        parameters_of(request, ())
        control.heal()
        return Response(status_code=204)

    path = f"{PREFIX}/faults"
    return [_by_method(path, {"GET": struck, "POST": fail, "DELETE": heal})]


def _snapshots(control: Control) -> list[Route]:
    async def listed(request: Request) -> Response:
        parameters_of(request, ())
        shown = [
            {"name": each.name, "savedAt": timestamp(each.saved_at), "now": timestamp(each.now)}
            for each in control.snapshots()
        ]
        return JSONResponse({"snapshots": shown})

    async def save(request: Request) -> Response:
        taken = await run_in_threadpool(control.save_snapshot, request.path_params["name"])
        return JSONResponse({"name": taken.name, "savedAt": timestamp(taken.saved_at)}, status_code=201)

    async def load(request: Request) -> Response:
        await run_in_threadpool(control.load_snapshot, request.path_params["name"])
        return JSONResponse(await run_in_threadpool(state_of, control))

    async def forget(request: Request) -> Response:
        await run_in_threadpool(control.forget_snapshot, request.path_params["name"])
        return Response(status_code=204)

    return [
        Route(f"{PREFIX}/snapshots", listed, methods=["GET"]),
        _by_method(f"{PREFIX}/snapshots/{{name}}", {"PUT": save, "DELETE": forget}),
        Route(f"{PREFIX}/snapshots/{{name}}/load", load, methods=["POST"]),
    ]


def _journal(control: Control) -> list[Route]:
    async def listed(request: Request) -> Response:
        given = parameters_of(request, ("kind", "after", "limit"))
        after, limit = (
            whole_number(given, name, default) for name, default in (("after", 0), ("limit", ENTRIES_SHOWN_MAX))
        )
        kinds = [kind for kind in given.get("kind", "").split(",") if kind]
        found = control.journal.of(*kinds, after=after)
        shown = [entry.to_json() for entry in found[: min(limit, ENTRIES_SHOWN_MAX)]]
        return JSONResponse({"seen": control.journal.seen, "more": len(found) > len(shown), "requests": shown})

    async def clear(request: Request) -> Response:
        parameters_of(request, ())
        control.journal.clear()
        return Response(status_code=204)

    return [_by_method(f"{PREFIX}/requests", {"GET": listed, "DELETE": clear})]


def _by_method(path: str, answers: Mapping[str, Answer]) -> Route:
    """Return one route for all methods of a path: with one each, 405 would name only the first."""

    async def answer(request: Request) -> Response:
        return await answers[request.method](request)

    return Route(path, answer, methods=list(answers))
