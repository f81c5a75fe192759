"""`counterfoil backup | restore-backup`: a data folder that is in use, kept elsewhere, and brought back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from counterfoil.cli.open_folder import open_data_folder
from counterfoil.cli.options import NamedPath, with_output, with_settings
from counterfoil.cli.output import Headed, Output
from counterfoil.errors import DamagedError, UsageError
from counterfoil.periods import utc_now
from counterfoil.printable_text import counted
from counterfoil.settings import Settings

if TYPE_CHECKING:
    from counterfoil.storage.backups import BackupFacts


@click.command()
@click.argument("target", metavar="FOLDER|FILE.tar", type=NamedPath(folder=True, or_file=True))
@click.option("--without-keys", is_flag=True, help="Leave the signing keys out.")
@with_output
@with_settings()
def backup(*, target: Path, without_keys: bool, settings: Settings, output: Output) -> None:
    """Copy the data folder as it is at one moment, while servers and publications go on.

    All that was committed before it began is in it: line items, revisions, partners, clients, activity, breaks, and the
    keys that sign tokens and links. So keep it as safe as the data folder: only its owner can read it. It gets its name
    when all of it is on the disk; what a killed backup leaves is called `...unfinished-...`, and can be deleted.

    \b
    Examples:
      counterfoil backup /mnt/backup/2026-11-28
      counterfoil backup /mnt/backup/2026-11-28.tar --without-keys
    """
    from counterfoil.storage.backups import UNFINISHED, back_up
    from counterfoil.storage.sqlite import database_path

    with _counting(output, "Backing up files") as progress, open_data_folder(settings) as data_folder:
        database = database_path(settings.data, settings.database_url or None)
        now = utc_now()
        facts = back_up(
            data_folder.store, settings.data, database, target, now, keys=not without_keys, progress=progress
        )
    output.facts({"backup": target.absolute(), **_told(facts)})
    for left in sorted(target.absolute().parent.glob(f"{target.name}{UNFINISHED}*")):
        output.note(f"{left} is what a backup left that did not end. Unless one is at work, delete it.")
    if facts.missing:
        raise DamagedError(
            f"The backup was made, but the data folder lacks {counted(len(facts.missing), 'file')}, such as "
            f"{facts.missing[0]}.",
            remedy="See: counterfoil verify",
        )


@click.command("restore-backup")
@click.argument("source", metavar="FOLDER|FILE.tar", type=NamedPath(folder=True, or_file=True))
@with_output
@with_settings()
def restore_backup(*, source: Path, settings: Settings, output: Output) -> None:
    """Make a new data folder of a backup. One that holds anything is never written into.

    \b
    Example:
      counterfoil restore-backup /mnt/backup/2026-11-28 --data /srv/counterfoil
    """
    from counterfoil.storage.backup_restoring import restore_backup as restore_all

    if settings.database_url:
        raise UsageError(
            "A backup is restored into one folder, and the setting database_url names another place for its catalog.",
            remedy="Leave database_url out, restore, then move catalog.sqlite there.",
        )
    with _counting(output, "Restoring files") as progress:
        facts = restore_all(source, settings.data, utc_now(), progress)
    output.facts({"data": settings.data.absolute(), **_told(facts)})
    output.note("`counterfoil verify` reads every byte of it. What happened after the backup is not there: publish it.")
    if not facts.has_keys:
        output.note("The backup has no keys: new ones are made, and the tokens and links that are out end.")


def _told(facts: BackupFacts) -> dict[str, object]:
    return {
        "made": facts.made_at,
        "catalog": facts.catalog,
        "changes": facts.counter,
        "files": facts.files,
        "bytes": facts.size_bytes,
        "keys": Headed("With keys", facts.has_keys),
        "missing": Headed("Missing files", list(facts.missing)),
    }


@contextmanager
def _counting(output: Output, what: str) -> Iterator[Callable[[str, int], None]]:
    with output.progress(what) as advance:
        yield lambda _stage, _count: advance(1)
