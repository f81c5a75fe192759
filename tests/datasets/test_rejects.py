"""Lines that cannot be right: refused by default, listed where asked for, and left out where that is allowed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from counterfoil.datasets.data_folder import DataFolder
from counterfoil.errors import InputError, UsageError
from counterfoil.model import Kind
from tests.datasets.line_items import (
    amounts,
    folder_of,
    publish_bytes,
    raw_lines,
)

GOOD = amounts(Kind.USAGE, "1", "2", "3")
AMOUNT = "BillingPreTaxTotal"


def test_one_bad_first_line_may_be_allowed_for(data_folder: DataFolder, tmp_path: Path) -> None:
    for bad in (b'{"PartnerId":\n', b'{"a":1}\n', b"{}\n"):
        receipt = publish_bytes(
            data_folder, tmp_path / "a", bad + GOOD, rejects=tmp_path / "rejects.jsonl", allow_rejects=1
        )
        assert receipt.contents.line_items == 3
        [told] = (tmp_path / "rejects.jsonl").read_text().splitlines()
        assert json.loads(told)["line"] == 1


BAD_MIDDLE = GOOD + raw_lines(Kind.USAGE, {AMOUNT: '"x"'}, {"SkuName": "1"}) + b"{\n" + amounts(Kind.USAGE, "4")


def test_rejects_are_written_with_all_there_is_to_mend(data_folder: DataFolder, tmp_path: Path) -> None:
    rejects = tmp_path / "rejects.jsonl"
    with pytest.raises(InputError, match="3 lines were refused and 2 allowed"):
        publish_bytes(data_folder, tmp_path / "a", BAD_MIDDLE, rejects=rejects, allow_rejects=2)
    assert data_folder.catalog.datasets() == []
    told = sorted((json.loads(line) for line in rejects.read_text().splitlines()), key=lambda each: each["line"])
    assert [(each["line"], each["attribute"], each["value"]) for each in told] == [
        (4, AMOUNT, "x"),
        (5, "SkuName", "1"),
        (6, "", None),
    ]
    assert {each["file"] for each in told} == {str(tmp_path / "a")}
    assert all(each["reason"] for each in told)
    receipt = publish_bytes(data_folder, tmp_path / "a", BAD_MIDDLE, rejects=rejects, allow_rejects=3)
    assert receipt.contents.line_items == 4
    assert publish_bytes(data_folder, tmp_path / "b", BAD_MIDDLE, allow_rejects=3).etag == receipt.etag


def test_the_rejects_file_is_of_the_last_publication_only(data_folder: DataFolder, tmp_path: Path) -> None:
    rejects = tmp_path / "rejects.jsonl"
    publish_bytes(data_folder, tmp_path / "a", BAD_MIDDLE, rejects=rejects, allow_rejects=3)
    publish_bytes(data_folder, tmp_path / "a", GOOD, rejects=rejects)
    assert rejects.read_text() == ""


def test_rejects_never_overwrite_an_input(data_folder: DataFolder, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "a")
    with pytest.raises(UsageError, match="overwritten"):
        publish_bytes(data_folder, tmp_path / "a", BAD_MIDDLE, rejects=tmp_path / "link", allow_rejects=9)
    assert (tmp_path / "a").read_bytes() == BAD_MIDDLE


def test_a_value_no_file_can_hold_is_told_all_the_same(data_folder: DataFolder, tmp_path: Path) -> None:
    lines = GOOD + raw_lines(Kind.USAGE, {AMOUNT: r'"\ud800"'})
    publish_bytes(data_folder, tmp_path / "a", lines, rejects=tmp_path / "r", allow_rejects=1)
    assert json.loads((tmp_path / "r").read_text())["line"] == 4


def test_when_every_line_is_refused_nothing_is_published(data_folder: DataFolder, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        publish_bytes(data_folder, tmp_path / "a", raw_lines(Kind.USAGE, {AMOUNT: '"x"'}), allow_rejects=9)
    assert (data_folder.catalog.datasets(), folder_of(tmp_path / "data")) == ([], {})
