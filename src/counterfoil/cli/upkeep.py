"""`counterfoil sweep | rebuild`: delete what can no longer be reached, and rebuild a lost catalog."""

from __future__ import annotations

from datetime import timedelta

import click

from counterfoil.cli.open_folder import open_data_folder
from counterfoil.cli.options import with_output, with_settings
from counterfoil.cli.output import Headed, Output
from counterfoil.errors import DamagedError
from counterfoil.lifetimes_and_sizes import UNBILLED_KEPT
from counterfoil.periods import timestamp, utc_now
from counterfoil.settings import Settings

_FOR_EVER = "forever"


@click.command()
@click.option(
    "--keep-billed", metavar="DAYS", default=_FOR_EVER, show_default=True, help="Keep superseded billed revisions."
)
@click.option(
    "--keep-unbilled",
    metavar="DAYS",
    default=str(UNBILLED_KEPT.days),
    show_default=True,
    help="Keep superseded unbilled revisions.",
)
@click.option("--delete-unlisted", is_flag=True, help="Delete the files that no catalog lists, for good.")
@click.option("--trust-clock", is_flag=True, help="Believe a clock that is far ahead of all that happened here.")
@with_output
@with_settings()
def sweep(
    *,
    keep_billed: str,
    keep_unbilled: str,
    delete_unlisted: bool,
    trust_clock: bool,
    settings: Settings,
    output: Output,
) -> None:
    """Remove leftovers of publications that died, wire forms of old revisions, and revisions past their time.

    Never removes a revision in force, nor what a live link, export or continuation token leads to. Each publication
    sweeps too, with the default times: run this where you keep other times, or publish seldom.

    A clock may be wrong for a moment. So where nothing was published, exported or registered for 12 hours, time stands
    still for a sweep: what is superseded then waits for the next thing to happen, or for --trust-clock.

    Files that the catalog does not list are moved to a place of their own and kept: they may be all that is left of a
    publication that a catalog lost. Only --delete-unlisted deletes them.

    \b
    Examples:
      counterfoil sweep
      counterfoil sweep --keep-billed 3650 --keep-unbilled 90
    """
    from counterfoil.datasets.sweep import sweep as sweep_all
    from counterfoil.storage.files import Deleted

    with open_data_folder(settings) as data_folder:
        store, asked = data_folder.store, utc_now()
        swept = sweep_all(
            store,
            asked,
            keep_billed=_days(keep_billed, "--keep-billed"),
            keep_unbilled=_days(keep_unbilled, "--keep-unbilled"),
            trust_clock=trust_clock,
        )
        kept = store.set_aside()
        deleted = store.delete_unlisted() if delete_unlisted else Deleted()
    output.facts(
        {
            "revisions": Headed("Revisions forgotten", swept.revisions),
            "operations": Headed("Expired exports forgotten", swept.operations),
            "files": Headed("Files deleted", swept.files + deleted.files),
            "bytes": Headed("Bytes freed", swept.size_bytes + deleted.size_bytes),
            "atWork": Headed("Publications at work, left alone", swept.publications_at_work),
            "unlisted": Headed("Files that no catalog lists, kept", len(kept) - deleted.files),
        }
    )
    if swept.believed < asked:
        output.note(f"The clock was believed up to {timestamp(swept.believed)} only; --trust-clock believes all of it.")


@click.command()
@click.option("--keep-catalog", is_flag=True, help="Rebuild nothing: from now on this catalog is the right one.")
@with_output
@with_settings()
def rebuild(*, keep_catalog: bool, settings: Settings, output: Output) -> None:
    """Rebuild the catalog if it is missing, damaged, older than its files, or that of another data folder.

    Stop everything that uses the data folder first. What was published, restored and withdrawn comes back from the
    listings beside the files, and so do the partners of what is in force. Clients do not: register them again. An old
    catalog is kept under another name. Run `counterfoil verify` afterwards.

    \b
    Example:
      counterfoil rebuild --data /srv/counterfoil
    """
    from counterfoil.datasets.rebuild import rebuild as rebuild_all
    from counterfoil.storage.engines import open_to_keep, open_to_rebuild

    url = settings.database_url or None
    if keep_catalog:
        with open_to_keep(settings.data, url):
            output.done(
                "This catalog is taken as it is. `counterfoil verify` names the files that it does not list.",
                {"keptCatalog": True},
            )
        return
    store, replaced = open_to_rebuild(settings.data, url)
    with store:
        rebuilt = rebuild_all(store, utc_now)
    if replaced is not None:
        output.note(f"The catalog that was there is kept as {replaced}.")
    output.facts(
        {
            "publications": Headed("Publications found", rebuilt.publications),
            "revisions": Headed("Revisions brought back", rebuilt.revisions),
            "inForce": Headed("Datasets in force", rebuilt.in_force),
            "uncommitted": Headed("Publications not known to be committed, kept unlisted", rebuilt.uncommitted),
            "incomplete": Headed("Revisions that were in force and lack a file", rebuilt.incomplete),
            "damaged": Headed("Records that cannot be read", rebuilt.damaged),
            "missing": Headed("Changes that are missing or cannot be read", rebuilt.missing),
            "foreign": Headed("Records of other data folders, not used", rebuilt.foreign),
            "doubtful": Headed("Datasets that may have been published later than what is in force", rebuilt.doubtful),
        }
    )
    output.note("Clients are registered nowhere but in the catalog: add them again with `counterfoil clients add`.")
    output.note("Exports that were accepted before are forgotten; callers submit them again.")
    if rebuilt.incomplete or rebuilt.damaged or rebuilt.missing or rebuilt.foreign:
        raise DamagedError(
            "Not everything came back, so a dataset may be in force in an older state, or although it was withdrawn.",
            remedy="Bring the missing files back from a backup and rebuild again, or look at `counterfoil list`.",
        )


def _days(text: str, option: str) -> timedelta | None:
    if text.lower() == _FOR_EVER:
        return None
    if not text.isdecimal() or len(text) > 5:  # more reaches back before the calendar
        raise click.BadParameter(f"{text!r} is neither a number of days nor {_FOR_EVER}.", param_hint=option)
    return timedelta(days=int(text))
