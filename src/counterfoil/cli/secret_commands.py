"""`counterfoil clients rotate | remove-secret`: another secret for a client, and the end of one."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click

from counterfoil.cli.open_folder import open_data_folder
from counterfoil.cli.options import with_output, with_settings
from counterfoil.cli.output import Output
from counterfoil.model import tenant_id
from counterfoil.periods import timestamp, utc_now
from counterfoil.settings import Settings

if TYPE_CHECKING:
    from counterfoil.storage.catalog_rows import ClientSecret

secret_days = click.option(
    "--client-secret-days", metavar="N", type=int, help="How long the secret is good; 0: for ever.  [default: 365]"
)


def end_of(settings: Settings, now: datetime) -> datetime | None:
    """Return when a secret ends that is made now; None for never."""
    return now + timedelta(days=settings.client_secret_days) if settings.client_secret_days else None


def described(secret: ClientSecret, now: datetime) -> str:
    """Say how long a secret is good."""
    if secret.expires_at is None:
        return f"secret {secret.id}"
    return f"secret {secret.id} {'until' if secret.is_good(now) else 'ended'} {secret.expires_at:%Y-%m-%d}"


@click.command("rotate")
@click.option("--partner", required=True, metavar="TENANT", help="The partner.")
@click.argument("client_id")
@click.option(
    "--overlap",
    "overlap_days",
    metavar="DAYS",
    type=click.IntRange(0, 365),
    default=30,
    show_default=True,
    help="How long the secret that it has stays good beside the new one; 0: it ends now.",
)
@secret_days
@with_output
@with_settings("client_secret_days")
def rotate_secret(*, partner: str, client_id: str, overlap_days: int, settings: Settings, output: Output) -> None:
    """Make another secret for a client. The one that it has stays good for a while, and then ends.

    \b
    Example:
      counterfoil clients rotate --partner 0e195b37-4574-4539-bc42-0e539b9684c0 CLIENT_ID
    """
    tenant, now = tenant_id(partner), utc_now()
    with open_data_folder(settings) as data_folder:
        catalog = data_folder.catalog
        made, text = catalog.add_secret(
            tenant, client_id, now, end_of(settings, now), others_end_at=now + timedelta(days=overlap_days)
        )
        others = [each for each in catalog.client_secrets(client_id) if each.id != made.id and each.is_good(now)]
    output.facts(
        {
            "tenant": tenant,
            "clientId": client_id,
            "clientSecret": text,
            "secretId": made.id,
            "expires": made.expires_at,
        }
    )
    output.note("Keep the secret now: it is stored nowhere.")
    for each in others:
        assert each.expires_at is not None
        output.note(f"Secret {each.id} is good until {timestamp(each.expires_at)}.")


@click.command("remove-secret")
@click.option("--partner", required=True, metavar="TENANT", help="The partner.")
@click.argument("client_id")
@click.argument("secret_id")
@with_output
@with_settings()
def remove_secret(*, partner: str, client_id: str, secret_id: str, settings: Settings, output: Output) -> None:
    """End one secret of a client now; `counterfoil clients list` names them. Tokens that it got end within an hour.

    \b
    Example:
      counterfoil clients remove-secret --partner 0e195b37-4574-4539-bc42-0e539b9684c0 CLIENT_ID 8d0c61f2
    """
    tenant = tenant_id(partner)
    with open_data_folder(settings) as data_folder:
        data_folder.catalog.remove_secret(tenant, client_id, secret_id)
    output.done(
        f"Secret {secret_id} of client {client_id} has ended.",
        {"partner": tenant, "clientId": client_id, "secretId": secret_id, "removed": True},
    )
