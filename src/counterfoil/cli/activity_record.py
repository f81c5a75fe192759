"""`counterfoil activity`: who signed in or failed to, exported, published, added or revoked what, and when."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from counterfoil.cli.open_folder import open_data_folder
from counterfoil.cli.options import with_output, with_settings
from counterfoil.cli.output import Output
from counterfoil.errors import UsageError
from counterfoil.model import tenant_id
from counterfoil.settings import Settings, did_you_mean

_ROWS_MAX = 100_000


@click.command()
@click.option("--partner", metavar="TENANT", help="What concerns this partner.")
@click.option("--actor", metavar="ID", help="What this client, or user of a command, did.")
@click.option("--action", "actions", metavar="NAME", multiple=True, help="Only this action; may be given again.")
@click.option("--since", metavar="TIME", help="From this time on (UTC): 2026-11-28, or 2026-11-28T14:00Z.")
@click.option("--until", metavar="TIME", help="Before this time.")
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(1, _ROWS_MAX),
    default=1_000,
    show_default=True,
    help="The last N of them.",
)
@with_output
@with_settings()
def activity(
    *,
    partner: str | None,
    actor: str | None,
    actions: tuple[str, ...],
    since: str | None,
    until: str | None,
    limit: int,
    settings: Settings,
    output: Output,
) -> None:
    """Print the record of who did what, the newest last.

    It says who signed in or failed to, exported, walked, downloaded, published, restored or withdrew, and who added or
    removed partners, clients and secrets. What was alike within a second is one line with a count. `counterfoil verify`
    checks that no line was changed or taken out.

    \b
    Examples:
      counterfoil activity --since 2026-11-01 --action sign-in-failed
      counterfoil activity --partner 0e195b37-4574-4539-bc42-0e539b9684c0 --output json
    """
    from counterfoil.storage.activity import Action

    known = [action.value for action in Action]
    for name in actions:
        if name not in known:
            raise UsageError(
                f"There is no action {name!r}.{did_you_mean(name, known)}", remedy=f"One of: {', '.join(known)}."
            )
    with open_data_folder(settings) as data_folder:
        found = data_folder.catalog.activity(
            limit,
            partner=None if partner is None else tenant_id(partner),
            actor=actor,
            actions=[Action(name) for name in actions],
            since=_time(since, "--since"),
            until=_time(until, "--until"),
        )
    rows = [
        {
            "number": each.number,
            "at": each.at,
            "action": each.action.value,
            "partner": each.partner,
            "actor": each.actor,
            "count": each.count,
            "subject": each.subject,
            "details": dict(each.details) if output.is_json else _as_text(each.details),
            "chain": each.chain,
        }
        for each in found
    ]
    output.rows(rows, only_json=["number", "chain"], none="Nothing of this was recorded.")
    if found:
        output.note(f"The chain up to here: {found[-1].chain}")
    if len(found) == limit:
        output.note(f"These are the last {limit:,}; --limit prints more.")


def _as_text(details: object) -> str:
    assert isinstance(details, dict)
    return ", ".join(f"{name} {value}" for name, value in details.items())


def _time(text: str | None, option: str) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(f"{option} {text!r} is not a time.", remedy="Write it as 2026-11-28T14:00Z.") from None
