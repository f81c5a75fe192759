"""Operations: immutable, one partner's own, one for each idempotency key."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection

from counterfoil.errors import BadRequestError
from counterfoil.model import AttributeSet, Contents, Dataset, Kind, Scope
from counterfoil.storage import catalog as catalog_module
from counterfoil.storage import commits, operations
from counterfoil.storage.catalog import Catalog
from counterfoil.storage.catalog_rows import Operation, Revision

PARTNER = "0e195b37-4574-4539-bc42-0e539b9684c0"
OTHER = "1e195b37-4574-4539-bc42-0e539b9684c1"
NOW = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)
DAY = timedelta(hours=24)


def operation_at(created_at: datetime, partner: str = PARTNER) -> Operation:
    return Operation(
        str(uuid.uuid4()),
        str(uuid.uuid4()),
        Dataset(Kind.USAGE, partner, Scope(period="2026-11", currency="EUR")),
        AttributeSet.BASIC,
        "a" * 32,
        created_at,
        created_at + timedelta(seconds=5),
        created_at + DAY,
    )


def test_an_operation_comes_back_as_it_went_in(catalog: Catalog) -> None:
    dataset = Dataset(Kind.RECONCILIATION, PARTNER, Scope(invoice="G1"))
    billed = replace(operation_at(NOW), dataset=dataset, revision_id=None)
    for operation in (operation_at(NOW), billed):
        assert catalog.add_operation(operation, None, "digest") == operation
        assert catalog.operation(PARTNER, operation.id) == operation
        assert catalog.operation_by_manifest(PARTNER, operation.manifest_id) == operation


def test_another_partners_operation_does_not_exist(catalog: Catalog) -> None:
    operation = catalog.add_operation(operation_at(NOW), None, "digest")
    assert catalog.operation(OTHER, operation.id) is None
    assert catalog.operation_by_manifest(OTHER, operation.manifest_id) is None
    assert catalog.operation(PARTNER, operation.manifest_id) is None
    assert (catalog.operations(OTHER, 10), len(catalog.operations(OTHER, 1000))) == ([], 0)


def test_operations_are_listed_newest_first(catalog: Catalog) -> None:
    made = [catalog.add_operation(operation_at(NOW + timedelta(seconds=n)), None, "digest") for n in (1, 3, 2)]
    assert catalog.operations(PARTNER, 2) == [made[1], made[2]]
    assert len(catalog.operations(PARTNER, 1000)) == 3


def test_a_key_used_again_gives_the_same_operation(catalog: Catalog) -> None:
    first = catalog.add_operation(operation_at(NOW), "key", "digest")
    assert catalog.add_operation(operation_at(NOW + timedelta(hours=23)), "key", "digest") == first
    assert len(catalog.operations(PARTNER, 1000)) == 1


def test_a_key_used_for_another_request_is_refused(catalog: Catalog) -> None:
    catalog.add_operation(operation_at(NOW), "key", "digest")
    with pytest.raises(BadRequestError) as refused:
        catalog.add_operation(operation_at(NOW), "key", "another")
    assert refused.value.parameter == "Idempotency-Key"
    assert len(catalog.operations(PARTNER, 1000)) == 1


def test_a_key_is_one_partners_own(catalog: Catalog) -> None:
    first = catalog.add_operation(operation_at(NOW), "key", "digest")
    second = catalog.add_operation(operation_at(NOW, OTHER), "key", "another")
    assert first.id != second.id


def test_without_a_key_each_request_is_a_new_operation(catalog: Catalog) -> None:
    assert len({catalog.add_operation(operation_at(NOW), None, "digest").id for _ in range(3)}) == 3


def test_an_expired_operation_lets_go_of_its_key(catalog: Catalog) -> None:
    first = catalog.add_operation(operation_at(NOW), "key", "digest")
    second = catalog.add_operation(operation_at(NOW + DAY), "key", "another")
    assert second.id != first.id
    assert catalog.operation(PARTNER, first.id) == first
    assert catalog.add_operation(operation_at(NOW + DAY), "key", "another") == second


def test_only_operations_expired_before_a_time_are_forgotten(catalog: Catalog) -> None:
    first, second = (catalog.add_operation(operation_at(NOW + DAY * n), None, "digest") for n in (0, 1))
    assert catalog.forget_operations(first.expires_at) == 0
    assert catalog.forget_operations(second.expires_at) == 1
    assert catalog.operations(PARTNER, 10) == [second]


def test_they_are_forgotten_in_portions(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog_module, "_OPERATIONS_AT_A_TIME", 10)
    for _ in range(35):
        catalog.add_operation(operation_at(NOW), None, "digest")
    kept = catalog.add_operation(operation_at(NOW + DAY), None, "digest")
    portions: list[int] = []
    forget = operations.forget

    def counted(connection: Connection, before: datetime, limit: int) -> int:
        portions.append(forget(connection, before, limit))
        return portions[-1]

    monkeypatch.setattr(Catalog, "_forget_some_operations", catalog_module._method(catalog_module._writing, counted))
    assert catalog.forget_operations(NOW + DAY + timedelta(seconds=1)) == 35
    assert portions == [10, 10, 10, 5]
    assert catalog.operations(PARTNER, 10) == [kept]


def test_live_ones_are_counted_and_paged_in_the_database(catalog: Catalog) -> None:
    rows = [operation_at(NOW + timedelta(milliseconds=n)) for n in range(20)]
    with catalog.log.database.writing() as connection:
        revision = Revision(rows[0].revision_id or "", 1, rows[0].dataset, "", Contents(), NOW, None)
        commits.record_revision(connection, revision, commits.record_dataset(connection, revision.dataset, 1), 1, [])
    for number, operation in enumerate(rows):
        has_data = None if number % 4 == 0 else operation.revision_id
        catalog.add_operation(replace(operation, revision_id=has_data), None, "digest")
    catalog.add_operation(operation_at(NOW - DAY), None, "digest")  # expired
    catalog.add_operation(replace(operation_at(NOW), revision_id="forgotten"), None, "digest")
    catalog.add_operation(operation_at(NOW, OTHER), None, "digest")
    soon, ready = NOW + timedelta(seconds=1), NOW + timedelta(seconds=6)
    assert [catalog.count_operations(PARTNER, soon, succeeded=each) for each in (False, True)] == [20, 0]
    assert [catalog.count_operations(PARTNER, ready, succeeded=each) for each in (False, True)] == [20, 15]
    page = catalog.live_operations(PARTNER, ready, succeeded=False, limit=3, offset=5)
    assert [each.id for each in page] == [each.id for each in rows[::-1][5:8]]
    assert len(catalog.live_operations(PARTNER, ready, succeeded=True, limit=100, offset=10)) == 5


def test_threads_with_one_key_get_one_operation(catalog: Catalog) -> None:
    with ThreadPoolExecutor(16) as threads:
        made = threads.map(lambda _: catalog.add_operation(operation_at(NOW), "key", "digest").id, range(64))
        assert len(set(made)) == 1
    assert len(catalog.operations(PARTNER, 1000)) == 1


def test_threads_may_all_write_and_read_at_once(catalog: Catalog) -> None:
    def submit(_: int) -> bool:
        operation = catalog.add_operation(operation_at(NOW), None, "digest")
        return catalog.operation(PARTNER, operation.id) == operation

    with ThreadPoolExecutor(16) as threads:
        assert all(threads.map(submit, range(128)))
    assert len(catalog.operations(PARTNER, 1000)) == 128
