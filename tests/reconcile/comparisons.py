"""Comparisons made by hand, for whoever shows or tests one: differences are given, and their files are real."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

import pyarrow as pa

from counterfoil.columns import table_of
from counterfoil.line_items.lake import text_schema
from counterfoil.model import Kind
from counterfoil.reconcile import ComparedSide, Comparing, Comparison, FoundDifference, Line, ReportWarning, Stage
from counterfoil.reconcile.comparing.result_writer import ResultWriter
from counterfoil.reconcile.comparing.surveys import Survey, surveyed
from counterfoil.reconcile.explaining import Cause, CauseAmount, arithmetic
from counterfoil.reconcile.sides.side import Reading, Side
from tests.reconcile.sides import Item


def line(number: int, item: Item, kind: Kind = Kind.USAGE) -> Line:
    """A line item as matching gives it: every attribute of its kind, '' for what is not there."""
    names = [column.name for column in table_of(kind).columns]
    return Line(number, {name: item.get(name, "") for name in (*names, "Extra")})


def found(
    number: int,
    left: Sequence[Item],
    right: Sequence[Item],
    causes: Mapping[str, str],
    *,
    stage: Stage = Stage.SAME_CHARGE,
    kind: Kind = Kind.USAGE,
    notes: Sequence[str] = (),
    attributes: Sequence[str] = (),
) -> FoundDifference:
    """A difference whose amounts are given as texts: `found(1, [usage("1")], [usage("3")], {"quantity": "2"})`."""
    amounts = tuple(CauseAmount(Cause(cause), Decimal(text)) for cause, text in causes.items())
    return FoundDifference(
        number=number,
        stage=stage,
        left=tuple(line(number, item, kind) for item in left),
        right=tuple(line(number, item, kind) for item in right),
        amount=arithmetic.total(each.amount for each in amounts),
        causes=amounts,
        notes=tuple(notes),
        attributes=tuple(attributes),
    )


def comparison(
    folder: Path,
    differences: Iterable[FoundDifference] = (),
    *,
    kind: Kind = Kind.USAGE,
    comparing: Comparing = Comparing.REVISIONS,
    equal: Sequence[Item] = (),
    currency: str = "EUR",
    warnings: Sequence[ReportWarning] = (),
    conventions: Sequence[str] = ("Always right minus left.",),
) -> Comparison:
    """A comparison of these differences; `equal` are line items that both sides have."""
    folder.mkdir(parents=True, exist_ok=True)
    listed = list(differences)
    alike = [line(0, item, kind) for item in equal]
    lefts = [*alike, *(each for found in listed for each in found.left)]
    rights = [*alike, *(each for found in listed for each in found.right)]
    surveys = (_survey(folder, "left", lefts, kind), _survey(folder, "right", rights, kind))
    stages: dict[Stage, int] = {Stage.IDENTICAL: len(alike)} if alike else {}
    with ResultWriter(folder, kind) as writer:
        for each in listed:
            writer.add(each)
            stages[each.stage] = stages.get(each.stage, 0) + 1
        return writer.finish(
            comparing,
            (_side(surveys[0]), _side(surveys[1])),
            surveys,
            _removing(folder),
            currency=currency,
            period="2026-10",
            stages=stages,
            warnings=tuple(warnings),
            conventions=tuple(conventions),
        )


def _survey(folder: Path, name: str, lines: Sequence[Line], kind: Kind) -> Survey:
    schema = text_schema(kind)
    rows = [{column: text or None for column, text in each.attributes.items()} for each in lines]

    def batches(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        yield pa.RecordBatch.from_pylist(rows, schema=schema).select(list(names))

    side = Side(name=name, what=f"the {name} side", origin="file", kind=kind, batches=batches)
    return surveyed(Reading(side), folder / f"{name}_sums.arrow")


def _side(survey: Survey) -> ComparedSide:
    side = survey.side
    return ComparedSide(
        name=side.name, what=side.what, line_items=survey.line_items, total=survey.total, net=survey.net
    )


def _removing(folder: Path) -> Callable[[], None]:
    return lambda: shutil.rmtree(folder, ignore_errors=True)
