"""`counterfoil pull PROFILE --all`: everything that a profile lists and that is not held yet, once.

It is made for schedulers: it ends, and its exit code says whether to try again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from counterfoil.cli.output import Output, as_option
from counterfoil.cli.pull_again import PullCommand, advise_for_profile
from counterfoil.cli.pull_display import displayed, log_line
from counterfoil.cli.pull_publish import PullPublisher
from counterfoil.cli.receipts import conclude_set_aside, total_of
from counterfoil.errors import CounterfoilError
from counterfoil.printable_text import counted
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
    aside: list[str] = []
    try:
        for each in pulls.run():
            results.append(each)
            rows.append(_row(each))
            aside += each.set_aside
            more = f", {counted(each.line_items, 'line item')}" if each.state == "pulled" and each.line_items else ""
            log_line(output, f"{each.expected}: {each.state}{more}. {rows[-1]['told']}".rstrip())
    except KeyboardInterrupt:
        raise KeyboardInterrupt(again.sentence("To go on")) from None
    output.rows(rows, headings={"told": "Remark"}, only_json=["folder", "setAside"], only_table=["total"])
    exit_code = _conclude(results, output, again)
    return conclude_set_aside(aside, output) or exit_code


def _row(each: ExpectedPullResult) -> dict[str, object]:
    told = each.remark
    if each.error is not None:
        advise_for_profile(each.error, each.folder)
        told = f"{each.error.message} {each.error.advice(as_option)}".rstrip()
    return {
        "kind": each.expected.kind.value if each.expected.kind else None,
        "what": each.expected.what,
        "state": each.state.value,
        "lineItems": each.line_items,
        "total": total_of(each.receipt),
        "folder": each.folder,
        "setAside": list(each.set_aside),
        "told": told,
    }


def _conclude(results: Sequence[ExpectedPullResult], output: Output, again: PullCommand) -> int:
    failed = sum(each.state.is_hopeless for each in results)
    if failed:
        raise CounterfoilError(
            f"{failed} of {counted(len(results), 'expected pull')} failed.",
            remedy=f"Each says why. {again.sentence('When that is fixed')}",
        )
    unlisted = [each for each in results if each.state == "not listed"]
    open_states = [each.state for each in results if not each.state.is_done and each not in unlisted]
    if not open_states and not unlisted:
        return 0
    if not open_states:
        return output.conclude(
            f"The profile does not list all that is expected: {', '.join(each.expected.what for each in unlisted)}.",
            remedy="Add it to the profile; its line above says how.",
            exit_code=3,
        )
    overdue = sum(state == "overdue" for state in open_states)
    return output.conclude(
        f"{len(open_states)} of {counted(len(results), 'expected pull')} are not here yet"
        + (f", {overdue} of them overdue." if overdue else "."),
        remedy=again.sentence("Run it again later"),
        exit_code=4,
    )
