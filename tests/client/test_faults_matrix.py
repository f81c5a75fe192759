"""Both our clients against every fault alone, and against thousands of mixtures: never success with wrong data.

`make test` has each fault once for each API, and every third for the asynchronous client, which shares all but the
waiting. `make chaos` has each on every kind of request, and a thousand mixtures; `make soak` has ten thousand, and
prints what came of them. A seed that fails is printed as a plan, which `counterfoil serve --dev --faults` takes.
"""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from counterfoil.client import Api, Proof
from counterfoil.testing import Server
from counterfoil.testing.faults.fault import ClientOutcome, Route, ServerFault
from counterfoil.testing.faults.fault_plan import FAULTS, drawn, rule_of
from tests.client.fault_matrix import Puller, Rows, judge, pull, pull_async, rows_of, source
from tests.client.fault_outcomes import UNPROVEN, VARYING, outcome_of
from tests.testing.fault_calls import LINE_ITEMS, recoverable

MIXTURES: Final = 1_000
FIRST_SEED: Final = 20_261_121
ASKED: Final = {
    Api.GRAPH: (Route.TOKEN, Route.SUBMIT, Route.OPERATION, Route.MANIFEST, Route.BLOB),
    Api.V1: (Route.TOKEN, Route.PAGE),
}


@pytest.fixture(autouse=True)
def _the_server_itself_never_fails(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert [record.getMessage() for record in caplog.get_records("call") if record.levelno >= logging.ERROR] == []


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with source() as running:
        yield running


@pytest.fixture(scope="module")
def right(server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[Api, Rows]:
    """What each API brings when all is well."""
    found = {}
    for api in Api:
        folder = tmp_path_factory.mktemp("right")
        receipt = pull(server, folder, api)
        assert (receipt.proof, receipt.line_items) == (Proof.PROVEN, LINE_ITEMS)
        found[api] = rows_of(folder, receipt)
    return found


def cases() -> list[Any]:
    """Every fault on every kind of request that it can strike; those that concern the whole pull once for each API."""
    found: list[Any] = []
    for fault in FAULTS:
        for api, routes in ASKED.items():
            struck = [route for route in routes if route in fault.routes]
            whole = fault.remakes or fault.name in ("etag-changed", "unannotated")
            each = ([struck] if struck else []) if whole else [[route] for route in struck]
            found += [pytest.param(fault, on, api, id=f"{fault.name}-{api}-{on[0]}") for on in each]
    return found


def test_the_table_of_outcomes_names_faults_that_exist() -> None:
    known = {fault.name: fault.routes for fault in FAULTS}
    for name in UNPROVEN:
        fault, _, route = name.partition(" ")
        assert not route or route in known[fault]
        assert fault in known


def each_once(listed: list[Any], of: Callable[[Any], Hashable]) -> list[Any]:
    """Mark for `make chaos` all but one case of each kind, which is on one kind of request after the other."""
    kinds: dict[Hashable, list[Any]] = {}
    for case in listed:
        kinds.setdefault(of(case), []).append(case)
    here = {alike[number % len(alike)].id for number, alike in enumerate(kinds.values())}
    return [
        case if case.id in here else pytest.param(*case.values, id=case.id, marks=pytest.mark.chaos) for case in listed
    ]


def of_fault_and_api(case: Any) -> Hashable:
    return case.values[0].name, case.values[2]


def of_some_faults(case: Any) -> Hashable:
    return FAULTS.index(case.values[0]) // 3


@pytest.mark.parametrize(("fault", "on", "api"), each_once(cases(), of_fault_and_api))
def test_each_fault_alone(
    server: Server, right: dict[Api, Rows], tmp_path: Path, fault: ServerFault, on: list[Route], api: Api
) -> None:
    check_alone(server, right, tmp_path, fault, on, api, pull)


@pytest.mark.parametrize(("fault", "on", "api"), each_once(cases(), of_some_faults))
def test_each_fault_alone_for_the_asynchronous_client(
    server: Server, right: dict[Api, Rows], tmp_path: Path, fault: ServerFault, on: list[Route], api: Api
) -> None:
    check_alone(server, right, tmp_path, fault, on, api, pull_async)


def check_alone(
    server: Server,
    right: dict[Api, Rows],
    tmp_path: Path,
    fault: ServerFault,
    on: list[Route],
    api: Api,
    puller: Puller,
) -> None:
    given: dict[str, Any] = {"on": on} | ({"seconds": 0.1} if "seconds" in fault.parameters else {})
    rules = [rule_of(fault.name, given)]
    if Route.MANIFEST in on:  # which is only asked for when the operation does not hold it
        rules.append(rule_of("manifest-by-id", {}))
    verdict = judge(server, rules, right[api], tmp_path / "to", api, puller)
    assert not verdict.wrong
    if fault.name not in VARYING:
        assert verdict.what == outcome_of(fault.name, on[0]), "the table in fault_outcomes.py says otherwise"
    if fault.outcome is ClientOutcome.FAILS:
        assert verdict.what not in list(Proof), "nobody can have the data"


@pytest.mark.parametrize(
    "first_seed",
    [
        pytest.param(FIRST_SEED, marks=pytest.mark.chaos, id="the first thousand"),
        *(pytest.param(FIRST_SEED + number * MIXTURES, marks=pytest.mark.soak) for number in range(10)),
    ],
)
def test_a_thousand_mixtures(
    server: Server, right: dict[Api, Rows], tmp_path: Path, capsys: pytest.CaptureFixture[str], first_seed: int
) -> None:
    counts: Counter[tuple[str, str, str]] = Counter()
    wrong = []
    for seed in range(first_seed, first_seed + MIXTURES):
        plan = drawn(seed)
        api = list(Api)[seed % 2]
        puller = (pull, pull_async)[seed // 2 % 2]
        verdict = judge(server, plan.rules, right[api], tmp_path / str(seed), api, puller)
        counts[api, "recoverable" if all(map(recoverable, plan.rules)) else "not", verdict.what] += 1
        shutil.rmtree(tmp_path / str(seed), ignore_errors=True)
        if verdict.wrong:
            wrong.append(f"seed {seed}, {api}: {verdict.wrong}\n{plan.text()}")
    with capsys.disabled():
        print(f"\n{MIXTURES} mixtures from seed {first_seed} on:")  # noqa: T201 - this is what it is run for
        for (api_name, kind, what), count in sorted(counts.items()):
            print(f"  {count:5}  {api_name:6} {kind:12} {what}")  # noqa: T201
    assert not wrong, "\n".join([f"{len(wrong)} of {MIXTURES} went wrong", *wrong[:10]])
