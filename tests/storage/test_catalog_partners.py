"""Partners and their clients: who may be served, with which secret."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from counterfoil.errors import MissingError, UsageError
from counterfoil.model import Dataset, Kind, Scope
from counterfoil.storage.catalog import Catalog
from counterfoil.storage.catalog_rows import Revision
from counterfoil.storage.engines import open_store

PARTNER = "0e195b37-4574-4539-bc42-0e539b9684c0"
OTHER = "1e195b37-4574-4539-bc42-0e539b9684c1"
USAGE = Dataset(Kind.USAGE, PARTNER, Scope(period="2026-11", currency="EUR"))
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)

Publish = Callable[..., Revision]


def test_a_partner_is_added_once_whatever_its_letter_case(catalog: Catalog) -> None:
    assert catalog.add_partner(PARTNER, NOW)
    assert not catalog.add_partner(PARTNER.upper(), NOW + timedelta(days=1))
    assert catalog.has_partner(PARTNER)
    assert not catalog.has_partner(OTHER)
    assert [(partner.tenant, partner.added_at) for partner in catalog.partners()] == [(PARTNER, NOW)]


def test_only_a_tenant_id_names_a_partner(catalog: Catalog) -> None:
    with pytest.raises(UsageError):
        catalog.add_partner("contoso", NOW)


def test_a_partner_with_datasets_in_force_stays(catalog: Catalog, publish: Publish) -> None:
    revision = publish(USAGE, {"whole": [1]})
    with pytest.raises(UsageError, match="in force"):
        catalog.remove_partner(PARTNER)
    catalog.set_in_force(USAGE, None, revision.id, NOW)
    catalog.remove_partner(PARTNER)
    assert not catalog.has_partner(PARTNER)


def test_a_removed_partner_cannot_be_served_again_by_a_restore(catalog: Catalog, publish: Publish) -> None:
    revision = publish(USAGE, {"whole": [1]})
    catalog.set_in_force(USAGE, None, revision.id, NOW)
    catalog.remove_partner(PARTNER)
    with pytest.raises(MissingError, match="partners add"):
        catalog.set_in_force(USAGE, revision.id, None, NOW)


def test_removing_a_partner_ends_its_clients_for_good(catalog: Catalog) -> None:
    catalog.add_partner(PARTNER, NOW)
    client, secret = catalog.add_client(PARTNER, "billing", NOW)
    catalog.remove_partner(PARTNER)
    assert catalog.check_client(client.id, secret, NOW) is None
    catalog.add_partner(PARTNER, NOW)
    assert catalog.check_client(client.id, secret, NOW) is None
    assert catalog.clients(PARTNER) == []


def test_what_is_asked_of_an_unknown_partner_is_refused(catalog: Catalog) -> None:
    for ask in (
        lambda: catalog.remove_partner(PARTNER),
        lambda: catalog.add_client(PARTNER, "billing", NOW),
        lambda: catalog.clients(PARTNER),
    ):
        with pytest.raises(MissingError, match="partners add"):
            ask()


def test_a_client_is_known_by_its_id_and_secret(catalog: Catalog) -> None:
    catalog.add_partner(PARTNER, NOW)
    client, secret = catalog.add_client(PARTNER.upper(), "billing", NOW)
    assert (client.partner, client.name, client.created_at, client.revoked_at) == (PARTNER, "billing", NOW, None)
    assert catalog.check_client(client.id, secret, NOW) == client
    for wrong in ("", secret[:-1], secret.swapcase(), "\ud800", hashlib.sha256(secret.encode()).hexdigest()):
        assert catalog.check_client(client.id, wrong, NOW) is None
    assert catalog.check_client(client.id[:-1], secret, NOW) is None


def test_every_client_has_a_secret_of_its_own(catalog: Catalog) -> None:
    catalog.add_partner(PARTNER, NOW)
    (one, one_secret), (two, two_secret) = [catalog.add_client(PARTNER, "same", NOW) for _ in range(2)]
    assert one.id != two.id
    assert len({one_secret, two_secret}) == 2
    assert min(len(one_secret), len(two_secret)) >= 43
    assert catalog.check_client(one.id, two_secret, NOW) is None


def test_a_secret_is_nowhere_on_the_disk(tmp_path: Path) -> None:
    catalog = open_store(tmp_path / "data").catalog
    catalog.add_partner(PARTNER, NOW)
    _, secret = catalog.add_client(PARTNER, "billing", NOW)
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert hashlib.sha256(secret.encode()).hexdigest().encode() in stored
    assert secret.encode() not in stored


def test_a_revoked_client_is_refused_and_stays_listed(catalog: Catalog) -> None:
    catalog.add_partner(PARTNER, NOW)
    client, secret = catalog.add_client(PARTNER, "billing", NOW)
    catalog.revoke_client(PARTNER, client.id, NOW)
    catalog.revoke_client(PARTNER, client.id, NOW + timedelta(days=1))
    assert catalog.check_client(client.id, secret, NOW) is None
    assert [each.revoked_at for each in catalog.clients(PARTNER)] == [NOW]


def test_another_partners_client_cannot_be_revoked(catalog: Catalog) -> None:
    catalog.add_partner(PARTNER, NOW)
    catalog.add_partner(OTHER, NOW)
    client, secret = catalog.add_client(PARTNER, "billing", NOW)
    with pytest.raises(MissingError, match="clients list"):
        catalog.revoke_client(OTHER, client.id, NOW)
    assert catalog.check_client(client.id, secret, NOW) == client


def test_a_client_name_fits_on_one_line(catalog: Catalog) -> None:
    catalog.add_partner(PARTNER, NOW)
    for bad in ("", "a\nb", "x" * 101):
        with pytest.raises(UsageError):
            catalog.add_client(PARTNER, bad, NOW)


def test_two_secrets_of_a_client_are_good_at_a_time(catalog: Catalog) -> None:
    catalog.add_partner(PARTNER, NOW)
    client, first = catalog.add_client(PARTNER, "billing", NOW, expires_at=NOW + timedelta(days=2))
    second_id, second = catalog.add_secret(PARTNER, client.id, NOW, NOW + timedelta(days=3))
    assert [catalog.check_client(client.id, each, NOW) for each in (first, second)] == [client, client]
    with pytest.raises(UsageError, match=f"2 secrets that are good.*{second_id.id}"):
        catalog.add_secret(PARTNER, client.id, NOW, None)
    tomorrow_but_one = NOW + timedelta(days=2)
    assert [catalog.check_client(client.id, each, tomorrow_but_one) for each in (first, second)] == [None, client]
    _, third = catalog.add_secret(PARTNER, client.id, tomorrow_but_one, None)
    assert second_id in catalog.client_secrets(client.id)
    assert len(catalog.client_secrets(client.id)) == 2
    catalog.remove_secret(PARTNER, client.id, second_id.id)
    assert [catalog.check_client(client.id, each, tomorrow_but_one) for each in (second, third)] == [None, client]
    with pytest.raises(MissingError, match="clients list"):
        catalog.remove_secret(PARTNER, client.id, second_id.id)


def test_a_secret_is_not_given_where_it_could_not_be_used(catalog: Catalog) -> None:
    catalog.add_partner(PARTNER, NOW)
    catalog.add_partner(OTHER, NOW)
    client, _ = catalog.add_client(PARTNER, "billing", NOW)
    with pytest.raises(UsageError, match="past"):
        catalog.add_secret(PARTNER, client.id, NOW, NOW)
    with pytest.raises(MissingError, match="no client"):
        catalog.add_secret(OTHER, client.id, NOW, None)
    catalog.revoke_client(PARTNER, client.id, NOW)
    with pytest.raises(UsageError, match="revoked"):
        catalog.add_secret(PARTNER, client.id, NOW, None)


def test_a_partner_may_have_a_name(catalog: Catalog) -> None:
    assert catalog.add_partner(PARTNER, NOW, name="Contoso")
    assert not catalog.add_partner(PARTNER, NOW)
    assert [partner.name for partner in catalog.partners()] == ["Contoso"]
    assert not catalog.add_partner(PARTNER, NOW, name="Contoso Ltd")
    assert [partner.name for partner in catalog.partners()] == ["Contoso Ltd"]
    assert catalog.faults() == []
    with pytest.raises(UsageError, match="partner name"):
        catalog.add_partner(PARTNER, NOW, name="a\nb")
