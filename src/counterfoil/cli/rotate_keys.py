"""`counterfoil rotate-keys`: new keys to sign with, which running servers take up."""

from __future__ import annotations

import click

from counterfoil.cli.open_folder import open_data_folder
from counterfoil.cli.options import with_output, with_settings
from counterfoil.cli.output import Output
from counterfoil.periods import utc_now
from counterfoil.settings import Settings


@click.command()
@click.option("--at-once", is_flag=True, help="Honour the former keys no more: somebody may have them.")
@with_output
@with_settings()
def rotate_keys(*, at_once: bool, settings: Settings, output: Output) -> None:
    """Make new keys that sign the tokens of this server's authority, its links and its continuation tokens.

    Running servers take them up within a second. What the former keys signed stays good to its end: tokens for an hour,
    walks for a day. With --at-once it ends now, and callers sign in and begin again.

    \b
    Example:
      counterfoil rotate-keys --data /srv/counterfoil
    """
    from counterfoil.server.identity.signing_keys import rotate_authority
    from counterfoil.storage.activity import Action, NewActivity
    from counterfoil.storage.secrets import rotate_keyring

    now = utc_now()
    with open_data_folder(settings) as data_folder:
        rotate_authority(settings.data, now, at_once=at_once)
        if not settings.secret:
            rotate_keyring(settings.data, now, at_once=at_once)
        catalog = data_folder.catalog
        details = {"atOnce": at_once, "links": not settings.secret}
        catalog.record_activity([NewActivity(Action.KEY_ROTATE, now, catalog.actor, details=details)])
    former = "ends now" if at_once else "stays good to its end"
    output.done(
        f"New keys sign from now on. What the former ones signed {former}.", {"rotated": True, "atOnce": at_once}
    )
    if settings.secret:
        output.warning("The keys for links are in COUNTERFOIL_SECRET: put a new one in front there, and restart.")
