"""`counterfoil list | show | verify | restore | withdraw`: what is published, and which of it is in force."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import click

from counterfoil.cli.open_folder import open_data_folder, progress_of
from counterfoil.cli.options import KINDS, with_output, with_settings
from counterfoil.cli.output import Output, OutputForm, counted
from counterfoil.errors import DamagedError, MissingError, UsageError
from counterfoil.model import Dataset, Kind, Scope, tenant_id
from counterfoil.periods import BillingPeriod
from counterfoil.settings import Settings

if TYPE_CHECKING:
    from counterfoil.storage.catalog_rows import Revision, Segment

R = TypeVar("R")


def with_dataset(function: Callable[..., R], *, required: bool) -> Callable[..., R]:
    """Add the options that identify a dataset; `_dataset` reads them."""
    for option in (
        click.option("--currency", metavar="CCC", help="The dataset's currency."),
        click.option("--period", metavar="YYYY-MM", help="The dataset's month."),
        click.option("--invoice", metavar="ID", help="The dataset's invoice."),
        click.option("--kind", type=KINDS, required=required, help="The dataset's kind."),
        click.option("--partner", metavar="TENANT", required=required, help="The dataset's partner."),
    ):
        function = option(function)
    return function


@click.command("list")
@click.option("--partner", metavar="TENANT", help="Only this partner's datasets.")
@with_output
@with_settings()
def list_datasets(*, partner: str | None, settings: Settings, output: Output) -> None:
    """List every dataset, with the revision that is in force.

    \b
    Examples:
      counterfoil list
      counterfoil list --partner 0e195b37-4574-4539-bc42-0e539b9684c0 --output json
    """
    with open_data_folder(settings) as data_folder:
        found = data_folder.catalog.datasets(tenant_id(partner) if partner else None)
    rows = [
        {
            "kind": dataset.kind.value,
            "partner": dataset.partner,
            "scope": str(dataset.scope),
            "lineItems": revision.contents.line_items if revision else 0,
            "published": revision.published_at if revision else None,
            "revision": revision.id if revision else None if output.form is OutputForm.JSON else "withdrawn",
        }
        for dataset, revision in found
    ]
    what = "for this partner. `counterfoil list` shows all" if partner else "yet. `counterfoil publish FILE` publishes"
    output.rows(rows, none=f"Nothing is published {what}.")


@click.command()
@click.argument("revision", required=False)
@partial(with_dataset, required=False)
@with_output
@with_settings()
def show(*, revision: str | None, settings: Settings, output: Output, **named: str | None) -> None:
    """Show a REVISION with its segments, or, with the options, all revisions of one dataset.

    Six digits of a revision's id are enough where no other begins with them.

    \b
    Examples:
      counterfoil show 41c7ad
      counterfoil show --partner 0e195b37-4574-4539-bc42-0e539b9684c0 --kind usage --invoice G016907411
    """
    with open_data_folder(settings) as data_folder:
        if revision is not None:
            found = data_folder.catalog.find_revision(revision)
            segments = data_folder.catalog.segments(found.id)
            listed = [_segment(each, output.form) for each in segments]
            output.facts({"dataset": str(found.dataset), **_facts(found), "segments": listed})
            return
        dataset = _dataset(named)
        revisions = data_folder.catalog.revisions(dataset)
    if not revisions:
        raise MissingError(f"There is no {dataset} here.", remedy="`counterfoil list` shows what there is.")
    output.rows([_facts(each) for each in revisions])


@click.command()
@with_output
@with_settings()
def verify(*, settings: Settings, output: Output) -> None:
    """Read every stored byte, and compute each count, sum and hash again.

    Exit code 0: all is as the catalog says. 1: something is not; each fault is listed.

    \b
    Example:
      counterfoil verify --data /srv/counterfoil
    """
    from counterfoil.datasets.verify import verify as verify_all

    with progress_of(output) as report, open_data_folder(settings) as data_folder:
        seen, faults = verify_all(data_folder.store, report)
    listed = [{"where": fault.where, "fault": fault.what} for fault in faults]
    output.findings(
        listed,
        {
            "sound": not faults,
            "revisions": seen.revisions,
            "lineItems": seen.line_items,
            "files": seen.files,
            "bytes": seen.size_bytes,
            "unlistedFiles": seen.set_aside,
        },
    )
    if faults:
        raise DamagedError(
            f"{counted(len(faults), 'fault')} {'was' if len(faults) == 1 else 'were'} found.",
            remedy="Bring the files back from a backup, or publish again.",
        )
    if seen.set_aside:
        output.note(f"{counted(seen.set_aside, 'file')} that no catalog lists: kept, see `counterfoil sweep`.")
    output.note(
        f"Sound: {counted(seen.revisions, 'revision')}, {counted(seen.line_items, 'line item')}, "
        f"{counted(seen.files, 'file')}, {seen.size_bytes:,} bytes."
    )


@click.command()
@click.argument("revision")
@with_output
@with_settings()
def restore(*, revision: str, settings: Settings, output: Output) -> None:
    """Put REVISION in force again, whatever is in force now. Nothing is lost: the other is kept too.

    \b
    Example:
      counterfoil restore 41c7ad
    """
    from counterfoil.datasets import restore as restoring

    with open_data_folder(settings) as data_folder:
        found = data_folder.catalog.find_revision(revision)
        if found.in_force:
            output.note("It was in force already; nothing was changed.")
        restoring.restore(data_folder, found)
        found = data_folder.catalog.find_revision(found.id)
    output.facts({"dataset": str(found.dataset), **_facts(found)})


@click.command()
@partial(with_dataset, required=True)
@with_output
@with_settings()
def withdraw(*, settings: Settings, output: Output, **named: str | None) -> None:
    """Stop serving a dataset. Its revisions are kept, and `counterfoil restore` puts one back.

    Exports and walks that have begun go on to their end.

    \b
    Example:
      counterfoil withdraw --partner 0e195b37-4574-4539-bc42-0e539b9684c0 --kind usage --period 2026-11 --currency EUR
    """
    from counterfoil.datasets import restore as restoring

    with open_data_folder(settings) as data_folder:
        revision = restoring.withdraw(data_folder, _dataset(named))
    output.note(f"Withdrawn. `counterfoil restore {revision.id[:12]}` puts it in force again.")
    output.text("revision", revision.id)


def _dataset(named: dict[str, str | None]) -> Dataset:
    partner, kind = named["partner"], named["kind"]
    invoice, period, currency = named["invoice"], named["period"], named["currency"]
    if not partner or not kind or bool(invoice) == bool(period) or bool(period) != bool(currency):
        raise UsageError(
            "These options do not identify a dataset.",
            remedy="Give --partner, --kind, and --invoice ID or --period YYYY-MM --currency CCC.",
        )
    scope = Scope.billed(invoice) if invoice else Scope.unbilled(BillingPeriod.parse(period or ""), currency or "")
    return Dataset(Kind(kind), tenant_id(partner), scope)


def _facts(revision: Revision) -> dict[str, object]:
    return {
        "revision": revision.id,
        "inForce": revision.in_force,
        "published": revision.published_at,
        "superseded": revision.superseded_at,
        "lineItems": revision.contents.line_items,
        "currency": revision.contents.currency,
        "totals": revision.contents.plain_totals(),
        "eTag": revision.etag,
    }


def _segment(segment: Segment, form: OutputForm) -> object:
    if form is OutputForm.JSON:
        return {"name": segment.name, "lineItems": segment.contents.line_items}
    return f"{segment.name}: {counted(segment.contents.line_items, 'line item')}"
