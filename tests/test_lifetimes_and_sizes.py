"""The numbers that depend on each other do, and no module has a number of its own in place of one of them."""

from __future__ import annotations

import ast
import re
from datetime import timedelta
from pathlib import Path

import pytest

from counterfoil import lifetimes_and_sizes

SOURCE = Path(__file__).parent.parent / "src" / "counterfoil"
CLOCKS_DISAGREE = timedelta(hours=1)  # at least so much is left for that, and for requests under way
TIMES = set(re.findall(r"timedelta\(\w+=\d+\)", Path(lifetimes_and_sizes.__file__).read_text(encoding="utf-8")))
SIZES = {lifetimes_and_sizes.PAGE_LINE_ITEMS_MAX, lifetimes_and_sizes.PART_LINE_ITEMS}
SIZE_NAME = re.compile(r"PAGE|PART|BLOCK|ITEMS_MAX")


def test_renderings_outlive_every_link_and_walk_that_can_reach_them() -> None:
    last_link = lifetimes_and_sizes.OPERATION + lifetimes_and_sizes.LINK  # asked for in an operation's last moment
    assert last_link + CLOCKS_DISAGREE <= lifetimes_and_sizes.RENDERINGS_KEPT
    assert lifetimes_and_sizes.WALK + CLOCKS_DISAGREE <= lifetimes_and_sizes.RENDERINGS_KEPT


def test_a_revision_is_kept_for_longer_than_its_renderings() -> None:
    assert lifetimes_and_sizes.RENDERINGS_KEPT < lifetimes_and_sizes.UNBILLED_KEPT


def test_an_operation_is_remembered_for_longer_than_it_lives() -> None:
    assert lifetimes_and_sizes.OPERATION < lifetimes_and_sizes.OPERATIONS_REMEMBERED


def test_a_link_can_be_renewed_and_a_download_outlives_the_token_that_began_it() -> None:
    assert lifetimes_and_sizes.BEARER_TOKEN < lifetimes_and_sizes.LINK < lifetimes_and_sizes.OPERATION


def test_a_block_holds_a_whole_page_and_a_part_whole_blocks() -> None:
    assert lifetimes_and_sizes.PAGE_LINE_ITEMS_MAX <= lifetimes_and_sizes.BLOCK_LINE_ITEMS_MAX
    assert lifetimes_and_sizes.PART_LINE_ITEMS % lifetimes_and_sizes.BLOCK_LINE_ITEMS_MAX == 0
    assert 4 * lifetimes_and_sizes.LINE_ITEM_SIZE_BYTES_MAX <= lifetimes_and_sizes.BLOCK_SIZE_BYTES_MAX


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_other_module_states_one_of_these_numbers(path: Path) -> None:
    if path.name == "lifetimes_and_sizes.py":
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Constant):
            named = ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target)
            assert not (SIZE_NAME.search(named) and node.value.value in SIZES), f"{path.name}:{node.lineno}"
        if isinstance(node, ast.Call):
            assert ast.unparse(node) not in TIMES, f"{path.name}:{node.lineno}"
