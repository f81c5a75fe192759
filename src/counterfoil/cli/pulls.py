"""`counterfoil pulls`: what is held, whether it still is what its receipts say, and what is missing."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from counterfoil.cli.options import (
    NamedPath,
    load_settings,
    with_amounts,
    with_common,
    with_output,
    with_token,
    with_wait,
)
from counterfoil.cli.output import Output
from counterfoil.cli.receipts import show_receipt, total_of
from counterfoil.cli.sources import token_source
from counterfoil.errors import CounterfoilError, UsageError
from counterfoil.periods import utc_now
from counterfoil.printable_text import counted
from counterfoil.setting_values import did_you_mean
from counterfoil.settings import Profile

if TYPE_CHECKING:
    from counterfoil.client import Receipt
    from counterfoil.client.holdings.holding import Holding
    from counterfoil.client.holdings.status import HoldingStatus


class PullsGroup(click.Group):
    """The commands about pulls; the name of a profile in place of one gets a hint."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command."""
        if args and args[0] not in self.commands:
            meant = did_you_mean(args[0], self.commands)
            raise UsageError(
                f"There is no command {f'pulls {args[0]}'!r}.{meant}",
                remedy=f"For a profile: counterfoil pulls status {args[0]}, or counterfoil pulls list {args[0]}",
            )
        return super().resolve_command(ctx, args)


@click.group(cls=PullsGroup)
@with_common
def pulls() -> None:
    """What `counterfoil pull` brought: list it, show its receipts, verify it, and compare it with what is expected."""


@pulls.command(name="list")
@click.argument("places", nargs=-1, metavar="[PROFILE|DIR]...")
@with_amounts
@with_output
def list_pulls(places: Sequence[str], output: Output) -> None:
    """List what is held below folders, or in the folder of a profile.  Without one: all of ./counterfoil-pulls.

    Exit code 1 if something is damaged: a receipt that cannot be read, or a file that is missing or of another size.

    \b
    Example:
      counterfoil pulls list contoso
    """
    rows = [_row(each, tenant) for each, tenant in _holdings(places)]
    only_json = ["source", "api", "request", "eTag", "totals", "told"]
    output.rows(
        rows,
        headings={"finishedAt": "Pulled at"},
        only_json=only_json,
        only_table=["total"],
        less_needed=["format", "proof", "finishedAt", "folder"],
        none="Nothing is held there.",
    )
    damaged = [row for row in rows if row["state"] == "damaged"]
    if damaged:
        more = f", and {counted(len(damaged) - 1, 'more')}" if len(damaged) > 1 else ""
        raise CounterfoilError(
            f"{damaged[0]['folder']} does not hold what it should: {damaged[0]['told']}{more}.",
            remedy="`counterfoil pulls verify` names every fault.",
        )


@pulls.command()
@click.argument("folder", metavar="DIR", type=NamedPath(folder=True, or_file=True))
@with_amounts
@with_output
def show(folder: Path, output: Output) -> None:
    """Show the receipt of the pull in a folder: what was asked, what came, and what is proven.

    \b
    Example:
      counterfoil pulls show pulls/usage/2026-10-EUR
    """
    from counterfoil.client.holdings.holding import holding_at
    from counterfoil.client.receipt import FILE_NAME

    folder = folder.parent if folder.name == FILE_NAME else folder
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}.", remedy="`counterfoil pulls list` lists what is held.")
    holding = holding_at(folder)
    if holding.receipt is None:
        unfinished = " A pull was begun there and not finished." if holding.unfinished else ""
        raise UsageError(
            holding.flaw or f"{folder} holds no receipt.{unfinished}", remedy="`counterfoil pulls list` lists them."
        )
    show_receipt(output, holding.receipt, folder, in_full=True)


@pulls.command()
@click.argument("places", nargs=-1, metavar="[PROFILE|DIR]...")
@with_output
def verify(places: Sequence[str], output: Output) -> None:
    """Compute sizes, hashes, line counts and exact totals again from the files, and hold them against the receipts.

    Of Excel files, size and hash are compared. Of a pull that is not finished, what it wrote down to go on from. Below
    a profile's folder, data without a receipt is a fault. Nobody is asked. Exit code 1 if anything is not as it was.

    \b
    Example:
      counterfoil pulls verify contoso
    """
    from counterfoil.client.holdings.verifying import verify as verify_holding

    rows: list[dict[str, object]] = []
    line_items = 0
    found = list(_holdings(places))
    held = [holding for holding, _ in found if holding.receipt or holding.flaw or not holding.unfinished]
    files = sum(len(holding.receipt.files) for holding in held if holding.receipt)
    with output.progress("Line items") as advance:

        def count(more: int) -> None:
            nonlocal line_items
            line_items += more
            advance(more)

        for holding, tenant in found:
            rows += [{"folder": holding.folder, "fault": each} for each in verify_holding(holding, tenant, count)]
    output.findings(
        rows,
        {"sound": bool(held) and not rows, "pulls": len(held), "files": files, "lineItems": line_items},
    )
    seen = f"{counted(len(held), 'pull')}, {counted(files, 'file')}, {counted(line_items, 'line item')} counted"
    if rows:
        raise CounterfoilError(
            f"{counted(len(rows), 'fault')} found in {seen}.",
            remedy="Pull it again: what was edited is moved aside, and nothing is lost.",
        )
    if not held:
        raise UsageError("There is nothing to verify there.", remedy="`counterfoil pulls list` shows what is held.")
    output.note(f"Sound: {seen}.")


@pulls.command()
@click.argument("profile_name", metavar="PROFILE")
@click.option("--offline", is_flag=True, help="Do not ask the source; show only what is held.")
@with_token
@with_wait(600.0)
@with_amounts
@with_output
def status(profile_name: str, offline: bool, token: str | None, wait_s: float, output: Output) -> int:
    """Show for each invoice, kind and currency that a profile expects: held, newer, not there yet, overdue.

    The source is asked one harmless question for each: for an export, of which nothing is downloaded. Exit code 3 if
    something is not pulled yet, overdue, damaged, never available or not listed in the profile; 4 if the source could
    not be asked; else 0.

    \b
    Examples:
      counterfoil pulls status contoso
      counterfoil pulls status contoso --offline
    """
    from counterfoil.client.holdings.expected import expected_of, root_of, unlisted_of
    from counterfoil.client.holdings.holding import Holding
    from counterfoil.client.holdings.status import HoldingStatus, ProbedSource, State, statuses
    from counterfoil.client.protocol.asking import Api

    profile = load_settings().profile(profile_name)
    now = utc_now()
    credential = "-" if offline else token_source(profile, token, os.environ)
    source = ProbedSource(profile.url, Api(profile.api), credential, wait_s_max=wait_s)
    found: list[HoldingStatus] = []
    with output.progress("Asked") as advance:
        listed = expected_of(profile, now)
        for each in statuses(listed, root_of(profile), source, now, tenant=profile.tenant, offline=offline):
            found.append(each)
            advance(1)
    nothing = Holding(root_of(profile))
    found += [HoldingStatus(each, nothing, State.UNLISTED, each.remark) for each in unlisted_of(profile, now)]
    rows = [_standing_row(each) for each in found]
    output.rows(
        rows,
        headings={"lineItems": "Line items held", "dueAt": "Due", "told": "Remark"},
        only_json=["eTag", "folder", "totals"],
        only_table=["total"],
        less_needed=["dueAt", "pulledAt", "lineItems"],
    )
    return _conclude(profile, found, output, offline=offline)


def _conclude(profile: Profile, found: Sequence[HoldingStatus], output: Output, *, offline: bool) -> int:
    from counterfoil.client.holdings.status import WANTING, State

    states = Counter(each.state for each in found)
    if wanting := [state for state in WANTING if states[state]]:
        told = [*wanting, *([State.UNKNOWN] if states[State.UNKNOWN] else [])]
        more = " What is not listed has to be added to the profile." if states[State.UNLISTED] else ""
        return output.conclude(
            f"Of {len(found)} expected: {', '.join(f'{states[state]} {state}' for state in told)}.{more}",
            remedy=f"To pull what is there: counterfoil pull {profile.name} --all",
            exit_code=3,
        )
    if states[State.UNKNOWN] and not offline:
        return output.conclude(
            f"Of {len(found)} expected: {states[State.UNKNOWN]} unknown, because the source could not be asked.",
            remedy=f"`counterfoil doctor {profile.name}` looks for the cause.",
            exit_code=4,
        )
    return 0


def _standing_row(each: HoldingStatus) -> dict[str, object]:
    receipt = each.holding.receipt
    return {
        "kind": each.expected.kind.value if each.expected.kind else None,
        "what": each.expected.what,
        "state": each.state.value,
        "lineItems": receipt.line_items if receipt else None,
        "total": total_of(receipt),
        "pulledAt": receipt.finished_at if receipt else None,
        "dueAt": each.expected.due_at.date() if each.expected.due_at else None,
        "told": each.remark,
        "eTag": receipt.etag if receipt else None,
        "totals": dict(receipt.totals) if receipt else {},
        "folder": each.holding.folder,
    }


def _holdings(places: Sequence[str]) -> Iterator[tuple[Holding, str]]:
    """Yield what is held in some places, and the tenant whose data it should be, where a profile names one."""
    from counterfoil.client.holdings.expected import PULLS_FOLDER, root_of
    from counterfoil.client.holdings.holding import holdings_below

    settings = load_settings()
    seen: set[Path] = set()
    usual = [str(PULLS_FOLDER)] if PULLS_FOLDER.is_dir() else []
    for place in places or usual:
        if not place:
            raise UsageError("An empty name is not a folder.")
        profile = settings.profile(place) if place in settings.profiles else None
        folder, tenant = (root_of(profile), profile.tenant) if profile else (Path(place), "")
        for holding in holdings_below(folder, ours=profile is not None or not places):
            if (real := holding.folder.resolve()) not in seen:
                seen.add(real)
                yield holding, tenant


def _format_of(receipt: Receipt | None) -> object:
    """Return the format of a pull, or a list of several, as the receipt has it."""
    if receipt is None:
        return ""
    return receipt.format if isinstance(receipt.format, str) else list(receipt.format)


def _row(holding: Holding, tenant: str) -> dict[str, object]:
    from counterfoil.client.holdings.holding import flaw_of

    receipt = holding.receipt
    told = flaw_of(holding, tenant)
    return {
        "kind": receipt.request.get("kind", "") if receipt else "",
        "what": holding.what,
        "state": "damaged" if told else "held" if receipt else "unfinished",
        "lineItems": receipt.line_items if receipt else None,
        "total": total_of(receipt),
        "proof": receipt.proof.value if receipt else "",
        "format": _format_of(receipt),
        "finishedAt": receipt.finished_at if receipt else "",
        "folder": holding.folder,
        "source": receipt.source if receipt else "",
        "api": receipt.api if receipt else "",
        "request": dict(receipt.request) if receipt else {},
        "eTag": receipt.etag if receipt else "",
        "totals": dict(receipt.totals) if receipt else {},
        "told": told,
    }
