"""The record of who did what: only added to, chained, kept for a time, erasable to ids."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from counterfoil.storage import activity, rows, tables
from counterfoil.storage.activity import Action, NewActivity
from counterfoil.storage.catalog import Catalog
from tests.storage.preparing import USAGE

PARTNER = "0e195b37-4574-4539-bc42-0e539b9684c0"
OTHER = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def entry(number: int, **more: object) -> NewActivity:
    facts = {"partner": PARTNER, "actor": "tool", "subject": f"s{number}", "details": {"name": f"name {number}"}}
    return NewActivity(Action.EXPORT, NOW + timedelta(seconds=number), **{**facts, **more})  # type: ignore[arg-type]


def change(catalog: Catalog, statement: str) -> None:
    """Change the record as somebody would who can compute a row's digest, and no chain."""
    with catalog.log.database.writing() as connection:
        connection.execute(text(statement))
        for row in connection.execute(tables.activity.select()).mappings().all():
            digest = rows.digest_of(tables.activity, dict(row))
            connection.execute(
                tables.activity.update().where(tables.activity.c.number == row["number"]).values(digest=digest)
            )


def test_each_row_is_read_as_it_was_recorded_and_filtered(catalog: Catalog) -> None:
    first, second = entry(0), NewActivity(Action.WALK, NOW + timedelta(minutes=1), "b", OTHER, "r", count=3)
    catalog.record_activity([first])
    catalog.record_activity([second])
    catalog.record_activity([])
    one, two = catalog.activity(10)
    assert (one.number, one.action, one.at, one.actor, one.partner, one.subject, one.details, one.count) == (
        *(1, Action.EXPORT, NOW, "tool", PARTNER, "s0"),
        {"name": "name 0"},
        1,
    )
    assert (two.number, two.action, two.count, two.details) == (2, Action.WALK, 3, {})
    assert catalog.activity(1) == [two]
    assert catalog.activity(9, partner=PARTNER) == catalog.activity(9, actor="tool") == [one]
    assert catalog.activity(9, actions=[Action.WALK, Action.BACKUP]) == catalog.activity(9, since=two.at) == [two]
    assert catalog.activity(9, until=two.at) == [one]
    assert catalog.faults() == []


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE activity SET actor = 'me' WHERE number = 3", "breaks at row 3"),
        ("UPDATE activity SET at = at + 1 WHERE number = 3", "breaks at row 3"),
        ("UPDATE activity SET count = 7 WHERE number = 1", "breaks at row 1"),
        ("UPDATE activity SET partner = NULL WHERE number = 2", "breaks at row 2"),
        ("UPDATE activity SET details = '{}' WHERE number = 2", "details of activity 2 were changed"),
        ("UPDATE activity SET details_sha256 = '' WHERE number = 2", "breaks at row 2"),
        ("UPDATE activity SET chain = 'x' WHERE number = 3", "breaks at row 3"),
        ("DELETE FROM activity WHERE number = 3", "lacks rows between 2 and 4"),
        ("DELETE FROM activity WHERE number = 1", "breaks at row 2"),
        ("DELETE FROM activity WHERE number = 5", "lacks its last rows, up to 5"),
        ("DELETE FROM activity", "lacks its last rows, up to 5"),
        ("UPDATE activity SET number = 9 WHERE number = 5", "between 4 and 9"),
    ],
)
def test_whatever_is_changed_taken_out_or_cut_off_is_found(catalog: Catalog, statement: str, said: str) -> None:
    catalog.record_activity([entry(number) for number in range(5)])
    change(catalog, statement)
    assert any(said in fault for fault in catalog.faults()), catalog.faults()


def test_erasing_a_partner_leaves_ids_times_and_counts_and_a_chain_that_holds(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activity, "_ROWS_AT_A_TIME", 2)
    catalog.record_activity([entry(number) for number in range(5)])
    catalog.record_activity([entry(6, partner=OTHER)])
    assert catalog.erase_activity(PARTNER) == 5
    assert catalog.erase_activity(PARTNER) == 0
    found = catalog.activity(10)
    assert [(each.subject, each.details) for each in found[:5]] == [(f"s{number}", {}) for number in range(5)]
    assert found[5].details == {"name": "name 6"}
    assert catalog.faults() == []
    with catalog.log.database.reading() as connection:
        left = json.dumps([list(map(str, row)) for row in connection.execute(tables.activity.select())])
    assert "name 4" not in left
    assert "name 6" in left


def test_what_is_past_its_time_is_forgotten_oldest_first_and_the_chain_holds(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activity, "_ROWS_AT_A_TIME", 3)
    catalog.activity_kept = timedelta(days=1)
    catalog.record_activity([entry(number) for number in range(5)])
    for number, left in ((40_000, 6), (80_000, 7), (100_000, 5), (110_000, 4)):
        catalog.record_activity([entry(number)])
        assert len(catalog.activity(99)) == left
        assert catalog.faults() == []
    assert catalog.activity(99)[0].number == 6


def test_a_clock_that_is_years_ahead_for_a_moment_takes_nothing(catalog: Catalog) -> None:
    catalog.activity_kept = timedelta(days=1)
    catalog.record_activity([entry(0)])
    catalog.record_activity([entry(10**9)])
    assert len(catalog.activity(99)) == 2


def test_equal_details_cannot_be_told_by_their_hashes(catalog: Catalog) -> None:
    catalog.record_activity([entry(0), entry(0)])
    with catalog.log.database.reading() as connection:
        assert len(set(connection.execute(tables.activity.select()).scalars())) == 2
        hashes = [row.details_sha256 for row in connection.execute(tables.activity.select())]
    assert len(set(hashes)) == 2


def test_each_change_of_the_catalog_is_recorded_with_it(catalog: Catalog, publish: Callable[..., object]) -> None:
    catalog.actor = "olga"
    catalog.add_partner(PARTNER, NOW, name="Contoso")
    catalog.add_partner(PARTNER, NOW)
    client, secret = catalog.add_client(PARTNER, "billing", NOW)
    made, second = catalog.add_secret(PARTNER, client.id, NOW, None)
    catalog.remove_secret(PARTNER, client.id, made.id)
    catalog.revoke_client(PARTNER, client.id, NOW)
    publish(USAGE, {"whole": [1]})
    revision = catalog.in_force(USAGE)
    assert revision is not None
    catalog.set_in_force(USAGE, None, revision.id, NOW)
    catalog.set_in_force(USAGE, revision.id, None, NOW)
    catalog.set_in_force(USAGE, None, revision.id, NOW)
    catalog.remove_partner(PARTNER)
    found = catalog.activity(99)
    assert [str(each.action) for each in found] == [
        *("partner-add", "client-add", "secret-add", "secret-remove", "client-revoke"),
        *("publish", "withdraw", "restore", "withdraw", "partner-remove"),
    ]
    assert {(each.partner, each.actor) for each in found} == {(PARTNER, "olga")}
    assert [each.subject for each in found[1:8]] == [*[client.id] * 4, *[revision.id] * 3]
    told = str(found)
    assert "billing" in told
    assert secret not in told
    assert second not in told
    assert catalog.faults() == []
