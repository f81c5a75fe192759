"""`counterfoil doctor`: say what is wrong with a set-up, a token or a source, and how to fix it."""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace

import click

from counterfoil.cli import SERVER_LIBRARIES
from counterfoil.cli.options import with_output, with_settings, with_token
from counterfoil.cli.output import Output, as_option
from counterfoil.cli.sources import find_profile, token_source
from counterfoil.client.diagnosis.findings import Finding, Health
from counterfoil.errors import CounterfoilError, UsageError
from counterfoil.periods import utc_now
from counterfoil.printable_text import counted
from counterfoil.settings import Profile, Settings

ROOM_BYTES_MIN = 1 << 30
_ON_WINDOWS = os.name == "nt"


@click.command()
@click.argument("source", required=False, metavar="[PROFILE|URL]")
@with_token
@with_output
@with_settings()
def doctor(*, source: str | None, token: str | None, settings: Settings, output: Output) -> None:
    """Look at this machine's set-up; or, with a PROFILE or URL, at a source and the token for it.

    It signs in, reads the token (audience, permission, consent, lifetime, tenant, second factor), makes one call that
    changes nothing, compares clocks, and names a proxy in between. Exit code 1 if anything is bad.

    \b
    Examples:
      counterfoil doctor --data /srv/counterfoil
      counterfoil doctor contoso
    """
    if source is None:
        _report(list(_diagnose_setup(settings)), output)
    else:
        report_source(find_profile(settings, source), token, output)


def report_source(profile: Profile, token: str | None, output: Output) -> None:
    """Look at a source and the token for it, and print the findings; raises CounterfoilError if one is bad."""
    from urllib.request import getproxies

    from counterfoil.client.diagnosis.source_checks import diagnose_source

    try:
        credentials = token_source(profile, token, os.environ)
    except UsageError as error:
        _report([Finding("credential", Health.BAD, error.message, error.advice(as_option))], output)
        return
    as_function = credentials if callable(credentials) else lambda: str(credentials)
    found = diagnose_source(
        profile.url, profile.api, as_function, utc_now(), tenant=profile.tenant, proxies=getproxies()
    )
    _report(found, output)


def _report(findings: Sequence[Finding], output: Output) -> None:
    rows = [
        {"about": each.about, "health": each.health.value, "told": each.told, "remedy": each.remedy}
        for each in findings
    ]
    output.rows(rows, headings={"about": "What", "told": "Finding", "remedy": "What to do"})
    bad = sum(finding.health is Health.BAD for finding in findings)
    if bad:
        raise CounterfoilError(f"Bad findings: {bad} of {len(findings)}.", remedy="Each finding says what to do.")


def _diagnose_setup(settings: Settings) -> Iterator[Finding]:
    missing = [name for name in sorted(SERVER_LIBRARIES) if not _importable(name)]
    if missing:
        told = f"The client is installed; the server is not ({', '.join(missing)} missing)."
        yield Finding("installation", Health.WARNING, told, 'To publish and serve: pip install "./counterfoil[server]"')
        return
    if _ON_WINDOWS:
        told = "Client and server are installed; on Windows the server is for tests only."
        yield Finding("installation", Health.WARNING, told, "To serve others, use Linux, macOS or WSL.")
        return
    yield Finding("installation", Health.GOOD, "Client and server are installed.")
    if not settings.data.exists():
        told = f"There is no data folder {settings.data} yet."
        yield Finding("data folder", Health.WARNING, told, "Publish something, or name another with --data.")
        return
    yield _room(settings)
    yield from _data_folder(settings)


def _data_folder(settings: Settings) -> Iterator[Finding]:
    from counterfoil.periods import Clocks
    from counterfoil.server.endings import endings
    from counterfoil.server.startup import open_service
    from counterfoil.storage.engines import open_store
    from counterfoil.storage.secrets import KEYRING_FILE, load_or_create_keyring
    from counterfoil.wire.tokens import Keyring

    try:
        with open_store(settings.data, settings.database_url or None, create=False) as store:
            datasets = store.catalog.datasets()
            unfinished = store.catalog.unfinished_publications()
            unlisted = store.unlisted()
            ending = endings(settings, store.catalog, utc_now())
            faults = list(store.catalog.log.faults())
        if settings.secret or (settings.data / KEYRING_FILE).exists():
            load_or_create_keyring(settings.data, settings.secret or None)
    except CounterfoilError as error:
        yield Finding("data folder", Health.BAD, error.message, error.advice(as_option))
        return
    in_force = sum(revision is not None for _, revision in datasets)
    yield Finding("data folder", Health.GOOD, f"{settings.data}: {counted(in_force, 'dataset')} in force.")
    if unlisted:
        told = f"{counted(len(unlisted), 'file')} that the catalog does not list, such as {unlisted[0].path}."
        remedy = "They may be what a lost catalog listed. Keep them until you know where they come from."
        yield Finding("unlisted files", Health.WARNING, told, remedy)
    for _, what in faults[:1]:
        told = f"{counted(len(faults), 'record')} beside the files cannot be used: {what}"
        remedy = "Back the catalog up: it could not be rebuilt whole. Bring the record back from a backup."
        yield Finding("records beside the files", Health.BAD, told, remedy)
    if unfinished:
        told = f"{counted(len(unfinished), 'publication')} at work, or dead half-way."
        yield Finding("leftovers", Health.WARNING, told, "If none is at work now: counterfoil sweep")
    for each in ending:
        yield Finding(f"ending: {each.about}", Health.WARNING, each.told, each.remedy)
    # Opened with a secret for the moment, a folder that has none yet gets none: this only looks.
    for_now = replace(settings, secret=settings.secret or Keyring.fresh_text())
    try:
        with open_service(for_now, Clocks(), development=False):
            yield Finding("serving", Health.GOOD, "`counterfoil serve` can start, and callers can sign in.")
    except CounterfoilError as error:
        yield Finding("serving", Health.WARNING, error.message, error.advice(as_option))
    if not settings.public_url:
        told = "public_url is not set, so links name the address that `serve` listens on."
        yield Finding("serving: links", Health.WARNING, told, "Behind a proxy, set COUNTERFOIL_PUBLIC_URL.")


def _room(settings: Settings) -> Finding:
    free = shutil.disk_usage(settings.data).free
    if free < ROOM_BYTES_MIN:
        return Finding("disk", Health.BAD, f"{free:,} bytes are free.", "Make room, or run: counterfoil sweep")
    return Finding("disk", Health.GOOD, f"{free / 1e9:,.0f} GB are free.")


def _importable(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True
