"""Two sides that differ by known line items, and the truth about them: the entry point of the scenarios.

Most line items are ordinary ones of the generator, alike on both sides. One in so many is a *site*: there a scenario
puts a difference and says what it is worth. A site has its subscription's seats or meter, or a day of a resource, to
itself, so that two differences are never about one thing. Memory grows by a number a site, up to a limit.
"""

from __future__ import annotations

import json
import re
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Final

from counterfoil.columns import LineItemTable, table_of
from counterfoil.errors import UsageError
from counterfoil.generator.draws import Draws, draw, key_of
from counterfoil.generator.line_items import DEFAULT_RESELLERS, generate, writing
from counterfoil.generator.months import Month
from counterfoil.generator.scenarios.exact_fractions import written
from counterfoil.generator.scenarios.injections import Injected, InjectionSite, Scenario, sort_of, text_of
from counterfoil.generator.scenarios.scenario_list import chosen
from counterfoil.generator.spelling import Line, read, spell
from counterfoil.model import Kind, Scope
from counterfoil.periods import BillingPeriod

DEFAULT_ONE_IN: Final = 25
SITES_MAX: Final = 200_000
_UNBILLED, _NO_FREQUENCY = b'"InvoiceNumber":""', b'"BillingFrequency":""'
_FREQUENCY = re.compile(rb'"BillingFrequency":"[^"]*"')


@dataclass(frozen=True, slots=True)
class InjectedDifference:
    """A difference that was made on purpose. Line items are numbered from 1 in each file; amounts are right less left.

    No causes: the line items differ, and no money does. `key changed` of 0: it moved to another customer, subscription
    or product.
    """

    scenario: str
    charged_for: str  # licence, metered or usage
    left: tuple[int, ...]
    right: tuple[int, ...]
    causes: Mapping[str, Decimal]

    def to_json(self) -> str:
        """Return the line of the truth's file."""
        causes = {cause: format(amount, "f") for cause, amount in self.causes.items()}
        told = {"scenario": self.scenario, "chargedFor": self.charged_for, "left": self.left, "right": self.right}
        return json.dumps({**told, "causes": causes})


@dataclass(frozen=True, slots=True)
class ScenarioBlock:
    """Some line items of both sides, as JSON lines, and the differences among them."""

    left: bytes
    right: bytes
    differences: tuple[InjectedDifference, ...]


@dataclass(frozen=True, slots=True)
class ScenarioFiles:
    """The files of a pair, the month that they are of, and how many differences each scenario has."""

    left: Path
    right: Path
    truth: Path
    period: str
    differences: Mapping[str, int]


@dataclass(frozen=True)
class ScenarioPair:
    """Two sides of one month that differ by a scenario, or by all; the same for the same arguments.

    With a period and an invoice the left is unbilled and the right is billed. With one of them the sides are two states
    of that dataset. Raises UsageError for an unknown scenario and for what cannot be line items.
    """

    scenario: str
    kind: Kind
    line_items: int
    partner: str
    period: str = ""
    invoice: str = ""
    currency: str = ""
    seed: int = 0
    resellers: int = DEFAULT_RESELLERS
    one_in: int = DEFAULT_ONE_IN
    _scope: Scope = field(init=False, repr=False)
    _scenarios: tuple[Scenario, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.one_in < 1:
            raise UsageError(f"One line item in {self.one_in} cannot differ.", remedy="Give 1 or more.")
        if not (self.period or self.invoice):
            raise UsageError("The line items are of no month.", remedy="Give a period, an invoice, or both.")
        invoice = Scope.billed(self.invoice).invoice if self.invoice else ""
        object.__setattr__(self, "invoice", invoice)
        if self.period:
            scope = Scope.unbilled(BillingPeriod.parse(self.period), self.currency or "EUR")
        else:
            scope = Scope.billed(self.invoice)
        object.__setattr__(self, "_scope", scope)
        object.__setattr__(self, "_scenarios", chosen(self.scenario, self.kind))

    @property
    def month(self) -> str:
        """The month of the line items, as YYYY-MM."""
        return str(Month.of(self._scope))

    def blocks(self) -> Iterator[ScenarioBlock]:
        """Yield both sides, block by block."""
        chunks = generate(
            self.kind,
            self.line_items,
            seed=self.seed,
            partner=self.partner,
            scope=self._scope,
            currency=self.currency or None,
            resellers=self.resellers,
        )
        sides = _Sides(self)
        return (sides.block(chunk) for chunk in chunks)

    def write(self, folder: Path, progress: Callable[[int], None] = lambda _: None) -> ScenarioFiles:
        """Write both sides and the truth into a folder that is there. Each file is whole or not there."""
        names = ("unbilled", "billed") if self.period and self.invoice else ("before", "after")
        left, right = (folder / f"{name}.jsonl.gz" for name in names)
        truth, counts, done = folder / "truth.jsonl", Counter[str](), 0
        blocks = self.blocks()
        with ExitStack() as files:
            put_left, put_right, put_truth = (files.enter_context(writing(path)) for path in (left, right, truth))
            for block in blocks:
                put_left(block.left)
                put_right(block.right)
                put_truth("".join(f"{each.to_json()}\n" for each in block.differences).encode())
                counts.update(each.scenario for each in block.differences)
                done += block.left.count(b"\n")
                progress(done)
        return ScenarioFiles(left, right, truth, self.month, dict(sorted(counts.items())))

    def scenarios(self) -> tuple[Scenario, ...]:
        """Return the scenarios that the sides differ by."""
        return self._scenarios


class _Sides:
    """Puts differences into the line items of a pair, one block after the other."""

    def __init__(self, pair: ScenarioPair) -> None:
        self._pair = pair
        self._key = key_of("scenario", pair.scenario, pair.kind, pair.partner, pair.seed, pair.month, pair.invoice)
        # The one that was least lately made comes first, so that all are made equally often.
        self._waiting = deque(pair.scenarios())
        self._subjects = set[int]()
        self._number = self._left = self._right = 0
        year, month = pair.month.split("-")
        self._month = int(year), int(month)

    def block(self, chunk: bytes) -> ScenarioBlock:
        """Return both sides of some ordinary line items."""
        left, right, found = list[bytes](), list[bytes](), list[InjectedDifference]()
        for spelled in chunk.splitlines(keepends=True):
            self._number += 1
            made = self._made(spelled) if draw(self._key, self._number) % self._pair.one_in == 0 else None
            if made is None:
                left.append(spelled)
                right.append(spelled)
                continue
            scenario, injected, line = made
            kept = [spelled] if injected.keeps else []
            table = table_of(self._pair.kind)
            sides = [[*kept, *_spelled(table, lines)] for lines in (injected.left, injected.right)]
            starts = self._left + len(left) + len(kept), self._right + len(right) + len(kept)
            left += sides[0]
            right += sides[1]
            found.append(_told(scenario, injected, line, starts))
        self._left += len(left)
        self._right += len(right)
        return ScenarioBlock(*self._dressed(b"".join(left), b"".join(right)), tuple(found))

    def _made(self, spelled: bytes) -> tuple[Scenario, Injected, Line] | None:
        """Return what the first scenario that can be made of a line item makes of it."""
        line = read(spelled)
        things = ("ResourceURI", "UsageDate") if self._pair.kind is Kind.USAGE else ("MeterDescription",)
        subject = key_of(*(text_of(line, name) for name in ("SubscriptionId", *things)))
        if subject in self._subjects or len(self._subjects) >= SITES_MAX:
            return None
        for scenario in self._waiting:
            site = InjectionSite(Draws("site", self._key, self._number, scenario.name), *self._month)
            injected = scenario.inject(line, site)
            if injected is not None:
                self._subjects.add(subject)
                self._waiting.remove(scenario)
                self._waiting.append(scenario)
                return scenario, injected, line
        return None

    def _dressed(self, left: bytes, right: bytes) -> tuple[bytes, bytes]:
        """Make the left unbilled and the right billed, where that is what they are."""
        if not (self._pair.period and self._pair.invoice):
            return left, right
        billed = json.dumps({"InvoiceNumber": self._pair.invoice}, separators=(",", ":"))[1:-1].encode()
        return _FREQUENCY.sub(_NO_FREQUENCY, left), right.replace(_UNBILLED, billed)


def _spelled(table: LineItemTable, lines: tuple[Line, ...]) -> list[bytes]:
    return [spell(table, line) for line in lines]


def _told(scenario: Scenario, injected: Injected, line: Line, starts: tuple[int, int]) -> InjectedDifference:
    left, right = (
        tuple(range(start + 1, start + 1 + len(lines)))
        for start, lines in zip(starts, (injected.left, injected.right), strict=True)
    )
    causes = {cause: Decimal(written(amount)) for cause, amount in injected.causes.items()}
    return InjectedDifference(scenario.name, sort_of(line).value, left, right, causes)
