"""The blocking client: pulls line items from one source into a folder with a receipt, or into memory as a stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self, Unpack

import httpx
import pyarrow as pa

from counterfoil.client.client_options import Options, checked_options
from counterfoil.client.credentials import of_profile
from counterfoil.client.network.bearer_tokens import Credential
from counterfoil.client.network.http_client import open_client
from counterfoil.client.network.session import Limits, OpenSockets, Session
from counterfoil.client.output_files.output_formats import Format, FormatChoice
from counterfoil.client.protocol.asking import Api
from counterfoil.client.receipt import Receipt
from counterfoil.client.transfer.graph_exports import Export, Exporter
from counterfoil.client.transfer.line_item_streams import rows_of, streamed
from counterfoil.client.transfer.progress import Watcher
from counterfoil.client.transfer.pull_to_folder import pull_to_folder
from counterfoil.client.transfer.source_calls import CallLog, SourceCalls
from counterfoil.line_items.lake import batch_to_lake
from counterfoil.profiles import STATES_KEPT, Profile
from counterfoil.wire.graph import ExportRequest


class Client:
    """Pulls line items from Microsoft or any Counterfoil, and proves what can be proven.

    `credential` is a bearer token, a function that returns one, `ClientCredentials`, or a credential of
    azure-identity. The token goes to the base URL's own scheme, host and port only. Further keyword arguments are
    those of `Options`, and `transport` of httpx. Close it, or use it as a context manager.

    Threads may share a client; `parallel` and the processors then bound all of its pulls together. Raises UsageError
    for an address, credential or option that cannot be right, and TypeError for an unknown option.
    """

    def __init__(
        self,
        url: str,
        credential: Credential,
        *,
        transport: httpx.BaseTransport | None = None,
        **options: Unpack[Options],
    ) -> None:
        self._settings, self._tokens, verify = checked_options(url, credential, options)
        self._tokens.check_blocking()
        self._direct = open_client(verify=verify, transport=transport, proxied=False)
        self._proxied = open_client(verify=verify, transport=transport)
        self._limits = Limits(self._settings.parallel)
        self._sockets = OpenSockets()

    @classmethod
    def from_profile(cls, profile: Profile, **options: Unpack[Options]) -> Self:
        """Return a client for a profile of counterfoil.toml; raises UsageError if it has no credential."""
        options.setdefault("scope", profile.scope)
        return cls(profile.url, of_profile(profile, options.get("verify", True)), **options)

    def close(self) -> None:
        """Close all connections and end all threads."""
        self._direct.close()
        self._proxied.close()
        self._limits.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def pull(
        self,
        ask: ExportRequest,
        to: Path | str,
        *,
        api: Api | str = Api.GRAPH,
        format: FormatChoice = Format.BLOBS,  # noqa: A002 - the word for it everywhere
        keep: int = STATES_KEPT,
        former: Path | None = None,
        watcher: Watcher | None = None,
    ) -> Receipt:
        """Fetch, prove and write the line items asked for; returns the receipt, which is also written beside them.

        `format` is one format or several; those that are there already are renewed too. The `keep` latest former
        states are kept in the folder `former` (default: the name of `to` with `~former`, beside it), and so is every
        file that was edited: `set_aside` of the receipt says where. If the folder holds this eTag already, nothing is
        fetched, and the receipt's `already_held` is true.

        Raises a SourceError if anything that could be checked does not agree, UsageError for a folder that holds
        something else, LockedError if another pull is running in it, FullDiskError if there is no room, and
        CounterfoilError for anything else that the disk refuses. Then nothing of a former pull in the folder is
        touched, and what was fetched and proven waits in `.counterfoil-pull`: the same call resumes from there, after
        a crash too.
        """
        return pull_to_folder(self._session(), self._settings, ask, to, api, format, keep, former, watcher)

    def export(self, ask: ExportRequest, on_wait: Callable[[float], None] = lambda _: None) -> Export:
        """Submit a Graph export and wait for it; returns its manifest, with nothing downloaded.

        `on_wait` is called before each wait with the number of seconds that the export has taken so far. Raises
        OperationFailedError if the export fails, OperationTimeoutError after `wait_s_max`, and other SourceErrors.
        """
        calls = SourceCalls(self._session(), self._settings.base, CallLog())
        return Exporter(calls, self._settings).export(ask, on_wait)

    def line_items(self, ask: ExportRequest, *, api: Api | str = Api.GRAPH) -> Iterator[dict[str, str | None]]:
        """Yield the line items by Graph's names, every value the exact text it came as; memory stays flat.

        Counts and totals are checked at the end: raises ProofError in place of ending, and other SourceErrors.
        """
        for batch in streamed(self._session(), self._settings, ask, api):
            yield from rows_of(batch)

    def batches(self, ask: ExportRequest, *, api: Api | str = Api.GRAPH) -> Iterator[pa.RecordBatch]:
        """Yield the line items as record batches with the lake's columns: numbers as DECIMAL and as exact text.

        A batch is a page of v1, or up to 8 MiB of a blob's text. Raises as `line_items` does.
        """
        for batch in streamed(self._session(), self._settings, ask, api):
            yield batch_to_lake(ask.kind, batch)[0]

    def _session(self) -> Session:
        return Session(self._direct, self._proxied, self._tokens, self._settings.patience, self._limits, self._sockets)
