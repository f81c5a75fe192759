"""A catalog on PostgreSQL: what is special to a server, which ends, refuses, and loses connections."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from counterfoil.errors import CounterfoilError, DataFolderError, LockedError, NewerDataError
from counterfoil.model import Dataset, Kind, Scope
from counterfoil.storage.engines import open_store
from counterfoil.storage.postgres import url_of
from counterfoil.storage.store import Store
from tests import committing
from tests.storage.conftest import NOW, segment_of
from tests.storage.cutting_proxy import Cut, CuttingProxy
from tests.storage.postgres_server import PostgresServer

pytestmark = [pytest.mark.engines, pytest.mark.filterwarnings("ignore::ResourceWarning")]
DATASET = Dataset(Kind.USAGE, "0e195b37-4574-4539-bc42-0e539b9684c0", Scope(period="2026-11", currency="EUR"))


@pytest.fixture
def proxy(postgres: PostgresServer) -> Iterator[CuttingProxy]:
    with CuttingProxy(postgres.port) as proxy:
        yield proxy


@pytest.fixture
def store(postgres: PostgresServer, proxy: CuttingProxy, tmp_path: Path) -> Iterator[Store]:
    """A store whose connections go through the proxy."""
    with open_store(tmp_path / "data", postgres.url().replace(str(postgres.port), str(proxy.port))) as store:
        yield store


def publish(store: Store, amounts: range, base: str | None = None, before: Callable[[], None] = lambda: None) -> str:
    with store.begin(NOW) as publication:
        store.catalog.begin_publication(publication.id, NOW)
        made = segment_of(publication.id, DATASET, "whole", amounts)
        before()
        [revision] = committing.commit(store.catalog, publication.id, [made], {DATASET: base}, NOW)
        return revision.id


@pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.AFTER])
def test_a_commit_whose_answer_was_lost_is_settled(store: Store, proxy: CuttingProxy, cut: Cut) -> None:
    first = publish(store, range(3))
    said = None
    try:
        said = publish(store, range(5), first, lambda: setattr(proxy, "cut", cut))
    except LockedError:
        assert cut is Cut.BEFORE
    in_force = store.catalog.in_force(DATASET)
    assert in_force is not None
    assert (in_force.id == said) if cut is Cut.AFTER else (said is None and in_force.id == first)
    assert store.catalog.faults() == []
    assert publish(store, range(7), in_force.id)


def test_a_server_that_comes_back_is_used_again(postgres: PostgresServer, store: Store, proxy: CuttingProxy) -> None:
    first = publish(store, range(3))
    held = store.locks.take("a dataset")
    postgres.stop(signal.SIGQUIT)
    with pytest.raises(LockedError, match="does not answer"):
        store.catalog.in_force(DATASET)
    postgres.start()
    assert held.is_lost
    in_force = store.catalog.in_force(DATASET)
    assert in_force is not None
    assert in_force.id == first
    assert publish(store, range(4), first)
    held.release()
    store.locks.take("a dataset").release()


def test_a_publication_whose_lock_was_lost_commits_nothing(store: Store, proxy: CuttingProxy) -> None:
    with store.begin(NOW) as publication:
        proxy.cut_all()
        with pytest.raises(LockedError, match="lost its lock"):
            publication.seal([segment_of(publication.id, DATASET, "whole", range(3))])
    assert store.catalog.in_force(DATASET) is None


def test_a_lock_ends_with_its_holder_and_is_nobody_elses_before(postgres: PostgresServer, tmp_path: Path) -> None:
    url = postgres.url()
    with ExitStack() as opened:
        first, second = (opened.enter_context(open_store(tmp_path / "data", url)) for _ in range(2))
        first.locks.take("it")
        for store in (first, second):
            with pytest.raises(LockedError, match="Another publication holds it"):
                store.locks.take("it")
        first.locks.close()
        with second.locks.wait("it"):  # the server notices within a moment
            pass


def test_writers_take_turns_and_exports_are_all_recorded(postgres: PostgresServer, tmp_path: Path) -> None:
    url = postgres.url()
    tenants = [str(uuid.uuid4()) for _ in range(40)]
    failed = list[CounterfoilError]()

    def add(some: list[str]) -> None:
        with open_store(tmp_path / "data", url) as store:
            for tenant in some:
                try:
                    store.catalog.add_partner(tenant, NOW)
                except CounterfoilError as error:
                    failed.append(error)

    threads = [threading.Thread(target=add, args=(tenants[start::4],)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    with open_store(tmp_path / "data", url) as store:
        assert [partner.tenant for partner in store.catalog.partners()] == sorted(tenants)
        assert store.catalog.faults() == []


def test_what_cannot_be_used_is_refused_and_left_as_it_is(postgres: PostgresServer, tmp_path: Path) -> None:
    url = postgres.url()
    name = url.rpartition("/")[2]
    refusals = {
        url.replace("counterfoil:", "nobody:"): "does not let Counterfoil in",
        url.replace(name, "nowhere"): "does not let Counterfoil in",
        url.replace(str(postgres.port), "1"): "does not answer",
        url.replace(f"/{name}", ""): "cannot use",
        "postgresql://[": "cannot use",
    }
    for wrong, said in refusals.items():
        with pytest.raises(CounterfoilError, match=said) as refused:
            open_store(tmp_path / "data", wrong)
        assert str(url_of(url).password) not in str(refused.value)
    with pytest.raises(DataFolderError, match="holds no catalog"):
        open_store(tmp_path / "data", url, create=False)
    postgres.sql("CREATE TABLE theirs (id int)", name)
    with pytest.raises(DataFolderError, match="it holds the table theirs"):
        open_store(tmp_path / "data", url)
    assert postgres.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", name) == [(1,)]


def test_a_standby_an_encoding_and_a_user_without_rights_are_refused(postgres: PostgresServer, tmp_path: Path) -> None:
    with PostgresServer() as standby:
        url = standby.url()
        standby.stop()
        (standby.folder / "data" / "standby.signal").touch()
        standby.start()
        with pytest.raises(DataFolderError, match="can only be read"):
            open_store(tmp_path / "a", url)
    postgres.sql("CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    with pytest.raises(DataFolderError, match="keeps its texts in LATIN1"):
        open_store(tmp_path / "b", postgres.url_of("latin"))
    postgres.sql("CREATE ROLE guest LOGIN PASSWORD 'guest'")
    with pytest.raises(DataFolderError, match="may not do what Counterfoil does"):
        open_store(
            tmp_path / "c", f"postgresql://guest:guest@127.0.0.1:{postgres.port}/{postgres.url().rpartition('/')[2]}"
        )


def test_a_newer_catalog_is_refused(postgres: PostgresServer, tmp_path: Path) -> None:
    url = postgres.url()
    open_store(tmp_path / "data", url).__exit__()
    name = url.rpartition("/")[2]
    postgres.sql("UPDATE meta SET value = '99' WHERE key IN ('schema_version', 'usable_from')", name)
    with pytest.raises(NewerDataError, match="newer Counterfoil"):
        open_store(tmp_path / "data", url)


def test_who_waits_for_the_turn_waits_for_a_bounded_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.monotonic()
    with store.catalog.log.database.writing() as connection:
        connection.exec_driver_sql("SELECT 1")
        with pytest.raises(LockedError, match="busy"), store.catalog.log.database.writing() as second:
            second.exec_driver_sql("SELECT 1")
    assert time.monotonic() - began < 60


def test_every_command_works_with_a_catalog_on_a_server(postgres: PostgresServer, tmp_path: Path) -> None:
    """Publish, list, replace, restore, withdraw, sweep, verify, sign in; and what needs a file says so."""
    environ = {**os.environ, "COUNTERFOIL_DATABASE_URL": postgres.url(), "COUNTERFOIL_DATA": str(tmp_path / "data")}

    def run(*arguments: str, code: int = 0) -> str:
        command = [sys.executable, "-m", "counterfoil", *arguments]
        done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    dataset = ("--kind", "usage", "--period", "2026-11", "--currency", "EUR")
    for name, seed in (("a", "1"), ("b", "2")):
        made = ("--partner", DATASET.partner, "--line-items", "300", "--seed", seed, "-o", f"{name}.jsonl")
        run("generate", *dataset, *made)
        run("publish", f"{name}.jsonl", "--period", "2026-11")
    [listed] = json.loads(run("list", "--output", "json", "--quiet"))
    assert listed["lineItems"] == 300
    partner = ("--partner", DATASET.partner)
    run("clients", "add", *partner)
    shown = json.loads(run("show", *dataset, *partner, "--output", "json", "--quiet"))
    run("restore", next(each["revision"] for each in shown if not each["inForce"]))
    for command in (("verify",), ("sweep",), ("activity",), ("partners", "list"), ("withdraw", *dataset, *partner)):
        run(*command)
    assert "pg_dump" in run("backup", str(tmp_path / "backup"), code=2)
    assert "pg_dump" in run("rebuild", code=2)
    [gone] = json.loads(run("list", "--output", "json", "--quiet"))
    assert not gone.get("revision")
