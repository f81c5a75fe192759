"""`counterfoil publish`: line items go in, a receipt comes out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace as replace_fields
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from counterfoil import numbers
from counterfoil.cli.open_folder import believed_now, open_data_folder, progress_of, sweep_after_publishing
from counterfoil.cli.options import KINDS, NamedPath, standard_input, with_amounts, with_output, with_settings
from counterfoil.cli.output import Output
from counterfoil.cli.publication_output import tell_published, with_care
from counterfoil.errors import LockedError, UsageError
from counterfoil.model import WHOLE, segment_name
from counterfoil.settings import Settings

if TYPE_CHECKING:
    from counterfoil.datasets.data_folder import DataFolder
    from counterfoil.datasets.gathering import Input
    from counterfoil.datasets.many_datasets import Outcome
    from counterfoil.storage.engines import StorePlace


_ASSERTED: Final = ("partner", "issuer", "kind", "invoice", "period", "currency")


@click.command()
@click.argument("files", nargs=-1, metavar="FILE|FOLDER...")
@click.option(
    "--list",
    "listed",
    metavar="FILE",
    type=NamedPath(),
    help="Publish the files that a CSV or TOML list names, each with what it says of it.",
)
@click.option("--partner", metavar="TENANT", help="The partner who may read them.  [default: their PartnerId]")
@click.option("--issuer", metavar="TENANT", help="The tenant in their PartnerId, where that is not the partner.")
@click.option("--kind", type=KINDS, help="What they are.  [default: by their attributes]")
@click.option("--invoice", metavar="ID", help="Billed: the invoice they belong to.  [default: their InvoiceNumber]")
@click.option("--period", metavar="YYYY-MM", help="Unbilled: the month they belong to.")
@click.option("--currency", metavar="CCC", help="The billing currency.  [default: theirs]")
@click.option("--segment", metavar="NAME", default=WHOLE, show_default=True, help="The part to replace, such as a day.")
@click.option("--replace", is_flag=True, help="An invoice that is in force may change.")
@click.option(
    "--max-change",
    metavar="PERCENT",
    help="Refuse a dataset whose line items or totals change by more.  [default: no limit]",
)
@click.option("--allow-copies", is_flag=True, help="Files and segments may repeat one another's line items.")
@click.option("--together", is_flag=True, help="Of a folder or list too: publish all, or nothing if one is refused.")
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
@with_amounts
@with_output
@with_settings()
def publish(
    *,
    files: Sequence[str],
    listed: Path | None,
    segment: str,
    together: bool,
    jobs: int | None,
    settings: Settings,
    output: Output,
    **given: Any,
) -> int | None:
    """Publish line items: check them, keep every digit, and put them in force all at once.

    FILE is JSON (in Graph's or Partner Center v1's spelling; lines, pages or one document), Partner Center's CSV, or
    Parquet, such as a pull writes; plain or, but for Parquet, gzip. `-` is standard input. Files may belong to several
    datasets; either all are published or none. Of a FOLDER or a --list each dataset is published by itself, and one
    that is refused leaves the others alone (exit code 1), unless --together; hidden files and what editors leave are
    passed over.

    What the line items say need not be given, and what is given is checked: --partner, --kind, --invoice and
    --currency are assertions. Unbilled line items do not say their month, so --period must.

    One line that cannot be right refuses everything, and is named; --rejects lists all of them. Publishing the same
    again changes nothing, so it is safe to repeat. Exit code 4: another publication is at work, try again later.

    The receipt shows what was in force before, and the difference. An invoice in force changes with --replace only. The
    same line items in two files or segments are refused, and so is the usage of a later month or day.

    \b
    An invoice:
      counterfoil publish invoice.jsonl.gz
    This month's usage so far, again every day:
      counterfoil publish usage.csv --period 2026-11 --date-order mdy
    Or day by day, where each day replaces itself alone:
      counterfoil publish day20.jsonl --period 2026-11 --segment 2026-11-20
    A bill that was corrected:
      counterfoil publish invoice.jsonl.gz --replace
    A whole folder, or a list of thousands of small datasets:
      counterfoil publish --list tonight.csv --max-change 20
    A reseller's line items, which have their distributor's PartnerId:
      counterfoil publish reseller.jsonl --period 2026-11 --partner RESELLER --issuer DISTRIBUTOR
    """
    from counterfoil.datasets.kernels.compiled import prepare

    prepare()
    from counterfoil.storage.engines import StorePlace

    asserted = {name: given.pop(name) for name in _ASSERTED}
    in_parts = not together and (listed is not None or any(Path(name).is_dir() for name in files))
    options = _options(settings, in_parts=in_parts, **given)
    inputs, skipped = _inputs(files, listed, segment, asserted)
    dry_run = options["dry_run"]
    with (
        progress_of(output) as report,
        open_data_folder(settings, create=True, progress=report, jobs=jobs) as data_folder,
    ):
        now = believed_now(data_folder)
        known = {partner.tenant for partner in data_folder.catalog.partners()}
        place = StorePlace(settings.data, settings.database_url or None) if in_parts else None
        outcome = _published(data_folder, inputs, options, place)
        if not dry_run and outcome.receipts:
            with_care(output, "old files were not swept", lambda: sweep_after_publishing(data_folder, now, output))
    for name, why in skipped + outcome.skipped:
        output.note(f"Passed over {name}: {why}.")
    new = {receipt.dataset.partner for receipt in outcome.receipts} - known
    tell_published(output, outcome.receipts, new, dry_run=dry_run)
    return _conclude(output, outcome)


def _options(
    settings: Settings,
    *,
    in_parts: bool,
    replace: bool,
    max_change: str | None,
    allow_copies: bool,
    rejects: Path | None,
    **others: Any,
) -> dict[str, Any]:
    """Return the options of publishing itself."""
    from counterfoil.datasets.safeguards import Safeguards

    _check_rejects(rejects, settings)
    if in_parts and rejects is not None:
        raise UsageError(
            "Of a folder or list each dataset is published by itself, and each would overwrite the rejects.",
            remedy="Publish all together, or the files with bad lines by themselves.",
            parameter="together",
        )
    safeguards = Safeguards(replace=replace, max_change=_percent(max_change), allow_copies=allow_copies)
    return {"rejects": rejects, "safeguards": safeguards, **others}


def _published(
    data_folder: DataFolder, inputs: list[Input], options: dict[str, Any], place: StorePlace | None
) -> Outcome:
    """Publish all inputs in one transaction, or, where the place is given, the datasets each on its own merits."""
    from counterfoil.datasets.many_datasets import Outcome, publish_many
    from counterfoil.datasets.publishing import publish as publish_inputs

    if place is not None:
        return publish_many(data_folder, inputs, place=place, **options)
    skipped: list[tuple[str, str]] = []
    receipts = publish_inputs(data_folder, inputs, on_skipped=lambda *each: skipped.append(each), **options)
    return Outcome(receipts, skipped=skipped)


def _conclude(output: Output, outcome: Outcome) -> int | None:
    """Say what was refused, or in a dry run would be; returns the exit code."""
    refused = [*outcome.refused, *(receipt.objection for receipt in outcome.receipts if receipt.objection is not None)]
    for error in refused:
        output.error(error)
    if not refused:
        return None
    return next(
        (error.exit_code for error in refused if error.exit_code != LockedError.exit_code), LockedError.exit_code
    )


def _inputs(
    files: Sequence[str], listed: Path | None, segment: str, asserted: Mapping[str, str | None]
) -> tuple[list[Input], list[tuple[str, str]]]:
    """Return what is to be published, and what of a folder is not, with the reason."""
    from counterfoil.datasets.check import Assertions
    from counterfoil.datasets.folder import contents_of_folder
    from counterfoil.datasets.gathering import Input
    from counterfoil.datasets.publication_list import read_list
    from counterfoil.mirror import pulled_inputs

    if not files and listed is None:
        raise UsageError("There is nothing to publish.", remedy="Name files, a folder, or a list.", parameter="list")
    given = {name: text for name, text in asserted.items() if text}
    assertions, name_of_segment = Assertions.read(**given), segment_name(segment)
    if listed is not None and (given or segment != WHOLE):
        raise UsageError(
            "A list says of each file what it is.", remedy="Leave the option out, and put it into the list.",
            parameter=" ".join(given) or "segment",
        )  # fmt: skip
    _check_names(files)
    inputs: list[Input] = read_list(listed) if listed is not None else []
    skipped: list[tuple[str, str]] = []
    for name in files:
        if name != "-" and Path(name).is_dir():
            found = contents_of_folder(Path(name), pulled_inputs)
            inputs += [
                replace_fields(each, asserted=each.asserted.with_given(assertions), segment=name_of_segment)
                for each in found.inputs
            ]
            skipped += found.skipped
        else:
            inputs.append(Input(name, assertions, name_of_segment))
    return inputs, skipped


def _percent(text: str | None) -> Decimal | None:
    """Return a limit in percent, exactly as it was written; raises UsageError."""
    if text is None:
        return None
    number = text.strip().removesuffix("%")
    if numbers.why_not_a_number(number):
        raise UsageError(f"{text!r} is not a number of percent.", remedy="Give 0 or more, such as 5 or 2.5.")
    return numbers.exact(number)


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
