"""`counterfoil partners` and `counterfoil clients`: who may be served, and with which credentials."""

from __future__ import annotations

import click

from counterfoil.cli.open_folder import open_data_folder
from counterfoil.cli.options import with_output, with_settings
from counterfoil.cli.output import Output
from counterfoil.model import tenant_id
from counterfoil.periods import utc_now
from counterfoil.settings import Settings


@click.group()
def partners() -> None:
    """Say which partners may be served. Publishing registers its partner automatically."""


@partners.command("add")
@click.argument("tenant")
@with_output
@with_settings()
def add_partner(*, tenant: str, settings: Settings, output: Output) -> None:
    """Let TENANT be served, whether or not anything is published for it yet."""
    partner = tenant_id(tenant)
    with open_data_folder(settings, create=True) as data_folder:
        new = data_folder.catalog.add_partner(partner, utc_now())
    output.note(f"Partner {partner} {'may now be served' if new else 'was registered already'}.")


@partners.command("list")
@with_output
@with_settings()
def list_partners(*, settings: Settings, output: Output) -> None:
    """List the partners that may be served."""
    with open_data_folder(settings) as data_folder:
        found = data_folder.catalog.partners()
    rows = [{"partner": each.tenant, "added": each.added_at} for each in found]
    output.rows(rows, none="No partner is registered yet.")


@partners.command("remove")
@click.argument("tenant")
@with_output
@with_settings()
def remove_partner(*, tenant: str, settings: Settings, output: Output) -> None:
    """Serve TENANT no more, and end its clients. Its datasets must have been withdrawn before."""
    partner = tenant_id(tenant)
    with open_data_folder(settings) as data_folder:
        data_folder.catalog.remove_partner(partner)
    output.note(f"Partner {partner} is served no more.")


@click.group()
def clients() -> None:
    """Say which programs may sign in, and for which partner.

    A client asks this server's own token endpoint for tokens, as it would ask Microsoft's. Where your own identity
    provider issues the tokens (COUNTERFOIL_ISSUER), no clients are needed here.
    """


@clients.command("add")
@click.option("--partner", required=True, metavar="TENANT", help="The partner whose data it may read.")
@click.option("--name", default="unnamed", show_default=True, metavar="TEXT", help="What it is, for the list.")
@with_output
@with_settings()
def add_client(*, partner: str, name: str, settings: Settings, output: Output) -> None:
    """Make a client id and secret. The secret is shown this once: only its hash is kept."""
    tenant = tenant_id(partner)
    with open_data_folder(settings) as data_folder:
        client, secret = data_folder.catalog.add_client(tenant, name, utc_now())
    output.facts({"tenant": tenant, "clientId": client.id, "clientSecret": secret})
    output.note("Keep the secret now: it is stored nowhere.")


@clients.command("list")
@click.option("--partner", required=True, metavar="TENANT", help="The partner.")
@with_output
@with_settings()
def list_clients(*, partner: str, settings: Settings, output: Output) -> None:
    """List a partner's clients, revoked ones too."""
    with open_data_folder(settings) as data_folder:
        found = data_folder.catalog.clients(tenant_id(partner))
    rows = [
        {"clientId": each.id, "name": each.name, "created": each.created_at, "revoked": each.revoked_at}
        for each in found
    ]
    output.rows(rows, none="This partner has no clients.")


@clients.command("revoke")
@click.option("--partner", required=True, metavar="TENANT", help="The partner.")
@click.argument("client_id")
@with_output
@with_settings()
def revoke_client(*, partner: str, client_id: str, settings: Settings, output: Output) -> None:
    """End a client: tokens it has already got stop working within seconds."""
    with open_data_folder(settings) as data_folder:
        data_folder.catalog.revoke_client(tenant_id(partner), client_id, utc_now())
    output.note(f"Client {client_id} is revoked.")
