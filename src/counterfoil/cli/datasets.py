"""`counterfoil list | show | verify | restore | withdraw`: what is published, and which of it is in force."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from counterfoil.cli.open_folder import open_data_folder, progress_of
from counterfoil.cli.options import KINDS, with_amounts, with_output, with_settings
from counterfoil.cli.output import Output, OutputForm
from counterfoil.cli.publication_output import warnings_sorted
from counterfoil.columns import table_of
from counterfoil.errors import DamagedError, MissingError, UsageError
from counterfoil.model import Contents, Dataset, Kind, Scope, tenant_id
from counterfoil.money import Money
from counterfoil.periods import BillingPeriod
from counterfoil.printable_text import counted
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
@click.option("--kind", type=KINDS, help="Only datasets of this kind.")
@click.option("--invoice", metavar="ID", help="Only this invoice's datasets.")
@click.option("--period", metavar="YYYY-MM", help="Only unbilled datasets of this month.")
@click.option("--currency", metavar="CCC", help="Only datasets in this currency.")
@click.option("--limit", metavar="N", type=click.IntRange(min=1), help="List so many at most.  [default: all]")
@click.option("--offset", metavar="N", type=click.IntRange(min=0), default=0, help="Pass over so many first.")
@with_amounts
@with_output
@with_settings()
def list_datasets(*, limit: int | None, offset: int, settings: Settings, output: Output, **named: str | None) -> None:
    """List every dataset, with the revision that is in force and its total.

    \b
    Examples:
      counterfoil list
      counterfoil list --kind usage --period 2026-11 --currency EUR --limit 100 --offset 100
      counterfoil list --partner 0e195b37-4574-4539-bc42-0e539b9684c0 --output json
    """
    wanted = _wanted(named)
    with open_data_folder(settings) as data_folder:
        found = data_folder.catalog.datasets(**wanted)
    shown = found[offset : offset + limit if limit is not None else None]
    rows = [{**_row(dataset, revision), "revision": revision.id if revision else None} for dataset, revision in shown]
    if not output.is_json:
        for row in rows:
            row["revision"] = row["revision"] or "withdrawn"
    asked = {name for name, value in wanted.items() if value is not None}
    if asked == {"partner"} and not offset:
        none = "Nothing is published for this partner. `counterfoil list` shows all."
    elif asked or offset:
        none = "No dataset matches. `counterfoil list` shows all."
    else:
        none = "Nothing is published yet. `counterfoil publish FILE` publishes."
    output.rows(rows, none=none, only_json=_ONLY_JSON, only_table=["total"], less_needed=["published", "revision"])
    if shown and len(shown) < len(found):
        last = offset + len(shown)
        rest = f" --offset {last} shows the next." if last < len(found) else ""
        output.note(f"{offset + 1:,} to {last:,} of {counted(len(found), 'dataset')}.{rest}")


_ONLY_JSON: Final = ("invoice", "period", "currency", "totals", "eTag", "inForce")


def _wanted(named: dict[str, str | None]) -> dict[str, Any]:
    """Return what the options ask for, checked and as the catalog has it."""
    partner, kind, invoice, period, currency = (
        named[name] for name in ("partner", "kind", "invoice", "period", "currency")
    )
    any_month = BillingPeriod(2000, 1)
    return {
        "partner": tenant_id(partner) if partner else None,
        "kind": Kind(kind) if kind else None,
        "invoice": Scope.billed(invoice).invoice if invoice else None,
        "period": str(BillingPeriod.parse(period)) if period else None,
        "currency": Scope.unbilled(any_month, currency).currency if currency else None,
    }


def _row(dataset: Dataset, revision: Revision | None) -> dict[str, Any]:
    """Return what there is to say of a dataset and its revision in force."""
    contents = revision.contents if revision is not None else Contents(currency=dataset.scope.currency)
    return {
        "kind": dataset.kind.value,
        "partner": dataset.partner,
        "scope": str(dataset.scope),
        "invoice": dataset.scope.invoice or None,
        "period": dataset.scope.period or None,
        "currency": contents.currency or None,
        "lineItems": contents.line_items,
        "total": total_of(revision) if revision is not None else [],
        "totals": contents.plain_totals(),
        "eTag": revision.etag if revision is not None else None,
        "inForce": revision is not None,
        "published": revision.published_at if revision is not None else None,
    }


@click.command()
@click.argument("revision", required=False)
@partial(with_dataset, required=False)
@with_amounts
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
            output.facts({**_named(found.dataset, output.form), **_facts(found), "segments": listed})
            return
        dataset = _dataset(named)
        revisions = data_folder.catalog.revisions(dataset)
    if not revisions:
        raise MissingError(f"There is no {dataset} here.", remedy="`counterfoil list` shows what there is.")
    output.rows([{**_named(dataset, output.form), **_facts(each)} for each in revisions], only_json=("dataset", "base"))


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


def total_of(revision: Revision) -> list[Money]:
    """Return the amount that a revision comes to: the last of its kind's totals."""
    contents = revision.contents
    name = table_of(revision.dataset.kind).totals[-1]
    return [Money(contents.totals[name], contents.currency)]


def _named(dataset: Dataset, form: OutputForm) -> dict[str, object]:
    """Return what names a dataset: in words, and for programs in fields of their own."""
    words: dict[str, object] = {"dataset": str(dataset)}
    if form is OutputForm.JSON:
        scope = dataset.scope
        words |= {"kind": dataset.kind.value, "partner": dataset.partner}
        words |= {"invoice": scope.invoice or None, "period": scope.period or None}
    return words


def _facts(revision: Revision) -> dict[str, object]:
    return {
        "revision": revision.id,
        "inForce": revision.in_force,
        "published": revision.published_at,
        "superseded": revision.superseded_at,
        "lineItems": revision.contents.line_items,
        "currency": revision.contents.currency,
        "totals": {name: Money(total, revision.contents.currency) for name, total in revision.contents.totals.items()},
        "eTag": revision.etag,
        "base": revision.base_id,
    }


def _segment(segment: Segment, form: OutputForm) -> object:
    if form is OutputForm.JSON:
        contents = segment.contents
        return {
            "name": segment.name,
            "lineItems": contents.line_items,
            "currency": contents.currency,
            "totals": contents.plain_totals(),
            "warnings": warnings_sorted(segment.warnings),
        }
    totals = ", ".join(f"{name} {total}" for name, total in segment.contents.plain_totals().items())
    return f"{segment.name}: {counted(segment.contents.line_items, 'line item')}, {totals}"
