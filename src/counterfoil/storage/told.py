"""What the record of activity is told of each change of the catalog: a function beside each that changes it.

Each takes what its namesake returned and was given, and returns None where nothing was changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from counterfoil.model import Dataset, tenant_id
from counterfoil.periods import utc_now
from counterfoil.storage.activity import Action, NewActivity
from counterfoil.storage.catalog_rows import ClientCredential, ClientSecret, RegisteredClient, Revision


def partner_added(is_new: bool, tenant: str, now: datetime, *, name: str | None = None) -> NewActivity | None:
    """A partner was registered, or named."""
    if not is_new and name is None:
        return None
    return NewActivity(Action.PARTNER_ADD, now, partner=tenant_id(tenant), details={"name": name} if name else {})


def partner_removed(_: None, tenant: str) -> NewActivity:
    """A partner was removed."""
    return NewActivity(Action.PARTNER_REMOVE, utc_now(), partner=tenant_id(tenant))


def partner_erased(_: object, tenant: str) -> NewActivity:
    """A partner's data were deleted for good."""
    return NewActivity(Action.PARTNER_ERASE, utc_now(), partner=tenant_id(tenant))


def client_added(
    made: tuple[RegisteredClient, str],
    tenant: str,
    name: str,
    now: datetime,
    *,
    with_secret: bool = True,
    expires_at: datetime | None = None,
) -> NewActivity:
    """A client was registered."""
    details = {"name": name, "secret": with_secret, "expires": str(expires_at or "never")}
    return NewActivity(Action.CLIENT_ADD, now, partner=tenant_id(tenant), subject=made[0].id, details=details)


def trusted_client_added(
    client: RegisteredClient, tenant: str, name: str, credentials: Sequence[ClientCredential], now: datetime
) -> NewActivity:
    """A client was registered that signs in without a secret."""
    details = {"name": name, "credentials": [each.id for each in credentials]}
    return NewActivity(Action.CLIENT_ADD, now, partner=tenant_id(tenant), subject=client.id, details=details)


def credentials_added(
    _: None, tenant: str, client_id: str, credentials: Sequence[ClientCredential], now: datetime
) -> NewActivity:
    """A client may sign in by more than before."""
    details = {"credentials": [each.id for each in credentials]}
    return NewActivity(Action.CREDENTIAL_ADD, now, partner=tenant_id(tenant), subject=client_id, details=details)


def client_revoked(_: None, tenant: str, client_id: str, now: datetime) -> NewActivity:
    """A client was revoked."""
    return NewActivity(Action.CLIENT_REVOKE, now, partner=tenant_id(tenant), subject=client_id)


def secret_added(
    made: tuple[ClientSecret, str],
    tenant: str,
    client_id: str,
    now: datetime,
    expires_at: datetime | None,
    *,
    others_end_at: datetime | None = None,
) -> NewActivity:
    """A client got one more secret."""
    details = {"secret": made[0].id, "expires": str(expires_at or "never")}
    if others_end_at is not None:
        details["othersEnd"] = str(others_end_at)
    return NewActivity(Action.SECRET_ADD, now, partner=tenant_id(tenant), subject=client_id, details=details)


def secret_removed(_: None, tenant: str, client_id: str, secret_id: str) -> NewActivity:
    """A secret of a client was ended."""
    details = {"secret": secret_id}
    return NewActivity(Action.SECRET_REMOVE, utc_now(), partner=tenant_id(tenant), subject=client_id, details=details)


def put_in_force(
    _: None, dataset: Dataset, revision_id: str | None, expected: str | None, now: datetime
) -> NewActivity | None:
    """A revision was restored, or a dataset withdrawn."""
    if revision_id == expected:
        return None
    action = Action.WITHDRAW if revision_id is None else Action.RESTORE
    subject = revision_id or expected or ""
    return NewActivity(action, now, partner=dataset.partner, subject=subject, details=facts_of(dataset))


def published(made: Sequence[Revision], now: datetime) -> list[NewActivity]:
    """A publication put these revisions in force; those that were there before changed nothing."""
    return [
        NewActivity(
            Action.PUBLISH,
            now,
            partner=revision.dataset.partner,
            subject=revision.id,
            details={**facts_of(revision.dataset), "lineItems": revision.contents.line_items},
        )
        for revision in made
        if revision.published_at == now
    ]


def facts_of(dataset: Dataset) -> dict[str, str]:
    """Return what names a dataset among those of its partner."""
    scope = dataset.scope
    its = {"kind": dataset.kind.value, "invoice": scope.invoice, "period": scope.period, "currency": scope.currency}
    return {name: value for name, value in its.items() if value}
