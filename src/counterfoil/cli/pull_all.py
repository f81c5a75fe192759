"""`counterfoil pull PROFILE --all`: everything that a profile lists and that is not held yet, once.

It is made for schedulers: it ends, and its exit code says whether to try again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from counterfoil.cli.output import Output, as_option, counted
from counterfoil.cli.pull_again import PullCommand, advise_for_profile
from counterfoil.cli.pull_display import displayed
from counterfoil.cli.pull_publish import PullPublisher
from counterfoil.errors import CounterfoilError
from counterfoil.periods import timestamp, utc_now
from counterfoil.profiles import Profile

if TYPE_CHECKING:
    from counterfoil.client import Client
    from counterfoil.client.holdings.pulling import ExpectedPullResult


def pull_all(
    profile: Profile, client: Client, publisher: PullPublisher | None, output: Output, again: PullCommand
) -> int:
    """Pull what is missing, print what became of each, and return the exit code that says whether to try again."""
    from counterfoil.client.holdings.pulling import ProfilePulls

    pulls = ProfilePulls(
        profile,
        client,
        on_held=publisher.publish_once if publisher else lambda _receipt, _folder: None,
        watch=lambda each, number, count: displayed(output, f"{number} of {count}, {each}"),
    )
    results: list[ExpectedPullResult] = []
    rows: list[dict[str, object]] = []
    try:
        for each in pulls.run():
            results.append(each)
            rows.append(_row(each))
            more = f", {counted(each.line_items, 'line item')}" if each.state == "pulled" and each.line_items else ""
            told = f"{each.expected}: {each.state}{more}. {rows[-1]['told']}".rstrip()
            output.note(f"{timestamp(utc_now())} {told}")  # a scheduler keeps it as a log
    except KeyboardInterrupt:
        output.note(again.sentence("To go on"))
        raise
    output.rows(rows, headings={"told": "Remark"}, only_json=["folder"])
    return _conclude(results, output, again)


def _row(each: ExpectedPullResult) -> dict[str, object]:
    told = each.remark
    if each.error is not None:
        advise_for_profile(each.error, each.folder)
        told = f"{each.error.message} {each.error.advice(as_option)}".rstrip()
    return {
        "kind": each.expected.kind.value,
        "what": each.expected.what,
        "state": each.state.value,
        "lineItems": each.line_items,
        "folder": each.folder,
        "told": told,
    }


def _conclude(results: Sequence[ExpectedPullResult], output: Output, again: PullCommand) -> int:
    failed = sum(each.state.is_hopeless for each in results)
    if failed:
        raise CounterfoilError(
            f"{failed} of {counted(len(results), 'expected pull')} failed.",
            remedy=f"Each says why. {again.sentence('When that is fixed')}",
        )
    open_states = [each.state for each in results if not each.state.is_done]
    if not open_states:
        return 0
    overdue = sum(state == "overdue" for state in open_states)
    return output.conclude(
        f"{len(open_states)} of {counted(len(results), 'expected pull')} are not here yet"
        + (f", {overdue} of them overdue." if overdue else "."),
        remedy=again.sentence("Run it again later"),
        exit_code=4,
    )
