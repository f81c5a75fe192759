"""A row whose bits changed is found, and stays so when it is changed in the ordinary way."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import text

from counterfoil.storage.catalog import Catalog

PARTNER = "0e195b37-4574-4539-bc42-0e539b9684c0"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_a_change_of_a_damaged_row_does_not_hide_the_damage(catalog: Catalog) -> None:
    catalog.add_partner(PARTNER, NOW)
    client, _ = catalog.add_client(PARTNER, "billing", NOW)
    sound, _ = catalog.add_client(PARTNER, "sound", NOW)
    with catalog.log.database.writing() as connection:
        connection.execute(text("UPDATE clients SET name = 'bilking' WHERE name = 'billing'"))
    found = [f"the row {client.id} of clients was changed"]
    assert catalog.faults() == found
    for each in (client, sound):
        catalog.revoke_client(PARTNER, each.id, NOW)
    assert catalog.faults() == found
