"""The options that choose what is read of a side, for the commands that sum, audit and compare.

The data folder is opened, and named on stderr, only where a side is a published dataset: a pull or a file needs none.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

import click

from counterfoil.cli.options import KINDS, NamedPath, current_output, load_settings
from counterfoil.cli.output import Output

R = TypeVar("R")
# Those of `counterfoil.reconcile.By`, which takes long to import.
GROUPINGS: Final = ("customer", "subscription", "product", "reseller", "meter", "day", "charge-type")


def with_side_options(function: Callable[..., R]) -> Callable[..., R]:
    """Add the options, and pass them on as `choice`: keyword arguments of `counterfoil.reconcile`."""

    @functools.wraps(function)
    def wrapped(
        *, kind: str | None, currency: str | None, partner: str | None, data: Path | None, **options: object
    ) -> R:
        settings = load_settings(data=data)
        choice = {
            "kind": kind,
            "currency": currency or "",
            "partner": partner or "",
            "data": settings.data,
            "database_url": settings.database_url or "",
        }
        return function(choice=choice, **options)

    for option in (
        click.option(
            "--data",
            metavar="DIR",
            type=NamedPath(folder=True),
            help="The data folder of published sides.  [default: counterfoil-data]",
        ),
        click.option("--partner", metavar="TENANT", help="Only this partner's line items."),
        click.option("--currency", metavar="CCC", help="Only amounts in this currency."),
        click.option("--kind", type=KINDS, help="The kind, where a dataset is published in both."),
    ):
        wrapped = option(wrapped)
    return wrapped


def note_data_folder(side_names: tuple[str, ...], data: Path) -> None:
    """Name the data folder on stderr if a side is published in it."""
    from counterfoil.reconcile.sides.naming import wanted_of

    if any(wanted_of(name) is not None for name in side_names):
        current_output().note(f"Data folder: {data.absolute()}")


def print_report(
    output: Output,
    document: Mapping[str, object],
    values: Mapping[str, object],
    rows: Sequence[Mapping[str, object]],
    *,
    only_terminal: Collection[str] = (),
    less_needed: Sequence[str] = (),
) -> None:
    """Print facts with a table below; in JSON the `document`, which says the same and more.

    What is named in `only_terminal` has no column where the table goes into a pipe or a file; a terminal that has no
    room lacks what is `less_needed`, the first named first.
    """
    if output.is_json:
        output.facts(document)
        return
    # The table alone notes that amounts are rounded, where there is one.
    (replace(output, quiet=True) if rows else output).facts(values)
    if rows:
        output.text("", "")
        output.rows(rows, only_json=() if output.stdout.isatty() else only_terminal, less_needed=less_needed)
