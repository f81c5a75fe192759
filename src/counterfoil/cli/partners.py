"""`counterfoil partners` and `counterfoil clients`: who may be served, and with which credentials."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from counterfoil.cli.open_folder import open_data_folder
from counterfoil.cli.options import NamedPath, with_common, with_output, with_settings
from counterfoil.cli.output import Headed, Output
from counterfoil.cli.secret_commands import described, end_of, remove_secret, rotate_secret, secret_days
from counterfoil.errors import UsageError
from counterfoil.model import tenant_id
from counterfoil.periods import utc_now
from counterfoil.printable_text import counted
from counterfoil.settings import Settings

if TYPE_CHECKING:
    from counterfoil.storage.catalog_rows import ClientCredential


_UNNAMED: Final = "unnamed"


@click.group()
@with_common
def partners() -> None:
    """Choose which partners may be served. Publishing registers its partner automatically."""


@partners.command("add")
@click.argument("tenant", required=False)
@click.option("--name", metavar="TEXT", help="What people call it, for lists.")
@click.option(
    "--list",
    "listed",
    metavar="FILE",
    type=NamedPath(),
    help="Add all partners of a CSV: partner,name,client. Each `client` gets an id and a secret.",
)
@with_output
@with_settings()
def add_partner(
    *, tenant: str | None, name: str | None, listed: Path | None, settings: Settings, output: Output
) -> None:
    """Let TENANT be served, whether or not anything is published for it yet.

    A list is checked whole first, and may be given again: what is there already stays as it is.

    \b
    Examples:
      counterfoil partners add 0e195b37-4574-4539-bc42-0e539b9684c0 --name "Northlight IT"
      counterfoil partners add --list partners.csv --output json > secrets.json
    """
    if (tenant is None) == (listed is None) or (listed is not None and name is not None):
        raise UsageError("Name one partner, or give a list.", remedy="A list has the names.", parameter="list")
    if listed is not None:
        from counterfoil.cli.partner_list import read_partners, register

        partners_listed = read_partners(listed)
        with open_data_folder(settings, create=True) as data_folder:
            now = utc_now()
            rows = register(data_folder.catalog, partners_listed, now, end_of(settings, now))
        output.rows(rows)
        if any(row["clientSecret"] for row in rows):
            output.note("Keep the secrets now: only their hashes are stored.")
        return
    partner = tenant_id(tenant or "")
    with open_data_folder(settings, create=True) as data_folder:
        new = data_folder.catalog.add_partner(partner, utc_now(), name=name)
    output.done(
        f"Partner {partner} {'may now be served' if new else 'was registered already'}.",
        {"partner": partner, "name": name, "added": new},
    )


@partners.command("list")
@with_output
@with_settings()
def list_partners(*, settings: Settings, output: Output) -> None:
    """List the partners that may be served.

    \b
    Example:
      counterfoil partners list
    """
    with open_data_folder(settings) as data_folder:
        found = data_folder.catalog.partners()
    rows = [{"partner": each.tenant, "name": each.name, "added": each.added_at} for each in found]
    output.rows(rows, none="No partner is registered yet.")


@partners.command("remove")
@click.argument("tenant")
@click.option("--erase", is_flag=True, help="Delete all its data for good, whether withdrawn or not.")
@click.option("--yes", is_flag=True, help="Do not ask before erasing.")
@with_output
@with_settings()
def remove_partner(*, tenant: str, erase: bool, yes: bool, settings: Settings, output: Output) -> None:
    """Stop serving TENANT, and end its clients, tokens and links. Its datasets must have been withdrawn before.

    With --erase, all its data is deleted for good: every revision, export, client and break, in force or not. Nothing
    brings it back but a backup, and backups made before still hold it: delete those yourself. What was pulled from
    here, and is elsewhere, stays there.

    \b
    Examples:
      counterfoil partners remove 0e195b37-4574-4539-bc42-0e539b9684c0
      counterfoil partners remove 0e195b37-4574-4539-bc42-0e539b9684c0 --erase
    """
    partner = tenant_id(tenant)
    with open_data_folder(settings) as data_folder:
        if not erase:
            data_folder.catalog.remove_partner(partner)
            output.done(f"Partner {partner} is no longer served.", {"partner": partner, "removed": True})
            return
        from counterfoil.datasets.offboarding import erase_partner
        from counterfoil.reconcile.breaks import forget_partner

        held = data_folder.catalog.held_of_partner(partner)
        if not yes:
            _confirm(f"{counted(len(held.datasets), 'dataset')} of {partner} will be deleted for good.")
        forget_partner(settings.data, partner)
        erased, deleted = erase_partner(data_folder, partner)
    output.done(
        f"Partner {partner} is erased: {counted(erased.datasets, 'dataset')}, {counted(erased.revisions, 'revision')}, "
        f"{counted(erased.clients, 'client')}, {counted(erased.exports, 'export')} and "
        f"{counted(deleted.files, 'file')} were deleted. Backups made before still hold it.",
        {
            "partner": partner,
            "removed": True,
            "erased": {
                "datasets": erased.datasets,
                "revisions": erased.revisions,
                "clients": erased.clients,
                "exports": erased.exports,
                "files": deleted.files,
                "sizeBytes": deleted.size_bytes,
            },
        },
    )


def _confirm(what: str) -> None:
    """Ask on a terminal whether something is meant; raises UsageError where nobody can be asked, or says no."""
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError(f"{what} Nobody can be asked whether that is meant.", remedy="Say so.", parameter="yes")
    if not click.confirm(f"{what} Erase?", err=True):
        raise UsageError("Nothing was erased.")


@click.group()
@with_common
def clients() -> None:
    """Choose which programs may sign in, and for which partner.

    A client asks this server's own token endpoint for tokens, as it would ask Microsoft's. Where your own identity
    provider issues the tokens (COUNTERFOIL_ISSUER), no clients are needed here.
    """


@clients.command("add")
@click.option("--partner", required=True, metavar="TENANT", help="The partner whose data it may read.")
@click.option("--name", default=_UNNAMED, show_default=True, metavar="TEXT", help="What it is, for the list.")
@click.option(
    "--certificate",
    "certificates",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A certificate (PEM or DER) whose key it signs in with, instead of a secret; may be given again.",
)
@click.option(
    "--federated",
    multiple=True,
    nargs=3,
    metavar="ISSUER SUBJECT AUDIENCE",
    help="A workload that signs in with tokens of another issuer, instead of a secret; may be given again.",
)
@click.option("--client", "client_id", metavar="CLIENT_ID", help="Add these to a client that is there already.")
@secret_days
@with_output
@with_settings("client_secret_days")
def add_client(
    *,
    partner: str,
    name: str,
    certificates: tuple[Path, ...],
    federated: tuple[tuple[str, str, str], ...],
    client_id: str | None,
    settings: Settings,
    output: Output,
) -> None:
    """Make a client id and secret. The secret is shown this once, and ends; `counterfoil clients rotate` makes another.

    With certificates or federated identities there is no secret: the client signs in by assertion.

    \b
    Examples:
      counterfoil clients add --partner 0e195b37-4574-4539-bc42-0e539b9684c0 --name "Nightly import"
      counterfoil clients add --partner 0e195b37-4574-4539-bc42-0e539b9684c0 --certificate client.pem
    """
    tenant = tenant_id(partner)
    credentials = _credentials(certificates, federated)
    if client_id is not None and not credentials:
        raise UsageError(
            "There is nothing to add to the client.", remedy="Name a certificate.", parameter="certificate federated"
        )
    if client_id is not None and name != _UNNAMED:
        raise UsageError(
            "A client that is there already keeps its name.", remedy="Leave one out.", parameter="name client"
        )
    with open_data_folder(settings) as data_folder:
        catalog, secret, expires_at = data_folder.catalog, "", None
        if client_id is not None:
            catalog.trust_client(tenant, client_id, credentials, utc_now())
        elif credentials:
            client_id = catalog.add_trusted_client(tenant, name, credentials, utc_now()).id
        else:
            now = utc_now()
            expires_at = end_of(settings, now)
            client, secret = catalog.add_client(tenant, name, now, expires_at=expires_at)
            client_id = client.id
    facts: dict[str, object] = {"tenant": tenant, "clientId": client_id}
    if secret:
        facts |= {"clientSecret": secret, "expires": expires_at}
    if credentials:
        facts["signsInBy"] = Headed("May sign in with", [_described(credential) for credential in credentials])
    output.facts(facts)
    if secret:
        output.note("Keep the secret now: it is stored nowhere.")


def _credentials(certificates: tuple[Path, ...], federated: tuple[tuple[str, str, str], ...]) -> list[ClientCredential]:
    from counterfoil.server.identity.client_assertions import check_federated
    from counterfoil.server.identity.client_certificates import read_client_certificate
    from counterfoil.storage.catalog_rows import FederatedIdentity

    found: list[ClientCredential] = [
        read_client_certificate(path.read_bytes(), str(path), utc_now()) for path in certificates
    ]
    for issuer, subject, audience in federated:
        identity = FederatedIdentity(issuer, subject, audience)
        check_federated(identity)
        found.append(identity)
    return found


def _described(credential: ClientCredential) -> str:
    from counterfoil.storage.catalog_rows import FederatedIdentity

    if isinstance(credential, FederatedIdentity):
        return f"tokens of {credential.issuer} for {credential.subject}"
    return f"certificate {credential.id[:16]} until {credential.expires_at:%Y-%m-%d}"


@clients.command("list")
@click.option("--partner", required=True, metavar="TENANT", help="The partner.")
@with_output
@with_settings()
def list_clients(*, partner: str, settings: Settings, output: Output) -> None:
    """List a partner's clients, revoked ones too.

    \b
    Example:
      counterfoil clients list --partner 0e195b37-4574-4539-bc42-0e539b9684c0
    """
    now = utc_now()
    with open_data_folder(settings) as data_folder:
        catalog = data_folder.catalog
        found = [
            (each, catalog.client_secrets(each.id), catalog.credentials(each.id))
            for each in catalog.clients(tenant_id(partner))
        ]
    rows = [
        {
            "clientId": each.id,
            "name": each.name,
            "created": each.created_at,
            "revoked": each.revoked_at,
            "secrets": [{"id": one.id, "created": one.created_at, "expires": one.expires_at} for one in secrets],
            "signsInBy": "; ".join([*(described(one, now) for one in secrets), *map(_described, credentials)]),
        }
        for each, secrets, credentials in found
    ]
    output.rows(rows, only_json=["secrets"], none="This partner has no clients.")


@clients.command("revoke")
@click.option("--partner", required=True, metavar="TENANT", help="The partner.")
@click.argument("client_id")
@with_output
@with_settings()
def revoke_client(*, partner: str, client_id: str, settings: Settings, output: Output) -> None:
    """End a client: tokens and links to blobs that it has already got stop working within seconds.

    \b
    Example:
      counterfoil clients revoke --partner 0e195b37-4574-4539-bc42-0e539b9684c0 CLIENT_ID
    """
    with open_data_folder(settings) as data_folder:
        data_folder.catalog.revoke_client(tenant_id(partner), client_id, utc_now())
    output.done(f"Client {client_id} is revoked.", {"partner": partner, "clientId": client_id, "revoked": True})


clients.add_command(rotate_secret)
clients.add_command(remove_secret)
