"""What can be done to a development server while it serves: publish, travel, fail, reset, save and load its state.

`counterfoil.testing.Server` and the HTTP control of a development server both stand on this. A reset never touches the
data folder that the user named: from then on an empty folder is served, beside it. The folder that was served before
closes when the last answer from it is out, so that a reset in the middle of a download breaks nothing.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from starlette.types import ASGIApp, Receive, Scope, Send

from counterfoil.errors import MissingError, UnavailableError, UsageError
from counterfoil.model import WHOLE
from counterfoil.periods import Clocks, business_clock, moment_of, utc_now
from counterfoil.server.app import create_app
from counterfoil.server.export_operations import Exports
from counterfoil.server.server_parts import Service
from counterfoil.server.startup import open_service
from counterfoil.settings import Settings
from counterfoil.testing.faults.fault_plan import FaultPlan, rule_of
from counterfoil.testing.faults.faulty_app import FaultyApp
from counterfoil.testing.given_files import LineItems, as_file, told_as
from counterfoil.testing.request_journal import RequestJournal
from counterfoil.testing.snapshots import SNAPSHOTS_MAX, Snapshot, copy_data_folder, copy_keys, snapshot_name

if TYPE_CHECKING:
    from counterfoil.datasets.publication_receipt import PublicationReceipt
    from counterfoil.datasets.safeguards import Safeguards

OPERATION_DELAY_S_MAX: Final = 86_400
_LOCAL: Final = ("date_order", "decimal")
_GIVEN: Final = ("partner", "issuer", "kind", "invoice", "period", "currency", "segment", *_LOCAL)


class _Epoch:
    """One data folder while it is served. Once retired, it closes with its last answer."""

    def __init__(self, service: Service, opened: ExitStack, scratch: Path | None) -> None:
        self.service = service
        self.app: ASGIApp = create_app(service)
        self._opened, self._scratch = opened, scratch
        self._lock = threading.Lock()
        self._answering = 0
        self._retired = False
        self.is_closed = False

    def enter(self) -> bool:
        """Begin an answer; False if it is too late for that."""
        with self._lock:
            self._answering += not self._retired
            return not self._retired

    def leave(self) -> None:
        """End an answer."""
        with self._lock:
            self._answering -= 1
            last = self._retired and not self._answering
        if last:
            self._close()

    def retire(self, *, at_once: bool = False) -> None:
        """Serve no more."""
        with self._lock:
            was_retired, self._retired = self._retired, True
            idle = not self._answering
        if at_once or (idle and not was_retired):
            self._close()

    def _close(self) -> None:
        self.is_closed = True
        self._opened.close()  # the second time it does nothing
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)


class Control:
    """A development server's state, and all that may be done to it; methods may be called from any thread.

    `settings.data` is served first. `root` is a folder for whatever is made later; who made it deletes it.
    """

    def __init__(
        self,
        settings: Settings,
        root: Path,
        *,
        now: datetime | None = None,
        operation_delay_s: float = 0,
        open_to: Iterable[str] = (),
        plan: FaultPlan | None = None,
        data_is_scratch: bool = False,
    ) -> None:
        self.open_to = frozenset(open_to)
        self.journal = RequestJournal()
        self.faults = FaultyApp(self._answer, utc_now, plan)
        self._plan = plan
        self._settings, self._root = settings, root
        self._started_at, self._started_delay_s = now, operation_delay_s
        self._data_is_scratch = data_is_scratch
        self._delay_s = operation_delay_s
        self._business = utc_now
        self._tenants = set[str]()
        self._snapshots: dict[str, Snapshot] = {}
        self._epoch: _Epoch | None = None
        self._retired: list[_Epoch] = []
        self._changing = threading.RLock()

    # --- life -----------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._put_in_place(self._settings.data, scratch=self._data_is_scratch)
        return self

    def __exit__(self, *_: object) -> None:  # the server must have stopped
        with self._changing:
            epochs = [*self._retired, *([self._epoch] if self._epoch else [])]
            self._epoch, self._retired = None, []
            for epoch in epochs:
                epoch.retire(at_once=True)

    @property
    def service(self) -> Service:
        """The parts of the server as it is now."""
        if self._epoch is None:
            raise UsageError("The server is not running.", remedy="Use it as a context manager.")
        return self._epoch.service

    @property
    def now(self) -> datetime:
        """The time of the business clock."""
        return self._business()

    def register(self, tenant: str) -> None:
        """Have a partner known, after a reset too."""
        self._tenants.add(tenant)
        self.service.catalog.add_partner(tenant, utc_now())

    # --- what is served -------------------------------------------------------------------------------------------

    def publish(
        self,
        *line_items: LineItems,
        names: Sequence[str] = (),
        safeguards: Safeguards | None = None,
        **given: str,
    ) -> list[PublicationReceipt]:
        """Publish files, contents of files or line items, all together or not at all.

        `names` are what errors call each of them, `given` is what is known beforehand. Raises what publishing raises,
        and UsageError for what cannot be given. By default an invoice in force is replaced, and files may repeat line
        items.
        """
        # Imported here, because a server is ready before what publishes is loaded.
        from counterfoil.datasets.check import Assertions
        from counterfoil.datasets.csv_values import LocalForms
        from counterfoil.datasets.data_folder import DataFolder
        from counterfoil.datasets.gathering import Input
        from counterfoil.datasets.publishing import publish
        from counterfoil.datasets.safeguards import Safeguards

        for name in given:
            if name not in _GIVEN:
                raise UsageError(f"There is no parameter {name!r}.", remedy=f"Choose from {', '.join(_GIVEN)}.")
        segment = given.pop("segment", "") or WHOLE
        forms = LocalForms.read(**{name: given.pop(name, "") for name in _LOCAL})
        asserted = Assertions.read(**given)
        data_folder = DataFolder(self.service.store, utc_now)
        with tempfile.TemporaryDirectory(dir=self._root, prefix="given-") as folder:
            files, called = [], dict[str, str]()
            for number, each in enumerate(line_items, 1):
                made = Path(folder) / f"argument-{number}"
                files.append(as_file(each, made))
                if names:
                    called[files[-1]] = names[number - 1]
                elif files[-1] == str(made):
                    called[files[-1]] = made.name
            with told_as(called, _GIVEN):
                inputs = [Input(file, asserted, segment) for file in files]
                return publish(
                    data_folder,
                    inputs,
                    date_order=forms.date_order,
                    decimal=forms.decimal,
                    safeguards=safeguards or Safeguards(replace=True, allow_copies=True),
                )

    def reset(self) -> None:
        """Serve an empty folder, in the state that the server started in. Tokens stay good, snapshots stay."""
        with self._changing:
            self._start_over()
            self._put_in_place(self._new_folder(), scratch=True)

    def travel(self, to: datetime | str | None) -> None:
        """Set the business clock: from now on it is `to` (an ISO time; None: the present), and runs on from there."""
        self._business = utc_now if to is None else business_clock(moment_of(to), utc_now)

    def delay_operations(self, delay_s: float) -> None:
        """Keep exports that are submitted from now on `running` for so long. 0 ends it."""
        if isinstance(delay_s, bool) or not 0 <= delay_s <= OPERATION_DELAY_S_MAX:
            raise UsageError(
                f"{delay_s!r} is no delay of operations.", remedy=f"Give seconds, from 0 to {OPERATION_DELAY_S_MAX}."
            )
        with self._changing:
            service = self.service
            assert self._epoch is not None
            exports = Exports(service.catalog, service.keyring, service.clocks, delay_s)
            self._epoch.service = replace(service, exports=exports)
            self._epoch.app = create_app(self._epoch.service)
            self._delay_s = delay_s

    # --- faults ---------------------------------------------------------------------------------------------------

    def fail(self, fault: object, where: dict[str, object], called: str) -> None:
        """Have one more fault strike from now on. Raises UsageError for what is none; `called` is how it names it."""
        self.faults.add(rule_of(fault, where, called))

    def heal(self) -> None:
        """Forget all faults, and nothing else."""
        self.faults.reset()

    def struck(self) -> dict[str, int]:
        """Return how often each fault that was asked for has struck."""
        counts: dict[str, int] = {}
        for rule, times in self.faults.strikes():
            counts[rule.fault.name] = counts.get(rule.fault.name, 0) + times
        return counts

    # --- snapshots ------------------------------------------------------------------------------------------------

    def snapshots(self) -> list[Snapshot]:
        """Return what was saved, oldest first."""
        return list(self._snapshots.values())

    def save_snapshot(self, name: str) -> Snapshot:
        """Save what is published, exported and registered, and the business clock. A second one replaces the first.

        Raises UsageError for a name that cannot be, or if there are too many.
        """
        name = snapshot_name(name)
        with self._changing:
            if name not in self._snapshots and len(self._snapshots) >= SNAPSHOTS_MAX:
                raise UsageError(f"There are {SNAPSHOTS_MAX} snapshots already.", remedy="Forget one of them first.")
            settings, folder = self.service.settings, self._new_folder()
            copy_data_folder(settings.data, settings.database_url or None, folder, self._opened)
            taken = Snapshot(name, folder, utc_now(), self.now, self._delay_s)
            self.forget_snapshot(name, must_exist=False)
            self._snapshots[name] = taken
            return taken

    def load_snapshot(self, name: str) -> None:
        """Serve what a snapshot holds, with the time of then; faults and the journal of requests are forgotten.

        It can be loaded again and again. Raises MissingError for a name that was never saved.
        """
        with self._changing:
            taken = self._snapshot(name)
            data = self._new_folder()
            shutil.copytree(taken.folder, data, dirs_exist_ok=True)
            self._start_over()
            self._put_in_place(data, scratch=True)
            self.travel(taken.now)
            self.delay_operations(taken.operation_delay_s)

    def forget_snapshot(self, name: str, *, must_exist: bool = True) -> None:
        """Delete a snapshot. Raises MissingError if there is none."""
        with self._changing:
            if name in self._snapshots or must_exist:
                shutil.rmtree(self._snapshot(name).folder, ignore_errors=True)
                del self._snapshots[name]

    def _snapshot(self, name: str) -> Snapshot:
        if name not in self._snapshots:
            known = ", ".join(self._snapshots) or "none"
            raise MissingError(f"There is no snapshot {name!r}.", remedy=f"Save it first; there are: {known}.")
        return self._snapshots[name]

    # --- one data folder in place of another ----------------------------------------------------------------------

    def _start_over(self) -> None:
        self.faults.reset()
        for rule in self._plan.rules if self._plan is not None else ():
            self.faults.add(rule)
        self.journal.clear()

    def _put_in_place(self, data: Path, *, scratch: bool) -> None:
        """Open a data folder and serve it in place of the last."""
        with self._changing:
            self._delay_s = self._started_delay_s
            self.travel(self._started_at)
            opened = ExitStack()
            service = opened.enter_context(self._opened(data))
            for tenant in self._tenants:
                service.catalog.add_partner(tenant, utc_now())
            last, self._epoch = self._epoch, _Epoch(service, opened, data if scratch else None)
            if last is not None:
                last.retire()
                self._retired = [each for each in (*self._retired, last) if not each.is_closed]

    def _new_folder(self) -> Path:
        """Make a data folder with the keys of the one that is served, so that tokens and links stay good."""
        data = Path(tempfile.mkdtemp(prefix="data-", dir=self._root))
        copy_keys(self.service.settings.data, data)
        return data

    def _opened(self, data: Path) -> AbstractContextManager[Service]:
        settings = self._settings
        if data != settings.data:
            settings = replace(settings, data=data, database_url="")
        clocks = Clocks(business=self._business_now)
        return open_service(settings, clocks, development=True, operation_delay_s=self._delay_s, open_to=self.open_to)

    def _business_now(self) -> datetime:
        return self._business()  # looked up at each call: travelling sets another clock

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        while True:
            epoch = self._epoch
            if epoch is None:
                raise UnavailableError("The server is stopping.", retry_after_s=1)
            if epoch.enter():  # else it was replaced just now
                break
        try:
            await epoch.app(scope, receive, send)
        finally:
            epoch.leave()
