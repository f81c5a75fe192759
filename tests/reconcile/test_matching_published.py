"""Published revisions are matched by segments and digests, files and pulls as they lie, all with the same result."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from counterfoil.line_items.lake_files import LakeReader
from counterfoil.model import Kind
from counterfoil.reconcile.matching import Stage, match
from counterfoil.reconcile.sides.opening import opened_side
from tests.cli.pulling import run
from tests.reconcile.sides import lake_file, lines_file, pull_folder, usage

USE = Kind.USAGE


def day(number: int, amounts: Sequence[str]) -> list[dict[str, str]]:
    date = f"2026-10-0{number}T00:00:00Z"
    more = {"UsageDate": date, "ChargeStartDate": date, "Quantity": "1"}
    return [usage(amount, CustomerId=f"c{at}", MeterId="m", **more) for at, amount in enumerate(amounts)]


FIRST = {1: ["1.10", "1.20", "1.30"], 2: ["2.10", "2.20"]}
SECOND = {1: ["1.10", "1.20", "1.30"], 2: ["2.10", "2.25", "2.30"]}
EXPECTED = {Stage.IDENTICAL: 4, Stage.SAME_CHARGE: 1, Stage.ONE_SIDE: 1}
FOUND = Counter([("same charge", ("2.20",), ("2.25",)), ("one side", (), ("2.30",))])


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A data folder with two revisions of a month, a segment for each day, of which the second day changed."""
    folder, revisions = tmp_path_factory.mktemp("published"), []
    for number, amounts in ((1, FIRST[1]), (2, FIRST[2]), (2, SECOND[2])):
        file = lines_file(folder / "lines", day(number, amounts))
        words = ("--period", "2026-10", "--segment", f"2026-10-0{number}", "--data", str(folder / "data"))
        done = run("publish", str(file), *words, "--output", "json")
        assert done.exit_code == 0, done.stderr
        told: Any = json.loads(done.stdout)
        revisions.append((told[0] if isinstance(told, list) else told)["revision"])
    return folder / "data", [f"revision:{revision}" for revision in revisions[1:]]


def groups(left: str, right: str, scratch: Path, data: Path) -> tuple[Counter[Any], dict[Stage, int]]:
    with opened_side(left, kind=USE, data=data) as mine, opened_side(right, kind=USE, data=data) as theirs:
        matching = match(mine, theirs, USE, scratch=scratch)
        found = Counter[Any]()
        for each in matching:
            amounts = (
                tuple(line.attributes["BillingPreTaxTotal"] for line in side) for side in (each.left, each.right)
            )
            found[each.stage.value, *amounts] += 1
    return found, dict(matching.counts)


def test_of_revisions_only_what_changed_is_read(
    published: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, (older, newer) = published
    read: list[tuple[int, int]] = []
    stretches = LakeReader.stretches

    def counted(self: LakeReader, names: Sequence[str], **how: Any) -> Any:
        read.append((self.line_items, len(names)))
        return stretches(self, names, **how)

    monkeypatch.setattr(LakeReader, "stretches", counted)
    assert groups(older, newer, tmp_path, data) == (FOUND, EXPECTED)
    whole = max(names for _, names in read)
    assert [lines for lines, names in read if names == whole] == [2, 3]
    read.clear()
    assert groups(newer, newer, tmp_path, data) == (Counter(), {Stage.IDENTICAL: 6})
    assert read == []


def test_files_and_pulls_match_as_what_was_published(published: tuple[Path, list[str]], tmp_path: Path) -> None:
    data, (older, _) = published
    lines = [line for number, amounts in SECOND.items() for line in day(number, amounts)]
    in_order = sorted(lines, key=lambda line: (line["CustomerId"], line["UsageDate"]))
    for at, (name, items) in enumerate({"in order": in_order, "in no order": in_order[::-1]}.items()):
        sides = [
            lines_file(tmp_path / f"{at}.jsonl", items),
            lake_file(tmp_path / f"{at}.parquet", items, USE),
            pull_folder(tmp_path / f"{at}-pull", items, USE, form="parquet", month="2026-10", currencyCode="EUR"),
        ]
        (scratch := tmp_path / str(at)).mkdir()
        for side in sides:
            assert groups(older, str(side), scratch, data) == (FOUND, EXPECTED), (name, side)
