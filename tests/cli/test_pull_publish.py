"""`counterfoil pull --publish`: what was pulled can be served from here, and is published once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from counterfoil import cli
from tests.cli.pulling import INVOICE, House, run
from tests.cli.test_frame import without

ONE = ("pull", "contoso", "--kind", "usage", "--invoice", INVOICE, "--publish", "--data", "mirror")
ALL = ("pull", "contoso", "--all", "--publish", "--data", "mirror")


def published() -> list[tuple[str, int]]:
    done = run("list", "--data", "mirror", "--output", "json")
    return [(row["scope"], row["lineItems"]) for row in json.loads(done.stdout) if row["revision"]]


def test_what_was_pulled_is_published_in_the_data_folder_that_is_named(house: House) -> None:
    house.invoice(3)
    done = run(*ONE, "--output", "json")
    told = json.loads(done.stdout)
    assert (done.exit_code, done.stderr, told["lineItems"], told["published"]["changed"]) == (0, "", 3, True)
    assert f"Data folder: {Path('mirror').absolute()}" in run(*ONE).stderr
    assert published() == [(f"invoice {INVOICE}", 3)]


def test_a_schedule_publishes_what_is_new_and_nothing_twice(house: House) -> None:
    house.profile('kinds = ["usage"]', f'invoices = ["{INVOICE}"]', 'currencies = ["EUR"]', 'periods = ["current"]')
    house.invoice(3)
    house.month(2)
    first, second = run(*ALL), run(*ALL)
    assert (first.exit_code, second.exit_code) == (0, 0), first.stderr + second.stderr
    assert ("Published usage" in first.stderr, "ublished" in second.stderr) == (True, False)
    assert sorted(count for _, count in published()) == [2, 3]
    house.month(4)
    assert "Published usage" in run(*ALL).stderr
    assert sorted(count for _, count in published()) == [3, 4]


def test_what_somebody_withdrew_a_schedule_does_not_bring_back_but_a_person_can(house: House) -> None:
    house.profile('kinds = ["usage"]', f'invoices = ["{INVOICE}"]')
    house.invoice()
    assert run(*ALL).exit_code == 0
    named = ["--partner", house.server.partner, "--kind", "usage", "--invoice", INVOICE, "--data", "mirror"]
    assert run("withdraw", *named).exit_code == 0
    assert (run(*ALL).exit_code, published()) == (0, [])
    assert (run(*ONE).exit_code, len(published())) == (0, 1)


def test_what_was_pulled_before_is_published_as_soon_as_that_is_asked_for(house: House) -> None:
    house.profile('kinds = ["usage"]', f'invoices = ["{INVOICE}"]')
    house.invoice()
    assert run("pull", "contoso", "--all").exit_code == 0
    assert (run(*ALL).exit_code, len(published())) == (0, 1)


@pytest.mark.parametrize("arguments", [(*ONE, "--format", "xlsx"), ALL])
def test_a_workbook_is_refused_before_anything_is_pulled(house: House, arguments: tuple[str, ...]) -> None:
    house.profile('format = "xlsx"', f'invoices = ["{INVOICE}"]')
    done = run(*arguments)
    assert (done.exit_code, "A workbook cannot be published" in done.stderr) == (2, True)
    assert not Path("counterfoil-pulls").exists()


def test_without_the_server_it_says_what_to_install(house: House) -> None:
    done = without(cli.SERVER_LIBRARIES, *ONE)
    assert (done.returncode, "pip install" in done.stderr, Path("counterfoil-pulls").exists()) == (2, True, False)
