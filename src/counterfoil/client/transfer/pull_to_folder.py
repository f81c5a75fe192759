"""A pull into a folder, from the request to the receipt.

A pull that fails keeps what it fetched, and the same pull resumes from there. So every error that a retry may fix says
where that state is; a refusal at the start leaves nothing.
"""

from __future__ import annotations

import errno
import logging
from pathlib import Path
from typing import Final

from counterfoil.client.network.session import Session
from counterfoil.client.output_files.output_formats import FormatChoice, formats_of
from counterfoil.client.protocol.asking import Api, word_of
from counterfoil.client.protocol.promised_totals import ChangedError
from counterfoil.client.protocol.v1_answers import first_link
from counterfoil.client.pull_folder.target import PullFolder
from counterfoil.client.pull_folder.unfinished import UnfinishedPull
from counterfoil.client.receipt import Receipt, identity, request_facts
from counterfoil.client.transfer.client_settings import ClientSettings
from counterfoil.client.transfer.export_pull import ExportPull
from counterfoil.client.transfer.graph_exports import Exporter
from counterfoil.client.transfer.progress import ProgressReport, Watcher
from counterfoil.client.transfer.pull_task import PullTask
from counterfoil.client.transfer.source_calls import CallLog, SourceCalls
from counterfoil.client.transfer.walk_pull import WalkPull
from counterfoil.errors import (
    CounterfoilError,
    FullDiskError,
    LinkExpiredError,
    OperationFailedError,
    ProofError,
    UsageError,
)
from counterfoil.periods import timestamp
from counterfoil.wire.graph import ExportRequest

BEGUN_ANEW_MAX: Final = 2
_LOG: Final = logging.getLogger(__name__)
_ANSWERED: Final = (OperationFailedError, ProofError, LinkExpiredError, UsageError)


def pull_to_folder(
    session: Session,
    settings: ClientSettings,
    ask: ExportRequest,
    to: Path | str,
    api: Api | str,
    format: FormatChoice,  # noqa: A002 - the word for it everywhere
    keep: int,
    former: Path | None,
    watcher: Watcher | None,
) -> Receipt:
    """Fetch, prove and write; see `Client.pull`."""
    to, api, formats = Path(to), word_of(Api, api), formats_of(format)
    if keep < 0:
        raise UsageError(f"{keep} former states cannot be kept.", remedy="Give 0 or more.", parameter="keep")
    if api is Api.V1:
        first_link(settings.base, ask, settings.page_size_items)  # refuses what v1 does not offer
    facts = request_facts(ask, api, settings.patience.now())
    folder = PullFolder(to, identity(api.value, facts), str(settings.base), former)
    calls = SourceCalls(session, settings.base, CallLog())
    task = PullTask(calls, settings, ask, facts, api, formats, folder, ProgressReport(watcher))
    session.end_in_time()
    try:
        folder.enter()
        receipt = _pulled(task, keep)
    except BaseException as error:  # noqa: BLE001 - it is raised again, and whatever it is, the lock goes
        if not folder.is_held:  # the folder's content is another pull's
            raise _explained(error, to) from error.__cause__
        # An operation is worth asking again, also after a refusal; one whose answer is unusable is not.
        answered = isinstance(error, _ANSWERED)
        if isinstance(error, OperationFailedError) or (answered and not folder.has_fetched):
            folder.clear()
        folder.leave()
        kept = UnfinishedPull.read(folder.staging) is not None
        raise _explained(error, to, kept=kept) from None if isinstance(error, OSError) else error.__cause__
    folder.leave()
    return receipt


def _pulled(task: PullTask, states_kept: int) -> Receipt:
    """Pull, and start over where the source's data changed since the pull began; not for ever."""
    folder, progress, ticket = task.folder, task.progress, task.folder.ticket
    if ticket is None:
        folder.clear()
        ticket = folder.begin(timestamp(task.settings.patience.now()))
    else:
        progress.remark(f"Going on with the pull that began at {ticket.started_at}.")
        task.calls.log.remember(ticket.request_ids)
    pull = ExportPull(task, Exporter(task.calls, task.settings)) if task.api is Api.GRAPH else WalkPull(task)
    anew = 0
    while True:
        try:
            receipt = pull.run(ticket)
            break
        except ChangedError as error:
            folder.clear()
            anew += 1
            if anew > BEGUN_ANEW_MAX:
                raise
            progress.note(f"{error.message} Starting over.")
            ticket = folder.begin(ticket.started_at)
    if receipt.already_held:
        progress.remark("Unchanged: it is held already, and verified.")
        folder.clear()
        return receipt
    receipt = folder.keep(receipt, states_kept)
    for each in receipt.set_aside:
        progress.remark(f"A file that was edited or damaged is kept as {each}.")
        _LOG.info("%s: a file that was edited or damaged is kept as %s", folder.path, each)
    return receipt


def _explained(error: BaseException, to: Path, *, kept: bool = False) -> BaseException:
    """Return the error with what became of the fetched data; an error of the disk becomes one of ours."""
    if isinstance(error, OSError):
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            error = FullDiskError(f"There is no room left in {to}.", remedy="Make room, then pull again.")
        else:
            refused = f"{error.filename or to} cannot be used: {error.strerror or error}."
            remedy = "Correct that, then pull again, or name another folder."
            error = CounterfoilError(refused, remedy=remedy)
    if isinstance(error, CounterfoilError):
        if kept:
            what = f"What was fetched is kept: the same pull into {to} goes on from there."
            error.remedy = f"{what} {error.remedy}".strip()
        elif isinstance(error, ProofError):
            error.remedy = f"Nothing was kept. {error.remedy}".strip()
    return error
