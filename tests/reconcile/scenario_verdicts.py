"""Holds what `compare` finds against what a scenario put there: line items, causes, and amounts to the last digit."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from hashlib import blake2b
from pathlib import Path

from counterfoil.generator.scenarios import ScenarioFiles, ScenarioPair
from counterfoil.reconcile.comparing.compare import compare

Numbers = tuple[tuple[int, ...], tuple[int, ...]]  # line items of the left and of the right, from 1
Causes = Mapping[str, Decimal]


@dataclass
class Verdict:
    """How many differences of each scenario were there, and were hit; what was missed, and what was found beside them.

    `sums`: whether all causes, `unexplained` among them, come to the difference of the totals.
    """

    injected: Counter[str] = field(default_factory=Counter)
    hits: Counter[str] = field(default_factory=Counter)
    missed: list[tuple[str, Numbers, Causes]] = field(default_factory=list)
    beside: list[tuple[Numbers, Causes]] = field(default_factory=list)
    sums: bool = True

    @property
    def is_clean(self) -> bool:
        """Whether everything was hit, and nothing else was found."""
        return self.sums and not self.missed and not self.beside

    def add(self, other: Verdict) -> None:
        """Add what was found of another pair."""
        self.injected += other.injected
        self.hits += other.hits
        self.missed += other.missed
        self.beside += other.beside
        self.sums = self.sums and other.sums


def verdict_on(pair: ScenarioPair, folder: Path) -> Verdict:
    """Write a pair into a new folder, compare its sides, and judge."""
    folder.mkdir(exist_ok=True)
    return judged(pair.write(folder))


def judged(files: ScenarioFiles) -> Verdict:
    """Compare the sides of a pair, and judge what is found."""
    truth = list(_truth(files.truth))
    verdict = Verdict(injected=Counter(scenario for scenario, _, _ in truth))
    with compare(str(files.left), str(files.right), period=files.period) as result:
        found = {
            _numbers(([line.number for line in each.left], [line.number for line in each.right])): {
                str(amount.cause): amount.amount for amount in each.causes
            }
            for each in result.differences()
        }
        total = sum((Fraction(each.amount) for each in result.causes.values()), Fraction(0))
        verdict.sums = (
            total == Fraction(result.difference) == Fraction(result.right.total) - Fraction(result.left.total)
        )
    left_over = []
    for scenario, numbers, causes in truth:
        if numbers in found and dict(found[numbers]) == dict(causes):
            verdict.hits[scenario] += 1
            del found[numbers]
        else:
            left_over.append((scenario, numbers, causes))
    _match_twins(left_over, found, files, verdict)
    return verdict


def _match_twins(
    truth: list[tuple[str, Numbers, Causes]],
    found: dict[Numbers, dict[str, Decimal]],
    files: ScenarioFiles,
    verdict: Verdict,
) -> None:
    """Judge what is left by what the line items are: which of two identical ones is the extra nobody can say."""
    named = [numbers for _, numbers, _ in truth] + list(found)
    texts = [
        _texts(path, {number for each in named for number in each[side]})
        for side, path in enumerate((files.left, files.right))
    ]

    def told(numbers: Numbers, causes: Causes) -> tuple[object, ...]:
        sides = tuple(tuple(sorted(texts[side][number] for number in numbers[side])) for side in (0, 1))
        return *sides, tuple(sorted(causes.items()))

    waiting: dict[object, list[Numbers]] = {}
    for numbers, causes in found.items():
        waiting.setdefault(told(numbers, causes), []).append(numbers)
    for scenario, numbers, causes in truth:
        twins = waiting.get(told(numbers, causes))
        if twins:
            verdict.hits[scenario] += 1
            del found[twins.pop()]
        elif causes:
            verdict.missed.append((scenario, numbers, causes))
        else:
            verdict.hits[scenario] += 1  # nothing to find: what was found all the same stands beside
    verdict.beside += [(numbers, causes) for numbers, causes in found.items() if causes]


def _truth(path: Path) -> Iterator[tuple[str, Numbers, Causes]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        told = json.loads(line)
        causes = {cause: Decimal(amount) for cause, amount in told["causes"].items()}
        yield told["scenario"], _numbers((told["left"], told["right"])), causes


def _numbers(sides: Iterable[list[int]]) -> Numbers:
    left, right = (tuple(sorted(side)) for side in sides)
    return left, right


def _texts(path: Path, numbers: set[int]) -> dict[int, bytes]:
    """Return a digest of each of these line items."""
    with gzip.open(path) as lines:
        return {
            number: blake2b(line, digest_size=16).digest() for number, line in enumerate(lines, 1) if number in numbers
        }


def table(verdict: Verdict) -> str:
    """Return a line for each scenario: how many there were, how many were hit, and all."""
    rows = [(name, count, verdict.hits[name]) for name, count in sorted(verdict.injected.items())]
    rows.append(("all", verdict.injected.total(), verdict.hits.total()))
    return "\n".join(
        f"{name:32} {count:8,} {hits:8,} {100 * Fraction(hits, count):8.3f} %" for name, count, hits in rows
    )
