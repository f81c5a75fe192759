"""Plans of faults: which requests a rule meets, what is refused in a plan and how, and what a seed draws."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from counterfoil.errors import UsageError
from counterfoil.testing.faults.fault import ClientOutcome, Route
from counterfoil.testing.faults.fault_plan import BY_NAME, FAULTS, drawn, plan_of, read_plan, rule_of
from tests.testing.fault_calls import Calls, recoverable


def statuses(calls: Calls, *routes: Route) -> list[int]:
    return [calls.of(route).status_code for route in routes]


def test_a_rule_strikes_the_kinds_of_request_it_names_and_no_other(calls: Calls) -> None:
    calls.server.fail("throttled", on=["manifest", "page"], times=None)
    assert statuses(calls, *Route) == [429 if r in (Route.MANIFEST, Route.PAGE) else r_good(r) for r in Route]


def r_good(route: Route) -> int:
    return 202 if route is Route.SUBMIT else 200


def test_a_rule_strikes_so_often_and_after_so_many(calls: Calls) -> None:
    calls.server.fail("unavailable", on="blob", skip=2, times=3)
    assert statuses(calls, *[Route.BLOB] * 7) == [200, 200, 503, 503, 503, 200, 200]
    assert calls.server.struck() == {"unavailable": 3}


def test_blobs_and_pages_are_struck_by_their_own_numbers(calls: Calls) -> None:
    calls.server.fail("unavailable", on=["blob", "page"], at=[2, 3], times=None)
    assert [calls.blob(number).status_code for number in (3, 1, 2, 2)] == [503, 200, 503, 503]
    token = calls.page().json()["continuationToken"]
    assert [calls.page(token).status_code, calls.page().status_code] == [503, 200]


def test_rules_strike_in_their_order_and_one_that_answers_spares_the_next(calls: Calls) -> None:
    calls.server.fail("throttled", on="operation", times=2)
    calls.server.fail("unavailable", on="operation", times=1)
    calls.server.fail("operation-slow", times=1)
    assert statuses(calls, *[Route.OPERATION] * 3) == [429, 429, 503]
    assert [calls.operation().json()["status"] for _ in range(2)] == ["running", "succeeded"]


def test_a_change_that_finds_nothing_to_change_is_not_counted(calls: Calls) -> None:
    calls.server.fail("manifest-empty", times=1)
    calls.server.fail("operation-slow", times=1)  # asked first, for it stands behind
    assert calls.operation().json()["status"] == "running"
    assert calls.operation().json()["resourceLocation"]["blobs"] == []
    assert calls.operation().json()["resourceLocation"]["blobs"]


def test_faults_combine(calls: Calls) -> None:
    calls.server.fail("quoted-numbers", on="blob")
    calls.server.fail("nulls", on="blob")
    calls.server.fail("manifest-by-link")
    calls.server.fail("blob-of-two-members")
    body = calls.operation().json()
    assert "resourceLocation" not in body
    line = calls.lines(1, calls.manifest().json())[0]
    assert bytes(line["InvoiceNumber"]) == b"null"
    assert bytes(line["BillingPreTaxTotal"]).startswith(b'"')


def test_what_faults_do_not_concern_passes(calls: Calls) -> None:
    for fault in ("throttled", "dropped", "login-page"):
        calls.server.fail(fault, times=None)
    for path in ("/healthz", "/openapi.json", "/v1.0/reports/partners/billing", "/nowhere"):
        answer = calls.client.get(calls.server.url + path, headers=calls.graph)
        assert answer.status_code == (404 if path == "/nowhere" else 200)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"fault": "throtled"}, "'throtled' is not a fault. Did you mean throttled"),
        ({"fault": "throttled", "kind": "blob"}, "nothing is called 'kind'"),
        ({"fault": "throttled", "onn": "blob"}, "Did you mean on?"),
        ({"fault": "throttled", "on": "blobs"}, "'blobs' is not a kind of request. Did you mean blob?"),
        ({"fault": "blob-missing", "on": ["page"]}, "it cannot strike 'page'. Choose from blob."),
        ({"fault": "throttled", "on": []}, "`on` is a list"),
        ({"fault": "throttled", "on": ["submit"], "at": [1]}, "`at` is for blobs and pages"),
        ({"fault": "throttled", "at": [0]}, "`at` is 0. It is a whole number from 1 on."),
        ({"fault": "throttled", "times": 0}, "`times` is 0"),
        ({"fault": "throttled", "times": True}, "`times` is True"),
        ({"fault": "throttled", "times": 1.5}, "`times` is 1.5"),
        ({"fault": "throttled", "skip": -1}, "`skip` is -1"),
        ({"fault": "throttled", "wait": "1\r\nSet-Cookie: x"}, "printable ASCII"),
        ({"fault": "slow", "seconds": "long"}, "`seconds` is 'long'. It is a number of seconds, at most 3600."),
        ({"fault": "slow", "seconds": 1e9}, "at most 3600"),
        ({"fault": "nulls", "times": 2}, "it is how the source is, always"),
        ({"fault": "unannotated", "skip": 1}, "it is how the source is, always"),
        ({"fault": "unannotated", "at": 1}, "it is how the source is, everywhere"),
        ({"on": ["blob"]}, "does not name a fault"),
        ("throttled", "does not name a fault"),
    ],
)
def test_a_rule_that_cannot_be_right_is_refused_with_what_may_have_been_meant(rule: object, said: str) -> None:
    with pytest.raises(UsageError) as raised:
        read_plan(json.dumps({"rules": [{"fault": "late"}, rule]}), "plan.json")
    assert "plan.json, rule 2" in str(raised.value)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    "text", ["", "{", "7", "{}", '{"rules": {}}', '{"rules": [], "sed": 1}', '{"rules":[],"seed":-1}']
)
def test_a_file_that_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"plan\.json"):
        read_plan(text, "plan.json")


def test_a_plan_is_an_object_or_the_bare_list(tmp_path: Path) -> None:
    rules: list[dict[str, Any]] = [{"fault": "cut", "on": "blob", "at": 2, "times": None}]
    path = tmp_path / "plan.json"
    path.write_text(json.dumps({"seed": 5, "rules": rules}), encoding="utf-8-sig")
    assert (plan_of(str(path)).rules, plan_of(str(path)).seed) == (read_plan(json.dumps(rules), "").rules, 5)
    with pytest.raises(UsageError, match="cannot be read"):
        plan_of(str(tmp_path / "none.json"))


def test_every_fault_may_be_asked_for_by_its_name_alone_and_written_as_a_plan() -> None:
    plan = read_plan(json.dumps([{"fault": fault.name} for fault in FAULTS]), "")
    assert read_plan(plan.text(), "") == plan


def test_names_are_unique_and_can_be_typed() -> None:
    assert max(Counter(fault.name for fault in FAULTS).values()) == 1
    assert all(name.replace("-", "").isalnum() and name == name.lower() for name in BY_NAME)


def test_a_seed_draws_the_same_mixture_again_and_what_it_prints_is_that_plan() -> None:
    plans = [drawn(seed) for seed in range(2_000)]
    assert plans == [plan_of(str(seed)) for seed in range(2_000)]
    assert all(read_plan(plan.text(), "") == plan for plan in plans)
    assert len({plan.text().partition("rules")[2] for plan in plans}) > 1_500


def test_mixtures_draw_every_fault_and_ask_no_good_client_for_too_much() -> None:
    plans = [drawn(seed) for seed in range(2_000)]
    assert {rule.fault.name for plan in plans for rule in plan.rules} == BY_NAME.keys()
    assert 0.4 < sum(all(map(recoverable, plan.rules)) for plan in plans) / len(plans) < 0.8
    for plan in plans:
        assert 1 <= len(plan.rules) <= 4
        assert sum(rule.times or 0 for rule in plan.rules if rule.fault.uses_retry) <= 4
        assert all(rule.times for rule in plan.rules if rule.fault.uses_retry and recoverable(rule))


def test_a_fault_without_end_is_not_recoverable_from() -> None:
    assert recoverable(rule_of("throttled", {}))
    assert not recoverable(rule_of("throttled", {"times": None}))
    assert not recoverable(rule_of("link-expired", {"times": 2})), "a link that was just renewed is good, or never"
    assert recoverable(rule_of("quoted-numbers", {}))
    assert BY_NAME["page-looping"].outcome is ClientOutcome.FAILS


def test_faults_on_top_of_damage_leave_it_as_it_is(calls: Calls) -> None:
    calls.server.fail("page-miscounted")
    calls.server.fail("flipped-json", on="page", times=1)
    calls.server.fail("shortened", on="page", skip=1, times=1)
    bodies = []
    for _ in range(2):
        url = calls.page(encoding="identity").request.url
        with calls.client.stream("GET", url, headers=calls.v1 | {"Accept-Encoding": "gzip"}) as answer:
            bodies.append(b"".join(answer.iter_raw()))
    assert bodies[0] != bodies[1]


def test_the_same_seed_flips_the_same_bit(calls: Calls) -> None:
    def flipped() -> list[bytes]:
        calls.server.heal()
        calls.server.fail("flipped", times=2)
        return [calls.blob().content for _ in range(2)]

    first, again = flipped(), flipped()
    assert first == again
    assert first[0] != first[1] != calls.blob().content
