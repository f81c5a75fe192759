"""`counterfoil token`: a bearer token for trying things out."""

from __future__ import annotations

import click

from counterfoil.cli.options import with_output, with_settings
from counterfoil.cli.output import Output
from counterfoil.errors import UsageError
from counterfoil.model import tenant_id
from counterfoil.periods import utc_now
from counterfoil.settings import Settings


@click.command()
@click.option("--partner", required=True, metavar="TENANT", help="The partner whose data may be read.")
@click.option(
    "--audience",
    default="graph",
    show_default=True,
    metavar="AUDIENCE",
    help="`graph`, `partner-center`, or an audience of your own.",
)
@with_output
@with_settings()
def token(*, partner: str, audience: str, settings: Settings, output: Output) -> None:
    """Print a token that is good for an hour at any `counterfoil serve --dev` on the same data folder.

    It is good nowhere else: not without --dev, and not at Microsoft.

    \b
    Example:
      TOKEN=$(counterfoil token --partner 0e195b37-4574-4539-bc42-0e539b9684c0)
    """
    from counterfoil.server.identity.signing_keys import mint_development_token
    from counterfoil.storage.engines import open_store

    tenant = tenant_id(partner)
    with open_store(settings.data, settings.database_url or None, create=False) as store:
        if not store.catalog.has_partner(tenant):
            raise UsageError(
                f"{tenant} is not a registered partner of this data folder.",
                remedy=f"Publish its line items, or run: counterfoil partners add {tenant}",
            )
    output.text("token", mint_development_token(settings.data, tenant, audience, utc_now()))
