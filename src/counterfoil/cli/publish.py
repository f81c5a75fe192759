"""`counterfoil publish`: line items go in, a receipt comes out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from counterfoil.cli.open_folder import believed_now, open_data_folder, progress_of, sweep_after_publishing
from counterfoil.cli.options import KINDS, NamedPath, standard_input, with_output, with_settings
from counterfoil.cli.output import Output, OutputForm, counted
from counterfoil.errors import UsageError
from counterfoil.model import WHOLE, segment_name
from counterfoil.settings import Settings

if TYPE_CHECKING:
    from counterfoil.datasets.csv_values import DateOrder, DecimalSign
    from counterfoil.datasets.publishing import PublicationReceipt

_WARNINGS: Final = {
    "inexact": "decimal column {name} was rounded in {lines}, the text is exact",
    "unknown": "unknown attribute {name} was kept unchanged in {lines}",
    "notInGraph": "attribute {name} is not in Graph's exports, and {lines} had it",
    "notInV1": "attribute {name} is not in the answers of Partner Center v1, and {lines} had it",
    "lost": "a spreadsheet or script destroyed {name} in {lines}: what is left was kept, take the file it was given",
    "shortened": "{name} has fewer than four digits in {lines}: a spreadsheet takes the zeros of 0007 away",
}


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--partner", metavar="TENANT", help="The partner who may read them.  [default: their PartnerId]")
@click.option("--issuer", metavar="TENANT", help="The tenant in their PartnerId, where that is not the partner.")
@click.option("--kind", type=KINDS, help="What they are.  [default: by their attributes]")
@click.option("--invoice", metavar="ID", help="Billed: the invoice they belong to.  [default: their InvoiceNumber]")
@click.option("--period", metavar="YYYY-MM", help="Unbilled: the month they belong to.")
@click.option("--currency", metavar="CCC", help="The billing currency.  [default: theirs]")
@click.option("--segment", metavar="NAME", default=WHOLE, show_default=True, help="The part to replace, such as a day.")
@click.option(
    "--date-order", type=click.Choice(["mdy", "dmy"]), help="How a CSV writes 11/10/2026: month or day first."
)
@click.option(
    "--decimal", type=click.Choice(["point", "comma"]), help="Which sign is before the decimals in a CSV: 1.50 or 1,50."
)
@click.option(
    "--rejects",
    metavar="FILE",
    type=NamedPath(),
    help="List every refused line there, with attribute, value and reason.",
)
@click.option(
    "--allow-rejects",
    metavar="N",
    type=click.IntRange(min=0),
    default=0,
    help="Publish without refused lines, N at most.",
)
@click.option(
    "--jobs",
    metavar="N",
    type=click.IntRange(min=1),
    help="Use N processes for what is large.  [default: as many as processors and memory allow]",
)
@click.option("--dry-run", is_flag=True, help="Check everything and print the receipt; publish nothing.")
@with_output
@with_settings()
def publish(
    *,
    files: Sequence[str],
    segment: str,
    date_order: DateOrder | None,
    decimal: DecimalSign | None,
    rejects: Path | None,
    allow_rejects: int,
    jobs: int | None,
    dry_run: bool,
    settings: Settings,
    output: Output,
    **asserted: str | None,
) -> None:
    """Publish line items: check them, keep every digit, and put them in force all at once.

    FILE is JSON (in Graph's or Partner Center v1's spelling; lines, pages or one document), Partner Center's CSV, or
    Parquet, such as a pull writes; plain or, but for Parquet, gzip. `-` is standard input. Files may belong to several
    datasets; either all are published or none.

    What the line items say need not be given, and what is given is checked: --partner, --kind, --invoice and
    --currency are assertions. Unbilled line items do not say their month, so --period must.

    One line that cannot be right refuses everything, and is named; --rejects lists all of them. Publishing the same
    again changes nothing, so it is safe to repeat. Exit code 4: another publication is at work, try again later.

    \b
    An invoice:
      counterfoil publish invoice.jsonl.gz
    This month's usage so far, again every day:
      counterfoil publish usage.csv --period 2026-11 --date-order mdy
    Or day by day, where each day replaces itself alone:
      counterfoil publish day20.jsonl --period 2026-11 --segment 2026-11-20
    A reseller's line items, which have their distributor's PartnerId:
      counterfoil publish reseller.jsonl --period 2026-11 --partner RESELLER --issuer DISTRIBUTOR
    """
    from counterfoil.datasets.kernels.compiled import prepare

    prepare()
    from counterfoil.datasets.check import Assertions
    from counterfoil.datasets.gathering import Input
    from counterfoil.datasets.publishing import publish as publish_inputs

    assertions = Assertions.read(**{name: text for name, text in asserted.items() if text})
    inputs = [Input(name, assertions, segment_name(segment)) for name in files]
    _check_names(files)
    _check_rejects(rejects, settings)
    with (
        progress_of(output) as report,
        open_data_folder(settings, create=True, progress=report, jobs=jobs) as data_folder,
    ):
        now = believed_now(data_folder)
        known = {partner.tenant for partner in data_folder.catalog.partners()}
        receipts = publish_inputs(
            data_folder,
            inputs,
            rejects=rejects,
            allow_rejects=allow_rejects,
            date_order=date_order,
            decimal=decimal,
            dry_run=dry_run,
        )
        new = {receipt.dataset.partner for receipt in receipts} - known
        if not dry_run:
            sweep_after_publishing(data_folder, now, output)
    print_receipts(output, receipts)
    if dry_run:
        output.note("A dry run: nothing was published.")
    else:
        _note_changes(output, receipts, new)


def _note_changes(output: Output, receipts: Sequence[PublicationReceipt], new_partners: Iterable[str]) -> None:
    for partner in sorted(new_partners):
        output.note(f"Partner {partner} is now registered and may be served.")
    for receipt in receipts:
        if not receipt.changed:
            output.note(f"{receipt.dataset}: the same line items were in force already; nothing was changed.")


def _check_names(names: Sequence[str]) -> None:
    """Refuse what names no file, and one that is named twice, under whatever name: its line items would count twice."""
    if names.count("-") > 1:
        raise UsageError("Standard input can be read only once.")
    if "-" in names:
        standard_input("Name a file, or pipe one into this command.")
    seen: dict[str, str] = {}
    for name in names:
        if name == "-":
            continue
        if not name or "\0" in name:
            raise UsageError(
                f"{name!r} is not the name of a file.", remedy="Give the path of a file; - is standard input."
            )
        real = os.path.realpath(name)
        if real in seen:
            raise UsageError(
                f"{name} is named twice, and its line items would count twice.", remedy="Name each file once."
            )
        seen[real] = name


def _check_rejects(rejects: Path | None, settings: Settings) -> None:
    """Refuse to write over what is in the data folder: its catalog and its secret are files like any other."""
    if rejects is not None and rejects.resolve().is_relative_to(settings.data.resolve()):
        raise UsageError(
            f"{rejects} is in the data folder, where nothing but Counterfoil's own may be.",
            remedy="Name a file elsewhere for the rejects.",
        )


def print_receipts(output: Output, receipts: list[PublicationReceipt]) -> None:
    """Print receipts, as facts for people and as one list for programs."""
    rows = [receipt_facts(receipt) for receipt in receipts]
    if output.form is OutputForm.JSON:
        output.rows(rows)
        return
    for row in rows:
        row["warnings"] = _warnings_in_words(row["warnings"])
        output.facts({name: value for name, value in row.items() if value or name != "warnings"})


def receipt_facts(receipt: PublicationReceipt) -> dict[str, Any]:
    """Return what a receipt says, by the names it has in JSON."""
    return {
        "dataset": str(receipt.dataset),
        "segment": receipt.segment,
        "lineItems": receipt.contents.line_items,
        "currency": receipt.contents.currency,
        "totals": receipt.contents.plain_totals(),
        "eTag": receipt.etag,
        "revision": receipt.revision.id if receipt.revision else None,
        "warnings": _warnings_sorted(receipt.warnings),
    }


def _warnings_sorted(warnings: Mapping[str, int]) -> dict[str, Any]:
    """Return what deserves a look by its sort: `inexact` columns, `unknown` attributes, how many lines `refused`."""
    found: dict[str, Any] = {}
    for warning, count in sorted(warnings.items()):
        sort, _, name = warning.partition(" ")
        if name:
            found.setdefault(sort, {})[name] = count
        else:
            found[sort] = count
    return found


def _warnings_in_words(warnings: Mapping[str, Any]) -> list[str]:
    lines = [
        text.format(name=name, lines=counted(count, "line item"))
        for sort, text in _WARNINGS.items()
        for name, count in warnings.get(sort, {}).items()
    ]
    for name, count in warnings.get("skipped", {}).items():
        lines.append(f"{counted(count, name)} {'was' if count == 1 else 'were'} left out")
    if refused := warnings.get("refused"):
        lines.append(f"{counted(refused, 'line')} {'was' if refused == 1 else 'were'} refused and left out")
    return lines
