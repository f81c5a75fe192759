"""`counterfoil breaks`: the differences that comparisons found, kept from month to month with a state and an owner.

`reconcile` records them, with the options that are here too. Who did what is in the history of each break; where they
are kept in a data folder, it is in its record of activity as well.
"""

from __future__ import annotations

import functools
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from counterfoil.cli.open_folder import open_data_folder
from counterfoil.cli.options import NamedPath, load_settings, with_amounts, with_common, with_output
from counterfoil.cli.output import Headed, Output
from counterfoil.errors import UsageError
from counterfoil.money import Money
from counterfoil.periods import timestamp, utc_now
from counterfoil.settings import Settings

if TYPE_CHECKING:
    from counterfoil.reconcile import Comparison
    from counterfoil.reconcile.breaks import Break

R = TypeVar("R")

_CATALOG: Final = "catalog.sqlite"  # as `storage.sqlite` names it, which needs the server's libraries
_STATES: Final = ("open", "explained", "accepted", "resolved")
_UNSETTLED: Final = ("open", "explained")
_NUMBER: Final = click.argument("number", type=click.IntRange(min=1))


def _with_place(function: Callable[..., R]) -> Callable[..., R]:
    """Add `--in` and `--data`, and pass the `place: BreakPlace` that they name."""

    @functools.wraps(function)
    def wrapped(*, folder: Path | None, data: Path | None, **options: object) -> R:
        settings = load_settings(data=data)
        return function(place=BreakPlace(folder or settings.data, settings), **options)

    for option in (
        click.option("--data", metavar="DIR", type=NamedPath(folder=True), help="The data folder, as for `reconcile`."),
        click.option(
            "--in",
            "folder",
            metavar="DIR",
            type=NamedPath(folder=True),
            help="The folder that holds breaks.json.  [default: the data folder]",
        ),
    ):
        wrapped = option(wrapped)
    return wrapped


@dataclass(frozen=True, slots=True)
class BreakPlace:
    """Where breaks are kept. If that is the data folder, its catalog records who changes them."""

    folder: Path
    settings: Settings

    def record_activity(self, action: str, *, partner: str, subject: str = "", details: Mapping[str, object]) -> None:
        """Add to the record of activity, where there is one. What was done is in the breaks' own history as well."""
        data = self.settings.data
        if self.folder.resolve() != data.resolve() or find_spec("sqlalchemy") is None:
            return
        if not self.settings.database_url and not (data / _CATALOG).exists():
            return
        from counterfoil.storage.activity import Action, NewActivity

        with open_data_folder(self.settings) as data_folder:
            catalog = data_folder.catalog
            entry = NewActivity(Action(action), utc_now(), catalog.actor, partner, subject, details)
            catalog.record_activity([entry])


@click.group()
@with_common
def breaks() -> None:
    """See to the differences that `counterfoil reconcile --breaks` keeps, from month to month."""


@breaks.command("list")
@click.option(
    "--state",
    "states",
    type=click.Choice((*_STATES, "all")),
    multiple=True,
    help="Only these; may be given again.  [default: open, explained]",
)
@click.option("--cause", metavar="CAUSE", help="Only this cause, such as 'unit price'.")
@click.option("--customer", metavar="ID|NAME", help="Only this customer.")
@click.option("--subscription", metavar="ID", help="Only this subscription.")
@click.option("--partner", metavar="TENANT", help="Only this partner.")
@click.option("--period", metavar="YYYY-MM", help="Only what was compared of this month.")
@click.option("--owner", metavar="NAME", help="Only what this owner has.")
@click.option("--at-least", metavar="AMOUNT", help="Nothing smaller, whatever the sign.")
@with_amounts
@with_output
@_with_place
def list_breaks(*, states: tuple[str, ...], place: BreakPlace, output: Output, **wanted: str | None) -> None:
    """List breaks: a cause, customer and subscription, with the amount that they differ by.

    \b
    Examples:
      counterfoil breaks list --owner finance
      counterfoil breaks list --state all --period 2026-10 --output json
      counterfoil breaks list --in counterfoil-pulls
    """
    from counterfoil.reconcile.breaks import listed

    chosen = () if "all" in states else states or _UNSETTLED
    cause, at_least = wanted.pop("cause"), wanted.pop("at_least")
    filters = {name: text or "" for name, text in wanted.items()}
    found = listed(place.folder, states=chosen, cause=cause, at_least=at_least, **filters)
    rows = [each.to_json() if output.is_json else _row(each) for each in found]
    told = "Nothing of this is kept" if any(wanted.values()) or states else "No break is open"
    output.rows(rows, less_needed=("subscription", "owner", "period"), none=f"{told} in {place.folder}.")


@breaks.command("show")
@_NUMBER
@with_amounts
@with_output
@_with_place
def show_break(*, number: int, place: BreakPlace, output: Output) -> None:
    """Show all that is known of a break: what was compared, what was done about it, and the evidence that settled it.

    \b
    Example:
      counterfoil breaks show 3
    """
    from counterfoil.reconcile.breaks import show

    _print_break(show(place.folder, number), output)


@breaks.command("note")
@_NUMBER
@click.option("--note", "text", metavar="TEXT", help="What there is to say. The last note is shown, all are kept.")
@click.option("--owner", metavar="NAME", help="Who sees to it; '' for nobody.")
@click.option("--explained", is_flag=True, help="Say that the amount is explained, though not settled.")
@with_amounts
@with_output
@_with_place
def note_break(
    *,
    number: int,
    text: str | None,
    owner: str | None,
    explained: bool,
    place: BreakPlace,
    output: Output,
) -> None:
    """Note something at a break, or give it an owner.

    \b
    Examples:
      counterfoil breaks note 3 --owner finance --note "asked Microsoft, case 4711"
      counterfoil breaks note 3 --explained --note "price changed on the 14th, credit is announced"
    """
    from counterfoil.reconcile.breaks import note

    if not (text or "").strip() and owner is None and not explained:
        raise UsageError("There is nothing to note.", remedy="Give --note, --owner or --explained.")
    changed = note(place.folder, number, text or "", owner=owner, is_explained=explained)
    _record_change(place, "break-note", changed)
    _print_break(changed, output)


@breaks.command("accept")
@_NUMBER
@click.option("--note", metavar="TEXT", required=True, help="Why it is accepted.")
@click.option("--amount", metavar="AMOUNT", help="Accept this amount and no other.")
@click.option("--owner", metavar="NAME", help="Who sees to it.")
@with_amounts
@with_output
@_with_place
def accept_break(
    *,
    number: int,
    note: str,
    amount: str | None,
    owner: str | None,
    place: BreakPlace,
    output: Output,
) -> None:
    """Accept the exact amount that a break has. Where a re-run finds another amount, it is open again.

    \b
    Example:
      counterfoil breaks accept 3 --amount 44.00 --note "below what is worth a claim"
    """
    from counterfoil.reconcile.breaks import accept

    changed = accept(place.folder, number, note=note, amount=amount, owner=owner)
    _record_change(place, "break-accept", changed)
    _print_break(changed, output)


def record_breaks(comparison: Comparison, folder: Path | None, settings: Settings, output: Output) -> dict[str, object]:
    """Keep what a comparison found, and say what changed; returns it for programs."""
    from counterfoil.reconcile.breaks import record

    place = BreakPlace(folder or folder_for(comparison, settings.data), settings)
    done = record(comparison, place.folder)
    counts = {name: len(found) for name, found in done.to_json().items() if isinstance(found, list)}
    partner = comparison.left.partner or comparison.right.partner
    place.record_activity("breaks-record", partner=partner, details=counts)
    told = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count) or "nothing new"
    output.note(
        f"Breaks: {told}; {done.unsettled:,} of this comparison to be seen to. "
        f"Next: {shlex.join(['counterfoil', 'breaks', 'list', '--in', str(place.folder)])}"
    )
    return {"folder": str(place.folder), **done.to_json()}


def folder_for(comparison: Comparison, data: Path) -> Path:
    """Return where the breaks of a comparison belong: in the data folder, or beside the pulls or files compared.

    Raises UsageError where the sides are in two folders, of which neither is more likely.
    """
    sides = comparison.left, comparison.right
    if any(side.origin == "published" for side in sides):
        return data
    own = [side for side in sides if side.origin == "pull"] or [side for side in sides if side.origin == "file"]
    paths = [Path(side.name).absolute() for side in own]
    # A pull may be named by its receipt.
    places = {
        path.parent.parent if side.origin == "pull" and path.is_file() else path.parent
        for side, path in zip(own, paths, strict=True)
    }
    if len(places) != 1:
        raise UsageError(
            "The sides are not in one folder, beside which breaks could be kept.",
            remedy="Name the folder.",
            parameter="breaks_in",
        )
    return places.pop()


def _record_change(place: BreakPlace, action: str, changed: Break) -> None:
    details: dict[str, Any] = {"amount": changed.to_json()["amount"], "state": changed.state.value}
    place.record_activity(action, partner=changed.subject.partner, subject=str(changed.number), details=details)


def _row(each: Break) -> dict[str, object]:
    return {
        "number": each.number,
        "state": each.state.value,
        "cause": each.cause.value,
        "amount": Money(each.amount, each.subject.currency),
        "customer": each.customer_name or each.customer or "(none)",
        "subscription": each.subscription,
        "period": each.subject.period,
        "owner": each.owner,
    }


def _print_break(each: Break, output: Output) -> None:
    if output.is_json:
        output.facts(each.to_json())
        return
    currency = each.subject.currency
    settled = [] if each.settled is None else [Money(each.settled, currency)]
    facts: dict[str, object] = {
        **_row(each),
        "settled": settled and Headed(f"Amount {each.state}", settled),
        "note": each.note,
        "compared": f"{each.subject.comparing}, {each.subject.kind}",
        "left": each.left.what,
        "right": each.right.what,
        "settles": ", ".join(f"break {number}" for number in each.settles),
        "evidence": _evidence(each),
        "history": [
            f"{timestamp(event.at)} {event.by}: {event.step}, {Money(event.amount, currency).shown(exact=output.exact)}"
            + (f". {event.note}" if event.note else "")
            for event in each.history
        ],
    }
    output.facts({name: value for name, value in facts.items() if value not in ("", [], ())})


def _evidence(each: Break) -> list[str]:
    if each.evidence is None:
        return []
    lines = [f"{line.side}, line item {line.line_item} ({line.part})" for line in each.evidence.lines]
    return lines or [f"{each.evidence.left.what} and {each.evidence.right.what} no longer differ in it"]
