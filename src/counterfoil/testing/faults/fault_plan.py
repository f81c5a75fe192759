"""Which faults strike when: rules, read from a JSON file, given by a test, or drawn from a seed.

Rules are tried in their order, and one that answers by itself keeps those after it from striking, and from being
counted: two rules that each throttle the same call twice throttle it four times.
"""

from __future__ import annotations

import difflib
import json
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from counterfoil.errors import UsageError, shortened
from counterfoil.testing.faults.blob_faults import BLOB_FAULTS
from counterfoil.testing.faults.connection_faults import DELIVERY_FAULTS
from counterfoil.testing.faults.error_faults import ERRORS, OUTAGES
from counterfoil.testing.faults.fault import NUMBERED, ClientOutcome, Parameter, Route, ServerFault
from counterfoil.testing.faults.manifest_faults import MANIFEST_FAULTS
from counterfoil.testing.faults.operation_faults import OPERATION_FAULTS
from counterfoil.testing.faults.page_faults import PAGE_FAULTS
from counterfoil.testing.faults.spelling_faults import SPELLING_FAULTS

# The one table of all faults. Plans, `Server.fail`, seeds and the documentation derive from it.
_OF_ANSWERS: Final = (*OUTAGES, *DELIVERY_FAULTS, *OPERATION_FAULTS, *MANIFEST_FAULTS)
FAULTS: Final = (*_OF_ANSWERS, *BLOB_FAULTS, *PAGE_FAULTS, *SPELLING_FAULTS, *ERRORS)
BY_NAME: Final[Mapping[str, ServerFault]] = {fault.name: fault for fault in FAULTS}
SECONDS_MAX: Final = 3_600
COUNT_MAX: Final = 1_000_000_000
PLAN_BYTES_MAX: Final = 1 << 20
_GENERAL: Final = ("fault", "on", "at", "times", "skip")
_DRAWN_ATTEMPTS_MAX: Final = 4  # what drawn faults together may cost a client of one call: it has 5 left, if it is good
_DRAWN_RULES_MAX: Final = 4
_DRAWN_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Rule:
    """One fault, where and how often: on these kinds of request, at these blobs or pages, `times` after `skip`."""

    fault: ServerFault
    on: tuple[Route, ...]
    at: tuple[int, ...] = ()
    times: int | None = None
    skip: int = 0
    given: Mapping[str, Any] = field(default_factory=dict)

    def meets(self, route: Route, number: int) -> bool:
        """Whether it is about such a request. Blobs and pages count by their own numbers."""
        return route in self.on and (not self.at or route not in NUMBERED or number in self.at)

    def to_json(self) -> dict[str, Any]:
        """Return the content of a plan file."""
        general = {"at": list(self.at), "times": self.times, "skip": self.skip}
        said = {name: value for name, value in general.items() if value}
        return {"fault": self.fault.name, "on": [*self.on], **said, **self.given}


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """Rules, and the seed from which is drawn what they leave open (which bit is flipped)."""

    rules: tuple[Rule, ...] = ()
    seed: int = 0

    def text(self) -> str:
        """Write a plan file."""
        rules = ",\n".join(f"    {json.dumps(rule.to_json())}" for rule in self.rules)
        return f'{{\n  "seed": {self.seed},\n  "rules": [\n{rules}\n  ]\n}}'


def rule_of(name: object, given: Mapping[str, object], where: str = "The fault") -> Rule:
    """Return a checked rule; raises UsageError that says what is wrong, and what may have been meant."""
    fault = BY_NAME.get(name) if isinstance(name, str) else None
    if fault is None:
        raise UsageError(f"{where}: {_shown(name)} is not a fault.", remedy=_meant(str(name), BY_NAME))
    where = f"{where} ({fault.name})"
    known = (*_GENERAL[1:], *fault.parameters)
    for key in given:
        if key not in known:
            raise UsageError(f"{where}: nothing is called {key!r} there.", remedy=_meant(key, known))
    on = _routes(given.get("on"), fault, where)
    at = _numbers(given["at"], where) if "at" in given else fault.at if NUMBERED & set(on) else ()
    if at and not NUMBERED & set(on):
        raise UsageError(f"{where}: `at` is for blobs and pages.", remedy="Use `skip` to strike later.")
    times = given.get("times", fault.times)
    if times is not None:
        times = _whole(times, 1, "times", where)
    skip = _whole(given.get("skip", 0), 0, "skip", where)
    if (fault.remakes or fault.steady) and ({"times", "skip"} & given.keys()):
        raise UsageError(f"{where}: it is how the source is, always.", remedy="Leave out `times` and `skip`.")
    if fault.steady and at:
        raise UsageError(f"{where}: it is how the source is, everywhere.", remedy="Leave out `at`.")
    own = {key: _value(given.get(key, each.default), each, key, where) for key, each in fault.parameters.items()}
    return Rule(fault, on, at, times, skip, own)


def read_plan(text: str, origin: str) -> FaultPlan:
    """Read a plan: `{"rules": [{"fault": ...}, ...]}` or the bare list; raises UsageError."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{origin} is not JSON: {error}.") from None
    if isinstance(body, list):
        body = {"rules": body}
    if not isinstance(body, dict) or not isinstance(body.get("rules"), list):
        raise UsageError(f"{origin} holds no plan of faults.", remedy='Write {"rules": [{"fault": "throttled"}]}.')
    for key in body:
        if key not in ("seed", "rules"):
            raise UsageError(f"{origin}: nothing is called {key!r} there.", remedy=_meant(key, ("seed", "rules")))
    rules = []
    for number, each in enumerate(body["rules"], 1):
        where = f"{origin}, rule {number}"
        if not isinstance(each, dict) or "fault" not in each:
            raise UsageError(
                f"{where} does not name a fault.", remedy='Write it as {"fault": "throttled", "on": ["blob"]}.'
            )
        rules.append(rule_of(each["fault"], {key: value for key, value in each.items() if key != "fault"}, where))
    return FaultPlan(tuple(rules), _whole(body.get("seed", 0), 0, "seed", origin))


def plan_of(given: str) -> FaultPlan:
    """Return the plan for a seed (a whole number) or for the JSON file of that name."""
    if given.isascii() and given.isdecimal() and len(given) <= 18:
        return drawn(int(given))
    path = Path(given)
    try:
        with path.open("rb") as file:
            raw = file.read(PLAN_BYTES_MAX + 1)
        text = raw.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise UsageError(f"The plan of faults {given} cannot be read: {reason}.") from None
    if len(raw) > PLAN_BYTES_MAX:
        raise UsageError(f"The plan of faults {given} is longer than {PLAN_BYTES_MAX >> 20} MiB.")
    return read_plan(text, str(path))


def drawn(seed: int, *, faults: Sequence[ServerFault] = FAULTS) -> FaultPlan:
    """Draw a mixture. Every other one, on average, is such that a good client gets everything."""
    dice = random.Random(seed)  # noqa: S311 - it must be the same for the same seed
    mild = dice.random() < 0.5
    pool = [fault for fault in faults if fault.outcome is ClientOutcome.RECOVERS] if mild else list(faults)
    attempts_left = _DRAWN_ATTEMPTS_MAX
    rules: list[Rule] = []
    for fault in dice.sample(pool, dice.randint(1, min(_DRAWN_RULES_MAX, len(pool)))):
        if fault.uses_retry and not attempts_left:
            continue
        rule = _drawn_rule(fault, dice, attempts_left)
        if fault.uses_retry:
            attempts_left -= rule.times or 0
        rules.append(rule)
    return FaultPlan(tuple(rules), seed)


def _drawn_rule(fault: ServerFault, dice: random.Random, attempts_left: int) -> Rule:
    given: dict[str, object] = {}
    if not fault.remakes and not fault.steady:
        if fault.uses_retry:
            given["times"] = dice.randint(1, min(2, fault.survived, attempts_left))
        given["skip"] = dice.choice((0, 0, 1, 2))
    if set(fault.routes) & NUMBERED and not fault.steady and dice.random() < 0.5:
        given["on"] = [route.value for route in fault.routes if route in NUMBERED]
        given["at"] = sorted(dice.sample(range(1, 5), dice.randint(1, 2)))
    for name, parameter in fault.parameters.items():
        if parameter.in_seconds:
            given[name] = _DRAWN_SECONDS
    return rule_of(fault.name, given)


def _routes(given: object, fault: ServerFault, where: str) -> tuple[Route, ...]:
    if given is None:
        return fault.routes
    names = [given] if isinstance(given, str) else given
    choose = f"Choose from {_listed(fault.routes)}."
    if not isinstance(names, Iterable) or not names:
        raise UsageError(f"{where}: `on` is a list of kinds of request.", remedy=choose)
    for name in names:
        if name not in list(Route):
            raise UsageError(
                f"{where}: {_shown(name)} is not a kind of request.", remedy=_meant(str(name), list(Route))
            )
        if name not in fault.routes:
            raise UsageError(f"{where}: it cannot strike {name!r}.", remedy=choose)
    return tuple(map(Route, names))


def _numbers(given: object, where: str) -> tuple[int, ...]:
    numbers = given if isinstance(given, Iterable) and not isinstance(given, str) else [given]
    return tuple(_whole(number, 1, "at", where) for number in numbers)


def _whole(given: object, least: int, name: str, where: str) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or not least <= given <= COUNT_MAX:
        raise UsageError(f"{where}: `{name}` is {_shown(given)}.", remedy=f"It is a whole number from {least} on.")
    return given


def _value(given: object, parameter: Parameter, name: str, where: str) -> str | float:
    if parameter.in_seconds:
        number = float(given) if isinstance(given, int | float) and not isinstance(given, bool) else math.nan
        if not 0 <= number <= SECONDS_MAX:
            remedy = f"It is a number of seconds, at most {SECONDS_MAX}."
            raise UsageError(f"{where}: `{name}` is {_shown(given)}.", remedy=remedy)
        return number
    text = str(given) if isinstance(given, str | int | float) and not isinstance(given, bool) else ""
    if not text or not all(" " <= char <= "~" for char in text):
        raise UsageError(f"{where}: `{name}` is {_shown(given)}.", remedy="It is a text of printable ASCII.")
    return text


def _shown(given: object) -> str:
    return shortened(repr(given))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(str(name) for name in names)


def _meant(given: str, known: Iterable[str]) -> str:
    """Say what may have been meant, or else what there is."""
    names = [str(name) for name in known]
    near = difflib.get_close_matches(given, names, n=3, cutoff=0.6)
    if near:
        return f"Did you mean {' or '.join(near)}?"
    return f"There is {_listed(names)}." if len(names) <= 12 else "docs/testing-your-client.md lists all."
